//! Ids for the strings and sources of a group: what is shared by the stores.
//!
//! Rows carry four-byte ids. A store translates each distinct string and source of a group once: from the cache, else by asking the
//! database, else by adding it. What was added becomes part of the cache only after the COMMIT that made it: [`Learned`] goes into
//! [`Ids`] then, and is forgotten with a transaction that failed.

use std::collections::{HashMap, HashSet};
use std::future::Future;

use crate::batch::Radio;
use crate::group::{Group, LocationRow, ObservationRow, Part, Source};
use crate::texts::Text;
use crate::writer::{Class, WriteError};

/// The dictionaries in a database.
pub(crate) trait Dictionary {
    /// The ids of those of `values` that the database has.
    fn find_texts(&mut self, values: &[&str]) -> impl Future<Output = Result<Vec<(String, i32)>, WriteError>> + Send;
    /// Adds `values` and gives the ids of those that it added; another writer may have been faster.
    fn add_texts(&mut self, values: &[&str]) -> impl Future<Output = Result<Vec<(String, i32)>, WriteError>> + Send;
    /// The ids of those of `keys` that the database has.
    fn find_sources(&mut self, keys: &[SourceKey]) -> impl Future<Output = Result<Vec<(SourceKey, i32)>, WriteError>> + Send;
    /// Adds `keys` and gives the ids of those that it added; another writer may have been faster.
    fn add_sources(&mut self, keys: &[SourceKey]) -> impl Future<Output = Result<Vec<(SourceKey, i32)>, WriteError>> + Send;
}

/// A source by the ids of its strings, in the order that locks are taken in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SourceKey {
    pub(crate) receiver: i32,
    pub(crate) network: Option<i32>,
    pub(crate) ap: Option<i64>,
    pub(crate) radio: i16,
}

/// The number of a radio in the database.
pub(crate) const fn radio_number(radio: Radio) -> i16 {
    match radio {
        Radio::Wifi => 0,
        Radio::Ble => 1,
    }
}

/// The radio of a number in the database.
pub(crate) const fn radio_of(number: i16) -> Radio {
    if number == 0 { Radio::Wifi } else { Radio::Ble }
}

/// Ids that are known to stand in the database. Bounded: when it is full it starts again, which costs one look-up per value.
#[derive(Default)]
pub(crate) struct Ids {
    texts: HashMap<Box<str>, i32>,
    sources: HashMap<SourceKey, i32>,
}

/// Ids found or made in a transaction, to be kept once it is committed.
#[derive(Default)]
pub(crate) struct Learned {
    texts: HashMap<Box<str>, i32>,
    sources: HashMap<SourceKey, i32>,
}

impl Ids {
    /// Takes over what a committed transaction learned.
    pub(crate) fn keep(&mut self, learned: Learned) {
        if self.texts.len() + learned.texts.len() > TEXTS_MAX {
            self.texts.clear();
        }
        if self.sources.len() + learned.sources.len() > SOURCES_MAX {
            self.sources.clear();
        }
        self.texts.extend(learned.texts.into_iter().filter(|(text, _)| text.len() <= TEXT_BYTES_MAX).take(TEXTS_MAX));
        self.sources.extend(learned.sources.into_iter().take(SOURCES_MAX));
    }

    /// Forgets everything: the database may be another one after a reconnect (a failover, a restored backup).
    pub(crate) fn clear(&mut self) {
        self.texts.clear();
        self.sources.clear();
    }
}

/// The ids of a group's strings and sources, by their place in the group. What no row names, or what is not stored, has none.
pub(crate) struct Resolved {
    texts: Vec<Option<i32>>,
    sources: Vec<Option<i32>>,
    pub(crate) learned: Learned,
}

impl Resolved {
    /// The id of a string; none for none.
    pub(crate) fn text(&self, text: Text) -> Option<i32> {
        text.index().and_then(|at| self.texts[at])
    }

    /// The id of a string that must be there.
    pub(crate) fn named(&self, text: Text) -> Result<i32, WriteError> {
        self.text(text).ok_or_else(|| WriteError::new(Class::Data, "translate a row: it has no receiver"))
    }

    /// The id of a source that rows name.
    pub(crate) fn source(&self, source: u32) -> Option<i32> {
        self.sources[source as usize]
    }

    /// The id of a source that must be there.
    pub(crate) fn known_source(&self, source: u32) -> Result<i32, WriteError> {
        self.source(source).ok_or_else(|| WriteError::new(Class::Data, "translate a row: its source has no receiver"))
    }
}

/// Which strings and sources of a group some rows name.
pub(crate) struct Wanted {
    texts: Vec<bool>,
    sources: Vec<bool>,
}

impl Wanted {
    fn none(group: &Group) -> Self {
        Self { texts: vec![false; group.texts.len()], sources: vec![false; group.sources.len()] }
    }

    /// Those of the rows in `part`, and no others: a poison string must not spoil the probe of rows that do not name it.
    pub(crate) fn by(group: &Group, part: &Part) -> Self {
        let mut wanted = Self::none(group);
        wanted.observations(&group.observations[part.observations.clone()]);
        wanted.locations(&group.locations[part.locations.clone()]);
        for row in &group.access_points[part.access_points.clone()] {
            wanted.text(row.receiver);
        }
        for row in &group.clients[part.clients.clone()] {
            wanted.text(row.receiver);
        }
        for row in &group.posts[part.posts.clone()] {
            wanted.sources[row.source as usize] = true;
        }
        wanted.texts_of_sources(group);
        wanted
    }

    /// Those of observations that are looked for.
    pub(crate) fn by_observations(group: &Group, rows: &[ObservationRow]) -> Self {
        let mut wanted = Self::none(group);
        wanted.observations(rows);
        wanted.texts_of_sources(group);
        wanted
    }

    /// Those of locations that are looked for.
    pub(crate) fn by_locations(group: &Group, rows: &[LocationRow]) -> Self {
        let mut wanted = Self::none(group);
        wanted.locations(rows);
        wanted.texts_of_sources(group);
        wanted
    }

    fn observations(&mut self, rows: &[ObservationRow]) {
        for row in rows {
            self.sources[row.source as usize] = true;
            self.text(row.ssid);
        }
    }

    fn locations(&mut self, rows: &[LocationRow]) {
        for row in rows {
            self.sources[row.source as usize] = true;
            self.text(row.floor_plan);
            self.text(row.floor_plan_name);
        }
    }

    fn texts_of_sources(&mut self, group: &Group) {
        for (at, source) in group.sources.iter().enumerate() {
            if self.sources[at] {
                self.text(source.receiver);
                self.text(source.network);
            }
        }
    }

    fn text(&mut self, text: Text) {
        if let Some(at) = text.index() {
            self.texts[at] = true;
        }
    }
}

/// What to do about a value that the database does not have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Add it.
    Add,
    /// Leave it without an id: nothing stored can name it.
    Leave,
}

/// Translates the wanted strings and sources of a group.
pub(crate) async fn resolve<D: Dictionary + Send>(database: &mut D, ids: &Ids, group: &Group, wanted: &Wanted, absent: Absent) -> Result<Resolved, WriteError> {
    let mut learned = Learned::default();
    let texts = resolve_texts(database, ids, group, wanted, absent, &mut learned).await?;
    let sources = resolve_sources(database, ids, group, wanted, absent, &texts, &mut learned).await?;
    Ok(Resolved { texts, sources, learned })
}

async fn resolve_texts<D: Dictionary + Send>(
    database: &mut D,
    ids: &Ids,
    group: &Group,
    wanted: &Wanted,
    absent: Absent,
    learned: &mut Learned,
) -> Result<Vec<Option<i32>>, WriteError> {
    let values: Vec<Option<&str>> = group.texts.iter().zip(&wanted.texts).map(|(value, wanted)| wanted.then_some(value)).collect();
    let mut missing: Vec<&str> = values.iter().flatten().copied().filter(|value| !ids.texts.contains_key(*value)).collect();
    // Sorted, so that two writers add in one order and never wait for each other in a circle.
    missing.sort_unstable();
    if !missing.is_empty() {
        learned.texts.extend(database.find_texts(&missing).await?.into_iter().map(|(value, id)| (value.into(), id)));
        missing.retain(|value| !learned.texts.contains_key(*value));
    }
    if absent == Absent::Add && !missing.is_empty() {
        learned.texts.extend(database.add_texts(&missing).await?.into_iter().map(|(value, id)| (value.into(), id)));
        missing.retain(|value| !learned.texts.contains_key(*value));
        if !missing.is_empty() {
            learned.texts.extend(database.find_texts(&missing).await?.into_iter().map(|(value, id)| (value.into(), id)));
            missing.retain(|value| !learned.texts.contains_key(*value));
        }
        if !missing.is_empty() {
            return Err(WriteError::new(Class::Retry, format!("add to the dictionary: {} strings are not there afterwards", missing.len())));
        }
    }
    let id_of = |value: &str| ids.texts.get(value).or_else(|| learned.texts.get(value)).copied();
    Ok(values.into_iter().map(|value| value.and_then(id_of)).collect())
}

async fn resolve_sources<D: Dictionary + Send>(
    database: &mut D,
    ids: &Ids,
    group: &Group,
    wanted: &Wanted,
    absent: Absent,
    texts: &[Option<i32>],
    learned: &mut Learned,
) -> Result<Vec<Option<i32>>, WriteError> {
    let keys: Vec<Option<SourceKey>> =
        group.sources.iter().zip(&wanted.sources).map(|(source, wanted)| if *wanted { key_of(source, texts) } else { None }).collect();
    let mut missing: Vec<SourceKey> = keys.iter().flatten().copied().filter(|key| !ids.sources.contains_key(key)).collect();
    missing.sort_unstable();
    missing.dedup();
    if !missing.is_empty() {
        learned.sources.extend(database.find_sources(&missing).await?);
        missing.retain(|key| !learned.sources.contains_key(key));
    }
    if absent == Absent::Add && !missing.is_empty() {
        learned.sources.extend(database.add_sources(&missing).await?);
        missing.retain(|key| !learned.sources.contains_key(key));
        if !missing.is_empty() {
            learned.sources.extend(database.find_sources(&missing).await?);
            missing.retain(|key| !learned.sources.contains_key(key));
        }
        if !missing.is_empty() {
            return Err(WriteError::new(Class::Retry, format!("add sources: {} of them are not there afterwards", missing.len())));
        }
    }
    let id_of = |key: SourceKey| ids.sources.get(&key).or_else(|| learned.sources.get(&key)).copied();
    Ok(keys.into_iter().map(|key| key.and_then(id_of)).collect())
}

/// The key of a source, or none when one of its strings is not stored.
fn key_of(source: &Source, texts: &[Option<i32>]) -> Option<SourceKey> {
    let receiver = source.receiver.index().and_then(|at| texts[at])?;
    let network = match source.network.index() {
        Some(at) => Some(texts[at]?),
        None => None,
    };
    Some(SourceKey { receiver, network, ap: source.ap.map(|mac| mac.bits().cast_signed()), radio: radio_number(source.radio) })
}

/// An observation by the ids of what it names, without its time of arrival.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ObservationKey {
    pub(crate) observed_at: i64,
    pub(crate) client: i64,
    pub(crate) source: i32,
    pub(crate) ssid: Option<i32>,
    pub(crate) rssi: i16,
}

/// A location by the ids of what it names, without its time of arrival. Numbers are compared by [`same_bits`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LocationKey {
    pub(crate) observed_at: i64,
    pub(crate) client: i64,
    pub(crate) source: i32,
    pub(crate) floor_plan: Option<i32>,
    pub(crate) floor_plan_name: Option<i32>,
    /// x, y, latitude, longitude, uncertainty.
    pub(crate) numbers: [u64; 5],
}

/// Bits that are equal when the numbers are: zero has no sign, and everything that is no number is null.
pub(crate) fn same_bits(number: f64) -> u64 {
    if number.is_nan() {
        f64::NAN.to_bits()
    } else if number == 0.0 {
        0
    } else {
        number.to_bits()
    }
}

/// The keys of observations that are looked for; none for a row that cannot be stored, since what it names is not.
pub(crate) fn observation_keys(rows: &[ObservationRow], resolved: &Resolved) -> Vec<Option<ObservationKey>> {
    rows.iter()
        .map(|row| {
            Some(ObservationKey {
                observed_at: row.observed_at,
                client: row.client.0.cast_signed(),
                source: resolved.source(row.source)?,
                ssid: stored(row.ssid, resolved)?,
                rssi: row.rssi_dbm.into(),
            })
        })
        .collect()
}

/// The keys of locations that are looked for; none for a row that cannot be stored, since what it names is not.
pub(crate) fn location_keys(rows: &[LocationRow], resolved: &Resolved) -> Vec<Option<LocationKey>> {
    rows.iter()
        .map(|row| {
            Some(LocationKey {
                observed_at: row.observed_at,
                client: row.client.0.cast_signed(),
                source: resolved.source(row.source)?,
                floor_plan: stored(row.floor_plan, resolved)?,
                floor_plan_name: stored(row.floor_plan_name, resolved)?,
                numbers: [row.x_m, row.y_m, row.lat, row.lng, row.uncertainty_m].map(same_bits),
            })
        })
        .collect()
}

/// Null, or the id of a string that is stored; `None` when it is not.
fn stored(text: Text, resolved: &Resolved) -> Option<Option<i32>> {
    if text.is_none() { Some(None) } else { resolved.text(text).map(Some) }
}

/// The distinct values, in order.
pub(crate) fn distinct<T: Ord>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// For each key, whether it is among those found.
pub(crate) fn which<K: Eq + std::hash::Hash>(keys: &[Option<K>], found: &HashSet<K>) -> Vec<bool> {
    keys.iter().map(|key| key.as_ref().is_some_and(|key| found.contains(key))).collect()
}

/// The whole of a group.
pub(crate) fn whole(group: &Group) -> Part {
    Part {
        observations: 0..group.observations.len(),
        locations: 0..group.locations.len(),
        access_points: 0..group.access_points.len(),
        clients: 0..group.clients.len(),
        posts: 0..group.posts.len(),
    }
}

/// The latest arrival among a group's rows.
pub(crate) fn newest_received_ms(group: &Group) -> Option<i64> {
    group.observations.iter().map(|row| row.received_at_ms).chain(group.locations.iter().map(|row| row.received_at_ms)).max()
}

/// Strings in the cache.
const TEXTS_MAX: usize = 65_536;
/// Bytes of a string in the cache; longer ones are looked up each time.
const TEXT_BYTES_MAX: usize = 1_024;
/// Sources in the cache.
const SOURCES_MAX: usize = 262_144;
