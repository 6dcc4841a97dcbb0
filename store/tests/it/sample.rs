//! Groups for tests, made with few words.

use store::batch::Radio;
use store::client::ClientId;
use store::group::{AccessPointRow, Address, ClientRow, Fact, Group, LocationRow, ObservationRow, Pair, PostRow, Source};
use store::mac::Mac;
use store::position::{JournalId, Position};
use store::texts::Text;
use store::writer::{Advance, Cursor, Store, WriteError};

/// 2026-03-01T12:00:00Z.
pub(crate) const NOON: i64 = 1_772_366_400;
/// A pseudonym whose stored number is negative.
pub(crate) const ALICE: ClientId = ClientId(0xfedc_ba98_7654_3210);
/// A pseudonym whose stored number is positive.
pub(crate) const BOB: ClientId = ClientId(0x0123_4567_89ab_cdef);
/// A client whose address is kept.
pub(crate) const CAROL: ClientId = ClientId(0x0002_18fe_3401_0203 & 0xffff_ffff_ffff);
pub(crate) const JOURNAL: JournalId = JournalId([7; 16]);

/// An access point's address.
pub(crate) fn ap(number: u64) -> Mac {
    Mac::from_bits(0x0018_0a00_0000 + number)
}

/// What tests add to a group.
pub(crate) trait Add {
    fn text(&mut self, text: &str) -> Text;
    fn source(&mut self, receiver: &str, network: &str, ap: Option<Mac>, radio: Radio) -> u32;
    fn observe(&mut self, at: i64, client: ClientId, source: u32, ssid: &str, rssi: i8);
    fn locate(&mut self, at: i64, client: ClientId, source: u32, plan: &str, numbers: [f64; 5]);
    fn post(&mut self, source: u32, minute: i64, posts: u64, observations: u64);
}

impl Add for Group {
    /// None for an empty string.
    fn text(&mut self, text: &str) -> Text {
        if text.is_empty() { Text::NONE } else { self.texts.intern(text) }
    }

    fn source(&mut self, receiver: &str, network: &str, ap: Option<Mac>, radio: Radio) -> u32 {
        let source = Source { receiver: self.text(receiver), network: self.text(network), ap, radio };
        let at = self.sources.iter().position(|other| *other == source).unwrap_or_else(|| {
            self.sources.push(source);
            self.sources.len() - 1
        });
        u32::try_from(at).unwrap()
    }

    /// Received 1.5 s later.
    fn observe(&mut self, at: i64, client: ClientId, source: u32, ssid: &str, rssi: i8) {
        let ssid = self.text(ssid);
        self.observations.push(ObservationRow {
            observed_at: at,
            received_at_ms: at * 1_000 + 1_500,
            client,
            source,
            ssid,
            rssi_dbm: rssi,
            address: Address::Global,
        });
    }

    /// Received 1.5 s later.
    fn locate(&mut self, at: i64, client: ClientId, source: u32, plan: &str, [x_m, y_m, lat, lng, uncertainty_m]: [f64; 5]) {
        let (floor_plan, floor_plan_name) = (self.text(plan), self.text(&format!("{plan} name")));
        let received_at_ms = at * 1_000 + 1_500;
        self.locations.push(LocationRow { observed_at: at, received_at_ms, client, source, floor_plan, floor_plan_name, x_m, y_m, lat, lng, uncertainty_m });
    }

    fn post(&mut self, source: u32, minute: i64, posts: u64, observations: u64) {
        self.posts.push(PostRow { source, minute, posts, observations });
    }
}

/// A fact told at a time; an empty one tells nothing.
pub(crate) fn fact(group: &mut Group, text: &str, at: i64) -> Fact {
    if text.is_empty() { Fact::default() } else { Fact { text: group.text(text), at } }
}

/// An access point of which nothing but its network is told.
pub(crate) fn bare_access_point(group: &mut Group, receiver: &str, mac: Mac, at: i64) -> AccessPointRow {
    AccessPointRow {
        receiver: group.text(receiver),
        ap: mac,
        network: fact(group, "N_1", at),
        name: Fact::default(),
        serial: Fact::default(),
        tags: Fact::default(),
        floor_plan: Fact::default(),
        on_plan: Pair::NONE,
        on_earth: Pair::NONE,
        first_seen: at,
        last_seen: at,
    }
}

/// A client of which nothing is told.
pub(crate) fn bare_client(group: &mut Group, receiver: &str, client: ClientId, radio: Radio, at: i64) -> ClientRow {
    ClientRow {
        receiver: group.text(receiver),
        client,
        radio,
        random_address: (radio == Radio::Wifi).then_some(false),
        group_address: false,
        is_excluded: false,
        facts: Default::default(),
        first_seen: at,
        last_seen: at,
    }
}

/// A little of everything.
pub(crate) fn everything() -> Group {
    let mut group = Group::default();
    let heard = group.source("mall", "N_1", Some(ap(1)), Radio::Wifi);
    let beacon = group.source("mall", "N_1", Some(ap(2)), Radio::Ble);
    let v2 = group.source("old", "", Some(ap(3)), Radio::Wifi);
    let placed = group.source("mall", "N_1", None, Radio::Wifi);
    group.observe(NOON, ALICE, heard, "guest", -60);
    group.observe(NOON + 1, BOB, heard, "", -120);
    group.observe(NOON + 2, CAROL, beacon, "", -1);
    group.observe(NOON + 3, ALICE, v2, "gäste", -70);
    let nan = f64::NAN;
    group.locate(NOON, ALICE, placed, "g_1", [1.5, -2.25, 47.1, 8.2, 3.5]);
    group.locate(NOON + 1, BOB, placed, "g_1", [nan, nan, 47.1, 8.2, nan]);
    let mut row = bare_access_point(&mut group, "mall", ap(1), NOON);
    row.name = fact(&mut group, "door", NOON);
    row.serial = fact(&mut group, "Q2XX", NOON);
    row.tags = fact(&mut group, r#"["a","b"]"#, NOON);
    row.floor_plan = fact(&mut group, "g_1", NOON);
    row.on_plan = Pair { a: 10.0, b: 20.5, at: NOON };
    row.on_earth = Pair { a: 47.0, b: 8.0, at: NOON };
    group.access_points.push(row);
    let row = bare_access_point(&mut group, "mall", ap(2), NOON);
    group.access_points.push(row);
    let mut row = bare_client(&mut group, "mall", ALICE, Radio::Wifi, NOON);
    row.random_address = Some(true);
    row.facts[0] = fact(&mut group, "Acme", NOON);
    row.facts[1] = fact(&mut group, "Debian", NOON);
    row.facts[6] = fact(&mut group, "Alice's", NOON);
    group.clients.push(row);
    let mut row = bare_client(&mut group, "mall", CAROL, Radio::Ble, NOON);
    row.group_address = true;
    row.is_excluded = true;
    group.clients.push(row);
    let posted = group.source("mall", "N_1", None, Radio::Wifi);
    group.post(posted, NOON, 2, 7);
    group.post(v2, NOON, 1, 1);
    group
}

/// A store and its cursor, for tests that only write.
pub(crate) struct Writer<S> {
    pub(crate) store: S,
    pub(crate) cursor: Cursor,
}

impl<S: Store> Writer<S> {
    pub(crate) async fn adopt(mut store: S) -> Self {
        let cursor = store.adopt(JOURNAL, Position::FIRST).await.unwrap();
        Self { store, cursor }
    }

    /// Writes a group as one record.
    pub(crate) async fn write(&mut self, group: &Group) -> Result<(), WriteError> {
        let from = self.cursor.position;
        let advance = Advance { journal: JOURNAL, epoch: self.cursor.epoch, from, to: from.next(), turn: self.cursor.turn };
        self.store.write(group, &advance).await?;
        self.cursor = advance.end();
        Ok(())
    }
}
