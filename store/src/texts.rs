//! One arena for the strings of a batch or a group: each distinct string stands once, rows carry a four-byte [`Text`].

use std::hash::BuildHasher;
use std::ops::Range;

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
    ends: Vec<u32>,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Texts {
    /// The string's number; the string is copied in the first time.
    ///
    /// # Panics
    /// When the arena would pass 4 GiB; a post is bounded far below by `limits.body`.
    pub fn intern(&mut self, text: &str) -> Text {
        let Self { bytes, ends, table, hasher } = self;
        let hash = hasher.hash_one(text);
        if let Some(&found) = table.find(hash, |&at| bytes.as_bytes()[place(ends, at)] == *text.as_bytes()) {
            return Text(found);
        }
        let at = u32::try_from(ends.len()).unwrap_or(u32::MAX);
        let end = u32::try_from(bytes.len() + text.len()).unwrap_or(u32::MAX);
        assert!(at < u32::MAX && end < u32::MAX, "text arena is full");
        bytes.push_str(text);
        ends.push(end);
        table.insert_unique(hash, at, |&at| hasher.hash_one(slice(bytes, ends, at)));
        Text(at)
    }

    /// The string, or `None` for [`Text::NONE`].
    #[must_use]
    pub fn get(&self, text: Text) -> Option<&str> {
        (!text.is_none()).then(|| slice(&self.bytes, &self.ends, text.0))
    }

    /// All strings in the order of their first appearance: the string at `i` is [`Text::at`]`(i)`.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).map(|at| slice(&self.bytes, &self.ends, at as u32))
    }

    /// How many distinct strings there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Forgets all strings and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.table.clear();
    }

    /// Bytes of memory held, roughly.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 4 + self.table.capacity() * 5
    }
}

impl std::fmt::Debug for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The strings may be names of people and devices: only their number is shown.
        write!(f, "Texts({})", self.ends.len())
    }
}

fn slice<'a>(bytes: &'a str, ends: &[u32], at: u32) -> &'a str {
    &bytes[place(ends, at)]
}

/// Where a string stands among the bytes.
#[inline]
fn place(ends: &[u32], at: u32) -> Range<usize> {
    let at = at as usize;
    let start = if at == 0 { 0 } else { ends[at - 1] as usize };
    start..ends[at] as usize
}

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
    fn many_strings_survive_the_growth_of_the_table() {
        let mut texts = Texts::default();
        let all: Vec<_> = (0..5_000).map(|n| texts.intern(&format!("ssid {n}"))).collect();
        for (n, text) in all.iter().enumerate() {
            assert_eq!(texts.get(*text), Some(format!("ssid {n}").as_str()));
            assert_eq!(texts.intern(&format!("ssid {n}")), *text);
        }
    }
}
