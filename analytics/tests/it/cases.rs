//! The conformance cases: `cases.toml`, read into sites and what must come of them.

use std::collections::BTreeMap;

use jiff::civil::date;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::rows::{COUNTS, Class, Cut, Flow, Identity, Kind, Now, Occupancy, Place};
use crate::site::{self, Observation, Params, Site, ZoneAp};

/// One case of the file.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) rule: String,
    pub(crate) shows: String,
    pub(crate) site: Site,
    pub(crate) expected: Expected,
}

/// What a case names. What is `None` is not compared.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Expected {
    /// All sessions.
    pub(crate) sessions: Vec<ExpectedSession>,
    /// All stays at access points and unlocated ones.
    pub(crate) stays: Option<Vec<ExpectedStay>>,
    pub(crate) counts: Vec<ExpectedCounts>,
    /// All minutes of the places that are named; the empty list says that nobody was anywhere.
    pub(crate) occupancy: Option<Vec<Occupancy>>,
    /// All rows.
    pub(crate) flow: Option<Vec<Flow>>,
    /// All rows of the times that are named.
    pub(crate) now: Vec<(i64, Option<Now>)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ExpectedSession {
    pub(crate) client: u32,
    pub(crate) started: i64,
    pub(crate) ended: i64,
    pub(crate) minutes: i64,
    pub(crate) class: Class,
    pub(crate) identity: Option<Identity>,
    pub(crate) connected_at: Option<Option<i64>>,
    pub(crate) is_returning: Option<Option<bool>>,
    pub(crate) cut: Option<Cut>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ExpectedStay {
    /// Which of [`Expected::sessions`].
    pub(crate) session: usize,
    pub(crate) place: Place,
    pub(crate) a: i64,
    pub(crate) b: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ExpectedCounts {
    pub(crate) place: Place,
    pub(crate) kind: Kind,
    pub(crate) a: i64,
    pub(crate) values: Vec<(String, Option<f64>)>,
}

/// Every case of the file.
///
/// # Panics
/// When the file does not keep to its notation, with the words that are wrong.
pub(crate) fn all() -> Vec<Case> {
    parse(include_str!("../../cases.toml"))
}

/// As [`all`], from another text.
pub(crate) fn parse(text: &str) -> Vec<Case> {
    let file: File = toml::from_str(text).expect("the cases are TOML of the known keys");
    file.case.into_iter().map(Case::from).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Text>,
}

/// A case as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    id: String,
    rule: String,
    shows: String,
    #[serde(default)]
    profile: Params,
    zone: Option<String>,
    #[serde(default)]
    zones: BTreeMap<String, Vec<String>>,
    epoch: Option<String>,
    identity_days: Option<i64>,
    key_birth: Option<String>,
    observations: String,
    sessions: String,
    stays: Option<String>,
    #[serde(default)]
    hours: Vec<String>,
    #[serde(default)]
    days: Vec<String>,
    occupancy: Option<String>,
    flow: Option<String>,
    #[serde(default)]
    now: String,
}

impl From<Text> for Case {
    fn from(text: Text) -> Self {
        let counts = |kind| move |line: &String| expected_counts(kind, line);
        let expected = Expected {
            sessions: parts(&text.sessions).map(session).collect(),
            stays: text.stays.as_deref().map(|stays| parts(stays).map(stay).collect()),
            counts: text.hours.iter().map(counts(Kind::Hour)).chain(text.days.iter().map(counts(Kind::Day))).collect(),
            occupancy: text.occupancy.as_deref().map(|rows| if rows == "none" { Vec::new() } else { parts(rows).map(occupancy).collect() }),
            flow: text.flow.as_deref().map(|rows| parts(rows).map(flow).collect()),
            now: parts(&text.now).map(now).collect(),
        };
        let belongs = |stay: &ExpectedStay| stay.session < expected.sessions.len();
        assert!(expected.stays.iter().flatten().all(belongs), "{} has a stay of no session", text.id);
        let epoch = text.epoch.as_deref().map(|at| time(at).rem_euclid(86_400));
        let site = Site {
            profile: text.profile,
            zone: text.zone.unwrap_or_else(|| "UTC".to_owned()),
            zones: text.zones.iter().flat_map(|(zone, aps)| aps.iter().map(|ap| member(zone, ap))).collect(),
            epoch,
            identity_days: text.identity_days.unwrap_or(if epoch.is_some() { 1 } else { site::LASTING_DAYS }),
            key_birth: text.key_birth.as_deref().map(time),
            observations: parts(&text.observations).flat_map(observations).collect(),
            now_at: expected.now.iter().map(|(t, _)| *t).collect(),
        };
        Self { id: text.id, rule: text.rule, shows: text.shows, site, expected }
    }
}

/// What semicolons divide.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(';').map(str::trim).filter(|part| !part.is_empty())
}

/// `AP [from TIME] [until TIME]`
fn member(zone: &str, text: &str) -> ZoneAp {
    let mut words = text.split_whitespace();
    let ap = site::ap(place_letter(words.next().unwrap_or_default()));
    let mut member = ZoneAp { zone: zone.to_owned(), ap, since: 0, until: None };
    while let Some(word) = words.next() {
        let at = time(words.next().unwrap_or_default());
        match word {
            "from" => member.since = at,
            "until" => member.until = Some(at),
            _ => panic!("{word} in {text}"),
        }
    }
    member
}

/// `[every N xK from] TIME AP RSSI [cN] [ssid] [ble] [local] [excluded] [recv+N]`
fn observations(text: &str) -> Vec<Observation> {
    let mut words = text.split_whitespace().peekable();
    let (mut step, mut times) = (0, 1);
    if words.next_if_eq(&"every").is_some() {
        step = number(words.next(), text);
        times = number(words.next().and_then(|word| word.strip_prefix('x')), text);
        assert_eq!(words.next(), Some("from"), "{text}");
    }
    let t = time(words.next().unwrap_or_default());
    let ap = place_letter(words.next().unwrap_or_default());
    let rssi = number(words.next(), text);
    let mut one = Observation { client: 1, ap: site::ap(ap), t, received: t, rssi, is_wifi: true, associated: false, random: false, excluded: false };
    for word in words {
        match word {
            "ssid" => one.associated = true,
            "ble" => one.is_wifi = false,
            "local" => one.random = true,
            "excluded" => one.excluded = true,
            _ => match word.strip_prefix("recv") {
                Some(after) => one.received = t + number(Some(after), text),
                None => one.client = client(word).unwrap_or_else(|| panic!("{word} in {text}")),
            },
        }
    }
    (0..times).map(|n| Observation { t: one.t + n * step, received: one.received + n * step, ..one.clone() }).collect()
}

/// `START END MINUTES CLASS [cN] [identity=..] [connected=..] [returning=..] [cut=..]`
fn session(text: &str) -> ExpectedSession {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [started, ended, minutes, class, rest @ ..] = words.as_slice() else { panic!("{text}") };
    let class = match *class {
        "visit" => Class::Visit,
        "bounce" => Class::Bounce,
        "fixture" => Class::Fixture,
        _ => panic!("{text}"),
    };
    let (started, ended, minutes) = (time(started), time(ended), number(Some(minutes), text));
    let mut session = ExpectedSession { client: 1, started, ended, minutes, class, identity: None, connected_at: None, is_returning: None, cut: None };
    for word in rest {
        match *word {
            "identity=global" => session.identity = Some(Identity::Global),
            "identity=local_assoc" => session.identity = Some(Identity::LocalAssoc),
            "identity=local_unassoc" => session.identity = Some(Identity::LocalUnassoc),
            "connected=null" => session.connected_at = Some(None),
            "returning=true" => session.is_returning = Some(Some(true)),
            "returning=false" => session.is_returning = Some(Some(false)),
            "returning=null" => session.is_returning = Some(None),
            "cut=start" => session.cut = Some(Cut::Start),
            "cut=end" => session.cut = Some(Cut::End),
            "cut=both" => session.cut = Some(Cut::Both),
            _ => match word.strip_prefix("connected=") {
                Some(at) => session.connected_at = Some(Some(time(at))),
                None => session.client = client(word).unwrap_or_else(|| panic!("{word} in {text}")),
            },
        }
    }
    session
}

/// `[SESSION] PLACE START END`
fn stay(text: &str) -> ExpectedStay {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (session, [place, a, b]) = (match words.as_slice() {
        [session, rest @ ..] if rest.len() == 3 => (number(Some(session), text), rest),
        rest => (1, rest),
    }) else {
        panic!("{text}")
    };
    ExpectedStay { session: usize::try_from(session - 1).expect("sessions count from 1"), place: self::place(place), a: time(a), b: time(b) }
}

/// `TIME[/PLACE] COLUMN=VALUE ...`
fn expected_counts(kind: Kind, text: &str) -> ExpectedCounts {
    let mut words = text.split_whitespace();
    let window = words.next().unwrap_or_default();
    let (at, place) = window.split_once('/').map_or((window, Place::Site), |(at, place)| (at, self::place(place)));
    let value = |word: &str| {
        let (column, value) = word.split_once('=').unwrap_or_else(|| panic!("{word} in {text}"));
        assert!(COUNTS.contains(&column), "{column} in {text}");
        let value = (value != "null").then(|| value.parse().unwrap_or_else(|_| panic!("{word} in {text}")));
        (column.to_owned(), value)
    };
    ExpectedCounts { place, kind, a: time(at), values: words.map(value).collect() }
}

/// `MINUTE PLACE DEVICES CONNECTED`
fn occupancy(text: &str) -> Occupancy {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [minute, place, devices, connected] = words.as_slice() else { panic!("{text}") };
    Occupancy { place: self::place(place), minute: time(minute), devices: number(Some(devices), text), connected: number(Some(connected), text) }
}

/// `FROM TO HOUR TRANSITIONS`
fn flow(text: &str) -> Flow {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [from, to, hour, transitions] = words.as_slice() else { panic!("{text}") };
    Flow { from: place(from), to: place(to), hour: time(hour), transitions: number(Some(transitions), text) }
}

/// `TIME PLACE DEVICES CONNECTED`, or `TIME - 0 0` when nobody is anywhere.
fn now(text: &str) -> (i64, Option<Now>) {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        [at, "-", ..] => (time(at), None),
        [at, place, devices, connected] => {
            let (devices, connected) = (number(Some(devices), text), number(Some(connected), text));
            (time(at), Some(Now { t: time(at), place: self::place(place), devices, connected }))
        }
        _ => panic!("{text}"),
    }
}

/// `site`, `outside`, `U`, an access point's letter, or a zone behind `@`.
fn place(text: &str) -> Place {
    match text {
        "site" => Place::Site,
        "outside" => Place::Outside,
        "U" => Place::Unlocated,
        _ => match text.strip_prefix('@') {
            Some(zone) => Place::Zone(zone.to_owned()),
            None => Place::Ap(site::ap(place_letter(text))),
        },
    }
}

fn place_letter(text: &str) -> char {
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => letter,
        _ => panic!("{text} is no place"),
    }
}

fn client(word: &str) -> Option<u32> {
    word.strip_prefix('c')?.parse().ok()
}

/// `[MONTH-DAYT]HOUR:MINUTE[:SECOND]` in UTC, of 2026, and of 15 June where no date stands.
fn time(text: &str) -> i64 {
    let (day, clock) = text.split_once('T').unwrap_or(("06-15", text));
    let two = |part: &str| part.parse::<i8>().unwrap_or_else(|_| panic!("{text} is no time"));
    let (month, day) = day.split_once('-').unwrap_or_else(|| panic!("{text} is no time"));
    let clock: Vec<i8> = clock.split(':').map(two).collect();
    let (hour, minute, second) = match clock.as_slice() {
        [hour, minute] => (*hour, *minute, 0),
        [hour, minute, second] => (*hour, *minute, *second),
        _ => panic!("{text} is no time"),
    };
    let at = date(2026, two(month), two(day)).at(hour, minute, second, 0);
    at.to_zoned(TimeZone::UTC).expect("a time of 2026").timestamp().as_second()
}

fn number(word: Option<&str>, text: &str) -> i64 {
    word.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("a number is missing in {text}"))
}
