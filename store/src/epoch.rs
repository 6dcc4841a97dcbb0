//! The keys of epochs: made when a client of an epoch is seen first, destroyed some time after its end, and never made again.
//!
//! A key is a file `{kind}_{from}_{to}_{made_at}.key` in a directory of its own, beside which stands the book of what was destroyed. Whoever has
//! no key cannot tell which address a pseudonym stands for, and a sighting that comes when the key is gone cannot be named and is dropped.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::key::Key;

mod book;

pub use book::wipe;
use book::{KeyFile, Line, about, append, key_files, mend_book, read_book, replace};

/// The first second of an epoch and that of the next, by a second in it.
pub type Divide = Box<dyn FnMut(i64) -> (i64, i64) + Send>;

/// How keys follow each other.
pub struct Rule {
    /// Names the keys of this rule: those of another are of no use under it.
    pub kind: String,
    /// Where one epoch ends and the next begins.
    pub divide: Divide,
    /// How long a key outlives its epoch, in seconds: for what is told late.
    pub grace_s: i64,
    /// Tells the time in seconds since 1970.
    pub now: fn() -> i64,
}

/// A time in which a client keeps its pseudonym.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Epoch {
    /// First second, since 1970.
    pub from: i64,
    /// First second of the next.
    pub to: i64,
}

/// An epoch whose key is destroyed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ended {
    /// Which rule it was under.
    pub kind: String,
    /// When it was.
    pub epoch: Epoch,
    /// When its key was made, seconds since 1970.
    pub made_at: i64,
    /// When its key was destroyed, seconds since 1970.
    pub destroyed_at: i64,
    /// When the last row had lost its client, and how many rows had; none while some have not.
    pub cleared: Option<(i64, u64)>,
}

/// A key that is in use.
#[derive(Clone, Debug)]
pub struct Alive {
    /// Which rule it is under.
    pub kind: String,
    /// When its epoch is.
    pub epoch: Epoch,
    /// When it was made, seconds since 1970.
    pub made_at: i64,
    /// When it is destroyed.
    pub until: i64,
    /// None of another rule: it names nobody any more.
    key: Option<Key>,
    path: PathBuf,
    /// Its end as it stands in the book, once its destruction has begun.
    written_down: Option<Ended>,
}

/// Names of receivers and sites.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Names {
    /// Receivers.
    pub receivers: BTreeSet<String>,
    /// Sites.
    pub sites: BTreeSet<String>,
}

/// What is known of the epoch of a sighting.
#[derive(Clone, Debug)]
pub struct Known {
    /// When it is.
    pub epoch: Epoch,
    /// Its key, unless it is destroyed.
    pub key: Option<Key>,
}

/// The keys of one data directory.
pub struct Ring {
    dir: PathBuf,
    rule: Rule,
    alive: Vec<Alive>,
    ended: Vec<Ended>,
    generation: u64,
}

impl Ring {
    /// Reads the keys in `dir`, which is made when there is none. Keys of another rule are destroyed by the next [`Ring::destroy_due`].
    ///
    /// # Errors
    /// When the directory, a key or the book cannot be read or written.
    pub fn open(dir: &Path, rule: Rule) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        mend_book(&dir.join(BOOK))?;
        let ended = read_book(&dir.join(BOOK))?;
        for file in key_files(dir)? {
            // A destruction that was interrupted after it was written down is finished. A key that never was whole has named nobody.
            let is_whole = !matches!(Key::read(&file.path), Err(error) if error.kind() == io::ErrorKind::InvalidData);
            if !is_whole || ended.iter().any(|ended| ended.is_of(&file.kind, file.epoch, file.made_at)) {
                wipe(&file.path).map_err(|error| about(&file.path, &error))?;
            }
        }
        Self::read(dir, rule)
    }

    /// As [`Ring::open`], and changes nothing: for looking at keys while another process uses them. A directory that is not there has none.
    ///
    /// # Errors
    /// When a key or the book cannot be read.
    pub fn read(dir: &Path, rule: Rule) -> io::Result<Self> {
        let ended = read_book(&dir.join(BOOK))?;
        let mut alive = Vec::new();
        for KeyFile { path, kind, epoch, made_at } in key_files(dir)? {
            let key = match Key::read(&path) {
                Ok(Some(key)) => key,
                // Gone since the directory was listed, or being overwritten, or being made.
                Ok(None) => continue,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => continue,
                Err(error) => return Err(about(&path, &error)),
            };
            let is_own = kind == rule.kind;
            let until = if is_own { rule.until(epoch, made_at) } else { i64::MIN };
            alive.push(Alive { kind, epoch, made_at, until, key: is_own.then_some(key), path, written_down: None });
        }
        alive.sort_by_key(|alive| alive.epoch);
        Ok(Self { dir: dir.to_owned(), rule, alive, ended, generation: 0 })
    }

    /// Changes whenever what [`Ring::of`] answered before may not be true any more.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The keys in use, in the order of their epochs.
    #[must_use]
    pub fn alive(&self) -> &[Alive] {
        &self.alive
    }

    /// The epochs whose keys are destroyed, in the order of their destruction.
    #[must_use]
    pub fn ended(&self) -> &[Ended] {
        &self.ended
    }

    /// When the first key under this rule was made, seconds since 1970; none before there is any.
    #[must_use]
    pub fn born_at(&self) -> Option<i64> {
        let alive = self.alive.iter().filter(|alive| alive.kind == self.rule.kind).map(|alive| alive.made_at);
        alive.chain(self.ended.iter().filter(|ended| ended.kind == self.rule.kind).map(|ended| ended.made_at)).min()
    }

    /// The key for what was observed at a second. One that is missing is made, and durable before it is given.
    ///
    /// An epoch that is long over and had no key yet gets one too: an old sample is stored like any other post, and its key lives for as long as
    /// that of an epoch that ends now.
    ///
    /// # Errors
    /// When the key cannot be written.
    pub fn of(&mut self, observed_at: i64) -> io::Result<Known> {
        let (from, to) = (self.rule.divide)(observed_at);
        let epoch = Epoch { from, to };
        if let Some(alive) = self.alive.iter().find(|alive| alive.epoch == epoch && alive.kind == self.rule.kind) {
            return Ok(Known { epoch, key: alive.key.clone() });
        }
        let now = (self.rule.now)();
        let was_destroyed = self.ended.iter().rev().any(|ended| ended.epoch == epoch && ended.kind == self.rule.kind);
        // A clock that had been ahead destroys keys too early: what comes before the epoch's end is named by another.
        if (was_destroyed && now >= to) || self.alive.len() >= ALIVE_MAX {
            return Ok(Known { epoch, key: None });
        }
        if was_destroyed {
            tracing::warn!(from, to, "the key of an epoch that is not over was destroyed, by a clock that was ahead: its clients get other pseudonyms");
        }
        let key = Key::random()?;
        let path = self.dir.join(format!("{}_{from}_{to}_{now}.key", self.rule.kind));
        key.write_new(&path).map_err(|error| about(&path, &error))?;
        let until = self.rule.until(epoch, now);
        self.alive.push(Alive { kind: self.rule.kind.clone(), epoch, made_at: now, until, key: Some(key.clone()), path, written_down: None });
        self.alive.sort_by_key(|alive| alive.epoch);
        self.generation += 1;
        Ok(Known { epoch, key: Some(key) })
    }

    /// Takes a key in that no rule names any more, such as the one of clients that were known for good: it is destroyed by the next
    /// [`Ring::destroy_due`], and everything before that loses its client. Its file may be half destroyed already.
    pub fn end_foreign(&mut self, kind: &str, path: &Path, made_at: i64) {
        let epoch = Epoch { from: i64::MIN, to: i64::MAX };
        self.alive.insert(0, Alive { kind: kind.to_owned(), epoch, made_at, until: i64::MIN, key: None, path: path.to_owned(), written_down: None });
    }

    /// Whether keys of this rule are in use that were made before a time: whatever was begun since under another rule has named nobody.
    #[must_use]
    pub fn has_older_than(&self, made_at: i64) -> bool {
        self.alive.iter().any(|alive| alive.kind == self.rule.kind && alive.made_at < made_at)
    }

    /// A key that was made under a clock that was ahead, and is right now, lives as if it were made now.
    pub fn mind_the_clock(&mut self) {
        let now = (self.rule.now)();
        for alive in self.alive.iter_mut().filter(|alive| alive.kind == self.rule.kind && alive.made_at > now) {
            alive.until = alive.until.min(self.rule.until(alive.epoch, now));
        }
    }

    /// Whether a key's time is over.
    #[must_use]
    pub fn has_due(&self, reached: i64) -> bool {
        self.alive.iter().any(|alive| alive.until <= reached)
    }

    /// Destroys the keys whose time is over when everything that arrived before `reached` is named; says how many.
    ///
    /// # Errors
    /// When the book or a key's file cannot be written. What was destroyed before stays so, and the rest is tried again by the next call.
    pub fn destroy_due(&mut self, reached: i64) -> io::Result<usize> {
        let now = (self.rule.now)();
        let (mut destroyed, mut failed) = (0, None);
        let mut at = 0;
        while at < self.alive.len() {
            if self.alive[at].until > reached {
                at += 1;
                continue;
            }
            match self.destroy(at, now) {
                Ok(()) => destroyed += 1,
                // One that cannot be destroyed holds no other up.
                Err(error) => {
                    failed.get_or_insert(error);
                    at += 1;
                }
            }
        }
        failed.map_or(Ok(destroyed), Err)
    }

    fn destroy(&mut self, at: usize, now: i64) -> io::Result<()> {
        let Alive { kind, epoch, made_at, path, written_down, .. } = self.alive[at].clone();
        let ended = match written_down {
            Some(ended) => ended,
            None => {
                // An epoch of another rule ends now, with what may have been seen ahead: what comes later is named by this one.
                let to = if kind == self.rule.kind { epoch.to } else { epoch.to.min(now.max(epoch.from).saturating_add(AHEAD_S)) };
                let ended = Ended { kind, epoch: Epoch { to, ..epoch }, made_at, destroyed_at: now, cleared: None };
                self.write_down(&Line::Destroyed(&ended))?;
                self.alive[at].written_down = Some(ended.clone());
                ended
            }
        };
        wipe(&path).map_err(|error| about(&path, &error))?;
        self.alive.remove(at);
        self.ended.push(ended);
        self.generation += 1;
        Ok(())
    }

    /// The next epoch whose key is destroyed and whose rows have clients yet; and from when on rows are none of a key that is in use.
    #[must_use]
    pub fn to_clear(&self) -> Option<(Ended, i64)> {
        let ended = self.ended.iter().find(|ended| ended.cleared.is_none())?;
        let before = self.alive.iter().map(|alive| alive.epoch.to).filter(|&to| to <= ended.epoch.from).max();
        Some((ended.clone(), before.unwrap_or(i64::MIN)))
    }

    /// Whether a change of rules ends an epoch whose key is there yet, or whose rows have clients: they must lose them before others come.
    #[must_use]
    pub fn must_clear_first(&self) -> bool {
        self.has_foreign() || self.ended.iter().any(|ended| ended.cleared.is_none() && ended.kind != self.rule.kind)
    }

    /// Whether a key of another rule is there yet.
    #[must_use]
    pub fn has_foreign(&self) -> bool {
        self.alive.iter().any(|alive| alive.kind != self.rule.kind)
    }

    /// Whether all rows of ended epochs are before [`Ring::ended_until`].
    #[must_use]
    pub fn has_ended_all(&self) -> bool {
        let latest = self.ended.iter().filter(|ended| ended.kind == self.rule.kind).map(|ended| ended.epoch.to).max();
        latest == self.ended_until()
    }

    /// The names of receivers and sites that have had rows with clients here, those of now among them: a name that has left the configuration has
    /// rows that must be cleared all the same.
    ///
    /// # Errors
    /// When they cannot be read or written.
    pub fn names(&self, now: &Names) -> io::Result<Names> {
        let path = self.dir.join(NAMES);
        let mut names = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| about(&path, &io::Error::new(io::ErrorKind::InvalidData, error)))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Names::default(),
            Err(error) => return Err(about(&path, &error)),
        };
        let known = names.clone();
        names.receivers.extend(now.receivers.iter().cloned());
        names.sites.extend(now.sites.iter().cloned());
        if names != known {
            replace(&path, &serde_json::to_vec(&names)?).map_err(|error| about(&path, &error))?;
        }
        Ok(names)
    }

    /// Up to where nothing can come any more, since all keys of before are destroyed; none when there were none under this rule.
    #[must_use]
    pub fn ended_until(&self) -> Option<i64> {
        let latest = self.ended.iter().filter(|ended| ended.kind == self.rule.kind).map(|ended| ended.epoch.to).max()?;
        Some(self.alive.iter().map(|alive| alive.epoch.from).min().map_or(latest, |oldest| oldest.min(latest)))
    }

    /// Up to where observations are gone with their keys, whatever the rule; none when none are.
    #[must_use]
    pub fn gone_until(&self) -> Option<i64> {
        self.ended.iter().map(|ended| ended.epoch.to).max()
    }

    /// Writes down that no row of an epoch has a client any more.
    ///
    /// # Errors
    /// When the book cannot be written.
    pub fn cleared(&mut self, which: &Ended, rows: u64) -> io::Result<()> {
        let now = (self.rule.now)();
        self.write_down(&Line::Cleared(which, now, rows))?;
        for ended in self.ended.iter_mut().filter(|ended| *ended == which) {
            ended.cleared = Some((now, rows));
        }
        Ok(())
    }

    fn write_down(&self, line: &Line<'_>) -> io::Result<()> {
        append(&self.dir.join(BOOK), line)
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("dir", &self.dir).field("alive", &self.alive.len()).field("ended", &self.ended.len()).finish_non_exhaustive()
    }
}

impl Rule {
    /// When a key is destroyed.
    fn until(&self, epoch: Epoch, made_at: i64) -> i64 {
        epoch.to.max(made_at).saturating_add(self.grace_s)
    }
}

const BOOK: &str = "destroyed";
const NAMES: &str = "names";
/// How far a sighting may be ahead of its arrival, and a second more.
const AHEAD_S: i64 = 121;
/// Keys in use at most: an old sample with more days than that is cut.
const ALIVE_MAX: usize = 4_096;

#[cfg(test)]
mod tests;
