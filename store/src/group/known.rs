//! What the store is known to say of clients and access points.
//!
//! A client is told of once a minute and more, and mostly nothing but the time is new. Writing that each time would cost the database
//! more than the observations themselves. So what only moves times on is put off: it is written when `last_seen` has moved by
//! [`REFRESH_S`], when the client is not told of any more, or when the pipeline has nothing else to do. News is never put off, and a
//! fact that is older than a known one is dropped here as the store would drop it, had it been told all.
//!
//! A `last_seen` that is put off lies within the observations of the last [`OPEN_S`] seconds, so that a store finds it in its own rows after
//! a crash (`Store::catch_up`). What a crash loses is only as of when an unchanged fact was told last.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry as Slot;

use crate::batch::Radio;
use crate::texts::Text;

/// How far `last_seen` may fall behind while its client is told of, in seconds.
pub(super) const REFRESH_S: i64 = 10 * 60;
/// Nothing that is older than this in journal time is put off, in seconds. With [`REFRESH_S`] less than what the repeat filter is
/// told of at a start.
pub(super) const OPEN_S: i64 = 12 * 60;

/// A client or an access point of one receiver.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Who {
    /// The receiver's name, in an arena that lives as long as what is known.
    pub(super) receiver: Text,
    pub(super) what: What,
    /// The client's number or the access point's address.
    pub(super) id: u64,
}

/// What kind of thing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum What {
    Client { radio: Radio, random_address: Option<bool>, group_address: bool, is_excluded: bool },
    AccessPoint,
}

/// What a group tells of somebody.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) first_seen: i64,
    pub(super) last_seen: i64,
    /// Whether a store could find `last_seen` in its observations.
    pub(super) is_observed: bool,
    pub(super) facts: [ToldFact; FACTS],
}

/// A fact by its hash, and as of when it is told; `None` when it is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct ToldFact {
    pub(super) hash: Option<u32>,
    pub(super) at: i64,
}

/// How many facts there are of a client, and of an access point.
pub(super) const FACTS: usize = 7;

/// What to do with what was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Nothing needs to be written now.
    PutOff,
    /// Write it.
    Write {
        /// The latest that is known.
        last_seen: i64,
        /// What stands of each fact.
        facts: [Stand; FACTS],
    },
}

/// What stands of a fact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stand {
    /// Nothing is known.
    Nothing,
    /// What is told, as of this time.
    AsTold(i64),
    /// What the store has already, as of this time.
    AsStored(i64),
}

/// Somebody of whom something was put off, and what is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct PutOff<'k> {
    pub(super) who: &'k Who,
    pub(super) first_seen: i64,
    pub(super) last_seen: i64,
    pub(super) facts: [Stand; FACTS],
}

/// Who is known. Bounded: whoever does not fit is written each time.
pub(super) struct Known {
    entries: HashMap<Who, Entry>,
    limit: usize,
    put_off: usize,
    swept_at: i64,
    /// No fact that the store has and that is not known here is of a later time than this.
    unknown_until: i64,
}

/// Times are seconds since 1970; they fit until 2106, and later ones are not put off.
#[derive(Clone, Copy)]
struct Entry {
    first_seen: u32,
    /// What the store has as `last_seen`.
    written: u32,
    /// What it should have.
    last_seen: u32,
    hashes: [u32; FACTS],
    ats: [u32; FACTS],
    /// A bit for each fact that was written and that the store may not have taken: it may have had a later one.
    unsure: u8,
    is_put_off: bool,
}

impl Default for Known {
    fn default() -> Self {
        Self { entries: HashMap::new(), limit: ENTRIES_MAX, put_off: 0, swept_at: i64::MIN, unknown_until: i64::MAX }
    }
}

impl Known {
    /// Begins with a store of which nothing is known but when it was told something last.
    pub(super) fn start(&mut self, journal_time_s: i64) {
        self.unknown_until = journal_time_s.saturating_add(AHEAD_S_MAX);
    }

    /// Brings what is known of them near. Each look waits for memory; together they wait once, as no look needs another's answer.
    pub(super) fn touch(&self, all: &[Who]) {
        std::hint::black_box(all.iter().filter(|&who| self.entries.get(who).is_some_and(|entry| entry.is_put_off)).count());
    }

    /// Decides about what was told of somebody, at a time of the journal.
    pub(super) fn judge(&mut self, who: Who, told: &Told, journal_time_s: i64) -> Verdict {
        let as_told = told.facts.map(|fact| fact.hash.map_or(Stand::Nothing, |_| Stand::AsTold(fact.at)));
        let all = Verdict::Write { last_seen: told.last_seen, facts: as_told };
        let has_room = self.entries.len() < self.limit;
        let Some(times) = Times::of(told) else { return all };
        let mut slot = match self.entries.entry(who) {
            Slot::Occupied(slot) => slot,
            Slot::Vacant(slot) => {
                if has_room {
                    slot.insert(Entry::new(told, &times, self.unknown_until));
                } else {
                    self.unknown_until = told.facts.iter().fold(self.unknown_until, |until, fact| until.max(fact.at));
                }
                return all;
            }
        };
        let entry = slot.get_mut();
        let before = *entry;
        let (facts, is_news) = entry.learn(told, &times, self.unknown_until);
        let is_open = told.is_observed && told.last_seen >= journal_time_s.saturating_sub(OPEN_S);
        let moved_on = i64::from(entry.last_seen) - i64::from(entry.written);
        let must_write = is_news || moved_on >= REFRESH_S || (moved_on > 0 && !is_open);
        if must_write {
            (entry.written, entry.is_put_off) = (entry.last_seen, false);
        } else if (entry.last_seen, entry.ats) != (before.last_seen, before.ats) {
            entry.is_put_off = true;
        }
        self.put_off = self.put_off + usize::from(entry.is_put_off) - usize::from(before.is_put_off);
        if must_write { Verdict::Write { last_seen: i64::from(entry.last_seen), facts } } else { Verdict::PutOff }
    }

    /// Whether something is put off.
    pub(super) fn has_put_off(&self) -> bool {
        self.put_off > 0
    }

    /// Tells what was put off, which counts as written from now on.
    pub(super) fn settle(&mut self, mut each: impl FnMut(PutOff<'_>)) {
        if self.put_off == 0 {
            return;
        }
        for (who, entry) in self.entries.iter_mut().filter(|(_, entry)| entry.is_put_off) {
            (entry.written, entry.is_put_off) = (entry.last_seen, false);
            each(entry.put_off(who));
        }
        self.put_off = 0;
    }

    /// About once a minute of journal time: forgets who is not told of any more, and tells what was put off of them.
    pub(super) fn sweep(&mut self, journal_time_s: i64, mut each: impl FnMut(PutOff<'_>)) {
        if journal_time_s.div_euclid(60) == self.swept_at.div_euclid(60) {
            return;
        }
        self.swept_at = journal_time_s;
        let Self { entries, put_off, unknown_until, .. } = self;
        let is_open = |at: u32| i64::from(at) >= journal_time_s.saturating_sub(OPEN_S);
        entries.retain(|who, entry| {
            if entry.is_put_off && !is_open(entry.last_seen) {
                (entry.written, entry.is_put_off) = (entry.last_seen, false);
                *put_off -= 1;
                each(entry.put_off(who));
            }
            let latest_fact = entry.ats.into_iter().max().unwrap_or(0);
            let keep = is_open(entry.last_seen) || is_open(latest_fact);
            if !keep {
                *unknown_until = i64::from(latest_fact).max(*unknown_until);
            }
            keep
        });
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.entries.allocation_size()
    }
}

/// The times of what is told, if they fit.
struct Times {
    first_seen: u32,
    last_seen: u32,
    facts: [u32; FACTS],
}

impl Times {
    fn of(told: &Told) -> Option<Self> {
        let time = |at: i64| u32::try_from(at).ok();
        let mut facts = [0; FACTS];
        for (to, fact) in facts.iter_mut().zip(&told.facts).filter(|(_, fact)| fact.hash.is_some()) {
            *to = time(fact.at)?;
        }
        Some(Self { first_seen: time(told.first_seen)?, last_seen: time(told.last_seen)?, facts })
    }
}

impl Entry {
    fn new(told: &Told, times: &Times, unknown_until: i64) -> Self {
        let Times { first_seen, last_seen, facts } = *times;
        let hashes = told.facts.map(|fact| fact.hash.map_or(NOTHING, some));
        let mut entry = Self { first_seen, written: last_seen, last_seen, hashes, ats: facts, unsure: u8::MAX, is_put_off: false };
        (0..FACTS).for_each(|fact| entry.judge_unsure(fact, unknown_until));
        entry
    }

    fn put_off<'k>(&self, who: &'k Who) -> PutOff<'k> {
        let facts = std::array::from_fn(|at| self.stored(at));
        PutOff { who, first_seen: i64::from(self.first_seen), last_seen: i64::from(self.last_seen), facts }
    }

    fn stored(&self, fact: usize) -> Stand {
        let is_stored = self.hashes[fact] != NOTHING && !self.is_unsure(fact);
        if is_stored { Stand::AsStored(i64::from(self.ats[fact])) } else { Stand::Nothing }
    }

    fn is_unsure(&self, fact: usize) -> bool {
        self.unsure >> fact & 1 == 1
    }

    /// A fact that was known for sure stays so; one that is new, or was not sure, is so when it is later than what is not known.
    fn judge_unsure(&mut self, fact: usize, unknown_until: i64) {
        if i64::from(self.ats[fact]) > unknown_until {
            self.unsure &= !(1 << fact);
        }
    }

    /// Takes in what is told: what stands of each fact now, and whether the store must hear of more than times.
    fn learn(&mut self, told: &Told, times: &Times, unknown_until: i64) -> ([Stand; FACTS], bool) {
        let mut is_news = times.first_seen < self.first_seen;
        self.first_seen = self.first_seen.min(times.first_seen);
        self.last_seen = self.last_seen.max(times.last_seen);
        let mut facts = [Stand::Nothing; FACTS];
        for (at, fact) in told.facts.iter().enumerate() {
            let (known, hash) = (self.hashes[at], fact.hash.map_or(NOTHING, some));
            if hash != NOTHING && hash == known {
                if times.facts[at] > self.ats[at] {
                    self.ats[at] = times.facts[at];
                    is_news |= self.is_unsure(at);
                    self.judge_unsure(at, unknown_until);
                }
            } else if hash != NOTHING && (known == NOTHING || times.facts[at] >= self.ats[at]) {
                (self.hashes[at], self.ats[at]) = (hash, times.facts[at]);
                is_news = true;
                if known == NOTHING {
                    self.unsure |= 1 << at;
                }
                self.judge_unsure(at, unknown_until);
            } else {
                // Not told, or older than what is known to be true later.
                facts[at] = self.stored(at);
                continue;
            }
            facts[at] = Stand::AsTold(i64::from(self.ats[at]));
        }
        (facts, is_news)
    }
}

/// A hash that is not [`NOTHING`].
fn some(hash: u32) -> u32 {
    hash.max(1)
}

const NOTHING: u32 = 0;
/// How far a time that is told may be ahead of its arrival.
const AHEAD_S_MAX: i64 = 120;
/// About 200 MB, reached when so many devices were told of within [`OPEN_S`].
const ENTRIES_MAX: usize = 1_500_000;

#[cfg(test)]
mod tests;
