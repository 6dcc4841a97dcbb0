//! A site's local days and hours, whatever its clocks do at night.
//!
//! A day begins at the first instant of its date. Hours are steps of 3600 s from there, and the last one ends with its day, so that hours add
//! up to their day in every time zone, with 23 and 25 hours too.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use store::presence::Level;

/// A local day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Day {
    /// The local date as days since 1970-01-01.
    pub number: i32,
    /// First second, since 1970.
    pub start: i64,
    /// First second of the next day.
    pub end: i64,
}

/// A window over which presence is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// Hour or day.
    pub level: Level,
    /// Its name: its first second, opening hours or not.
    pub start: i64,
    /// Its length by the calendar.
    pub length_s: i64,
    /// The local day it belongs to.
    pub day: i32,
    /// What is counted begins here,
    pub from: i64,
    /// and ends here. Nothing is counted when `to <= from`.
    pub to: i64,
}

/// When a site is open, per weekday from Monday: seconds from midnight by the wall clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OpeningHours(pub [Option<(u32, u32)>; 7]);

/// Days and hours of one time zone, with the days that were asked for kept.
#[derive(Clone, Debug)]
pub struct Calendar {
    zone: TimeZone,
    opening: Option<OpeningHours>,
    /// In order of time.
    days: Vec<Opened>,
    last: usize,
}

#[derive(Clone, Copy, Debug)]
struct Opened {
    day: Day,
    from: i64,
    to: i64,
}

impl Calendar {
    /// The days of a zone; with opening hours, windows are cut to them.
    #[must_use]
    pub fn new(zone: TimeZone, opening: Option<OpeningHours>) -> Self {
        Self { zone, opening, days: Vec::new(), last: 0 }
    }

    /// The local day of a second.
    pub fn day(&mut self, at: i64) -> Day {
        self.opened(at).day
    }

    /// The first second of a local day by its number.
    #[must_use]
    pub fn first_second_of(&self, number: i32) -> Option<i64> {
        self.first_second(EPOCH.checked_add(i64::from(number).days()).ok()?)
    }

    /// The local hour of a second: its first second.
    pub fn hour(&mut self, at: i64) -> i64 {
        let day = self.day(at);
        day.start + (at - day.start).div_euclid(HOUR_S) * HOUR_S
    }

    /// Which hour of its local day a second is in, from 0.
    pub fn hour_of_day(&mut self, at: i64) -> u32 {
        let day = self.day(at);
        u32::try_from((at - day.start) / HOUR_S).unwrap_or(0)
    }

    /// The hour and the day of a second.
    pub fn windows(&mut self, at: i64) -> [Window; 2] {
        let opened = self.opened(at);
        [window_hour(&opened, at), window_day(&opened)]
    }

    /// All hours and days that `[start, end)` overlaps; when it has no length, those that `start` is in.
    pub fn overlapped(&mut self, start: i64, end: i64, mut each: impl FnMut(Window)) {
        let last = if end > start { end - 1 } else { start };
        let mut at = start;
        loop {
            let opened = self.opened(at);
            each(window_day(&opened));
            while at <= last && at < opened.day.end {
                let hour = window_hour(&opened, at);
                each(hour);
                at = hour.start + hour.length_s;
            }
            if at > last {
                return;
            }
        }
    }

    fn opened(&mut self, at: i64) -> Opened {
        if let Some(known) = self.days.get(self.last)
            && known.day.start <= at
            && at < known.day.end
        {
            return *known;
        }
        let next = self.days.partition_point(|known| known.day.start <= at);
        if let Some(known) = next.checked_sub(1).and_then(|before| self.days.get(before))
            && at < known.day.end
        {
            self.last = next - 1;
            return *known;
        }
        let made = self.make(at);
        if self.days.len() >= DAYS_MAX {
            self.days.clear();
        }
        let place = self.days.partition_point(|known| known.day.start <= at);
        self.days.insert(place, made);
        self.last = place;
        made
    }

    fn make(&self, at: i64) -> Opened {
        let at = at.clamp(-TIMES_MAX, TIMES_MAX);
        let date = self.zone.to_datetime(Timestamp::from_second(at).unwrap_or_default()).date();
        let start = self.first_second(date).unwrap_or(at.div_euclid(DAY_S) * DAY_S);
        let end = date.checked_add(1.day()).ok().and_then(|next| self.first_second(next)).unwrap_or(start + DAY_S);
        let number = EPOCH.until(date).map_or(0, |span| span.get_days());
        let day = Day { number, start, end };
        let (from, to) = match self.opening {
            None => (start, end),
            Some(OpeningHours(hours)) => match hours[usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0)] {
                None => (start, start),
                Some((open, close)) => (self.wall(date, open).unwrap_or(start), self.wall(date, close).unwrap_or(end).min(end)),
            },
        };
        Opened { day, from, to }
    }

    fn first_second(&self, date: Date) -> Option<i64> {
        // Where a day begins with a jump of the clock, this is the instant after it.
        date.to_zoned(self.zone.clone()).ok().map(|zoned| zoned.timestamp().as_second())
    }

    /// The instant of a second of a local day, by the wall clock.
    #[must_use]
    pub fn at_wall(&self, number: i32, second: u32) -> Option<i64> {
        self.wall(EPOCH.checked_add(i64::from(number).days()).ok()?, second)
    }

    fn wall(&self, date: Date, second: u32) -> Option<i64> {
        if second >= 86_400 {
            return self.first_second(date.checked_add(1.day()).ok()?);
        }
        let time = jiff::civil::Time::midnight().checked_add(i64::from(second).seconds()).ok()?;
        date.to_datetime(time).to_zoned(self.zone.clone()).ok().map(|zoned| zoned.timestamp().as_second())
    }
}

fn window_hour(opened: &Opened, at: i64) -> Window {
    let day = opened.day;
    let start = day.start + (at - day.start).div_euclid(HOUR_S) * HOUR_S;
    let end = (start + HOUR_S).min(day.end);
    Window { level: Level::Hour, start, length_s: end - start, day: day.number, from: start.max(opened.from), to: end.min(opened.to) }
}

fn window_day(opened: &Opened) -> Window {
    let day = opened.day;
    Window { level: Level::Day, start: day.start, length_s: day.end - day.start, day: day.number, from: opened.from, to: opened.to }
}

const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 86_400;
const EPOCH: Date = jiff::civil::date(1970, 1, 1);
/// Days that are kept, before all are forgotten.
const DAYS_MAX: usize = 4_096;
/// About the year 9000: beyond it there is no calendar.
const TIMES_MAX: i64 = 221_845_392_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(zone: &str) -> Calendar {
        Calendar::new(TimeZone::get(zone).unwrap(), None)
    }

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn a_day_has_as_many_hours_as_its_clocks_make() {
        let mut berlin = calendar("Europe/Berlin");
        for (date, hours) in [("2026-10-25T12:00:00Z", 25), ("2026-03-29T12:00:00Z", 23), ("2026-06-15T12:00:00Z", 24)] {
            let day = berlin.day(at(date));
            assert_eq!(day.end - day.start, hours * HOUR_S, "{date}");
            let mut windows = Vec::new();
            berlin.overlapped(day.start, day.end, |window| windows.push(window));
            assert_eq!(windows.len() as i64, hours + 1);
            assert_eq!(windows.iter().filter(|window| window.level == Level::Hour).map(|window| window.length_s).sum::<i64>(), day.end - day.start);
        }
    }

    #[test]
    fn hours_begin_with_the_local_day() {
        let mut kolkata = calendar("Asia/Kolkata");
        assert_eq!(kolkata.hour(at("2026-06-15T18:31:00Z")), at("2026-06-15T18:30:00Z"));
        assert_eq!(kolkata.day(at("2026-06-15T18:31:00Z")).start, at("2026-06-15T18:30:00Z"));
        // A zone whose offset changes by half an hour: the last hour of that day is cut.
        let mut lord_howe = calendar("Australia/Lord_Howe");
        let day = lord_howe.day(at("2026-10-03T20:00:00Z"));
        assert_eq!(day.end - day.start, 23 * HOUR_S + HOUR_S / 2);
        assert_eq!(lord_howe.windows(day.end - 1)[0].length_s, HOUR_S / 2);
    }

    #[test]
    fn the_windows_of_no_length_are_those_it_is_in() {
        let mut utc = calendar("UTC");
        let count = |calendar: &mut Calendar, start, end| {
            let mut count = 0;
            calendar.overlapped(start, end, |_| count += 1);
            count
        };
        assert_eq!(count(&mut utc, 3_600, 3_600), 2);
        assert_eq!(count(&mut utc, 3_599, 3_600), 2);
        assert_eq!(count(&mut utc, 3_599, 3_601), 3);
        assert_eq!(count(&mut utc, DAY_S - 1, DAY_S + 1), 4);
    }

    #[test]
    fn opening_hours_cut_windows_by_the_wall_clock() {
        let mut hours = [None; 7];
        hours[0] = Some((10 * 3_600 + 1_800, 20 * 3_600));
        let mut berlin = Calendar::new(TimeZone::get("Europe/Berlin").unwrap(), Some(OpeningHours(hours)));
        // A Monday in summer: two hours before UTC.
        let [hour, day] = berlin.windows(at("2026-06-15T08:45:00Z"));
        assert_eq!((hour.start, hour.from, hour.to), (at("2026-06-15T08:00:00Z"), at("2026-06-15T08:30:00Z"), at("2026-06-15T09:00:00Z")));
        assert_eq!((day.from, day.to), (at("2026-06-15T08:30:00Z"), at("2026-06-15T18:00:00Z")));
        let [_, tuesday] = berlin.windows(at("2026-06-16T08:45:00Z"));
        assert!(tuesday.to <= tuesday.from);
    }
}
