//! The program is stopped, frozen, copied or asked for too much, under load.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::dice::is_long;
use crate::harness::{PATIENCE, Served, Site};
use crate::ledger::Obligations;
use crate::load::{Load, PLAIN, SMALL_SEGMENTS, wait_for_posts};
use crate::scene::{Road, Scene, fresh_name, shared_cluster};
use crate::verdict::{no_complaint, post_one, settle, settle_but};

/// SIGTERM under load of both versions at once, again and again.
fn stop_again_and_again(site: &Site) {
    site.keep_address();
    let mut served = site.serve();
    let loads = ["2", "3"].map(|version| Load::start(site, &served, &format!("version_{version}"), version, (60, 1_200)));
    for _ in 0..if is_long() { 20 } else { 3 } {
        wait_for_posts(&served, 60);
        let log = served.stop();
        no_complaint(&log);
        assert!(!log.contains("cut off") && !log.contains("in time"), "{log}");
        served = site.serve();
    }
    wait_for_posts(&served, 20);
    let mut promised = Obligations::default();
    for load in loads {
        promised.add(load.stop(site));
    }
    settle(site, &served, &promised);
    served.stop();
}

#[test]
fn sigterm_on_sqlite() {
    stop_again_and_again(&Site::sqlite_with(&format!("{SMALL_SEGMENTS}{PLAIN}")));
}

#[test]
fn sigterm_on_postgres() {
    stop_again_and_again(&Site::on_with(&shared_cluster().make_database(&fresh_name()), &Road::Disk.configuration()));
}

/// The whole process gets no time, as on a machine that is starved or suspended; in the long form for longer than Postgres lets a
/// transaction wait.
#[test]
fn frozen_itself() {
    for road in Road::Tail.and_in_the_long_form_both() {
        let scene = Scene::start(&shared_cluster().make_database(&fresh_name()), road, "2");
        for _ in 0..if is_long() { 1 } else { 2 } {
            scene.served.freeze();
            let patience = Duration::from_secs(if is_long() { 150 } else { 2 });
            assert!(gives_up(&scene.served, patience), "nobody is answered by a process that is stopped");
            scene.served.signal("CONT");
            wait_for_posts(&scene.served, 30);
        }
        scene.settle();
    }
}

/// Whether a client that asks gets no answer for so long.
fn gives_up(served: &Served, patience: Duration) -> bool {
    let mut stream = TcpStream::connect(&served.admin).unwrap();
    stream.set_read_timeout(Some(patience)).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: admin\r\n\r\n").unwrap();
    stream.read(&mut [0; 16]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

/// A virtual machine comes back from an old snapshot beside the one that went on. The old copy must see that the database is ahead of
/// it, and leave the live process alone.
#[test]
fn an_old_copy_of_the_data_directory_is_started() {
    let cluster = Cluster::start();
    let database = cluster.make_database("copied");
    let scene = Scene::start(&database, Road::Tail, "3");
    let copy = Site::on_with(&database, &Road::Tail.configuration());
    assert!(Command::new("cp").arg("-r").arg(scene.site.data()).arg(copy.data()).status().unwrap().success());
    let copied = scene.served.status()["journal"]["next_position"].as_u64().unwrap();
    scene.served.wait_until("ahead of the copy", |status| status["store"]["cursor"].as_u64().unwrap() > copied);
    let second = copy.serve();
    second.wait_until("fenced", |status| status["store"]["state"] == "fenced");
    assert_eq!((second.admin("/readyz"), post_one(&second)), ((503, "[\"fenced\"]".to_owned()), 503));
    assert_eq!(second.metric("footfall_store_fenced_total"), 1);
    assert!(second.stop().contains("the store is ahead of this journal"));
    scene.settle();
}

/// Ten times more than the memory allows. Only 503 is shed, everything answered is kept, and it is over at once.
#[test]
fn asked_for_far_too_much() {
    let limits = "[limits]\nbody = \"256KiB\"\nmemory = \"512KiB\"\n";
    let site = Site::sqlite_with(&format!("segment = \"1MiB\"\nkeep = \"1h\"\n{limits}{PLAIN}"));
    let served = site.serve();
    let seconds = if is_long() { "60" } else { "4" };
    let load = ["--version", "3", "--aps", "6", "--clients", "60", "--sites", "40", "--bodies", "400", "--connections", "64", "--seconds", seconds];
    let summary = site.simulate_all(&served, &[&load[..], &["--ledger", "much.ledger", "--observations", "much.observations"]].concat());
    let promised = Obligations::read(&site.path("much.ledger"), &site.path("much.observations"));
    let ledger = std::fs::read_to_string(site.path("much.ledger")).unwrap();
    let refused = ledger.lines().filter(|line| line.contains("\"status\": 503,")).count() as u64;
    assert_eq!(promised.posts_answered + refused, ledger.lines().count() as u64, "200 and 503, and nothing else\n{summary}");
    assert!(refused > promised.posts_answered / 10 && promised.posts_answered > 20, "{summary}");
    let shed = &served.status()["receivers"][0]["shed"];
    assert_eq!((shed["shed_memory"].as_u64(), shed["shed_journal"].as_u64()), (Some(refused), Some(0)));
    assert_eq!(served.admin("/readyz").0, 200);
    assert_eq!(post_one(&served), 200, "as soon as the crowd has gone");
    settle(&site, &served, &promised);
    served.stop();
}

/// Strangers hold every file descriptor that the process may have. It goes on with what it has, and recovers when they leave.
#[test]
fn there_are_no_file_descriptors_left() {
    let site = Site::sqlite_with(&format!("{SMALL_SEGMENTS}{PLAIN}")).started_by(&["prlimit", "--nofile=96:96"]);
    site.keep_address();
    let served = site.serve();
    let load = Load::start(&site, &served, "load", "2", (60, 1_200));
    wait_for_posts(&served, 50);
    let strangers: Vec<TcpStream> = (0..120).map(|_| TcpStream::connect(&served.http).unwrap()).collect();
    served.wait_for_log("accept");
    let before = load.answered(&site);
    let started = std::time::Instant::now();
    while load.answered(&site) < before + 100 {
        assert!(started.elapsed() < PATIENCE, "those who have a connection are answered");
    }
    drop(strangers);
    assert!(served.metric("footfall_accept_errors_total") > 0);
    let promised = load.stop(&site);
    settle_but(&site, &served, &promised, &["footfall_journal_fsync_errors_total"]);
    served.kill();
    let served = site.serve();
    settle(&site, &served, &promised);
    served.stop();
}
