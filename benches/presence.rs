//! The presence engine alone: what an observation costs and what a client takes, from ten to a hundred thousand access points.
//! `cargo bench --bench presence`, or `-- 10 100000` for some numbers of access points alone.

// All of it measures; nothing here serves anybody.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod support;

use std::process::Command;
use std::time::Duration;

use analytics::presence::engine::{Engine, Settings};
use analytics::presence::profile::Profile;
use analytics::presence::site::Lasting;
use jiff::tz::TimeZone;
use store::batch::Radio;
use store::client::ClientId;
use store::group::{Address, Group, ObservationRow, Source};
use store::mac::Mac;
use store::presence::Changes;
use store::texts::Text;

use support::process::own_cpu;
use support::rounds::is_test;

fn main() {
    if let Ok(work) = std::env::var(WORK) {
        let numbers: Vec<usize> = work.split(' ').map(|number| number.parse().unwrap()).collect();
        // The clock's own code does not run under valgrind.
        std::hint::black_box(run(numbers[0], numbers[1], numbers[2] as i64, 1, || Duration::ZERO));
        return;
    }
    let (per_minute, minutes) = if is_test() { (1_000, 3) } else { (300_000, 40) };
    println!("{per_minute} observations a minute, {minutes} minutes: each client is heard by three access points a minute and stays for 20.");
    println!(
        "Live: all is published every minute. Behind: as when a backlog is caught up within a minute, at the end, median of {ROUNDS}. Processor time of one thread."
    );
    println!(
        "{:>13} {:>15} {:>11} {:>10} {:>14} {:>11} {:>12} {:>14} {:>9} {:>14}",
        "access points",
        "behind, ns/obs.",
        "times first",
        "million/s",
        "live, ns/obs.",
        "times first",
        "instructions",
        "rows/client-m.",
        "B/client",
        "B/access point"
    );
    let mut first = None;
    for access_points in asked() {
        let cost = run(access_points, per_minute, minutes, 1, own_cpu);
        let mut rounds: Vec<f64> = (0..if is_test() { 1 } else { ROUNDS })
            .map(|_| {
                let behind = run(access_points, per_minute, minutes, minutes, own_cpu);
                behind.cpu.as_secs_f64() * 1e9 / behind.observations as f64
            })
            .collect();
        rounds.sort_by(f64::total_cmp);
        let behind_nanos = rounds[rounds.len() / 2];
        let nanos = cost.cpu.as_secs_f64() * 1e9 / cost.observations as f64;
        let (base, behind_base) = *first.get_or_insert((nanos, behind_nanos));
        let counted = if is_test() { None } else { instructions(access_points) };
        println!(
            "{access_points:>13} {behind_nanos:>15.0} {:>10.2}x {:>10.2} {nanos:>14.0} {:>10.2}x {:>12} {:>14.2} {:>9.0} {:>14.0}",
            behind_nanos / behind_base,
            1e3 / behind_nanos,
            nanos / base,
            counted.map_or("no valgrind".to_owned(), |count| format!("{count:.0}")),
            cost.rows as f64 / (cost.observations as f64 / HEARD_BY as f64),
            cost.bytes as f64 / cost.clients as f64,
            cost.bytes as f64 / access_points as f64
        );
    }
}

/// The numbers of access points that the command line names, or all.
fn asked() -> Vec<usize> {
    let named: Vec<usize> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    if named.is_empty() { vec![10, 100, 1_000, 10_000, 100_000] } else { named }
}

struct Cost {
    cpu: Duration,
    observations: usize,
    rows: usize,
    bytes: usize,
    clients: usize,
}

/// A site of so many access points, minute after minute, published every so many.
fn run(access_points: usize, per_minute: usize, minutes: i64, every: i64, clock: fn() -> Duration) -> Cost {
    let mut engine = Engine::new(Settings {
        profiles: vec![Profile::standard()],
        sites: Vec::new(),
        time_zone: TimeZone::UTC,
        lasting: Lasting::default(),
        publish_every_ms: 60_000,
        memory_max: usize::MAX,
        rebuilding: false,
    });
    let present = per_minute / HEARD_BY;
    let mut cost = Cost { cpu: Duration::ZERO, observations: 0, rows: 0, bytes: 0, clients: 0 };
    let mut changes = Changes::default();
    for minute in 0..minutes {
        let group = heard(access_points, present, minute);
        let before = clock();
        engine.absorb(&group, &group.observations);
        engine.next_group();
        let now_ms = (NOON + minute * 60) * 1_000;
        let is_last = minute + 1 == minutes;
        if (minute + 1) % every != 0 && !is_last {
            cost.cpu += clock() - before;
            cost.observations += group.observations.len();
            continue;
        }
        let asked = engine.prepare(now_ms, true);
        engine.fill(asked.iter().map(|_| Vec::new()));
        changes.clear();
        engine.publish(&mut changes);
        cost.cpu += clock() - before;
        cost.observations += group.observations.len();
        cost.rows += changes.len();
    }
    (cost.bytes, cost.clients) = (engine.bytes(), engine.clients());
    cost
}

/// What is heard in one minute: a twentieth of the clients is new in each.
fn heard(access_points: usize, present: usize, minute: i64) -> Group {
    let mut group = Group::default();
    let receiver = group.texts.intern("mall");
    // A thousand access points are a site at most, as networks are.
    for ap in 0..access_points {
        let network = group.texts.intern(&format!("N_{}", ap / 1_000));
        group.sources.push(Source { receiver, network, ap: Some(Mac::from_bits(0x0218_0a00_0000 + ap as u64)), radio: Radio::Wifi });
    }
    let ssid = group.texts.intern("guest");
    for place in 0..present {
        let stays = (minute + (place % 20) as i64) / 20;
        let mixed = (place as u64 * 1_000 + stays.unsigned_abs() + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // Walks on to the next access point every few minutes, within its network.
        let network = place % access_points.div_ceil(1_000);
        let within = (access_points - network * 1_000).min(1_000);
        let step = (mixed >> 20) as usize + usize::try_from(minute / 6).unwrap();
        for heard in 0..HEARD_BY {
            group.observations.push(ObservationRow {
                observed_at: NOON + minute * 60 + ((mixed >> (8 * heard)) % 60) as i64,
                received_at_ms: (NOON + minute * 60 + 60) * 1_000,
                client: ClientId(mixed | 1 << 63),
                source: (network * 1_000 + (step + heard) % within) as u32,
                ssid: if mixed.is_multiple_of(3) { ssid } else { Text::NONE },
                rssi_dbm: -60 - 9 * heard as i8,
                address: Address::Global,
            });
        }
    }
    group
}

/// Instructions of an observation: two runs under callgrind that differ in nothing but the number of minutes.
fn instructions(access_points: usize) -> Option<f64> {
    let per_minute = 6_000.max(access_points);
    let [few, many] = [21, 31].map(|minutes| collected(&format!("{access_points} {per_minute} {minutes}")));
    Some((many? - few?) / (10 * per_minute / HEARD_BY * HEARD_BY) as f64)
}

fn collected(work: &str) -> Option<f64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(std::env::current_exe().unwrap()).env(WORK, work);
    let said = String::from_utf8(command.output().ok()?.stderr).unwrap();
    let line = said.lines().find_map(|line| line.split_once("Collected : ")).unwrap_or_else(|| panic!("valgrind failed:\n{said}"));
    Some(line.1.trim().parse().unwrap())
}

/// How often a backlog is caught up.
const ROUNDS: usize = 5;
/// By how many access points a client is heard in a minute.
const HEARD_BY: usize = 3;
/// A Monday in summer.
const NOON: i64 = 1_781_524_800;
/// Tells the program under valgrind what to do.
const WORK: &str = "FOOTFALL_BENCH_PRESENCE";
