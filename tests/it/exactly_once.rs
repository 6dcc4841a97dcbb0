//! Every 200 is in the store exactly once: after SIGTERM under load, after kill -9 at random moments, and after Postgres went away.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use crate::cluster::Cluster;
use crate::harness::{Served, Site, finish};
use crate::ledger::{Obligations, hold};

/// Clients stand in the views by their address, so that rows can be held against what the simulator told.
const PLAIN: &str = "[privacy]\nclients = \"plain\"";

fn promised(site: &Site, name: &str) -> Obligations {
    Obligations::read(&site.path(&format!("{name}.ledger")), &site.path(&format!("{name}.observations")))
}

/// The simulator's arguments for one named run, with its files beside the configuration.
fn run_of(name: &str, version: &str, minutes: &str) -> Vec<String> {
    let mut arguments: Vec<String> = ["--speed", "max", "--radio", "both", "--sites", "3", "--aps", "6", "--clients", "60"].map(str::to_owned).into();
    for (key, value) in [("--version", version), ("--minutes", minutes), ("--seed", "7")] {
        arguments.extend([key.to_owned(), value.to_owned()]);
    }
    arguments.extend(["--ledger".to_owned(), format!("{name}.ledger"), "--observations".to_owned(), format!("{name}.observations")]);
    arguments
}

fn as_str(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// Waits until the server has taken more posts than before: a moment under load.
fn wait_for_load(served: &Served, more_than: u64) {
    served.wait_until("under load", |status| status["journal"]["next_position"].as_u64().unwrap() > more_than);
}

fn after_sigterm_under_load(site: &Site, version: &str) {
    let served = site.serve();
    let arguments = run_of("first", version, "30");
    let sender = site.simulate(&served, &as_str(&arguments));
    wait_for_load(&served, 40);
    served.stop();
    // What was refused after the stop is no obligation; the sender ends with what it has.
    let _ = sender.wait_with_output().unwrap();
    let promised = promised(site, "first");
    assert!(promised.posts_answered >= 39, "{}", promised.posts_answered);

    let served = site.serve();
    served.wait_until_applied();
    hold(site, &promised);
    served.stop();
}

#[test]
fn after_sigterm_under_load_on_sqlite() {
    after_sigterm_under_load(&Site::sqlite_with(PLAIN), "3");
}

#[test]
fn after_sigterm_under_load_on_postgres() {
    let cluster = Cluster::start();
    after_sigterm_under_load(&Site::on_with(&cluster.make_database("sigterm"), PLAIN), "2");
}

/// The server is killed five times; the simulator, which keeps trying each post until it is answered, finds it again on the same port.
fn after_five_kills(site: &Site, version: &str) {
    let address = address_of_its_own();
    fs::write(site.path("footfall.toml"), fs::read_to_string(site.path("footfall.toml")).unwrap().replacen("127.0.0.1:0", &address, 1)).unwrap();
    let mut served = site.serve();
    let mut arguments = run_of("killed", version, "60");
    arguments.push("--retry".to_owned());
    let sender = site.simulate(&served, &as_str(&arguments));
    let mut seen = 0;
    for round in 0..5_u64 {
        // Each kill comes after another number of posts, anywhere in the work of the server.
        wait_for_load(&served, seen + 20 + round * 7);
        seen = served.status()["journal"]["next_position"].as_u64().unwrap();
        served.kill();
        served = site.serve();
    }
    finish(sender);
    served.wait_until_applied();
    let status = served.status();
    hold(site, &promised(site, "killed"));
    assert_eq!(status["pipeline"]["accounting_mismatch"], 0);
    let metrics = served.admin("/metrics").1;
    assert!(metrics.contains("footfall_journal_corrupt_total 0"), "{metrics}");
    served.stop();
}

#[test]
fn after_five_kills_on_sqlite() {
    after_five_kills(&Site::sqlite_with(PLAIN), "2");
}

#[test]
fn after_five_kills_on_postgres() {
    let cluster = Cluster::start();
    after_five_kills(&Site::on_with(&cluster.make_database("killed"), PLAIN), "3");
}

#[test]
fn after_postgres_was_stopped_and_came_back() {
    let mut cluster = Cluster::start();
    let site = Site::on_with(&cluster.make_database("away"), PLAIN);
    let served = site.serve();
    served.wait_until_applied();
    let arguments = run_of("away", "2", "40");
    let sender = site.simulate(&served, &as_str(&arguments));
    wait_for_load(&served, 30);
    cluster.stop();
    let before = served.status()["journal"]["next_position"].as_u64().unwrap();
    served.wait_until("retrying", |status| status["store"]["state"] == "retrying");
    // Answers go on while the database is away.
    served.wait_until("answering", |status| status["journal"]["next_position"].as_u64().unwrap() > before + 30);
    cluster.restart();
    let summary = finish(sender);
    assert!(!summary.contains("503"), "{summary}");
    served.wait_until_applied();
    hold(&site, &promised(&site, "away"));
    assert_eq!(served.status()["pipeline"]["accounting_mismatch"], 0);
    served.stop();
}

/// An address that stays free while its server is dead: nobody else uses this loopback address, not even as the near end of a connection.
fn address_of_its_own() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let host = Ipv4Addr::new(127, high | 0x80, low, NEXT.fetch_add(1, Relaxed));
    TcpListener::bind((host, 0)).unwrap().local_addr().unwrap().to_string()
}
