//! What the dialects share: the batch being filled, and the rules by which a value becomes part of a row.

use store::batch::{Batch, Client, Discard, Location, Radio};
use store::mac::Mac;
use store::texts::Text;

use super::tape::{Value, Whole};
use super::time;

/// Memory that filling a batch needs and the batch does not keep.
#[derive(Default)]
pub(super) struct Work {
    mended: String,
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

    /// A string that is kept: none when it is empty, null or of another type.
    pub(super) fn text(&mut self, value: Value<'_>) -> Text {
        value.string().map_or(Text::NONE, |text| self.intern(text))
    }

    /// As [`Rows::text`], for a part of a string.
    pub(super) fn intern(&mut self, text: &str) -> Text {
        if text.is_empty() {
            return Text::NONE;
        }
        let kept = without_nul(text, &mut self.work.mended, &mut self.batch.repaired);
        self.batch.texts.intern(kept)
    }

    /// Tags as a JSON array without empty ones; none when the value is no array.
    pub(super) fn tags(&mut self, value: Value<'_>) -> Text {
        let Some(elements) = value.elements() else { return Text::NONE };
        let Work { tags, mended, .. } = &mut *self.work;
        tags.clear();
        tags.push(b'[');
        for tag in elements.filter_map(Value::string).filter(|tag| !tag.is_empty()) {
            if tags.len() > 1 {
                tags.push(b',');
            }
            // Writing a string into memory cannot fail.
            let _written = serde_json::to_writer(&mut *tags, without_nul(tag, mended, &mut self.batch.repaired));
        }
        tags.push(b']');
        std::str::from_utf8(tags).map_or(Text::NONE, |text| self.batch.texts.intern(text))
    }

    /// A time of a row, in seconds since 1970.
    pub(super) fn time(&self, seconds: Option<i64>) -> Result<i64, Discard> {
        match seconds {
            Some(seconds) if seconds > 0 && seconds.saturating_mul(1_000) <= self.latest_ms => Ok(seconds),
            Some(seconds) if seconds > 0 => Err(Discard::Future),
            _ => Err(Discard::Time),
        }
    }

    /// A time of a row that stands as text.
    pub(super) fn time_text(&self, value: Value<'_>) -> Result<i64, Discard> {
        self.time(value.string().and_then(time::seconds))
    }

    /// The name that a Bluetooth device gives itself; the cloud writes `unknown` when it has none.
    pub(super) fn device_name(&mut self, value: Value<'_>) -> Text {
        match value.string() {
            Some(name) if name != "unknown" && self.batch.radio == Radio::Ble => self.intern(name),
            _ => Text::NONE,
        }
    }

    /// Adds a client; its number names it in rows.
    pub(super) fn add_client(&mut self, client: Client) -> u32 {
        // A post holds far less than 2^32 entries: its bytes are bounded by `BODY_BYTES_MAX`.
        let number = self.batch.clients.len() as u32;
        self.batch.clients.push(client);
        number
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

/// A device's address.
pub(super) fn mac(value: Value<'_>) -> Result<Mac, Discard> {
    value.string().and_then(Mac::parse).ok_or(Discard::Mac)
}

/// A signal strength that is told in dBm, or above a floor that counts as `floor` dBm.
pub(super) fn dbm(value: Value<'_>, floor: Option<i64>) -> Result<i8, Discard> {
    let Whole::Number(told) = value.whole() else { return Err(Discard::Scale) };
    let dbm = match floor {
        Some(floor) if told >= 0 => told.saturating_add(floor),
        _ => told,
    };
    i8::try_from(dbm).ok().filter(|dbm| (-120..=-1).contains(dbm)).ok_or(Discard::Scale)
}

/// Both coordinates, or neither.
pub(super) fn pair(first: Value<'_>, second: Value<'_>) -> (f64, f64) {
    let (first, second) = (first.number(), second.number());
    if first.is_nan() || second.is_nan() { (f64::NAN, f64::NAN) } else { (first, second) }
}

/// Metres of uncertainty: the cloud's negative ones are zero.
pub(super) fn uncertainty(value: Value<'_>) -> f64 {
    let metres = value.number();
    if metres < 0.0 { 0.0 } else { metres }
}

/// Splits `host/address`. A prefix length behind an IPv6 address belongs to the address.
pub(super) fn host_and_address(text: &str) -> (&str, &str) {
    let Some((head, tail)) = text.rsplit_once('/') else { return ("", text) };
    let is_prefix_length = !tail.is_empty() && tail.bytes().all(|byte| byte.is_ascii_digit()) && head.contains(':');
    if is_prefix_length {
        let address_at = head.rfind('/').map_or(0, |slash| slash + 1);
        (text[..address_at].trim_end_matches('/'), &text[address_at..])
    } else {
        (head, tail)
    }
}

/// How far a sender's clock may be ahead of ours.
const AHEAD_MS_MAX: i64 = 120_000;
