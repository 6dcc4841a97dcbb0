//! A site as presence sees it: its calendar, its zones, and how long an identity lasts there.

use std::sync::Arc;

use jiff::tz::TimeZone;
use store::mac::Mac;

use super::calendar::{Calendar, OpeningHours};
use super::epoch::Epochs;

/// A site.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its name: as configured, or `RECEIVER/NETWORK`, or `RECEIVER`.
    pub name: Arc<str>,
    /// Its local days.
    pub calendar: Calendar,
    /// Its zones.
    pub zones: Vec<Zone>,
    /// How long a client can be known again.
    pub lasting: Lasting,
}

impl Site {
    /// A site without zones, whose identities last.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, zone: TimeZone, opening: Option<OpeningHours>) -> Self {
        Self { name: name.into(), calendar: Calendar::new(zone, opening), zones: Vec::new(), lasting: Lasting::default() }
    }
}

/// A set of access points. Zones may overlap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Zone {
    /// The number of its name among the names of all zones.
    pub number: u32,
    /// Who belongs to it, and when.
    pub members: Vec<Member>,
}

/// An access point that belongs to a zone for a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    /// Which.
    pub ap: Mac,
    /// From this second on.
    pub since: i64,
    /// Up to, not including, this second.
    pub until: i64,
}

impl Member {
    /// One that always belongs.
    #[must_use]
    pub const fn always(ap: Mac) -> Self {
        Self { ap, since: i64::MIN, until: i64::MAX }
    }
}

impl Zone {
    /// Whether an access point belongs to the zone at a second.
    #[must_use]
    pub fn has(&self, ap: Mac, at: i64) -> bool {
        self.members.iter().any(|member| member.ap == ap && member.since <= at && at < member.until)
    }
}

/// How long an identity lasts, and when it ends.
#[derive(Clone, Debug)]
pub struct Lasting {
    /// For how many days a client keeps its identity.
    pub days: i64,
    /// When the first key was made under which clients are known, seconds since 1970. What was before cannot be known.
    pub born_at: i64,
    /// The epochs of keys; none where one key lasts.
    pub epochs: Option<Epochs>,
}

impl Lasting {
    /// For how many days a client keeps its identity; none when for good.
    #[must_use]
    pub fn lasts_days(&self) -> Option<i64> {
        Some(self.days).filter(|&days| days < i64::MAX)
    }
}

impl Default for Lasting {
    fn default() -> Self {
        Self { days: i64::MAX, born_at: i64::MIN, epochs: None }
    }
}
