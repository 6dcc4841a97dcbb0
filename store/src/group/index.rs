//! The numbers of a group's dictionaries, and the hashes by which the repeat filter knows what stands behind them.

use std::hash::Hash;

use hashbrown::HashMap;

use super::Source;
use crate::repeat::RepeatFilter;
use crate::texts::{Text, Texts};

/// Numbers distinct keys in the order of their appearance.
pub(super) struct Index<K>(HashMap<K, u32>);

impl<K: Eq + Hash> Index<K> {
    /// The key's number, and whether it is new.
    pub(super) fn of(&mut self, key: K) -> (u32, bool) {
        let next = self.0.len() as u32;
        let at = *self.0.entry(key).or_insert(next);
        (at, at == next)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl<K> Default for Index<K> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

/// The hash of what the store holds for a source.
pub(super) fn source_hash(filter: &RepeatFilter, texts: &Texts, source: &Source) -> u64 {
    let ap = source.ap.map(|mac| mac.bits().to_be_bytes());
    let text = |text: Text| texts.get(text).map(str::as_bytes);
    filter.hash_parts(&[text(source.receiver), text(source.network), ap.as_ref().map(|bytes| &bytes[..]), Some(source.radio.name().as_bytes())])
}

/// Fingerprints are kept by access point in v2 and by network in v3: what one post tells of lies together.
pub(super) fn bucket(filter: &RepeatFilter, texts: &Texts, source: &Source) -> u64 {
    let whole = Source { ap: if source.network.is_none() { source.ap } else { None }, ..*source };
    // A location's bucket is its source hash; an observation's must not be the same table.
    source_hash(filter, texts, &whole).rotate_left(1)
}

/// Stands for no string in a fingerprint.
pub(super) const NO_TEXT: u64 = 0x5bd1_e995_0000_0001;
