//! What every store must do. Each function is a test of both.

use store::batch::Radio;
use store::client::ClientId;
use store::group::{Fact, Group, Pair, Part};
use store::position::{JournalId, Position};
use store::writer::{Advance, Class, Cursor, Store};

use crate::place::Place;
use crate::sample::{ALICE, Add, BOB, CAROL, JOURNAL, NOON, Writer, ap, bare_access_point, bare_client, everything, fact};

/// The columns of interface.md in their order, and what they say.
pub(crate) async fn the_views_show_what_was_written(place: Place) {
    let mut writer = Writer::adopt(place.store().await).await;
    writer.write(&everything()).await.unwrap();
    let columns = "observed_at, received_at, receiver, network, ap, client, radio, rssi_dbm, ssid, associated";
    let expected = [
        "2026-03-01T12:00:00Z|2026-03-01T12:00:01.500Z|mall|N_1|00:18:0a:00:00:01|fedcba9876543210|wifi|-60|guest|1",
        "2026-03-01T12:00:01Z|2026-03-01T12:00:02.500Z|mall|N_1|00:18:0a:00:00:01|0123456789abcdef|wifi|-120|-|0",
        "2026-03-01T12:00:02Z|2026-03-01T12:00:03.500Z|mall|N_1|00:18:0a:00:00:02|18:fe:34:01:02:03|ble|-1|-|0",
        "2026-03-01T12:00:03Z|2026-03-01T12:00:04.500Z|old|-|00:18:0a:00:00:03|fedcba9876543210|wifi|-70|gäste|1",
    ];
    shows(&place, "observations", columns, "observed_at", &expected).await;
    let columns = "observed_at, received_at, receiver, network, client, radio, floor_plan, floor_plan_name, x_m, y_m, lat, lng, uncertainty_m";
    let expected = [
        "2026-03-01T12:00:00Z|2026-03-01T12:00:01.500Z|mall|N_1|fedcba9876543210|wifi|g_1|g_1 name|1.5|-2.25|47.1|8.2|3.5",
        "2026-03-01T12:00:01Z|2026-03-01T12:00:02.500Z|mall|N_1|0123456789abcdef|wifi|g_1|g_1 name|-|-|47.1|8.2|-",
    ];
    shows(&place, "locations", columns, "observed_at", &expected).await;
    let columns = "ap, name, serial, network, receiver, tags, floor_plan, x_m, y_m, lat, lng, first_seen, last_seen";
    let expected = [
        r#"00:18:0a:00:00:01|door|Q2XX|N_1|mall|["a","b"]|g_1|10.0|20.5|47.0|8.0|2026-03-01T12:00:00Z|2026-03-01T12:00:00Z"#,
        "00:18:0a:00:00:02|-|-|N_1|mall|-|-|-|-|-|-|2026-03-01T12:00:00Z|2026-03-01T12:00:00Z",
    ];
    shows(&place, "access_points", columns, "ap", &expected).await;
    let columns = "receiver, client, radio, manufacturer, os, random_address, group_address, is_excluded, first_seen, last_seen, \
                   ipv4, ipv6, hostname, user_id, device_name";
    let expected = [
        "mall|18:fe:34:01:02:03|ble|-|-|-|1|1|2026-03-01T12:00:00Z|2026-03-01T12:00:00Z|-|-|-|-|-",
        "mall|fedcba9876543210|wifi|Acme|Debian|1|0|0|2026-03-01T12:00:00Z|2026-03-01T12:00:00Z|-|-|-|-|Alice's",
    ];
    shows(&place, "clients", columns, "client", &expected).await;
    let expected = ["mall|N_1|-|wifi|2026-03-01T12:00:00Z|2|7", "old|-|00:18:0a:00:00:03|wifi|2026-03-01T12:00:00Z|1|1"];
    shows(&place, "posts", "receiver, network, ap, radio, minute, posts, observations", "receiver", &expected).await;
}

async fn shows(place: &Place, view: &str, columns: &str, order: &str, expected: &[&str]) {
    let named = place.ask(&format!("SELECT {columns} FROM {view} ORDER BY {order}")).await;
    assert_eq!(named, expected, "{view}");
    assert_eq!(place.ask(&format!("SELECT * FROM {view} ORDER BY {order}")).await, expected, "{view}: the order of its columns");
}

pub(crate) async fn a_cursor_is_moved_by_compare_and_set(place: Place) {
    let mut store = place.store().await;
    assert_eq!(store.cursor(JOURNAL).await.unwrap(), None);
    assert_eq!(store.newest_received_ms().await.unwrap(), None);
    let cursor = store.adopt(JOURNAL, Position(5)).await.unwrap();
    assert_eq!(cursor, Cursor { epoch: 1, position: Position(5), turn: 0 });
    let advance = Advance { journal: JOURNAL, epoch: 1, from: Position(5), to: Position(9), turn: 0 };
    store.write(&everything(), &advance).await.unwrap();
    assert_eq!(store.cursor(JOURNAL).await.unwrap(), Some(Cursor { epoch: 1, position: Position(9), turn: 1 }));
    assert_eq!(store.newest_received_ms().await.unwrap(), Some((NOON + 3) * 1_000 + 1_500));
    // The same move again: a COMMIT whose answer was lost.
    let error = store.write(&everything(), &advance).await.unwrap_err();
    assert_eq!(error.class, Class::CursorMoved, "{error}");
    assert_eq!(place.number("SELECT count(*) FROM observations").await, 4);
    assert_eq!(place.number("SELECT sum(posts) FROM posts").await, 3);
    // After an error there is no connection.
    assert_eq!(store.cursor(JOURNAL).await.unwrap_err().class, Class::Retry);
    store.connect().await.unwrap();
    assert_eq!(store.cursor(JOURNAL).await.unwrap(), Some(Cursor { epoch: 1, position: Position(9), turn: 1 }));
    // A group without rows moves the cursor too, and another journal has a cursor of its own.
    store.write(&Group::default(), &Advance { from: Position(9), to: Position(10), turn: 1, ..advance }).await.unwrap();
    let other = JournalId([8; 16]);
    assert_eq!(store.cursor(other).await.unwrap(), None);
    assert_eq!(store.adopt(other, Position::FIRST).await.unwrap(), Cursor { epoch: 1, position: Position(1), turn: 0 });
    assert_eq!(store.newest_received_ms().await.unwrap(), Some((NOON + 3) * 1_000 + 1_500));
}

pub(crate) async fn an_adopted_journal_fences_the_earlier_process(place: Place) {
    let mut first = Writer::adopt(place.store().await).await;
    first.write(&everything()).await.unwrap();
    let mut second = Writer::adopt(place.store().await).await;
    assert_eq!(second.cursor, Cursor { epoch: 2, position: Position(2), turn: 1 });
    assert_eq!(first.write(&everything()).await.unwrap_err().class, Class::CursorMoved);
    assert_eq!(place.number("SELECT count(*) FROM observations").await, 4);
    second.write(&everything()).await.unwrap();
    assert_eq!(place.number("SELECT count(*) FROM observations").await, 8);
}

/// Makes the database refuse observations of -99 dBm.
async fn poison(place: &Place) {
    place
        .execute(if place.is_postgres() {
            "ALTER TABLE observation ADD CONSTRAINT no_poison CHECK (rssi <> -99)"
        } else {
            "CREATE TRIGGER no_poison BEFORE INSERT ON observation WHEN NEW.rssi = -99 BEGIN SELECT RAISE(ABORT, 'poison'); END"
        })
        .await;
}

fn poisoned() -> Group {
    let mut group = everything();
    let source = group.source("mall", "N_new", Some(ap(9)), Radio::Wifi);
    group.observe(NOON, BOB, source, "new", -99);
    group
}

pub(crate) async fn a_failed_write_leaves_nothing(place: Place) {
    let mut writer = Writer::adopt(place.store().await).await;
    poison(&place).await;
    let error = writer.write(&poisoned()).await.unwrap_err();
    assert_eq!(error.class, Class::Data, "{error}");
    assert!(!error.message.contains("Failing row"), "a row's values stay out of messages: {error}");
    for table in ["dictionary", "source", "observation", "location", "access_point", "client", "post"] {
        assert_eq!(place.number(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
    }
    writer.store.connect().await.unwrap();
    assert_eq!(writer.store.cursor(JOURNAL).await.unwrap(), Some(writer.cursor));
    // The ids of the failed transaction are forgotten: the same names stand right afterwards.
    let mut group = poisoned();
    for row in &mut group.observations {
        row.rssi_dbm = row.rssi_dbm.max(-98);
    }
    writer.write(&group).await.unwrap();
    writer.write(&group).await.unwrap();
    let sql = "SELECT receiver, network, ap, ssid, count(*) FROM observations GROUP BY receiver, network, ap, ssid ORDER BY ap, ssid";
    let mut rows = place.ask(sql).await;
    rows.sort();
    let expected = [
        "mall|N_1|00:18:0a:00:00:01|-|2",
        "mall|N_1|00:18:0a:00:00:01|guest|2",
        "mall|N_1|00:18:0a:00:00:02|-|2",
        "mall|N_new|00:18:0a:00:00:09|new|2",
        "old|-|00:18:0a:00:00:03|gäste|2",
    ];
    assert_eq!(rows, expected);
}

pub(crate) async fn a_probe_writes_nothing(place: Place) {
    let mut writer = Writer::adopt(place.store().await).await;
    poison(&place).await;
    let group = poisoned();
    let nothing = Part { observations: 0..0, locations: 0..0, access_points: 0..0, clients: 0..0, posts: 0..0 };
    let good = Part { observations: 0..4, locations: 0..2, access_points: 0..2, clients: 0..2, posts: 0..2 };
    writer.store.probe(&group, &nothing).await.unwrap();
    writer.store.probe(&group, &good).await.unwrap();
    let error = writer.store.probe(&group, &Part { observations: 4..5, ..nothing }).await.unwrap_err();
    assert_eq!(error.class, Class::Data);
    for table in ["dictionary", "source", "observation", "location", "access_point", "client", "post"] {
        assert_eq!(place.number(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
    }
    writer.store.connect().await.unwrap();
    assert_eq!(writer.store.cursor(JOURNAL).await.unwrap(), Some(writer.cursor));
}

pub(crate) async fn facts_merge_in_any_order(place: Place) {
    // One group per step: the time, the name told (empty: none), the maker told.
    let steps = [(NOON, "old", "Acme"), (NOON + 60, "new", ""), (NOON + 30, "middle", "Bolt")];
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let mut writer = Writer::adopt(place.store().await).await;
    for (number, order) in orders.iter().enumerate() {
        let receiver = format!("order {number}");
        for &step in order {
            let (at, name, maker) = steps[step];
            let mut group = Group::default();
            let mut row = bare_access_point(&mut group, &receiver, ap(1), at);
            row.name = fact(&mut group, name, at);
            row.on_plan = Pair { a: f64::from(u32::try_from(step).unwrap()), b: 1.0, at };
            group.access_points.push(row);
            let mut row = bare_client(&mut group, &receiver, ALICE, Radio::Wifi, at);
            row.facts[0] = fact(&mut group, maker, at);
            group.clients.push(row);
            writer.write(&group).await.unwrap();
        }
    }
    let seen = "2026-03-01T12:00:00Z|2026-03-01T12:01:00Z";
    let rows = place.ask("SELECT name, network, x_m, y_m, first_seen, last_seen FROM access_points").await;
    assert_eq!(rows, vec![format!("new|N_1|1.0|1.0|{seen}"); orders.len()]);
    let rows = place.ask("SELECT manufacturer, os, first_seen, last_seen FROM clients").await;
    assert_eq!(rows, vec![format!("Bolt|-|{seen}"); orders.len()]);
    // Told for the same time: the newcomer stands; and a none never erases.
    for (name, expected) in [("again", "again"), ("", "again"), ("last", "last")] {
        let mut group = Group::default();
        let mut row = bare_access_point(&mut group, "order 0", ap(1), NOON + 60);
        row.name = if name.is_empty() { Fact::default() } else { fact(&mut group, name, NOON + 60) };
        group.access_points.push(row);
        writer.write(&group).await.unwrap();
        assert_eq!(place.ask("SELECT name, x_m FROM access_points WHERE receiver = 'order 0'").await, [format!("{expected}|1.0")]);
    }
}

pub(crate) async fn a_time_without_a_fact_says_that_the_stored_one_was_true_then(place: Place) {
    let mut writer = Writer::adopt(place.store().await).await;
    // The time, the name told (empty: the time alone), and what is stored afterwards.
    for (at, name, stored) in
        [(60, "", "-"), (0, "door", "door"), (120, "", "door"), (90, "gate", "door"), (120, "gate", "gate"), (30, "", "gate"), (119, "hall", "gate")]
    {
        let mut group = Group::default();
        let mut row = bare_access_point(&mut group, "mall", ap(1), NOON);
        row.name = Fact { text: group.text(name), at: NOON + at };
        row.on_plan = if name.is_empty() { Pair { at: NOON + at, ..Pair::NONE } } else { Pair { a: name.len() as f64, b: 1.0, at: NOON + at } };
        group.access_points.push(row);
        writer.write(&group).await.unwrap();
        let x = if stored == "-" { "-" } else { "4.0" };
        assert_eq!(place.ask("SELECT name, x_m FROM access_points").await, [format!("{stored}|{x}")], "{at} {name}");
    }
}

pub(crate) async fn times_of_last_sight_catch_up_with_the_observations(place: Place) {
    let mut writer = Writer::adopt(place.store().await).await;
    let mut group = everything();
    let (heard, placed) = (group.source("mall", "N_1", Some(ap(1)), Radio::Wifi), group.source("mall", "N_1", None, Radio::Wifi));
    let (beacon, other) = (group.source("mall", "N_1", Some(ap(2)), Radio::Ble), group.source("old", "", Some(ap(1)), Radio::Wifi));
    group.observe(NOON + 40, ALICE, heard, "", -60);
    group.locate(NOON + 50, ALICE, placed, "g_1", [1.0, 1.0, 2.0, 2.0, 1.0]);
    group.observe(NOON - 40, CAROL, beacon, "", -60);
    group.observe(NOON + 70, ALICE, other, "", -60);
    writer.write(&group).await.unwrap();
    let times = "SELECT last_seen FROM clients UNION ALL SELECT last_seen FROM access_points";
    let before = place.ask(times).await;
    assert_eq!(before, ["2026-03-01T12:00:00Z"; 4]);
    writer.store.catch_up(NOON + 60).await.unwrap();
    assert_eq!(place.ask(times).await, before, "what is older is not looked at, and what another receiver heard is another's");
    writer.store.catch_up(NOON - 60).await.unwrap();
    assert_eq!(place.ask("SELECT last_seen FROM clients ORDER BY last_seen").await, ["2026-03-01T12:00:02Z", "2026-03-01T12:00:50Z"]);
    assert_eq!(place.ask("SELECT last_seen FROM access_points ORDER BY ap").await, ["2026-03-01T12:00:40Z", "2026-03-01T12:00:02Z"]);
}

pub(crate) async fn posts_add_up(place: Place) {
    let mut writer = Writer::adopt(place.store().await).await;
    for posts in 1..=3 {
        let mut group = Group::default();
        let source = group.source("mall", "N_1", None, Radio::Wifi);
        group.post(source, NOON, posts, 10 * posts);
        group.post(source, NOON + 60, 1, 0);
        writer.write(&group).await.unwrap();
    }
    let rows = place.ask("SELECT minute, posts, observations FROM posts ORDER BY minute").await;
    assert_eq!(rows, ["2026-03-01T12:00:00Z|6|60", "2026-03-01T12:01:00Z|3|0"]);
}

pub(crate) async fn observations_are_found(place: Place) {
    let mut writer = Writer::adopt(place.store().await).await;
    writer.write(&everything()).await.unwrap();
    let mut group = everything();
    let mut expected = vec![true; 4];
    let row = group.observations[0];
    let (other, unknown) = (group.source("mall", "N_1", Some(ap(2)), Radio::Wifi), group.source("mall", "N_9", Some(ap(1)), Radio::Wifi));
    let (never, none) = (group.text("never"), group.text(""));
    for change in 0..8 {
        let mut row = row;
        match change {
            0 => row.received_at_ms += 5_000,
            1 => row.observed_at += 1,
            2 => row.client = BOB,
            3 => row.source = other,
            4 => row.source = unknown,
            5 => row.ssid = never,
            6 => row.ssid = none,
            _ => row.rssi_dbm += 1,
        }
        group.observations.push(row);
        // Only the time of arrival may differ.
        expected.push(change == 0);
    }
    let rows = group.observations.clone();
    assert_eq!(writer.store.find_observations(&group, &rows).await.unwrap(), expected);
    assert_eq!(writer.store.find_observations(&group, &[]).await.unwrap(), Vec::<bool>::new());
    let many: Vec<_> = (0..5_000).map(|seconds| store::group::ObservationRow { observed_at: NOON + seconds, ..row }).collect();
    let found = writer.store.find_observations(&group, &many).await.unwrap();
    assert_eq!(found.iter().filter(|found| **found).count(), 1);
    // Looking for what is not there adds nothing.
    assert_eq!(place.number("SELECT count(*) FROM dictionary WHERE value IN ('never', 'N_9')").await, 0);
}

pub(crate) async fn locations_are_found(place: Place) {
    let mut writer = Writer::adopt(place.store().await).await;
    let mut group = everything();
    group.locations[0].uncertainty_m = 0.0;
    writer.write(&group).await.unwrap();
    let mut expected = vec![true; 2];
    let row = group.locations[0];
    let (never, unknown) = (group.text("never"), group.source("mall", "", None, Radio::Wifi));
    for change in 0..9 {
        let mut row = row;
        match change {
            0 => row.received_at_ms += 5_000,
            1 => row.uncertainty_m = -0.0,
            2 => row.observed_at += 1,
            3 => row.client = CAROL,
            4 => row.source = unknown,
            5 => row.floor_plan = never,
            6 => row.x_m += 1e-9,
            7 => row.lat = f64::NAN,
            _ => row.floor_plan_name = store::texts::Text::NONE,
        }
        group.locations.push(row);
        expected.push(change < 2);
    }
    let rows = group.locations.clone();
    assert_eq!(writer.store.find_locations(&group, &rows).await.unwrap(), expected);
}

pub(crate) async fn recent_rows_come_back(place: Place) {
    let mut writer = Writer::adopt(place.store().await).await;
    let mut group = everything();
    let source = group.sources.len() as u32 - 1;
    for number in 0..12_000 {
        group.observe(NOON + 10 + number / 7, ClientId(u64::MAX - number.unsigned_abs()), source, "many", -50);
    }
    writer.write(&group).await.unwrap();
    let (mut chunks, mut observations, mut locations) = (0, Vec::new(), Vec::new());
    let mut each = |part: &Group| {
        chunks += 1;
        observations.extend(part.observations.iter().map(|row| shown(part, row)));
        locations.extend(part.locations.iter().map(|row| {
            let text = |text| part.texts.get(text).unwrap_or("-").to_owned();
            let names = [text(part.sources[row.source as usize].receiver), text(row.floor_plan), text(row.floor_plan_name)];
            let numbers = [row.x_m, row.y_m, row.lat, row.lng, row.uncertainty_m].map(|number| format!("{number:?}"));
            (row.observed_at, row.received_at_ms, row.client, names, numbers)
        }));
    };
    writer.store.recent(NOON + 1, &mut each).await.unwrap();
    assert!(chunks >= 2);
    let mut expected: Vec<_> = group.observations.iter().filter(|row| row.observed_at > NOON).map(|row| shown(&group, row)).collect();
    observations.sort_unstable();
    expected.sort_unstable();
    assert!(observations == expected, "{} rows came back of {}", observations.len(), expected.len());
    let names = ["mall".to_owned(), "g_1".to_owned(), "g_1 name".to_owned()];
    let numbers = ["NaN", "NaN", "47.1", "8.2", "NaN"].map(str::to_owned);
    assert_eq!(locations, [(NOON + 1, (NOON + 1) * 1_000 + 1_500, BOB, names, numbers)]);
}

/// An observation without the numbers that are its group's own.
fn shown(group: &Group, row: &store::group::ObservationRow) -> String {
    let source = &group.sources[row.source as usize];
    let text = |text| group.texts.get(text).unwrap_or("-");
    let ap = source.ap.map(|mac| mac.text().to_string());
    let (receiver, network, radio) = (text(source.receiver), text(source.network), source.radio.name());
    format!("{} {} {} {receiver} {network} {ap:?} {radio} {} {}", row.observed_at, row.received_at_ms, row.client, text(row.ssid), row.rssi_dbm)
}

pub(crate) async fn a_changed_schema_is_a_schema_error(place: Place) {
    let mut writer = Writer::adopt(place.store().await).await;
    place.execute("DROP VIEW observations; ALTER TABLE observation DROP COLUMN ssid").await;
    let error = writer.write(&everything()).await.unwrap_err();
    assert_eq!(error.class, Class::Schema, "{error}");
    writer.store.connect().await.unwrap();
    assert_eq!(writer.store.cursor(JOURNAL).await.unwrap(), Some(writer.cursor));
}

pub(crate) async fn a_newer_schema_is_refused(place: Place) {
    let mut store = place.store().await;
    let applied = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                   SELECT 9999, 'from the future', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
    place.execute(applied).await;
    let error = store.connect().await.unwrap_err();
    assert_eq!(error.class, Class::Schema);
    assert!(error.message.contains("9999") && error.message.contains("newer version"), "{error}");
}

pub(crate) async fn without_a_connection_nothing_is_done(place: Place) {
    let mut store = store::database::Database::from_url(&place.url).unwrap();
    assert_eq!(store.kind(), if place.is_postgres() { "postgres" } else { "sqlite" });
    assert_eq!(store.cursor(JOURNAL).await.unwrap_err().class, Class::Retry);
    assert_eq!(store.adopt(JOURNAL, Position::FIRST).await.unwrap_err().class, Class::Retry);
}

pub(crate) async fn pseudonyms_of_every_sign_are_hexadecimal(place: Place) {
    let mut writer = Writer::adopt(place.store().await).await;
    let mut group = Group::default();
    let source = group.source("mall", "N_1", Some(ap(1)), Radio::Wifi);
    let clients = [0, 1, 0xffff_ffff_ffff, 1 << 48, i64::MAX.unsigned_abs(), 1 << 63, u64::MAX].map(ClientId);
    for client in clients {
        group.observe(NOON, client, source, "", -50);
        let row = bare_client(&mut group, "mall", client, Radio::Wifi, NOON);
        group.clients.push(row);
    }
    writer.write(&group).await.unwrap();
    let mut expected = clients.map(|client| client.to_string());
    expected.sort();
    for view in ["observations", "clients"] {
        let mut shown = place.ask(&format!("SELECT client FROM {view}")).await;
        shown.sort();
        assert_eq!(shown, expected, "{view}");
    }
}

pub(crate) async fn a_poison_string_spoils_only_its_own_probe(place: Place) {
    let mut writer = Writer::adopt(place.store().await).await;
    let mut group = everything();
    group.access_points[0].tags = fact(&mut group, "no json", NOON);
    let nothing = Part { observations: 0..0, locations: 0..0, access_points: 0..0, clients: 0..0, posts: 0..0 };
    assert_eq!(writer.write(&group).await.unwrap_err().class, Class::Data);
    writer.store.connect().await.unwrap();
    writer.store.probe(&group, &Part { observations: 0..4, access_points: 1..2, clients: 0..2, ..nothing.clone() }).await.unwrap();
    let error = writer.store.probe(&group, &Part { access_points: 0..1, ..nothing }).await.unwrap_err();
    assert_eq!(error.class, Class::Data);
    assert!(!error.message.contains("no json"), "{error}");
}

pub(crate) async fn long_strings_are_stored(place: Place) {
    let mut writer = Writer::adopt(place.store().await).await;
    let ssid: String = (0..100_000_u32).map(|n| char::from_u32(0x4e00 + n * 7919 % 20_000).unwrap()).collect();
    for _ in 0..2 {
        let mut group = Group::default();
        let source = group.source("mall", "N_1", Some(ap(1)), Radio::Wifi);
        group.observe(NOON, ALICE, source, &ssid, -50);
        writer.write(&group).await.unwrap();
    }
    assert_eq!(place.ask("SELECT DISTINCT ssid FROM observations").await, [ssid]);
    assert_eq!(place.number("SELECT count(*) FROM dictionary").await, 3);
}

pub(crate) async fn every_table_and_column_is_explained(place: Place) {
    drop(place.store().await);
    let unexplained = if place.is_postgres() { crate::postgres::unexplained(&place).await } else { crate::sqlite::unexplained(&place).await };
    assert_eq!(unexplained, Vec::<String>::new());
}
