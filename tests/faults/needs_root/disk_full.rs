//! The disk is full, by our own backlog or by somebody else's file: 503 while it lasts, nothing answered is lost, and nobody has to do
//! anything but make room.

use super::Disk;
use crate::cluster::Cluster;
use crate::harness::{Served, Site};
use crate::load::{Load, PLAIN, SMALL_SEGMENTS, wait_for_posts};
use crate::verdict::settle_after_letting_go;

/// Waits until posts are refused for want of room, and looks at everything that says so.
fn wait_until_full(served: &Served) {
    served.wait_until("full", |status| status["journal"]["state"] == "full" && status["receivers"][0]["shed"]["shed_journal"] != 0);
    assert_eq!(served.admin("/readyz"), (503, "[\"journal_full\"]".to_owned()));
    assert!(served.metric("footfall_posts_total{receiver=\"mall\",outcome=\"shed_journal\"}") > 0);
    served.wait_for_log("journal is full");
}

/// SQLite is on the same disk, and cannot write either.
#[test]
fn by_somebody_else() {
    let site = Site::sqlite_with(&format!("{SMALL_SEGMENTS}{PLAIN}"));
    let disk = Disk::tmpfs(&site.data(), 48);
    site.keep_address();
    let served = site.serve();
    let load = Load::start(&site, &served, "load", "3", (300, 600));
    wait_for_posts(&served, 50);
    let file = disk.fill();
    wait_until_full(&served);
    // A start on a full disk is a start.
    served.kill();
    let served = site.serve();
    wait_until_full(&served);
    // Whoever looks at /readyz sends nothing now: it must recover without a post.
    load.pause();
    std::fs::remove_file(file).unwrap();
    served.wait_until("ready", |status| status["journal"]["state"] == "ready");
    load.go_on();
    wait_for_posts(&served, 50);
    let promised = load.stop(&site);
    // Room was needed, and what was applied went before its time.
    settle_after_letting_go(&site, &served, &promised);
    let log = served.stop();
    assert!(log.contains("journal takes posts again") && !log.contains(" ERROR "), "{log}");
}

/// The database is away until the disk is full of what waits for it, and its return alone makes room.
#[test]
fn by_the_backlog() {
    let mut cluster = Cluster::start();
    // Applied segments may go at once: here the disk has no room to keep them.
    let site = Site::on_with(&cluster.make_database("backlog"), &format!("{}{PLAIN}", SMALL_SEGMENTS.replace("1h", "1ms")));
    let _disk = Disk::ext4(&site.path("disk.img"), &site.data(), 16, "loop");
    let served = site.serve();
    served.wait_until_applied();
    cluster.stop();
    let load = Load::start(&site, &served, "load", "3", (600, 1_200));
    wait_until_full(&served);
    cluster.restart();
    served.wait_until("ready", |status| status["journal"]["state"] == "ready");
    wait_for_posts(&served, 50);
    let promised = load.stop(&site);
    settle_after_letting_go(&site, &served, &promised);
    let log = served.stop();
    assert!(!log.contains(" ERROR "), "{log}");
}
