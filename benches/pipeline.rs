//! The whole way: HTTPS to committed rows, sender, receiver and database on one machine, beside the server's own COPY of the same rows and beside
//! a plain receiver. `cargo bench --bench pipeline`, or a part of it: `cargo bench --bench pipeline -- v3 1000`

// All of it measures; nothing here serves anybody.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use support::bodies::{Kind, Post};
use support::database::{self, Database};
use support::load::{self, Sent};
use support::rival::{Rival, become_rival};
use support::rounds::{is_test, median};
use support::server::Server;

fn main() {
    become_rival();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_wanted = |word: &str| words.is_empty() || words.iter().any(|wanted| wanted == word) || !words.iter().any(|wanted| kind_of(wanted) == kind_of(word));
    let mut database = Database::start();
    for (kind, name) in [(Kind::V3Wifi, "v3"), (Kind::V2Wifi, "v2")] {
        for (clients, posts) in [(1_000, 400), (100, 2_000), (10, 8_000)] {
            if is_wanted(name) && is_wanted(&clients.to_string()) {
                let posts = if is_test() { 20 } else { posts };
                runtime.block_on(bench(&mut database, kind, name, clients, posts));
            }
        }
    }
    if words.is_empty() || words.iter().any(|word| word == "away") {
        runtime.block_on(without_database(&mut database));
    }
}

/// Versions are one kind of word, numbers of clients another.
fn kind_of(word: &str) -> bool {
    word.starts_with('v')
}

/// One way to the rows.
struct Run {
    observations: i64,
    /// From the first post to the last row that is committed.
    elapsed: Duration,
    sent: Sent,
    cpu: Duration,
    database_cpu: Duration,
    peak_bytes: u64,
    /// For the server's own COPY of the same rows.
    limit: Option<Duration>,
}

impl Run {
    fn rate(&self) -> f64 {
        self.observations as f64 / self.elapsed.as_secs_f64()
    }

    fn share(&self) -> f64 {
        self.limit.map_or(f64::NAN, |limit| 100.0 * limit.as_secs_f64() / self.elapsed.as_secs_f64())
    }

    fn cpu_per_million(&self, database: bool) -> f64 {
        let cpu = if database { self.cpu + self.database_cpu } else { self.cpu };
        cpu.as_secs_f64() * 1e6 / self.observations as f64
    }
}

async fn bench(database: &mut Database, kind: Kind, name: &str, clients: usize, posts: u32) {
    let bodies = bodies(kind, clients, posts);
    let bytes: usize = bodies.iter().map(Bytes::len).sum();
    println!("\n{name} Wi-Fi, {clients} clients per post, {} posts, {} MB, locations and repeat filter on", bodies.len(), bytes / 1_000_000);
    println!(
        "{:<22} {:>10} {:>9} {:>9} {:>24} {:>13} {:>16} {:>8}",
        "medians of rounds", "k obs/s", "% of COPY", "posts/s", "answer p50/99/99.9 ms", "CPU s/M obs", "with database's", "peak MB"
    );
    let rounds = if is_test() { 1 } else { 3 };
    let mut ours = Vec::new();
    let (mut alone, mut rival) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(footfall(database, Target::Postgres, &bodies).await);
        alone.push(footfall(database, Target::PostgresAlone, &bodies).await);
        rival.push(plain(database, kind, &bodies).await);
    }
    show("footfall, Postgres", &ours, bodies.len());
    show("without presence", &alone, bodies.len());
    show("plain, Postgres", &rival, bodies.len());
    for (title, target) in [("footfall, no store", Target::Null), ("footfall, SQLite", Target::Sqlite), ("without presence", Target::SqliteAlone)] {
        let mut runs = Vec::new();
        for _ in 0..rounds {
            runs.push(footfall(database, target, &bodies).await);
        }
        show(title, &runs, bodies.len());
    }
    let of = |runs: &[Run], what: fn(&Run) -> f64| median(&runs.iter().map(what).collect::<Vec<_>>());
    println!(
        "with presence: {:.2} of the observations/s without it, {:.2}x the CPU seconds with the database's",
        of(&ours, Run::rate) / of(&alone, Run::rate),
        of(&ours, |run| run.cpu_per_million(true)) / of(&alone, |run| run.cpu_per_million(true)),
    );
    println!(
        "footfall beside the plain receiver: {:.2}x its observations/s, {:.2} of its CPU seconds, {:.2} with the database's",
        of(&ours, Run::rate) / of(&rival, Run::rate),
        of(&ours, |run| run.cpu_per_million(false)) / of(&rival, |run| run.cpu_per_million(false)),
        of(&ours, |run| run.cpu_per_million(true)) / of(&rival, |run| run.cpu_per_million(true)),
    );
}

fn show(title: &str, runs: &[Run], posts: usize) {
    let of = |what: &dyn Fn(&Run) -> f64| median(&runs.iter().map(what).collect::<Vec<_>>());
    let answers = [0, 1, 2].map(|at| of(&|run| run.sent.percentiles()[at]));
    println!(
        "{title:<22} {:>10.0} {:>9.1} {:>9.0} {:>24} {:>13.2} {:>16.2} {:>8.0}",
        of(&|run| run.rate() / 1e3),
        of(&Run::share),
        of(&|run| posts as f64 / run.sent.elapsed.as_secs_f64()),
        answers.map(|ms| format!("{ms:.1}")).join(" / "),
        of(&|run| run.cpu_per_million(false)),
        of(&|run| run.cpu_per_million(true)),
        of(&|run| run.peak_bytes as f64 / 1e6)
    );
}

/// Ten minutes of posts of as many networks (v3) or access points (v2) as make up their number, in the order in which the cloud sends.
fn bodies(kind: Kind, clients: usize, posts: u32) -> Arc<Vec<Bytes>> {
    let now = jiff::Timestamp::now().as_second();
    let of_minute = |minute: i64| (0..posts / 10).map(move |origin| Bytes::from(Post { kind, origin, clients, until: now - 60 * (9 - minute) }.body()));
    Arc::new((0..10).flat_map(of_minute).collect())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Postgres,
    /// Postgres, without presence.
    PostgresAlone,
    Sqlite,
    /// SQLite, without presence.
    SqliteAlone,
    Null,
}

impl Target {
    fn is_postgres(self) -> bool {
        matches!(self, Self::Postgres | Self::PostgresAlone)
    }

    fn configuration(self) -> &'static str {
        if matches!(self, Self::PostgresAlone | Self::SqliteAlone) { "[presence]\nprofiles = []\n" } else { "" }
    }
}

async fn footfall(database: &mut Database, target: Target, bodies: &Arc<Vec<Bytes>>) -> Run {
    let url = match target {
        Target::Postgres | Target::PostgresAlone => database.make(),
        Target::Sqlite | Target::SqliteAlone => "sqlite".to_owned(),
        Target::Null => "null:".to_owned(),
    };
    let server = Server::start(&url, target.configuration());
    server.wait_until_applied();
    let (cpu, database_cpu, started) = (server.cpu(), database.cpu(), Instant::now());
    let sent = load::send_all(&load::target(&server.url(), &server.ca()), bodies, CONNECTIONS).await;
    let status = server.wait_until_applied();
    let elapsed = started.elapsed();
    // What presence costs counts too, also what is left until nothing comes any more.
    while server.metric("footfall_presence_pending") > 0.0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (cpu, database_cpu) = (server.cpu() - cpu, database.cpu() - database_cpu);
    let observations = server.metric("footfall_observations_total{outcome=\"written\"}") as i64;
    assert_eq!(status["store"]["state"], "running");
    let mut limit = None;
    if target.is_postgres() {
        let mut connection = database::connect(&url).await;
        assert_eq!(database::number(&mut connection, "SELECT count(*) FROM observation").await, observations);
        let mut tables = database::partitions(&mut connection, "observation").await;
        tables.extend(database::partitions(&mut connection, "location").await);
        limit = Some(database::copy_from_files(&url, database.directory(), &tables).await);
        drop(connection);
    }
    let peak_bytes = server.peak_memory();
    drop(server);
    if target.is_postgres() {
        database.drop_last();
    }
    Run { observations, elapsed, sent, cpu, database_cpu, peak_bytes, limit }
}

async fn plain(database: &mut Database, kind: Kind, bodies: &Arc<Vec<Bytes>>) -> Run {
    let url = database.make();
    let rival = Rival::start(&url, kind == Kind::V3Wifi);
    let (cpu, database_cpu, started) = (rival.cpu(), database.cpu(), Instant::now());
    let sent = load::send_all(&load::target(&rival.url(), &rival.ca()), bodies, CONNECTIONS).await;
    let (elapsed, cpu, database_cpu) = (started.elapsed(), rival.cpu() - cpu, database.cpu() - database_cpu);
    let mut connection = database::connect(&url).await;
    let observations = database::number(&mut connection, "SELECT count(*) FROM observation").await;
    let tables = ["observation".to_owned(), "location".to_owned()];
    let limit = Some(database::copy_from_files(&url, database.directory(), &tables).await);
    drop(connection);
    let peak_bytes = rival.peak_memory();
    drop(rival);
    database.drop_last();
    Run { observations, elapsed, sent, cpu, database_cpu, peak_bytes, limit }
}

/// Answers at a fixed rate, with Postgres running and with it stopped: no answer waits for it.
async fn without_database(database: &mut Database) {
    let posts = if is_test() { 20 } else { 3_000 };
    let bodies = bodies(Kind::V3Wifi, 100, posts);
    println!("\nanswers at {RATE} posts/s, v3 Wi-Fi, 100 clients per post: p50/p99/p99.9 in ms");
    let mut p99 = [Vec::new(), Vec::new()];
    for _ in 0..if is_test() { 1 } else { 5 } {
        let url = database.make();
        for (times, is_away) in p99.iter_mut().zip([false, true]) {
            let server = Server::start(&url, "");
            server.wait_until_applied();
            if is_away {
                database.stop();
            }
            let sent = load::send_at(&load::target(&server.url(), &server.ca()), &bodies, RATE, CONNECTIONS).await;
            let [p50, p99, p999] = sent.percentiles();
            println!("{:<18} {p50:>8.2} {p99:>8.2} {p999:>8.2}", if is_away { "Postgres stopped" } else { "Postgres running" });
            times.push(p99);
            if is_away {
                database.restart();
            }
        }
        database.drop_last();
    }
    let [running, stopped] = p99.map(|times| median(&times));
    println!("p99 with Postgres stopped: {:.2}x of p99 with it running (medians)", stopped / running);
}

/// Of the sender, each with one post under way.
const CONNECTIONS: usize = 32;
/// Below what all of it together can do on two cores.
const RATE: f64 = 300.0;
