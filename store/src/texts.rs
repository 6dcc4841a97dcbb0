//! One arena for the strings of a batch or a group: each distinct string stands once, rows carry a four-byte [`Text`].

use std::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};

/// A string of a [`Texts`] arena, or none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Text(u32);

impl Text {
    /// No string: null.
    pub const NONE: Self = Self(u32::MAX);

    /// Whether there is no string.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == u32::MAX
    }

    /// The place among the arena's strings, or `None`.
    #[must_use]
    pub const fn index(self) -> Option<usize> {
        if self.is_none() { None } else { Some(self.0 as usize) }
    }

    /// The string at `index` of an arena.
    ///
    /// # Panics
    /// When `index` is `u32::MAX` or more, which no arena reaches: its bytes are counted in a `u32` too.
    #[must_use]
    pub fn at(index: usize) -> Self {
        assert!(index < u32::MAX as usize, "text index out of range");
        Self(index as u32)
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::NONE
    }
}

/// The arena. Interning a string that it holds costs a hash and a comparison, and allocates nothing.
#[derive(Clone, Default)]
pub struct Texts {
    bytes: String,
    entries: Vec<Entry>,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

/// Where a string stands among the bytes, and enough of it to know a short one by.
#[derive(Clone, Copy)]
struct Entry {
    edges: Edges,
    start: u32,
    length: u32,
}

/// The two ends of a string: all of it, up to 16 bytes.
type Edges = (u64, u64);

impl Texts {
    /// The string's number; the string is copied in the first time.
    ///
    /// # Panics
    /// When the arena would pass 4 GiB; a post is bounded far below by `limits.body`.
    #[inline]
    pub fn intern(&mut self, text: &str) -> Text {
        let edges = edges(text.as_bytes());
        let hash = hash(&self.hasher, text, edges);
        let Self { bytes, entries, table, .. } = self;
        let found = table.find(hash, |&at| {
            let entry = &entries[at as usize];
            let is_alike = entry.edges == edges && entry.length as usize == text.len();
            is_alike && (text.len() <= SHORT_BYTES || slice(bytes, entry) == text)
        });
        match found {
            Some(&found) => Text(found),
            None => self.add(text, edges, hash),
        }
    }

    fn add(&mut self, text: &str, edges: Edges, text_hash: u64) -> Text {
        let Self { bytes, entries, table, hasher } = self;
        let at = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        let start = bytes.len() as u32;
        assert!(at < u32::MAX && bytes.len() + text.len() < u32::MAX as usize, "text arena is full");
        bytes.push_str(text);
        entries.push(Entry { edges, start, length: text.len() as u32 });
        table.insert_unique(text_hash, at, |&at| {
            let entry = &entries[at as usize];
            hash(hasher, slice(bytes, entry), entry.edges)
        });
        Text(at)
    }

    /// The string, or `None` for [`Text::NONE`].
    #[must_use]
    pub fn get(&self, text: Text) -> Option<&str> {
        (!text.is_none()).then(|| slice(&self.bytes, &self.entries[text.0 as usize]))
    }

    /// All strings in the order of their first appearance: the string at `i` is [`Text::at`]`(i)`.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| slice(&self.bytes, entry))
    }

    /// How many distinct strings there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets all strings and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.table.clear();
    }

    /// Bytes of memory held, roughly.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>() + self.table.capacity() * 5
    }
}

impl std::fmt::Debug for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The strings may be names of people and devices: only their number is shown.
        write!(f, "Texts({})", self.entries.len())
    }
}

fn slice<'a>(bytes: &'a str, entry: &Entry) -> &'a str {
    let start = entry.start as usize;
    &bytes[start..start + entry.length as usize]
}

#[inline]
fn hash(hasher: &DefaultHashBuilder, text: &str, edges: Edges) -> u64 {
    let mut hasher = hasher.build_hasher();
    if text.len() <= SHORT_BYTES {
        hasher.write_u64(edges.0);
        hasher.write_u64(edges.1 ^ (text.len() as u64) << 56);
    } else {
        hasher.write(text.as_bytes());
    }
    hasher.finish()
}

/// Loads that overlap where the string is shorter than both.
#[inline]
fn edges(text: &[u8]) -> Edges {
    if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)))
    } else {
        (text.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)), 0)
    }
}

/// A string of up to so many bytes is known by its edges and its length.
const SHORT_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_string_has_one_number_and_comes_back() {
        let mut texts = Texts::default();
        let (a, b) = (texts.intern("guest"), texts.intern(""));
        assert_eq!(texts.intern("guest"), a);
        assert_ne!(a, b);
        assert_eq!((texts.get(a), texts.get(b), texts.get(Text::NONE)), (Some("guest"), Some(""), None));
        assert_eq!(texts.iter().collect::<Vec<_>>(), ["guest", ""]);
        texts.clear();
        assert!(texts.is_empty());
        assert_eq!(texts.intern("new"), Text::at(0));
    }

    #[test]
    fn strings_that_differ_in_one_byte_or_in_length_are_told_apart() {
        let mut texts = Texts::default();
        let mut all = std::collections::HashMap::new();
        for length in 0..40 {
            for changed in 0..length.max(1) {
                let mut text = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqr"[..length].to_owned();
                if length > 0 {
                    text.replace_range(changed..=changed, "\0");
                }
                let number = texts.intern(&text);
                assert_eq!(*all.entry(text.clone()).or_insert(number), number, "{text:?}");
                assert_eq!(texts.get(number), Some(text.as_str()));
            }
        }
        assert_eq!(texts.len(), all.len());
    }

    #[test]
    fn many_strings_survive_the_growth_of_the_table() {
        let mut texts = Texts::default();
        let all: Vec<_> = (0..5_000).map(|n| texts.intern(&format!("ssid {n}"))).collect();
        for (n, text) in all.iter().enumerate() {
            assert_eq!(texts.get(*text), Some(format!("ssid {n}").as_str()));
            assert_eq!(texts.intern(&format!("ssid {n}")), *text);
        }
    }
}
