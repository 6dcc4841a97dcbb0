//! The definitions of presence, applied to where somebody really was.
//!
//! Written apart from the engine, so that it can be held against it: no signal strengths, no cells, no merging. A change of access
//! point counts when it holds for `settle`; while a device is silent within a session it stays where it was (nobody in a simulation goes
//! out and comes back).

use analytics::presence::profile::Profile;

use super::truth::{Device, Stretch};

const MINUTE_S: i64 = 60;

/// At which moments the truth is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Moments {
    /// Each second.
    Second,
    /// Once a minute, at the device's own second, as a perfect radio hears it.
    Minute,
}

/// A visit that really happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Visit {
    pub(super) from: i64,
    pub(super) to: i64,
    /// Place, from, to; they fill the visit.
    pub(super) stays: Vec<(String, i64, i64)>,
}

/// What one device was.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Presence {
    pub(super) visits: Vec<Visit>,
    /// When sessions began that are too short for a visit.
    pub(super) bounces: Vec<i64>,
    /// Intervals in which it could be seen, inside or out; single moments have no length.
    pub(super) seen: Vec<(i64, i64)>,
}

/// A while at one access point, as far as it is known.
#[derive(Clone, Copy)]
struct Leg {
    ap: usize,
    /// Where the stay begins when this leg begins one.
    border: i64,
    first: i64,
    last: i64,
    /// For how long it is known to have held.
    held_s: i64,
}

/// What a device was, under a profile.
pub(super) fn of(device: &Device, aps: &[String], profile: &Profile, moments: Moments) -> Presence {
    let (legs, seen) = match moments {
        Moments::Second => (legs_by_second(&device.stretches), device.stretches.iter().map(|stretch| (stretch.from, stretch.to)).collect()),
        Moments::Minute => legs_by_minute(device),
    };
    let mut presence = Presence { seen, ..Presence::default() };
    for session in legs.chunk_by(|left, right| right.first - left.last <= profile.gap_s) {
        let (Some(first), Some(last)) = (session.first(), session.last()) else { continue };
        let (from, to) = (first.first, last.last);
        if to - from > profile.max_visit_s {
            // Part of the furniture: counted nowhere.
            return Presence::default();
        }
        if to - from < profile.min_dwell_s || minutes(session, moments) < i64::from(profile.min_minutes) {
            presence.bounces.push(from);
            continue;
        }
        presence.visits.push(Visit { from, to, stays: stays(session, aps, profile.settle_s, from, to) });
    }
    presence
}

fn minutes(session: &[Leg], moments: Moments) -> i64 {
    match moments {
        Moments::Second => session.iter().map(|leg| (leg.last - 1).div_euclid(MINUTE_S) - leg.first.div_euclid(MINUTE_S) + 1).sum(),
        Moments::Minute => session.iter().map(|leg| leg.held_s / MINUTE_S).sum(),
    }
}

fn legs_by_second(stretches: &[Stretch]) -> Vec<Leg> {
    let mut legs: Vec<Leg> = Vec::new();
    for stretch in stretches.iter().filter(|stretch| stretch.is_inside) {
        match legs.last_mut().filter(|leg| leg.ap == stretch.ap && leg.last == stretch.from) {
            Some(leg) => (leg.last, leg.held_s) = (stretch.to, stretch.to - leg.first),
            None => legs.push(Leg { ap: stretch.ap, border: stretch.from, first: stretch.from, last: stretch.to, held_s: stretch.to - stretch.from }),
        }
    }
    legs
}

/// Legs of neighbouring minutes, and all moments at which it was heard.
fn legs_by_minute(device: &Device) -> (Vec<Leg>, Vec<(i64, i64)>) {
    let (mut legs, mut seen): (Vec<Leg>, Vec<(i64, i64)>) = (Vec::new(), Vec::new());
    for stretch in &device.stretches {
        let first = stretch.from + (device.second - stretch.from).rem_euclid(MINUTE_S);
        for at in (first..stretch.to).step_by(MINUTE_S as usize) {
            if stretch.is_inside || !device.is_associated {
                seen.push((at, at));
            }
            if !stretch.is_inside {
                continue;
            }
            match legs.last_mut().filter(|leg| leg.ap == stretch.ap && leg.last + MINUTE_S == at) {
                Some(leg) => (leg.last, leg.held_s) = (at, leg.held_s + MINUTE_S),
                None => legs.push(Leg { ap: stretch.ap, border: at - at.rem_euclid(MINUTE_S), first: at, last: at, held_s: MINUTE_S }),
            }
        }
    }
    (legs, seen)
}

/// The stays of a session: the first leg stands, a later one when it held; what does not stand belongs to the last that does.
fn stays(session: &[Leg], aps: &[String], settle_s: i64, from: i64, to: i64) -> Vec<(String, i64, i64)> {
    let mut standing: Vec<(usize, i64)> = Vec::new();
    for (index, leg) in session.iter().enumerate() {
        if index == 0 {
            standing.push((leg.ap, from));
        } else if leg.held_s >= settle_s && standing.last().is_none_or(|(ap, _)| *ap != leg.ap) {
            standing.push((leg.ap, leg.border));
        }
    }
    let ends = standing.iter().skip(1).map(|(_, border)| *border).chain([to]);
    let mut stays: Vec<(String, i64, i64)> = standing.iter().zip(ends).map(|((ap, border), end)| (aps[*ap].clone(), *border, end)).collect();
    if stays.len() > 1 && stays.last().is_some_and(|(_, begin, end)| begin == end) {
        stays.pop();
    }
    stays
}
