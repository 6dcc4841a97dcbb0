//! One site, minute by minute: people move, the air carries, and what the access points heard becomes posts.
//!
//! A minute is simulated as a whole; its posts are made one at a time when they are asked for, so that a large world
//! never holds more bodies than are on their way.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use store::batch::Radio;

use super::devices::Identity;
use super::dice::{Dice, Purpose};
use super::people::{Population, Totals};
use super::plan::Plan;
use super::post::Post;
use super::radio::{Hearing, hear, hear_perfectly};
use super::truth::Truth;
use super::v2::{self, Sighting};
use super::v3::{self, Span, Track};
use super::{RadioModel, Version, WorldOptions};

const MINUTE_S: i64 = 60;
/// How old a v2 sighting may be at the end of the minute to be told once more. Posts leave during the minute after that, so that
/// the oldest is 525 s old, like in captures.
const SIGHTING_AGE_MAX_S: i64 = 465;
/// The same for the latest record in v3.
const TRACK_AGE_MAX_S: i64 = 300;

/// One site and everything that happens at it.
pub struct Site {
    options: Arc<WorldOptions>,
    plan: Plan,
    population: Population,
    walk: Dice,
    wifi_air: Dice,
    ble_air: Dice,
    wire: Dice,
    /// The minute that the waiting posts are about.
    span: Span,
    turns: VecDeque<Turn>,
    heard: Heard,
    truth: Option<Truth>,
}

/// A post that is due.
struct Turn {
    radio: Radio,
    ap: usize,
    sent_at: i64,
}

/// What the cloud remembers, in the shape that its dialect needs. Index 0 is Wi-Fi, 1 Bluetooth; clients by device number.
enum Heard {
    V2([Vec<BTreeMap<u64, Sighting>>; 2]),
    V3([BTreeMap<u64, Track>; 2]),
}

impl Site {
    /// Builds one site; warm-up minutes are simulated at once.
    pub(super) fn new(options: &Arc<WorldOptions>, index: u32) -> Self {
        let dice = |purpose| Dice::new(options.seed, index, purpose);
        let mut walk = dice(Purpose::Walk);
        let plan = Plan::new(options, index);
        let begin = options.start - i64::from(options.warm_up_minutes) * MINUTE_S;
        let population = Population::new(options, index, &plan, begin, &mut walk);
        let count = plan.access_points.len();
        let tables = || (0..count).map(|_| BTreeMap::new()).collect();
        let heard = match options.version {
            Version::V2 => Heard::V2([tables(), tables()]),
            Version::V3 => Heard::V3([BTreeMap::new(), BTreeMap::new()]),
        };
        let truth = options.keep_truth.then(|| Truth::new(&plan));
        let mut site = Self {
            options: Arc::clone(options),
            plan,
            population,
            walk,
            wifi_air: dice(Purpose::WifiAir),
            ble_air: dice(Purpose::BleAir),
            wire: dice(Purpose::Wire),
            span: Span { begin: begin - MINUTE_S, end: begin },
            turns: VecDeque::new(),
            heard,
            truth,
        };
        for _ in 0..options.warm_up_minutes {
            site.advance();
            site.turns.clear();
        }
        site
    }

    /// The network's id.
    #[must_use]
    pub fn network(&self) -> &Arc<str> {
        &self.plan.network
    }

    /// How many people and fixtures there were so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.population.totals
    }

    /// When the next post leaves, seconds since 1970 on the simulated clock.
    pub fn due(&mut self) -> i64 {
        if self.turns.is_empty() {
            self.advance();
        }
        self.turns.front().map_or(self.span.end, |turn| turn.sent_at)
    }

    /// The next post. There is always one.
    pub fn next_post(&mut self) -> Post {
        loop {
            match self.turns.pop_front() {
                Some(turn) => return self.post(&turn),
                None => self.advance(),
            }
        }
    }

    /// The posts of one more minute.
    pub fn minute(&mut self) -> Vec<Post> {
        (0..self.options.posts_per_minute()).map(|_| self.next_post()).collect()
    }

    /// The truth lines that were written since the last call.
    pub fn take_truth(&mut self) -> Vec<u8> {
        self.truth.as_mut().map(Truth::take).unwrap_or_default()
    }

    /// Ends the truth: whoever is still there gets a last line, and the site a line that says for how long it was watched. Returns the lines that were not taken yet.
    pub fn finish_truth(&mut self) -> Vec<u8> {
        let (end, told) = (self.span.end, is_told(self.options.version));
        if let Some(truth) = &mut self.truth {
            let watched = |person: &&super::people::Person| person.route.arrived < end;
            self.population.people.iter().filter(watched).for_each(|person| truth.leave(person, end, &self.plan, told));
            truth.finish(&self.plan, self.options.radio_model, (self.options.start, end));
        }
        self.take_truth()
    }

    /// Simulates one more minute and lines up its posts.
    fn advance(&mut self) {
        self.span = Span { begin: self.span.end, end: self.span.end + MINUTE_S };
        let Span { begin, end } = self.span;
        self.population.advance(begin, end, &self.plan, &mut self.walk);
        let told = is_told(self.options.version);
        if let Some(truth) = &mut self.truth {
            self.population.people.iter().for_each(|person| truth.watch(person, begin, end, &self.plan, told));
        }
        self.heard.forget(end);
        match self.options.radio_model {
            RadioModel::Noisy => self.listen(told),
            RadioModel::Perfect => self.listen_perfectly(told),
        }
        let gone = self.population.leave(end, &self.plan, &mut self.walk);
        if let Some(truth) = &mut self.truth {
            gone.iter().for_each(|person| truth.leave(person, end, &self.plan, told));
        }
        let radios = self.options.radios.each();
        let count = self.options.posts_per_minute() as usize;
        self.turns.extend((0..count).map(|turn| Turn {
            radio: radios[turn % radios.len()],
            ap: turn / radios.len(),
            sent_at: end + (turn as i64 * MINUTE_S) / count as i64,
        }));
    }

    /// Hears every device at the moments in which it speaks.
    fn listen(&mut self, told: impl Fn(&Identity) -> bool) {
        let Span { begin, end } = self.span;
        for person in &mut self.population.people {
            for device in &mut person.devices {
                let radio = device.identity.radio;
                if !self.options.radios.each().contains(&radio) {
                    continue;
                }
                let air = if radio == Radio::Wifi { &mut self.wifi_air } else { &mut self.ble_air };
                while device.next_at < end {
                    let at = device.next_at.max(begin);
                    let Some(point) = person.route.at(at) else { break };
                    if let Some(hearing) = hear(&self.plan, device, point, at, air) {
                        device.hearings += 1;
                        if told(&device.identity) {
                            self.heard.remember(&device.identity, hearing);
                        }
                    }
                    device.next_at = at + 2 + air.exponential(device.pause_s) as i64;
                }
            }
        }
    }

    /// Hears every device once, at its own second of the minute.
    fn listen_perfectly(&mut self, told: impl Fn(&Identity) -> bool) {
        let Span { begin, .. } = self.span;
        for person in &mut self.population.people {
            for device in &mut person.devices {
                if !self.options.radios.each().contains(&device.identity.radio) {
                    continue;
                }
                let at = begin + (device.identity.second() - begin).rem_euclid(MINUTE_S);
                let heard = person.route.at(at).and_then(|point| hear_perfectly(&self.plan, &device.identity, point, at));
                let Some(hearing) = heard else { continue };
                device.hearings += 1;
                if told(&device.identity) {
                    self.heard.remember(&device.identity, hearing);
                }
            }
        }
    }

    fn post(&mut self, turn: &Turn) -> Post {
        let Turn { radio, ap, sent_at } = *turn;
        let (secret, plan, keep) = (&self.options.secret, &self.plan, self.options.keep_rows);
        let mut rows = Vec::new();
        let (observations, ap, body) = match &self.heard {
            Heard::V2(tables) => {
                let table = &tables[radio as usize][ap];
                if keep {
                    rows.extend(table.values().map(|sighting| v2::row(plan, ap, sighting)));
                }
                (table.len() as u32, Some(plan.access_points[ap].mac), v2::body(secret, plan, ap, radio, table.values()))
            }
            Heard::V3(tables) => {
                let mut observations = 0;
                let body = v3::body(secret, plan, radio, self.span, tables[radio as usize].values(), &mut self.wire, |row| {
                    observations += 1;
                    if keep {
                        rows.push(row);
                    }
                });
                (observations, None, body)
            }
        };
        Post { version: self.options.version, network: Arc::clone(&plan.network), ap, radio, sent_at, observations, body: Bytes::from(body), rows }
    }
}

impl Heard {
    /// Drops what is too old to be told at the end of a minute.
    fn forget(&mut self, end: i64) {
        match self {
            Self::V2(tables) => {
                tables.iter_mut().flatten().for_each(|table| table.retain(|_, sighting| sighting.at >= end - SIGHTING_AGE_MAX_S));
            }
            Self::V3(tables) => {
                for table in tables {
                    table.retain(|_, track| track.hearings.back().is_some_and(|hearing| hearing.at >= end - TRACK_AGE_MAX_S));
                    table.values_mut().for_each(|track| drop(track.hearings.drain(..track.hearings.len() - 1)));
                }
            }
        }
    }

    fn remember(&mut self, identity: &Arc<Identity>, hearing: Hearing) {
        match self {
            Self::V2(tables) => {
                for reading in &hearing.readings {
                    let sighting = Sighting { identity: Arc::clone(identity), at: hearing.at, rssi_dbm: reading.rssi_dbm, place: hearing.place };
                    tables[identity.radio as usize][reading.ap as usize].insert(identity.number, sighting);
                }
            }
            Self::V3(tables) => {
                let track = tables[identity.radio as usize].entry(identity.number);
                track.or_insert_with(|| Track { identity: Arc::clone(identity), hearings: VecDeque::new() }).hearings.push_back(hearing);
            }
        }
    }
}

/// Whether a dialect tells a client at all: v2 leaves out random Wi-Fi addresses, v3 those that are not connected.
fn is_told(version: Version) -> impl Fn(&Identity) -> bool + Copy {
    move |identity| {
        let hidden = match version {
            Version::V2 => identity.is_random,
            Version::V3 => identity.is_random && identity.association.is_none(),
        };
        identity.radio == Radio::Ble || !hidden
    }
}
