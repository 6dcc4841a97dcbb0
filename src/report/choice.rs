//! Which sites and days a report is about, of those that the store has.

use std::collections::BTreeSet;

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};

/// A site under a profile, and its days with rows, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct There {
    pub(super) site: String,
    pub(super) profile: String,
    pub(super) days: BTreeSet<Date>,
}

/// What the command line asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) site: Option<&'a str>,
    pub(super) profile: Option<&'a str>,
    /// The profile when none is asked for.
    pub(super) main: &'a str,
    pub(super) span: Span,
}

/// The time asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Span {
    LatestDay,
    Day(Date),
    LatestWeek,
    WeekOf(Date),
}

/// What one page is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Chosen {
    pub(super) site: String,
    pub(super) profile: String,
    pub(super) first: Date,
    /// 1 for a day, 7 for a week.
    pub(super) days: i64,
}

impl Chosen {
    pub(super) fn is_week(&self) -> bool {
        self.days > 1
    }

    /// The dates, in order.
    pub(super) fn dates(&self) -> Vec<Date> {
        (0..self.days).filter_map(|number| self.first.checked_add(number.days()).ok()).collect()
    }
}

/// Chooses; the error says what is there instead.
pub(super) fn choose(there: &[There], asked: &Asked<'_>) -> Result<Vec<Chosen>, String> {
    let profiles: BTreeSet<&str> = there.iter().map(|there| there.profile.as_str()).collect();
    let wanted = asked.profile.unwrap_or(asked.main);
    let profile = profiles.iter().copied().find(|profile| *profile == wanted || profile.split('@').next() == Some(wanted));
    let Some(profile) = profile else {
        let known = profiles.into_iter().collect::<Vec<_>>().join(", ");
        return Err(format!("the store has no rows of profile {wanted}; it has {known}; name one of them with --profile"));
    };
    let of_profile: Vec<&There> = there.iter().filter(|there| there.profile == profile).collect();
    let of_site: Vec<&There> = of_profile.iter().copied().filter(|there| asked.site.is_none_or(|site| there.site == site)).collect();
    if of_site.is_empty() {
        return Err(format!("the store has no rows of site {} under {profile}; it has {}", asked.site.unwrap_or_default(), sites(&of_profile)));
    }
    let chosen: Vec<Chosen> = of_site.iter().filter_map(|there| chosen(there, asked.span)).collect();
    if chosen.is_empty() {
        let when = match asked.span {
            Span::Day(day) => format!("on {day}"),
            Span::WeekOf(day) => format!("in the week of {}", monday(day)),
            Span::LatestDay | Span::LatestWeek => "on any day".to_owned(),
        };
        let days: Vec<String> = of_site.iter().take(NAMED_MAX).map(|there| format!("{}: {}", there.site, days(there))).collect();
        return Err(format!("there are no rows {when}; there are rows of {}", days.join("; ")));
    }
    Ok(chosen)
}

fn chosen(there: &There, span: Span) -> Option<Chosen> {
    let latest = *there.days.last()?;
    let (first, days) = match span {
        Span::LatestDay => (latest, 1),
        Span::Day(day) => (day, 1),
        Span::LatestWeek => (monday(latest), WEEK_DAYS),
        Span::WeekOf(day) => (monday(day), WEEK_DAYS),
    };
    let chosen = Chosen { site: there.site.clone(), profile: there.profile.clone(), first, days };
    chosen.dates().iter().any(|date| there.days.contains(date)).then_some(chosen)
}

fn monday(day: Date) -> Date {
    day.checked_sub(i64::from(day.weekday().since(Weekday::Monday)).days()).unwrap_or(day)
}

fn sites(there: &[&There]) -> String {
    let mut named = there.iter().take(NAMED_MAX).map(|there| there.site.as_str()).collect::<Vec<_>>().join(", ");
    if there.len() > NAMED_MAX {
        named.push_str(&format!(" and {} more", there.len() - NAMED_MAX));
    }
    named
}

fn days(there: &There) -> String {
    match (there.days.first(), there.days.last()) {
        (Some(first), Some(last)) if first != last => format!("{first} to {last} ({} days with rows)", there.days.len()),
        (Some(only), _) => only.to_string(),
        _ => "no day".to_owned(),
    }
}

const WEEK_DAYS: i64 = 7;
/// A message names this many at most.
const NAMED_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn there(site: &str, days: &[i8]) -> There {
        There { site: site.to_owned(), profile: "standard@1".to_owned(), days: days.iter().map(|&day| date(2026, 11, day)).collect() }
    }

    fn asked(site: Option<&'static str>, span: Span) -> Asked<'static> {
        Asked { site, profile: None, main: "standard@1", span }
    }

    #[test]
    fn without_options_each_site_has_its_latest_day() {
        let store = [there("a", &[24, 26]), there("b", &[25])];
        let days: Vec<Date> = choose(&store, &asked(None, Span::LatestDay)).unwrap().iter().map(|chosen| chosen.first).collect();
        assert_eq!(days, [date(2026, 11, 26), date(2026, 11, 25)]);
    }

    #[test]
    fn a_week_begins_on_monday() {
        for span in [Span::LatestWeek, Span::WeekOf(date(2026, 11, 29)), Span::WeekOf(date(2026, 11, 23))] {
            let chosen = choose(&[there("a", &[24, 26])], &asked(None, span)).unwrap();
            assert_eq!((chosen[0].first, chosen[0].dates().len()), (date(2026, 11, 23), 7), "{span:?}");
        }
    }

    #[test]
    fn what_is_missing_is_answered_by_what_is_there() {
        let store = [there("a", &[24, 26]), there("b", &[25])];
        let error = choose(&store, &asked(Some("c"), Span::LatestDay)).unwrap_err();
        assert!(error.contains("site c") && error.contains("a, b"), "{error}");
        let error = choose(&store, &asked(Some("a"), Span::Day(date(2026, 11, 25)))).unwrap_err();
        assert!(error.contains("on 2026-11-25") && error.contains("a: 2026-11-24 to 2026-11-26 (2 days with rows)"), "{error}");
        let error = choose(&store, &Asked { profile: Some("cmx"), ..asked(None, Span::LatestDay) }).unwrap_err();
        assert!(error.contains("profile cmx") && error.contains("standard@1"), "{error}");
        assert!(choose(&store, &Asked { profile: Some("standard"), ..asked(None, Span::LatestDay) }).is_ok());
    }
}
