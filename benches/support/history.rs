//! Months of presence for many access points, made by SQL straight into the tables: their shapes are those of life, their numbers are made up.
//!
//! The same statements make the same rows in both databases. Each site is open from 8 to 20 o'clock UTC; what is told ends at half past five
//! of the last day.

/// How much.
#[derive(Clone, Copy)]
pub struct History {
    pub days: i64,
    pub sites: i64,
    /// Per site, as all below.
    pub access_points: i64,
}

/// Whose words a statement is in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

impl History {
    /// The size that the goals are set for.
    pub const FULL: Self = Self { days: 90, sites: 20, access_points: 50 };
    /// Enough for every statement to have rows.
    pub const SMALL: Self = Self { days: 2, sites: 2, access_points: 10 };

    /// The statements that make it, in pieces that are to be a transaction each.
    pub fn statements(self, dialect: Dialect) -> impl Iterator<Item = String> {
        let numbers = match dialect {
            Dialect::Sqlite => "WITH RECURSIVE r (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM r WHERE n < 1439) SELECT n FROM r",
            Dialect::Postgres => "SELECT n::bigint AS n FROM generate_series(0, 1439) n",
        };
        let receiver = match dialect {
            Dialect::Sqlite => "INSERT INTO dictionary (value) VALUES ('mall')",
            Dialect::Postgres => "INSERT INTO dictionary (hash, value) VALUES ('mall', 'mall')",
        };
        let numbers = format!("CREATE TEMP TABLE made_number AS {numbers}; {receiver}");
        let sites = self.fill(dialect, SITES, 0);
        let planned = "ANALYZE made_number; ANALYZE made_place".to_owned();
        let planned = (dialect == Dialect::Postgres).then_some(planned);
        [numbers, sites].into_iter().chain(planned).chain((0..self.days).map(move |day| self.fill(dialect, DAY, day)))
    }

    /// The first second of a day.
    pub fn start(self, day: i64) -> i64 {
        FIRST + day * DAY_S
    }

    /// A day as the views name it.
    pub fn date(self, day: i64) -> String {
        jiff::Timestamp::from_second(self.start(day)).expect("a time of our days").strftime("%Y-%m-%d").to_string()
    }

    /// The address of an access point of the first site.
    pub fn address(self, number: i64) -> String {
        let bytes = (FIRST_ADDRESS + number).to_be_bytes();
        bytes[2..].iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
    }

    fn until(self) -> i64 {
        self.start(self.days - 1) + 17 * 3_600 + 1_800
    }

    fn fill(self, dialect: Dialect, sql: &str, day: i64) -> String {
        let values = [
            ("$address", FIRST_ADDRESS - ADDRESSES),
            ("$addresses", ADDRESSES),
            ("$sites", self.sites),
            ("$aps", self.access_points),
            ("$zones", ZONES),
            ("$sessions", SESSIONS),
            ("$from", self.start(0)),
            ("$until", self.until()),
            ("$day", day),
            ("$start", self.start(day)),
        ];
        // The longer of two names that begin alike goes first.
        let mut values = values.map(|(name, value)| (name, value.to_string()));
        values.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        let filled = values.iter().fold(sql.to_owned(), |sql, (name, value)| sql.replace(name, value));
        filled.replace(" at(", if dialect == Dialect::Postgres { " to_timestamp(" } else { " (" })
    }
}

/// Zones of a site.
pub const ZONES: i64 = 5;
/// Sessions that begin at an access point in a day; 7 of 12 are visits.
const SESSIONS: i64 = 120;
const DAY_S: i64 = 86_400;
/// A Monday in summer.
const FIRST: i64 = 1_781_481_600;
/// The first access point of the first site; those of a site follow each other.
const FIRST_ADDRESS: i64 = 0x0218_0a00_1000;
/// From one site to the next.
const ADDRESSES: i64 = 0x1000;
const SITES: &str = include_str!("history/sites.sql");
const DAY: &str = include_str!("history/day.sql");
