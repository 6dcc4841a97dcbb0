//! The rows of one transaction, gathered from many batches.
//!
//! A group has dictionaries of its own ([`Group::texts`], [`Group::sources`]); a store translates them to its ids once per distinct
//! value. Facts of one access point or client that several batches told are merged here, so each has one row.

use std::ops::Range;

use crate::batch::Radio;
use crate::client::ClientId;
use crate::mac::Mac;
use crate::presence::Changes;
use crate::texts::{Text, Texts};

mod fold;
mod index;
mod known;

pub use fold::{Fold, Gathered, Keep, Tally};

/// The rows that one transaction writes.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The strings that the rows name.
    pub texts: Texts,
    /// Where observations and locations come from, each distinct one once.
    pub sources: Vec<Source>,
    /// New observations.
    pub observations: Vec<ObservationRow>,
    /// New locations.
    pub locations: Vec<LocationRow>,
    /// One row per (receiver, access point).
    pub access_points: Vec<AccessPointRow>,
    /// One row per (receiver, client, radio).
    pub clients: Vec<ClientRow>,
    /// One row per (source, minute of arrival).
    pub posts: Vec<PostRow>,
    /// What all of it changes of presence.
    pub presence: Changes,
}

impl Group {
    /// How many rows of all kinds but those of presence, which stand or fall together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.observations.len() + self.locations.len() + self.access_points.len() + self.clients.len() + self.posts.len()
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.texts.clear();
        self.sources.clear();
        self.observations.clear();
        self.locations.clear();
        self.access_points.clear();
        self.clients.clear();
        self.posts.clear();
        self.presence.clear();
    }

    /// All rows.
    #[must_use]
    pub fn whole(&self) -> Part {
        self.part(0..self.len())
    }

    /// The rows with these numbers, when all rows are numbered through: observations, locations, access points, clients, posts.
    #[must_use]
    pub fn part(&self, rows: Range<usize>) -> Part {
        let mut before = 0;
        let mut cut = |len: usize| {
            let start = rows.start.clamp(before, before + len) - before;
            let end = rows.end.clamp(before, before + len) - before;
            before += len;
            start..end
        };
        Part {
            observations: cut(self.observations.len()),
            locations: cut(self.locations.len()),
            access_points: cut(self.access_points.len()),
            clients: cut(self.clients.len()),
            posts: cut(self.posts.len()),
        }
    }

    /// One row in words, by its number as in [`Group::part`], for the quarantine: clients stand in it as the store knows them.
    #[must_use]
    pub fn describe(&self, row: usize) -> String {
        let part = self.part(row..row + 1);
        let text = |text: Text| self.texts.get(text).unwrap_or("(null)");
        if let Some(row) = self.observations[part.observations].first() {
            return format!(
                "observation of {} at {} received {} rssi {} ssid {:?}: {}",
                row.client,
                row.observed_at,
                row.received_at_ms,
                row.rssi_dbm,
                text(row.ssid),
                self.describe_source(row.source)
            );
        }
        if let Some(row) = self.locations[part.locations].first() {
            let place = [row.x_m, row.y_m, row.lat, row.lng, row.uncertainty_m];
            let floor = (text(row.floor_plan), text(row.floor_plan_name));
            return format!(
                "location of {} at {} received {} {place:?} floor {floor:?}: {}",
                row.client,
                row.observed_at,
                row.received_at_ms,
                self.describe_source(row.source)
            );
        }
        if let Some(row) = self.access_points[part.access_points].first() {
            return format!("access point {} of {:?} named {:?}", row.ap.text(), text(row.receiver), text(row.name.text));
        }
        if let Some(row) = self.clients[part.clients].first() {
            let facts: Vec<_> = CLIENT_FACTS.iter().zip(row.facts).map(|(name, fact)| (name, text(fact.text))).collect();
            return format!("client {} of {:?} seen {} to {} {facts:?}", row.client, text(row.receiver), row.first_seen, row.last_seen);
        }
        self.posts[part.posts].first().map_or_else(String::new, |row| format!("posts of minute {}: {}", row.minute, self.describe_source(row.source)))
    }

    fn describe_source(&self, source: u32) -> String {
        let source = &self.sources[source as usize];
        let ap = source.ap.map_or_else(String::new, |ap| ap.text().to_string());
        format!("receiver {:?} network {:?} ap {ap} radio {}", self.texts.get(source.receiver), self.texts.get(source.network), source.radio.name())
    }

    /// Takes one row out, by its number as in [`Group::part`], and says whether it was an observation.
    ///
    /// The order of the rows of its kind changes only behind it. A number past the end does nothing.
    pub fn remove(&mut self, row: usize) -> bool {
        let part = self.part(row..row + 1);
        let was_observation = !part.observations.is_empty();
        self.observations.drain(part.observations);
        self.locations.drain(part.locations);
        self.access_points.drain(part.access_points);
        self.clients.drain(part.clients);
        self.posts.drain(part.posts);
        was_observation
    }
}

/// Where a row comes from: the dictionary that keeps rows narrow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Source {
    /// The receiver's name.
    pub receiver: Text,
    /// The network's id; none in v2.
    pub network: Text,
    /// Of an observation: who heard. Of a post: the access point that posted, none in v3. Of a location: none.
    pub ap: Option<Mac>,
    /// What kind of radio heard.
    pub radio: Radio,
}

/// A row of the view `observations`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ObservationRow {
    /// Whole seconds since 1970.
    pub observed_at: i64,
    /// Milliseconds since 1970.
    pub received_at_ms: i64,
    /// Who was heard.
    pub client: ClientId,
    /// Index into [`Group::sources`].
    pub source: u32,
    /// The network name the client was connected to; none when it was not.
    pub ssid: Text,
    /// -120 to -1 dBm.
    pub rssi_dbm: i8,
    /// What presence must know of the client's address; not a column of the row, since the client's row tells it.
    pub address: Address,
}

/// A kind of device address, as far as presence minds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Address {
    /// A maker's.
    #[default]
    Global,
    /// Random: made up by the device.
    Local,
    /// Of a group, which no single device has.
    Group,
    /// Of a device that is in no count, such as a till's.
    Excluded,
}

/// Devices that are stored and in no count: an operator's own, such as tills and the phones of staff.
pub type Excluded = hashbrown::HashSet<Mac>;

impl From<Mac> for Address {
    fn from(mac: Mac) -> Self {
        match (mac.is_group(), mac.is_local()) {
            (true, _) => Self::Group,
            (false, true) => Self::Local,
            (false, false) => Self::Global,
        }
    }
}

/// A row of the view `locations`. NaN is null.
#[derive(Clone, Copy, Debug)]
pub struct LocationRow {
    /// Whole seconds since 1970.
    pub observed_at: i64,
    /// Milliseconds since 1970.
    pub received_at_ms: i64,
    /// Who was placed.
    pub client: ClientId,
    /// Index into [`Group::sources`], without access point.
    pub source: u32,
    /// The floor plan's id.
    pub floor_plan: Text,
    /// The floor plan's name.
    pub floor_plan_name: Text,
    /// Metres from the plan's lower-left corner.
    pub x_m: f64,
    /// Metres from the plan's lower-left corner.
    pub y_m: f64,
    /// Degrees.
    pub lat: f64,
    /// Degrees.
    pub lng: f64,
    /// Metres.
    pub uncertainty_m: f64,
}

/// A row of the view `access_points`: what one group tells of one access point, merged into what is stored.
///
/// A none or NaN was not told and changes nothing. Each fact carries the time it was told at, and the later (or equal) one stands.
#[derive(Clone, Copy, Debug)]
pub struct AccessPointRow {
    /// The receiver's name.
    pub receiver: Text,
    /// The access point.
    pub ap: Mac,
    /// The network's id.
    pub network: Fact,
    /// Its name.
    pub name: Fact,
    /// Its serial number.
    pub serial: Fact,
    /// Its tags, a JSON array.
    pub tags: Fact,
    /// The floor plan's id.
    pub floor_plan: Fact,
    /// Metres on the plan, x and y; NaN when not told.
    pub on_plan: Pair,
    /// Degrees, latitude and longitude; NaN when not told.
    pub on_earth: Pair,
    /// Seconds since 1970.
    pub first_seen: i64,
    /// Seconds since 1970.
    pub last_seen: i64,
}

impl AccessPointRow {
    /// One of which nothing is told but when it was seen.
    fn new(receiver: Text, ap: Mac, first_seen: i64, last_seen: i64) -> Self {
        let none = Fact::default();
        Self {
            receiver,
            ap,
            network: none,
            name: none,
            serial: none,
            tags: none,
            floor_plan: none,
            on_plan: Pair::NONE,
            on_earth: Pair::NONE,
            first_seen,
            last_seen,
        }
    }

    fn see(&mut self, at: i64) {
        self.first_seen = self.first_seen.min(at);
        self.last_seen = self.last_seen.max(at);
    }
}

/// A row of the view `clients`: what one group tells of one client on one radio, merged into what is stored.
#[derive(Clone, Copy, Debug)]
pub struct ClientRow {
    /// The receiver's name.
    pub receiver: Text,
    /// The client.
    pub client: ClientId,
    /// What kind of radio heard it.
    pub radio: Radio,
    /// Whether its address is locally administered; `None` for Bluetooth.
    pub random_address: Option<bool>,
    /// Whether its address is a group address.
    pub group_address: bool,
    /// Whether its address is on the list of those that are in no count.
    pub is_excluded: bool,
    /// What is told of it, in the order of [`CLIENT_FACTS`].
    pub facts: [Fact; CLIENT_FACTS.len()],
    /// Seconds since 1970.
    pub first_seen: i64,
    /// Seconds since 1970.
    pub last_seen: i64,
}

/// The columns of [`ClientRow::facts`]. All but the first two are personal and arrive as none unless `privacy.keep` lists them.
pub const CLIENT_FACTS: [&str; 7] = ["manufacturer", "os", "ipv4", "ipv6", "hostname", "user_id", "device_name"];

/// A string and the time it was true at, seconds since 1970. A none with a time says that what is stored was true then; a none without
/// one changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fact {
    /// What is told.
    pub text: Text,
    /// As of when, seconds since 1970; 0 when nothing is told.
    pub at: i64,
}

impl Fact {
    /// Takes the other one when it tells something and is not older.
    pub fn merge(&mut self, other: Self) {
        if !other.text.is_none() && (self.text.is_none() || other.at >= self.at) {
            *self = other;
        }
    }
}

/// Two numbers that stand or fall together, and the time they were true at. NaN: not told, as in [`Fact`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pair {
    /// x in metres, or latitude.
    pub a: f64,
    /// y in metres, or longitude.
    pub b: f64,
    /// As of when, seconds since 1970; 0 when nothing is told.
    pub at: i64,
}

impl Pair {
    /// Nothing told.
    pub const NONE: Self = Self { a: f64::NAN, b: f64::NAN, at: 0 };

    /// Whether nothing is told.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.a.is_nan() || self.b.is_nan()
    }

    /// Takes the other one when it tells something and is not older.
    pub fn merge(&mut self, other: Self) {
        if !other.is_none() && (self.is_none() || other.at >= self.at) {
            *self = other;
        }
    }
}

/// A row of the view `posts`: added to what is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PostRow {
    /// Index into [`Group::sources`].
    pub source: u32,
    /// The minute of arrival, seconds since 1970.
    pub minute: i64,
    /// How many posts.
    pub posts: u64,
    /// How many observations they told, repeats and discarded ones too.
    pub observations: u64,
}

/// A part of a group's rows, for looking for a poison row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// Of [`Group::observations`].
    pub observations: Range<usize>,
    /// Of [`Group::locations`].
    pub locations: Range<usize>,
    /// Of [`Group::access_points`].
    pub access_points: Range<usize>,
    /// Of [`Group::clients`].
    pub clients: Range<usize>,
    /// Of [`Group::posts`].
    pub posts: Range<usize>,
}

#[cfg(test)]
mod tests;
