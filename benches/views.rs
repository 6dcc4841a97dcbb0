//! A day's report out of three months of a thousand access points: `footfall report`, and what people ask of each view.
//! `cargo bench --bench views`; with `-- postgres` or `-- sqlite` of one database.

// All of it measures; nothing here serves anybody.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod support;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use store::postgres::Postgres;
use store::query::{Cell, Sink};
use store::sqlite::Sqlite;
use store::writer::Store;
use tokio::runtime::Runtime;

use support::database::{Database, connect, run};
use support::history::{Dialect, History, ZONES};
use support::rounds::{is_test, median, timed};

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let history = if is_test() { History::SMALL } else { History::FULL };
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_wanted = |word: &str| words.is_empty() || words.iter().any(|wanted| wanted == word);
    let mut answers = Answers::default();
    if is_wanted("postgres") {
        let mut database = Database::start();
        let url = database.make();
        let ((), made) = timed(|| runtime.block_on(fill_postgres(&url, history)));
        let shown = shown(history, made, bytes(database.directory()));
        bench(&runtime, history, &url, &format!("Postgres, goal 200 ms: {shown}"), &mut answers);
    }
    if is_wanted("sqlite") {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("footfall.db");
        let url = format!("sqlite:{}", file.display());
        let ((), made) = timed(|| runtime.block_on(fill_sqlite(&url, &file, history)));
        let shown = shown(history, made, bytes(dir.path()));
        bench(&runtime, history, &url, &format!("SQLite, goal 1,000 ms: {shown}"), &mut answers);
    }
}

fn shown(history: History, made: Duration, bytes: u64) -> String {
    let History { days, sites, access_points } = history;
    let (all, gigabytes, seconds) = (sites * access_points, bytes as f64 / 1e9, made.as_secs());
    format!("{days} days of {all} access points at {sites} sites, {gigabytes:.1} GB, made in {seconds} s")
}

/// Asks each question of a day that is over and of the one that is not, and prints how long that takes.
fn bench(runtime: &Runtime, history: History, url: &str, title: &str, answers: &mut Answers) {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("footfall.toml");
    std::fs::write(&config, format!("data_dir = {:?}\ndatabase = {url:?}\n", dir.path().join("data"))).unwrap();
    let (is_over, last) = ((history.days - 1) * 2 / 3, history.days - 1);
    println!("\n{title}\nmilliseconds, medians and worst of {ROUNDS} rounds; a day that is over, and the last day, at half past five");
    println!("{:<42} {:>7} {:>8} {:>8} {:>9} {:>8} {:>8}", "", "rows", "median", "worst", "rows", "median", "worst");
    for (what, arguments) in reports() {
        let [over, today] = [is_over, last].map(|day| {
            let date = history.date(day);
            times(|| report(&config, &[&["--day", &date], arguments].concat(), history))
        });
        print(what, ("", over), ("", today));
    }
    for question in questions() {
        let [over, today] = [is_over, last].map(|day| {
            let sql = question.of(history, day);
            let rows = runtime.block_on(asked(url, &sql));
            let expected = (question.rows)(history, if day == last { TODAY } else { OVER });
            assert_eq!(rows.len() as i64, expected, "{} of day {day}: {sql}", question.what);
            answers.compare(&sql, &rows);
            let time = times(|| {
                let (answer, time) = timed(|| runtime.block_on(asked(url, &sql)));
                assert_eq!(answer.len(), rows.len());
                time
            });
            (rows.len().to_string(), time)
        });
        print(question.what, (&over.0, over.1), (&today.0, today.1));
    }
}

/// Median and worst, in milliseconds; the first round warms up and does not count.
fn times(mut round: impl FnMut() -> Duration) -> [f64; 2] {
    round();
    let rounds = if is_test() { 1 } else { ROUNDS };
    let times: Vec<f64> = (0..rounds).map(|_| round().as_secs_f64() * 1e3).collect();
    [median(&times), times.iter().copied().fold(0.0, f64::max)]
}

fn print(what: &str, (over_rows, over): (&str, [f64; 2]), (today_rows, today): (&str, [f64; 2])) {
    println!("{what:<42} {over_rows:>7} {:>8.1} {:>8.1} {today_rows:>9} {:>8.1} {:>8.1}", over[0], over[1], today[0], today[1]);
}

/// The command as people run it, since its statements stand in the binary: a process, a connection for each statement, a page.
fn report(config: &Path, arguments: &[&str], history: History) -> Duration {
    let mut command = Command::new(env!("CARGO_BIN_EXE_footfall"));
    command.arg("report").args(arguments).arg("--config").arg(config);
    let (out, time) = timed(|| command.output().unwrap());
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let sites =
        (1..=history.sites).filter(|site| text.lines().any(|line| line.contains(&format!("mall/L_{site} ")) || line.ends_with(&format!("mall/L_{site}"))));
    assert_eq!(sites.count() as i64, if arguments.contains(&"--site") { 1 } else { history.sites }, "each site is there:\n{text}");
    time
}

fn reports() -> [(&'static str, &'static [&'static str]); 2] {
    [("footfall report --day, one site", &["--site", "mall/L_1"]), ("footfall report --day, all sites", &[])]
}

/// What somebody asks of a view for one day.
struct Question {
    what: &'static str,
    /// `:day`, `:from`, `:to`, `:before` and `:ap` stand for the day, its first moment, that of the next, the longest visit before it, and an
    /// access point of the site mall/L_1.
    sql: &'static str,
    /// The rows of the answer, of so much of a day.
    rows: fn(History, Told) -> i64,
}

/// How much of a day is told.
#[derive(Clone, Copy)]
struct Told {
    hours: i64,
    minutes: i64,
    /// Visits that began in it, at each access point.
    visits: i64,
    /// Stays that began in it, at each access point.
    stays: i64,
}

impl Question {
    fn of(&self, history: History, day: i64) -> String {
        let moment = |seconds: i64| format!("'{}'", jiff::Timestamp::from_second(seconds).unwrap());
        let (from, to) = (history.start(day), history.start(day + 1));
        let sql = self.sql.replace(":day", &format!("'{}'", history.date(day))).replace(":ap", &format!("'{}'", history.address(7)));
        sql.replace(":from", &moment(from)).replace(":to", &moment(to)).replace(":before", &moment(from - 12 * 3_600))
    }
}

fn questions() -> Vec<Question> {
    let question = |what, sql, rows| Question { what, sql, rows };
    vec![
        question("daily, all sites", "SELECT * FROM daily WHERE profile = 'standard@1' AND place_kind = 'site' AND day = :day", |h, _| h.sites),
        question("daily, all access points", "SELECT * FROM daily WHERE profile = 'standard@1' AND place_kind = 'ap' AND day = :day", |h, _| {
            h.sites * h.access_points
        }),
        question(
            "hourly, all sites",
            "SELECT * FROM hourly WHERE profile = 'standard@1' AND place_kind = 'site' AND hour >= :from AND hour < :to",
            |h, told| h.sites * told.hours,
        ),
        question(
            "hourly, the access points of a site",
            "SELECT * FROM hourly WHERE profile = 'standard@1' AND site = 'mall/L_1' AND place_kind = 'ap' AND hour >= :from AND hour < :to",
            |h, told| h.access_points * told.hours,
        ),
        question(
            "hourly, all access points",
            "SELECT * FROM hourly WHERE profile = 'standard@1' AND place_kind = 'ap' AND hour >= :from AND hour < :to",
            |h, told| h.sites * h.access_points * told.hours,
        ),
        question(
            "occupancy, a site",
            "SELECT minute, devices, connected FROM occupancy WHERE profile = 'standard@1' AND site = 'mall/L_1' AND place_kind = 'site' \
             AND minute >= :from AND minute < :to ORDER BY minute",
            |_, told| told.minutes,
        ),
        question(
            "occupancy, an access point",
            "SELECT minute, devices, connected FROM occupancy WHERE profile = 'standard@1' AND site = 'mall/L_1' AND place_kind = 'ap' AND place = :ap \
             AND minute >= :from AND minute < :to ORDER BY minute",
            |_, told| told.minutes * 2 / 3,
        ),
        question(
            "occupancy, the peak of each site",
            "SELECT site, minute, devices, connected \
             FROM (SELECT site, minute, devices, connected, row_number() OVER (PARTITION BY site ORDER BY devices DESC, minute) AS nth FROM occupancy \
                 WHERE profile = 'standard@1' AND place_kind = 'site' AND minute >= :from AND minute < :to) peak \
             WHERE nth = 1 ORDER BY site",
            |h, _| h.sites,
        ),
        question(
            "visits, a site",
            "SELECT * FROM visits WHERE profile = 'standard@1' AND site = 'mall/L_1' AND started_at >= :from AND started_at < :to",
            |h, told| h.access_points * told.visits,
        ),
        question(
            "visits, all sites: distinct visitors",
            "SELECT site, count(DISTINCT client) AS visitors, count(*) AS visits FROM visits WHERE profile = 'standard@1' AND identity <> 'local_unassoc' \
             AND started_at >= :before AND started_at < :to AND (ended_at > :from OR started_at >= :from) GROUP BY site ORDER BY site",
            |h, _| h.sites,
        ),
        question(
            "stays, an access point",
            "SELECT * FROM stays WHERE profile = 'standard@1' AND site = 'mall/L_1' AND place = :ap AND started_at >= :from AND started_at < :to",
            |_, told| told.stays,
        ),
        question(
            "stays, a site: by place",
            "SELECT place, count(*) AS stays, count(DISTINCT visit_id) AS visits, sum(dwell_s) AS dwell_s FROM stays WHERE profile = 'standard@1' \
             AND site = 'mall/L_1' AND place_kind <> 'zone' AND started_at >= :from AND started_at < :to GROUP BY place ORDER BY dwell_s DESC, place",
            |h, _| h.access_points,
        ),
        question(
            "flow, a site",
            "SELECT from_place, to_place, sum(transitions) AS transitions, 1.0 * sum(transitions) / sum(sum(transitions)) OVER (PARTITION BY from_place) AS share \
             FROM flow WHERE profile = 'standard@1' AND site = 'mall/L_1' AND hour >= :from AND hour < :to GROUP BY from_place, to_place",
            |h, _| h.access_points * 4,
        ),
        question("now", "SELECT * FROM now ORDER BY site, place_kind, place", |h, _| h.sites * (1 + ZONES + h.access_points)),
    ]
}

/// What one database has answered, for the other: the rows are the same in both.
#[derive(Default)]
struct Answers(HashMap<String, Vec<String>>);

impl Answers {
    fn compare(&mut self, sql: &str, rows: &[Vec<Cell>]) {
        let plain = |cell: &Cell| match cell {
            Cell::Null => String::new(),
            Cell::Bool(is) => format!("{:.6}", f64::from(u8::from(*is))),
            Cell::Integer(number) => format!("{:.6}", *number as f64),
            Cell::Number(number) => format!("{number:.6}"),
            Cell::Decimal(text) => format!("{:.6}", text.parse::<f64>().unwrap()),
            Cell::Json(text) | Cell::Text(text) => text.clone(),
        };
        let mut rows: Vec<String> = rows.iter().map(|row| row.iter().map(plain).collect::<Vec<_>>().join(" ")).collect();
        rows.sort();
        match self.0.get(sql) {
            Some(other) => {
                let differing = other.iter().zip(&rows).find(|(one, other)| one != other);
                assert!(*other == rows, "Postgres and SQLite answer alike: {sql}\n{differing:?}");
            }
            None => drop(self.0.insert(sql.to_owned(), rows)),
        }
    }
}

/// As `footfall query` asks: a connection, the statement, all rows.
async fn asked(url: &str, sql: &str) -> Vec<Vec<Cell>> {
    #[derive(Default)]
    struct Rows(Vec<Vec<Cell>>);
    impl Sink for Rows {
        fn columns(&mut self, _: Vec<String>) -> io::Result<()> {
            Ok(())
        }

        fn row(&mut self, cells: Vec<Cell>) -> io::Result<()> {
            self.0.push(cells);
            Ok(())
        }
    }
    let mut rows = Rows::default();
    store::query::query(url, sql, &mut rows).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.0
}

async fn fill_postgres(url: &str, history: History) {
    Postgres::new(url).unwrap().connect().await.unwrap();
    let mut connection = connect(url).await;
    run(&mut connection, "SET synchronous_commit = off").await;
    for statements in history.statements(Dialect::Postgres) {
        run(&mut connection, &statements).await;
    }
    // As autovacuum does, sooner or later.
    run(&mut connection, "VACUUM ANALYZE").await;
}

async fn fill_sqlite(url: &str, file: &Path, history: History) {
    Sqlite::new(url).unwrap().connect().await.unwrap();
    let connection = rusqlite::Connection::open(file).unwrap();
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -1048576; PRAGMA temp_store = MEMORY").unwrap();
    for statements in history.statements(Dialect::Sqlite) {
        connection.execute_batch(&format!("BEGIN; {statements}; COMMIT")).unwrap();
    }
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
}

/// What a directory takes.
fn bytes(directory: &Path) -> u64 {
    let mut todo: Vec<PathBuf> = vec![directory.to_owned()];
    let mut total = 0;
    while let Some(directory) = todo.pop() {
        // The server removes files while we look.
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(of) if of.is_dir() => todo.push(entry.path()),
                Ok(of) => total += of.len(),
                Err(_) => {}
            }
        }
    }
    total
}

const OVER: Told = Told { hours: 12, minutes: 720, visits: 70, stays: 100 };
/// Up to half past five.
const TODAY: Told = Told { hours: 10, minutes: 570, visits: 55, stays: 78 };
const ROUNDS: usize = 11;
