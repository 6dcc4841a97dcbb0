//! The envelope of every JSON post: the secret, which is judged first, and what decides the dialect.

use super::{Document, Value};
use crate::wire::dialect::{self, Dialect};
use crate::wire::{Rejection, Secrets};

/// An authentic post's four members, of which the secret is only a place by now.
pub(super) struct Envelope<'t> {
    /// Where the secret's characters begin in the post's own bytes, behind the quote.
    pub(super) secret_at: Option<usize>,
    /// What the dialect reads.
    pub(super) data: Value<'t>,
    version: Value<'t>,
    kind: Value<'t>,
}

impl<'t> Envelope<'t> {
    /// Finds the members and judges the secret.
    pub(super) fn read(document: &Document<'t>, secrets: Secrets<'_>) -> Result<Self, Rejection> {
        let Some(members) = document.root.members() else {
            return Err(Rejection::Secret);
        };
        let mut found: [Value<'t>; 4] = [Value::default(); 4];
        for (key, value) in members {
            let Some(at) = MEMBERS.iter().position(|member| *member == key) else { continue };
            if !found[at].is_absent() {
                return Err(Rejection::NotJson { reason: TWICE[at] });
            }
            found[at] = value;
        }
        let [secret, version, kind, data] = found;
        let told = secret.string();
        if !told.map_or(matches!(secrets, Secrets::Trusted), |told| secrets.accept(told)) {
            return Err(Rejection::Secret);
        }
        Ok(Self { secret_at: told.map(|told| document.place(told)), data, version, kind })
    }

    /// The dialect, or why there is none.
    pub(super) fn dialect(&self) -> Result<Dialect, &'static str> {
        Dialect::of(major(self.version), self.kind.string().unwrap_or_default())
    }
}

/// The major part of a version, which may be a number too.
fn major(version: Value<'_>) -> Option<i64> {
    if let Some(text) = version.string()
        && let Some(major) = dialect::major(text)
    {
        return Some(major);
    }
    let number = version.number();
    // A cast of NaN or of a giant saturates to a version that nobody has.
    (number >= 0.0).then_some(number as i64)
}

const MEMBERS: [&str; 4] = ["secret", "version", "type", "data"];
const TWICE: [&str; 4] = ["secret stands twice", "version stands twice", "type stands twice", "data stands twice"];
