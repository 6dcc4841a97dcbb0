//! The envelope on the fast road. The secret is compared and the dialect known before the first row is read, wherever they stand.

use memchr::memmem;

use super::kernel::Kernel;
use super::keys::{Keys, Members};
use super::scan::Scan;
use super::{Learned, v2, v3};
use crate::wire::Secrets;
use crate::wire::dialect::{self, Dialect};
use crate::wire::rows::Rows;

/// Reads the whole document into the rows; gives the secret's place in it.
#[inline(always)]
pub(super) fn read<'b, K: Kernel>(scan: &mut Scan<'b, K>, secrets: Secrets<'_>, rows: &mut Rows<'_>, learned: &mut Learned) -> Option<&'b str> {
    let Learned { top, v2, v3, day } = learned;
    let (mut told, mut guessed, mut has_data) = (Told::default(), Told::default(), false);
    scan.blank();
    let mut members = Members::new(&TOP, top);
    while let Some(key) = members.next(scan)? {
        match key {
            SECRET => told.secret = Some(scan.plain()?),
            VERSION => told.version = Some(version(scan)?),
            TYPE => told.kind = Some(scan.plain()?),
            _ => {
                has_data = true;
                if !told.is_whole() {
                    guessed = guess(*scan);
                }
                let Told { secret, version, kind } = told.or(guessed);
                if !secrets.accept(secret?) {
                    return None;
                }
                match Dialect::of(dialect::major(version?), kind?).ok()? {
                    Dialect::V2(radio) => v2::read(scan, radio, rows, v2)?,
                    Dialect::V3(radio) => v3::read(scan, radio, rows, v3, day)?,
                }
            }
        }
    }
    scan.blank();
    // What was guessed before it was reached must be what was found there.
    (scan.is_at_end() && has_data && guessed.agrees_with(&told)).then_some(told.secret?)
}

/// What of the envelope is known: strings as they stand in the body.
#[derive(Clone, Copy, Default)]
struct Told<'b> {
    secret: Option<&'b str>,
    version: Option<&'b str>,
    kind: Option<&'b str>,
}

impl<'b> Told<'b> {
    fn is_whole(&self) -> bool {
        self.secret.is_some() && self.version.is_some() && self.kind.is_some()
    }

    fn or(self, other: Self) -> Self {
        Self { secret: self.secret.or(other.secret), version: self.version.or(other.version), kind: self.kind.or(other.kind) }
    }

    /// Whether each string that this one has stands in the other too, at the same place.
    fn agrees_with(&self, other: &Self) -> bool {
        let same = |ours: Option<&str>, theirs: Option<&str>| ours.is_none_or(|ours| theirs.is_some_and(|theirs| std::ptr::eq(ours, theirs)));
        same(self.secret, other.secret) && same(self.version, other.version) && same(self.kind, other.kind)
    }
}

/// A version that is a string, or a number as it is written.
fn version<'b, K: Kernel>(scan: &mut Scan<'b, K>) -> Option<&'b str> {
    if scan.peek() == b'"' {
        return scan.plain();
    }
    let text = scan.number_text()?;
    // Others have a value that is not read off like this.
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then_some(text)
}

/// Looks for the rest of the envelope at the end of the body. Only a guess: the same bytes may stand inside of something else there.
#[cold]
fn guess<K: Kernel>(scan: Scan<'_, K>) -> Told<'_> {
    let skipped = scan.rest().len().saturating_sub(TAIL_BYTES);
    let mut tail = scan;
    let _there = tail.skip(skipped);
    let member = |name: &[u8]| {
        let mut scan = tail;
        scan.skip(memmem::rfind(tail.rest(), name)? + name.len())?;
        scan.blank();
        scan.take(b':')?;
        scan.blank();
        Some(scan)
    };
    Told {
        secret: member(b"\"secret\"").and_then(|mut scan| scan.plain()),
        version: member(b"\"version\"").and_then(|mut scan| version(&mut scan)),
        kind: member(b"\"type\"").and_then(|mut scan| scan.plain()),
    }
}

static TOP: Keys = Keys::new(["version", "secret", "type", "data"], &[]);
const VERSION: usize = 0;
const SECRET: usize = 1;
const TYPE: usize = 2;
/// More than the members behind `data` take.
const TAIL_BYTES: usize = 1_024;
