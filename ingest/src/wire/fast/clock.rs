//! Times as the cloud writes them: `2026-09-21T14:13:20Z`, mostly of the day that the one before was of.
#![allow(unsafe_code)]

use super::kernel::Kernel;
use super::scan::{Raw, Scan};
use crate::wire::time;

/// The day read last, and the text that told it: `2026-09-21T`.
pub(super) struct Day {
    pattern: u128,
    seconds: i64,
}

impl Default for Day {
    /// No day: this pattern has bytes that no date has.
    fn default() -> Self {
        Self { pattern: u128::MAX, seconds: 0 }
    }
}

impl<K: Kernel> Scan<'_, K> {
    /// Reads a time: seconds since 1970. `None` also for a text that is no time.
    #[inline(always)]
    pub(super) fn time(&mut self, day: &mut Day) -> Option<i64> {
        let window: &[u8; 32] = self.window();
        let date = u128::from_le_bytes(*chunk(window, 1)) & DATE;
        if window[0] == b'"'
            && date == day.pattern
            && let Some(seconds) = time_of_day(u64::from_le_bytes(*chunk(window, 12)))
            && window[20..22] == *b"Z\""
        {
            // SAFETY: the 22 bytes are text: a quote, the date of a text that was read before, digits with colons, and two more.
            unsafe { self.pass(22) };
            return Some(day.seconds + seconds);
        }
        let (seconds, behind) = other_time(*self, day)?;
        *self = behind;
        Some(seconds)
    }
}

/// Seconds since midnight of `HH:MM:SS`; `None` for anything else, a leap second included.
#[inline(always)]
fn time_of_day(text: u64) -> Option<i64> {
    // Digits become their values and colons zeros.
    let values = text ^ u64::from_le_bytes(*b"00:00:00");
    let too_large = (((values & !HIGH) + u64::from_le_bytes([0x76, 0x76, 0x7f, 0x76, 0x76, 0x7f, 0x76, 0x76])) | values) & HIGH;
    let pairs = values.wrapping_mul(10).wrapping_add(values >> 8).to_le_bytes();
    let (hour, minute, second) = (i64::from(pairs[0]), i64::from(pairs[3]), i64::from(pairs[6]));
    (too_large == 0 && hour < 24 && minute < 60 && second < 60).then_some(hour * 3_600 + minute * 60 + second)
}

/// A time of another day or spelling. A plain one's day is remembered.
#[cold]
fn other_time<'b, K: Kernel>(mut scan: Scan<'b, K>, day: &mut Day) -> Option<(i64, Scan<'b, K>)> {
    let Raw::Plain(text) = scan.string()? else { return None };
    let seconds = time::seconds(text)?;
    if let Some(date) = text.as_bytes().first_chunk::<16>().filter(|_| text.len() == 20 && text.ends_with('Z')) {
        *day = Day { pattern: u128::from_le_bytes(*date) & DATE, seconds: seconds.div_euclid(86_400) * 86_400 };
    }
    Some((seconds, scan))
}

/// Some bytes of a window.
#[inline(always)]
fn chunk<const N: usize>(window: &[u8; 32], at: usize) -> &[u8; N] {
    window[at..].first_chunk().unwrap_or(&[0; N])
}

/// The eleven bytes of a date and the `T` behind it.
const DATE: u128 = u128::MAX >> (128 - 8 * 11);
const HIGH: u64 = 0x8080_8080_8080_8080;
