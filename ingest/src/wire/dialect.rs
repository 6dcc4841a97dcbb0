//! Which dialect a post is in: told by its version and type.

use store::batch::Radio;

/// Who reads `data`, and what radio heard all of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dialect {
    /// One access point's post.
    V2(Radio),
    /// One network's post.
    V3(Radio),
}

impl Dialect {
    /// By the major part of the version and the type, or why there is none.
    pub(super) fn of(major: Option<i64>, kind: &str) -> Result<Self, &'static str> {
        match (major.ok_or("version")?, kind) {
            (2, "DevicesSeen") => Ok(Self::V2(Radio::Wifi)),
            (2, "BluetoothDevicesSeen") => Ok(Self::V2(Radio::Ble)),
            (3, "WiFi") => Ok(Self::V3(Radio::Wifi)),
            // The documents say BLE, the cloud sends Bluetooth.
            (3, "Bluetooth" | "BLE") => Ok(Self::V3(Radio::Ble)),
            (2 | 3, _) => Err("type"),
            _ => Err("version"),
        }
    }
}

/// The major part of a version's text: users cannot choose the minor one, and it changes at any time.
pub(super) fn major(version: &str) -> Option<i64> {
    let leading = version.split_once('.').map_or(version, |(leading, _)| leading);
    if leading.is_empty() || !leading.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    leading.parse().ok()
}
