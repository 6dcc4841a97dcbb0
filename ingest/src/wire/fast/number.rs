//! Numbers: whole ones, and decimal fractions to the nearest double, exactly as the standard library reads them.
//!
//! A fraction's digits make a whole number w and a power of ten q, and the double nearest to w * 10^q is found by one multiplication with a
//! 128-bit approximation of 5^q (D. Lemire, "Number Parsing at a Gigabyte per Second", 2021). For the few powers that can come here the
//! product is always decisive. What has an exponent or more digits than fit goes to the standard library.
#![allow(unsafe_code)]

use super::kernel::Kernel;
use super::scan::{Raw, Scan};
use crate::wire::rows::{Whole, coordinate};

impl<K: Kernel> Scan<'_, K> {
    /// Reads a coordinate: a number, the text of one, or something that is none and becomes NaN.
    #[inline(always)]
    pub(super) fn coordinate(&mut self) -> Option<f64> {
        let quoted = self.peek() == b'"';
        let mut scan = *self;
        scan.next_is(b'"');
        if let Some(number) = scan.decimal()
            && (!quoted || scan.next_is(b'"'))
        {
            *self = scan;
            return Some(number + 0.0);
        }
        let (number, behind) = odd_coordinate(*self)?;
        *self = behind;
        Some(number)
    }

    /// Reads a number without exponent whose digits fit, and whose end is in sight.
    #[inline(always)]
    fn decimal(&mut self) -> Option<f64> {
        let negative = self.next_is(b'-');
        let whole = self.leading_digits()?;
        let (mut mantissa, mut places) = (whole, 0);
        if self.next_is(b'.') {
            let (count, fraction) = self.kernel.digits(self.window());
            // SAFETY: digits.
            unsafe { self.pass(count) };
            (mantissa, places) = (whole * POWERS.get(count)? + fraction, count);
            // One more digit at a time, of which there are few.
            while count == 16 && self.peek().is_ascii_digit() {
                mantissa = mantissa.checked_mul(10)?.checked_add(u64::from(self.peek() - b'0'))?;
                places += 1;
                // SAFETY: a digit.
                unsafe { self.pass(1) };
            }
            if count == 0 {
                return None;
            }
        }
        // Whatever else goes on here is found to be wrong by whoever reads on.
        if self.peek() | 0x20 == b'e' {
            return None;
        }
        let number = nearest(mantissa, places)?;
        Some(if negative { -number } else { number })
    }

    /// Reads the digits before a point, three at most; a zero stands alone.
    #[inline(always)]
    fn leading_digits(&mut self) -> Option<u64> {
        let window: &[u8; 4] = self.window();
        let digit = |at: usize| window[at].wrapping_sub(b'0');
        let mut number = u64::from(digit(0));
        if digit(0) > 9 {
            return None;
        }
        let mut count = 1;
        while count < 3 && digit(count) <= 9 {
            number = number * 10 + u64::from(digit(count));
            count += 1;
        }
        if digit(count) <= 9 || (digit(0) == 0 && count > 1) {
            return None;
        }
        // SAFETY: digits.
        unsafe { self.pass(count) };
        Some(number)
    }

    /// Reads a whole number, the text of one, or null.
    #[inline(always)]
    pub(super) fn whole(&mut self) -> Option<Whole> {
        let quoted = self.next_is(b'"');
        let negative = self.next_is(b'-');
        let (count, number) = self.kernel.digits(self.window());
        if count == 0 {
            return (!quoted && !negative && self.null()).then_some(Whole::Absent);
        }
        if count == 16 || (count > 1 && self.peek() == b'0') {
            return None;
        }
        // SAFETY: digits.
        unsafe { self.pass(count) };
        if quoted {
            self.take(b'"')?;
        } else if matches!(self.peek(), b'.' | b'e' | b'E') {
            return None;
        }
        // Fifteen digits at most.
        let number = number.cast_signed();
        Some(Whole::Number(if negative { -number } else { number }))
    }
}

/// A coordinate that is not simply a number: null, a text that may be one, or one that is written in another way.
#[cold]
fn odd_coordinate<K: Kernel>(mut scan: Scan<'_, K>) -> Option<(f64, Scan<'_, K>)> {
    if scan.null() {
        return Some((f64::NAN, scan));
    }
    if scan.peek() == b'"' {
        let Raw::Plain(text) = scan.string()? else { return None };
        return Some((text.parse().map_or(f64::NAN, coordinate), scan));
    }
    let text = scan.number_text()?;
    // What is beyond a double's range is no JSON to the second road.
    let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite())?;
    Some((number + 0.0, scan))
}

impl<'b, K: Kernel> Scan<'b, K> {
    /// Reads a number as JSON spells it: its text.
    pub(super) fn number_text(&mut self) -> Option<&'b str> {
        let text = self.rest().get(..length(self.rest())?)?;
        self.skip(text.len())?;
        std::str::from_utf8(text).ok()
    }
}

/// How long the number in front is, by JSON's grammar.
fn length(text: &[u8]) -> Option<usize> {
    let digits = |at: usize| text.get(at..).map_or(0, |rest| rest.iter().take_while(|byte| byte.is_ascii_digit()).count());
    let mut at = usize::from(text.first() == Some(&b'-'));
    let leading = digits(at);
    if leading == 0 || (leading > 1 && text[at] == b'0') {
        return None;
    }
    at += leading;
    if text.get(at) == Some(&b'.') {
        let places = digits(at + 1);
        if places == 0 {
            return None;
        }
        at += 1 + places;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        at += 1 + usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at);
        if exponent == 0 {
            return None;
        }
        at += exponent;
    }
    Some(at)
}

/// The double nearest to `mantissa` with so many of its digits behind the point, and three before it at most. So none lies exactly between two
/// doubles: that takes 54 bits with four places or fewer.
#[inline(always)]
fn nearest(mantissa: u64, places: usize) -> Option<f64> {
    if places == 0 {
        // A cast rounds to the nearest.
        return Some(mantissa as f64);
    }
    let &(five_high, five_low) = FIFTHS.get(places)?;
    if mantissa == 0 {
        return Some(0.0);
    }
    let shift = mantissa.leading_zeros();
    let normal = mantissa << shift;
    let product = u128::from(normal) * u128::from(five_high);
    let mut high = (product >> 64) as u64;
    if high & SPARE_BITS == SPARE_BITS {
        // The bits below could carry into those that are kept.
        let more = ((u128::from(normal) * u128::from(five_low)) >> 64) as u64;
        high += u64::from((product as u64).overflowing_add(more).1);
    }
    let upper = high >> 63;
    // One bit more than a double keeps, to round by.
    let bits = high >> (upper + 9);
    let rounded = (bits + (bits & 1)) >> 1;
    let exponent = ((-(places as i64) * LOG2_TEN_16) >> 16) + 63 + BIAS + upper.cast_signed() - i64::from(shift);
    // Rounding up to a power of two carries into the exponent by itself.
    Some(f64::from_bits((exponent.cast_unsigned() << 52) + (rounded - HIDDEN_BIT)))
}

/// What of a product's upper word is not kept.
const SPARE_BITS: u64 = 0x1ff;
/// log2(10) in 65536ths.
const LOG2_TEN_16: i64 = 217_706;
const BIAS: i64 = 1023;
const HIDDEN_BIT: u64 = 1 << 52;
const POWERS: [u64; 17] = {
    let mut powers = [1; 17];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// 5^-n as 128 bits of which the first is set, rounded up, in two words.
static FIFTHS: [(u64, u64); 28] = {
    let mut table = [(0, 0); 28];
    let (mut five, mut at) = (1_u64, 1);
    while at < table.len() {
        five *= 5;
        // Long division of the power of two that leaves 128 bits.
        let bits = 64 - (five - 1).leading_zeros() + 127;
        let (mut quotient, mut rest, mut bit) = (0_u128, 1_u64, 0);
        while bit < bits {
            rest *= 2;
            quotient *= 2;
            if rest >= five {
                rest -= five;
                quotient += 1;
            }
            bit += 1;
        }
        quotient += 1;
        table[at] = ((quotient >> 64) as u64, quotient as u64);
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Many, because what is rare here is one in a thousand: a carry into the bits that are kept.
    #[test]
    fn a_number_is_the_nearest_double() {
        let mut state = 1_u64;
        for _ in 0..400_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (whole, places) = (state >> 54 & 0x3ff, 1 + (state >> 32) as usize % 16);
            let fraction = (state >> 3) % POWERS[places];
            let Some(mantissa) = whole.checked_mul(POWERS[places]).and_then(|whole| whole.checked_add(fraction)) else { continue };
            let text = format!("{whole}.{fraction:0places$}");
            assert_eq!(nearest(mantissa, places), text.parse().ok(), "{text}");
        }
        assert_eq!(nearest(0, 5), Some(0.0));
        assert_eq!(nearest(1, 28), None);
    }
}
