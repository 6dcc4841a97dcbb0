//! The numbers of the views.

use store::presence::Level;

use super::counts::{Counts, SITE};
use crate::ask::{Asker, Reader, moment, quoted};
use crate::failure::Failure;

/// Fills counts with what the store publishes of a site under a profile.
pub(super) async fn counts(store: &mut Asker, site: &str, profile: &str, mut counts: Counts) -> Result<Counts, Failure> {
    let of_site = format!("site = {} AND profile = {}", quoted(site), quoted(profile));
    let (from, to) = (counts.from, counts.to);
    windows(store, &of_site, &mut counts).await?;

    let sql = format!(
        "SELECT started_at, ended_at FROM visits WHERE {of_site} AND identity <> 'local_unassoc' AND started_at < {} AND ended_at >= {}",
        moment(to),
        moment(from)
    );
    for row in store.rows(&sql).await? {
        let mut row = Reader::new(&row);
        *counts.visits.entry((row.time()?, row.time()?)).or_default() += 1;
    }

    let sql = format!(
        "SELECT s.place, s.started_at, s.ended_at FROM stays s JOIN visits v ON v.visit_id = s.visit_id AND v.site = s.site AND v.profile = s.profile \
         WHERE s.site = {} AND s.profile = {} AND s.place_kind IN ('ap', 'unlocated') AND v.identity <> 'local_unassoc' AND s.started_at < {} AND s.ended_at >= {}",
        quoted(site),
        quoted(profile),
        moment(to),
        moment(from)
    );
    for row in store.rows(&sql).await? {
        let mut row = Reader::new(&row);
        *counts.stays.entry((row.text(), row.time()?, row.time()?)).or_default() += 1;
    }

    let sql = format!(
        "SELECT place_kind, place, minute, devices FROM occupancy WHERE {of_site} AND place_kind IN ('site', 'ap') AND minute >= {} AND minute < {}",
        moment(from),
        moment(to)
    );
    for row in store.rows(&sql).await? {
        let mut row = Reader::new(&row);
        let cell = (place(&mut row), row.time()?);
        *counts.occupancy.entry(cell).or_default() += row.whole().unwrap_or(0);
    }

    for row in store.rows(&format!("SELECT from_place, to_place, hour, transitions FROM flow WHERE {of_site}")).await? {
        let mut row = Reader::new(&row);
        let (from_place, to_place, hour) = (row.text(), row.text(), row.time()?);
        if counts.window(Level::Hour, |window| window.start == hour).is_some() {
            *counts.flow.entry((from_place, to_place, hour)).or_default() += row.whole().unwrap_or(0);
        }
    }
    Ok(counts)
}

/// Hours and days.
async fn windows(store: &mut Asker, of_site: &str, counts: &mut Counts) -> Result<(), Failure> {
    for (level, view, name) in [(Level::Hour, "hourly", "hour"), (Level::Day, "daily", "day")] {
        let sql = format!(
            "SELECT {name}, place_kind, place, visitors, visits, exits, dwell_total, passersby, bounces FROM {view} WHERE {of_site} AND place_kind IN ('site', 'ap')"
        );
        for row in store.rows(&sql).await? {
            let mut row = Reader::new(&row);
            let window = match level {
                Level::Hour => {
                    let hour = row.time()?;
                    counts.window(level, |window| window.start == hour)
                }
                Level::Day => {
                    let day = row.text();
                    counts.window(level, |window| date(window.day) == day)
                }
            };
            let Some(window) = window else { continue };
            let place = place(&mut row);
            let is_site = place == SITE;
            let counted = counts.row(window, &place);
            let mut next = || row.whole().unwrap_or(0);
            (counted.visitors, counted.visits, counted.exits, counted.dwell_s) = (next(), next(), next(), next());
            let (passers_by, bounces) = (next(), next());
            if is_site {
                (counted.passers_by, counted.bounces) = (passers_by, bounces);
            }
        }
    }
    Ok(())
}

fn place(row: &mut Reader<'_>) -> String {
    let (kind, place) = (row.text(), row.text());
    if kind == "site" { SITE.to_owned() } else { place }
}

/// A day by its number since 1970.
fn date(number: i32) -> String {
    let epoch = jiff::civil::date(1970, 1, 1);
    epoch.checked_add(jiff::Span::new().days(i64::from(number))).map_or_else(|_| String::new(), |date| date.to_string())
}
