//! Partitions by the UTC day of arrival: made ahead, written to directly, dropped whole when they are too old.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::STEP_TIMEOUT;
use super::error::{self, step};
use crate::group::Group;
use crate::writer::{Maintained, WriteError};

/// A UTC day, counted from 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Day(i64);

impl Day {
    /// The day of a time in milliseconds since 1970.
    pub(super) const fn of_ms(ms: i64) -> Self {
        Self(ms.div_euclid(DAY_MS))
    }

    /// The date, for days whose name has eight digits.
    fn date(self) -> Option<jiff::civil::Date> {
        let noon = jiff::Timestamp::from_second(self.0.checked_mul(DAY_MS / 1000)?.checked_add(DAY_MS / 2000)?).ok()?;
        let date = noon.to_zoned(jiff::tz::TimeZone::UTC).date();
        (1970..=9998).contains(&date.year()).then_some(date)
    }

    /// The end of a partition's name.
    fn suffix(self) -> Option<String> {
        self.date().map(|date| format!("{:04}{:02}{:02}", date.year(), date.month(), date.day()))
    }

    fn of_suffix(suffix: &str) -> Option<Self> {
        if suffix.len() != 8 || !suffix.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let date = jiff::civil::Date::new(suffix[..4].parse().ok()?, suffix[4..6].parse().ok()?, suffix[6..].parse().ok()?).ok()?;
        Some(Self(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second().div_euclid(DAY_MS / 1000)))
    }
}

/// The days that every partitioned table has a partition of.
pub(super) struct Partitions {
    days: BTreeSet<Day>,
    /// Since when making one has failed: writes do not pay for another attempt at once.
    failed_at: Option<Instant>,
}

impl Partitions {
    /// Reads which partitions there are.
    pub(super) async fn read(connection: &mut PgConnection) -> Result<Self, WriteError> {
        Ok(Self { days: read_days(connection).await?, failed_at: None })
    }

    /// The day whose partition takes rows of this arrival; none for the table itself, which hands them to its default partition.
    pub(super) fn target(&self, received_at_ms: i64) -> Option<Day> {
        let day = Day::of_ms(received_at_ms);
        self.days.contains(&day).then_some(day)
    }

    /// The name of the table to write to.
    pub(super) fn table(&self, parent: &str, target: Option<Day>) -> String {
        match target.and_then(Day::suffix) {
            Some(suffix) => format!("{parent}_{suffix}"),
            None => parent.to_owned(),
        }
    }

    /// Makes the partitions that a group's rows need. Where that fails the rows go through the parent.
    pub(super) async fn ensure_days_of(&mut self, connection: &mut PgConnection, group: &Group) -> Result<(), WriteError> {
        let received = group.observations.iter().map(|row| row.received_at_ms).chain(group.locations.iter().map(|row| row.received_at_ms));
        let received = received.chain(group.posts.iter().map(|row| row.minute.saturating_mul(1_000)));
        let mut missing = BTreeSet::new();
        let mut last = None;
        for ms in received {
            let day = Day::of_ms(ms);
            if last != Some(day) && !self.days.contains(&day) {
                missing.insert(day);
            }
            last = Some(day);
        }
        let waits = self.failed_at.is_some_and(|at| at.elapsed() < RETRY_AFTER);
        if missing.is_empty() || waits {
            return Ok(());
        }
        self.make(connection, &missing).await.map(drop)
    }

    /// Makes partitions ahead, drops old ones, and counts what fell into default partitions.
    pub(super) async fn maintain(&mut self, connection: &mut PgConnection, now_ms: i64, keep: Duration) -> Result<Maintained, WriteError> {
        self.days = read_days(connection).await?;
        let today = Day::of_ms(now_ms);
        let ahead: BTreeSet<Day> = (0..=DAYS_AHEAD).map(|days| Day(today.0 + days)).filter(|day| !self.days.contains(day)).collect();
        let partitions_made = self.make(connection, &ahead).await?;
        let keep_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
        let oldest = Day::of_ms(now_ms.saturating_sub(keep_ms));
        let partitions_dropped = self.drop_before(connection, oldest).await?;
        let rows_deleted = delete_defaults_before(connection, oldest).await?;
        let default_partition_rows = count_defaults(connection).await?;
        Ok(Maintained { partitions_made, partitions_dropped, rows_deleted, more: false, default_partition_rows })
    }

    /// Makes the partitions of days, and tells how many tables that were.
    async fn make(&mut self, connection: &mut PgConnection, days: &BTreeSet<Day>) -> Result<u32, WriteError> {
        let mut made = 0;
        for &day in days {
            let (Some(suffix), Some(from), Some(to)) = (day.suffix(), day.date(), Day(day.0 + 1).date()) else { continue };
            let tables = TABLES.map(|table| {
                format!("CREATE TABLE IF NOT EXISTS {table}_{suffix} PARTITION OF {table} FOR VALUES FROM ('{from} 00:00:00+00') TO ('{to} 00:00:00+00');")
            });
            if !change(connection, "make a partition", &tables.concat()).await? {
                self.failed_at = Some(Instant::now());
                return Ok(made);
            }
            made += TABLES.len() as u32;
            self.failed_at = None;
        }
        if made > 0 {
            // Read back rather than believed: a table of that name that is no partition would swallow rows.
            self.days = read_days(connection).await?;
        }
        Ok(made)
    }

    async fn drop_before(&mut self, connection: &mut PgConnection, oldest: Day) -> Result<u32, WriteError> {
        let mut dropped = 0;
        while let Some(&day) = self.days.first().filter(|&&day| day < oldest) {
            let Some(suffix) = day.suffix() else { break };
            let tables = TABLES.map(|table| format!("DROP TABLE IF EXISTS {table}_{suffix};"));
            if !change(connection, "drop a partition", &tables.concat()).await? {
                break;
            }
            self.days.remove(&day);
            dropped += TABLES.len() as u32;
        }
        Ok(dropped)
    }
}

/// Changes partitions in one transaction. `false` when the server would not: a query holds a lock, the default partition has rows
/// of that day, a privilege is missing. None of these may stop writing.
async fn change(connection: &mut PgConnection, what: &str, sql: &str) -> Result<bool, WriteError> {
    // A query that waits behind us waits for this lock timeout at most.
    let sql = AssertSqlSafe(format!("BEGIN; SET LOCAL lock_timeout = '2s'; {sql} COMMIT"));
    let done = tokio::time::timeout(STEP_TIMEOUT, sqlx::raw_sql(sql).execute(&mut *connection)).await;
    match done {
        Ok(Err(error)) if error.as_database_error().is_some() => {
            let reason = error::of(what, &error);
            if error::is_lock_timeout(&error) {
                tracing::info!(reason = %reason, "partitions are not changed now: a query holds them");
            } else {
                tracing::warn!(reason = %reason, "partitions cannot be changed");
            }
            super::run(connection, what, "ROLLBACK").await?;
            Ok(false)
        }
        Ok(done) => step(what, STEP_TIMEOUT, std::future::ready(done)).await.map(|_| true),
        Err(_) => step(what, Duration::ZERO, std::future::pending::<Result<bool, sqlx::Error>>()).await,
    }
}

/// The days that all tables have a partition of.
async fn read_days(connection: &mut PgConnection) -> Result<BTreeSet<Day>, WriteError> {
    let mut all: Option<BTreeSet<Day>> = None;
    for table in TABLES {
        let what = "list the partitions";
        let asked = sqlx::query("SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = $1::regclass");
        let rows = step(what, STEP_TIMEOUT, asked.bind(table).fetch_all(&mut *connection)).await?;
        let mut days = BTreeSet::new();
        for row in rows {
            let name: String = row.try_get(0).map_err(|error| error::of(what, &error))?;
            days.extend(name.strip_prefix(table).and_then(|rest| rest.strip_prefix('_')).and_then(Day::of_suffix));
        }
        all = Some(match all {
            Some(all) => all.intersection(&days).copied().collect(),
            None => days,
        });
    }
    Ok(all.unwrap_or_default())
}

/// Rows in default partitions fall under retention too, and cannot be dropped as a table.
async fn delete_defaults_before(connection: &mut PgConnection, oldest: Day) -> Result<u64, WriteError> {
    let Some(date) = oldest.date() else { return Ok(0) };
    let mut deleted = 0;
    for (table, column) in [("observation", "received_at"), ("location", "received_at"), ("post", "minute")] {
        let sql = AssertSqlSafe(format!("DELETE FROM {table}_default WHERE {column} < '{date} 00:00:00+00'"));
        deleted += step("delete from a default partition", STEP_TIMEOUT, sqlx::raw_sql(sql).execute(&mut *connection)).await?.rows_affected();
    }
    Ok(deleted)
}

/// How many rows stand in default partitions, counted up to a bound.
async fn count_defaults(connection: &mut PgConnection) -> Result<u64, WriteError> {
    let what = "count the rows of default partitions";
    let counts = TABLES.map(|table| format!("(SELECT count(*) FROM (SELECT FROM {table}_default LIMIT {COUNTED_MAX}) AS rows)"));
    let asked = sqlx::query(AssertSqlSafe(format!("SELECT {}", counts.join(" + "))));
    let row = step(what, STEP_TIMEOUT, asked.fetch_one(connection)).await?;
    let count: i64 = row.try_get(0).map_err(|error| error::of(what, &error))?;
    Ok(count.unsigned_abs())
}

const TABLES: [&str; 3] = ["observation", "location", "post"];
/// Partitions are made for today and this many days more: what a weekend without an operator needs.
const DAYS_AHEAD: i64 = 3;
const DAY_MS: i64 = 86_400_000;
/// Rows of one default partition that are counted: how many millions stand there says nothing more.
const COUNTED_MAX: u32 = 1_000_000;
/// Between attempts of writes to make a partition.
const RETRY_AFTER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_a_name_and_the_name_gives_the_day() {
        let day = Day::of_ms(1_772_323_199_999);
        assert_eq!(day.suffix().as_deref(), Some("20260228"));
        assert_eq!(Day::of_ms(1_772_323_200_000).suffix().as_deref(), Some("20260301"));
        for day in [day, Day(0), Day(20_000)] {
            assert_eq!(Day::of_suffix(&day.suffix().unwrap()), Some(day));
        }
    }

    #[test]
    fn days_without_an_eight_digit_name_have_none() {
        for ms in [i64::MIN, -1, i64::MAX] {
            assert_eq!(Day::of_ms(ms).suffix(), None);
        }
        for suffix in ["default", "2026010", "20261301", "20260230"] {
            assert_eq!(Day::of_suffix(suffix), None, "{suffix}");
        }
    }
}
