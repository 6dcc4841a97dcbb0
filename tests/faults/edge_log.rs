//! A log that nobody reads: the pipe is full, and everything goes on.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::edge_support::{Posts, metric, small_post};
use crate::harness::{SECRET, Served, Site};

/// Starts `serve` with its log in a pipe of ours, and reads that until all listeners have told their address.
fn serve_into(site: &Site, log: PipeWriter, read: &mut BufReader<PipeReader>) -> Served {
    let child = site.command(&["serve"]).stderr(log).stdout(Stdio::null()).spawn().unwrap();
    let mut addresses = Vec::new();
    while addresses.len() < 3 {
        let mut line = String::new();
        assert!(read.read_line(&mut line).unwrap() > 0, "serve ended");
        if let Some(url) = line.strip_prefix("listening ") {
            addresses.push(url.trim_end().rsplit_once('/').unwrap().1.to_owned());
        }
    }
    let [https, http, admin] = addresses.try_into().unwrap();
    Served::adopt(child, https, http, admin)
}

/// Fills the pipe to its brim, through a description of its own, so that writing does not wait here and still does there.
fn fill(log: &PipeWriter) {
    const NON_BLOCKING: i32 = 0o4000;
    let mut brim = OpenOptions::new().write(true).custom_flags(NON_BLOCKING).open(format!("/proc/self/fd/{}", log.as_raw_fd())).unwrap();
    for piece in [4096, 1] {
        while brim.write(&vec![b'.'; piece]).is_ok() {}
    }
}

#[test]
fn a_log_that_nobody_reads_holds_nothing_up_and_what_is_dropped_is_counted() {
    let site = Site::sqlite();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut read = BufReader::new(reader);
    let served = serve_into(&site, writer.try_clone().unwrap(), &mut read);
    fill(&writer);
    drop(writer);

    // Each of these writes a line: more of them than there are threads that could wait with it.
    for path in ["/meraki/mall", "/meraki/other"] {
        assert_eq!(served.post(path, small_post(0).replace(SECRET, "wrong").as_bytes()).0, 403);
        assert_eq!(served.post(path, small_post(0).replace("2.0", "9.0").as_bytes()).0, 200);
    }
    // And so does each hang-up, until no more lines have room.
    let process = Pid::from_raw(served.id() as i32).unwrap();
    let mut answered = 0;
    while metric(&served, "footfall_log_dropped_lines_total") == 0 {
        (0..20).for_each(|_| kill_process(process, Signal::HUP).unwrap());
        assert_eq!(served.post("/meraki/mall", small_post(answered).as_bytes()).0, 200);
        answered += 1;
        assert!(answered < 20_000, "no line was ever dropped");
    }
    let status = served.wait_until_applied();
    Posts::of(&status, 0).balance();
    assert_eq!((Posts::of(&status, 0).outcome("accepted"), Posts::of(&status, 0).outcome("quarantined")), (answered, 1));
    served.signal("TERM");
    let (status, _) = served.wait();
    assert_eq!(status.code(), Some(0));
    assert_eq!(site.number("SELECT count(*) FROM observations"), answered as i64);

    // The pipe never held anything but what it was filled with.
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut read, &mut rest).unwrap();
    assert!(rest.len() >= 4096 && rest.trim_start_matches(|c| c != '.').starts_with("...."), "{} bytes", rest.len());
}

#[test]
fn a_log_that_is_read_has_every_line_to_the_last() {
    let site = Site::sqlite();
    let served = site.serve();
    assert_eq!(served.post("/meraki/mall", small_post(0).replace(SECRET, "wrong").as_bytes()).0, 403);
    assert_eq!(metric(&served, "footfall_log_dropped_lines_total"), 0);
    let log = served.stop();
    let at = |text: &str| log.find(text).unwrap_or_else(|| panic!("{text:?} is not in\n{log}"));
    assert!(at("journal opened") < at("without the right secret") && at("without the right secret") < at("stopping: no new posts"));
    assert!(log.trim_end().ends_with("stopped"), "{log}");
}
