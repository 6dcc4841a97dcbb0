//! A simulator that posts while faults happen, and what it was promised.

use std::fs;
use std::process::{Child, Command};

use crate::harness::{Served, Site, finish};
use crate::ledger::Obligations;

/// Clients stand in the views by their address, so that rows can be held against what the simulator told.
pub(crate) const PLAIN: &str = "[privacy]\nclients = \"plain\"\n";

/// Small segments, so that the journal changes them all the time, and applied records that stay, so that they can be counted.
pub(crate) const SMALL_SEGMENTS: &str = "segment = \"192KiB\"\nkeep = \"1h\"\n[limits]\nbody = \"128KiB\"\n";

/// A running simulator that sends each post again until it is answered for good.
pub(crate) struct Load {
    name: String,
    child: Option<Child>,
}

impl Load {
    /// Starts it for so many simulated minutes in one real one, and so many of them.
    pub(crate) fn start(site: &Site, served: &Served, name: &str, version: &str, pace: (u32, u32)) -> Self {
        Self::start_with(site, served, name, version, pace, &["--sites", "24", "--aps", "2", "--clients", "8"])
    }

    /// The same, in another world.
    pub(crate) fn start_with(site: &Site, served: &Served, name: &str, version: &str, (speed, minutes): (u32, u32), sites: &[&str]) -> Self {
        let world = [&["--radio", "both", "--retry", "--version", version], sites].concat();
        let (speed, minutes) = (speed.to_string(), minutes.to_string());
        let (ledger, observations) = (format!("{name}.ledger"), format!("{name}.observations"));
        let run = ["--speed", &speed, "--minutes", &minutes, "--seed", "7", "--ledger", &ledger, "--observations", &observations];
        Self { name: name.to_owned(), child: Some(site.simulate(served, &[&world[..], &run[..]].concat())) }
    }

    /// Whether it has not come to its end.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.as_mut().unwrap().try_wait().unwrap().is_none()
    }

    /// Sends nothing until it goes on.
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    /// Goes on.
    pub(crate) fn go_on(&self) {
        self.signal("CONT");
    }

    /// Posts that have an answer by now.
    pub(crate) fn answered(&self, site: &Site) -> usize {
        fs::read_to_string(site.path(&format!("{}.ledger", self.name))).map_or(0, |ledger| ledger.lines().count())
    }

    /// Ends it, with an answer for each post that is under way: the server must be there.
    pub(crate) fn stop(mut self, site: &Site) -> Obligations {
        self.signal("TERM");
        self.end(site)
    }

    /// Waits until it has sent everything.
    pub(crate) fn finish(mut self, site: &Site) -> Obligations {
        self.end(site)
    }

    fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    fn end(&mut self, site: &Site) -> Obligations {
        let summary = finish(self.child.take().unwrap());
        let path = |kind: &str| site.path(&format!("{}.{kind}", self.name));
        let promised = Obligations::read(&path("ledger"), &path("observations"));
        let sent = fs::read_to_string(path("ledger")).unwrap().lines().count() as u64;
        assert_eq!(promised.posts_answered, sent, "every post got its 200 in the end\n{summary}");
        promised
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until the server has taken so many posts more.
pub(crate) fn wait_for_posts(served: &Served, more: u64) {
    let before = position(served);
    served.wait_until("taking posts", |status| status["journal"]["next_position"].as_u64().unwrap() >= before + more);
}

/// The journal's next position.
pub(crate) fn position(served: &Served) -> u64 {
    served.status()["journal"]["next_position"].as_u64().unwrap()
}
