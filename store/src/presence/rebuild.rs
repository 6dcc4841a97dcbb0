//! Presence made anew beside the live rows, and put in their place in one transaction.
//!
//! The new rows stand under a profile of their own name, which no view shows. When they have caught up, every journal's cursor is given another
//! turn: whoever writes finds that the store has changed, and begins anew from it.

use std::future::Future;

use super::Changes;
use super::told::Dialect;
use crate::group::Group;
use crate::writer::WriteError;

/// A store whose presence can be made anew. Methods that write run in the transaction that [`Rebuild::open`] began.
pub trait Rebuild {
    /// Begins a transaction; one that puts rows in the place of others keeps every other writer waiting.
    fn open(&mut self, stop_writers: bool) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// Commits it.
    fn commit(&mut self) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// The job that is under way for a profile.
    fn found(&mut self, profile: &str) -> impl Future<Output = Result<Option<Found>, WriteError>> + Send;

    /// Runs the statements of a step of the job.
    fn run(&mut self, step: Step<'_>) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// Writes changes of presence alone.
    fn write_presence(&mut self, changes: &Changes) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// Hands over stored observations: in the order of their time, or those that arrived since.
    fn replay(&mut self, which: Which, each: &mut (dyn FnMut(&Group) + Send)) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// When the earliest stored observation had arrived, and since when others may still be committed, milliseconds since 1970; none when
    /// nothing is stored.
    fn arrivals(&mut self) -> impl Future<Output = Result<Option<(i64, i64)>, WriteError>> + Send;
}

/// Which observations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    /// Observed since a second.
    Observed(i64),
    /// Received since a millisecond.
    Received(i64),
}

/// A step of a job.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// It begins.
    Begin(&'a Job),
    /// Observations before a second are in the new rows.
    Reach(&'a Job, i64),
    /// The new rows take the place of the old ones.
    Replace(&'a Job, &'a [Replaced]),
}

impl Step<'_> {
    pub(crate) fn statements(self, dialect: Dialect) -> Vec<String> {
        match self {
            Self::Begin(job) => begin(job),
            Self::Reach(job, reached) => vec![reach(dialect, job, reached)],
            Self::Replace(job, sites) => replace(dialect, job, sites),
        }
    }
}

/// Rows of one profile that are made anew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    /// The profile with its version.
    pub profile: String,
    /// The name under which its new rows stand.
    pub shadow: String,
    /// First local day, as text.
    pub from_day: String,
    /// What the rows are made by, in short: a job that was begun by others is begun anew.
    pub made_by: String,
    /// When the latest observation had arrived that the store had at the beginning, milliseconds since 1970.
    pub committed_ms: i64,
}

/// A job that is under way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// As in [`Job`].
    pub from_day: String,
    /// As in [`Job`].
    pub made_by: String,
    /// As in [`Job`].
    pub committed_ms: i64,
    /// Observations before this second are in the new rows.
    pub reached: Option<i64>,
}

/// The rows of a site that the new ones replace: all from a second on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replaced {
    /// The site.
    pub site: String,
    /// Seconds since 1970.
    pub from: i64,
    /// What the rows are made by now.
    pub definition: Option<String>,
}

/// Begins a job: nothing is left of an earlier one.
fn begin(job: &Job) -> Vec<String> {
    let mut statements = forget(&job.shadow);
    let [profile, from, made_by] = [&job.profile, &job.from_day, &job.made_by].map(|text| quoted(text));
    statements.push(format!("DELETE FROM presence_recompute WHERE profile = {profile}"));
    statements.push(format!(
        "INSERT INTO presence_recompute (profile, from_day, made_by, committed_ms, reached) VALUES ({profile}, {from}, {made_by}, {}, NULL)",
        job.committed_ms
    ));
    statements
}

/// Notes how far a job has come.
fn reach(dialect: Dialect, job: &Job, reached: i64) -> String {
    format!("UPDATE presence_recompute SET reached = {} WHERE profile = {}", time(dialect, reached), quoted(&job.profile))
}

/// Keeps all others from committing, and makes them look at the store again.
pub(crate) const STOP_WRITERS: &str = "UPDATE journal_cursor SET turn = turn + 1";

/// Puts the new rows in the place of the old ones from a second on. What is known of clients that were not observed since stays.
fn replace(dialect: Dialect, job: &Job, sites: &[Replaced]) -> Vec<String> {
    let (profile, shadow) = (quoted(&job.profile), quoted(&job.shadow));
    let mut statements = Vec::new();
    for Replaced { site, from, definition } in sites {
        let (site, from) = (quoted(site), time(dialect, *from));
        let scope = |profile: &str| format!("(SELECT id FROM presence_scope WHERE profile = {profile} AND site = {site})");
        let (old, new) = (scope(&profile), scope(&shadow));
        // A site of which nothing is stored keeps its rows, and one that is new its own.
        let both = format!("{old} IS NOT NULL AND {new} IS NOT NULL");
        for (table, column) in TIMED {
            statements.push(format!("DELETE FROM {table} WHERE scope = {old} AND {column} >= {from} AND {both}"));
            statements.push(format!("DELETE FROM {table} WHERE scope = {new} AND {column} < {from} AND {both}"));
            statements.push(format!("UPDATE {table} SET scope = {old} WHERE scope = {new} AND {both}"));
        }
        statements.push(format!("DELETE FROM presence_record WHERE scope = {old} AND client IN (SELECT client FROM presence_record WHERE scope = {new})"));
        // Who was excluded since has no new rows, and what was known of it is told by none any more.
        statements.push(format!("DELETE FROM presence_record WHERE scope = {old} AND {both} AND client IN (SELECT client FROM client WHERE is_excluded)"));
        statements.push(format!("DELETE FROM presence_member WHERE scope = {old} AND {both}"));
        for table in ["presence_record", "presence_member"] {
            statements.push(format!("UPDATE {table} SET scope = {old} WHERE scope = {new} AND {both}"));
        }
        // Posts are not told again.
        statements.push(format!("DELETE FROM presence_covered WHERE scope = {new} AND {both}"));
        for column in ["gap_s", "allowed_lateness_s", "max_visit_s", "present_s", "loyalty_days", "lasts_days"] {
            statements.push(format!(
                "UPDATE presence_scope SET {column} = (SELECT n.{column} FROM presence_scope n WHERE n.profile = {shadow} AND n.site = {site})
                 WHERE profile = {profile} AND site = {site} AND {both}"
            ));
        }
        if let Some(definition) = definition {
            let definition = quoted(definition);
            statements.push(format!("UPDATE presence_scope SET definition = {definition}, final_until = NULL WHERE profile = {profile} AND site = {site}"));
        }
        statements.push(format!("DELETE FROM presence_scope WHERE profile = {shadow} AND site = {site} AND {old} IS NOT NULL"));
    }
    let shown = match dialect {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => "1",
        #[cfg(feature = "postgres")]
        Dialect::Postgres => "true",
    };
    statements.push(format!("UPDATE presence_scope SET profile = {profile}, is_shown = {shown} WHERE profile = {shadow}"));
    statements.push(format!("DELETE FROM presence_recompute WHERE profile = {profile}"));
    statements
}

/// Removes a profile's rows.
fn forget(profile: &str) -> Vec<String> {
    let profile = quoted(profile);
    let of = |table: &str| format!("DELETE FROM {table} WHERE scope IN (SELECT id FROM presence_scope WHERE profile = {profile})");
    let mut statements: Vec<String> = TABLES.iter().map(|table| of(table)).collect();
    statements.push(format!("DELETE FROM presence_scope WHERE profile = {profile}"));
    statements
}

fn time(dialect: Dialect, seconds: i64) -> String {
    match dialect {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => seconds.to_string(),
        #[cfg(feature = "postgres")]
        Dialect::Postgres => format!("to_timestamp({seconds})"),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Tables whose rows are of a time.
const TIMED: [(&str, &str); 5] = [
    ("presence_session", "started_at"),
    ("presence_stay", "visit_started_at"),
    ("presence_occupancy", "minute"),
    ("presence_count", "start_at"),
    ("presence_flow", "hour"),
];
/// All tables with rows of scopes.
const TABLES: [&str; 8] =
    ["presence_session", "presence_stay", "presence_occupancy", "presence_count", "presence_flow", "presence_covered", "presence_member", "presence_record"];
