//! The scanner: a place in a padded body, and the steps that read from there on.
//!
//! Every step either reads what it names and moves behind it, or answers `None`, and then the fast road is left for good. The body ends
//! in zeros, which nothing here takes for part of a document, so no step needs to ask whether there is more.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::num::NonZeroU8;

use super::kernel::Kernel;
use crate::wire::PADDING;

/// A place in a body.
///
/// `at` is never behind `end`, and [`PADDING`] zeros stand from `end` on: so every window from `at` can be read. What moves `at` has
/// found only bytes other than zero on its way, which the padding has none of.
#[derive(Clone, Copy)]
pub(super) struct Scan<'b, K> {
    at: *const u8,
    end: *const u8,
    pub(super) kernel: K,
    body: PhantomData<&'b [u8]>,
}

impl<'b, K: Kernel> Scan<'b, K> {
    /// The beginning of a body that ends in [`PADDING`] zeros; `None` when it does not.
    pub(super) fn new(padded: &'b [u8], kernel: K) -> Option<Self> {
        let (body, padding) = padded.split_last_chunk::<PADDING>()?;
        (*padding == [0; PADDING]).then_some(Self { at: body.as_ptr(), end: body.as_ptr_range().end, kernel, body: PhantomData })
    }

    /// Everything from here to the end of the body.
    pub(super) fn rest(&self) -> &'b [u8] {
        // SAFETY: both lie in the body, `at` not behind `end`, and the body is borrowed for as long.
        unsafe { std::slice::from_raw_parts(self.at, self.end.addr() - self.at.addr()) }
    }

    /// From here to a later place in the same body.
    fn text_to(&self, later: &Self) -> &'b [u8] {
        self.rest().get(..later.at.addr() - self.at.addr()).unwrap_or_default()
    }

    /// Whether nothing is left.
    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.end
    }

    /// The next bytes.
    #[inline(always)]
    pub(super) fn window<const N: usize>(&self) -> &'b [u8; N] {
        const { assert!(N <= PADDING) }
        // SAFETY: at least [`PADDING`] bytes stand from `at` on, and bytes may be read from any place.
        unsafe { &*self.at.cast() }
    }

    /// The next byte.
    #[inline(always)]
    pub(super) fn peek(&self) -> u8 {
        self.window::<1>()[0]
    }

    /// Moves behind the next `bytes`.
    ///
    /// # Safety
    /// None of them is zero.
    #[inline(always)]
    pub(super) unsafe fn pass(&mut self, bytes: usize) {
        debug_assert!(self.rest().get(..bytes).is_some_and(|passed| !passed.contains(&0)));
        // SAFETY: bytes other than zero are no padding, so this does not lead behind `end`.
        self.at = unsafe { self.at.add(bytes) };
    }

    /// Moves behind the next `bytes`, whatever they are, unless the body ends before.
    pub(super) fn skip(&mut self, bytes: usize) -> Option<()> {
        let rest = self.rest().get(bytes..)?;
        self.at = rest.as_ptr();
        Some(())
    }

    /// Reads one byte.
    #[inline(always)]
    pub(super) fn take(&mut self, byte: u8) -> Option<()> {
        self.next_is(byte).then_some(())
    }

    /// Reads one byte if it is this one.
    #[inline(always)]
    pub(super) fn next_is(&mut self, byte: u8) -> bool {
        NonZeroU8::new(byte).is_some_and(|byte| self.next_is_some(byte))
    }

    /// As [`Scan::next_is`], for a byte that is known only when it is looked for.
    #[inline(always)]
    pub(super) fn next_is_some(&mut self, byte: NonZeroU8) -> bool {
        let is = self.peek() == byte.get();
        if is {
            // SAFETY: the byte is not zero.
            unsafe { self.pass(1) };
        }
        is
    }

    /// Reads white space, which mostly there is none of.
    #[inline(always)]
    pub(super) fn blank(&mut self) {
        if self.peek() <= b' ' {
            *self = behind_blanks(*self);
        }
    }

    /// Reads `null` if it is next.
    #[inline(always)]
    pub(super) fn null(&mut self) -> bool {
        let is = self.window() == b"null";
        if is {
            // SAFETY: four letters.
            unsafe { self.pass(4) };
        }
        is
    }

    /// Reads a string without escapes: its characters.
    #[inline(always)]
    pub(super) fn plain(&mut self) -> Option<&'b str> {
        match self.string()? {
            Raw::Plain(text) => Some(text),
            Raw::Escaped(_) => None,
        }
    }

    /// Reads a string without escapes, or null.
    #[inline(always)]
    pub(super) fn plain_or_null(&mut self) -> Option<Option<&'b str>> {
        if self.peek() == b'"' { self.plain().map(Some) } else { self.null().then_some(None) }
    }

    /// Reads a string.
    #[inline(always)]
    pub(super) fn string(&mut self) -> Option<Raw<'b>> {
        self.take(b'"')?;
        let length = self.kernel.plain(self.window());
        if length < 32 && self.window::<32>()[length] == b'"' {
            // SAFETY: plain text has no zeros in it and is ASCII, which is UTF-8; it lies in the body, which is borrowed for as long.
            let text = unsafe { std::str::from_utf8_unchecked(std::slice::from_raw_parts(self.at, length)) };
            // SAFETY: as before, and a quote.
            unsafe { self.pass(length + 1) };
            return Some(Raw::Plain(text));
        }
        let (raw, behind) = long_string(*self)?;
        *self = behind;
        Some(raw)
    }
}

/// The elements of an array being read.
pub(super) struct Elements {
    /// What must stand before the next element.
    before: NonZeroU8,
}

impl Elements {
    /// Of the array that comes next in the scan.
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self { before: OPENER }
    }

    /// Reads on to the next element, which the caller reads: whether there is one.
    #[inline(always)]
    pub(super) fn next<K: Kernel>(&mut self, scan: &mut Scan<'_, K>) -> Option<bool> {
        scan.blank();
        if !scan.next_is_some(self.before) {
            return (self.before == COMMA && scan.next_is(b']')).then_some(false);
        }
        scan.blank();
        if self.before == OPENER {
            self.before = COMMA;
            return Some(!scan.next_is(b']'));
        }
        Some(true)
    }
}

/// A string as it stands in the body.
#[derive(Clone, Copy)]
pub(super) enum Raw<'b> {
    /// The characters themselves.
    Plain(&'b str),
    /// With escapes in it, of which nothing is known.
    Escaped(&'b str),
}

#[cold]
fn behind_blanks<K: Kernel>(mut scan: Scan<'_, K>) -> Scan<'_, K> {
    while matches!(scan.peek(), b' ' | b'\t' | b'\n' | b'\r') {
        // SAFETY: none of these is zero.
        unsafe { scan.pass(1) };
    }
    scan
}

/// A string that is long, not ASCII, or has escapes, from behind its first quote; and what stands behind its last one.
#[cold]
fn long_string<'b, K: Kernel>(start: Scan<'b, K>) -> Option<(Raw<'b>, Scan<'b, K>)> {
    let (mut scan, mut escapes) = (start, false);
    loop {
        let plain = scan.kernel.plain(scan.window());
        scan.skip(plain)?;
        match scan.peek() {
            b'"' => break,
            b'\\' => {
                escapes = true;
                // The byte behind it may be a quote.
                scan.skip(2)?;
            }
            0x80.. => scan.skip(1)?,
            // Plain text that goes on behind the window, or a control character.
            _ if plain == 32 => {}
            _ => return None,
        }
    }
    let text = std::str::from_utf8(start.text_to(&scan)).ok()?;
    scan.skip(1)?;
    Some((if escapes { Raw::Escaped(text) } else { Raw::Plain(text) }, scan))
}

/// A byte that is not zero.
pub(super) const fn some(byte: u8) -> NonZeroU8 {
    match NonZeroU8::new(byte) {
        Some(byte) => byte,
        None => NonZeroU8::MIN,
    }
}

/// What stands between elements and between members.
pub(super) const COMMA: NonZeroU8 = some(b',');
const OPENER: NonZeroU8 = some(b'[');
