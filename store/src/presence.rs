//! The rows of presence that one transaction writes: what changed since the last one.
//!
//! Counts, occupancy and flow are sums over clients, so their rows are differences that the store adds to what it has. Sessions and stays are
//! replaced. Nothing here knows what the numbers mean: the engine that makes them does.

use std::sync::Arc;
use std::time::Duration;

#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub mod rebuild;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) mod tend;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) mod told;

use crate::client::ClientId;
use crate::mac::Mac;

/// What one transaction changes of presence.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// The scopes that the rows below name by index.
    pub scopes: Vec<Scope>,
    /// The names of zones that [`Place::Zone`] names by index.
    pub zones: Vec<Arc<str>>,
    /// All members of the zones of the scopes that are told anew; of others none.
    pub members: Vec<MemberRow>,
    /// The scopes whose members are told.
    pub members_of: Vec<u32>,
    /// Sessions that are new or different.
    pub sessions: Vec<SessionRow>,
    /// Sessions that are no more.
    pub gone: Vec<SessionKey>,
    /// Stays that are new or different.
    pub stays: Vec<StayRow>,
    /// Stays that are no more: of one visit, from a number on.
    pub stays_gone: Vec<StaysGone>,
    /// Differences of counts.
    pub counts: Vec<CountRow>,
    /// Differences of occupancy.
    pub occupancy: Vec<OccupancyRow>,
    /// Differences of flow.
    pub flow: Vec<FlowRow>,
    /// Differences of the minutes in which a site's networks posted.
    pub covered: Vec<CoveredRow>,
    /// What is known of clients.
    pub records: Vec<RecordRow>,
    /// The packed bodies of the records, one after the other.
    pub bodies: Vec<u8>,
    /// From which second on observations are not in the rows yet; none when all are.
    pub unpublished_since: Option<i64>,
}

impl Changes {
    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.scopes.len()
            + self.members.len()
            + self.members_of.len()
            + self.sessions.len()
            + self.gone.len()
            + self.stays.len()
            + self.stays_gone.len()
            + self.counts.len()
            + self.occupancy.len()
            + self.flow.len()
            + self.covered.len()
            + self.records.len()
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a body, for a record's row.
    pub fn pack(&mut self, pack: impl FnOnce(&mut Vec<u8>)) -> (usize, usize) {
        let start = self.bodies.len();
        pack(&mut self.bodies);
        (start, self.bodies.len() - start)
    }

    /// The body of a record's row.
    #[must_use]
    pub fn body(&self, row: &RecordRow) -> &[u8] {
        &self.bodies[row.body.0..row.body.0 + row.body.1]
    }

    /// The main profile, when one of its scopes is told by this process for the first time: another may have been it before.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn told_first(&self) -> Option<&str> {
        self.members_of.iter().map(|&scope| &self.scopes[scope as usize]).find(|scope| scope.is_main).map(|scope| &*scope.profile)
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.scopes.clear();
        self.zones.clear();
        self.members.clear();
        self.members_of.clear();
        self.sessions.clear();
        self.gone.clear();
        self.stays.clear();
        self.stays_gone.clear();
        self.counts.clear();
        self.occupancy.clear();
        self.flow.clear();
        self.covered.clear();
        self.records.clear();
        self.bodies.clear();
        self.unpublished_since = None;
    }
}

/// One profile at one site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scope {
    /// The profile with its version.
    pub profile: Arc<str>,
    /// The site's name.
    pub site: Arc<str>,
    /// Whether the views show it: not while it is being recomputed.
    pub is_shown: bool,
    /// Whether the profile is the first live one, which the view `now` shows.
    pub is_main: bool,
    /// Everything before it is told, up to what may come late; seconds since 1970.
    pub watermark: i64,
    /// The latest minute in which something arrived, seconds since 1970.
    pub covered_minute: i64,
    /// The longest silence within a session, in seconds: a session is closed when the watermark is past its end by more.
    pub gap_s: i64,
    /// How late an observation may come, in seconds.
    pub allowed_lateness_s: i64,
    /// The longest visit, in seconds.
    pub max_visit_s: i64,
    /// How old the end of a session may be for the view `now`, in seconds.
    pub present_s: i64,
    /// How many days back a client is looked for to tell whether it returns.
    pub loyalty_days: i64,
    /// For how many days a client keeps its pseudonym; none when for good.
    pub lasts_days: Option<i64>,
    /// What the rows were made by: profile, time zone, zones. Others must not be added to them.
    pub definition: String,
}

/// An access point that belongs to a zone for a time, as it is stored. The end of time is [`i64::MAX`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredMember {
    /// The site's name.
    pub site: String,
    /// The zone's name.
    pub zone: String,
    /// Which.
    pub ap: Mac,
    /// From this second on.
    pub since: i64,
    /// Up to, not including, this second.
    pub until: i64,
}

/// An access point that belongs to a zone for a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemberRow {
    /// Index into [`Changes::scopes`].
    pub scope: u32,
    /// Index into [`Changes::zones`].
    pub zone: u32,
    /// Which.
    pub ap: Mac,
    /// From then on, seconds since 1970.
    pub since: i64,
    /// Up to, not including, then.
    pub until: i64,
}

/// Where presence is counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    /// The whole site.
    Site,
    /// An access point.
    Ap(Mac),
    /// A zone, by its index in [`Changes::zones`].
    Zone(u32),
    /// Within a visit, but silent for too long to be anywhere.
    Unlocated,
    /// Before the first place of a visit and after its last.
    Outside,
}

impl Place {
    /// The number of the kind in the store.
    #[must_use]
    pub const fn kind(self) -> i16 {
        match self {
            Self::Site => 0,
            Self::Ap(_) => 1,
            Self::Zone(_) => 2,
            Self::Unlocated => 3,
            Self::Outside => 4,
        }
    }
}

/// What a session is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Long enough, and observed in enough minutes.
    Visit,
    /// Neither visit nor fixture.
    Bounce,
    /// Too long, or of a device that is always there.
    Fixture,
}

/// How long a client can be known again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Identity {
    /// A maker's address.
    Global,
    /// A random address that was associated in the session: the same for the same network.
    LocalAssociated,
    /// A random address that was not.
    LocalUnassociated,
}

impl Identity {
    /// The name in SQL.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::LocalAssociated => "local_assoc",
            Self::LocalUnassociated => "local_unassoc",
        }
    }
}

/// Which ends of a session the change of pseudonym keys cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cut {
    /// It may have begun under the key before.
    pub start: bool,
    /// It may go on under the next key.
    pub end: bool,
}

/// Which session: a client has one at most that starts in a given second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionKey {
    /// Index into [`Changes::scopes`].
    pub scope: u32,
    /// Seconds since 1970.
    pub started_at: i64,
    /// Whose.
    pub client: ClientId,
}

/// A visit or a bounce. Fixtures have no row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionRow {
    /// Which.
    pub key: SessionKey,
    /// Of the view `visits`.
    pub visit_id: [u8; 16],
    /// Seconds since 1970.
    pub ended_at: i64,
    /// In how many minutes it was observed.
    pub minutes: u32,
    /// Visit or bounce.
    pub class: Class,
    /// Whether it counts.
    pub identity: Identity,
    /// Since when it is connected, seconds since 1970.
    pub connected_at: Option<i64>,
    /// Whether the client visited on an earlier day; none where that cannot be known.
    pub is_returning: Option<bool>,
    /// What the change of keys cut.
    pub cut: Cut,
    /// Where it ended.
    pub last_place: Place,
    /// Since when it was there, seconds since 1970.
    pub last_since: i64,
}

/// A stay of a visit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StayRow {
    /// Of which visit.
    pub visit: SessionKey,
    /// Its number among the visit's stays at access points, or among those in zones.
    pub number: u32,
    /// Where: an access point, unlocated, or a zone.
    pub place: Place,
    /// Seconds since 1970.
    pub started_at: i64,
    /// Seconds since 1970.
    pub ended_at: i64,
    /// Whether its length stands in averages: not when a change of keys cut it, nor when its client is not counted.
    pub is_measured: bool,
}

/// Stays of a visit that are no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StaysGone {
    /// Of which visit.
    pub visit: SessionKey,
    /// Of its stays in zones instead of at access points.
    pub in_zones: bool,
    /// The first number that is no more.
    pub from: u32,
}

/// The length of a window.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    /// An hour from the start of the local day.
    Hour,
    /// A local day.
    Day,
}

/// What changes of the counts of one place in one window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CountRow {
    /// Index into [`Changes::scopes`].
    pub scope: u32,
    /// Where.
    pub place: Place,
    /// Hour or day.
    pub level: Level,
    /// When the window begins, seconds since 1970.
    pub start: i64,
    /// The local day it belongs to, days since 1970.
    pub day: i32,
    /// What is counted begins here, seconds since 1970: the window's beginning, or when the site opens.
    pub from: i64,
    /// And ends here.
    pub to: i64,
    /// The differences, in the order of [`COUNTS`].
    pub counts: [i64; COUNTS.len()],
}

/// The columns of [`CountRow::counts`].
pub const COUNTS: [&str; 17] = [
    "seen",
    "seen_global",
    "entered",
    "visitors",
    "visitors_global",
    "connected",
    "visits",
    "exits",
    "bounces",
    "dwell_total",
    "measured",
    "measured_s",
    "known",
    "returning_visits",
    "new_visitors",
    "returning_visitors",
    "unknown_visitors",
];

/// What changes of the occupancy of one place at one minute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OccupancyRow {
    /// Index into [`Changes::scopes`].
    pub scope: u32,
    /// Where.
    pub place: Place,
    /// Seconds since 1970, a whole minute.
    pub minute: i64,
    /// More or fewer devices.
    pub devices: i64,
    /// More or fewer of them connected.
    pub connected: i64,
}

/// What changes of the flow from one place to another in one hour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowRow {
    /// Index into [`Changes::scopes`].
    pub scope: u32,
    /// Where from.
    pub from: Place,
    /// Where to.
    pub to: Place,
    /// When the hour begins, seconds since 1970.
    pub hour: i64,
    /// More or fewer transitions.
    pub transitions: i64,
}

/// More minutes of a window in which something arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CoveredRow {
    /// Index into [`Changes::scopes`].
    pub scope: u32,
    /// Hour or day.
    pub level: Level,
    /// When the window begins, seconds since 1970.
    pub start: i64,
    /// How many.
    pub minutes: i64,
}

/// What the engine knows of one client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordRow {
    /// Index into [`Changes::scopes`].
    pub scope: u32,
    /// Whose.
    pub client: ClientId,
    /// When it was observed last, seconds since 1970.
    pub last_at: i64,
    /// Where its body begins in [`Changes::bodies`], and how long it is; of no length to delete the row.
    pub body: (usize, usize),
}

/// Which record the engine asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordKey {
    /// The profile with its version.
    pub profile: Arc<str>,
    /// The site's name.
    pub site: Arc<str>,
    /// Whose.
    pub client: ClientId,
}

/// What the store has of presence, for an engine that begins.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// All scopes.
    pub scopes: Vec<Scope>,
    /// Who belongs to which zones, and when.
    pub members: Vec<StoredMember>,
    /// As it was committed last.
    pub unpublished_since: Option<i64>,
}

/// For how long the tables of presence keep rows, from the time that each row is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keep {
    /// Visits, bounces and stays.
    pub visits: Duration,
    /// Occupancy.
    pub occupancy: Duration,
    /// Counts of hours and days, flow and coverage.
    pub counts: Duration,
    /// What presence is worked out from, since clients were observed last; 30 days at least.
    pub records: Duration,
    /// The facts about clients, since they were told of last.
    pub clients: Duration,
}
