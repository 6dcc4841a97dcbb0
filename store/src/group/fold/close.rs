//! The end of a group: what of its facts is written now, and what is put off.

use super::super::known::{FACTS, PutOff, Stand, Told, ToldFact, Verdict, What, Who};
use super::super::{AccessPointRow, CLIENT_FACTS, ClientRow, Fact, Group, Pair};
use super::{Fold, Gathered};
use crate::client::ClientId;
use crate::mac::Mac;
use crate::texts::{Text, Texts};

impl Fold {
    /// Ends the gathering: rows of clients and access points that tell nothing new leave the group, to be written later. Call it once a
    /// group, before it is written.
    pub fn close(&mut self) {
        let now = self.filter.journal_time_s();
        self.close_clients(now);
        self.close_access_points(now);
        let Self { known, receivers, now: Gathered { group, .. }, .. } = self;
        known.sweep(now, |put_off| write_times(group, receivers, &put_off));
    }

    /// Whether something is put off.
    #[must_use]
    pub fn has_put_off(&self) -> bool {
        self.known.has_put_off()
    }

    /// Puts everything that is put off into the group, which must be closed or empty: whoever is in it is put off no more.
    pub fn settle(&mut self) {
        let Self { known, receivers, now: Gathered { group, .. }, .. } = self;
        known.settle(|put_off| write_times(group, receivers, &put_off));
    }

    fn close_clients(&mut self, now: i64) {
        let mut rows = std::mem::take(&mut self.now.group.clients);
        let mut told_of = std::mem::take(&mut self.scratch.told_of);
        for row in &rows {
            let what = What::Client { radio: row.radio, random_address: row.random_address, group_address: row.group_address, is_excluded: row.is_excluded };
            told_of.push(Who { receiver: self.receiver(row.receiver), what, id: row.client.0 });
        }
        let mut at = 0;
        rows.retain_mut(|row| {
            let who = self.touched(&told_of, at);
            at += 1;
            let facts = row.facts.map(|fact| self.told(fact));
            let told = Told { first_seen: row.first_seen, last_seen: row.last_seen, is_observed: true, facts };
            let Verdict::Write { last_seen, facts } = self.known.judge(who, &told, now) else { return false };
            row.last_seen = last_seen;
            row.facts.iter_mut().zip(facts).for_each(|(fact, stand)| fact.stand(stand));
            true
        });
        self.now.group.clients = rows;
        told_of.clear();
        self.scratch.told_of = told_of;
    }

    fn close_access_points(&mut self, now: i64) {
        let mut rows = std::mem::take(&mut self.now.group.access_points);
        let mut heard = std::mem::take(&mut self.now.heard_at).into_iter();
        let mut told_of = std::mem::take(&mut self.scratch.told_of);
        for row in &rows {
            told_of.push(Who { receiver: self.receiver(row.receiver), what: What::AccessPoint, id: row.ap.bits() });
        }
        let mut at = 0;
        rows.retain_mut(|row| {
            let who = self.touched(&told_of, at);
            at += 1;
            let texts = [row.network, row.name, row.serial, row.tags, row.floor_plan].map(|fact| self.told(fact));
            let pairs = [row.on_plan, row.on_earth].map(|pair| self.told_pair(pair));
            let is_observed = heard.next() == Some(row.last_seen);
            let told = Told { first_seen: row.first_seen, last_seen: row.last_seen, is_observed, facts: join(texts, pairs) };
            let Verdict::Write { last_seen, facts } = self.known.judge(who, &told, now) else { return false };
            row.last_seen = last_seen;
            row.stand(facts);
            true
        });
        self.now.group.access_points = rows;
        told_of.clear();
        self.scratch.told_of = told_of;
    }

    /// The one at `at`. Those that follow are looked for together with every so many.
    fn touched(&self, told_of: &[Who], at: usize) -> Who {
        if at.is_multiple_of(AHEAD) {
            self.known.touch(&told_of[at..told_of.len().min(at + AHEAD)]);
        }
        told_of[at]
    }

    /// The receiver's name in the arena that outlives groups.
    fn receiver(&mut self, name: Text) -> Text {
        self.now.group.texts.get(name).map_or(Text::NONE, |name| self.receivers.intern(name))
    }

    fn told(&mut self, fact: Fact) -> ToldFact {
        // Half of the hash does: should two texts share it, the next refresh writes what is told.
        let hash = (!fact.text.is_none()).then(|| self.text_hash(fact.text) as u32);
        ToldFact { hash, at: fact.at }
    }

    fn told_pair(&self, pair: Pair) -> ToldFact {
        let bits = [pair.a, pair.b].map(|number| (number + 0.0).to_bits().to_be_bytes());
        let hash = (!pair.is_none()).then(|| self.filter.hash_parts(&[Some(&bits[0]), Some(&bits[1])]) as u32);
        ToldFact { hash, at: pair.at }
    }
}

/// So many are looked for together before they are judged.
const AHEAD: usize = 32;

fn join([a, b, c, d, e]: [ToldFact; 5], [f, g]: [ToldFact; 2]) -> [ToldFact; FACTS] {
    [a, b, c, d, e, f, g]
}

impl Fact {
    /// Leaves of it what stands.
    fn stand(&mut self, stand: Stand) {
        *self = match stand {
            Stand::Nothing => Self::default(),
            Stand::AsTold(at) => Self { at, ..*self },
            Stand::AsStored(at) => Self { text: Text::NONE, at },
        };
    }
}

impl Pair {
    fn stand(&mut self, stand: Stand) {
        *self = match stand {
            Stand::Nothing => Self::NONE,
            Stand::AsTold(at) => Self { at, ..*self },
            Stand::AsStored(at) => Self { at, ..Self::NONE },
        };
    }
}

impl AccessPointRow {
    fn stand(&mut self, [network, name, serial, tags, floor_plan, on_plan, on_earth]: [Stand; FACTS]) {
        self.network.stand(network);
        self.name.stand(name);
        self.serial.stand(serial);
        self.tags.stand(tags);
        self.floor_plan.stand(floor_plan);
        self.on_plan.stand(on_plan);
        self.on_earth.stand(on_earth);
    }
}

/// A row that tells nothing but times.
fn write_times(group: &mut Group, receivers: &Texts, put_off: &PutOff<'_>) {
    let &PutOff { who, first_seen, last_seen, facts } = put_off;
    let receiver = receivers.get(who.receiver).map_or(Text::NONE, |name| group.texts.intern(name));
    match who.what {
        What::Client { radio, random_address, group_address, is_excluded } => {
            let mut row = ClientRow {
                receiver,
                client: ClientId(who.id),
                radio,
                random_address,
                group_address,
                is_excluded,
                facts: [Fact::default(); CLIENT_FACTS.len()],
                first_seen,
                last_seen,
            };
            row.facts.iter_mut().zip(facts).for_each(|(fact, stand)| fact.stand(stand));
            group.clients.push(row);
        }
        What::AccessPoint => {
            let mut row = AccessPointRow::new(receiver, Mac::from_bits(who.id), first_seen, last_seen);
            row.stand(facts);
            group.access_points.push(row);
        }
    }
}
