//! Escapes in strings: rare, and so read in the plainest way.

/// Writes out what an escaped string tells. `None` for a broken escape, and for one that the second road repairs.
pub(super) fn write(mut escaped: &str, text: &mut String) -> Option<()> {
    text.clear();
    while let Some(at) = escaped.find('\\') {
        text.push_str(&escaped[..at]);
        let (character, length) = escape(&escaped.as_bytes()[at..])?;
        text.push(character);
        escaped = &escaped[at + length..];
    }
    text.push_str(escaped);
    Some(())
}

/// Whether [`write()`] could write this string.
pub(super) fn check(mut escaped: &str) -> Option<()> {
    while let Some(at) = escaped.find('\\') {
        let (_, length) = escape(&escaped.as_bytes()[at..])?;
        escaped = &escaped[at + length..];
    }
    Some(())
}

/// The character that the escape in front stands for, and the length of the escape.
fn escape(text: &[u8]) -> Option<(char, usize)> {
    let character = match text.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(text),
        _ => return None,
    };
    Some((character, 2))
}

/// One `\uXXXX`, or two that make a pair. A zero and a half pair are left to be repaired.
fn unicode(text: &[u8]) -> Option<(char, usize)> {
    match unit(text)? {
        0 => None,
        high @ 0xd800..=0xdbff => match unit(text.get(6..)?)? {
            low @ 0xdc00..=0xdfff => Some((char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))?, 12)),
            _ => None,
        },
        unit => Some((char::from_u32(unit)?, 6)),
    }
}

fn unit(text: &[u8]) -> Option<u32> {
    let [b'\\', b'u', digits @ ..] = text else { return None };
    digits.first_chunk::<4>()?.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}
