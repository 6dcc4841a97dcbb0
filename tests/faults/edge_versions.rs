//! A journal that another version of the program has left: an older one is applied, a newer one is refused and not touched.

use std::fs;
use std::path::Path;

use crate::edge_support::metric;
use crate::harness::{Site, files_below};

/// A site whose data directory holds the journal and the quarantine that a version has left, under its key.
fn site_with(version: &str) -> Site {
    let key = "5a".repeat(32);
    // They were received long ago, and are to be seen all the same.
    let site = Site::sqlite_with(&format!("key = \"{key}\"\n[privacy]\nkey = \"{key}\"\n[retention]\nobservations = \"36500d\"\n"));
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("store/tests/golden").join(version);
    for part in ["journal", "quarantine"] {
        fs::create_dir_all(site.data().join(part)).unwrap();
        for (path, bytes) in files_below(&from.join(part)) {
            fs::write(site.data().join(part).join(path.file_name().unwrap()), bytes).unwrap();
        }
    }
    site
}

#[test]
fn a_journal_of_the_first_version_is_applied() {
    let site = site_with("journal-1");
    let served = site.serve();
    let status = served.wait_until_applied();
    assert_eq!(status["journal"]["next_position"], 12);
    assert_eq!(site.number("SELECT count(*) FROM observations"), 2);
    assert_eq!(site.number("SELECT sum(posts) FROM posts"), 1);
    // What is no post is in quarantine whole, beside those of unknown shape, one of which was there already.
    assert_eq!(metric(&served, "footfall_quarantine_records_total{reason=\"unreadable\"}"), 3);
    assert_eq!(metric(&served, "footfall_quarantine_records_total{reason=\"unknown\"}"), 1);
    assert_eq!(metric(&served, "footfall_journal_corrupt_total") + metric(&served, "footfall_journal_torn_tail_total"), 0);
    served.stop();
    assert!(site.run(&["journal", "verify"]).status.success());
}

#[test]
fn a_journal_of_a_newer_version_is_refused_with_64_and_not_touched() {
    let site = site_with("journal-1");
    let newest = site.data().join("journal/00000000000000000010.seg");
    let mut raw = fs::read(&newest).unwrap();
    // The version stands behind eight bytes of magic, in both copies of the header.
    for copy in [0, 4096] {
        assert_eq!(raw[copy + 8..copy + 12], [1, 0, 0, 0]);
        raw[copy + 8] = 2;
    }
    fs::write(&newest, raw).unwrap();
    let before = files_below(&site.data().join("journal"));
    let (status, log) = site.try_serve().err().unwrap();
    assert_eq!(status.code(), Some(64), "{log}");
    assert!(log.contains("00000000000000000010.seg") && log.contains("format version 2") && log.contains("use the program that wrote it"), "{log}");
    let after: Vec<_> = files_below(&site.data().join("journal")).into_iter().filter(|(path, _)| !path.ends_with("lock")).collect();
    assert_eq!(after, before);
    let inspected = site.run(&["journal", "inspect"]);
    assert!(String::from_utf8_lossy(&inspected.stdout).contains("of newer format 2"));
}
