//! Passing over what no row needs, as strictly as if it were read: what is no JSON must not pass here.

use super::kernel::Kernel;
use super::scan::{Raw, Scan};
use super::unescape;

/// Passes over any value.
///
/// `None` for what is no JSON, and for what is better judged by the second road: many levels, giant numbers, strings to be repaired.
pub(super) fn value<K: Kernel>(mut scan: Scan<'_, K>) -> Option<Scan<'_, K>> {
    // One bit a level, the innermost lowest: whether it is an object.
    let (mut objects, mut depth) = (0_u64, 0_u32);
    loop {
        let opener = scan.peek();
        if matches!(opener, b'{' | b'[') {
            scan.skip(1)?;
            scan.blank();
            depth += 1;
            if depth > DEPTH_MAX {
                return None;
            }
            objects = objects << 1 | u64::from(opener == b'{');
            if !scan.next_is(closer(objects)) {
                key_in(objects, &mut scan)?;
                continue;
            }
            objects >>= 1;
            depth -= 1;
        } else {
            scalar(&mut scan)?;
        }
        // A value is done: go on behind it, and close what ends with it.
        while depth > 0 {
            scan.blank();
            if scan.next_is(b',') {
                scan.blank();
                key_in(objects, &mut scan)?;
                break;
            }
            scan.take(closer(objects))?;
            objects >>= 1;
            depth -= 1;
        }
        if depth == 0 {
            return Some(scan);
        }
    }
}

fn closer(objects: u64) -> u8 {
    if objects & 1 == 1 { b'}' } else { b']' }
}

/// Reads the key before the next value, in an object.
fn key_in<K: Kernel>(objects: u64, scan: &mut Scan<'_, K>) -> Option<()> {
    if objects & 1 == 1 {
        string(scan)?;
        scan.blank();
        scan.take(b':')?;
        scan.blank();
    }
    Some(())
}

fn scalar<K: Kernel>(scan: &mut Scan<'_, K>) -> Option<()> {
    match scan.peek() {
        b'"' => string(scan),
        b'n' => scan.null().then_some(()),
        b't' => literal(scan, b"true"),
        b'f' => literal(scan, b"false"),
        _ => number(scan),
    }
}

/// Passes over a string.
#[inline(always)]
pub(super) fn string<K: Kernel>(scan: &mut Scan<'_, K>) -> Option<()> {
    match scan.string()? {
        Raw::Plain(_) => Some(()),
        Raw::Escaped(text) => unescape::check(text),
    }
}

fn literal<const N: usize, K: Kernel>(scan: &mut Scan<'_, K>, word: &[u8; N]) -> Option<()> {
    if scan.window() == word { scan.skip(N) } else { None }
}

fn number<K: Kernel>(scan: &mut Scan<'_, K>) -> Option<()> {
    let text = scan.number_text()?;
    // Short and without an exponent it is within a double's range.
    let is_small = text.len() <= 200 && !text.bytes().any(|byte| byte | 0x20 == b'e');
    (is_small || text.parse().is_ok_and(f64::is_finite)).then_some(())
}

/// Levels that are passed over; more are judged by the second road.
const DEPTH_MAX: u32 = 32;
