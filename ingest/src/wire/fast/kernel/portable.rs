//! Eight bytes at a time in ordinary registers: every processor, no `unsafe`.

use super::{Kernel, Work};

/// The kernel of processors that offer nothing better.
#[derive(Clone, Copy)]
pub(in crate::wire::fast) struct Portable;

impl Kernel for Portable {
    #[inline(always)]
    fn apart<W: Work<Self>>(self, work: W) -> W::Output {
        #[inline(never)]
        fn apart<W: Work<Portable>>(work: W) -> W::Output {
            work.run(Portable)
        }
        apart(work)
    }

    #[inline(always)]
    fn is(self, window: &[u8; 16], pattern: &[u8; 16], mask: &[u8; 16]) -> bool {
        (u128::from_le_bytes(*window) ^ u128::from_le_bytes(*pattern)) & u128::from_le_bytes(*mask) == 0
    }

    #[inline(always)]
    fn plain(self, window: &[u8; 32]) -> usize {
        let (words, _) = window.as_chunks::<8>();
        for (at, word) in words.iter().enumerate() {
            let word = u64::from_le_bytes(*word);
            // Each of these sets the high bit of the first byte in question, and maybe of some behind it: the first is what counts.
            let quote = zero(word ^ (EACH * u64::from(b'"')));
            let backslash = zero(word ^ (EACH * u64::from(b'\\')));
            let control = word.wrapping_sub(EACH * 0x20) & !word;
            let stops = (quote | backslash | control | word) & HIGH;
            if stops != 0 {
                return at * 8 + first(stops);
            }
        }
        window.len()
    }

    #[inline(always)]
    fn digits(self, window: &[u8; 16]) -> (usize, u64) {
        let (words, _) = window.as_chunks::<8>();
        let (first, head) = digits(words[0]);
        if first < 8 {
            return (first, head);
        }
        let (second, tail) = digits(words[1]);
        (8 + second, head * POWERS[second] + tail)
    }

    #[inline(always)]
    fn mac(self, window: &[u8; 32]) -> Option<u64> {
        let (mut bits, mut wrong) = (0_u64, 0_u8);
        for pair in 0..6 {
            let (high, low) = (HEX[usize::from(window[3 * pair])], HEX[usize::from(window[3 * pair + 1])]);
            wrong |= high | low;
            bits = bits << 8 | u64::from(high) << 4 | u64::from(low);
        }
        let colons = [2, 5, 8, 11, 14].iter().all(|&at| window[at] == b':');
        (wrong & NO_DIGIT == 0 && colons).then_some(bits)
    }

    #[inline(always)]
    fn reading(self, window: &[u8; 48]) -> Option<(u64, i8)> {
        let (head, rest) = window.split_first_chunk::<10>()?;
        let address = self.mac(rest.first_chunk()?)?;
        let (tail, _) = rest[17..].split_first_chunk::<13>()?;
        let [tens, ones] = [tail[10], tail[11]].map(|digit| digit.wrapping_sub(b'0'));
        let is_reading = head == b"{\"apMac\":\"" && tail[..10] == *b"\",\"rssi\":-" && (1..=9).contains(&tens) && ones <= 9 && tail[12] == b'}';
        is_reading.then(|| (address, -((tens * 10 + ones).cast_signed())))
    }
}

/// The digits in front of a word, and their number.
#[inline(always)]
fn digits(word: [u8; 8]) -> (usize, u64) {
    let values = u64::from_le_bytes(word) ^ (EACH * u64::from(b'0'));
    // Exact for each byte: nothing is carried out of seven bits and 0x76.
    let others = (((values & !HIGH) + EACH * 0x76) | values) & HIGH;
    let count = if others == 0 { 8 } else { first(others) };
    if count == 0 {
        return (0, 0);
    }
    // Zeros in front, the digits behind.
    let aligned = values << (64 - 8 * count);
    let pairs = (aligned * 10).wrapping_add(aligned >> 8);
    let high = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(100 + (1_000_000 << 32));
    let low = (pairs >> 16 & 0x0000_00ff_0000_00ff).wrapping_mul(1 + (10_000 << 32));
    (count, high.wrapping_add(low) >> 32)
}

#[inline(always)]
const fn zero(word: u64) -> u64 {
    word.wrapping_sub(EACH) & !word
}

/// The place of the first byte whose high bit is set.
#[inline(always)]
const fn first(bits: u64) -> usize {
    (bits.trailing_zeros() / 8) as usize
}

const EACH: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;
const POWERS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
/// Marks what is no hexadecimal digit in [`HEX`].
const NO_DIGIT: u8 = 0x80;

/// The value of each hexadecimal digit.
static HEX: [u8; 256] = {
    let mut table = [NO_DIGIT; 256];
    let mut value = 0_u8;
    while value < 16 {
        if value < 10 {
            table[(b'0' + value) as usize] = value;
        } else {
            table[(b'a' + value - 10) as usize] = value;
            table[(b'A' + value - 10) as usize] = value;
        }
        value += 1;
    }
    table
};
