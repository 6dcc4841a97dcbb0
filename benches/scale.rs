//! One load, spread over ten to a hundred thousand access points: what an observation costs and what is kept of it. `cargo bench --bench scale`

// All of it measures; nothing here serves anybody.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use ingest::wire::{Context, PADDING, Parser, Secret, Secrets};
use store::client::Pseudonyms;
use store::group::{Fold, Gathered, Keep};
use store::key::Key;
use store::repeat::RepeatFilter;

use support::bodies::{Kind, NOW, Post, SECRET};
use support::process::own_cpu;
use support::rounds::is_test;

fn main() {
    let (per_minute, minutes) = if is_test() { (1_000, 2) } else { (500_000, 3) };
    println!("v2 Wi-Fi, {per_minute} observations a minute, {minutes} minutes: processor time of parsing and folding, bytes kept");
    println!("{:>13} {:>11} {:>15} {:>17} {:>17} {:>17}", "access points", "posts", "ns/observation", "times that of 10", "filter, B/obs.", "known, B/client");
    let mut first = None;
    for access_points in [10, 100, 1_000, 10_000, 100_000] {
        let entries = (per_minute / access_points).max(1);
        let cost = run(access_points as u32, entries, minutes);
        let per_observation = cost.cpu.as_secs_f64() * 1e9 / cost.observations as f64;
        let base = *first.get_or_insert(per_observation);
        let per = |bytes: usize, of: u64| bytes as f64 / of as f64;
        println!(
            "{access_points:>13} {:>11} {per_observation:>15.0} {:>16.2}x {:>17.1} {:>17.1}",
            cost.posts,
            per_observation / base,
            per(cost.filter_bytes, cost.observations),
            per(cost.known_bytes, cost.clients + access_points as u64)
        );
    }
}

struct Cost {
    cpu: Duration,
    posts: u64,
    observations: u64,
    clients: u64,
    filter_bytes: usize,
    known_bytes: usize,
}

/// Every access point posts once a minute; groups are closed as the pipeline closes them.
fn run(access_points: u32, entries: usize, minutes: i64) -> Cost {
    let receiver: Arc<str> = Arc::from("mall");
    let secrets = [Secret::new(SECRET.to_owned())];
    let mut fold = Fold::new(Pseudonyms::Keyed(Key::from_bytes([7; 32])), Keep::default(), Arc::default(), Arc::default(), RepeatFilter::new((3, 4)));
    fold.start(NOW - 3_600);
    let (mut parser, mut spare, mut written) = (Parser::default(), None, Gathered::default());
    let mut cost = Cost { cpu: Duration::ZERO, posts: 0, observations: 0, clients: 0, filter_bytes: 0, known_bytes: 0 };
    let mut bytes: Vec<u8> = Vec::new();
    for minute in 0..minutes {
        let until = NOW + 60 * minute;
        let context = Context { receiver: &receiver, secrets: Secrets::Any(&secrets), received_at_ms: until * 1_000 };
        // Bodies are made in pieces that fit the caches no better than the sockets' would, and are not counted.
        for origins in (0..access_points).collect::<Vec<_>>().chunks(1_000) {
            let bodies: Vec<Vec<u8>> = origins.iter().map(|&origin| Post { kind: Kind::V2Wifi, origin, clients: entries, until }.body()).collect();
            let before = own_cpu();
            for body in &bodies {
                bytes.clear();
                bytes.reserve(body.len() + PADDING);
                bytes.extend_from_slice(body);
                let batch = parser.parse_fast(&mut bytes, &context, spare.take()).expect("the fast road");
                cost.posts += 1;
                cost.observations += batch.told();
                fold.add(&batch).expect("no key is made");
                spare = Some(batch);
                if fold.rows() >= ROWS_MAX {
                    fold.close();
                    fold.hand_over(&mut written);
                    cost.clients += written.group().clients.len() as u64;
                }
            }
            cost.cpu += own_cpu() - before;
        }
    }
    fold.close();
    fold.hand_over(&mut written);
    cost.clients += written.group().clients.len() as u64;
    (cost.filter_bytes, cost.known_bytes) = (fold.filter_bytes(), fold.known_bytes());
    cost
}

/// The default of `pipeline.rows`.
const ROWS_MAX: usize = 50_000;
