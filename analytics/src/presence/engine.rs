//! The engine: takes in what is new, keeps what it knows of each client, and tells the store what changes.
//!
//! A client is in one of two states: as published, or with something pending that will be published within [`Settings::publish_every_ms`]. What
//! is known of a client is a row of the store; memory holds those that were heard lately, and asks for the others
//! ([`Engine::prepare`], [`Engine::fill`]). So memory may forget anybody who has nothing pending, and a start needs nothing but what was pending,
//! which the store's own observations tell again ([`Engine::unpublished_since`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use store::batch::Radio;
use store::group::{Group, ObservationRow};
use store::presence::{Changes, CoveredRow, Level, MemberRow, RecordKey, RecordRow, Scope};

use super::evaluate::Part;
use super::profile::Profile;
use super::publish::{Ledger, Whose};
use super::record::Record;
use super::site::Member;
use super::sites::Sites;
pub use super::sites::{Settings, SiteSettings};
use super::tidy::tidy;

mod live;
mod recall;

use live::{Hearer, Live};

/// Presence of all sites under all live profiles.
pub struct Engine {
    sites: Sites,
    lives: Vec<Live>,
    memory_max: usize,
    /// Of each source of the group that is being taken in: what it is to presence.
    hearers: Vec<Hearer>,
    /// Of the rows that are being taken in: who heard them.
    heard_by: Vec<Hearer>,
    ledger: Ledger,
    before: Part,
    after: Part,
    late: u64,
    swept_at: i64,
}

impl Engine {
    /// An engine that knows nobody.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let Settings { profiles, sites, time_zone, lasting, publish_every_ms, memory_max, rebuilding } = settings;
        let live = |(at, profile)| Live::new(at, profile, publish_every_ms, rebuilding);
        Self {
            sites: Sites::new(time_zone, lasting, sites),
            lives: profiles.into_iter().enumerate().map(live).collect(),
            memory_max,
            hearers: Vec::new(),
            heard_by: Vec::new(),
            ledger: Ledger::default(),
            before: Part::default(),
            after: Part::default(),
            late: 0,
            swept_at: 0,
        }
    }

    /// The time it is, for networks that are silent: or while posts wait, when the latest of those taken in arrived.
    pub fn clock(&mut self, clock_ms: i64) {
        self.sites.clock(clock_ms);
    }

    /// The group that rows were taken in of has ended: sources are numbered anew.
    pub fn next_group(&mut self) {
        self.hearers.clear();
    }

    /// Takes new observations of a group in. Equal ones may come again.
    pub fn absorb(&mut self, group: &Group, rows: &[ObservationRow]) {
        let Self { sites, lives, hearers, heard_by, .. } = self;
        // Neighbours are of one network mostly.
        let mut last = None;
        for source in &group.sources[hearers.len()..] {
            let network = (source.receiver, source.network);
            hearers.push(match (source.ap, group.texts.get(source.receiver)) {
                (Some(ap), Some(receiver)) if source.radio == Radio::Wifi => {
                    let (site, link) = match last {
                        Some((known, found)) if known == network => found,
                        _ => sites.link_of(receiver, group.texts.get(source.network)),
                    };
                    last = Some((network, (site, link)));
                    Hearer { ap, site, link }
                }
                _ => Hearer::NOBODY,
            });
        }
        for rows in rows.chunks(CHUNK_ROWS) {
            heard_by.clear();
            heard_by.extend(rows.iter().map(|row| hearers[row.source as usize]));
            // Equal for all, since lateness is no profile's own.
            let late = lives.iter_mut().map(|live| live.absorb(rows, heard_by, sites)).max();
            self.late += late.unwrap_or(0);
        }
    }

    /// Takes in which minutes posts arrived in, from the rows of a group that are told of once.
    pub fn cover(&mut self, group: &Group, changes: &mut Changes) {
        let mut minutes: Vec<(u32, i64)> = Vec::new();
        for row in &group.posts {
            let source = &group.sources[row.source as usize];
            if let Some(receiver) = group.texts.get(source.receiver) {
                minutes.push((self.sites.link_of(receiver, group.texts.get(source.network)).0, row.minute));
            }
        }
        minutes.sort_unstable();
        minutes.dedup();
        // All of them before the first scope is told, which says what the latest is.
        minutes.retain(|&(site, minute)| self.sites.cover(site, minute));
        // One row for each window, however many minutes of it a group spans.
        let mut sums: BTreeMap<(u32, Level, i64), i64> = BTreeMap::new();
        for (site, minute) in minutes {
            let windows = self.sites.get_mut(site).calendar.windows(minute);
            for live in &self.lives {
                let scope = scope(&mut self.sites, live, site, changes);
                for window in windows.iter().filter(|window| window.from <= minute && minute < window.to) {
                    *sums.entry((scope, window.level, window.start)).or_insert(0) += 1;
                }
            }
        }
        changes.covered.extend(sums.into_iter().map(|((scope, level, start), minutes)| CoveredRow { scope, level, start, minutes }));
    }

    /// Chooses whom to publish, all with something pending or those whose time has come, and says whose records it needs for that.
    ///
    /// Answer with [`Engine::fill`], one body for each key in their order, then [`Engine::publish`].
    pub fn prepare(&mut self, now_ms: i64, all: bool) -> Vec<RecordKey> {
        let all = all || self.is_short();
        let mut keys = Vec::new();
        for live in &mut self.lives {
            live.choose(now_ms, all);
            for &slot in &live.asked {
                let client = &live.slots[slot as usize];
                keys.push(RecordKey { profile: Arc::clone(&live.name), site: Arc::clone(&self.sites.get(client.site).name), client: client.id });
            }
        }
        keys
    }

    /// The records that [`Engine::prepare`] asked for; an empty body where the store has none. Says how many could not be read.
    pub fn fill(&mut self, bodies: impl IntoIterator<Item = Vec<u8>>) -> usize {
        let mut bodies = bodies.into_iter();
        let mut unreadable = 0;
        for live in &mut self.lives {
            for slot in std::mem::take(&mut live.asked) {
                let client = &mut live.slots[slot as usize];
                let record = bodies.next().and_then(|body| Record::unpack(&body));
                unreadable += usize::from(record.is_none());
                client.published = record.unwrap_or_default();
                client.is_loaded = true;
                live.heap_bytes += client.published.heap_bytes();
            }
        }
        unreadable
    }

    /// Tells what changes by what was chosen.
    pub fn publish(&mut self, changes: &mut Changes) {
        let unpublished_since = self.unpublished_since().unwrap_or(i64::MAX);
        let Self { sites, lives, ledger, before, after, .. } = self;
        for live in lives.iter_mut() {
            let chosen = std::mem::take(&mut live.chosen);
            let (mut last, mut number, mut keep_from) = (None, 0, 0);
            for &slot in &chosen {
                let site = live.slots[slot as usize].site;
                // Those of a site stand together.
                if last.replace(site) != Some(site) {
                    ledger.close(changes);
                    number = scope(sites, live, site, changes);
                    keep_from = sites.keep_from(site, &live.profile, unpublished_since);
                }
                let client = &mut live.slots[slot as usize];
                live.heap_bytes -= client.published.heap_bytes() + client.pending.heap_bytes();
                let place = sites.get_mut(site);
                before.evaluate(&client.published, &live.profile, place);
                client.published.merge(&client.pending);
                if client.pending.heap_bytes() > PENDING_KEPT {
                    // A backlog that was caught up.
                    client.pending = Record::default();
                }
                client.pending.clear();
                after.evaluate(&client.published, &live.profile, place);
                ledger.add(Whose { scope: number, client: client.id, profile: &live.profile.name, site: &place.name }, before, after, changes);
                tidy(&mut client.published, after, keep_from, &live.profile, place);
                let body = changes.pack(|bytes| client.published.pack(bytes));
                changes.records.push(RecordRow { scope: number, client: client.id, last_at: client.published.last_s(), body });
                live.heap_bytes += client.published.heap_bytes() + client.pending.heap_bytes();
            }
            ledger.close(changes);
            live.chosen = chosen;
            live.chosen.clear();
            for site in sites.ahead(live.pace).into_iter().chain(sites.changed(live.pace)) {
                scope(sites, live, site, changes);
            }
        }
        // Scopes that were told of before may come in another order than sites do. A stable sort takes no longer than a look where they do not.
        changes.counts.sort_by_key(|row| row.scope);
        changes.occupancy.sort_by_key(|row| row.scope);
        changes.flow.sort_by_key(|row| row.scope);
        changes.zones.clone_from(&self.sites.zone_names);
        changes.unpublished_since = self.unpublished_since();
        self.sweep();
    }

    /// From which second on observations are not published yet; none when all are.
    #[must_use]
    pub fn unpublished_since(&self) -> Option<i64> {
        self.lives.iter().flat_map(|live| live.due.values()).map(|due| due.oldest).min()
    }

    /// What rows of a profile at a site depend on beside the observations, in short; none of a site that is not known.
    #[must_use]
    pub fn definition_of(&self, site: &str, profile: &Profile) -> Option<String> {
        self.sites.definition_of(site, profile)
    }

    /// The first second of a local day of a site, by its number since 1970.
    #[must_use]
    pub fn day_start(&self, site: &str, day: i32) -> Option<i64> {
        self.sites.day_start(site, day)
    }

    /// Whether there is something to publish, were all of it published now.
    pub fn has_news(&mut self) -> bool {
        let Self { lives, sites, .. } = self;
        lives.iter().any(|live| !live.due.is_empty() || !live.chosen.is_empty() || !sites.ahead(live.pace).is_empty() || !sites.changed(live.pace).is_empty())
    }

    /// How many observations came too late to count, since this was asked last.
    pub fn take_late(&mut self) -> u64 {
        std::mem::take(&mut self.late)
    }

    /// Clients with something to publish.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.lives.iter().flat_map(|live| live.due.values()).map(|due| due.slots.len()).sum()
    }

    /// Clients in memory.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.lives.iter().map(|live| live.clients.len()).sum()
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lives.iter().map(Live::bytes).sum()
    }

    fn is_short(&self) -> bool {
        self.lives.iter().map(Live::live_bytes).sum::<usize>() > self.memory_max
    }

    /// Forgets who was not heard lately, once a minute of what is heard; and sooner when memory is short.
    fn sweep(&mut self) {
        let newest = self.sites.newest();
        let is_short = self.is_short();
        if !is_short && newest.div_euclid(60) == self.swept_at.div_euclid(60) {
            return;
        }
        self.swept_at = newest;
        for live in &mut self.lives {
            let idle_s = if is_short { 0 } else { live.profile.gap_s + IDLE_S };
            live.forget(newest.saturating_sub(idle_s));
        }
    }
}

/// The row of a live profile at a site, once per transaction.
fn scope(sites: &mut Sites, live: &Live, site: u32, changes: &mut Changes) -> u32 {
    let name = Arc::clone(&sites.get(site).name);
    // Neighbours are of one site mostly, and there are few.
    if let Some(at) = changes.scopes.iter().rposition(|scope| scope.site == name && scope.profile == live.name) {
        return u32::try_from(at).unwrap_or(u32::MAX);
    }
    let profile = &live.profile;
    let is_first = sites.tell_members(site, live.pace);
    changes.scopes.push(Scope {
        profile: Arc::clone(&live.name),
        // 1970 when nothing was heard yet.
        watermark: sites.tell_watermark(site, live.pace).max(0),
        covered_minute: sites.covered_minute(site).max(0),
        site: name,
        is_shown: live.is_shown,
        is_main: live.is_main,
        gap_s: profile.gap_s,
        allowed_lateness_s: profile.allowed_lateness_s,
        max_visit_s: profile.max_visit_s,
        present_s: profile.present_s,
        loyalty_days: profile.loyalty_days.into(),
        lasts_days: sites.lasts_days(),
        definition: sites.definition(site, profile),
    });
    let number = u32::try_from(changes.scopes.len() - 1).unwrap_or(u32::MAX);
    if is_first {
        changes.members_of.push(number);
        for zone in &sites.get(site).zones {
            let row = |member: &Member| MemberRow { scope: number, zone: zone.number, ap: member.ap, since: member.since, until: member.until };
            changes.members.extend(zone.members.iter().map(row));
        }
    }
    number
}

/// The name under which a profile is recomputed beside the live one.
#[must_use]
pub fn shadow_of(profile: &str) -> String {
    format!("{profile} (being recomputed)")
}

/// Observations that are taken in at once.
const CHUNK_ROWS: usize = 256;
/// How long after its session's end a client stays in memory.
const IDLE_S: i64 = 900;
/// Memory that a client keeps for what comes next.
const PENDING_KEPT: usize = 512;
