//! Batches in, the rows of one transaction out: pseudonyms, the repeat filter, and facts merged to one row each.

use std::io;
use std::sync::Arc;

use super::index::{Index, NO_TEXT, bucket, source_hash};
use super::known::{Known, Who};
use super::{AccessPointRow, Address, ClientRow, Excluded, Fact, Group, LocationRow, ObservationRow, Pair, PostRow, Source};
use crate::batch::{AccessPoint, Batch, Client, Discard, Discards, Location, Observation, Radio};
use crate::client::{ClientId, Pseudonyms};
use crate::mac::Mac;
use crate::optout::{List, OptOuts};
use crate::presence::Changes;
use crate::repeat::{RepeatFilter, Seen};
use crate::texts::{Text, Texts};

mod close;
mod old;

/// Which personal facts of a client may be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Keep {
    /// IP addresses.
    pub ip: bool,
    /// Host names.
    pub hostname: bool,
    /// The users that signed in.
    pub user: bool,
    /// Names that devices give themselves.
    pub device_name: bool,
}

/// What became of the observations of a group: told = written + repeats + discarded, once the old ones are settled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Posts in the group.
    pub posts: u64,
    /// Observations that the posts told.
    pub told: u64,
    /// Observations that the store has already.
    pub repeats: u64,
    /// Locations that the store has already.
    pub location_repeats: u64,
    /// Observations that cannot be rows, by reason.
    pub discarded: Discards,
}

/// The rows of one transaction, and what finds them again while they are gathered.
#[derive(Default)]
pub struct Gathered {
    group: Group,
    tally: Tally,
    sources: Index<Source>,
    clients: Index<(Text, ClientId, Radio)>,
    access_points: Index<(Text, Mac)>,
    posts: Index<(u32, i64)>,
    /// Beside each source: the hash of what the store holds for it.
    source_hashes: Vec<u64>,
    /// Beside each access point: the number of the last post in which it heard somebody, counted from 1.
    heard_in: Vec<u64>,
    /// Beside each access point: when it heard somebody last.
    heard_at: Vec<i64>,
    /// Beside each text: its hash.
    text_hashes: Vec<u64>,
    old_observations: Vec<ObservationRow>,
    old_locations: Vec<LocationRow>,
}

impl Gathered {
    /// The rows.
    #[must_use]
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// What became of what was told.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Takes out a row that the database refuses, by its number as in [`Group::part`].
    pub fn remove_poison(&mut self, row: usize) {
        if self.group.remove(row) {
            self.tally.discarded.count(Discard::Poison);
        }
    }

    /// Takes out what changes of presence, which the database refuses; says how many rows that was.
    pub fn remove_presence(&mut self) -> usize {
        let rows = self.group.presence.len();
        let unpublished_since = self.group.presence.unpublished_since;
        self.group.presence.clear();
        self.group.presence.unpublished_since = unpublished_since;
        rows
    }

    /// Forgets the rows, which are committed; the memory stays.
    pub fn clear(&mut self) {
        self.group.clear();
        self.tally = Tally::default();
        self.sources.clear();
        self.clients.clear();
        self.access_points.clear();
        self.posts.clear();
        self.source_hashes.clear();
        self.heard_in.clear();
        self.heard_at.clear();
        self.text_hashes.clear();
        self.old_observations.clear();
        self.old_locations.clear();
    }
}

/// Gathers batches into a [`Group`].
///
/// Use: [`Fold::add`] each batch in journal order, look up [`Fold::old_observations`] and [`Fold::old_locations`] in the store,
/// [`Fold::settle_old`], [`Fold::close`], [`Fold::hand_over`], and write what was handed over while the next batches are added. A group
/// that fails to commit is kept and written again as it is: the filter remembers its rows already.
pub struct Fold {
    pseudonyms: Pseudonyms,
    keep: Keep,
    opted_out: Arc<OptOuts>,
    excluded: Arc<Excluded>,
    filter: RepeatFilter,
    /// What the store is known to say, across groups.
    known: Known,
    /// The receivers' names for what is known.
    receivers: Texts,
    /// The group that is being gathered.
    now: Gathered,
    scratch: Scratch,
}

impl Fold {
    /// A fold with nothing in it. Of who is on `opted_out` at the time nothing is written; who is `excluded` is written, and marked.
    #[must_use]
    pub fn new(pseudonyms: Pseudonyms, keep: Keep, opted_out: Arc<OptOuts>, excluded: Arc<Excluded>, filter: RepeatFilter) -> Self {
        let (known, receivers) = (Known::default(), Texts::default());
        Self { pseudonyms, keep, opted_out, excluded, filter, known, receivers, now: Gathered::default(), scratch: Scratch::default() }
    }

    /// The rows gathered so far.
    #[must_use]
    pub fn group(&self) -> &Group {
        &self.now.group
    }

    /// What the rows gathered so far change of presence: whoever works it out puts it here before the group is handed over.
    pub fn presence_mut(&mut self) -> &mut Changes {
        &mut self.now.group.presence
    }

    /// What became of what was told so far.
    #[cfg(test)]
    pub(crate) fn tally(&self) -> &Tally {
        &self.now.tally
    }

    /// Hands the closed group over and begins the next one, in the memory of `to`, whose own rows are forgotten.
    pub fn hand_over(&mut self, to: &mut Gathered) {
        to.clear();
        std::mem::swap(&mut self.now, to);
    }

    /// Observations older than the filter's horizon: the store must be asked.
    #[must_use]
    pub fn old_observations(&self) -> &[ObservationRow] {
        &self.now.old_observations
    }

    /// Locations older than the filter's horizon.
    #[must_use]
    pub fn old_locations(&self) -> &[LocationRow] {
        &self.now.old_locations
    }

    /// Rows that the group will have at most.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.now.group.observations.len() + self.now.group.locations.len() + self.now.old_observations.len() + self.now.old_locations.len()
    }

    /// Bytes that the repeat filter holds.
    #[must_use]
    pub fn filter_bytes(&self) -> usize {
        self.filter.bytes()
    }

    /// Bytes held for what the store is known to say of clients and access points.
    #[must_use]
    pub fn known_bytes(&self) -> usize {
        self.known.bytes()
    }

    /// The first second whose rows [`Fold::remember`] must be told at a start, with the journal's time at `journal_time_s`.
    pub fn start(&mut self, journal_time_s: i64) -> i64 {
        self.filter.advance(journal_time_s);
        self.known.start(journal_time_s);
        self.filter.horizon_start_s()
    }

    /// Tells the filter of rows that the store has: at start, in any order.
    pub fn remember(&mut self, stored: &Group) {
        let texts: Vec<u64> = stored.texts.iter().map(|text| self.filter.hash_parts(&[Some(text.as_bytes())])).collect();
        let hash = |text: Text| text.index().map_or(NO_TEXT, |at| texts[at]);
        let sources: Vec<u64> = stored.sources.iter().map(|source| source_hash(&self.filter, &stored.texts, source)).collect();
        for row in &stored.observations {
            let source = &stored.sources[row.source as usize];
            let print = self.filter.observation(sources[row.source as usize], hash(row.ssid), row);
            let bucket = bucket(&self.filter, &stored.texts, source);
            let _ = self.filter.see(bucket, print, row.observed_at);
        }
        for row in &stored.locations {
            let source = sources[row.source as usize];
            let print = self.filter.location(source, [hash(row.floor_plan), hash(row.floor_plan_name)], row);
            let _ = self.filter.see(source, print, row.observed_at);
        }
    }

    /// Adds a batch: its new rows, its facts, its post.
    ///
    /// # Errors
    /// When a key for it cannot be written. Then nothing of it was added.
    pub fn add(&mut self, batch: &Batch) -> io::Result<()> {
        self.pseudonyms.prepare(batch)?;
        self.filter.advance(batch.received_at_ms.div_euclid(1_000));
        self.scratch.texts.clear();
        self.scratch.texts.resize(batch.texts.len(), None);
        self.scratch.clients.clear();
        self.scratch.clients.resize(batch.clients.len(), None);
        self.scratch.opted_out = self.opted_out.list();
        self.now.tally.posts += 1;
        let receiver = self.now.group.texts.intern(&batch.receiver);
        let network = self.text(batch, batch.network);
        let from = Origin { receiver, network, radio: batch.radio, received_at_ms: batch.received_at_ms };

        self.add_observations(batch, from);
        self.add_locations(batch, from);
        for told in &batch.access_points {
            self.add_access_point(batch, from, told);
        }
        self.add_post(batch, from);
        self.now.tally.told += batch.told();
        self.now.tally.discarded.add(&batch.discarded);
        Ok(())
    }

    fn add_observations(&mut self, batch: &Batch, from: Origin) {
        // Neighbouring observations mostly differ in the access point alone, so sources are looked up per access point.
        let mut last: Option<(Mac, u32, u64)> = None;
        for told in &batch.observations {
            // First of all, so that who has no name here leaves no trace in sources and access points either.
            let client = match self.client(batch, from, told.client, told.observed_at) {
                Ok(client) => client,
                Err(reason) => {
                    self.now.tally.discarded.count(reason);
                    continue;
                }
            };
            let (source, bucket) = match last {
                Some((ap, source, bucket)) if ap == told.ap => (source, bucket),
                _ => {
                    let source = self.source(from, Some(told.ap));
                    let bucket = bucket(&self.filter, &self.now.group.texts, &self.now.group.sources[source as usize]);
                    last = Some((told.ap, source, bucket));
                    (source, bucket)
                }
            };
            self.see_access_point(from, told);
            let ssid = self.text(batch, told.ssid);
            let address = self.address(batch.clients[told.client as usize].mac);
            let row =
                ObservationRow { observed_at: told.observed_at, received_at_ms: from.received_at_ms, client, source, ssid, rssi_dbm: told.rssi_dbm, address };
            let print = self.observation_print(&row);
            match self.filter.see(bucket, print, row.observed_at) {
                Seen::New => self.now.group.observations.push(row),
                Seen::Repeat => self.now.tally.repeats += 1,
                Seen::Old => self.now.old_observations.push(row),
            }
        }
    }

    fn add_locations(&mut self, batch: &Batch, from: Origin) {
        if batch.locations.is_empty() {
            return;
        }
        let source = self.source(from, None);
        let source_hash = self.now.source_hashes[source as usize];
        for told in &batch.locations {
            let Ok(client) = self.client(batch, from, told.client, told.observed_at) else { continue };
            let row = self.location_row(batch, from, told, client, source);
            let print = self.location_print(&row);
            match self.filter.see(source_hash, print, row.observed_at) {
                Seen::New => self.now.group.locations.push(row),
                Seen::Repeat => self.now.tally.location_repeats += 1,
                Seen::Old => self.now.old_locations.push(row),
            }
        }
    }

    fn location_row(&mut self, batch: &Batch, from: Origin, told: &Location, client: ClientId, source: u32) -> LocationRow {
        LocationRow {
            observed_at: told.observed_at,
            received_at_ms: from.received_at_ms,
            client,
            source,
            floor_plan: self.text(batch, told.floor_plan),
            floor_plan_name: self.text(batch, told.floor_plan_name),
            x_m: told.x_m,
            y_m: told.y_m,
            lat: told.lat,
            lng: told.lng,
            uncertainty_m: told.uncertainty_m,
        }
    }

    /// The client's pseudonym, or why it has none; its row is made the first time and widened to `observed_at`.
    fn client(&mut self, batch: &Batch, from: Origin, index: u32, observed_at: i64) -> Result<ClientId, Discard> {
        let epoch = self.pseudonyms.epoch(observed_at);
        let (client, row) = match self.scratch.clients[index as usize] {
            Some((known, told)) if known == epoch => told?,
            _ => {
                let told = self.new_client(batch, from, index, epoch, observed_at);
                self.scratch.clients[index as usize] = Some((epoch, told));
                told?
            }
        };
        let row = &mut self.now.group.clients[row as usize];
        row.first_seen = row.first_seen.min(observed_at);
        row.last_seen = row.last_seen.max(observed_at);
        Ok(client)
    }

    fn new_client(&mut self, batch: &Batch, from: Origin, index: u32, epoch: usize, observed_at: i64) -> Named {
        let told = &batch.clients[index as usize];
        if self.is_opted_out(told.mac) {
            return Err(Discard::OptedOut);
        }
        let client = self.pseudonyms.of(told.mac, epoch).ok_or(Discard::Epoch)?;
        Ok((client, self.client_row(batch, from, told, client, observed_at)))
    }

    /// Ingress leaves the zero address in place of one that is opted out. A post that was kept before its client was has it still.
    fn is_opted_out(&self, mac: Mac) -> bool {
        mac == Mac::default() || self.scratch.opted_out.as_ref().is_some_and(|list| list.has(mac))
    }

    fn address(&self, mac: Mac) -> Address {
        if self.excluded.contains(&mac) { Address::Excluded } else { mac.into() }
    }

    fn client_row(&mut self, batch: &Batch, from: Origin, told: &Client, client: ClientId, observed_at: i64) -> u32 {
        let Keep { ip, hostname, user, device_name } = self.keep;
        let only = |wanted: bool, text: Text| if wanted { text } else { Text::NONE };
        let facts = [
            told.manufacturer,
            told.os,
            only(ip, told.ipv4),
            only(ip, told.ipv6),
            only(hostname, told.hostname),
            only(user, told.user),
            only(device_name, told.device_name),
        ]
        .map(|text| match self.text(batch, text) {
            Text::NONE => Fact::default(),
            text => Fact { text, at: told.last_observed_at },
        });
        let (row, new) = self.now.clients.of((from.receiver, client, from.radio));
        if new {
            self.now.group.clients.push(ClientRow {
                receiver: from.receiver,
                client,
                radio: from.radio,
                random_address: (from.radio == Radio::Wifi).then_some(told.mac.is_local()),
                group_address: told.mac.is_group(),
                is_excluded: self.excluded.contains(&told.mac),
                facts,
                first_seen: observed_at,
                last_seen: observed_at,
            });
        } else {
            for (held, fact) in self.now.group.clients[row as usize].facts.iter_mut().zip(facts) {
                held.merge(fact);
            }
        }
        row
    }

    fn see_access_point(&mut self, from: Origin, told: &Observation) {
        let at = self.access_point_row(from, told.ap, told.observed_at);
        self.now.heard_in[at] = self.now.tally.posts;
        self.now.heard_at[at] = self.now.heard_at[at].max(told.observed_at);
        self.now.group.access_points[at].see(told.observed_at);
    }

    /// What the post says of an access point. One that heard nobody in this post is seen at the post's arrival.
    fn add_access_point(&mut self, batch: &Batch, from: Origin, told: &AccessPoint) {
        let at = from.received_at_ms.div_euclid(1_000);
        let [name, serial, tags, floor_plan] = [told.name, told.serial, told.tags, told.floor_plan].map(|text| self.text(batch, text));
        let row = self.access_point_row(from, told.mac, at);
        let heard_nobody = self.now.heard_in[row] != self.now.tally.posts;
        let row = &mut self.now.group.access_points[row];
        if heard_nobody {
            row.see(at);
        }
        for (held, text) in [(&mut row.name, name), (&mut row.serial, serial), (&mut row.tags, tags), (&mut row.floor_plan, floor_plan)] {
            held.merge(Fact { text, at });
        }
        row.on_plan.merge(Pair { a: told.x_m, b: told.y_m, at });
        row.on_earth.merge(Pair { a: told.lat, b: told.lng, at });
    }

    fn access_point_row(&mut self, from: Origin, ap: Mac, seen: i64) -> usize {
        let (at, new) = self.now.access_points.of((from.receiver, ap));
        if new {
            self.now.group.access_points.push(AccessPointRow::new(from.receiver, ap, seen, seen));
            self.now.heard_in.push(0);
            self.now.heard_at.push(i64::MIN);
        }
        let at = at as usize;
        self.now.group.access_points[at].network.merge(Fact { text: from.network, at: from.received_at_ms.div_euclid(1_000) });
        at
    }

    fn add_post(&mut self, batch: &Batch, from: Origin) {
        let source = self.source(from, batch.ap);
        let minute = from.received_at_ms.div_euclid(60_000) * 60;
        let (at, new) = self.now.posts.of((source, minute));
        if new {
            self.now.group.posts.push(PostRow { source, minute, posts: 0, observations: 0 });
        }
        let row = &mut self.now.group.posts[at as usize];
        row.posts += 1;
        row.observations += batch.told();
    }

    fn source(&mut self, from: Origin, ap: Option<Mac>) -> u32 {
        let source = Source { receiver: from.receiver, network: from.network, ap, radio: from.radio };
        let (at, new) = self.now.sources.of(source);
        if new {
            self.now.group.sources.push(source);
            self.now.source_hashes.push(source_hash(&self.filter, &self.now.group.texts, &source));
        }
        at
    }

    /// The batch's string in the group's arena.
    fn text(&mut self, batch: &Batch, text: Text) -> Text {
        let (Some(at), Some(value)) = (text.index(), batch.texts.get(text)) else { return Text::NONE };
        if let Some(known) = self.scratch.texts[at] {
            return known;
        }
        let known = self.now.group.texts.intern(value);
        self.scratch.texts[at] = Some(known);
        known
    }

    fn text_hash(&mut self, text: Text) -> u64 {
        let Some(at) = text.index() else { return NO_TEXT };
        while self.now.text_hashes.len() <= at {
            let next = self.now.group.texts.get(Text::at(self.now.text_hashes.len())).unwrap_or_default();
            self.now.text_hashes.push(self.filter.hash_parts(&[Some(next.as_bytes())]));
        }
        self.now.text_hashes[at]
    }
}

/// A client and the number of its row, or why it has none.
type Named = Result<(ClientId, u32), Discard>;

/// What all rows of one batch share.
#[derive(Clone, Copy)]
struct Origin {
    receiver: Text,
    network: Text,
    radio: Radio,
    received_at_ms: i64,
}

/// Per batch: its strings and clients in the group's terms, found once, and who is opted out: a client who is has no terms. Per group: of whom it tells.
#[derive(Default)]
struct Scratch {
    told_of: Vec<Who>,
    texts: Vec<Option<Text>>,
    /// With the epoch that the pseudonym is of.
    clients: Vec<Option<(usize, Named)>>,
    opted_out: Option<Arc<List>>,
}
