//! A page as text.

use super::bars::{bar, count, hours, left, length, right, share, short};
use super::page::{Flow, Line, Occupancy, Page, Place, Summary};

/// How wide, and whether in colour.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) width: usize,
    pub(super) is_coloured: bool,
}

/// What is drawn.
#[derive(Clone, Copy)]
enum Ink {
    Heading,
    Visitors,
    PassersBy,
    Warning,
}

impl Style {
    fn paint(self, ink: Ink, text: &str) -> String {
        if !self.is_coloured || text.is_empty() {
            return text.to_owned();
        }
        let code = match ink {
            Ink::Heading => "1",
            Ink::Visitors => "36",
            Ink::PassersBy => "90",
            Ink::Warning => "33",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// At least wide enough for the columns of numbers.
    fn columns(self) -> usize {
        self.width.clamp(WIDTH_MIN, WIDTH_MAX)
    }
}

/// The whole page of one site.
pub(super) fn page(page: &Page, style: Style) -> String {
    let mut parts = vec![head(page, style), summary(&page.summary, page.is_week)];
    if !page.bars.is_empty() {
        parts.push(visitors(page, style));
    }
    if !page.occupancy.is_empty() {
        parts.push(occupancy(&page.occupancy, page.is_week, style));
    }
    if !page.places.is_empty() {
        parts.push(places(&page.places, style));
    }
    if !page.flows.is_empty() {
        parts.push(flows(&page.flows, style));
    }
    parts.join("\n")
}

/// Many sites, a line each.
pub(super) fn sites(lines: &[Line], style: Style) -> String {
    let longest = lines.iter().map(|line| line.site.chars().count()).max().unwrap_or(0);
    let width = longest.clamp("site".len(), style.columns() - 50);
    let heading = format!("{}  {}{:>9}{:>9}{:>8}{:>12}", left("site", width), left("day", 10), "visitors", "capture", "visits", "mean dwell");
    let mut text = style.paint(Ink::Heading, &heading) + "\n";
    for line in lines {
        let Summary { visitors, capture_rate, visits, dwell_mean_s, .. } = &line.summary;
        text.push_str(&format!("{}  {}", left(&short(&line.site, width), width), left(&line.day, 10)));
        text.push_str(&right(&count(*visitors), 9));
        text.push_str(&right(&share(*capture_rate), 9));
        text.push_str(&right(&count(*visits), 8));
        text.push_str(&right(&length(*dwell_mean_s), 12));
        text.push('\n');
    }
    text + "\nThe page of a site: footfall report --site SITE\n"
}

fn head(page: &Page, style: Style) -> String {
    let finality = if page.is_final { "final" } else { "not final yet" };
    let coverage = format!("coverage {}", share(page.coverage));
    let is_poor = page.coverage.is_some_and(|coverage| coverage < COVERAGE_MIN);
    let coverage =
        if is_poor { style.paint(Ink::Warning, &format!("{coverage}: in the other minutes no post arrived; counts may be too low")) } else { coverage };
    let title = style.paint(Ink::Heading, &format!("{}  {}", short(&page.site, style.columns()), page.title));
    format!("{title}\nprofile {}, data until {}, {finality}\n{coverage}\n", page.profile, page.data_until)
}

fn summary(summary: &Summary, is_week: bool) -> String {
    let by_day = |text: String| if is_week { "by day".to_owned() } else { text };
    let new_and_returning = match (summary.new, summary.returning, summary.unknown) {
        (Some(new), Some(returning), unknown) if new + returning > 0 || unknown == Some(0) => (
            new.to_string(),
            format!("{returning}{}", unknown.filter(|unknown| *unknown > 0).map_or_else(String::new, |unknown| format!(", unknown {unknown}"))),
        ),
        _ => ("unknown".to_owned(), "unknown".to_owned()),
    };
    let cells = [
        [("visitors", count(summary.visitors)), ("passers-by", by_day(count(summary.passers_by))), ("capture rate", by_day(share(summary.capture_rate)))],
        [("visits", count(summary.visits)), ("connected", by_day(count(summary.connected))), ("bounce rate", share(summary.bounce_rate))],
        [("mean dwell", length(summary.dwell_mean_s)), ("median dwell", length(summary.dwell_median_s)), ("90 % within", length(summary.dwell_p90_s))],
        [("new", new_and_returning.0), ("returning", new_and_returning.1), ("", String::new())],
    ];
    let line = |row: [(&str, String); 3]| {
        let cells = row.map(|(name, value)| format!("{}{}", left(name, 14), left(&value, 12)));
        format!("  {}\n", cells.concat().trim_end())
    };
    cells.map(line).concat()
}

/// Visitors and passers-by, each on a scale of its own half.
fn visitors(page: &Page, style: Style) -> String {
    let title = if page.is_week { "Visitors by day" } else { "Visitors by hour" };
    let label = page.bars.iter().map(|bar| bar.label.chars().count()).max().unwrap_or(0);
    let half = (style.columns() - label - 4 - 2 * NUMBER).max(20) / 2;
    let most = |of: fn(&super::page::Bar) -> Option<i64>| page.bars.iter().filter_map(of).max().unwrap_or(0) as f64;
    let (most_visitors, most_passers_by) = (most(|bar| bar.visitors), most(|bar| bar.passers_by));
    let scale = most_visitors.max(most_passers_by);
    let heading = format!("{}passers-by", left(title, label + 4 + half + 2 * NUMBER - "passers-by".len()));
    let mut text = style.paint(Ink::Heading, &heading) + "\n";
    for line in &page.bars {
        let drawn = |value: Option<i64>| bar(value.unwrap_or(0) as f64, scale, half.saturating_sub(1));
        text.push_str(&format!("  {} {} ", left(&line.label, label), right(&count(line.visitors), NUMBER)));
        text.push_str(&style.paint(Ink::Visitors, &left(&drawn(line.visitors), half)));
        text.push_str(&right(&count(line.passers_by), NUMBER));
        text.push(' ');
        text.push_str(&style.paint(Ink::PassersBy, &drawn(line.passers_by)));
        ended(&mut text);
    }
    if page.is_week {
        text.push_str("  A client who came on two days is in both.\n");
    }
    text
}

fn occupancy(hours: &[Occupancy], is_week: bool, style: Style) -> String {
    let label = hours.iter().map(|hour| hour.label.chars().count()).max().unwrap_or(0);
    let most = hours.iter().map(|hour| hour.peak).max().unwrap_or(0) as f64;
    let width = style.columns().saturating_sub(label + 34);
    let title = if is_week { "Devices present by day" } else { "Devices present by hour" };
    let heading = format!("{}{}{}", left(title, label + 4 + width), right("mean", 8), right("peak", 7));
    let mut text = style.paint(Ink::Heading, &heading) + "\n";
    for hour in hours {
        let mean = bar(hour.mean, most, width);
        // From the mean to the peak.
        let drawn = mean.chars().count();
        let peak = ((hour.peak as f64 / most.max(1.0) * width as f64).round() as usize).max(drawn);
        text.push_str(&format!("  {} ", left(&hour.label, label)));
        text.push_str(&style.paint(Ink::Visitors, &mean));
        text.push_str(&style.paint(Ink::PassersBy, &left(&"·".repeat(peak - drawn), width + 1 - drawn)));
        text.push_str(&format!("{:>8.1}{:>7} at {}", hour.mean, hour.peak, hour.peak_at));
        ended(&mut text);
    }
    text
}

fn places(places: &[Place], style: Style) -> String {
    let name = places.iter().map(|place| place.name.chars().count()).max().unwrap_or(0).clamp(12, NAME_MAX);
    let most = places.iter().filter_map(|place| place.visitors).max().unwrap_or(0) as f64;
    let width = style.columns().saturating_sub(name + 3 + 9 + 15 + 11 + 9).clamp(6, 40);
    let heading = format!(
        "{}{}{}{}{}",
        left("Access points", name + 3 + width),
        right("visitors", 9),
        right("dwell total", 15),
        right("mean stay", 11),
        right("capture", 9)
    );
    let mut text = style.paint(Ink::Heading, &heading) + "\n";
    for place in places {
        text.push_str(&format!("  {} ", left(&short(&place.name, name), name)));
        text.push_str(&style.paint(Ink::Visitors, &left(&bar(place.visitors.unwrap_or(0) as f64, most, width), width)));
        text.push_str(&right(&count(place.visitors), 9));
        text.push_str(&right(&hours(place.dwell_total_s), 15));
        text.push_str(&right(&length(place.stay_mean_s), 11));
        text.push_str(&right(&share(place.capture_rate), 9));
        ended(&mut text);
    }
    text
}

fn flows(flows: &[Flow], style: Style) -> String {
    let longest = |of: fn(&Flow) -> &str| flows.iter().map(|flow| of(flow).chars().count()).max().unwrap_or(0).min(NAME_MAX);
    let (from, to) = (longest(|flow| &flow.from), longest(|flow| &flow.to));
    let most = flows.iter().map(|flow| flow.transitions).max().unwrap_or(0) as f64;
    let width = style.columns().saturating_sub(from + to + 7 + NUMBER).clamp(6, 40);
    let mut text = style.paint(Ink::Heading, "Ways most taken") + "\n";
    for flow in flows {
        text.push_str(&format!("  {} → {} ", left(&short(&flow.from, from), from), left(&short(&flow.to, to), to)));
        text.push_str(&right(&flow.transitions.to_string(), NUMBER));
        text.push(' ');
        text.push_str(&style.paint(Ink::Visitors, &bar(flow.transitions as f64, most, width)));
        ended(&mut text);
    }
    text
}

/// Ends a line without blanks at its end.
fn ended(text: &mut String) {
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}

/// What the columns of numbers need.
const WIDTH_MIN: usize = 80;
const WIDTH_MAX: usize = 140;
const NUMBER: usize = 6;
const NAME_MAX: usize = 24;
/// Below this share of minutes with posts, counts mislead.
const COVERAGE_MIN: f64 = 0.9;
