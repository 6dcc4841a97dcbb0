//! What becomes of an epoch's rows when its key is destroyed: those of clients go, and what is counted stays without them.
//!
//! Each step takes few rows, so that posts are written in between, and finds by itself what is left to do. The order matters to a start in the
//! middle: observations go before the records that were made of them, so that none is taken in a second time.

#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::presence::told::Dialect;

/// Rows of one epoch, as far as they are this process's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Forget {
    /// From this second on, since 1970.
    pub from: i64,
    /// Up to, not including, this second.
    pub to: i64,
    /// The receivers whose rows they are.
    pub receivers: Vec<String>,
    /// The sites whose presence it is.
    pub sites: Vec<String>,
    /// Up to where nothing can come any more; none when something can.
    pub ended_until: Option<i64>,
    /// Whether it is counted first how many were heard where.
    pub keep_counts: bool,
}

/// What a step did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Forgotten {
    /// Rows that were deleted or lost their client.
    pub rows: u64,
    /// Whether there is more to do.
    pub more: bool,
}

/// How far a store has come with what it is to forget. It is lost with the process, and begun anew then.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) struct Progress {
    pub(crate) what: Forget,
    pub(crate) stage: Stage,
}

/// What comes next. Each stage has as many steps as it needs.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// What comes first.
    First,
    /// Observations, locations and facts about clients are deleted.
    Told,
    /// Records are deleted.
    Records,
    /// Visits lose their client, slice by slice; none before it is known when the first one began.
    Visits(Option<Slice>),
}

/// Visits that began within a time.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slice {
    pub(crate) from: i64,
    length_s: i64,
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
impl Slice {
    /// The first one.
    pub(crate) fn at(from: i64) -> Self {
        Self { from, length_s: SLICE_S }
    }

    /// The next one: longer when this one had few visits, shorter when it had many.
    pub(crate) fn next(self, rows: u64) -> Self {
        let length_s = match rows {
            0..500 => (self.length_s * 2).min(SLICE_S_MAX),
            500..STEP_ROWS => self.length_s,
            _ => (self.length_s / 2).max(SLICE_S_MIN),
        };
        Self { from: self.from.saturating_add(self.length_s), length_s }
    }
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
impl Progress {
    /// The progress with what is to be forgotten now.
    pub(crate) fn of<'p>(known: &'p mut Option<Self>, what: &Forget) -> &'p mut Self {
        if known.as_ref().is_some_and(|known| known.what != *what) {
            *known = None;
        }
        known.get_or_insert_with(|| Self { what: what.clone(), stage: Stage::First })
    }
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
impl Forget {
    /// Counts who was heard, once: when the first of the rows have gone the counts stand.
    fn count_heard(&self, dialect: Dialect) -> Option<String> {
        let level = |ap: &str| {
            format!(
                "SELECT {ap} AS ap, s.receiver, coalesce(s.network, 0) AS network, s.radio, count(DISTINCT o.client) AS devices,
                     count(DISTINCT CASE WHEN o.ssid IS NOT NULL THEN o.client END) AS connected
                 FROM observation o JOIN source s ON s.id = o.source
                 LEFT JOIN client c ON c.receiver = s.receiver AND c.client = o.client AND c.radio = s.radio AND (c.group_address OR c.is_excluded)
                 WHERE {} AND c.client IS NULL GROUP BY 1, 2, 3, 4",
                self.of_observations(dialect)
            )
        };
        self.keep_counts.then(|| {
            format!(
                "INSERT INTO heard_count (started_at, ended_at, receiver, network, ap, radio, devices, connected)
                 SELECT {}, {}, h.receiver, h.network, h.ap, h.radio, h.devices, h.connected FROM ({} UNION ALL {}) h
                 WHERE NOT EXISTS (SELECT 1 FROM heard_count k WHERE k.started_at = {} AND k.receiver = h.receiver)",
                at(dialect, self.from),
                at(dialect, self.to),
                level("s.ap"),
                level("-1"),
                at(dialect, self.from)
            )
        })
    }

    /// Whether a time is in the epoch.
    fn during(&self, dialect: Dialect, time: &str) -> String {
        format!("{time} >= {} AND {time} < {}", at(dialect, self.from), at(dialect, self.to))
    }

    fn scopes(&self) -> String {
        format!("SELECT c.id FROM presence_scope c WHERE c.site IN ({})", list(&self.sites))
    }

    /// Which rows of the clients' facts they are.
    pub(crate) fn of_clients(&self, dialect: Dialect) -> String {
        let receivers = format!("SELECT d.id FROM dictionary d WHERE d.value IN ({})", list(&self.receivers));
        format!("o.receiver IN ({receivers}) AND {}", self.during(dialect, "o.last_seen"))
    }

    /// Which observations or locations they are.
    pub(crate) fn of_observations(&self, dialect: Dialect) -> String {
        let sources = format!("SELECT s.id FROM source s JOIN dictionary d ON d.id = s.receiver WHERE d.value IN ({})", list(&self.receivers));
        format!("o.source IN ({sources}) AND {}", self.during(dialect, "o.observed_at"))
    }

    /// Some records.
    pub(crate) fn delete_records(&self, dialect: Dialect) -> String {
        delete(dialect, "presence_record", "scope, client", &self.of_records(dialect))
    }

    fn of_records(&self, dialect: Dialect) -> String {
        format!("o.scope IN ({}) AND {}", self.scopes(), self.during(dialect, "o.last_at"))
    }

    /// What comes before anything is deleted: who was heard is counted, and recomputing, which may have read what goes now, is begun anew.
    pub(crate) fn first(&self, dialect: Dialect) -> Vec<String> {
        let jobs = format!(
            "DELETE FROM presence_recompute WHERE EXISTS (SELECT 1 FROM observation o WHERE {}) OR EXISTS (SELECT 1 FROM presence_record o WHERE {})",
            self.of_observations(dialect),
            self.of_records(dialect)
        );
        std::iter::once(jobs).chain(self.count_heard(dialect)).collect()
    }

    /// When the first of the visits began; null when there is none.
    pub(crate) fn first_visit(&self, dialect: Dialect) -> String {
        let epoch = match dialect {
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite => "min(s.started_at)",
            #[cfg(feature = "postgres")]
            Dialect::Postgres => "extract(epoch FROM min(s.started_at))::bigint",
        };
        format!("SELECT {epoch} FROM presence_session s WHERE s.scope IN ({}) AND {}", self.scopes(), self.during(dialect, "s.started_at"))
    }

    /// In the place of its client each visit that began in a slice gets a number that is made of its id alone, and so do its stays: stays first.
    /// The rows of the last statement are the visits.
    pub(crate) fn release_visits(&self, dialect: Dialect, slice: Slice) -> Vec<String> {
        let chunk = format!(
            "SELECT s.scope, s.started_at, s.client, {NOBODY} + (s.visit_low & {LOW_BITS}) AS nobody FROM presence_session s
             WHERE s.scope IN ({}) AND s.started_at >= {} AND s.started_at < {} AND s.client >> 48 <> 1",
            self.scopes(),
            at(dialect, slice.from),
            at(dialect, slice.from.saturating_add(slice.length_s).min(self.to))
        );
        let stays = "UPDATE presence_stay SET client = k.nobody FROM chunk k
             WHERE presence_stay.scope = k.scope AND presence_stay.visit_started_at = k.started_at AND presence_stay.client = k.client";
        let sessions = "UPDATE presence_session SET client = k.nobody FROM chunk k
             WHERE presence_session.scope = k.scope AND presence_session.started_at = k.started_at AND presence_session.client = k.client";
        match dialect {
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite => vec![format!("WITH chunk AS MATERIALIZED ({chunk}) {stays}"), format!("WITH chunk AS MATERIALIZED ({chunk}) {sessions}")],
            #[cfg(feature = "postgres")]
            Dialect::Postgres => vec![format!("WITH chunk AS MATERIALIZED ({chunk}), released AS ({stays}) {sessions}")],
        }
    }

    /// Says from when on rows cannot change; none when they still can.
    pub(crate) fn tell_end(&self, dialect: Dialect) -> Option<String> {
        let (scopes, until) = (self.scopes(), self.ended_until?);
        Some(match dialect {
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite => {
                format!("UPDATE presence_scope SET ended_until = {until}, final_until = max(coalesce(final_until, {until}), {until}) WHERE id IN ({scopes})")
            }
            #[cfg(feature = "postgres")]
            Dialect::Postgres => {
                let until = format!("to_timestamp({})", until.clamp(0, LATEST));
                format!("UPDATE presence_scope SET ended_until = {until}, final_until = greatest(final_until, {until}) WHERE id IN ({scopes})")
            }
        })
    }
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
fn at(dialect: Dialect, second: i64) -> String {
    match dialect {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => second.to_string(),
        // Times that the database has.
        #[cfg(feature = "postgres")]
        Dialect::Postgres => format!("to_timestamp({})", second.clamp(0, LATEST)),
    }
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
fn delete(dialect: Dialect, table: &str, key: &str, which: &str) -> String {
    let own = key.split(", ").map(|name| format!("o.{name}")).collect::<Vec<_>>().join(", ");
    match dialect {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => format!("DELETE FROM {table} WHERE ({key}) IN (SELECT {own} FROM {table} o WHERE {which} LIMIT {STEP_ROWS})"),
        #[cfg(feature = "postgres")]
        Dialect::Postgres => format!("DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT o.ctid FROM {table} o WHERE {which} LIMIT {STEP_ROWS}))"),
    }
}

/// Texts as a list in SQL; of none a list that nothing is in.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
fn list(texts: &[String]) -> String {
    if texts.is_empty() {
        return "NULL".to_owned();
    }
    texts.iter().map(|text| format!("'{}'", text.replace('\'', "''"))).collect::<Vec<_>>().join(", ")
}

/// Rows of a table that one step takes.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) const STEP_ROWS: u64 = 5_000;
/// Visits that began within so many seconds lose their client in the first step; and in the shortest and the longest.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
const SLICE_S: i64 = 600;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
const SLICE_S_MIN: i64 = 10;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
const SLICE_S_MAX: i64 = 86_400;
/// What a client's number begins with when it is nobody's: 1 in the high 16 bits.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
const NOBODY: u64 = 1 << 48;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
const LOW_BITS: u64 = (1 << 48) - 1;
/// The end of the year 9999, beyond which no database goes.
#[cfg(feature = "postgres")]
const LATEST: i64 = 253_402_300_799;
