//! A post, parsed: what the wire parser makes and the pipeline turns into rows.
//!
//! Rows are small `Copy` structs; strings stand once in [`Batch::texts`]; a client stands once per entry of the post and is named by
//! its index. Nothing here borrows from the post's bytes, so a batch crosses channels alone.

use std::sync::Arc;

use crate::mac::Mac;
use crate::texts::{Text, Texts};

/// A parsed post. Every observation that the post told is in `observations` or counted in `discarded`.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The receiver's configured name.
    pub receiver: Arc<str>,
    /// When the post had arrived, milliseconds since 1970.
    pub received_at_ms: i64,
    /// What kind of radio heard all of it.
    pub radio: Radio,
    /// The network's id; none in v2, which never tells it.
    pub network: Text,
    /// The access point that posted, in v2.
    pub ap: Option<Mac>,
    /// The strings that the rows name.
    pub texts: Texts,
    /// The clients, one per entry of the post.
    pub clients: Vec<Client>,
    /// Who was heard by which access point, when and how strongly.
    pub observations: Vec<Observation>,
    /// Where the cloud placed clients.
    pub locations: Vec<Location>,
    /// What the post says of access points (v2: its own; v3: `reportingAps`).
    pub access_points: Vec<AccessPoint>,
    /// Observations that could not become rows, by reason.
    pub discarded: Discards,
    /// Strings in which something unreadable became U+FFFD.
    pub repaired: u32,
}

impl Batch {
    /// How many observations the post told, discarded ones and repeats included.
    #[must_use]
    pub fn told(&self) -> u64 {
        self.observations.len() as u64 + self.discarded.total()
    }

    /// Bytes of memory held, for the budget of what waits in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.texts.memory_bytes()
            + self.clients.capacity() * size_of::<Client>()
            + self.observations.capacity() * size_of::<Observation>()
            + self.locations.capacity() * size_of::<Location>()
            + self.access_points.capacity() * size_of::<AccessPoint>()
    }

    /// Whether the other batch tells the same of the same post, whatever numbers its strings have; numbers are compared by their bits.
    #[must_use]
    pub fn tells_the_same_as(&self, other: &Self) -> bool {
        let head = |batch: &Self| (batch.received_at_ms, batch.radio, batch.ap, batch.discarded, batch.repaired);
        let texts = |batch: &'_ Self, texts: &[Text]| texts.iter().map(|&text| batch.texts.get(text).map(str::to_owned)).collect::<Vec<_>>();
        let same = |ours: &[Text], theirs: &[Text]| texts(self, ours) == texts(other, theirs);
        self.receiver == other.receiver
            && head(self) == head(other)
            && same(&[self.network], &[other.network])
            && alike(&self.clients, &other.clients, |a, b| (a.mac, a.last_observed_at) == (b.mac, b.last_observed_at) && same(&a.facts(), &b.facts()))
            && alike(&self.observations, &other.observations, |a, b| Observation { ssid: b.ssid, ..*a } == *b && same(&[a.ssid], &[b.ssid]))
            && alike(&self.locations, &other.locations, |a, b| {
                let (ours, theirs) = ([a.floor_plan, a.floor_plan_name], [b.floor_plan, b.floor_plan_name]);
                (a.observed_at, a.client, a.numbers()) == (b.observed_at, b.client, b.numbers()) && same(&ours, &theirs)
            })
            && alike(&self.access_points, &other.access_points, |a, b| {
                let (ours, theirs) = ([a.name, a.serial, a.tags, a.floor_plan], [b.name, b.serial, b.tags, b.floor_plan]);
                (a.mac, a.numbers()) == (b.mac, b.numbers()) && same(&ours, &theirs)
            })
    }

    /// Empties the batch and keeps its memory, for the next post.
    pub fn clear(&mut self) {
        self.received_at_ms = 0;
        self.radio = Radio::default();
        self.network = Text::NONE;
        self.ap = None;
        self.texts.clear();
        self.clients.clear();
        self.observations.clear();
        self.locations.clear();
        self.access_points.clear();
        self.discarded = Discards::default();
        self.repaired = 0;
    }
}

fn alike<T>(ours: &[T], theirs: &[T], is_same: impl Fn(&T, &T) -> bool) -> bool {
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| is_same(a, b))
}

/// What heard the client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, PartialOrd, Ord)]
pub enum Radio {
    /// Wi-Fi.
    #[default]
    Wifi,
    /// Bluetooth Low Energy.
    Ble,
}

impl Radio {
    /// The name in SQL.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wifi => "wifi",
            Self::Ble => "ble",
        }
    }
}

/// A device of the post and what the post says of it. Absent facts are [`Text::NONE`].
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// Its address.
    pub mac: Mac,
    /// The maker, as Meraki names it.
    pub manufacturer: Text,
    /// The operating system, as Meraki names it.
    pub os: Text,
    /// IPv4 address without host name.
    pub ipv4: Text,
    /// IPv6 address without host name.
    pub ipv6: Text,
    /// Host name (v2 sends it before the slash of an address).
    pub hostname: Text,
    /// The user that signed in (v3 `userId`).
    pub user: Text,
    /// The name that a Bluetooth device gives itself.
    pub device_name: Text,
    /// The latest time the post tells for this client, seconds since 1970; 0 when it tells none.
    pub last_observed_at: i64,
}

impl Client {
    /// All that is told of it.
    fn facts(&self) -> [Text; 7] {
        [self.manufacturer, self.os, self.ipv4, self.ipv6, self.hostname, self.user, self.device_name]
    }
}

/// One access point heard one client at one time with one signal strength.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Observation {
    /// Whole seconds since 1970, cut.
    pub observed_at: i64,
    /// Who heard.
    pub ap: Mac,
    /// Index into [`Batch::clients`].
    pub client: u32,
    /// The network name that the client was connected to; none when it was not.
    pub ssid: Text,
    /// -120 to -1 dBm.
    pub rssi_dbm: i8,
}

/// Where the cloud placed a client. Coordinates that are absent are NaN; either both of a pair are present or neither.
#[derive(Clone, Copy, Debug)]
pub struct Location {
    /// Whole seconds since 1970, cut.
    pub observed_at: i64,
    /// Index into [`Batch::clients`].
    pub client: u32,
    /// The floor plan's id.
    pub floor_plan: Text,
    /// The floor plan's name.
    pub floor_plan_name: Text,
    /// Metres to the right of the plan's lower-left corner.
    pub x_m: f64,
    /// Metres above the plan's lower-left corner.
    pub y_m: f64,
    /// Degrees, WGS84.
    pub lat: f64,
    /// Degrees, WGS84.
    pub lng: f64,
    /// Metres, 0 or more.
    pub uncertainty_m: f64,
}

impl Location {
    fn numbers(&self) -> [u64; 5] {
        [self.x_m, self.y_m, self.lat, self.lng, self.uncertainty_m].map(f64::to_bits)
    }
}

/// What a post says of an access point. Absent facts are none or NaN.
#[derive(Clone, Copy, Debug)]
pub struct AccessPoint {
    /// Its address.
    pub mac: Mac,
    /// Its name in the dashboard.
    pub name: Text,
    /// Its serial number.
    pub serial: Text,
    /// Its tags as a JSON array of strings without empty ones; none when the post does not tell.
    pub tags: Text,
    /// The id of the floor plan it is on.
    pub floor_plan: Text,
    /// Metres to the right of the plan's lower-left corner.
    pub x_m: f64,
    /// Metres above the plan's lower-left corner.
    pub y_m: f64,
    /// Degrees, WGS84.
    pub lat: f64,
    /// Degrees, WGS84.
    pub lng: f64,
}

impl AccessPoint {
    fn numbers(&self) -> [u64; 4] {
        [self.x_m, self.y_m, self.lat, self.lng].map(f64::to_bits)
    }
}

/// Why an observation could not become a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Discard {
    /// Observed more than 120 s after it was received.
    Future,
    /// A signal strength outside -120 to -1 dBm, or none.
    Scale,
    /// An address that is not six bytes.
    Mac,
    /// A time that is missing, zero, negative or unreadable.
    Time,
    /// The database refuses this one row; it stands in quarantine.
    Poison,
    /// The key of the epoch in which it was observed is destroyed, so that nobody can name its client.
    Epoch,
    /// Of a device that is on the opt-out list.
    OptedOut,
}

impl Discard {
    /// All reasons.
    pub const ALL: [Self; 7] = [Self::Future, Self::Scale, Self::Mac, Self::Time, Self::Poison, Self::Epoch, Self::OptedOut];

    /// The value of the metric's `reason` label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Future => "future",
            Self::Scale => "scale",
            Self::Mac => "mac",
            Self::Time => "time",
            Self::Poison => "poison",
            Self::Epoch => "epoch",
            Self::OptedOut => "opted_out",
        }
    }
}

/// Counts of discarded observations by reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Discards([u32; Discard::ALL.len()]);

impl Discards {
    /// Counts one.
    pub fn count(&mut self, reason: Discard) {
        self.0[reason as usize] += 1;
    }

    /// Adds the counts of another.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    /// How many for one reason.
    #[must_use]
    pub fn of(&self, reason: Discard) -> u64 {
        u64::from(self.0[reason as usize])
    }

    /// How many in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().copied().map(u64::from).sum()
    }
}
