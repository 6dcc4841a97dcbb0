//! Times as the API writes them: RFC 3339, cut to whole seconds.

/// Seconds since 1970 of an RFC 3339 time, the fraction cut towards the past. `None` when it is none.
///
/// A leap second counts as the second before it, so that it stays in its minute.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T' | b't' | b' ', h1, h2, b':', n1, n2, b':', s1, s2, rest @ ..] = text.as_bytes() else {
        return None;
    };
    let year = pair(*y1, *y2)? * 100 + pair(*y3, *y4)?;
    let (month, day) = (pair(*m1, *m2)?, pair(*d1, *d2)?);
    let (hour, minute, second) = (pair(*h1, *h2)?, pair(*n1, *n2)?, pair(*s1, *s2)?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let local = days(year, month, day)? * 86_400 + hour * 3_600 + minute * 60 + second.min(59);
    Some(local - offset(without_fraction(rest)?)?)
}

/// Days since 1970 of a date of the Gregorian calendar between the years 0 and 9999.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    const BEFORE_MONTH: [i64; 13] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];
    const BEFORE_1970: i64 = 719_528;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let index = usize::try_from(month).ok()?.checked_sub(1)?;
    let (before, after) = (*BEFORE_MONTH.get(index)?, *BEFORE_MONTH.get(index + 1)?);
    if day < 1 || day > after - before + i64::from(is_leap && month == 2) {
        return None;
    }
    let before_year = 365 * year + (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
    Some(before_year + before + i64::from(is_leap && month > 2) + day - 1 - BEFORE_1970)
}

fn without_fraction(rest: &[u8]) -> Option<&[u8]> {
    let [b'.', fraction @ ..] = rest else { return Some(rest) };
    match fraction.iter().position(|byte| !byte.is_ascii_digit()) {
        Some(digits) if digits > 0 => fraction.get(digits..),
        _ => None,
    }
}

/// Seconds that the zone is ahead of UTC.
fn offset(zone: &[u8]) -> Option<i64> {
    match zone {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (pair(*h1, *h2)?, pair(*m1, *m2)?);
            let ahead = hours * 3_600 + minutes * 60;
            (hours < 24 && minutes < 60).then_some(if *sign == b'+' { ahead } else { -ahead })
        }
        _ => None,
    }
}

fn pair(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}
