//! Clients are known by a keyed pseudonym of their address, never by the address itself unless the operator asks for it.

use std::fmt;

use crate::key::Key;
use crate::mac::Mac;

/// A client as the store knows it: a 64-bit pseudonym, or with `privacy.clients = "plain"` the 48 bits of its address.
///
/// The two never meet: a pseudonym has at least one of its high 16 bits set, an address has none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

impl ClientId {
    /// The address, when this is one.
    #[must_use]
    pub const fn plain(self) -> Option<Mac> {
        if self.0 >> 48 == 0 { Some(Mac::from_bits(self.0)) } else { None }
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientId(..)")
    }
}

impl fmt::Display for ClientId {
    /// 16 hexadecimal digits, or the address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.plain() {
            Some(mac) => fmt::Display::fmt(&mac.text(), f),
            None => write!(f, "{:016x}", self.0),
        }
    }
}

/// How addresses become clients.
#[derive(Clone)]
pub enum Pseudonyms {
    /// Keyed BLAKE3, cut to 64 bits.
    Keyed(Key),
    /// The address itself.
    Plain,
}

impl Pseudonyms {
    /// The client with this address.
    #[must_use]
    pub fn of(&self, mac: Mac) -> ClientId {
        match self {
            Self::Plain => ClientId(mac.bits()),
            Self::Keyed(key) => {
                let hash = blake3::keyed_hash(key.bytes(), &mac.bits().to_be_bytes()[2..]);
                let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
                let id = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
                // One pseudonym in 65,536 would look like an address; its top bit is set instead.
                ClientId(if id >> 48 == 0 { id | 1 << 63 } else { id })
            }
        }
    }
}

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keyed(_) => "Pseudonyms::Keyed(..)",
            Self::Plain => "Pseudonyms::Plain",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_gives_one_pseudonym_and_another_key_another() {
        let mac = Mac::from_bytes([0x18, 0xfe, 0x34, 1, 2, 3]);
        let (one, two) = (Pseudonyms::Keyed(Key::from_bytes([1; 32])), Pseudonyms::Keyed(Key::from_bytes([2; 32])));
        assert_eq!(one.of(mac), one.of(mac));
        assert_ne!(one.of(mac), two.of(mac));
        assert_ne!(one.of(mac), one.of(Mac::from_bytes([0x18, 0xfe, 0x34, 1, 2, 4])));
        assert_eq!(one.of(mac).to_string().len(), 16);
        assert!(!one.of(mac).to_string().contains("18fe34"));
    }

    #[test]
    fn a_plain_client_shows_its_address() {
        let mac = Mac::from_bytes([0x18, 0xfe, 0x34, 1, 2, 3]);
        assert_eq!(Pseudonyms::Plain.of(mac).to_string(), "18:fe:34:01:02:03");
        assert_eq!(format!("{:?}", Pseudonyms::Plain.of(mac)), "ClientId(..)");
    }
}
