//! What is known under one profile: who is in memory, and who has something to publish.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use store::client::ClientId;
use store::group::{Address, ObservationRow};
use store::mac::Mac;

use super::shadow_of;
use crate::presence::profile::Profile;
use crate::presence::record::{Record, Told};
use crate::presence::sites::{Pace, Sites};

/// A source as presence sees it.
#[derive(Clone, Copy)]
pub(super) struct Hearer {
    pub(super) ap: Mac,
    pub(super) site: u32,
    /// The number of its network's link to the site, or [`NO_LINK`].
    pub(super) link: u32,
}

impl Hearer {
    /// A source that tells nothing of presence.
    pub(super) const NOBODY: Self = Self { ap: Mac::from_bits(0), site: 0, link: NO_LINK };
}

/// One profile and what is known under it.
pub(super) struct Live {
    pub(super) profile: Profile,
    pub(super) name: Arc<str>,
    pub(super) pace: Pace,
    pub(super) is_main: bool,
    pub(super) is_shown: bool,
    pub(super) publish_every_s: i64,
    /// When it was asked last who is due.
    now_s: i64,
    pub(super) clients: HashMap<(u32, ClientId), u32>,
    pub(super) slots: Vec<Client>,
    free: Vec<u32>,
    /// Who has something pending, by the second at which it is to be published.
    pub(super) due: BTreeMap<i64, Due>,
    /// Who is being published.
    pub(super) chosen: Vec<u32>,
    /// Of `chosen`, whose records the store was asked for.
    pub(super) asked: Vec<u32>,
    /// Who is told, and by which row of the chunk.
    found: Vec<(u32, usize)>,
    pub(super) heap_bytes: usize,
}

#[derive(Default)]
pub(super) struct Due {
    pub(super) slots: Vec<u32>,
    /// The earliest second that is pending.
    pub(super) oldest: i64,
}

pub(super) struct Client {
    pub(super) site: u32,
    pub(super) id: ClientId,
    /// As the store has it, once it is loaded.
    pub(super) published: Record,
    /// What came since.
    pub(super) pending: Record,
    pub(super) is_loaded: bool,
    /// The key in `due`, while something is pending.
    pub(super) due_s: Option<i64>,
    pub(super) oldest_pending: i64,
    pub(super) last_s: i64,
}

impl Live {
    /// Under a profile by its place among those that are live.
    pub(super) fn new(at: usize, profile: Profile, publish_every_ms: i64, rebuilding: bool) -> Self {
        Self {
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
            found: Vec::new(),
            heap_bytes: 0,
        }
    }

    /// Takes a chunk of observations in, with who heard each; says how many were too late.
    ///
    /// First all clients are found, and then each is told. Finding them waits for memory, and so the processor waits for several at a time.
    pub(super) fn absorb(&mut self, rows: &[ObservationRow], heard_by: &[Hearer], sites: &mut Sites) -> u64 {
        let mut late = 0;
        let mut found = std::mem::take(&mut self.found);
        let mut last: Option<((u32, ClientId), u32)> = None;
        for (at, (row, hearer)) in rows.iter().zip(heard_by).enumerate() {
            if hearer.link == NO_LINK || row.address == Address::Group {
                continue;
            }
            if row.observed_at < row.received_at_ms.div_euclid(1_000) - self.profile.allowed_lateness_s {
                late += 1;
                continue;
            }
            sites.heard(hearer.link, row.observed_at, row.received_at_ms);
            if row.address == Address::Excluded {
                continue;
            }
            let key = (hearer.site, row.client);
            let slot = match last {
                Some((known, slot)) if known == key => slot,
                _ => self.slot(key),
            };
            last = Some((key, slot));
            found.push((slot, at));
        }
        for (slot, at) in found.drain(..) {
            self.take(slot, &rows[at], heard_by[at].ap, sites.newest());
        }
        self.found = found;
        late
    }

    fn take(&mut self, slot: u32, row: &ObservationRow, ap: Mac, newest: i64) {
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
    pub(super) fn choose(&mut self, now_ms: i64, all: bool) {
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

    pub(super) fn forget(&mut self, before_s: i64) {
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

    pub(super) fn bytes(&self) -> usize {
        self.clients.allocation_size() + self.slots.capacity() * size_of::<Client>() + self.heap_bytes
    }

    /// What those take who are known: tables that have grown stay, and must not look as if nobody had room.
    pub(super) fn live_bytes(&self) -> usize {
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

/// The link of nobody. Four billion networks do not fit.
const NO_LINK: u32 = u32::MAX;
/// So few slots are never moved together.
const SLOTS_MIN: usize = 1_024;
/// What is older than this beside the newest is published at once.
const OLD_S: i64 = 900;
