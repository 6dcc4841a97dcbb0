//! Differences between what is true and what is published: per place, over all places, and cell by cell.

use std::collections::{BTreeMap, BTreeSet};

use store::presence::Level;

use super::counts::{Counts, OUTSIDE, Row, SITE};
use super::presence::Moments;

const HOUR_S: f64 = 3_600.0;
const MINUTE_S: i64 = 60;

/// One number, twice.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Pair {
    pub(super) truth: f64,
    pub(super) published: f64,
    /// The mean or sum of absolute differences of the cells that the number is made of; the absolute difference when it is one cell.
    pub(super) absolute: f64,
}

impl Pair {
    fn of(truth: f64, published: f64) -> Self {
        Self { truth, published, absolute: (published - truth).abs() }
    }

    pub(super) fn difference(self) -> f64 {
        self.published - self.truth
    }

    /// The difference in percent of the truth; none when that is 0.
    pub(super) fn percent(self) -> Option<f64> {
        percent(self.difference(), self.truth)
    }
}

/// A number of the site and of its access points.
pub(super) struct Measure {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) decimals: usize,
    pub(super) site: Pair,
    pub(super) aps: Vec<(String, Pair)>,
}

/// Errors over all access points.
pub(super) struct Spread {
    pub(super) mean_absolute_error: f64,
    pub(super) mean_absolute_error_percent: Option<f64>,
    pub(super) bias: f64,
    pub(super) bias_percent: Option<f64>,
}

impl Measure {
    /// None without access points.
    pub(super) fn spread(&self) -> Option<Spread> {
        let count = self.aps.len() as f64;
        let sum = |of: fn(Pair) -> f64| self.aps.iter().map(|(_, pair)| of(*pair)).sum::<f64>();
        let (truth, absolute, difference) = (sum(|pair| pair.truth), sum(|pair| pair.absolute), sum(Pair::difference));
        (count > 0.0).then(|| Spread {
            mean_absolute_error: absolute / count,
            mean_absolute_error_percent: percent(absolute, truth),
            bias: difference / count,
            bias_percent: percent(difference, truth),
        })
    }
}

/// How many single values there are, and how many of them differ.
pub(super) struct Cells {
    pub(super) name: &'static str,
    pub(super) compared: usize,
    pub(super) different: usize,
}

/// What is to be said of one site.
pub(super) struct Comparison {
    pub(super) site: String,
    pub(super) profile: String,
    pub(super) moments: Moments,
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) measures: Vec<Measure>,
    pub(super) cells: Vec<Cells>,
}

impl Comparison {
    pub(super) fn new(site: String, profile: &str, moments: Moments, aps: BTreeSet<String>, truth: &Counts, published: &Counts) -> Self {
        let both = Both { truth, published };
        let measure = |name, unit, decimals, of: &dyn Fn(&str) -> Pair| Measure {
            name,
            unit,
            decimals,
            site: of(SITE),
            aps: aps.iter().map(|ap| (ap.clone(), of(ap))).collect(),
        };
        let hours = |row: &Row| row.dwell_s as f64 / HOUR_S;
        let mut measures = vec![
            measure("visitors", "clients", 0, &|place| both.over_days(place, |row| row.visitors as f64)),
            measure("dwell", "person-hours", 2, &|place| both.over_days(place, hours)),
            measure("mean dwell", "minutes", 1, &|place| both.mean_dwell(place)),
            measure("occupancy", "devices", 2, &|place| both.occupancy(place)),
            measure("flow", "transitions", 0, &|place| both.flow(place)),
        ];
        let passers_by = Measure { aps: Vec::new(), ..measure("passers-by", "clients", 0, &|place| both.over_days(place, |row| row.passers_by as f64)) };
        measures.insert(1, passers_by);
        Self { site, profile: profile.to_owned(), moments, from: truth.from, to: truth.to, measures, cells: both.cells() }
    }

    /// How many single values differ.
    pub(super) fn differences(&self) -> usize {
        self.cells.iter().map(|cells| cells.different).sum()
    }
}

struct Both<'a> {
    truth: &'a Counts,
    published: &'a Counts,
}

impl Both<'_> {
    fn over_days(&self, place: &str, of: impl Fn(&Row) -> f64) -> Pair {
        let days = self.truth.windows.iter().enumerate().filter(|(_, window)| window.level == Level::Day).map(|(number, _)| number);
        let value = |counts: &Counts, day| counts.rows.get(&(day, place.to_owned())).map_or(0.0, &of);
        let pairs = days.map(|day| Pair::of(value(self.truth, day), value(self.published, day)));
        pairs.fold(Pair::default(), |sum, pair| Pair {
            truth: sum.truth + pair.truth,
            published: sum.published + pair.published,
            absolute: sum.absolute + pair.absolute,
        })
    }

    /// In minutes; 0 where nothing was counted.
    fn mean_dwell(&self, place: &str) -> Pair {
        let (dwell, visits) = (self.over_days(place, |row| row.dwell_s as f64), self.over_days(place, |row| row.visits as f64));
        let mean = |dwell: f64, visits: f64| if visits > 0.0 { dwell / visits / 60.0 } else { 0.0 };
        Pair::of(mean(dwell.truth, visits.truth), mean(dwell.published, visits.published))
    }

    /// Means over the full minutes of the whole time.
    fn occupancy(&self, place: &str) -> Pair {
        let first = self.truth.from + (-self.truth.from).rem_euclid(MINUTE_S);
        let value = |counts: &Counts, minute| counts.occupancy.get(&(place.to_owned(), minute)).map_or(0.0, |devices| *devices as f64);
        let (mut sum, mut minutes) = (Pair::default(), 0.0);
        for minute in (first..self.truth.to).step_by(MINUTE_S as usize) {
            let (truth, published) = (value(self.truth, minute), value(self.published, minute));
            sum = Pair { truth: sum.truth + truth, published: sum.published + published, absolute: sum.absolute + (published - truth).abs() };
            minutes += 1.0;
        }
        let mean = |sum: f64| if minutes > 0.0 { sum / minutes } else { 0.0 };
        Pair { truth: mean(sum.truth), published: mean(sum.published), absolute: mean(sum.absolute) }
    }

    /// Into a place from each other; of the site, from outside.
    fn flow(&self, place: &str) -> Pair {
        let mut pairs: BTreeMap<&str, Pair> = BTreeMap::new();
        for (counts, is_truth) in [(self.truth, true), (self.published, false)] {
            for ((from, to, _), transitions) in &counts.flow {
                if to == place || (place == SITE && from == OUTSIDE) {
                    let pair = pairs.entry(from).or_default();
                    *(if is_truth { &mut pair.truth } else { &mut pair.published }) += *transitions as f64;
                }
            }
        }
        pairs.values().fold(Pair::default(), |sum, pair| Pair {
            truth: sum.truth + pair.truth,
            published: sum.published + pair.published,
            absolute: sum.absolute + pair.difference().abs(),
        })
    }

    fn cells(&self) -> Vec<Cells> {
        let (truth, published) = (self.truth, self.published);
        vec![
            differing("visits, by start and end", &truth.visits, &published.visits),
            differing("stays, by place, start and end", &truth.stays, &published.stays),
            differing("rows of hourly and daily", &truth.rows, &published.rows),
            differing("minutes of occupancy", &truth.occupancy, &published.occupancy),
            differing("hours of flow, by from and to", &truth.flow, &published.flow),
        ]
    }
}

/// Counts the keys of either whose values differ; what is missing is zero.
fn differing<K: Ord + Clone, V: PartialEq + Default>(name: &'static str, truth: &BTreeMap<K, V>, published: &BTreeMap<K, V>) -> Cells {
    let keys: BTreeSet<&K> = truth.keys().chain(published.keys()).collect();
    let none = V::default();
    let is_different = |key: &&&K| truth.get(**key).unwrap_or(&none) != published.get(**key).unwrap_or(&none);
    Cells { name, compared: keys.len(), different: keys.iter().filter(is_different).count() }
}

fn percent(part: f64, whole: f64) -> Option<f64> {
    (whole != 0.0).then(|| part / whole * 100.0)
}
