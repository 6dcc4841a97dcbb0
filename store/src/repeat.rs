//! The repeat filter: which observations and locations the store has already.
//!
//! A post carries sightings up to about nine minutes old that earlier posts carried too. The filter keeps one keyed 64-bit
//! fingerprint per row, by source and by the minute observed, for `horizon` seconds of journal time; the table behind it needs no
//! unique index. What is older than the horizon is looked up in the store instead ([`Seen::Old`]). Two different rows share a
//! fingerprint with a chance of one in 2^64 per pair of one source and minute.

use std::hash::Hasher;
use std::mem::size_of;

use hashbrown::{HashMap, HashTable};
use siphasher::sip::SipHasher13;

use crate::group::{LocationRow, ObservationRow};

/// How long the filter remembers a minute, in seconds of journal time.
pub const HORIZON_S: i64 = 15 * 60;

/// What the filter says of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// Not seen before; it is remembered now.
    New,
    /// Seen before.
    Repeat,
    /// Older than the horizon: only the store can tell.
    Old,
}

/// Fingerprints of what the store holds, by source and minute.
pub struct RepeatFilter {
    key: (u64, u64),
    sources: HashMap<u64, Vec<Minute>>,
    journal_time_s: i64,
    bytes: usize,
}

impl RepeatFilter {
    /// An empty filter. `key` is random, of this process alone: fingerprints are made again from the store at each start.
    #[must_use]
    pub fn new(key: (u64, u64)) -> Self {
        Self { key, sources: HashMap::new(), journal_time_s: i64::MIN, bytes: 0 }
    }

    /// Moves the journal's time on (it never goes back) and forgets the minutes that are past the horizon.
    pub fn advance(&mut self, journal_time_s: i64) {
        if journal_time_s <= self.journal_time_s {
            return;
        }
        let minute_passed = journal_time_s.div_euclid(60) != self.journal_time_s.div_euclid(60);
        self.journal_time_s = journal_time_s;
        if minute_passed {
            self.forget();
        }
    }

    /// The journal's time: the latest that was told.
    #[must_use]
    pub const fn journal_time_s(&self) -> i64 {
        self.journal_time_s
    }

    /// The first second that the filter still remembers: what a rebuilt filter must be told of.
    #[must_use]
    pub fn horizon_start_s(&self) -> i64 {
        (self.journal_time_s - HORIZON_S).div_euclid(60) * 60
    }

    /// Whether the minute of `observed_at` is past the horizon.
    #[must_use]
    pub fn is_old(&self, observed_at: i64) -> bool {
        self.journal_time_s > observed_at.div_euclid(60).saturating_mul(60).saturating_add(HORIZON_S)
    }

    /// Says whether a row was seen, and remembers it.
    pub fn see(&mut self, bucket: u64, fingerprint: u64, observed_at: i64) -> Seen {
        if self.is_old(observed_at) {
            return Seen::Old;
        }
        let minute = observed_at.div_euclid(60);
        let minutes = self.sources.entry(bucket).or_insert_with(|| {
            self.bytes += SOURCE_BYTES;
            Vec::new()
        });
        let slot = match minutes.iter().position(|slot| slot.minute == minute) {
            Some(at) => &mut minutes[at],
            None => {
                self.bytes += size_of::<Minute>();
                minutes.push(Minute { minute, prints: Prints::Few(Vec::new()) });
                let last = minutes.len() - 1;
                &mut minutes[last]
            }
        };
        let before = slot.prints.bytes();
        let new = slot.prints.insert(fingerprint);
        self.bytes += slot.prints.bytes() - before;
        if new { Seen::New } else { Seen::Repeat }
    }

    /// Bytes held, for the metric.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// A keyed hash of strings and numbers; the parts are told apart by their lengths.
    #[must_use]
    pub fn hash_parts(&self, parts: &[Option<&[u8]>]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        for part in parts {
            hasher.write_u64(part.map_or(u64::MAX, |bytes| bytes.len() as u64));
            hasher.write(part.unwrap_or_default());
        }
        hasher.finish()
    }

    /// The fingerprint of an observation. `source` and `ssid` are hashes of what the store holds for them, never process-local ids.
    #[must_use]
    pub fn observation(&self, source: u64, ssid: u64, row: &ObservationRow) -> u64 {
        self.hash_words(&[1, source, ssid, row.client.0, row.observed_at.cast_unsigned(), u64::from(row.rssi_dbm.cast_unsigned())])
    }

    /// The fingerprint of a location. `source` and `floor` are hashes of what the store holds for them.
    #[must_use]
    pub fn location(&self, source: u64, floor: [u64; 2], row: &LocationRow) -> u64 {
        let [x, y, lat, lng, uncertainty] = [row.x_m, row.y_m, row.lat, row.lng, row.uncertainty_m].map(number_bits);
        self.hash_words(&[2, source, floor[0], floor[1], row.client.0, row.observed_at.cast_unsigned(), x, y, lat, lng, uncertainty])
    }

    fn hash_words<const N: usize>(&self, words: &[u64; N]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        for word in words {
            hasher.write_u64(*word);
        }
        hasher.finish()
    }

    fn forget(&mut self) {
        let Self { sources, bytes, journal_time_s, .. } = self;
        sources.retain(|_, minutes| {
            minutes.retain(|slot| {
                let keep = *journal_time_s <= slot.minute * 60 + HORIZON_S;
                if !keep {
                    *bytes -= size_of::<Minute>() + slot.prints.bytes();
                }
                keep
            });
            if minutes.is_empty() {
                *bytes -= SOURCE_BYTES;
            }
            !minutes.is_empty()
        });
    }
}

struct Minute {
    minute: i64,
    prints: Prints,
}

/// A minute of one source mostly has a few dozen fingerprints, which a scan finds faster than a table does.
enum Prints {
    Few(Vec<u64>),
    Many(HashTable<u64>),
}

impl Prints {
    /// Whether the fingerprint is new; it is held from now on.
    fn insert(&mut self, print: u64) -> bool {
        match self {
            Self::Few(few) => {
                if few.contains(&print) {
                    return false;
                }
                if few.len() < FEW_MAX {
                    few.push(print);
                    return true;
                }
                let mut table = HashTable::with_capacity(FEW_MAX * 2);
                for &old in few.iter().chain([&print]) {
                    table.insert_unique(old, old, |&print| print);
                }
                *self = Self::Many(table);
                true
            }
            Self::Many(table) => {
                if table.find(print, |&held| held == print).is_some() {
                    return false;
                }
                table.insert_unique(print, print, |&print| print);
                true
            }
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Few(few) => few.capacity() * 8,
            Self::Many(table) => table.allocation_size(),
        }
    }
}

/// Equal numbers have equal bits: all NaN are one null, and the zeros are one zero.
fn number_bits(number: f64) -> u64 {
    if number.is_nan() {
        u64::MAX
    } else if number == 0.0 {
        0
    } else {
        number.to_bits()
    }
}

/// Up to so many fingerprints are kept as a list.
const FEW_MAX: usize = 64;
/// What an entry of the map of sources costs.
const SOURCE_BYTES: usize = size_of::<u64>() + size_of::<Vec<Minute>>() + 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn filter_at(now: i64) -> RepeatFilter {
        let mut filter = RepeatFilter::new((1, 2));
        filter.advance(now);
        filter
    }

    #[test]
    fn the_same_row_is_a_repeat_until_its_minute_is_past_the_horizon() {
        let mut filter = filter_at(NOW);
        let minute_start = NOW.div_euclid(60) * 60;
        assert_eq!(filter.see(7, 70, NOW), Seen::New);
        assert_eq!(filter.see(7, 70, NOW), Seen::Repeat);
        assert_eq!(filter.see(8, 70, NOW), Seen::New, "another source is another row");
        filter.advance(minute_start + HORIZON_S);
        assert_eq!(filter.see(7, 70, NOW), Seen::Repeat, "the horizon's last second");
        filter.advance(minute_start + HORIZON_S + 1);
        assert_eq!(filter.see(7, 70, NOW), Seen::Old);
    }

    #[test]
    fn time_never_goes_back_and_the_rebuilt_filter_starts_where_it_remembers() {
        let mut filter = filter_at(NOW);
        filter.advance(NOW - 3_600);
        assert!(filter.is_old(NOW - 3_600));
        assert!(!filter.is_old(filter.horizon_start_s() + 60));
        assert!(filter.is_old(filter.horizon_start_s() - 1));
    }

    #[test]
    fn forgotten_minutes_give_their_bytes_back() {
        let mut filter = filter_at(NOW);
        for n in 0..10_000_u64 {
            filter.see(n % 10, n.wrapping_mul(0x9e37_79b9_7f4a_7c15), NOW - i64::try_from(n % 5).unwrap() * 60);
        }
        assert!(filter.bytes() > 80_000, "{}", filter.bytes());
        filter.advance(NOW + 3_600);
        assert_eq!(filter.bytes(), 0);
        assert_eq!(filter.sources.len(), 0);
    }

    proptest! {
        #[test]
        fn it_is_a_set_of_what_is_within_the_horizon(rows in prop::collection::vec((0_u64..4, any::<u8>(), 0_i64..1_200), 0..400)) {
            let mut filter = filter_at(NOW);
            let mut model = std::collections::HashSet::new();
            for (bucket, print, age) in rows {
                // A table's hash is the fingerprint itself, so that it must be spread as a real one is.
                let print = u64::from(print).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let at = NOW - age;
                let expected = if filter.is_old(at) {
                    Seen::Old
                } else if model.insert((bucket, print, at.div_euclid(60))) {
                    Seen::New
                } else {
                    Seen::Repeat
                };
                prop_assert_eq!(filter.see(bucket, print, at), expected);
            }
        }
    }
}
