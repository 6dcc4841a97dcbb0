//! Clients are known by a keyed pseudonym of their address, never by the address itself unless the operator asks for it.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::batch::Batch;
use crate::epoch::{Epoch, Known, Ring};
use crate::key::Key;
use crate::mac::Mac;

/// A client as the store knows it: a 64-bit pseudonym, or with `privacy.clients = "plain"` the 48 bits of its address.
///
/// The two never meet: the high 16 bits of a pseudonym are 2 or more, those of an address are 0. Where they are 1 in the database the row has
/// lost its client, and the other bits are of the row alone.
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
    /// Keyed BLAKE3, cut to 64 bits, under one key for good.
    Keyed(Key),
    /// The address itself.
    Plain,
    /// As [`Pseudonyms::Keyed`], under the key of the epoch in which the client was seen.
    Epochs(Epochs),
}

/// The keys of epochs, and those that are at hand.
#[derive(Clone)]
pub struct Epochs {
    ring: Arc<Mutex<Ring>>,
    known: Vec<Known>,
    generation: u64,
}

impl Epochs {
    /// Takes keys from a ring, which may destroy them meanwhile.
    #[must_use]
    pub fn new(ring: Arc<Mutex<Ring>>) -> Self {
        Self { ring, known: Vec::new(), generation: 0 }
    }

    /// Where the epoch of a second is among those at hand.
    fn find(&self, observed_at: i64) -> Option<usize> {
        // The latest was asked for last, mostly.
        self.known.iter().rposition(|known| known.epoch.from <= observed_at && observed_at < known.epoch.to)
    }
}

impl Pseudonyms {
    /// Has the keys at hand for all that a batch tells. Those that are missing are made.
    ///
    /// # Errors
    /// When a key cannot be written.
    pub fn prepare(&mut self, batch: &Batch) -> io::Result<()> {
        let Self::Epochs(epochs) = self else { return Ok(()) };
        // A thread that has died with the ring in hand leaves nothing half done in it.
        let mut ring = epochs.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.generation() != epochs.generation || epochs.known.len() >= KNOWN_MAX {
            epochs.known.clear();
        }
        let mut last = Epoch { from: 0, to: 0 };
        for at in batch.observations.iter().map(|told| told.observed_at).chain(batch.locations.iter().map(|told| told.observed_at)) {
            if last.from <= at && at < last.to {
                continue;
            }
            last = match epochs.known.iter().rev().find(|known| known.epoch.from <= at && at < known.epoch.to) {
                Some(known) => known.epoch,
                None => {
                    let known = ring.of(at)?;
                    let epoch = known.epoch;
                    epochs.known.push(known);
                    epoch
                }
            };
        }
        epochs.generation = ring.generation();
        Ok(())
    }

    /// The number of the epoch in which something was observed; the same for all where one key lasts.
    #[must_use]
    pub fn epoch(&self, observed_at: i64) -> usize {
        match self {
            Self::Epochs(epochs) => epochs.find(observed_at).unwrap_or(usize::MAX),
            Self::Keyed(_) | Self::Plain => 0,
        }
    }

    /// The client with this address in an epoch; none when the epoch's key is destroyed.
    #[must_use]
    pub fn of(&self, mac: Mac, epoch: usize) -> Option<ClientId> {
        match self {
            Self::Plain => Some(ClientId(mac.bits())),
            Self::Keyed(key) => Some(keyed(key, mac)),
            Self::Epochs(epochs) => epochs.known.get(epoch)?.key.as_ref().map(|key| keyed(key, mac)),
        }
    }
}

/// The first 64 bits of a keyed hash of the address.
fn keyed(key: &Key, mac: Mac) -> ClientId {
    let hash = blake3::keyed_hash(key.bytes(), &mac.bits().to_be_bytes()[2..]);
    let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
    let id = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    // One pseudonym in 32,768 would look like an address, or like nobody; its top bit is set instead.
    ClientId(if id >> 48 <= 1 { id | 1 << 63 } else { id })
}

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keyed(_) => "Pseudonyms::Keyed(..)",
            Self::Plain => "Pseudonyms::Plain",
            Self::Epochs(_) => "Pseudonyms::Epochs(..)",
        })
    }
}

/// Epochs at hand at most, those without a key among them.
const KNOWN_MAX: usize = 8_192;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Observation;
    use crate::epoch::Rule;
    use crate::texts::Text;

    #[test]
    fn one_key_gives_one_pseudonym_and_another_key_another() {
        let mac = Mac::from_bytes([0x18, 0xfe, 0x34, 1, 2, 3]);
        let named = |key: u8, mac: Mac| Pseudonyms::Keyed(Key::from_bytes([key; 32])).of(mac, 0).unwrap();
        assert_eq!(named(1, mac), named(1, mac));
        assert_ne!(named(1, mac), named(2, mac));
        assert_ne!(named(1, mac), named(1, Mac::from_bytes([0x18, 0xfe, 0x34, 1, 2, 4])));
        assert_eq!(named(1, mac).to_string().len(), 16);
        assert!(!named(1, mac).to_string().contains("18fe34"));
    }

    #[test]
    fn a_plain_client_shows_its_address() {
        let mac = Mac::from_bytes([0x18, 0xfe, 0x34, 1, 2, 3]);
        let client = Pseudonyms::Plain.of(mac, 0).unwrap();
        assert_eq!((client.to_string().as_str(), format!("{client:?}").as_str()), ("18:fe:34:01:02:03", "ClientId(..)"));
    }

    #[test]
    fn an_epoch_has_a_key_of_its_own_until_it_is_destroyed() {
        let dir = tempfile::tempdir().unwrap();
        let divide = |at: i64| (at.div_euclid(600) * 600, at.div_euclid(600) * 600 + 600);
        let ring = Ring::open(dir.path(), Rule { kind: "tens".to_owned(), divide: Box::new(divide), grace_s: 60, now: || 700 }).unwrap();
        let ring = Arc::new(Mutex::new(ring));
        let mut pseudonyms = Pseudonyms::Epochs(Epochs::new(Arc::clone(&ring)));
        let mac = Mac::from_bytes([0x18, 0xfe, 0x34, 1, 2, 3]);
        let mut named = |times: &[i64]| -> Vec<Option<ClientId>> {
            let told = |&observed_at: &i64| Observation { observed_at, ap: mac, client: 0, ssid: Text::NONE, rssi_dbm: -60 };
            let batch = Batch { observations: times.iter().map(told).collect(), ..Batch::default() };
            pseudonyms.prepare(&batch).unwrap();
            times.iter().map(|&at| pseudonyms.of(mac, pseudonyms.epoch(at))).collect()
        };
        let first = named(&[599, 600, 0]);
        assert_eq!(first[0], first[2]);
        assert!(first[0].is_some() && first[1].is_some() && first[0] != first[1]);
        assert_eq!(named(&[600, 599]), [first[1], first[0]]);
        // Made at 700, it lives until 760.
        ring.lock().unwrap().destroy_due(760).unwrap();
        assert_eq!(named(&[599, 600]), [None, first[1]]);
    }
}
