//! What a page needs, asked of the views in SQL that SQLite and Postgres both understand.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use analytics::presence::calendar::{Calendar, OpeningHours, Window};
use analytics::presence::engine::Settings;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use store::presence::Level;

use super::choice::{Chosen, There};
use super::page::{Bar, Flow, Line, Occupancy, Page, Place, Summary};
use crate::ask::{Asker, Reader, moment, quoted};
use crate::failure::{Code, Failure};

mod week;

/// Access points on a page.
const PLACES_MAX: usize = 12;
/// Flows on a page.
const FLOWS_MAX: usize = 10;
const MINUTES_OF_HOUR: f64 = 60.0;

/// Every site and profile with its days.
pub(super) async fn what_is_there(store: &mut Asker) -> Result<Vec<There>, Failure> {
    let mut there: BTreeMap<(String, String), BTreeSet<Date>> = BTreeMap::new();
    for row in store.rows("SELECT site, profile, day FROM daily WHERE place_kind = 'site'").await? {
        let mut row = Reader::new(&row);
        let of = (row.text(), row.text());
        there.entry(of).or_default().insert(date(&row.text())?);
    }
    Ok(there.into_iter().map(|((site, profile), days)| There { site, profile, days }).collect())
}

/// One line of the table of many sites.
pub(super) async fn summary(store: &mut Asker, settings: &Settings, chosen: &Chosen) -> Result<Line, Failure> {
    let site = Site::new(settings, chosen);
    let days = days(store, &site).await?;
    let summary = if chosen.is_week() { week::summary(store, &site, &days).await? } else { day(&days) };
    Ok(Line { site: chosen.site.clone(), day: chosen.first.to_string(), summary })
}

/// A whole page.
pub(super) async fn page(store: &mut Asker, settings: &Settings, chosen: &Chosen) -> Result<Page, Failure> {
    let site = Site::new(settings, chosen);
    let days = days(store, &site).await?;
    let names = names(store, settings, &chosen.site).await?;
    let is_week = chosen.is_week();
    let data_until = days.last().map_or(0, |day| day.data_until);
    Ok(Page {
        site: chosen.site.clone(),
        title: title(chosen),
        profile: chosen.profile.clone(),
        data_until: site.clock(data_until, "%Y-%m-%d %H:%M %Z"),
        coverage: coverage(&days),
        is_final: !days.is_empty() && days.iter().all(|day| day.is_final),
        summary: if is_week { week::summary(store, &site, &days).await? } else { day(&days) },
        is_week,
        bars: if is_week { week::bars(&site, &days) } else { hours(store, &site).await? },
        occupancy: occupancy(store, &site, data_until).await?,
        places: if is_week { week::places(store, &site, &names).await? } else { places(store, &site, &names).await? },
        flows: flows(store, &site, &names).await?,
    })
}

/// The site and time of a page, as conditions and as times.
struct Site<'a> {
    chosen: &'a Chosen,
    zone: TimeZone,
    days: Vec<Window>,
    hours: Vec<Window>,
}

impl<'a> Site<'a> {
    fn new(settings: &Settings, chosen: &'a Chosen) -> Self {
        let (zone, opening): (TimeZone, Option<OpeningHours>) = match settings.sites.iter().find(|site| site.name == chosen.site) {
            Some(site) => (site.time_zone.clone(), site.opening),
            None => (settings.time_zone.clone(), None),
        };
        let mut calendar = Calendar::new(zone.clone(), opening);
        let (mut days, mut hours) = (Vec::new(), Vec::new());
        let dates = chosen.dates();
        let noon = |date: &Date| zone.to_ambiguous_zoned(date.at(12, 0, 0, 0)).compatible().map_or(0, |noon| noon.timestamp().as_second());
        for date in &dates {
            let day = calendar.day(noon(date));
            calendar.overlapped(day.start, day.end, |window| if window.level == Level::Day { days.push(window) } else { hours.push(window) });
        }
        Self { chosen, zone, days, hours }
    }

    fn condition(&self) -> String {
        format!("site = {} AND profile = {}", quoted(&self.chosen.site), quoted(&self.chosen.profile))
    }

    fn from(&self) -> i64 {
        self.days.first().map_or(0, |day| day.start)
    }

    fn to(&self) -> i64 {
        self.days.last().map_or(0, |day| day.start + day.length_s)
    }

    /// The condition that a column of times lies in the page's days.
    fn during(&self, column: &str) -> String {
        format!("{column} >= {} AND {column} < {}", moment(self.from()), moment(self.to()))
    }

    fn on_days(&self) -> String {
        let dates: Vec<String> = self.chosen.dates().iter().map(|date| quoted(&date.to_string())).collect();
        format!("day IN ({})", dates.join(", "))
    }

    /// A time as the site's clocks show it.
    fn clock(&self, seconds: i64, format: &str) -> String {
        let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        time.to_zoned(self.zone.clone()).strftime(format).to_string()
    }
}

/// A row of `daily` at the site.
struct Day {
    date: Date,
    summary: Summary,
    bounces: Option<i64>,
    coverage: Option<f64>,
    is_final: bool,
    data_until: i64,
}

async fn days(store: &mut Asker, site: &Site<'_>) -> Result<Vec<Day>, Failure> {
    let sql = format!(
        "SELECT day, visitors, passersby, capture_rate, connected, visits, bounce_rate, dwell_avg, dwell_p50, dwell_p90, new_visitors, returning_visitors, \
         unknown_visitors, bounces, coverage, final, data_until FROM daily WHERE place_kind = 'site' AND {} AND {} ORDER BY day",
        site.condition(),
        site.on_days()
    );
    let mut days = Vec::new();
    for row in store.rows(&sql).await? {
        let mut row = Reader::new(&row);
        days.push(Day {
            date: date(&row.text())?,
            summary: Summary {
                visitors: row.whole(),
                passers_by: row.whole(),
                capture_rate: row.number(),
                connected: row.whole(),
                visits: row.whole(),
                bounce_rate: row.number(),
                dwell_mean_s: row.number(),
                dwell_median_s: row.number(),
                dwell_p90_s: row.number(),
                new: row.whole(),
                returning: row.whole(),
                unknown: row.whole(),
            },
            bounces: row.whole(),
            coverage: row.number(),
            is_final: row.flag().unwrap_or(false),
            data_until: row.time()?,
        });
    }
    Ok(days)
}

fn day(days: &[Day]) -> Summary {
    days.first().map(|day| day.summary.clone()).unwrap_or_default()
}

fn coverage(days: &[Day]) -> Option<f64> {
    let known: Vec<f64> = days.iter().filter_map(|day| day.coverage).collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

/// The hours of a day, from the first to the last with rows.
async fn hours(store: &mut Asker, site: &Site<'_>) -> Result<Vec<Bar>, Failure> {
    let sql = format!("SELECT hour, visitors, passersby FROM hourly WHERE place_kind = 'site' AND {} AND {}", site.condition(), site.during("hour"));
    let mut known: BTreeMap<i64, (Option<i64>, Option<i64>)> = BTreeMap::new();
    for row in store.rows(&sql).await? {
        let mut row = Reader::new(&row);
        known.insert(row.time()?, (row.whole(), row.whole()));
    }
    let (Some(first), Some(last)) = (known.keys().next().copied(), known.keys().next_back().copied()) else { return Ok(Vec::new()) };
    let hours = site.hours.iter().filter(|hour| (first..=last).contains(&hour.start));
    let bar = |hour: &Window| {
        let (visitors, passers_by) = known.get(&hour.start).copied().unwrap_or((Some(0), Some(0)));
        Bar { label: site.clock(hour.start, "%H:%M"), visitors, passers_by }
    };
    Ok(hours.map(bar).collect())
}

/// Devices present, over the hours of a day or the days of a week that have any.
async fn occupancy(store: &mut Asker, site: &Site<'_>, data_until: i64) -> Result<Vec<Occupancy>, Failure> {
    let sql = format!("SELECT minute, devices FROM occupancy WHERE place_kind = 'site' AND {} AND {} ORDER BY minute", site.condition(), site.during("minute"));
    let mut minutes: Vec<(i64, i64)> = Vec::new();
    for row in store.rows(&sql).await? {
        let mut row = Reader::new(&row);
        minutes.push((row.time()?, row.whole().unwrap_or(0)));
    }
    let is_week = site.chosen.is_week();
    let (windows, label, at) = if is_week { (&site.days, "%a %-d %b", "%H:%M") } else { (&site.hours, "%H:%M", "%H:%M") };
    let mut rows = Vec::new();
    for window in windows {
        let end = window.start + window.length_s;
        let within: Vec<(i64, i64)> = minutes.iter().copied().filter(|(minute, _)| (window.start..end).contains(minute)).collect();
        let Some(&(peak_at, peak)) = within.iter().max_by_key(|(minute, devices)| (*devices, std::cmp::Reverse(*minute))) else { continue };
        // Minutes without a row had nobody; those after data_until are not known.
        let known = end.min(data_until.max(within.last().map_or(0, |(minute, _)| minute + 60)));
        let length = ((known - window.start) as f64 / MINUTES_OF_HOUR).max(1.0);
        let mean = within.iter().map(|(_, devices)| *devices as f64).sum::<f64>() / length;
        rows.push(Occupancy { label: site.clock(window.start, label), mean, peak, peak_at: site.clock(peak_at, at) });
    }
    Ok(rows)
}

async fn places(store: &mut Asker, site: &Site<'_>, names: &HashMap<String, String>) -> Result<Vec<Place>, Failure> {
    let sql = format!(
        "SELECT place, visitors, dwell_total, dwell_avg, capture_rate FROM daily WHERE place_kind = 'ap' AND {} AND {} \
         ORDER BY coalesce(visitors, 0) DESC, dwell_total DESC, place LIMIT {PLACES_MAX}",
        site.condition(),
        site.on_days()
    );
    let mut places = Vec::new();
    for row in store.rows(&sql).await? {
        let mut row = Reader::new(&row);
        places.push(Place {
            name: named(names, row.text()),
            visitors: row.whole(),
            dwell_total_s: row.whole(),
            stay_mean_s: row.number(),
            capture_rate: row.number(),
        });
    }
    Ok(places)
}

async fn flows(store: &mut Asker, site: &Site<'_>, names: &HashMap<String, String>) -> Result<Vec<Flow>, Failure> {
    let sql = format!(
        "SELECT from_place, to_place, sum(transitions) AS transitions FROM flow WHERE {} AND {} \
         GROUP BY from_place, to_place ORDER BY 3 DESC, 1, 2 LIMIT {FLOWS_MAX}",
        site.condition(),
        site.during("hour")
    );
    let mut flows = Vec::new();
    for row in store.rows(&sql).await? {
        let mut row = Reader::new(&row);
        flows.push(Flow { from: named(names, row.text()), to: named(names, row.text()), transitions: row.whole().unwrap_or(0) });
    }
    Ok(flows)
}

/// What access points are called by the receivers of a site: the name that another tenant gives is none of it.
async fn names(store: &mut Asker, settings: &Settings, site: &str) -> Result<HashMap<String, String>, Failure> {
    let receivers: BTreeSet<&str> = match settings.sites.iter().find(|known| known.name == site) {
        Some(known) => known.networks.iter().map(|(receiver, _)| receiver.as_str()).chain(known.receivers.iter().map(String::as_str)).collect(),
        None => [site.split('/').next().unwrap_or(site)].into(),
    };
    let receivers: Vec<String> = receivers.into_iter().map(quoted).collect();
    let sql = format!("SELECT ap, name FROM access_points WHERE name IS NOT NULL AND receiver IN ({}) ORDER BY last_seen", receivers.join(", "));
    let rows = store.rows(&sql).await?;
    Ok(rows.iter().map(|row| Reader::new(row)).map(|mut row| (row.text(), row.text())).collect())
}

fn named(names: &HashMap<String, String>, place: String) -> String {
    names.get(&place).cloned().unwrap_or(place)
}

fn title(chosen: &Chosen) -> String {
    let day = chosen.first.strftime("%A, %-d %B %Y");
    if chosen.is_week() { format!("week of {day}") } else { day.to_string() }
}

fn date(text: &str) -> Result<Date, Failure> {
    text.parse().map_err(|error| Failure::new(Code::Software, format!("read the day {text:?} of a view: {error}")))
}
