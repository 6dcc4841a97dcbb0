//! What is written of people's devices, and for how long anybody can tell which device it was.

use analytics::presence::epoch::Epochs;
use analytics::presence::site::Lasting;
use jiff::tz::TimeZone;
use serde::Deserialize;
use store::epoch::Rule;

use super::check::{Wrong, wrong};
use super::presence::time_zone;
use super::{Config, Hidden, Span};
use crate::clock::now_s;

/// What is written of people's devices.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Privacy {
    pub(crate) clients: Clients,
    /// See [`Privacy::mode`] for what stands when it is left out.
    pub(crate) mode: Option<Mode>,
    pub(crate) epoch: Span,
    pub(crate) legal_basis: String,
    pub(crate) purpose: String,
    pub(crate) contact: String,
    /// That of presence when it is left out.
    pub(crate) time_zone: Option<String>,
    pub(crate) keep: Vec<Personal>,
    pub(crate) key: Option<Hidden>,
}

impl Default for Privacy {
    fn default() -> Self {
        Self {
            clients: Clients::Pseudonym,
            mode: None,
            epoch: Span::days(90),
            legal_basis: String::new(),
            purpose: PURPOSE.to_owned(),
            contact: String::new(),
            time_zone: None,
            keep: Vec::new(),
            key: None,
        }
    }
}

/// How clients are named in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Clients {
    /// By a keyed pseudonym.
    #[default]
    Pseudonym,
    /// By their address.
    Plain,
}

/// For how long a client keeps its pseudonym.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// Ten minutes, of which only counts are kept.
    Anonymous,
    /// A day, from four in the morning to four in the morning.
    Day,
    /// `privacy.epoch`.
    Extended,
    /// For good.
    Static,
}

impl Mode {
    /// Its name in the configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Anonymous => ANONYMOUS,
            Self::Day => "day",
            Self::Extended => "extended",
            Self::Static => "static",
        }
    }
}

/// A personal fact that is dropped unless it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Personal {
    Ip,
    Hostname,
    User,
    DeviceName,
}

impl Privacy {
    /// For how long a client keeps its pseudonym. Addresses, and a key that comes from elsewhere, cannot be destroyed.
    pub(crate) fn mode(&self) -> Mode {
        let lasts = self.clients == Clients::Plain || self.key.is_some();
        self.mode.unwrap_or(if lasts { Mode::Static } else { Mode::Day })
    }

    pub(super) fn check(&self) -> Result<(), Wrong> {
        if self.mode() != Mode::Static {
            let (name, key) = (self.mode().name(), "privacy.mode");
            if self.clients == Clients::Plain {
                return wrong(key, &format!("{name:?} with clients = \"plain\": an address cannot be forgotten"), "take \"static\", or leave clients out");
            }
            if self.key.is_some() {
                return wrong(
                    key,
                    &format!("{name:?} with a key that comes from elsewhere, which footfall cannot destroy"),
                    "leave privacy.key out, or take \"static\"",
                );
            }
        }
        if self.mode() == Mode::Extended {
            if self.legal_basis.trim().is_empty() {
                return wrong(
                    "privacy.legal_basis",
                    "is empty: to know people again after a day needs a reason in law, in most countries their consent",
                    "write it here, as in \"consent, art. 6(1)(a) GDPR, given in our app\"; footfall privacy report repeats it",
                );
            }
            let days = self.epoch.0.as_secs() / 86_400;
            if !self.epoch.0.as_secs().is_multiple_of(86_400) || !(7..=3_660).contains(&days) {
                return wrong("privacy.epoch", &format!("{} is out of range", self.epoch), "take whole days, 7d to 3660d");
            }
        }
        Ok(())
    }
}

impl Config {
    /// The time zone in which days of keys begin.
    fn privacy_zone(&self) -> Result<(TimeZone, &str), Wrong> {
        let (name, key) = match &self.privacy.time_zone {
            Some(name) => (name, "privacy.time_zone"),
            None => (&self.presence.time_zone, "presence.time_zone"),
        };
        Ok((time_zone(name, key)?, name))
    }

    /// The epochs of keys, and what their keys are called; none where one lasts.
    fn epochs(&self) -> Result<Option<(Epochs, String)>, Wrong> {
        let (zone, name) = self.privacy_zone()?;
        let name = name.replace('/', ".");
        // Days in another zone are others.
        Ok(match self.privacy.mode() {
            Mode::Static => None,
            Mode::Anonymous => Some((Epochs::seconds(TEN_MINUTES_S), ANONYMOUS.to_owned())),
            Mode::Day => Some((Epochs::days(zone, 1, EDGE_S), format!("day-{name}"))),
            Mode::Extended => {
                let days = u16::try_from(self.privacy.epoch.0.as_secs() / 86_400).unwrap_or(u16::MAX);
                Some((Epochs::days(zone, days, EDGE_S), format!("extended{days}-{name}")))
            }
        })
    }

    /// How keys follow each other; none where one lasts.
    pub(crate) fn key_rule(&self) -> Result<Option<Rule>, Wrong> {
        let grace_s = if self.privacy.mode() == Mode::Anonymous { TEN_MINUTES_S.into() } else { GRACE_S };
        let rule = |(mut epochs, kind): (Epochs, String)| Rule { kind, divide: Box::new(move |at| epochs.of(at)), grace_s, now: now_s };
        Ok(self.epochs()?.map(rule))
    }

    /// How long a client can be known again, with keys since `born_at`.
    pub(super) fn lasting(&self, born_at: i64) -> Result<Lasting, Wrong> {
        let days = match self.privacy.mode() {
            Mode::Static => i64::MAX,
            Mode::Anonymous => 0,
            Mode::Day => 1,
            Mode::Extended => i64::try_from(self.privacy.epoch.0.as_secs() / 86_400).unwrap_or(i64::MAX),
        };
        Ok(Lasting { days, born_at, epochs: self.epochs()?.map(|(epochs, _)| epochs) })
    }
}

/// What most count for.
const PURPOSE: &str = "to count visitors and how long they stay";
/// The name of the mode of which only counts are kept, and of its keys.
pub(crate) const ANONYMOUS: &str = "anonymous";
/// Posts tell of up to nine minutes; what comes later than that is dropped.
const TEN_MINUTES_S: u32 = 600;
/// Four in the morning: fewest visits are cut.
const EDGE_S: u32 = 4 * 3_600;
/// How long a key outlives its epoch: sightings come minutes late, seldom more.
const GRACE_S: i64 = 3_600;
