//! The tables of presence as plain rows, whoever made them: the definition in SQL or the engine.
//!
//! Clients are numbers, access points their addresses as text, times seconds since 1970. A site is alone in its tables.

/// Everything that presence says of a site.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Tables {
    pub(crate) sessions: Vec<Session>,
    pub(crate) stays: Vec<Stay>,
    pub(crate) occupancy: Vec<Occupancy>,
    pub(crate) counts: Vec<Counts>,
    pub(crate) flow: Vec<Flow>,
    pub(crate) now: Vec<Now>,
}

/// Where something is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    Site,
    Ap(String),
    Zone(String),
    Unlocated,
    Outside,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Visit,
    Bounce,
    Fixture,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Identity {
    Global,
    LocalAssoc,
    LocalUnassoc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cut {
    Start,
    End,
    Both,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Hour,
    Day,
}

/// A visit, bounce or fixture.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Session {
    pub(crate) client: u32,
    pub(crate) started: i64,
    pub(crate) ended: i64,
    pub(crate) minutes: i64,
    pub(crate) class: Class,
    pub(crate) identity: Identity,
    pub(crate) connected_at: Option<i64>,
    /// Null for bounces and fixtures, and where it cannot be known.
    pub(crate) is_returning: Option<bool>,
    pub(crate) cut: Option<Cut>,
}

/// A stay of a session that is no fixture. `seq` counts from 1: the access points' and the unlocated ones together, each zone's alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stay {
    pub(crate) client: u32,
    pub(crate) started: i64,
    pub(crate) seq: i64,
    pub(crate) place: Place,
    pub(crate) a: i64,
    pub(crate) b: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Occupancy {
    pub(crate) place: Place,
    pub(crate) minute: i64,
    pub(crate) devices: i64,
    pub(crate) connected: i64,
}

/// The counts and rates of a place in a window that starts at `a`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Counts {
    pub(crate) place: Place,
    pub(crate) kind: Kind,
    pub(crate) a: i64,
    /// In the order of [`COUNTS`].
    pub(crate) values: [Option<f64>; COUNTS.len()],
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Flow {
    pub(crate) from: Place,
    pub(crate) to: Place,
    pub(crate) hour: i64,
    pub(crate) transitions: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Now {
    pub(crate) t: i64,
    pub(crate) place: Place,
    pub(crate) devices: i64,
    pub(crate) connected: i64,
}

impl Counts {
    /// What a window holds in which nothing was: counts are 0, and there is nothing to make rates of.
    pub(crate) fn nothing(place: Place, kind: Kind, a: i64) -> Self {
        let is_site = place == Place::Site;
        let values = COUNTS.map(|name| match name {
            "entered" | "bounces" => is_site.then_some(0.0),
            "seen" | "visitors" | "passersby" | "connected" | "visits" | "exits" | "dwell_total" => Some(0.0),
            "new_visitors" | "returning_visitors" | "unknown_visitors" => Some(0.0),
            _ => None,
        });
        Self { place, kind, a, values }
    }

    /// # Panics
    /// When there is no such column.
    pub(crate) fn value(&self, name: &str) -> Option<f64> {
        self.values[COUNTS.iter().position(|column| *column == name).unwrap_or_else(|| panic!("no column {name}"))]
    }

    /// A count, 0 where it is null.
    pub(crate) fn count(&self, name: &str) -> f64 {
        self.value(name).unwrap_or(0.0)
    }
}

/// The columns of [`Counts`].
pub(crate) const COUNTS: [&str; 22] = [
    "seen",
    "entered",
    "visitors",
    "passersby",
    "connected",
    "visits",
    "exits",
    "dwell_total",
    "dwell_avg",
    "dwell_p50",
    "dwell_p90",
    "bounces",
    "bounce_rate",
    "capture_rate",
    "entry_ratio",
    "connect_rate",
    "stay_rate",
    "return_rate",
    "capture_rate_global",
    "new_visitors",
    "returning_visitors",
    "unknown_visitors",
];
