//! The epochs of keys: for how long a client keeps its pseudonym, and when it gets another.
//!
//! An epoch is a function of the time of observation alone, in the receiver's time zone. So a sighting that is told late gets the pseudonym
//! that its client had when it was seen, and whoever looks at a record afterwards knows where it was cut.

use jiff::tz::TimeZone;

use super::calendar::Calendar;

/// Divides time into epochs.
#[derive(Clone, Debug)]
pub struct Epochs {
    length: Length,
    calendar: Calendar,
    /// The one that was asked for last.
    last: (i64, i64),
}

#[derive(Clone, Copy, Debug)]
enum Length {
    Seconds(i64),
    /// So many local days, each from a second of the wall clock on.
    Days {
        days: i32,
        edge_s: u32,
    },
}

impl Epochs {
    /// Epochs of so many local days, from `edge_s` seconds past midnight by the wall clock to the same on another day. They are counted from
    /// 1970-01-01, so that they are the same whoever asks and whenever.
    ///
    /// # Panics
    /// With no days.
    #[must_use]
    pub fn days(zone: TimeZone, days: u16, edge_s: u32) -> Self {
        assert!(days > 0, "an epoch has a day at least");
        Self { length: Length::Days { days: days.into(), edge_s }, calendar: Calendar::new(zone, None), last: (0, 0) }
    }

    /// Epochs of so many seconds since 1970.
    ///
    /// # Panics
    /// With no seconds.
    #[must_use]
    pub fn seconds(seconds: u32) -> Self {
        assert!(seconds > 0, "an epoch has a second at least");
        Self { length: Length::Seconds(seconds.into()), calendar: Calendar::new(TimeZone::UTC, None), last: (0, 0) }
    }

    /// The epoch of a second: its first second, and that of the next epoch.
    pub fn of(&mut self, at: i64) -> (i64, i64) {
        if self.last.0 <= at && at < self.last.1 {
            return self.last;
        }
        self.last = match self.length {
            Length::Seconds(seconds) => {
                let from = at.div_euclid(seconds) * seconds;
                (from, from + seconds)
            }
            Length::Days { days, edge_s } => {
                let number = self.calendar.day(at).number;
                let begun = if at < self.edge(number, edge_s) { number - 1 } else { number };
                let first = begun.div_euclid(days) * days;
                (self.edge(first, edge_s), self.edge(first + days, edge_s))
            }
        };
        self.last
    }

    /// When a local day's epoch begins.
    fn edge(&self, number: i32, edge_s: u32) -> i64 {
        // Outside of the calendar days are those of UTC.
        self.calendar.at_wall(number, edge_s).unwrap_or(i64::from(number) * 86_400 + i64::from(edge_s))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn a_day_of_keys_begins_at_four_by_the_wall_clock() {
        let mut berlin = Epochs::days(TimeZone::get("Europe/Berlin").unwrap(), 1, 4 * 3_600);
        let summer = (at("2026-06-15T02:00:00Z"), at("2026-06-16T02:00:00Z"));
        assert_eq!(berlin.of(summer.0), summer);
        assert_eq!(berlin.of(summer.1 - 1), summer);
        assert_eq!(berlin.of(summer.1).0, summer.1);
        // The nights on which clocks change: 23 and 25 hours, and still four o'clock.
        for (date, hours) in [("2026-03-29T01:30:00Z", 23), ("2026-10-25T01:30:00Z", 25)] {
            let (from, to) = berlin.of(at(date));
            assert_eq!(to - from, hours * 3_600, "{date}");
        }
    }

    #[test]
    fn longer_epochs_are_the_same_from_wherever_one_looks() {
        let mut epochs = Epochs::days(TimeZone::UTC, 28, 4 * 3_600);
        let (from, to) = epochs.of(at("2026-06-15T02:00:00Z"));
        assert_eq!((to - from, (from - 4 * 3_600) % (28 * 86_400)), (28 * 86_400, 0));
        for second in [from, from + 1, to - 1] {
            assert_eq!(Epochs::days(TimeZone::UTC, 28, 4 * 3_600).of(second), (from, to));
        }
        assert_eq!(epochs.of(from - 1).1, from);
    }

    #[test]
    fn short_epochs_know_no_calendar() {
        let mut epochs = Epochs::seconds(600);
        assert_eq!((epochs.of(1_199), epochs.of(1_200), epochs.of(-1)), ((600, 1_200), (1_200, 1_800), (-600, 0)));
    }

    #[test]
    fn time_without_a_calendar_has_epochs_too() {
        let mut epochs = Epochs::days(TimeZone::get("America/New_York").unwrap(), 1, 4 * 3_600);
        for second in [-400_000_000_000, 400_000_000_000] {
            let (from, to) = epochs.of(second);
            assert!(from < to, "{second}");
        }
    }
}
