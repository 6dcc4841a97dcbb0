//! What the roads and dialects share: the batch being filled, and the rules by which a value becomes part of a row.

use store::batch::{Batch, Client, Discard, Location, Radio};
use store::texts::Text;

/// Memory that filling a batch needs and the batch does not keep.
#[derive(Default)]
pub(super) struct Work {
    /// A string as it is read, where its bytes in the post are not yet it.
    pub(super) mended: String,
    tags: Vec<u8>,
    /// The names of the floors that the posting access point of v2 is on.
    pub(super) floors: Vec<Text>,
}

impl Work {
    /// Bytes of memory held.
    pub(super) fn bytes(&self) -> usize {
        self.mended.capacity() + self.tags.capacity() + self.floors.capacity() * size_of::<Text>()
    }
}

/// The batch being filled.
pub(super) struct Rows<'b> {
    /// The batch itself.
    pub(super) batch: &'b mut Batch,
    /// Scratch memory.
    pub(super) work: &'b mut Work,
    latest_ms: i64,
}

impl<'b> Rows<'b> {
    /// Starts with a batch that is empty but for what it says of the post itself.
    pub(super) fn new(batch: &'b mut Batch, work: &'b mut Work) -> Self {
        let latest_ms = batch.received_at_ms.saturating_add(AHEAD_MS_MAX);
        Self { batch, work, latest_ms }
    }

    /// A string that is kept: none when it is empty.
    pub(super) fn intern(&mut self, text: &str) -> Text {
        if text.is_empty() {
            return Text::NONE;
        }
        let kept = without_nul(text, &mut self.work.mended, &mut self.batch.repaired);
        self.batch.texts.intern(kept)
    }

    /// As [`Rows::intern`], for a string that has no NUL.
    #[inline]
    pub(super) fn intern_plain(&mut self, text: &str) -> Text {
        if text.is_empty() { Text::NONE } else { self.batch.texts.intern(text) }
    }

    /// Tags as a JSON array without empty ones.
    pub(super) fn tags<'t>(&mut self, tags: impl Iterator<Item = &'t str>) -> Text {
        let Work { tags: json, mended, .. } = &mut *self.work;
        json.clear();
        json.push(b'[');
        for tag in tags.filter(|tag| !tag.is_empty()) {
            if json.len() > 1 {
                json.push(b',');
            }
            // Writing a string into memory cannot fail.
            let _written = serde_json::to_writer(&mut *json, without_nul(tag, mended, &mut self.batch.repaired));
        }
        json.push(b']');
        std::str::from_utf8(json).map_or(Text::NONE, |text| self.batch.texts.intern(text))
    }

    /// A time of a row, in seconds since 1970.
    pub(super) fn time(&self, seconds: Option<i64>) -> Result<i64, Discard> {
        match seconds {
            Some(seconds) if seconds > 0 && seconds.saturating_mul(1_000) <= self.latest_ms => Ok(seconds),
            Some(seconds) if seconds > 0 => Err(Discard::Future),
            _ => Err(Discard::Time),
        }
    }

    /// The name that a Bluetooth device gives itself; the cloud writes `unknown` when it has none.
    pub(super) fn device_name(&mut self, name: &str) -> Text {
        if name != "unknown" && self.batch.radio == Radio::Ble { self.intern(name) } else { Text::NONE }
    }

    /// An address, and the host name that may stand before it.
    pub(super) fn host_and_address(&mut self, text: &str) -> (Text, Text) {
        let (host, address) = host_and_address(text);
        (self.intern(host), self.intern(address))
    }

    /// Adds a client; its number names it in rows.
    pub(super) fn add_client(&mut self, client: Client) -> u32 {
        let number = self.next_client();
        self.batch.clients.push(client);
        number
    }

    /// The number that the next client will have.
    pub(super) fn next_client(&self) -> u32 {
        // A post holds far less than 2^32 entries: its bytes are bounded by `BODY_BYTES_MAX`.
        self.batch.clients.len() as u32
    }

    /// Adds a location when it says where: by latitude and longitude, or by a place on a plan.
    pub(super) fn locate(&mut self, location: Location) {
        if !location.lat.is_nan() || !location.x_m.is_nan() {
            self.batch.locations.push(location);
        }
    }
}

/// Databases refuse NUL in a text: it becomes U+FFFD, counted once a string.
fn without_nul<'a>(text: &'a str, mended: &'a mut String, repaired: &mut u32) -> &'a str {
    if memchr::memchr(0, text.as_bytes()).is_none() {
        return text;
    }
    *repaired += 1;
    mended.clear();
    mended.extend(text.chars().map(|character| if character == '\0' { char::REPLACEMENT_CHARACTER } else { character }));
    mended
}

/// A signal strength that is told in dBm, or above a floor that counts as `floor` dBm.
pub(super) fn dbm(told: i64, floor: Option<i64>) -> Result<i8, Discard> {
    let dbm = match floor {
        Some(floor) if told >= 0 => told.saturating_add(floor),
        _ => told,
    };
    i8::try_from(dbm).ok().filter(|dbm| (-120..=-1).contains(dbm)).ok_or(Discard::Scale)
}

/// Both coordinates, or neither.
pub(super) fn both(first: f64, second: f64) -> (f64, f64) {
    if first.is_nan() || second.is_nan() { (f64::NAN, f64::NAN) } else { (first, second) }
}

/// Metres of uncertainty: the cloud's negative ones are zero.
pub(super) fn not_negative(metres: f64) -> f64 {
    if metres < 0.0 { 0.0 } else { metres }
}

/// A coordinate as it stands in rows: finite, or NaN for none. Minus zero is zero: rows that are equal in SQL are equal in bits.
pub(super) fn coordinate(number: f64) -> f64 {
    if number.is_finite() { number + 0.0 } else { f64::NAN }
}

/// Splits `host/address`. A prefix length behind an IPv6 address belongs to the address.
fn host_and_address(text: &str) -> (&str, &str) {
    let Some((head, tail)) = text.rsplit_once('/') else { return ("", text) };
    let is_prefix_length = !tail.is_empty() && tail.bytes().all(|byte| byte.is_ascii_digit()) && head.contains(':');
    if is_prefix_length {
        let address_at = head.rfind('/').map_or(0, |slash| slash + 1);
        (text[..address_at].trim_end_matches('/'), &text[address_at..])
    } else {
        (head, tail)
    }
}

/// A whole number, told as a number or a string, perhaps with a fraction of zero or an exponent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Whole {
    /// The number.
    Number(i64),
    /// Null, empty, missing, or of a type that no number has.
    Absent,
    /// Something else: a broken number, a word, or more than 64 bits.
    Unreadable,
}

/// When v2 saw a client: the epoch stands, and the text when the epoch says nothing.
pub(super) fn seen_seconds(epoch: Whole, text: Option<&str>) -> Option<i64> {
    match epoch {
        Whole::Absent | Whole::Number(0) => text.and_then(super::time::seconds),
        Whole::Number(seconds) => Some(seconds),
        Whole::Unreadable => None,
    }
}

/// How far a sender's clock may be ahead of ours.
const AHEAD_MS_MAX: i64 = 120_000;
/// Wi-Fi strengths of 0 and more are told above this floor in v2.
pub(super) const NOISE_FLOOR_DBM: i64 = -95;
