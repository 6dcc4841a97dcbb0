//! Rows for the databases: a group as the pipeline writes it, and the same rows as the peers take them.

use std::time::{Duration, SystemTime};

use store::batch::Radio;
use store::client::ClientId;
use store::group::{Group, ObservationRow, Source};
use store::mac::Mac;
use store::position::{JournalId, Position};
use store::texts::Text;
use store::writer::{Advance, Cursor, Store};

/// One observation, its dictionary ids at hand.
#[derive(Clone, Copy)]
pub struct Row {
    /// Seconds since 1970.
    pub observed_at: i64,
    /// Milliseconds since 1970.
    pub received_at_ms: i64,
    /// The pseudonym's number.
    pub client: i64,
    /// Id of the source.
    pub source: i32,
    /// Id of the network name.
    pub ssid: Option<i32>,
    /// Signal in dBm.
    pub rssi: i16,
}

impl Row {
    /// `observed_at` as drivers take it.
    pub fn observed(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.observed_at.unsigned_abs())
    }

    /// `received_at` as drivers take it.
    pub fn received(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.received_at_ms.unsigned_abs())
    }
}

/// So many observations of one network with fifty access points, received at `now`.
pub fn group(count: usize, now: i64) -> Group {
    let mut group = Group::default();
    let (receiver, network, guest) = (group.texts.intern("mall"), group.texts.intern("L_000000000000000001"), group.texts.intern("Guest"));
    for ap in 0..APS {
        group.sources.push(Source { receiver, network, ap: Some(Mac::from_bits(0xe455_0000_0000 + ap)), radio: Radio::Wifi });
    }
    for at in 0..count as u64 {
        // Numbers without order, as pseudonyms are; the same at every run.
        let mixed = (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        group.observations.push(ObservationRow {
            observed_at: now - (mixed >> 56) as i64 % 60,
            received_at_ms: now * 1_000 + 250,
            client: ClientId((at / 8 + 1).wrapping_mul(0xd6e8_feb8_6659_fd93)),
            source: (mixed % APS) as u32,
            ssid: if at.is_multiple_of(3) { guest } else { Text::NONE },
            rssi_dbm: -40 - (mixed >> 32) as i8 % 50,
            address: store::group::Address::Global,
        });
    }
    group
}

/// The same for the peers.
pub fn plain(group: &Group) -> Vec<Row> {
    let row = |row: &ObservationRow| Row {
        observed_at: row.observed_at,
        received_at_ms: row.received_at_ms,
        client: row.client.0.cast_signed(),
        source: row.source as i32 + 1,
        ssid: (!row.ssid.is_none()).then_some(3),
        rssi: row.rssi_dbm.into(),
    };
    group.observations.iter().map(row).collect()
}

/// Writes groups into a store, one transaction each.
pub struct Writer<S> {
    store: S,
    cursor: Cursor,
}

impl<S: Store> Writer<S> {
    /// Connects and makes the tables.
    pub async fn new(mut store: S, now: i64) -> Self {
        store.connect().await.expect("connect");
        let cursor = store.adopt(JOURNAL, Position(0)).await.expect("take the cursor");
        store.maintain(now * 1_000, Duration::from_secs(86_400)).await.expect("make partitions");
        Self { store, cursor }
    }

    /// One transaction.
    pub async fn write(&mut self, group: &Group) {
        let to = self.cursor.position.next();
        let advance = Advance { journal: JOURNAL, epoch: self.cursor.epoch, from: self.cursor.position, to, turn: self.cursor.turn };
        self.store.write(group, &advance).await.expect("write the group");
        self.cursor = advance.end();
    }
}

const JOURNAL: JournalId = JournalId([9; 16]);
const APS: u64 = 50;
