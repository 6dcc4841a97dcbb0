//! A simulated Meraki cloud: sites full of people, and the posts that the real cloud would send about them.
//!
//! Two halves that meet in [`Post`]. The first makes posts and does no I/O: a [`World`] is a number of [`Site`]s, each with a floor
//! plan, people who walk on it and an air that carries their devices' signals; minute by minute a site says what Meraki
//! would have told about it. The second sends them: [`replay`] on a clock that may run fast, [`load`] as hard as asked, both through
//! a [`sender`] that costs little beside the server under test.
//!
//! The same [`WorldOptions`] give the same bodies in the same order per network, to the byte (on one platform: logarithms and sines
//! come from its libraries). Nothing here reads a clock to decide what to write, and nothing iterates over a hash map.
//!
//! What is modelled: per access point and minute a v2 post with everything heard in the last eight minutes, newest sighting per client,
//! so that most sightings are told several times; per network and minute a v3 post with up to three locations per client
//! and a latest record, which is told again for up to five minutes; phones with random addresses, which v2 leaves out and v3 tells when
//! they are connected; the oddities of captures (null, "NaN" and negative uncertainty, empty tags, numbers as strings).
//! With [`RadioModel::Perfect`] and [`Addresses::Global`] the air and the addresses lose nothing, so that what a receiver publishes can be held
//! against the truth to the second.
//! What is not: day and night, roaming between networks, more than one SSID per device.

mod devices;
mod dice;
pub mod ledger;
pub mod load;
mod people;
mod plan;
mod post;
mod radio;
pub mod replay;
pub mod sender;
mod site;
pub mod summary;
pub mod tls;
mod truth;
mod v2;
mod v3;

use std::fmt;
use std::sync::Arc;

use store::batch::Radio;
use thiserror::Error;

pub use people::{Kind, Totals};
pub use post::{Post, Row};
pub use site::Site;

#[cfg(test)]
mod tests;

/// Which dialect the cloud speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// One post per access point (2.0 for Wi-Fi, 2.1 for Bluetooth).
    V2,
    /// One post per network (3.0).
    V3,
}

/// Which radios are switched on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Radios {
    /// Wi-Fi only.
    Wifi,
    /// Bluetooth only.
    Ble,
    /// Both; each posts for itself.
    Both,
}

impl Radios {
    /// The radios one by one.
    #[must_use]
    pub const fn each(self) -> &'static [Radio] {
        match self {
            Self::Wifi => &[Radio::Wifi],
            Self::Ble => &[Radio::Ble],
            Self::Both => &[Radio::Wifi, Radio::Ble],
        }
    }
}

/// What the air does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RadioModel {
    /// Path loss, walls, noise and missed frames; devices speak when they like.
    Noisy,
    /// Each device is heard once a minute, by its nearest access point alone: strongly inside, faintly outside.
    Perfect,
}

impl RadioModel {
    /// The name on the command line and in the truth file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Noisy => "noisy",
            Self::Perfect => "perfect",
        }
    }
}

/// What addresses devices have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Addresses {
    /// Makers' addresses and random ones, as people carry them.
    Mixed,
    /// Makers' addresses only.
    Global,
}

/// What the world is like. No part of it but the secret is private; `Debug` leaves that out.
#[derive(Clone)]
pub struct WorldOptions {
    /// The dialect of the posts.
    pub version: Version,
    /// The radios that post.
    pub radios: Radios,
    /// How many sites; each is a network of its own.
    pub sites: u32,
    /// Access points of each site, at least 1.
    pub access_points: u32,
    /// People and fixtures present at each site on average.
    pub clients: u32,
    /// The seed of all chance.
    pub seed: u64,
    /// What the air does.
    pub radio_model: RadioModel,
    /// What addresses devices have.
    pub addresses: Addresses,
    /// When the first minute begins, seconds since 1970.
    pub start: i64,
    /// Minutes simulated before `start` without posts, so that the first post is as full as later ones.
    pub warm_up_minutes: u32,
    /// The secret that each body carries.
    pub secret: Arc<str>,
    /// Whether posts carry their observations beside the body.
    pub keep_rows: bool,
    /// Whether sites write down who was where.
    pub keep_truth: bool,
}

/// Why a run ended without a summary.
#[derive(Debug, Error)]
pub enum RunError {
    /// Nothing answered at all.
    #[error("{0}")]
    Unreachable(String),
    /// A file cannot be created.
    #[error("{0}")]
    Create(String),
    /// A file cannot be written.
    #[error("{0}")]
    Write(String),
    /// A defect of ours.
    #[error("{0}")]
    Defect(String),
}

/// Access points of all sites together must have addresses of their own.
pub const ACCESS_POINTS_MAX: u64 = 1 << 24;

impl WorldOptions {
    /// A small mall, seen through v3 by both radios: what tests start from.
    #[must_use]
    pub fn example(start: i64) -> Self {
        Self {
            version: Version::V3,
            radios: Radios::Both,
            sites: 1,
            access_points: 6,
            clients: 60,
            seed: 1,
            radio_model: RadioModel::Noisy,
            addresses: Addresses::Mixed,
            start,
            warm_up_minutes: 0,
            secret: "simulated".into(),
            keep_rows: false,
            keep_truth: false,
        }
    }

    /// Says what is wrong with the options, if anything, and the remedy.
    ///
    /// # Errors
    /// The text names the option as the command line spells it.
    pub fn check(&self) -> Result<(), String> {
        if self.sites == 0 || self.access_points == 0 {
            return Err("--sites and --aps must be at least 1".to_owned());
        }
        let access_points = u64::from(self.sites) * u64::from(self.access_points);
        if access_points > ACCESS_POINTS_MAX {
            return Err(format!("--sites times --aps is {access_points}, more than the {ACCESS_POINTS_MAX} that have an address; lower one of them"));
        }
        if !(0..=253_402_300_799 - 366 * 86_400).contains(&self.start) {
            return Err("--start must lie between the years 1970 and 9998".to_owned());
        }
        Ok(())
    }

    /// Posts that one site makes each minute.
    #[must_use]
    pub const fn posts_per_minute(&self) -> u64 {
        let radios = self.radios.each().len() as u64;
        match self.version {
            Version::V2 => self.access_points as u64 * radios,
            Version::V3 => radios,
        }
    }
}

impl fmt::Debug for WorldOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorldOptions")
            .field("version", &self.version)
            .field("radios", &self.radios)
            .field("sites", &self.sites)
            .field("access_points", &self.access_points)
            .field("clients", &self.clients)
            .field("seed", &self.seed)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}

/// All sites. As an iterator it yields one simulated minute of posts after another, without end.
pub struct World {
    sites: Vec<Site>,
}

impl World {
    /// Builds the sites and fills them with people.
    #[must_use]
    pub fn new(options: &WorldOptions) -> Self {
        let options = Arc::new(options.clone());
        Self { sites: (0..options.sites).map(|index| Site::new(&options, index)).collect() }
    }

    /// The sites, to be driven one by one.
    #[must_use]
    pub fn into_sites(self) -> Vec<Site> {
        self.sites
    }

    /// How many people and fixtures there were so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.sites.iter().for_each(|site| totals.add(&site.totals()));
        totals
    }
}

impl Iterator for World {
    type Item = Vec<Post>;

    fn next(&mut self) -> Option<Vec<Post>> {
        Some(self.sites.iter_mut().flat_map(Site::minute).collect())
    }
}
