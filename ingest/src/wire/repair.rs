//! The cold road: what JSON forbids and the API may send nevertheless, mended in a copy before it is read again.
//!
//! In strings a lone surrogate, a NUL escape and bytes that are no UTF-8 become U+FFFD; a bare `NaN` becomes `null` where a
//! coordinate may stand. Everything else stays, for the reader to refuse.

/// How much was mended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Repairs {
    /// Strings in which something became U+FFFD.
    pub(super) strings: u32,
    /// Bare `NaN`s.
    pub(super) nulls: u32,
}

impl Repairs {
    /// Whether nothing was mended.
    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// Writes the mended body into `copy`.
pub(super) fn repair(body: &[u8], copy: &mut Vec<u8>) -> Repairs {
    copy.clear();
    let mut from = 0;
    let mut scanner = Scanner::new(body);
    while let Some(edit) = scanner.next_edit() {
        copy.extend_from_slice(&body[from..edit.at]);
        copy.extend_from_slice(edit.becomes);
        from = edit.at + edit.removed;
    }
    copy.extend_from_slice(&body[from..]);
    scanner.repairs
}

/// Where the byte at `place` of the mended copy, the first of a string, stood in the body.
pub(super) fn place_before(body: &[u8], place: usize) -> usize {
    let mut scanner = Scanner::new(body);
    let (mut removed, mut added) = (0, 0);
    while let Some(edit) = scanner.next_edit() {
        if edit.at + added >= place + removed {
            break;
        }
        removed += edit.removed;
        added += edit.becomes.len();
    }
    place + removed - added
}

/// Whether something in the raw inside of a string would be mended.
pub(super) fn spoils_string(raw: &[u8]) -> bool {
    let mut scanner = Scanner::new(raw);
    scanner.is_inside = true;
    scanner.next_edit().is_some()
}

/// One replacement.
struct Edit {
    at: usize,
    removed: usize,
    becomes: &'static [u8],
}

/// Finds the replacements in order, in one pass.
struct Scanner<'a> {
    body: &'a [u8],
    at: usize,
    repairs: Repairs,
    is_inside: bool,
    is_counted: bool,
    string_start: usize,
    last_string: std::ops::Range<usize>,
    place: Place,
    is_coordinates: bool,
}

/// What the token before says of a `NaN` that would follow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A string: it is a key when a colon follows.
    AfterString,
    /// A coordinate belongs here.
    Coordinate,
    /// Anything else.
    Other,
}

impl<'a> Scanner<'a> {
    fn new(body: &'a [u8]) -> Self {
        Self {
            body,
            at: 0,
            repairs: Repairs::default(),
            is_inside: false,
            is_counted: false,
            string_start: 0,
            last_string: 0..0,
            place: Place::Other,
            is_coordinates: false,
        }
    }

    fn next_edit(&mut self) -> Option<Edit> {
        while self.at < self.body.len() {
            let edit = if self.is_inside { self.step_inside() } else { self.step_outside() };
            if edit.is_some() {
                return edit;
            }
        }
        None
    }

    /// One byte, escape or character of a string.
    fn step_inside(&mut self) -> Option<Edit> {
        let rest = &self.body[self.at..];
        match rest {
            [b'"', ..] => {
                self.is_inside = false;
                self.last_string = self.string_start..self.at;
                self.place = Place::AfterString;
                self.at += 1;
                None
            }
            [b'\\', b'u', ..] => match code_unit(rest) {
                Some(0xd800..=0xdbff) if matches!(code_unit(&rest[6..]), Some(0xdc00..=0xdfff)) => {
                    self.at += 12;
                    None
                }
                Some(0 | 0xd800..=0xdfff) => Some(self.mend(6, b"\\ufffd")),
                _ => {
                    self.at += 2;
                    None
                }
            },
            [b'\\', ..] => {
                self.at += 2;
                None
            }
            [0x80..=0xff, ..] => {
                let window = &rest[..rest.len().min(4)];
                let chunk = window.utf8_chunks().next()?;
                match chunk.valid().chars().next() {
                    Some(character) => {
                        self.at += character.len_utf8();
                        None
                    }
                    None => Some(self.mend(chunk.invalid().len(), "\u{fffd}".as_bytes())),
                }
            }
            _ => {
                self.at += 1;
                None
            }
        }
    }

    fn mend(&mut self, removed: usize, becomes: &'static [u8]) -> Edit {
        self.repairs.strings += u32::from(!self.is_counted);
        self.is_counted = true;
        let at = self.at;
        self.at += removed;
        Edit { at, removed, becomes }
    }

    /// One byte between strings.
    fn step_outside(&mut self) -> Option<Edit> {
        let at = self.at;
        self.at += 1;
        self.place = match self.body[at] {
            b' ' | b'\t' | b'\n' | b'\r' => self.place,
            b'"' => {
                (self.is_inside, self.is_counted, self.string_start) = (true, false, self.at);
                Place::Other
            }
            b':' if self.place == Place::AfterString && is_coordinate(&self.body[self.last_string.clone()]) => Place::Coordinate,
            b'[' => {
                self.is_coordinates = self.place == Place::Coordinate && !self.is_coordinates;
                if self.is_coordinates { Place::Coordinate } else { Place::Other }
            }
            b',' if self.is_coordinates => Place::Coordinate,
            b']' | b'{' | b'}' => {
                self.is_coordinates = false;
                Place::Other
            }
            b'N' if self.place == Place::Coordinate && self.body[at..].starts_with(b"NaN") => {
                self.repairs.nulls += 1;
                self.place = Place::Other;
                self.at += 2;
                return Some(Edit { at, removed: 3, becomes: b"null" });
            }
            _ => Place::Other,
        };
        None
    }
}

/// The number of a `\uXXXX` escape at the beginning of `text`.
fn code_unit(text: &[u8]) -> Option<u32> {
    let [b'\\', b'u', digits @ ..] = text else { return None };
    digits.get(..4)?.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

/// Whether a raw key, without its quotes, names a coordinate; escapes may spell it too.
fn is_coordinate(raw: &[u8]) -> bool {
    const LONGEST_ESCAPED: usize = 6 * "variance".len();
    match raw {
        b"lat" | b"lng" | b"x" | b"y" | b"unc" | b"variance" => true,
        _ if raw.len() > LONGEST_ESCAPED || !raw.contains(&b'\\') => false,
        _ => {
            let quoted = [b"\"", raw, b"\""].concat();
            serde_json::from_slice::<String>(&quoted).is_ok_and(|key| !key.contains('\\') && is_coordinate(key.as_bytes()))
        }
    }
}
