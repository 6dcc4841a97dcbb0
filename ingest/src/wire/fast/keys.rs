//! Learned keys: objects of one type mostly tell the same members in the same order, so that the key that came next last time is
//! compared first, and mostly is it.
#![allow(unsafe_code)]

use std::num::NonZeroU8;

use super::kernel::Kernel;
use super::scan::{COMMA, Raw, Scan, some};
use super::skip;

/// The keys of one type of object, each known by its number.
pub(super) struct Keys {
    /// Those that the fast road reads; the slots behind them match no text.
    known: [Key; SLOTS],
    /// Those that mean something to the second road alone.
    foreign: &'static [&'static str],
}

impl Keys {
    /// Of names of 13 bytes at most, numbered as they stand here.
    pub(super) const fn new<const N: usize>(names: [&'static str; N], foreign: &'static [&'static str]) -> Self {
        const { assert!(N < SLOTS) }
        let mut known = [Key { name: "", pattern: [0xff; 16], mask: [0xff; 16], length: 0 }; SLOTS];
        let mut at = 0;
        while at < N {
            known[at] = Key::new(names[at]);
            at += 1;
        }
        Self { known, foreign }
    }
}

/// A key, ready to be compared in one go: its bytes with quotes and colon. Aligned so that finding it by its number is a shift.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Key {
    name: &'static str,
    pattern: [u8; 16],
    mask: [u8; 16],
    length: usize,
}

impl Key {
    const fn new(name: &'static str) -> Self {
        let (text, length) = (name.as_bytes(), name.len() + 3);
        assert!(length <= 16);
        let (mut pattern, mut mask) = ([0; 16], [0; 16]);
        let mut at = 0;
        while at < length {
            mask[at] = 0xff;
            pattern[at] = match at {
                0 => b'"',
                _ if at == length - 1 => b':',
                _ if at == length - 2 => b'"',
                _ => text[at - 1],
            };
            assert!(pattern[at] != 0);
            at += 1;
        }
        Self { name, pattern, mask, length }
    }
}

/// For each key the one that followed it last time; in the last slot the one that came first.
pub(super) struct Order([u8; SLOTS]);

impl Default for Order {
    /// The order in which the keys are listed.
    fn default() -> Self {
        let mut next = std::array::from_fn(|at| at as u8 + 1);
        next[FIRST] = 0;
        Self(next)
    }
}

/// The members of an object being read.
pub(super) struct Members<'o> {
    keys: &'static Keys,
    order: &'o mut Order,
    seen: u32,
    last: usize,
    /// What must stand before the next key.
    before: NonZeroU8,
}

impl<'o> Members<'o> {
    /// Of the object that comes next in the scan.
    #[inline(always)]
    pub(super) fn new(keys: &'static Keys, order: &'o mut Order) -> Self {
        Self { keys, order, seen: 0, last: FIRST, before: OPENER }
    }

    /// Whether a key was there.
    #[inline(always)]
    pub(super) fn has(&self, key: usize) -> bool {
        self.seen >> key & 1 == 1
    }

    /// Reads on to the next member's value, which the caller reads: the key, or `None` behind the object. Values of keys that mean
    /// nothing are passed over.
    ///
    /// The outer `None` also when a known key stands twice, or a foreign one is there.
    #[inline(always)]
    pub(super) fn next<K: Kernel>(&mut self, scan: &mut Scan<'_, K>) -> Option<Option<usize>> {
        loop {
            scan.blank();
            if !scan.next_is_some(self.before) {
                return (self.before == COMMA && scan.next_is(b'}')).then_some(None);
            }
            let mut key = usize::from(self.order.0[self.last]) % SLOTS;
            if !scan.key(&self.keys.known[key]) {
                // Everything by value, so that the members themselves stay in registers.
                let (found, behind) = other(self.keys, key, self.before == OPENER, *scan)?;
                (*scan, self.before) = (behind, COMMA);
                match found {
                    Found::Known(found) => key = found,
                    Found::Nothing => continue,
                    Found::End => return Some(None),
                }
                self.order.0[self.last] = key as u8;
            }
            let bit = 1 << key;
            if self.seen & bit != 0 {
                return None;
            }
            (self.seen, self.last, self.before) = (self.seen | bit, key, COMMA);
            scan.blank();
            return Some(Some(key));
        }
    }
}

/// What stands there instead of the expected key: perhaps that one behind white space, perhaps nothing at all.
#[inline(never)]
fn other<'b, K: Kernel>(keys: &'static Keys, expected: usize, is_first: bool, mut scan: Scan<'b, K>) -> Option<(Found, Scan<'b, K>)> {
    scan.blank();
    if is_first && scan.next_is(b'}') {
        return Some((Found::End, scan));
    }
    if scan.key(&keys.known[expected]) {
        return Some((Found::Known(expected), scan));
    }
    // An escape may spell any name.
    let Raw::Plain(name) = scan.string()? else { return None };
    scan.blank();
    scan.take(b':')?;
    if let Some(found) = keys.known.iter().position(|key| key.name == name && key.length > 0) {
        return Some((Found::Known(found), scan));
    }
    if keys.foreign.contains(&name) {
        return None;
    }
    scan.blank();
    Some((Found::Nothing, skip::value(scan)?))
}

enum Found {
    /// A known key; the scan is behind its colon.
    Known(usize),
    /// A key that means nothing to anybody; the scan is behind its value.
    Nothing,
    /// The end of an empty object.
    End,
}

impl<K: Kernel> Scan<'_, K> {
    /// Reads this key if it is next.
    #[inline(always)]
    fn key(&mut self, key: &Key) -> bool {
        let is_next = self.kernel.is(self.window(), &key.pattern, &key.mask);
        if is_next {
            // SAFETY: a key's pattern is text, `Key::new` sees to it, and one that is not a key has no length.
            unsafe { self.pass(key.length) };
        }
        is_next
    }
}

const OPENER: NonZeroU8 = some(b'{');
/// More than any type of object has keys. A power of two, so that a remainder is a mask.
const SLOTS: usize = 16;
/// The slot of an [`Order`] that no key has.
const FIRST: usize = SLOTS - 1;
