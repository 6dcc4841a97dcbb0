//! A finished post, and the few ways to write JSON that bodies, truth and ledger need.

use std::fmt::Display;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use store::batch::Radio;
use store::mac::Mac;

use super::Version;

/// One post as Meraki's cloud would send it.
#[derive(Clone)]
pub struct Post {
    /// Which dialect the body speaks.
    pub version: Version,
    /// The network it comes from. A v2 body does not tell it; the simulator knows.
    pub network: Arc<str>,
    /// The access point that posts, in v2.
    pub ap: Option<Mac>,
    /// Which radio heard it.
    pub radio: Radio,
    /// When the cloud would send it, seconds since 1970 on the simulated clock.
    pub sent_at: i64,
    /// How many observations it tells, as the receiver counts them: repeats of earlier posts too, equal ones of one entry once.
    pub observations: u32,
    /// The body.
    pub body: Bytes,
    /// The observations themselves, when [`super::WorldOptions::keep_rows`] asks for them.
    pub rows: Vec<Row>,
}

/// One observation of a post.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// Who heard.
    pub ap: Mac,
    /// Who was heard.
    pub client: Mac,
    /// When, whole seconds since 1970.
    pub observed_at: i64,
    /// How strongly.
    pub rssi_dbm: i8,
    /// The network name that the client was connected to.
    pub ssid: Option<&'static str>,
}

/// Writes JSON by hand: bodies have fixed shapes, and a tree per post would cost more than the server under test.
#[derive(Default)]
pub(super) struct Json {
    pub(super) bytes: Vec<u8>,
}

impl Json {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    /// Text that is JSON already.
    pub(super) fn raw(&mut self, text: &str) -> &mut Self {
        self.bytes.extend_from_slice(text.as_bytes());
        self
    }

    /// A value whose display is JSON already: numbers.
    pub(super) fn value(&mut self, value: impl Display) -> &mut Self {
        // Writing into a vector cannot fail.
        let _ = write!(self.bytes, "{value}");
        self
    }

    /// A value whose display needs no escapes, in quotes.
    pub(super) fn quoted(&mut self, value: impl Display) -> &mut Self {
        let _ = write!(self.bytes, "\"{value}\"");
        self
    }

    /// Any text, in quotes and escaped.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes.push(b'"');
        for character in text.chars() {
            match character {
                '"' => self.raw("\\\""),
                '\\' => self.raw("\\\\"),
                '\u{0}'..='\u{1f}' => self.raw(&format!("\\u{:04x}", u32::from(character))),
                _ => self.raw(character.encode_utf8(&mut [0; 4])),
            };
        }
        self.bytes.push(b'"');
        self
    }

    pub(super) fn optional(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(text),
            None => self.raw("null"),
        }
    }

    pub(super) fn texts<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) -> &mut Self {
        self.raw("[");
        for (index, text) in texts.into_iter().enumerate() {
            if index > 0 {
                self.raw(",");
            }
            self.text(text);
        }
        self.raw("]")
    }

    pub(super) fn mac(&mut self, mac: Mac) -> &mut Self {
        self.quoted(mac.text())
    }

    /// A time in whole seconds, ISO 8601 in UTC.
    pub(super) fn time(&mut self, seconds: i64) -> &mut Self {
        self.quoted(Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH))
    }
}
