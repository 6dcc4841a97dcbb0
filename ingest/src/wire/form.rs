//! Version 1's form bodies: `data=` and percent-encoded JSON. They are authenticated and kept, not understood.

use std::ops::Range;

use super::Rejection;

/// A form body: where its JSON stands.
pub(super) struct Form {
    data: Range<usize>,
}

impl Form {
    /// Tells a form from JSON: it begins with a letter and has a field `data`, which no JSON text does.
    pub(super) fn find(body: &[u8]) -> Result<Option<Self>, Rejection> {
        if !body.first().is_some_and(u8::is_ascii_alphabetic) {
            return Ok(None);
        }
        let mut data = None;
        for (name, value) in fields(body) {
            if &body[name] == b"data" && data.replace(value).is_some() {
                return Err(Rejection::NotJson { reason: "a form with two data fields" });
            }
        }
        Ok(data.map(|data| Self { data }))
    }

    /// Writes the JSON out, without its percent signs.
    pub(super) fn decode(&self, body: &[u8], decoded: &mut Vec<u8>) -> Result<(), Rejection> {
        decoded.clear();
        for (byte, _) in Decoder(&body[self.data.clone()]) {
            decoded.push(byte.ok_or(Rejection::NotJson { reason: "broken percent encoding" })?);
        }
        Ok(())
    }

    /// Blanks what became the bytes of `range` when it was decoded. Spaces decode as themselves, so the rest stays readable.
    pub(super) fn blank(&self, body: &mut [u8], range: Range<usize>) {
        let encoded = &mut body[self.data.clone()];
        let (mut start, mut end) = (0, 0);
        for (at, (_, width)) in Decoder(encoded).enumerate().take(range.end) {
            if at < range.start {
                start += width;
            }
            end += width;
        }
        encoded[start..end].fill(b' ');
    }

    /// Blanks the values of fields that are named `secret` themselves.
    pub(super) fn blank_fields(&self, body: &mut [u8]) {
        let mut at = 0;
        while let Some((name, value)) = next_field(body, at) {
            at = value.end + 1;
            if &body[name] == b"secret" {
                body[value].fill(b' ');
            }
        }
    }
}

/// The fields of a form in order, as places of name and value.
fn fields(body: &[u8]) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let field = next_field(body, at)?;
        at = field.1.end + 1;
        Some(field)
    })
}

fn next_field(body: &[u8], start: usize) -> Option<(Range<usize>, Range<usize>)> {
    let rest = body.get(start..)?;
    let end = start + memchr::memchr(b'&', rest).unwrap_or(rest.len());
    let field = &body[start..end];
    Some(match memchr::memchr(b'=', field) {
        Some(equals) => (start..start + equals, start + equals + 1..end),
        None => (start..end, end..end),
    })
}

/// Decodes byte by byte: the byte, `None` where the encoding is broken, and how many bytes it stood for.
struct Decoder<'a>(&'a [u8]);

impl Iterator for Decoder<'_> {
    type Item = (Option<u8>, usize);

    fn next(&mut self) -> Option<Self::Item> {
        let (item, rest) = match self.0 {
            [] => return None,
            [b'%', high, low, rest @ ..] => ((hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low), 3), rest),
            [b'%', rest @ ..] => ((None, 1), rest),
            [b'+', rest @ ..] => ((Some(b' '), 1), rest),
            [byte, rest @ ..] => ((Some(*byte), 1), rest),
        };
        self.0 = rest;
        Some(item)
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
