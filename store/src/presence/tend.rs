//! Housekeeping of the tables of presence, for both stores: small steps that hold locks for milliseconds.

use std::time::Duration;

use super::Keep;
use super::told::Dialect;

/// A step: what is being tried, and its statement.
pub(crate) struct Step {
    pub(crate) what: &'static str,
    pub(crate) sql: String,
    /// Whether as many rows as one step takes mean that there are more.
    pub(crate) is_bounded: bool,
}

/// The steps at a time.
pub(crate) fn steps(dialect: Dialect, now_ms: i64, keep: &Keep) -> Vec<Step> {
    let mut steps = vec![Step { what: "work out percentiles", sql: freshen(dialect), is_bounded: true }];
    // Looks at a day of sessions, and is asked for by nobody in a hurry.
    if now_ms.div_euclid(60_000) % FINAL_EVERY_MINUTES == 0 {
        steps.push(Step { what: "work out what is final", sql: finish(dialect), is_bounded: false });
    }
    let before = |keep: Duration| now_ms.div_euclid(1_000).saturating_sub(i64::try_from(keep.as_secs()).unwrap_or(i64::MAX)).max(0);
    let keep = Keep { records: keep.records.max(RECORDS_MIN), ..*keep };
    for (what, table, key, time, of) in KEPT {
        let before = before(of(&keep));
        steps.push(Step { what, sql: delete(dialect, table, key, time, before), is_bounded: true });
    }
    for (what, table, key, time, of) in UNSCOPED {
        steps.push(Step { what, sql: delete_unscoped(dialect, table, key, time, before(of(&keep))), is_bounded: true });
    }
    steps
}

/// Rows of a table that no scope has, older than a time.
fn delete_unscoped(dialect: Dialect, table: &str, key: &str, column: &str, before: i64) -> String {
    let time = match dialect {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => before.to_string(),
        #[cfg(feature = "postgres")]
        Dialect::Postgres => format!("to_timestamp({before})"),
    };
    format!("DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {column} < {time} LIMIT {STEP_ROWS})")
}

/// Percentiles of windows that have closed, and whose lengths have changed since. Until then the views work them out.
fn freshen(dialect: Dialect) -> String {
    let percentiles = [50, 90].map(|percent| format!("dwell_p{percent} = {}", percentile(dialect, percent)));
    let closed = match dialect {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => "c.watermark - c.gap_s",
        #[cfg(feature = "postgres")]
        Dialect::Postgres => "c.watermark - c.gap_s * interval '1 second'",
    };
    format!(
        "UPDATE presence_count AS n SET {}, is_stale = false WHERE (n.scope, n.level, n.start_at, n.place_kind, n.place) IN (
             SELECT o.scope, o.level, o.start_at, o.place_kind, o.place FROM presence_count o JOIN presence_scope c ON c.id = o.scope
             WHERE o.is_stale AND o.closes_at <= {closed} LIMIT {STEP_ROWS})",
        percentiles.join(", ")
    )
}

/// The nearest rank among the lengths of what began in the window of a row `n`.
fn percentile(dialect: Dialect, percent: u32) -> String {
    let within = "s.scope = n.scope AND s.started_at >= n.opens_at AND s.started_at < n.closes_at";
    let visits = format!("presence_session s WHERE {within} AND s.is_visit AND s.identity < 2 AND s.cut = 0");
    let stays = format!("presence_stay s WHERE {within} AND s.place_kind = n.place_kind AND s.place = n.place AND s.is_measured");
    let of = |from: String| {
        match dialect {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => format!(
            "(SELECT r.dwell_s FROM (SELECT s.ended_at - s.started_at AS dwell_s, row_number() OVER (ORDER BY s.ended_at - s.started_at) AS number FROM {from}) r
              WHERE r.number = ({percent} * n.measured + 99) / 100)"
        ),
        #[cfg(feature = "postgres")]
        Dialect::Postgres => {
            format!("(SELECT percentile_disc(0.{percent}) WITHIN GROUP (ORDER BY extract(epoch FROM s.ended_at - s.started_at)::integer) FROM {from})")
        }
    }
    };
    format!("CASE WHEN n.place_kind = 0 THEN {} ELSE {} END", of(visits), of(stays))
}

/// Up to where windows are final: the watermark is past all that may still come, and no visit that began before can change. What was before the
/// end of an epoch whose key is destroyed cannot change either.
fn finish(dialect: Dialect) -> String {
    match dialect {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => "UPDATE presence_scope SET final_until = max(coalesce(ended_until, 0), min(watermark - gap_s - allowed_lateness_s - 1, coalesce((
                SELECT min(s.started_at) FROM presence_session s WHERE s.scope = presence_scope.id
                AND s.ended_at >= presence_scope.watermark - presence_scope.gap_s - presence_scope.allowed_lateness_s
                AND s.ended_at - s.started_at <= presence_scope.max_visit_s), watermark)))"
            .to_owned(),
        #[cfg(feature = "postgres")]
        Dialect::Postgres => {
            "UPDATE presence_scope c SET final_until = greatest(c.ended_until, least(c.watermark - (c.gap_s + c.allowed_lateness_s + 1) * interval '1 second', (
                SELECT min(s.started_at) FROM presence_session s WHERE s.scope = c.id
                AND s.ended_at >= c.watermark - (c.gap_s + c.allowed_lateness_s) * interval '1 second'
                AND s.ended_at - s.started_at <= c.max_visit_s * interval '1 second')))"
                .to_owned()
        }
    }
}

/// Rows of a table that are older than a time. The scopes lead, so that each is looked up by the key.
fn delete(dialect: Dialect, table: &str, key: &str, time: &str, before: i64) -> String {
    let own = key.split(", ").map(|name| format!("o.{name}")).collect::<Vec<_>>().join(", ");
    match dialect {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => format!(
            "DELETE FROM {table} WHERE ({key}) IN (SELECT {own} FROM presence_scope c CROSS JOIN {table} o WHERE c.is_shown AND o.scope = c.id AND o.{time} < {before} LIMIT {STEP_ROWS})"
        ),
        #[cfg(feature = "postgres")]
        Dialect::Postgres => format!(
            "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT o.ctid FROM presence_scope c JOIN {table} o ON o.scope = c.id WHERE c.is_shown AND o.{time} < to_timestamp({before}) LIMIT {STEP_ROWS}))"
        ),
    }
}

/// What is kept: table, key, the time that counts, and for how long.
type Kept = (&'static str, &'static str, &'static str, &'static str, fn(&Keep) -> Duration);

const KEPT: [Kept; 8] = [
    ("delete old visits", "presence_session", "scope, started_at, client", "started_at", |keep| keep.visits),
    ("delete old stays", "presence_stay", "scope, visit_started_at, client, in_zones, number", "visit_started_at", |keep| keep.visits),
    ("delete old occupancy", "presence_occupancy", "scope, minute, place_kind, place", "minute", |keep| keep.occupancy),
    ("delete old counts", "presence_count", "scope, level, start_at, place_kind, place", "start_at", |keep| keep.counts),
    ("delete old flow", "presence_flow", "scope, hour, from_kind, from_place, to_kind, to_place", "hour", |keep| keep.counts),
    ("delete old coverage", "presence_covered", "scope, level, start_at", "start_at", |keep| keep.counts),
    ("delete old records", "presence_record", "scope, client", "last_at", |keep| keep.records),
    ("delete old members of zones", "presence_member", "scope, zone, ap, since", "until", |keep| keep.counts),
];

const UNSCOPED: [Kept; 2] = [
    ("delete old counts", "heard_count", "started_at, receiver, network, ap, radio", "started_at", |keep| keep.counts),
    ("delete old clients", "client", "receiver, client, radio", "last_seen", |keep| keep.clients),
];

/// What the days of loyalty, and what may come late, need of a client's record.
const RECORDS_MIN: Duration = Duration::from_secs(30 * 86_400);
/// Rows of a table that one step takes.
pub(crate) const STEP_ROWS: u64 = 2_000;
const FINAL_EVERY_MINUTES: i64 = 10;
