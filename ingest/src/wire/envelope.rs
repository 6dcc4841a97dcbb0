//! The envelope of every JSON post: the secret, which is judged first, and what decides the dialect.

use store::batch::Radio;

use super::tape::{Document, Value};
use super::{Rejection, Secrets};

/// An authentic post's four members, of which the secret is only a place by now.
pub(super) struct Envelope<'t> {
    /// Where the secret's characters begin in the post's own bytes, behind the quote.
    pub(super) secret_at: Option<usize>,
    /// What the dialect reads.
    pub(super) data: Value<'t>,
    version: Value<'t>,
    kind: Value<'t>,
}

/// Who reads `data`, and what radio heard all of it.
pub(super) enum Dialect {
    /// One access point's post.
    V2(Radio),
    /// One network's post.
    V3(Radio),
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
        match (major(self.version).ok_or("version")?, self.kind.string().unwrap_or_default()) {
            (2, "DevicesSeen") => Ok(Dialect::V2(Radio::Wifi)),
            (2, "BluetoothDevicesSeen") => Ok(Dialect::V2(Radio::Ble)),
            (3, "WiFi") => Ok(Dialect::V3(Radio::Wifi)),
            // The documents say BLE, the cloud sends Bluetooth.
            (3, "Bluetooth" | "BLE") => Ok(Dialect::V3(Radio::Ble)),
            (2 | 3, _) => Err("type"),
            _ => Err("version"),
        }
    }
}

/// The major part of a version: users cannot choose the minor one, and it changes at any time.
fn major(version: Value<'_>) -> Option<i64> {
    if let Some(text) = version.string() {
        let leading = text.split_once('.').map_or(text, |(leading, _)| leading);
        if !leading.is_empty() && leading.bytes().all(|byte| byte.is_ascii_digit()) {
            return leading.parse().ok();
        }
    }
    let number = version.number();
    // A cast of NaN or of a giant saturates to a version that nobody has.
    (number >= 0.0).then_some(number as i64)
}

const MEMBERS: [&str; 4] = ["secret", "version", "type", "data"];
const TWICE: [&str; 4] = ["secret stands twice", "version stands twice", "type stands twice", "data stands twice"];
