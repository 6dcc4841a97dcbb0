//! What presence is counted by: profiles, sites, zones. From text to the engine's settings.

use std::collections::{BTreeMap, HashSet};

use analytics::presence::calendar::OpeningHours;
use analytics::presence::engine::{Settings, SiteSettings};
use analytics::presence::profile::Profile;
use analytics::presence::site::Member;
use jiff::tz::TimeZone;
use serde::Deserialize;
use store::group::Excluded;
use store::mac::Mac;

use super::check::{Wrong, wrong};
use super::{Config, Mode, Size, Span};

/// What holds for all sites.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Presence {
    pub(crate) profiles: Vec<String>,
    pub(crate) time_zone: String,
    pub(crate) allowed_lateness: Span,
    pub(crate) publish_every: Span,
    pub(crate) memory: Size,
    /// Addresses of devices that are in no count.
    pub(crate) excluded: Vec<String>,
}

impl Default for Presence {
    fn default() -> Self {
        Self {
            profiles: vec!["standard".to_owned()],
            time_zone: "UTC".to_owned(),
            allowed_lateness: Span::seconds(86_400),
            publish_every: Span::seconds(60),
            memory: Size::mib(256),
            excluded: Vec::new(),
        }
    }
}

/// A profile of the operator's own: what it does not say is as in `base`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnProfile {
    pub(crate) name: String,
    #[serde(default = "first_version")]
    pub(crate) version: u32,
    #[serde(default = "standard")]
    pub(crate) base: String,
    ignore_dbm: Option<i8>,
    enter_dbm: Option<i8>,
    stay_dbm: Option<i8>,
    assoc_bypasses_rssi: Option<bool>,
    gap: Option<Span>,
    ap_gap: Option<Span>,
    min_dwell: Option<Span>,
    min_minutes: Option<u32>,
    present: Option<Span>,
    settle: Option<Span>,
    settle_db: Option<i16>,
    max_visit: Option<Span>,
    loyalty_days: Option<u16>,
    lateness: Option<Span>,
}

/// A group of networks that is one place to its visitors.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Site {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) networks: Vec<String>,
    #[serde(default)]
    pub(crate) receivers: Vec<String>,
    pub(crate) time_zone: Option<String>,
    #[serde(default)]
    pub(crate) opening_hours: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) zone: Vec<Zone>,
}

/// A set of access points.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Zone {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) aps: Vec<String>,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
}

impl Config {
    /// The engine's settings; everything that can be wrong with them is told with its key.
    pub(crate) fn presence_settings(&self, born_at: i64) -> Result<Settings, Wrong> {
        let presence = &self.presence;
        // Those that are not live are checked too.
        for (n, own) in self.profile.iter().enumerate() {
            if self.profile[..n].iter().any(|other| other.name == own.name) {
                return wrong(&format!("profile[{n}].name"), &format!("{:?} is taken by an earlier profile", own.name), "give each profile a name of its own");
            }
            own.profile(n)?;
        }
        let mut profiles: Vec<Profile> = Vec::new();
        for (n, name) in presence.profiles.iter().enumerate() {
            let profile = self.profile(name, &format!("presence.profiles[{n}]"))?;
            if profiles.iter().any(|other| other.name == profile.name) {
                return wrong(&format!("presence.profiles[{n}]"), &format!("{name:?} is named twice"), "name each profile once");
            }
            profiles.push(profile);
        }
        if presence.publish_every.0.as_secs() == 0 || presence.publish_every.0.as_secs() > 3_600 {
            return wrong("presence.publish_every", &format!("{} is out of range", presence.publish_every), "take 1s to 1h");
        }
        if presence.memory < Size::mib(1) {
            return wrong("presence.memory", &format!("{} holds nobody", presence.memory), "take 1MiB or more; a client takes about 1 KB");
        }
        if self.privacy.mode() == Mode::Anonymous {
            // Ten minutes make no visit.
            profiles.clear();
        }
        Ok(Settings {
            profiles,
            sites: self.sites()?,
            time_zone: time_zone(&presence.time_zone, "presence.time_zone")?,
            lasting: self.lasting(born_at)?,
            publish_every_ms: i64::try_from(presence.publish_every.0.as_millis()).unwrap_or(i64::MAX),
            memory_max: usize::try_from(presence.memory.0).unwrap_or(usize::MAX),
            rebuilding: false,
        })
    }

    /// Who is in no count.
    pub(crate) fn excluded(&self) -> Result<Excluded, Wrong> {
        let mut excluded = Excluded::default();
        for (n, text) in self.presence.excluded.iter().enumerate() {
            let key = format!("presence.excluded[{n}]");
            match Mac::parse(text) {
                None => return wrong(&key, &format!("{text:?} is no address"), "write six bytes, as in \"02:00:5e:00:00:01\""),
                Some(mac) if mac == Mac::default() || mac.is_group() => {
                    return wrong(&key, &format!("{text:?} is the address of no single device"), "write the address that the device uses there");
                }
                Some(mac) if !excluded.insert(mac) => return wrong(&key, &format!("{text:?} is listed twice"), "list each device once"),
                Some(_) => {}
            }
        }
        Ok(excluded)
    }

    /// A profile by its name, and what is wrong with it.
    pub(crate) fn profile(&self, name: &str, key: &str) -> Result<Profile, Wrong> {
        let own = self.profile.iter().position(|own| own.name == name);
        let mut profile = match own {
            Some(at) => self.profile[at].profile(at)?,
            None => match Profile::built_in(name) {
                Some(profile) => profile,
                None => {
                    let known: Vec<&str> = Profile::BUILT_IN.into_iter().chain(self.profile.iter().map(|own| own.name.as_str())).collect();
                    return wrong(key, &format!("{name:?} is no profile; there are {}", known.join(", ")), "name one of them, or add [[profile]]");
                }
            },
        };
        profile.allowed_lateness_s = seconds(self.presence.allowed_lateness);
        if let Err(what) = profile.check() {
            let key = own.map_or_else(|| "presence".to_owned(), |at| format!("profile[{at}]"));
            return wrong(&key, &what, "take a value in that range");
        }
        Ok(profile)
    }

    fn sites(&self) -> Result<Vec<SiteSettings>, Wrong> {
        let (mut names, mut members) = (HashSet::new(), HashSet::new());
        let mut sites = Vec::new();
        for (n, site) in self.site.iter().enumerate() {
            let key = |name: &str| format!("site[{n}].{name}");
            if site.name.trim().is_empty() || site.name.contains('\0') {
                return wrong(&key("name"), "is empty", "give the site a name");
            }
            if !names.insert(&site.name) {
                return wrong(&key("name"), &format!("{:?} is taken by an earlier site", site.name), "give each site a name of its own");
            }
            if site.networks.is_empty() && site.receivers.is_empty() {
                return wrong(&key("networks"), "the site has no network and no receiver", "list networks = [\"RECEIVER/NETWORK\"] or receivers");
            }
            let mut networks = Vec::new();
            for network in &site.networks {
                let Some((receiver, id)) = network.split_once('/').filter(|(receiver, id)| !receiver.is_empty() && !id.is_empty()) else {
                    return wrong(&key("networks"), &format!("{network:?} is no network"), "write RECEIVER/NETWORK, as in \"mall/N_24329156\"");
                };
                networks.push((receiver.to_owned(), id.to_owned()));
            }
            if let Some(twice) = site.networks.iter().chain(&site.receivers).find(|member| !members.insert(*member)) {
                return wrong(&key("networks"), &format!("{twice:?} is in a site already"), "list each network and receiver once");
            }
            let zone = site.time_zone.as_ref().map_or((&self.presence.time_zone, "presence.time_zone".to_owned()), |zone| (zone, key("time_zone")));
            sites.push(SiteSettings {
                name: site.name.clone(),
                networks,
                receivers: site.receivers.clone(),
                time_zone: time_zone(zone.0, &zone.1)?,
                opening: opening_hours(&site.opening_hours, &key("opening_hours"))?,
                zones: zones(&site.zone, &key("zone"))?,
                tagged: site.zone.iter().filter(|zone| !zone.tags.is_empty()).map(|zone| (zone.name.clone(), zone.tags.clone())).collect(),
            });
        }
        Ok(sites)
    }
}

impl OwnProfile {
    fn profile(&self, at: usize) -> Result<Profile, Wrong> {
        let key = |name: &str| format!("profile[{at}].{name}");
        if self.name.is_empty() || !self.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            return wrong(&key("name"), &format!("{:?} is no name", self.name), "use letters, digits, hyphens, dots or underscores");
        }
        if Profile::BUILT_IN.contains(&self.name.as_str()) {
            return wrong(&key("name"), &format!("{:?} is a built-in profile", self.name), "give your own profile another name");
        }
        let Some(base) = Profile::built_in(&self.base) else {
            return wrong(&key("base"), &format!("{:?} is no built-in profile", self.base), "name one, or leave it out for \"standard\"");
        };
        let span = |own: Option<Span>, base: i64| own.map_or(base, seconds);
        Ok(Profile {
            name: format!("{}@{}", self.name, self.version),
            ignore_dbm: self.ignore_dbm.unwrap_or(base.ignore_dbm),
            enter_dbm: self.enter_dbm.unwrap_or(base.enter_dbm),
            stay_dbm: self.stay_dbm.unwrap_or(base.stay_dbm),
            assoc_bypasses_rssi: self.assoc_bypasses_rssi.unwrap_or(base.assoc_bypasses_rssi),
            gap_s: span(self.gap, base.gap_s),
            ap_gap_s: span(self.ap_gap, base.ap_gap_s),
            min_dwell_s: span(self.min_dwell, base.min_dwell_s),
            min_minutes: self.min_minutes.unwrap_or(base.min_minutes),
            present_s: span(self.present, base.present_s),
            settle_s: span(self.settle, base.settle_s),
            settle_db: self.settle_db.unwrap_or(base.settle_db),
            max_visit_s: span(self.max_visit, base.max_visit_s),
            loyalty_days: self.loyalty_days.unwrap_or(base.loyalty_days),
            lateness_s: span(self.lateness, base.lateness_s),
            allowed_lateness_s: base.allowed_lateness_s,
        })
    }
}

pub(super) fn time_zone(name: &str, key: &str) -> Result<TimeZone, Wrong> {
    TimeZone::get(name).or_else(|_| wrong(key, &format!("{name:?} is no time zone"), "write its IANA name, as in \"Europe/Berlin\""))
}

fn opening_hours(told: &BTreeMap<String, String>, key: &str) -> Result<Option<OpeningHours>, Wrong> {
    if told.is_empty() {
        return Ok(None);
    }
    let mut hours = OpeningHours::default();
    for (day, span) in told {
        let Some(at) = DAYS.iter().position(|known| known == day) else {
            return wrong(key, &format!("{day:?} is no day"), "use mon, tue, wed, thu, fri, sat, sun; a day that is left out is closed");
        };
        let Some((open, close)) = span.split_once('-').and_then(|(open, close)| Some((minutes(open)?, minutes(close)?))).filter(|(open, close)| open < close)
        else {
            return wrong(&format!("{key}.{day}"), &format!("{span:?} is no time of day"), "write it as in \"10:00-20:30\", within one day");
        };
        hours.0[at] = Some((open * 60, close * 60));
    }
    Ok(Some(hours))
}

/// Minutes from midnight.
fn minutes(text: &str) -> Option<u32> {
    let (hour, minute) = text.trim().split_once(':')?;
    let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
    (minute < 60 && hour * 60 + minute <= 1_440).then_some(hour * 60 + minute)
}

fn zones(told: &[Zone], key: &str) -> Result<Vec<(String, Vec<Member>)>, Wrong> {
    let (mut names, mut zones) = (HashSet::new(), Vec::new());
    for (n, zone) in told.iter().enumerate() {
        if zone.name.trim().is_empty() || !names.insert(&zone.name) {
            return wrong(
                &format!("{key}[{n}].name"),
                &format!("{:?} is empty or taken by an earlier zone", zone.name),
                "give each zone of a site a name of its own",
            );
        }
        if zone.aps.is_empty() && zone.tags.is_empty() {
            return wrong(&format!("{key}[{n}].aps"), "the zone has no access point and no tag", "list aps = [\"00:18:0a:13:dd:b0\"] or tags = [\"food\"]");
        }
        if zone.tags.iter().any(String::is_empty) {
            return wrong(&format!("{key}[{n}].tags"), "there is an empty tag", "write tags as the dashboard shows them");
        }
        let mut aps = Vec::new();
        for ap in &zone.aps {
            let Some(mac) = Mac::parse(ap) else {
                return wrong(&format!("{key}[{n}].aps"), &format!("{ap:?} is no address"), "write six bytes, as in \"00:18:0a:13:dd:b0\"");
            };
            let member = Member::always(mac);
            if aps.contains(&member) {
                return wrong(&format!("{key}[{n}].aps"), &format!("{ap:?} is listed twice"), "list each access point once");
            }
            aps.push(member);
        }
        zones.push((zone.name.clone(), aps));
    }
    Ok(zones)
}

fn seconds(span: Span) -> i64 {
    i64::try_from(span.0.as_secs()).unwrap_or(i64::MAX)
}

fn first_version() -> u32 {
    1
}

fn standard() -> String {
    "standard".to_owned()
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
