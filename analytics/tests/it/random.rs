//! Random sites: small, and close to every edge that the definitions have.
//!
//! The same seed gives the same site. Times fall on gap_s and a second more, on minutes, hours and local midnights, in the nights the
//! clocks change; strengths lie at the thresholds; arrivals repeat, and are just in time or just not.

use std::collections::BTreeSet;

use jiff::civil::date;
use jiff::tz::TimeZone;

use crate::site::{LASTING_DAYS, Observation, Params, Site, ZoneAp, ap};

/// The site of a seed.
pub(crate) fn site(seed: u64) -> Site {
    let mut dice = Dice(seed);
    let (zone, start) = place_and_time(&mut dice);
    let profile = profile(&mut dice);
    let aps = 1 + dice.below(4);
    let epoch = dice.one_in(5).then(|| (start + dice.pick(&[0, 1800, 3600, 7200, 86_340])).rem_euclid(DAY));
    let identity_days = if epoch.is_some() { 1 } else { dice.pick(&[LASTING_DAYS, LASTING_DAYS, LASTING_DAYS, 28, 7]) };
    let key_birth = dice.one_in(4).then(|| start - DAY * dice.pick(&[0, 3, 7, 27, 28, 29]));
    let zones = zones(&mut dice, start, aps);
    let mut observations = Vec::new();
    for client in 1..=1 + dice.below(5) {
        let mut walk = Walk::new(&mut dice, client, aps, start);
        for _ in 0..2 + dice.below(30) {
            walk.step(&mut dice, &profile);
            observe(&mut dice, &profile, &walk, &mut observations);
        }
    }
    if dice.one_in(5) {
        observations.extend(printer(&mut dice, start));
    }
    // The key is chosen by the time of the observation, so a client is another one after each edge.
    for observation in observations.iter_mut().filter(|_| epoch.is_some()) {
        let epochs = (observation.t - epoch.unwrap_or_default()).div_euclid(DAY) - start / DAY + 50;
        observation.client += 100 * u32::try_from(epochs).expect("less than 50 days before the start");
    }
    shuffle(&mut dice, &mut observations);
    let around = |dice: &mut Dice| observations[dice.index(observations.len())].t + profile.present_s + dice.pick(&[-1, 0, 1, -300]);
    let now_at = BTreeSet::from([around(&mut dice), around(&mut dice)]);
    Site { profile, zone: zone.to_owned(), zones, epoch, identity_days, key_birth, observations, now_at }
}

fn place_and_time(dice: &mut Dice) -> (&'static str, i64) {
    let (zone, day) = dice.pick(&[
        ("UTC", date(2026, 6, 15)),
        ("Europe/Berlin", date(2026, 3, 29)),
        ("Europe/Berlin", date(2026, 10, 25)),
        ("Asia/Kolkata", date(2026, 6, 15)),
        ("America/New_York", date(2026, 6, 14)),
    ]);
    let midnight = day.to_zoned(TimeZone::get(zone).expect("a time zone")).expect("a date of a test").timestamp().as_second();
    (zone, midnight + 3600 * dice.pick(&[-2, -1, 0, 1, 2, 10]) + 60 * dice.below(60))
}

/// Some parameters differ from standard@1, within what a profile may say.
fn profile(dice: &mut Dice) -> Params {
    let mut profile = Params::default();
    let mut turn = |value: &mut i64, others: &[i64]| {
        if dice.one_in(3) {
            *value = dice.pick(others);
        }
    };
    turn(&mut profile.gap_s, &[60, 300, 900, 10_800]);
    turn(&mut profile.ap_gap_s, &[60, 180, 1800]);
    turn(&mut profile.min_dwell_s, &[0, 60, 900]);
    turn(&mut profile.min_minutes, &[1, 2, 5]);
    turn(&mut profile.present_s, &[60, 1200, 3600]);
    turn(&mut profile.settle_s, &[60, 120, 300]);
    turn(&mut profile.settle_db, &[1, 3, 10]);
    turn(&mut profile.max_visit_s, &[900, 3600, 7200]);
    turn(&mut profile.loyalty_days, &[7, 14]);
    turn(&mut profile.allowed_lateness_s, &[600, 3600]);
    turn(&mut profile.ignore_dbm, &[-110, -90]);
    turn(&mut profile.enter_dbm, &[-75, -85]);
    profile.assoc_bypasses_rssi = !dice.one_in(4);
    profile
}

fn zones(dice: &mut Dice, start: i64, aps: i64) -> Vec<ZoneAp> {
    let mut zones = Vec::new();
    for zone in ["hall", "shop"].into_iter().take(dice.index(3)) {
        for letter in 0..aps {
            let ap = address(letter);
            match dice.below(4) {
                0 => {}
                // It leaves the zone and may come back.
                1 => {
                    let until = start + 60 * dice.below(180);
                    zones.push(ZoneAp { zone: zone.to_owned(), ap: ap.clone(), since: 0, until: Some(until) });
                    if dice.one_in(2) {
                        zones.push(ZoneAp { zone: zone.to_owned(), ap, since: until + 60 * dice.below(60), until: None });
                    }
                }
                _ => zones.push(ZoneAp { zone: zone.to_owned(), ap, since: 0, until: None }),
            }
        }
    }
    zones
}

/// A client on its way through the site.
struct Walk {
    client: u32,
    random: bool,
    excluded: bool,
    aps: i64,
    /// Of four observations so many are associated.
    associated: i64,
    /// Whether strengths lie at the thresholds, or at ease above them.
    is_weak: bool,
    at: i64,
    t: i64,
}

impl Walk {
    fn new(dice: &mut Dice, client: i64, aps: i64, start: i64) -> Self {
        Self {
            client: u32::try_from(client).expect("a few clients"),
            random: dice.one_in(3),
            excluded: dice.one_in(12),
            aps,
            associated: dice.pick(&[0, 0, 1, 2, 4]),
            is_weak: dice.one_in(2),
            at: dice.below(aps),
            t: start + dice.below(7200),
        }
    }

    fn step(&mut self, dice: &mut Dice, profile: &Params) {
        let (gap, hold) = (profile.gap_s, 60 + profile.ap_gap_s);
        self.t += match dice.below(20) {
            0 => 0,
            1 => 1,
            2 => 59,
            3 => gap,
            4 => gap + 1,
            5 => dice.pick(&[gap - 1, gap + 60, hold, hold + 60]),
            6 if dice.one_in(3) => DAY * dice.pick(&[1, 1, 2, profile.loyalty_days, profile.loyalty_days + 1]) - dice.below(7200),
            6..=9 => 20 + dice.below(300),
            10..=12 => 120,
            _ => 60,
        };
        let step = dice.pick(&[60, 60, 3600, 0, 0, 0, 0, 0, 0, 0]);
        if step > 0 {
            // On a full minute or hour, or a second before it.
            self.t += (step - self.t % step) % step - dice.below(2);
        }
        if dice.one_in(3) {
            self.at = dice.below(self.aps);
        }
    }
}

/// One observation of a client where it is, and now and then what comes with it.
fn observe(dice: &mut Dice, profile: &Params, walk: &Walk, observations: &mut Vec<Observation>) {
    let edges = [-97, -96, -95, -86, -85, -84, -81, -80, -79, -75, -74, -70];
    let rssi = if walk.is_weak || dice.one_in(6) { dice.pick(&edges) } else { -75 + dice.below(20) };
    let rssi = if dice.one_in(40) { dice.pick(&[0, -1, -120, -121]) } else { rssi };
    let received = walk.t + if dice.one_in(5) { dice.pick(&[-120, -121, 30, 300, profile.allowed_lateness_s, profile.allowed_lateness_s + 1]) } else { 0 };
    let one = Observation {
        client: walk.client,
        ap: address(walk.at),
        t: walk.t,
        received,
        rssi,
        is_wifi: !dice.one_in(25),
        associated: dice.below(4) < walk.associated,
        random: walk.random,
        excluded: walk.excluded,
    };
    if dice.one_in(8) {
        observations.push(Observation { received: one.t + dice.pick(&[0, 60, 90_000, -200]), ..one.clone() });
    }
    // Another access point hears the same, or the same one tells the association later.
    if dice.one_in(4) {
        observations.push(Observation { ap: address(dice.below(walk.aps)), rssi: (rssi + dice.pick(&[-6, -1, 0, 1, 6])).min(-1), ..one.clone() });
    }
    if dice.one_in(10) {
        observations.push(Observation { associated: !one.associated, ..one.clone() });
    }
    observations.push(one);
}

/// A device that is always there, on three days or not quite, and a visit of its own on the day after.
fn printer(dice: &mut Dice, start: i64) -> Vec<Observation> {
    let (hours, rssi, random) = (dice.pick(&[17, 18, 20]), dice.pick(&[-84, -70]), dice.one_in(4));
    let midnight = start - start.rem_euclid(DAY);
    let one = |t: i64, rssi: i64| Observation { client: 50, ap: ap('A'), t, received: t, rssi, is_wifi: true, associated: random, random, excluded: false };
    let before = dice.pick(&[3, 4, 8]);
    let days = (0..3).flat_map(|day| (0..hours).map(move |hour| (day, hour)));
    let mut observations: Vec<Observation> = days.map(|(day, hour)| one(midnight - DAY * (before - day) + 3600 * hour, rssi)).collect();
    observations.extend((0..8).map(|n| one(start + 120 * n, -60)));
    observations.extend((0..8).map(|n| one(start + DAY + 120 * n, -60)));
    observations
}

fn address(letter: i64) -> String {
    ap(char::from(b'A' + u8::try_from(letter).expect("a few access points")))
}

fn shuffle<T>(dice: &mut Dice, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, dice.index(last + 1));
    }
}

/// `SplitMix64`: enough randomness for tests, and the same on every machine.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).expect("below a usize")
    }

    pub(crate) fn below(&mut self, count: i64) -> i64 {
        i64::try_from(self.next() % count.unsigned_abs()).expect("below an i64")
    }

    pub(crate) fn one_in(&mut self, count: i64) -> bool {
        self.below(count) == 0
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.index(items.len())]
    }
}

const DAY: i64 = 86_400;
