//! The set of most faults of Postgres: a server of its own or a shared one, a proxy before it, the program, and a load on it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::cluster::Cluster;
use crate::dice::is_long;
use crate::harness::{Served, Site};
use crate::ledger::Obligations;
use crate::load::{Load, PLAIN, SMALL_SEGMENTS, wait_for_posts};
use crate::proxy::Proxy;
use crate::verdict::{no_post_was_shed, settle};

/// By which way posts come to the store.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Road {
    /// From memory, when the store keeps up.
    Tail,
    /// Read back from the journal.
    Disk,
}

impl Road {
    /// This one, and in the long form the other one too.
    pub(crate) fn and_in_the_long_form_both(self) -> impl Iterator<Item = Self> {
        let all = [Self::Tail, Self::Disk];
        if is_long() { all.to_vec() } else { vec![self] }.into_iter()
    }

    /// The configuration that makes posts take it.
    pub(crate) fn configuration(self) -> String {
        let tail = match self {
            Self::Tail => "64MiB",
            // Not even one batch fits.
            Self::Disk => "64B",
        };
        format!("{SMALL_SEGMENTS}{PLAIN}[pipeline]\ntail = \"{tail}\"\n")
    }
}

/// A server for those tests that only change a database of their own.
pub(crate) fn shared_cluster() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(Cluster::start)
}

/// A name for a database that no other test has.
pub(crate) fn fresh_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("fault_{}", NEXT.fetch_add(1, Relaxed))
}

/// A program under load, in front of a database.
pub(crate) struct Scene {
    // In the order of their ends: the load, the program, its files.
    load: Option<Load>,
    pub(crate) served: Served,
    pub(crate) site: Site,
}

impl Scene {
    /// Starts both, and returns when posts have reached the database.
    pub(crate) fn start(database: &str, road: Road, version: &str) -> Self {
        Self::start_for(database, road, version, 1_200)
    }

    /// The same, with a load that lasts so many seconds.
    pub(crate) fn start_for(database: &str, road: Road, version: &str, seconds: u32) -> Self {
        let scene = Self::begin(database, road, version, seconds, |_| {});
        scene.served.wait_until("applying", |status| status["store"]["cursor"].as_u64().unwrap() > 1);
        scene
    }

    /// Does something to the fresh database before the first post, and does not wait until any has reached it.
    pub(crate) fn start_after(database: &str, road: Road, version: &str, fault: impl FnOnce(&Served)) -> Self {
        Self::begin(database, road, version, 1_200, fault)
    }

    fn begin(database: &str, road: Road, version: &str, seconds: u32, fault: impl FnOnce(&Served)) -> Self {
        let site = Site::on_with(database, &road.configuration());
        let served = site.serve();
        served.wait_until_applied();
        fault(&served);
        let load = Load::start(&site, &served, "load", version, (60, seconds));
        wait_for_posts(&served, 20);
        Self { load: Some(load), served, site }
    }

    /// The state of the store, and its last error, as soon as they are as wished.
    pub(crate) fn wait_for_state(&self, state: &str, error: &str) {
        self.served.wait_until(&format!("{state}: {error}"), |status| {
            status["store"]["state"] == state && status["store"]["last_error"].as_str().is_some_and(|said| said.contains(error))
        });
    }

    /// Asserts that posts are answered while the store takes none of them.
    pub(crate) fn answers_go_on(&self) {
        let before = self.served.status();
        wait_for_posts(&self.served, 30);
        assert_eq!(self.served.status()["store"]["cursor"], before["store"]["cursor"], "the store takes nothing, or this shows nothing");
    }

    /// Waits until the load has sent all it has.
    pub(crate) fn wait_for_the_end_of_the_load(&mut self) -> Obligations {
        self.load.take().unwrap().finish(&self.site)
    }

    /// Ends the load and holds the store against what was promised.
    pub(crate) fn settle(mut self) {
        let promised = self.load.take().unwrap().stop(&self.site);
        self.settle_with(&promised);
    }

    /// The same when the load has ended.
    pub(crate) fn settle_with(self, promised: &Obligations) {
        settle(&self.site, &self.served, promised);
        no_post_was_shed(&self.served);
        self.served.stop();
    }
}

/// A database of the shared server behind a proxy.
pub(crate) fn proxied() -> (Proxy, String) {
    let name = fresh_name();
    shared_cluster().make_database(&name);
    let proxy = Proxy::start(shared_cluster().socket());
    let url = proxy.url(&name);
    (proxy, url)
}
