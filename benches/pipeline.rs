//! The whole way: HTTPS to committed rows, client, receiver and database on one machine. `cargo bench --bench pipeline`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod support;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use support::bodies::{Kind, Post};
use support::database::{self, Database};
use support::load::{self, Sent};
use support::server::Server;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let mut database = Database::start();
    let args: Vec<String> = std::env::args().collect();
    let pick = |at: usize, default: &str| args.get(at).cloned().unwrap_or(default.to_owned());
    let kind = if pick(1, "v3") == "v2" { Kind::V2Wifi } else { Kind::V3Wifi };
    let clients: usize = pick(2, "1000").parse().unwrap();
    let posts: u32 = pick(3, "300").parse().unwrap();
    let connections: usize = pick(4, "32").parse().unwrap();
    let now = jiff::Timestamp::now().as_second();
    let bodies: Vec<Bytes> = (0..10_i64)
        .flat_map(|minute| (0..posts / 10).map(move |origin| Bytes::from(Post { kind, origin, clients, until: now - 60 * (9 - minute) }.body())))
        .collect();
    let bytes: usize = bodies.iter().map(Bytes::len).sum();
    let bodies = Arc::new(bodies);
    println!("{} MB", bytes / 1_000_000);
    for _ in 0..3 {
        let url = database.make();
        let server = Server::start(&url, &pick(5, ""));
        server.wait_until_applied();
        let target = load::target(&server.url(), &server.ca());
        let (cpu, pg) = (server.cpu(), database.cpu());
        let started = Instant::now();
        let sent: Sent = load::send_all(&target, &bodies, connections).await;
        server.wait_until_applied();
        let elapsed = started.elapsed();
        let (cpu, pg) = (server.cpu() - cpu, database.cpu() - pg);
        let mut connection = database::connect(&url).await;
        let mut tables = database::partitions(&mut connection, "observation").await;
        let observations = database::number(&mut connection, "SELECT count(*) FROM observation").await;
        let locations = database::number(&mut connection, "SELECT count(*) FROM location").await;
        tables.extend(database::partitions(&mut connection, "location").await);
        let limit = database::copy_from_files(&url, database.directory(), &tables).await;
        drop(connection);
        let rate = observations as f64 / elapsed.as_secs_f64();
        let limit_rate = observations as f64 / limit.as_secs_f64();
        let m = |name: &str| server.metric(name);
        println!(
            "{observations} obs {locations} loc: sent in {:.2?}, applied in {elapsed:.2?}: {:.0} k obs/s, limit {limit:.2?} {:.0} k/s = {:.1} %; cpu ours {cpu:.2?} pg {pg:.2?}; answers {:?}; commits {} rows {}; peak {} MB",
            sent.elapsed,
            rate / 1e3,
            limit_rate / 1e3,
            100.0 * rate / limit_rate,
            sent.percentiles(),
            m("footfall_store_commit_rows_count"),
            m("footfall_store_commit_rows_sum"),
            server.peak_memory() / 1_000_000
        );
        drop(server);
        database.drop_last();
    }
}
