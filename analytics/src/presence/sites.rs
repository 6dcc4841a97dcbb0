//! Which site an observation belongs to, and how far each site's observations have come.

use std::fmt::Write as _;
use std::sync::Arc;

use super::calendar::OpeningHours;
use super::profile::Profile;
use super::site::{Lasting, Member, Site, Zone};
use super::tags::Tags;
use aws_lc_rs::digest::{SHA256, digest};
use hashbrown::HashMap;
use jiff::tz::TimeZone;
use store::mac::Mac;

/// What an engine is made from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The live profiles, with different names; the first is the one that the view `now` shows.
    pub profiles: Vec<Profile>,
    /// The sites that are configured; every other network, or receiver whose posts name none, is a site of its own.
    pub sites: Vec<SiteSettings>,
    /// The time zone of the others.
    pub time_zone: TimeZone,
    /// How long a client can be known again.
    pub lasting: Lasting,
    /// How often a client's rows are written at most, in milliseconds.
    pub publish_every_ms: i64,
    /// Bytes that the engine may hold.
    pub memory_max: usize,
    /// Whether it makes rows anew beside those of the live engine.
    pub rebuilding: bool,
}

impl Settings {
    /// Whether a site gets posts of some receivers: as configured, or else by its name.
    #[must_use]
    pub fn is_of(&self, site: &str, receivers: &[String]) -> bool {
        if let Some(configured) = self.sites.iter().find(|configured| configured.name == site) {
            let named = configured.networks.iter().map(|(receiver, _)| receiver).chain(&configured.receivers);
            return named.into_iter().any(|receiver| receivers.contains(receiver));
        }
        let receiver = site.split_once('/').map_or(site, |(receiver, _)| receiver);
        receivers.iter().any(|own| own == receiver)
    }
}

/// A site as configured.
#[derive(Clone, Debug)]
pub struct SiteSettings {
    /// Its name.
    pub name: String,
    /// The networks that are part of it, with their receivers (v3).
    pub networks: Vec<(String, String)>,
    /// The receivers whose posts name no network (v2).
    pub receivers: Vec<String>,
    /// Its time zone.
    pub time_zone: TimeZone,
    /// When it is open; none for always.
    pub opening: Option<OpeningHours>,
    /// Its zones by name.
    pub zones: Vec<(String, Vec<Member>)>,
    /// The tags that make an access point a member of a zone, by the zone's name, for as long as posts tell of them.
    pub tagged: Vec<(String, Vec<String>)>,
}

/// All sites: those that are configured, and those that come up.
pub(super) struct Sites {
    time_zone: TimeZone,
    lasting: Lasting,
    sites: Vec<Known>,
    /// By receiver and network, with NUL between them.
    links: HashMap<String, u32>,
    link_states: Vec<Link>,
    /// The names that zones have by number.
    pub(super) zone_names: Vec<Arc<str>>,
    key: String,
    clock_ms: i64,
    newest: i64,
    /// Whether any zone is made of tags.
    has_tags: bool,
}

struct Known {
    site: Site,
    tags: Tags,
    links: Vec<u32>,
    settled: String,
    /// The latest minute in which something arrived.
    covered: i64,
    /// The latest second of what earlier processes had taken in.
    recalled: i64,
    /// Per live profile: how far the site has come, and what the store was told of it.
    marks: Vec<Mark>,
}

/// How far behind what is observed a live profile's watermark stays.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// The profile's number among the live ones: each tells the store of its own.
    pub(super) live: usize,
    pub(super) lateness_s: i64,
}

#[derive(Clone, Copy)]
struct Mark {
    pace: Pace,
    watermark: i64,
    told: i64,
    /// Whether this process has told the store which access points belong to its zones.
    has_told_members: bool,
    /// Whether that has changed since.
    has_new_members: bool,
}

/// One network, or one receiver whose posts name none.
struct Link {
    site: u32,
    newest: i64,
    received_ms: i64,
}

impl Sites {
    /// The configured sites; others are a site each, in `time_zone`.
    pub(super) fn new(time_zone: TimeZone, lasting: Lasting, configured: Vec<SiteSettings>) -> Self {
        let mut sites = Self {
            time_zone,
            lasting,
            sites: Vec::new(),
            links: HashMap::new(),
            link_states: Vec::new(),
            zone_names: Vec::new(),
            key: String::new(),
            clock_ms: 0,
            newest: i64::MIN,
            has_tags: configured.iter().any(|settings| !settings.tagged.is_empty()),
        };
        for settings in configured {
            let number = sites.add(&settings.name, settings.time_zone, settings.opening, &settings.zones, &settings.tagged);
            for (receiver, network) in &settings.networks {
                sites.link(key_of(receiver, Some(network)), number);
            }
            for receiver in &settings.receivers {
                sites.link(key_of(receiver, None), number);
            }
        }
        sites
    }

    /// For how many days a client keeps its identity; none when for good.
    pub(super) fn lasts_days(&self) -> Option<i64> {
        self.lasting.lasts_days()
    }

    /// The site and the link of a source; a new site when it is of none.
    pub(super) fn link_of(&mut self, receiver: &str, network: Option<&str>) -> (u32, u32) {
        self.key.clear();
        self.key.push_str(receiver);
        if let Some(network) = network {
            self.key.push('\0');
            self.key.push_str(network);
        }
        if let Some(&link) = self.links.get(self.key.as_str()) {
            return (self.link_states[link as usize].site, link);
        }
        let name = bounded(network.map_or_else(|| receiver.to_owned(), |network| format!("{receiver}/{network}")));
        let site = self.add(&name, self.time_zone.clone(), None, &[], &[]);
        let link = self.link(self.key.clone(), site);
        (site, link)
    }

    /// A site by its number.
    pub(super) fn get(&self, site: u32) -> &Site {
        &self.sites[site as usize].site
    }

    /// A site by its number.
    pub(super) fn get_mut(&mut self, site: u32) -> &mut Site {
        &mut self.sites[site as usize].site
    }

    /// Tells how far a site had come, from the store. One that is not known and that no post would reach is none of ours, and forgotten.
    pub(super) fn recall(&mut self, name: &str, pace: Pace, watermark: i64, covered_minute: i64) {
        let known = self.sites.iter().position(|known| &*known.site.name == name);
        let at = known.unwrap_or_else(|| {
            let (receiver, network) = name.split_once('/').map_or((name, None), |(receiver, network)| (receiver, Some(network)));
            self.link_of(receiver, network).0 as usize
        });
        let site = &mut self.sites[at];
        if &*site.site.name != name {
            // Its network has become part of a site with another name.
            return;
        }
        site.covered = site.covered.max(covered_minute);
        let mark = site.mark(pace);
        mark.watermark = mark.watermark.max(watermark);
        mark.told = mark.told.max(watermark);
    }

    /// The sites whose watermark is a minute or more ahead of what the store was told.
    pub(super) fn ahead(&mut self, pace: Pace) -> Vec<u32> {
        let mut ahead = Vec::new();
        for site in 0..self.sites.len() as u32 {
            let watermark = self.watermark(site, pace);
            let told = self.sites[site as usize].mark(pace).told;
            if told > i64::MIN && watermark >= told.saturating_add(60) {
                ahead.push(site);
            }
        }
        ahead
    }

    /// The watermark, which the store is told now.
    pub(super) fn tell_watermark(&mut self, site: u32, pace: Pace) -> i64 {
        let watermark = self.watermark(site, pace);
        self.sites[site as usize].mark(pace).told = watermark;
        watermark
    }

    /// Something was observed, and told at a time.
    pub(super) fn heard(&mut self, link: u32, observed_at: i64, received_ms: i64) {
        let link = &mut self.link_states[link as usize];
        link.newest = link.newest.max(observed_at);
        link.received_ms = link.received_ms.max(received_ms);
        self.newest = self.newest.max(observed_at);
    }

    /// Something arrived in a minute; whether it is the first of that minute.
    pub(super) fn cover(&mut self, site: u32, minute: i64) -> bool {
        let site = &mut self.sites[site as usize];
        let is_new = minute > site.covered;
        site.covered = site.covered.max(minute);
        is_new
    }

    pub(super) fn covered_minute(&self, site: u32) -> i64 {
        self.sites[site as usize].covered
    }

    /// The latest second that was observed anywhere.
    pub(super) fn newest(&self) -> i64 {
        self.newest
    }

    /// The time it is, for networks that are silent: or while posts wait, when the latest of those taken in arrived.
    pub(super) fn clock(&mut self, clock_ms: i64) {
        self.clock_ms = clock_ms;
    }

    /// Up to where everything of a site is told, but for what comes late. What was observed never takes it back; a clock that was wrong may.
    pub(super) fn watermark(&mut self, site: u32, pace: Pace) -> i64 {
        let Self { sites, link_states, clock_ms, .. } = self;
        let known = &mut sites[site as usize];
        let heard = || known.links.iter().map(|&link| &link_states[link as usize]).filter(|link| link.newest > i64::MIN);
        let by_clock = clock_ms.div_euclid(1_000) - SILENT_MS / 1_000;
        let is_silent = |link: &Link| *clock_ms > link.received_ms.saturating_add(SILENT_MS);
        let observed = heard().map(|link| link.newest.saturating_sub(pace.lateness_s)).min();
        let reached = heard().map(|link| link.newest.saturating_sub(pace.lateness_s).max(if is_silent(link) { by_clock } else { i64::MIN })).min();
        let mark = known.mark(pace);
        mark.watermark = mark.watermark.max(observed.unwrap_or(i64::MIN));
        mark.watermark.max(reached.unwrap_or(i64::MIN))
    }

    /// Whether the store must be told which access points belong to the site's zones: once, and whenever that has changed.
    pub(super) fn tell_members(&mut self, site: u32, pace: Pace) -> bool {
        let mark = self.sites[site as usize].mark(pace);
        let has_changed = std::mem::replace(&mut mark.has_new_members, false);
        !std::mem::replace(&mut mark.has_told_members, true) || has_changed
    }

    /// Whether any zone is made of tags.
    pub(super) fn has_tags(&self) -> bool {
        self.has_tags
    }

    /// A post told at a second what tags an access point has.
    ///
    /// It belongs to zones from then on, or from the second after the latest that was observed at the site by then: nothing that was taken in
    /// before is of another zone afterwards.
    pub(super) fn tag(&mut self, site: u32, ap: Mac, tags: &str, received_s: i64) {
        let Self { sites, link_states, .. } = self;
        let known = &mut sites[site as usize];
        if !known.tags.tell(ap, tags) {
            return;
        }
        let newest = known.links.iter().map(|&link| link_states[link as usize].newest).fold(known.recalled, i64::max);
        let at = received_s.max(newest.saturating_add(1));
        let Known { site, tags, marks, .. } = known;
        if tags.follow(ap, at, &mut site.zones) {
            marks.iter_mut().for_each(|mark| mark.has_new_members = true);
        }
    }

    /// Tells that something of a second had been taken in at a site.
    pub(super) fn recall_newest(&mut self, site: u32, observed_at: i64) {
        let known = &mut self.sites[site as usize];
        known.recalled = known.recalled.max(observed_at);
    }

    /// Tells who belonged to a zone of tags, from the store.
    pub(super) fn recall_member(&mut self, site: &str, zone: &str, member: Member) {
        let Self { sites, zone_names, .. } = self;
        let Some(known) = sites.iter_mut().find(|known| &*known.site.name == site) else { return };
        let zones = &mut known.site.zones;
        if let Some(at) = zones.iter().position(|known| &*zone_names[known.number as usize] == zone).filter(|&at| known.tags.makes(at)) {
            let zone = &mut zones[at];
            if !zone.members.iter().any(|other| other.ap == member.ap && (other.since == member.since || *other == Member::always(member.ap))) {
                zone.members.push(member);
            }
        }
    }

    /// The sites of which the store does not know yet who belongs to their zones now.
    pub(super) fn changed(&mut self, pace: Pace) -> Vec<u32> {
        if !self.has_tags {
            return Vec::new();
        }
        (0..self.sites.len() as u32).filter(|&site| self.sites[site as usize].mark(pace).has_new_members).collect()
    }

    /// From which second on the records of a site must be kept whole: the start of a local day.
    ///
    /// Whatever is taken in later arrived no earlier than the latest so far, which was observed 120 s after its arrival at most; no clock is asked.
    /// What is not published yet comes a second time when the process starts anew, so nothing that is younger may be forgotten either.
    pub(super) fn keep_from(&mut self, site: u32, profile: &Profile, unpublished_since: i64) -> i64 {
        let links = &self.sites[site as usize].links;
        let newest = links.iter().map(|&link| self.link_states[link as usize].newest).max().unwrap_or(i64::MIN);
        let reach = profile.allowed_lateness_s + profile.gap_s + profile.max_visit_s + AHEAD_S;
        let reached = newest.min(unpublished_since).saturating_sub(reach);
        self.get_mut(site).calendar.day(reached).start
    }

    /// What rows of a profile at a site depend on beside the observations, in short.
    pub(super) fn definition(&self, site: u32, profile: &Profile) -> String {
        // What decides about the watermark and the view `now` changes no row.
        let profile = Profile { present_s: 0, lateness_s: 0, ..profile.clone() };
        let told = format!("{}|{profile:?}", self.sites[site as usize].settled);
        digest(&SHA256, told.as_bytes()).as_ref()[..8].iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// The first second of a local day, by its number since 1970.
    pub(super) fn day_start(&self, name: &str, day: i32) -> Option<i64> {
        let known = self.sites.iter().find(|known| &*known.site.name == name);
        known.and_then(|known| known.site.calendar.first_second_of(day))
    }

    /// The same of a site by its name, if it is known.
    pub(super) fn definition_of(&self, name: &str, profile: &Profile) -> Option<String> {
        let at = self.sites.iter().position(|known| &*known.site.name == name)?;
        Some(self.definition(at as u32, profile))
    }

    fn add(
        &mut self,
        name: &str,
        time_zone: TimeZone,
        opening: Option<OpeningHours>,
        zones: &[(String, Vec<Member>)],
        tagged: &[(String, Vec<String>)],
    ) -> u32 {
        let member = |member: &Member| (member.ap.bits(), member.since, member.until);
        let members: Vec<_> = zones.iter().map(|(name, members)| (name, members.iter().map(member).collect::<Vec<_>>())).collect();
        // Not how long identities last: a client of one mode never comes again in another.
        let mut settled = format!("{:?}|{opening:?}|{members:?}", time_zone.iana_name());
        if !tagged.is_empty() {
            let _ = write!(settled, "|{tagged:?}");
        }
        let mut site = Site::new(name, time_zone, opening);
        site.lasting = self.lasting.clone();
        for (name, members) in zones {
            site.zones.push(Zone { number: self.zone_number(name), members: members.clone() });
        }
        let tags = Tags::new(zones.iter().map(|(name, _)| tagged.iter().find(|(zone, _)| zone == name).map(|(_, tags)| tags.clone()).unwrap_or_default()));
        self.sites.push(Known { site, tags, links: Vec::new(), settled, covered: i64::MIN, recalled: i64::MIN, marks: Vec::new() });
        // Far fewer than 2^32.
        (self.sites.len() - 1) as u32
    }

    fn zone_number(&mut self, name: &str) -> u32 {
        let at = self.zone_names.iter().position(|known| &**known == name).unwrap_or_else(|| {
            self.zone_names.push(name.into());
            self.zone_names.len() - 1
        });
        at as u32
    }

    fn link(&mut self, key: String, site: u32) -> u32 {
        let link = self.link_states.len() as u32;
        self.link_states.push(Link { site, newest: i64::MIN, received_ms: i64::MIN });
        self.links.insert(key, link);
        self.sites[site as usize].links.push(link);
        link
    }
}

impl Known {
    fn mark(&mut self, pace: Pace) -> &mut Mark {
        let known = self.marks.iter().position(|mark| mark.pace == pace);
        let at = known.unwrap_or_else(|| {
            self.marks.push(Mark { pace, watermark: i64::MIN, told: i64::MIN, has_told_members: false, has_new_members: false });
            self.marks.len() - 1
        });
        &mut self.marks[at]
    }
}

/// A site's name; of one that is longer than databases take as a key, its beginning and its hash.
fn bounded(name: String) -> String {
    if name.len() <= NAME_BYTES_MAX {
        return name;
    }
    let hash = digest(&SHA256, name.as_bytes());
    let beginning: String = name.chars().take(NAME_BYTES_MAX / 8).collect();
    hash.as_ref()[..16].iter().fold(beginning + "#", |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn key_of(receiver: &str, network: Option<&str>) -> String {
    network.map_or_else(|| receiver.to_owned(), |network| format!("{receiver}\0{network}"))
}

/// How far an observation may be ahead of its arrival.
const AHEAD_S: i64 = 120;
/// Meraki's ids have some 20 bytes, and receivers' names 64 at most.
const NAME_BYTES_MAX: usize = 512;
/// How long a network must be silent before the clock tells how far it has come.
const SILENT_MS: i64 = 300_000;
