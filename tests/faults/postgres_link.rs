//! The way to Postgres fails at chosen messages: a COMMIT whose answer is lost, one that never arrives, a COPY cut at any byte, a network
//! that swallows everything without a word, a slow one.

use std::fs;

use crate::dice::{is_long, rounds};
use crate::harness::{Served, Site};
use crate::load::{Load, position, wait_for_posts};
use crate::proxy::Fault;
use crate::scene::{Road, Scene, proxied};
use crate::verdict::{no_post_was_shed, settle};

fn times() -> u32 {
    if is_long() { 100 } else { 6 }
}

/// The transaction is done, and nobody was told: only the cursor knows.
#[test]
fn the_answer_to_a_commit_is_lost() {
    for road in Road::Tail.and_in_the_long_form_both() {
        let (proxy, url) = proxied();
        let scene = Scene::start(&url, road, "2");
        for _ in 0..times() {
            proxy.set(Some(Fault::LoseCommitAnswer));
            proxy.wait_for_hit();
            wait_for_posts(&scene.served, 1);
        }
        assert!(scene.served.metric("footfall_store_errors_total{class=\"retry\"}") >= times().into());
        scene.settle();
    }
}

/// The transaction is not done, and nobody was told: the same to whoever sent it.
#[test]
fn a_commit_never_arrives() {
    for road in Road::Disk.and_in_the_long_form_both() {
        let (proxy, url) = proxied();
        let scene = Scene::start(&url, road, "3");
        for _ in 0..times() {
            proxy.set(Some(Fault::LoseCommit));
            proxy.wait_for_hit();
            wait_for_posts(&scene.served, 1);
        }
        assert!(scene.served.metric("footfall_store_errors_total{class=\"retry\"}") >= times().into());
        scene.settle();
    }
}

#[test]
fn the_connection_is_cut_inside_a_copy() {
    for mut dice in rounds("cuts inside a COPY", 1, 2) {
        for road in Road::Tail.and_in_the_long_form_both() {
            let (proxy, url) = proxied();
            let scene = Scene::start(&url, road, "2");
            for _ in 0..times() {
                proxy.set(Some(Fault::CutRows(dice.below(3_000))));
                proxy.wait_for_hit();
                wait_for_posts(&scene.served, 1);
            }
            scene.settle();
        }
    }
}

/// Packets vanish, and no end is told of it. New connections are not answered either: the program's own timeouts must notice. In
/// the long form those of a statement on an open connection.
#[test]
fn the_network_swallows_everything() {
    for road in Road::Disk.and_in_the_long_form_both() {
        let (proxy, url) = proxied();
        let mut scene = Scene::start_for(&url, road, "3", if is_long() { 200 } else { 14 });
        proxy.set(Some(Fault::SwallowFromCommit));
        proxy.wait_for_hit();
        scene.answers_go_on();
        if !is_long() {
            proxy.hang_up();
        }
        let promised = scene.wait_for_the_end_of_the_load();
        scene.wait_for_state("retrying", "no answer from Postgres");
        // What was swallowed arrives late, at a server that has been talked to anew meanwhile.
        proxy.set(None);
        scene.settle_with(&promised);
    }
}

/// So little goes through that the journal grows far beyond what memory may hold. Memory does not grow with it.
#[test]
fn a_slow_network_fills_the_disk_and_not_the_memory() {
    let (proxy, url) = proxied();
    // Large posts, of which memory for ten may wait.
    let configuration = Road::Tail.configuration().replace("64MiB", "512KiB").replace("192KiB", "2MiB").replace("128KiB", "1MiB");
    let site = Site::on_with(&url, &configuration);
    let served = site.serve();
    served.wait_until_applied();
    let seconds = if is_long() { 24 } else { 6 };
    let load = Load::start_with(&site, &served, "slow", "3", (600, seconds * 10), &["--sites", "8", "--aps", "6", "--clients", "120"]);
    wait_for_posts(&served, 20);
    proxy.set(Some(Fault::Allow(0)));
    let (mut peak, mut last) = (None, 0);
    let mut load = Some(load);
    while load.as_mut().is_some_and(Load::is_running) {
        // A trickle: some bytes for each post that came.
        let now = position(&served);
        proxy.allow((now - last) * 40);
        last = now;
        if peak.is_none() && behind(&served) > 100 {
            peak = Some(memory_peak_kib(&served));
        }
    }
    let promised = load.take().unwrap().finish(&site);
    let (peak, backlog) = (peak.expect("a backlog of 100 posts"), behind(&served));
    let grown = memory_peak_kib(&served) - peak;
    eprintln!("backlog {backlog} posts, peak memory {peak} KiB and then {grown} KiB more");
    assert!(backlog > 400, "{backlog}");
    assert!(grown < 10 * 1_024, "{grown} KiB more than the {peak} KiB at the start of the backlog");
    proxy.set(None);
    settle(&site, &served, &promised);
    no_post_was_shed(&served);
    served.stop();
}

/// How many posts the store is behind.
fn behind(served: &Served) -> u64 {
    served.status()["store"]["lag_records"].as_u64().unwrap()
}

/// The largest memory that the process had so far.
fn memory_peak_kib(served: &Served) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", served.id())).unwrap();
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok()).unwrap()
}
