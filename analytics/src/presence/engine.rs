//! The engine: takes in what is new, keeps what it knows of each client, and tells the store what changes.
//!
//! A client is in one of two states: as published, or with something pending that will be published within [`Settings::publish_every_ms`]. What
//! is known of a client is a row of the store; memory holds those that were heard lately, and asks for the others
//! ([`Engine::prepare`], [`Engine::fill`]). So memory may forget anybody who has nothing pending, and a start needs nothing but what was pending,
//! which the store's own observations tell again ([`Engine::unpublished_since`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use store::batch::Radio;
use store::client::ClientId;
use store::group::{Address, Group, ObservationRow};
use store::presence::{Changes, CoveredRow, Level, MemberRow, RecordKey, RecordRow, Scope};

use super::evaluate::Part;
use super::profile::Profile;
use super::publish::{Ledger, Whose};
use super::record::{Record, Told};
use super::site::Member;
use super::sites::{Pace, Sites};
pub use super::sites::{Settings, SiteSettings};
use super::tidy::tidy;

mod recall;

/// Presence of all sites under all live profiles.
pub struct Engine {
    sites: Sites,
    lives: Vec<Live>,
    memory_max: usize,
    /// Of each source of the group that is being taken in: its site, and its network's link to it.
    link_of: Vec<Option<(u32, u32)>>,
    ledger: Ledger,
    before: Part,
    after: Part,
    late: u64,
    swept_at: i64,
}

/// One profile and what is known under it.
struct Live {
    profile: Profile,
    name: Arc<str>,
    pace: Pace,
    is_main: bool,
    is_shown: bool,
    publish_every_s: i64,
    /// When it was asked last who is due.
    now_s: i64,
    clients: HashMap<(u32, ClientId), u32>,
    slots: Vec<Client>,
    free: Vec<u32>,
    /// Who has something pending, by the second at which it is to be published.
    due: BTreeMap<i64, Due>,
    /// Who is being published.
    chosen: Vec<u32>,
    /// Of `chosen`, whose records the store was asked for.
    asked: Vec<u32>,
    heap_bytes: usize,
}

#[derive(Default)]
struct Due {
    slots: Vec<u32>,
    /// The earliest second that is pending.
    oldest: i64,
}

struct Client {
    site: u32,
    id: ClientId,
    /// As the store has it, once it is loaded.
    published: Record,
    /// What came since.
    pending: Record,
    is_loaded: bool,
    /// The key in `due`, while something is pending.
    due_s: Option<i64>,
    oldest_pending: i64,
    last_s: i64,
}

impl Engine {
    /// An engine that knows nobody.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let Settings { profiles, sites, time_zone, lasting, publish_every_ms, memory_max, rebuilding } = settings;
        let live = |(at, profile): (usize, Profile)| Live {
            name: if rebuilding { shadow_of(&profile.name).into() } else { profile.name.as_str().into() },
            pace: Pace { live: at, lateness_s: profile.lateness_s },
            is_main: at == 0 && !rebuilding,
            is_shown: !rebuilding,
            profile,
            publish_every_s: publish_every_ms.div_euclid(1_000),
            now_s: 0,
            clients: HashMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            due: BTreeMap::new(),
            chosen: Vec::new(),
            asked: Vec::new(),
            heap_bytes: 0,
        };
        Self {
            sites: Sites::new(time_zone, lasting, sites),
            lives: profiles.into_iter().enumerate().map(live).collect(),
            memory_max,
            link_of: Vec::new(),
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
        self.link_of.clear();
    }

    /// Takes new observations of a group in. Equal ones may come again.
    pub fn absorb(&mut self, group: &Group, rows: &[ObservationRow]) {
        for source in &group.sources[self.link_of.len()..] {
            let receiver = group.texts.get(source.receiver).filter(|_| source.radio == Radio::Wifi && source.ap.is_some());
            self.link_of.push(receiver.map(|receiver| self.sites.link_of(receiver, group.texts.get(source.network))));
        }
        let mut late = 0;
        for live in &mut self.lives {
            late = late.max(live.absorb(group, rows, &self.link_of, &mut self.sites));
        }
        self.late += late;
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
            for &slot in &chosen {
                let site = live.slots[slot as usize].site;
                let scope = scope(sites, live, site, changes);
                let keep_from = sites.keep_from(site, &live.profile, unpublished_since);
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
                ledger.add(Whose { scope, client: client.id, profile: &live.profile.name, site: &place.name }, before, after, changes);
                tidy(&mut client.published, after, keep_from, &live.profile, place);
                let body = changes.pack(|bytes| client.published.pack(bytes));
                changes.records.push(RecordRow { scope, client: client.id, last_at: client.published.last_s(), body });
                live.heap_bytes += client.published.heap_bytes() + client.pending.heap_bytes();
            }
            live.chosen = chosen;
            live.chosen.clear();
            for site in sites.ahead(live.pace).into_iter().chain(sites.changed(live.pace)) {
                scope(sites, live, site, changes);
            }
        }
        ledger.close(changes);
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

impl Live {
    /// Takes observations in; says how many were too late.
    fn absorb(&mut self, group: &Group, rows: &[ObservationRow], link_of: &[Option<(u32, u32)>], sites: &mut Sites) -> u64 {
        let mut late = 0;
        let mut last: Option<((u32, ClientId), u32)> = None;
        for row in rows {
            let Some((site, link)) = link_of[row.source as usize] else { continue };
            if row.address == Address::Group {
                continue;
            }
            if row.observed_at < row.received_at_ms.div_euclid(1_000) - self.profile.allowed_lateness_s {
                late += 1;
                continue;
            }
            let Some(ap) = group.sources[row.source as usize].ap else { continue };
            sites.heard(link, row.observed_at, row.received_at_ms);
            if row.address == Address::Excluded {
                continue;
            }
            let key = (site, row.client);
            let slot = match last {
                Some((known, slot)) if known == key => slot,
                _ => self.slot(key),
            };
            last = Some((key, slot));
            self.take(slot, row, ap, sites.newest());
        }
        late
    }

    fn take(&mut self, slot: u32, row: &ObservationRow, ap: store::mac::Mac, newest: i64) {
        let Self { profile, slots, due, heap_bytes, publish_every_s, now_s, .. } = self;
        let client = &mut slots[slot as usize];
        let bytes = client.pending.heap_bytes();
        let told =
            Told { observed_at: row.observed_at, ap, rssi_dbm: row.rssi_dbm, is_associated: !row.ssid.is_none(), is_random: row.address == Address::Local };
        if !client.pending.observe(&told, profile) {
            return;
        }
        *heap_bytes = (*heap_bytes + client.pending.heap_bytes()).saturating_sub(bytes);
        client.last_s = client.last_s.max(row.observed_at);
        client.await_turn(slot, row.observed_at, newest - OLD_S, *now_s + *publish_every_s, due);
    }

    fn slot(&mut self, key: (u32, ClientId)) -> u32 {
        if let Some(&slot) = self.clients.get(&key) {
            return slot;
        }
        let client = Client::new(key);
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = client;
                slot
            }
            None => {
                self.slots.push(client);
                // Four billion clients do not fit.
                (self.slots.len() - 1) as u32
            }
        };
        self.clients.insert(key, slot);
        slot
    }

    /// Takes those whose turn it is out of `due`.
    fn choose(&mut self, now_ms: i64, all: bool) {
        // Who was chosen and not published, because the store was away, is so still.
        self.asked.clear();
        let now_s = now_ms.div_euclid(1_000);
        self.now_s = now_s;
        while let Some(entry) = self.due.first_entry()
            && (all || *entry.key() <= now_s)
        {
            let second = *entry.key();
            for slot in entry.remove().slots {
                let client = &mut self.slots[slot as usize];
                // One that was put elsewhere since has another turn.
                if client.due_s == Some(second) {
                    client.due_s = None;
                    client.oldest_pending = i64::MAX;
                    self.chosen.push(slot);
                }
            }
        }
        // In the order of the store's keys.
        let slots = &self.slots;
        self.chosen.sort_unstable_by_key(|&slot| (slots[slot as usize].site, slots[slot as usize].id, slot));
        // Somebody may be chosen a second time before the first was published; a transaction tells of each once.
        self.chosen.dedup();
        self.asked.extend(self.chosen.iter().filter(|&&slot| !slots[slot as usize].is_loaded));
    }

    fn forget(&mut self, before_s: i64) {
        let Self { clients, slots, free, heap_bytes, .. } = self;
        clients.retain(|_, &mut slot| {
            let client = &mut slots[slot as usize];
            let keep = client.due_s.is_some() || client.last_s >= before_s;
            if !keep {
                *heap_bytes = heap_bytes.saturating_sub(client.published.heap_bytes() + client.pending.heap_bytes());
                (client.published, client.pending) = (Record::default(), Record::default());
                free.push(slot);
            }
            keep
        });
        if self.slots.len() >= SLOTS_MIN && self.clients.len() < self.slots.len() / 4 {
            self.move_together();
        }
    }

    /// Gives back the room that clients left who came all at once.
    fn move_together(&mut self) {
        let mut moved = vec![None; self.slots.len()];
        let mut slots = Vec::with_capacity(self.clients.len() * 2);
        for (&key, slot) in &mut self.clients {
            // Fewer than there were.
            let new = slots.len() as u32;
            moved[*slot as usize] = Some(new);
            slots.push(std::mem::replace(&mut self.slots[*slot as usize], Client::new(key)));
            *slot = new;
        }
        for due in self.due.values_mut() {
            due.slots = due.slots.iter().filter_map(|&slot| moved[slot as usize]).collect();
        }
        self.slots = slots;
        self.free = Vec::new();
        self.clients.shrink_to_fit();
    }

    fn bytes(&self) -> usize {
        self.clients.allocation_size() + self.slots.capacity() * size_of::<Client>() + self.heap_bytes
    }

    /// What those take who are known: tables that have grown stay, and must not look as if nobody had room.
    fn live_bytes(&self) -> usize {
        self.clients.len() * (size_of::<Client>() + size_of::<((u32, ClientId), u32)>() + 1) + self.heap_bytes
    }
}

impl Client {
    /// One of whom nothing is known.
    fn new((site, id): (u32, ClientId)) -> Self {
        Self { site, id, published: Record::default(), pending: Record::default(), is_loaded: false, due_s: None, oldest_pending: i64::MAX, last_s: i64::MIN }
    }

    /// Puts the client among those that are due, or sooner there.
    fn await_turn(&mut self, slot: u32, observed_at: i64, old: i64, next: i64, due: &mut BTreeMap<i64, Due>) {
        // What is old is published at once, so that what is not published is young.
        let turn = if observed_at < old { i64::MIN } else { self.due_s.unwrap_or(next) };
        if self.due_s == Some(turn) && observed_at >= self.oldest_pending {
            return;
        }
        self.oldest_pending = self.oldest_pending.min(observed_at);
        let entry = due.entry(turn).or_insert_with(|| Due { slots: Vec::new(), oldest: i64::MAX });
        entry.oldest = entry.oldest.min(self.oldest_pending);
        if self.due_s != Some(turn) {
            entry.slots.push(slot);
            self.due_s = Some(turn);
        }
    }
}

/// The name under which a profile is recomputed beside the live one.
#[must_use]
pub fn shadow_of(profile: &str) -> String {
    format!("{profile} (being recomputed)")
}

/// How long after its session's end a client stays in memory.
const IDLE_S: i64 = 900;
/// So few slots are never moved together.
const SLOTS_MIN: usize = 1_024;
/// Memory that a client keeps for what comes next.
const PENDING_KEPT: usize = 512;
/// What is older than this beside the newest is published at once.
const OLD_S: i64 = 900;
