//! The journal's disk fails at chosen calls: a sync that fails is not tried again on that file, what was not answered goes to a new
//! segment or is refused, and what was answered is there after a kill.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::dice::rounds;
use crate::harness::Site;
use crate::ledger::hold;
use crate::load::{Load, PLAIN, SMALL_SEGMENTS, wait_for_posts};
use crate::verdict::{life_goes_on, no_alarm_but, no_post_was_shed, post_one, settle, settle_but};

/// A site whose journal fails when it is told to.
struct Failing {
    site: Site,
    orders: PathBuf,
    log: PathBuf,
    given: u32,
}

impl Failing {
    fn new() -> Self {
        let site = Site::sqlite_with(&format!("{SMALL_SEGMENTS}{PLAIN}"));
        let (orders, log) = (site.path("orders"), site.path("disk.log"));
        let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
        let site = site.with_variable("LD_PRELOAD", library()).with_variable("FOOTFALL_DISK_ORDERS", text(&orders));
        let site = site.with_variable("FOOTFALL_DISK_LOG", text(&log));
        Self { site, orders, log, given: 0 }
    }

    /// Makes the next `count` calls fail; -1 all of them.
    fn order(&mut self, call: &str, errno: i32, count: i32) {
        self.given += 1;
        let unfinished = self.orders.with_extension("unfinished");
        fs::write(&unfinished, format!("{} {call} {errno} {count}\n", self.given)).unwrap();
        fs::rename(unfinished, &self.orders).unwrap();
    }

    fn heal(&mut self) {
        self.order("nothing", 0, 0);
    }

    /// Calls of the journal as they were logged: name, file, and the errno it was made to fail with.
    fn calls(&self) -> Vec<(String, String, i32)> {
        let parse = |line: &str| {
            let mut words = line.split(' ');
            let mut word = || words.next().unwrap();
            (word().to_owned(), word().to_owned(), word().parse().unwrap())
        };
        fs::read_to_string(&self.log).unwrap().lines().map(parse).collect()
    }

    /// Rule of the journal: after a failed sync the pages may be marked clean, so that another sync of the file would lie.
    fn no_file_was_synced_after_it_failed(&self) {
        let mut failed = HashSet::new();
        for (call, file, errno) in self.calls() {
            assert!(call == "pwrite" || !failed.contains(&file), "{call} of {file}, whose sync has failed");
            if call == "fdatasync" && errno > 0 {
                failed.insert(file);
            }
        }
        assert!(!failed.is_empty(), "a sync was made to fail");
    }
}

/// The preloaded library, compiled once.
fn library() -> &'static str {
    static LIBRARY: OnceLock<String> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let out = format!("{}/disk.so", env!("CARGO_TARGET_TMPDIR"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/disk.c");
        let done = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", &out, source, "-ldl", "-lpthread"]).output();
        let done = done.expect("a C compiler is needed: apt-get install build-essential");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        out
    })
}

const ALARM: &[&str] = &["footfall_journal_fsync_errors_total"];
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EINTR: i32 = 4;

/// The group goes to a new segment, its senders notice nothing, and a kill right after it costs nothing.
#[test]
fn one_sync_fails_and_the_group_goes_to_a_new_segment() {
    for mut dice in rounds("one failed sync", 3, 60) {
        let mut failing = Failing::new();
        failing.site.keep_address();
        let served = failing.site.serve();
        let load = Load::start(&failing.site, &served, "load", "2", (60, 600));
        wait_for_posts(&served, 20 + dice.below(40));
        failing.order("fdatasync", EIO, 1);
        served.wait_for_log("the segment is given up");
        wait_for_posts(&served, 1 + dice.below(20));
        assert_eq!(served.metric(ALARM[0]), 1);
        no_alarm_but(&served, ALARM);
        no_post_was_shed(&served);
        let log = served.kill();
        failing.no_file_was_synced_after_it_failed();
        assert!(!log.contains("journal cannot write"), "{log}");
        failing.heal();
        let served = failing.site.serve();
        let promised = load.stop(&failing.site);
        settle(&failing.site, &served, &promised);
        served.stop();
    }
}

/// 503 and not ready as long as it lasts, and nobody has to do anything afterwards.
#[test]
fn no_sync_works_for_a_while() {
    for (call, errno, state) in [("fdatasync", EIO, "failed"), ("fsync", EIO, "failed"), ("pwrite", ENOSPC, "full")] {
        let mut failing = Failing::new();
        let served = failing.site.serve();
        let load = Load::start(&failing.site, &served, "load", "3", (60, 600));
        wait_for_posts(&served, 20);
        failing.order(call, errno, -1);
        // Where only a new segment cannot be synced, a post that fits into the old one is still taken.
        served.wait_until(state, |status| status["journal"]["state"] == state && status["receivers"][0]["shed"]["shed_journal"] != 0);
        assert_eq!(served.admin("/readyz"), (503, format!("[\"journal_{state}\"]")), "{call}");
        if state == "failed" {
            // Long enough for attempts, none of which may look like a recovery.
            served.wait_until("tried again", |_| served.metric(ALARM[0]) > 3);
        }
        // Whoever looks at /readyz sends nothing now: it must recover without a post.
        load.pause();
        failing.heal();
        served.wait_until("ready", |status| status["journal"]["state"] == "ready");
        load.go_on();
        assert_eq!(served.admin("/readyz"), (200, "[]".to_owned()));
        let promised = load.stop(&failing.site);
        settle_but(&failing.site, &served, &promised, ALARM);
        let log = served.kill();
        assert_eq!(log.matches("journal takes posts again").count(), 1, "{log}");
        if call == "fdatasync" {
            failing.no_file_was_synced_after_it_failed();
        }
        let served = failing.site.serve();
        settle(&failing.site, &served, &promised);
        served.stop();
    }
}

/// The exit code tells a supervisor that the disk needs somebody.
#[test]
fn a_disk_that_still_fails_at_the_stop_ends_in_74() {
    let mut failing = Failing::new();
    let served = failing.site.serve();
    let load = Load::start(&failing.site, &served, "load", "2", (60, 2));
    let promised = load.finish(&failing.site);
    failing.order("fdatasync", EIO, -1);
    assert_eq!(post_one(&served), 503);
    served.signal("TERM");
    let (status, log) = served.wait();
    assert_eq!(status.code(), Some(74), "{log}");
    failing.heal();
    let served = failing.site.serve();
    settle(&failing.site, &served, &promised);
    served.stop();
}

/// Short writes and interrupted calls are no failures.
#[test]
fn writes_are_short_and_calls_are_interrupted() {
    let mut failing = Failing::new();
    failing.order("pwrite", 0, -1);
    let served = failing.site.serve();
    let load = Load::start(&failing.site, &served, "load", "3", (60, 600));
    wait_for_posts(&served, 60);
    failing.order("pwrite", EINTR, 50);
    wait_for_posts(&served, 60);
    failing.order("fdatasync", EINTR, 5);
    wait_for_posts(&served, 20);
    assert!(failing.calls().iter().filter(|(_, _, errno)| *errno == 0).count() > 20, "writes were short");
    failing.heal();
    no_post_was_shed(&served);
    let promised = load.stop(&failing.site);
    settle(&failing.site, &served, &promised);
    served.kill();
    let served = failing.site.serve();
    settle(&failing.site, &served, &promised);
    served.stop();
}

/// Somebody deletes the journal under the running program: a sync of a file without a name keeps nothing, so that no post may be
/// answered by it.
#[test]
fn the_journal_is_deleted() {
    let site = Site::sqlite_with(&format!("{SMALL_SEGMENTS}{PLAIN}"));
    site.keep_address();
    let served = site.serve();
    let load = Load::start(&site, &served, "load", "2", (60, 600));
    wait_for_posts(&served, 50);
    fs::remove_dir_all(site.data().join("journal")).unwrap();
    assert_eq!(post_one(&served), 503);
    assert_eq!(served.admin("/readyz"), (503, "[\"journal_failed\"]".to_owned()));
    // What was answered before is applied from memory.
    served.wait_until_applied();
    served.signal("TERM");
    let (status, log) = served.wait();
    assert_eq!(status.code(), Some(74), "{log}");
    let served = site.serve();
    wait_for_posts(&served, 50);
    let promised = load.stop(&site);
    served.wait_until_applied();
    hold(&site, &promised);
    no_alarm_but(&served, &[]);
    life_goes_on(&site, &served);
    served.stop();
}
