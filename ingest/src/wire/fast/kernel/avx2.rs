//! 16 and 32 bytes at a time, on x86-64 with AVX2.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Kernel, Work};

/// The kernel of processors with AVX2. Whoever holds one has looked: [`Avx2::detect`] is the only maker.
#[derive(Clone, Copy)]
pub(in crate::wire::fast) struct Avx2(());

impl Avx2 {
    /// The kernel, when the processor has what it takes.
    #[inline]
    pub(super) fn detect() -> Option<Self> {
        let has_all =
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("bmi2") && is_x86_feature_detected!("lzcnt");
        has_all.then_some(Self(()))
    }
}

impl Kernel for Avx2 {
    #[inline(always)]
    fn apart<W: Work<Self>>(self, work: W) -> W::Output {
        #[inline(never)]
        #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
        fn apart<W: Work<Avx2>>(kernel: Avx2, work: W) -> W::Output {
            work.run(kernel)
        }
        // SAFETY: `self` proves these features.
        unsafe { apart(self, work) }
    }

    #[inline(always)]
    fn is(self, window: &[u8; 16], pattern: &[u8; 16], mask: &[u8; 16]) -> bool {
        // SAFETY: `self` proves AVX2, and with it SSE 4.1.
        unsafe { is(window, pattern, mask) }
    }

    #[inline(always)]
    fn plain(self, window: &[u8; 32]) -> usize {
        // SAFETY: `self` proves AVX2.
        unsafe { plain(window) }
    }

    #[inline(always)]
    fn digits(self, window: &[u8; 16]) -> (usize, u64) {
        // SAFETY: `self` proves AVX2, and with it SSE 4.1 and SSSE3.
        unsafe { digits(window) }
    }

    #[inline(always)]
    fn mac(self, window: &[u8; 32]) -> Option<u64> {
        // SAFETY: `self` proves AVX2, and with it SSSE3.
        unsafe { mac(window) }
    }

    #[inline(always)]
    fn reading(self, window: &[u8; 48]) -> Option<(u64, i8)> {
        // SAFETY: `self` proves AVX2.
        unsafe { reading(window) }
    }
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn is(window: &[u8; 16], pattern: &[u8; 16], mask: &[u8; 16]) -> bool {
    _mm_testz_si128(_mm_xor_si128(load16(window), load16(pattern)), load16(mask)) == 1
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn plain(window: &[u8; 32]) -> usize {
    let text = load32(window);
    let quote = _mm256_cmpeq_epi8(text, _mm256_set1_epi8(b'"'.cast_signed()));
    let backslash = _mm256_cmpeq_epi8(text, _mm256_set1_epi8(b'\\'.cast_signed()));
    // Signed: control characters and everything beyond ASCII are less than a space.
    let strange = _mm256_cmpgt_epi8(_mm256_set1_epi8(b' '.cast_signed()), text);
    let stops = _mm256_movemask_epi8(_mm256_or_si256(_mm256_or_si256(quote, backslash), strange));
    stops.cast_unsigned().trailing_zeros() as usize
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn digits(window: &[u8; 16]) -> (usize, u64) {
    let values = _mm_sub_epi8(load16(window), _mm_set1_epi8(b'0'.cast_signed()));
    let others = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(values, _mm_set1_epi8(10)), values));
    let count = (others.cast_unsigned() | 1 << 16).trailing_zeros() as usize;
    // Right-aligned, zeros in front: the shuffle's order is read from a place that depends on the count.
    let (order, _) = ALIGN[count..].split_first_chunk().unwrap_or((&[0x80; 16], &[]));
    let aligned = _mm_shuffle_epi8(values, load16(order));
    let pairs = _mm_maddubs_epi16(aligned, _mm_set1_epi16(i16::from_le_bytes([10, 1])));
    let fours = _mm_madd_epi16(pairs, _mm_set1_epi32(100 | 1 << 16));
    let packed = _mm_packus_epi32(fours, fours);
    let eights = _mm_madd_epi16(packed, _mm_set1_epi32(10_000 | 1 << 16));
    let eights = _mm_cvtsi128_si64(eights).cast_unsigned();
    (count, (eights & 0xffff_ffff) * 100_000_000 + (eights >> 32))
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn mac(window: &[u8; 32]) -> Option<u64> {
    let (first, second) = (eight(window, 0), eight(window, 9));
    let colons = _mm_cmpeq_epi8(_mm_set_epi64x(second, first), _mm_set1_epi8(b':'.cast_signed()));
    let has_colons = _mm_movemask_epi8(colons) == !HEXADECIMAL & 0xffff && window[8] == b':';
    let (is_address, bits) = octets(first, second);
    if has_colons && is_address { Some(bits) } else { None }
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn reading(window: &[u8; 48]) -> Option<(u64, i8)> {
    let (head, tail) = window.split_first_chunk::<32>()?;
    let others = _mm256_xor_si256(load32(head), load32(READING));
    if _mm256_testz_si256(others, load32(&READING_MASK)) == 0 {
        return None;
    }
    let tail = u64::from_le_bytes(*tail.first_chunk()?) ^ u64::from_le_bytes(*b"si\":-00}");
    let (tens, ones) = ((tail >> 40) as u8, (tail >> 48) as u8);
    let (is_address, bits) = octets(eight(head, 10), eight(head, 19));
    let is_reading = tail & 0xff00_00ff_ffff_ffff == 0 && tens.wrapping_sub(1) < 9 && ones < 10 && is_address;
    // No closure: it would be a function without the kernel's instructions.
    if is_reading { Some((bits, -((tens * 10 + ones).cast_signed()))) } else { None }
}

/// What `aa:bb:cc` and `dd:ee:ff` say, wherever their colons stand, and whether the rest is hexadecimal.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn octets(first: i64, second: i64) -> (bool, u64) {
    let text = _mm_set_epi64x(second, first);
    let digits = _mm_sub_epi8(text, _mm_set1_epi8(b'0'.cast_signed()));
    let is_digit = _mm_cmpeq_epi8(_mm_min_epu8(digits, _mm_set1_epi8(9)), digits);
    // Setting this bit makes small letters of capital ones, and of nothing else that would count.
    let letters = _mm_sub_epi8(_mm_or_si128(text, _mm_set1_epi8(0x20)), _mm_set1_epi8(b'a'.cast_signed()));
    let is_letter = _mm_cmpeq_epi8(_mm_min_epu8(letters, _mm_set1_epi8(5)), letters);
    let hexadecimal = _mm_movemask_epi8(_mm_or_si128(is_digit, is_letter));
    let letters = _mm_and_si128(is_letter, _mm_add_epi8(letters, _mm_set1_epi8(10)));
    let nibbles = _mm_or_si128(_mm_and_si128(is_digit, digits), letters);
    let joined = _mm_shuffle_epi8(nibbles, _mm_setr_epi8(0, 1, 3, 4, 6, 7, 8, 9, 11, 12, 14, 15, -1, -1, -1, -1));
    let bytes = _mm_maddubs_epi16(joined, _mm_set1_epi16(i16::from_le_bytes([16, 1])));
    let packed = _mm_cvtsi128_si64(_mm_packus_epi16(bytes, bytes)).cast_unsigned();
    (hexadecimal & HEXADECIMAL == HEXADECIMAL, packed.swap_bytes() >> 16)
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn load32(window: &[u8; 32]) -> __m256i {
    // SAFETY: a reference to 32 bytes may be read for 32 bytes, and this load needs no alignment.
    unsafe { _mm256_loadu_si256(window.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn load16(window: &[u8; 16]) -> __m128i {
    // SAFETY: a reference to 16 bytes may be read for 16 bytes, and this load needs no alignment.
    unsafe { _mm_loadu_si128(window.as_ptr().cast()) }
}

/// Where in two times eight characters of an address digits stand.
const HEXADECIMAL: i32 = 0xdbdb;
/// The beginning of a reading, with the address's colons.
const READING: &[u8; 32] = b"{\"apMac\":\"\0\0:\0\0:\0\0:\0\0:\0\0:\0\0\",\"rs";
/// What of it is always so.
static READING_MASK: [u8; 32] = {
    let mut mask = [0; 32];
    let mut at = 0;
    while at < 32 {
        mask[at] = if READING[at] == 0 { 0 } else { 0xff };
        at += 1;
    }
    mask
};

/// The eight bytes at a place of the window.
#[inline(always)]
fn eight(window: &[u8; 32], at: usize) -> i64 {
    window[at..].first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes))
}

/// Orders for shuffles: from the place `n` on, 16 entries put `n` bytes behind and zeros before them.
static ALIGN: [u8; 32] =
    [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
