//! The kernel finds an error on the file system and makes it read-only under the program, as `errors=remount-ro` asks for.

use std::fs;

use super::{Disk, output};
use crate::harness::Site;
use crate::load::{Load, PLAIN, SMALL_SEGMENTS, wait_for_posts};
use crate::verdict::settle;

#[test]
fn the_file_system_turns_read_only() {
    let site = Site::sqlite_with(&format!("{SMALL_SEGMENTS}{PLAIN}"));
    let disk = Disk::ext4(&site.path("disk.img"), &site.data(), 64, "loop,errors=remount-ro");
    site.keep_address();
    let served = site.serve();
    let load = Load::start(&site, &served, "load", "2", (60, 600));
    wait_for_posts(&served, 50);
    // With nothing under way: what the kernel answers to a sync that is, is not for this test to say.
    load.pause();
    served.wait_until("quiet", |status| status["receivers"][0]["open"] == 0);
    let device = disk.device();
    fs::write(format!("/sys/fs/ext4/{}/trigger_fs_error", device.trim_start_matches("/dev/")), "a test of footfall").unwrap();
    load.go_on();
    served.wait_until("failed", |status| status["journal"]["state"] == "failed" && status["receivers"][0]["shed"]["shed_journal"] != 0);
    assert_eq!(served.admin("/readyz"), (503, "[\"journal_failed\"]".to_owned()));
    assert_eq!(served.admin("/healthz").0, 200, "it goes on, so that somebody can ask it what is wrong");
    served.signal("TERM");
    let (status, log) = served.wait();
    assert_eq!(status.code(), Some(74), "{log}");
    disk.unmount();
    // 1: errors were corrected.
    let checked = output("e2fsck", &["-fy", site.path("disk.img").to_str().unwrap()]);
    assert!(checked.status.code().is_some_and(|code| code <= 1), "{}", String::from_utf8_lossy(&checked.stdout));
    disk.mount();
    let served = site.serve();
    let promised = load.stop(&site);
    settle(&site, &served, &promised);
    served.stop();
}
