//! A site to compute presence of: the profile, the calendar, and what was observed. Cases and random sites are both of this form.

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::Deserialize;

use crate::rows::Kind;

/// What presence is computed from.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) profile: Params,
    /// The IANA name of the site's time zone.
    pub(crate) zone: String,
    pub(crate) zones: Vec<ZoneAp>,
    /// The second of the UTC day at which the key of the pseudonyms changes. A client has another number after each.
    pub(crate) epoch: Option<i64>,
    /// How many days an identity lasts: 1 with an epoch, [`LASTING_DAYS`] for ever.
    pub(crate) identity_days: i64,
    /// When the key was made; `None` is long ago.
    pub(crate) key_birth: Option<i64>,
    /// Every arrival, in no order.
    pub(crate) observations: Vec<Observation>,
    /// The times at which `now` is asked.
    pub(crate) now_at: BTreeSet<i64>,
}

/// One arrival of an observation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Observation {
    pub(crate) client: u32,
    /// The access point's address as text.
    pub(crate) ap: String,
    pub(crate) t: i64,
    pub(crate) received: i64,
    pub(crate) rssi: i64,
    pub(crate) is_wifi: bool,
    pub(crate) associated: bool,
    /// Whether the address is an invented one; the same for all of a client.
    pub(crate) random: bool,
    /// Whether the address is on the list of those that are in no count; the same for all of a client.
    pub(crate) excluded: bool,
}

/// An access point is in a zone from `since` on, until `until` when there is one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ZoneAp {
    pub(crate) zone: String,
    pub(crate) ap: String,
    pub(crate) since: i64,
    pub(crate) until: Option<i64>,
}

/// The profile; without changes it is standard@1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Params {
    pub(crate) ignore_dbm: i64,
    pub(crate) enter_dbm: i64,
    pub(crate) stay_dbm: i64,
    pub(crate) assoc_bypasses_rssi: bool,
    pub(crate) gap_s: i64,
    pub(crate) ap_gap_s: i64,
    pub(crate) min_dwell_s: i64,
    pub(crate) min_minutes: i64,
    pub(crate) present_s: i64,
    pub(crate) settle_s: i64,
    pub(crate) settle_db: i64,
    pub(crate) max_visit_s: i64,
    pub(crate) loyalty_days: i64,
    pub(crate) allowed_lateness_s: i64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            ignore_dbm: -95,
            enter_dbm: -80,
            stay_dbm: -85,
            assoc_bypasses_rssi: true,
            gap_s: 1200,
            ap_gap_s: 600,
            min_dwell_s: 300,
            min_minutes: 3,
            present_s: 600,
            settle_s: 180,
            settle_db: 6,
            max_visit_s: 43_200,
            loyalty_days: 28,
            allowed_lateness_s: 86_400,
        }
    }
}

/// An hour or day of the site's calendar, [a, b). `n` is the local date in days since 1970; an hour has that of its day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Window {
    pub(crate) kind: Kind,
    pub(crate) n: i64,
    pub(crate) a: i64,
    pub(crate) b: i64,
}

impl Site {
    /// The windows that matter: the days from `loyalty_days` before the first observation to two days after the last, and of the hours
    /// those that a session may touch.
    pub(crate) fn windows(&self) -> Vec<Window> {
        let days = self.days();
        let spans: Vec<(i64, i64)> = self.spans();
        let hours = days.iter().flat_map(|day| (day.a..day.b).step_by(3600).map(|a| Window { kind: Kind::Hour, n: day.n, a, b: day.b.min(a + 3600) }));
        let hours = hours.filter(|hour| spans.iter().any(|(first, last)| *first < hour.b && *last >= hour.a));
        days.iter().copied().chain(hours).collect()
    }

    /// The full minutes at which somebody may be there.
    pub(crate) fn minutes(&self) -> BTreeSet<i64> {
        self.spans().into_iter().flat_map(|(first, last)| (first - first.rem_euclid(60)..=last).step_by(60)).collect()
    }

    /// When the key of the pseudonyms changes.
    pub(crate) fn edges(&self) -> Vec<i64> {
        let Some(second) = self.epoch else { return Vec::new() };
        self.spans()
            .into_iter()
            .flat_map(|(first, last)| first / DAY - 1..=last / DAY + 1)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(|day| day * DAY + second)
            .collect()
    }

    fn days(&self) -> Vec<Window> {
        let zone = TimeZone::get(&self.zone).expect("the site's time zone is known");
        let local = |t: i64| Timestamp::from_second(t).expect("a time of a test").to_zoned(zone.clone()).date();
        let start = |date: Date| date.to_zoned(zone.clone()).expect("a date of a test").start_of_day().expect("a day starts").timestamp().as_second();
        let times = || self.observations.iter().map(|observation| observation.t);
        let (Some(first), Some(last)) = (times().min(), times().max()) else { return Vec::new() };
        let first = local(first).checked_sub((self.profile.loyalty_days.max(28) + 2).days()).expect("a date of a test");
        let days = first.series(1.day()).take_while(|date| *date <= local(last).checked_add(2.days()).expect("a date of a test"));
        let day = |date: Date| {
            let tomorrow = date.tomorrow().expect("a date of a test");
            Window { kind: Kind::Day, n: date.duration_since(EPOCH).as_hours() / 24, a: start(date), b: start(tomorrow) }
        };
        days.map(day).collect()
    }

    /// Stretches outside of which nobody can be there: from each observation on as long as a session may wait for the next.
    fn spans(&self) -> Vec<(i64, i64)> {
        let mut times: Vec<i64> = self.observations.iter().map(|observation| observation.t).collect();
        times.sort_unstable();
        let mut spans: Vec<(i64, i64)> = Vec::new();
        for t in times {
            match spans.last_mut() {
                Some((_, last)) if t <= *last => *last = t + self.profile.gap_s,
                _ => spans.push((t, t + self.profile.gap_s)),
            }
        }
        spans
    }
}

/// The address of the access point that a case calls by a letter. The order of the letters is that of the addresses.
///
/// # Panics
/// When it is no capital letter.
pub(crate) fn ap(letter: char) -> String {
    assert!(letter.is_ascii_uppercase(), "{letter} is no access point");
    format!("02:00:00:00:00:{:02x}", u32::from(letter) - u32::from('A') + 10)
}

const EPOCH: Date = jiff::civil::date(1970, 1, 1);

const DAY: i64 = 86_400;

/// How many days an identity lasts that lasts for ever.
pub(crate) const LASTING_DAYS: i64 = 1000;
