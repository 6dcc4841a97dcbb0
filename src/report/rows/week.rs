//! A week: what adds up is added up, distinct clients are counted anew over the week's visits, and what can be neither is left to the days.

use std::collections::{HashMap, HashSet};

use super::super::page::{Bar, Place, Summary};
use super::{Day, PLACES_MAX, Site, named};
use crate::ask::{Asker, Reader, moment, quoted};
use crate::failure::Failure;

/// The counts of a week.
pub(super) async fn summary(store: &mut Asker, site: &Site<'_>, days: &[Day]) -> Result<Summary, Failure> {
    let sql = format!(
        "SELECT client, started_at, ended_at, dwell_s, is_returning, cut FROM visits WHERE {} AND identity <> 'local_unassoc' AND {} ORDER BY started_at, client",
        site.condition(),
        overlapping(site, "started_at", "ended_at")
    );
    let (mut clients, mut lengths) = (HashSet::new(), Vec::new());
    let (mut new, mut returning, mut unknown) = (0, 0, 0);
    for row in store.rows(&sql).await? {
        let mut row = Reader::new(&row);
        let (client, started_at, ended_at) = (row.text(), row.time()?, row.time()?);
        let (dwell_s, is_returning, cut) = (row.number().unwrap_or(0.0), row.flag(), row.some_text());
        // Opening hours cut the days.
        let overlaps = site.days.iter().any(|day| started_at < day.to && (ended_at > day.from || started_at >= day.from));
        if overlaps && clients.insert(client) {
            *(match is_returning {
                Some(false) => &mut new,
                Some(true) => &mut returning,
                None => &mut unknown,
            }) += 1;
        }
        if cut.is_none() && site.days.iter().any(|day| (day.from..day.to).contains(&started_at)) {
            lengths.push(dwell_s);
        }
    }
    lengths.sort_by(f64::total_cmp);
    let sum = |of: fn(&Day) -> Option<i64>| days.iter().map(of).sum::<Option<i64>>();
    let (visits, bounces) = (sum(|day| day.summary.visits), sum(|day| day.bounces));
    Ok(Summary {
        visitors: i64::try_from(clients.len()).ok(),
        passers_by: None,
        capture_rate: None,
        connected: None,
        visits,
        bounce_rate: visits.zip(bounces).filter(|(visits, bounces)| visits + bounces > 0).map(|(visits, bounces)| bounces as f64 / (visits + bounces) as f64),
        dwell_mean_s: (!lengths.is_empty()).then(|| lengths.iter().sum::<f64>() / lengths.len() as f64),
        dwell_median_s: nearest_rank(&lengths, 50),
        dwell_p90_s: nearest_rank(&lengths, 90),
        new: Some(new),
        returning: Some(returning),
        unknown: Some(unknown),
    })
}

/// The days, those without rows too.
pub(super) fn bars(site: &Site<'_>, days: &[Day]) -> Vec<Bar> {
    let dates = site.chosen.dates();
    let bar = |date: &jiff::civil::Date| {
        let day = days.iter().find(|day| day.date == *date);
        let count = |of: fn(&Summary) -> Option<i64>| day.map_or(Some(0), |day| of(&day.summary));
        Bar { label: date.strftime("%a %-d %b").to_string(), visitors: count(|summary| summary.visitors), passers_by: count(|summary| summary.passers_by) }
    };
    dates.iter().map(bar).collect()
}

/// Access points over the week; their passers-by are not kept for it, so there is no capture rate.
pub(super) async fn places(store: &mut Asker, site: &Site<'_>, names: &HashMap<String, String>) -> Result<Vec<Place>, Failure> {
    // Distinct clients do not add up over days, so they are counted in the week's stays, all access points in one pass.
    let sql = format!(
        "SELECT s.place, count(DISTINCT v.client) FROM stays s JOIN visits v ON v.visit_id = s.visit_id AND v.site = s.site AND v.profile = s.profile \
         WHERE s.site = {} AND s.profile = {} AND s.place_kind = 'ap' AND v.identity <> 'local_unassoc' AND {} GROUP BY s.place",
        quoted(&site.chosen.site),
        quoted(&site.chosen.profile),
        overlapping(site, "s.started_at", "s.ended_at")
    );
    let rows = store.rows(&sql).await?;
    let visitors: HashMap<String, Option<i64>> = rows.iter().map(|row| Reader::new(row)).map(|mut row| (row.text(), row.whole())).collect();
    let sql = format!(
        "SELECT place, sum(dwell_total), 1.0 * sum(dwell_total) / nullif(sum(visits), 0) FROM daily WHERE place_kind = 'ap' AND {} AND {} GROUP BY place",
        site.condition(),
        site.on_days()
    );
    let mut places = Vec::new();
    for row in store.rows(&sql).await? {
        let mut row = Reader::new(&row);
        let place = row.text();
        let visitors = visitors.get(&place).copied().unwrap_or(Some(0));
        places.push(Place { name: named(names, place), visitors, dwell_total_s: row.whole(), stay_mean_s: row.number(), capture_rate: None });
    }
    places.sort_by(|left, right| (right.visitors, right.dwell_total_s).cmp(&(left.visitors, left.dwell_total_s)).then_with(|| left.name.cmp(&right.name)));
    places.truncate(PLACES_MAX);
    Ok(places)
}

fn overlapping(site: &Site<'_>, started_at: &str, ended_at: &str) -> String {
    let (from, to) = (moment(site.from()), moment(site.to()));
    // No visit is longer than a day (profile.rs), and those that began since are found by an index.
    let earliest = moment(site.from() - LONGEST_VISIT_S);
    format!("{started_at} >= {earliest} AND {started_at} < {to} AND ({ended_at} > {from} OR {started_at} >= {from})")
}

fn nearest_rank(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (percent * sorted.len()).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

/// The most that `max_visit` may be.
const LONGEST_VISIT_S: i64 = 86_400;
