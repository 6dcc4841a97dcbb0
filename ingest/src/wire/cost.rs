//! What parsing a body takes in memory, told before it is parsed.

use simd_json::{INPUT_PADDING, Node};

/// The memory that parsing `body` writes to at most: a copy, the index of its structure and the tape.
///
/// It is told from counts of a few characters, at a small part of parsing's cost, and it is close for what the API sends (five to
/// seven times the body). A body that is no JSON at all may pass it by three quarters for the moment until it is refused. The rows
/// themselves are not in it: they come with the right secret only, and [`store::batch::Batch::memory_bytes`] tells them.
#[must_use]
pub fn cost_bytes(body: &[u8]) -> usize {
    let counts = Counts::of(body);
    let is_form = body.first().is_some_and(u8::is_ascii_alphabetic);
    // In a form everything may be encoded, so each percent sign may be a comma.
    let percents = if is_form { memchr::memchr_iter(b'%', body).count() } else { 0 };
    // A document has one value more than commas in each container that is not empty, and a key for some of the values.
    let values = counts.commas + counts.openers + percents + 1;
    let keys = values.min(counts.quotes / 2 + percents);
    let tables = (values + keys) * (size_of::<Node<'_>>() + 2 * size_of::<u32>());
    let copy = repaired_bytes_max(body, &counts) + INPUT_PADDING;
    let decoded = if is_form { body.len() } else { 0 };
    let unescaped = if counts.backslashes + percents > 0 { body.len() } else { 0 };
    FIXED_BYTES + copy + decoded + unescaped + tables.max(body.len() * size_of::<u32>())
}

/// How long the copy becomes when the cold road repairs it: an unreadable byte becomes three, a bare NaN grows by one.
fn repaired_bytes_max(body: &[u8], counts: &Counts) -> usize {
    if counts.bits & 0x80 != 0 && std::str::from_utf8(body).is_err() {
        body.len() * 3
    } else if memchr::memmem::find(body, b"NaN").is_some() {
        body.len() + body.len() / 3
    } else {
        body.len()
    }
}

#[derive(Default)]
struct Counts {
    quotes: usize,
    commas: usize,
    openers: usize,
    backslashes: usize,
    bits: u8,
}

impl Counts {
    fn of(body: &[u8]) -> Self {
        let mut sum = Self::default();
        // Blocks of less than 256 bytes, so that counters of one byte do, which the compiler turns into vectors.
        for block in body.chunks(240) {
            let (mut quotes, mut commas, mut openers, mut backslashes, mut bits) = (0_u8, 0_u8, 0_u8, 0_u8, 0_u8);
            for &byte in block {
                quotes += u8::from(byte == b'"');
                commas += u8::from(byte == b',');
                openers += u8::from(byte | 0x20 == b'{');
                backslashes += u8::from(byte == b'\\');
                bits |= byte;
            }
            sum.quotes += usize::from(quotes);
            sum.commas += usize::from(commas);
            sum.openers += usize::from(openers);
            sum.backslashes += usize::from(backslashes);
            sum.bits |= bits;
        }
        sum
    }
}

/// What even the smallest body takes.
const FIXED_BYTES: usize = 8 * 1024;
