//! What is particular to Postgres: partitions, a server that goes away, two writers.

use std::time::Duration;

use store::batch::Radio;
use store::client::ClientId;
use store::group::Group;
use store::position::{JournalId, Position};
use store::postgres::Postgres;
use store::writer::{Advance, Class, Store};

use crate::cluster::Cluster;
use crate::place::Place;
use crate::sample::{ALICE, Add, JOURNAL, NOON, Writer, ap, everything};

const DAY: i64 = 86_400;
const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// Tables, views and columns without a comment.
pub(crate) async fn unexplained(place: &Place) -> Vec<String> {
    place
        .ask(
            "SELECT c.relname::text || coalesce('.' || a.attname, '')
             FROM pg_class c
             LEFT JOIN LATERAL (SELECT 0 AS attnum, NULL::name AS attname UNION ALL
                 SELECT attnum, attname FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) a ON true
             WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
               AND c.relname <> '_sqlx_migrations'
               AND coalesce(col_description(c.oid, nullif(a.attnum, 0)), CASE WHEN a.attnum = 0 THEN obj_description(c.oid, 'pg_class') END) IS NULL",
        )
        .await
}

async fn partitions(place: &Place, table: &str) -> Vec<String> {
    place.ask(&format!("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = '{table}'::regclass ORDER BY 1")).await
}

#[tokio::test]
async fn partitions_are_made_ahead_and_dropped_when_old() {
    let place = Place::postgres();
    let mut writer = Writer::adopt(place.store().await).await;
    let made = writer.store.maintain(NOON * 1_000, WEEK).await.unwrap();
    assert_eq!((made.partitions_made, made.partitions_dropped, made.default_partition_rows), (12, 0, 0));
    let expected = ["20260301", "20260302", "20260303", "20260304", "default"];
    for table in ["observation", "location", "post"] {
        assert_eq!(partitions(&place, table).await, expected.map(|suffix| format!("{table}_{suffix}")));
    }
    let again = writer.store.maintain(NOON * 1_000, WEEK).await.unwrap();
    assert_eq!((again.partitions_made, again.partitions_dropped), (0, 0));
    writer.write(&everything()).await.unwrap();
    // Kept through the seventh day after, dropped on the next.
    let later = writer.store.maintain((NOON + 7 * DAY) * 1_000, WEEK).await.unwrap();
    assert_eq!((later.partitions_dropped, place.number("SELECT count(*) FROM observations").await), (0, 4));
    let later = writer.store.maintain((NOON + 8 * DAY) * 1_000, WEEK).await.unwrap();
    assert_eq!((later.partitions_dropped, later.more), (3, false));
    for view in ["observations", "locations", "posts"] {
        assert_eq!(place.number(&format!("SELECT count(*) FROM {view}")).await, 0, "{view}");
    }
    assert_eq!(place.number("SELECT count(*) FROM clients").await, 2);
    assert_eq!(partitions(&place, "observation").await[0], "observation_20260302");
}

#[tokio::test]
async fn rows_go_straight_to_the_partition_of_their_day() {
    let place = Place::postgres();
    let mut writer = Writer::adopt(place.store().await).await;
    let mut group = everything();
    let source = group.sources.len() as u32 - 1;
    // Received in the last and the first second of a day.
    let midnight = NOON / DAY * DAY + DAY;
    group.observe(midnight - 2, ALICE, source, "", -50);
    group.observe(midnight - 1, ALICE, source, "", -51);
    writer.write(&group).await.unwrap();
    let sql = "SELECT tableoid::regclass::text, count(*) FROM observation GROUP BY 1 ORDER BY 1";
    assert_eq!(place.ask(sql).await, ["observation_20260301|5", "observation_20260302|1"]);
    // COPY named the partition itself: a rule on the parent is not asked.
    assert_eq!(place.ask("SELECT DISTINCT tableoid::regclass::text FROM location").await, ["location_20260301"]);
}

#[tokio::test]
async fn rows_whose_partition_cannot_be_made_fall_into_the_default_one() {
    let place = Place::postgres();
    let mut writer = Writer::adopt(place.store().await).await;
    // Something is there already, so that the day's partition is refused.
    place.execute("INSERT INTO observation VALUES ('2026-03-01 12:00+00', '2026-03-01 12:00+00', 1, 1, NULL, -50)").await;
    writer.write(&everything()).await.unwrap();
    assert_eq!(place.ask("SELECT count(*) FROM observation_default").await, ["5"]);
    let maintained = writer.store.maintain(NOON * 1_000, WEEK).await.unwrap();
    assert_eq!(maintained.default_partition_rows, 5 + 2 + 2);
    // Retention holds for them too.
    let maintained = writer.store.maintain((NOON + 8 * DAY) * 1_000, WEEK).await.unwrap();
    assert_eq!((maintained.rows_deleted, maintained.default_partition_rows), (9, 0));
}

#[tokio::test]
async fn a_reader_that_holds_a_partition_delays_its_end_only() {
    let place = Place::postgres();
    let mut writer = Writer::adopt(place.store().await).await;
    writer.write(&everything()).await.unwrap();
    let mut reader = <sqlx::PgConnection as sqlx::Connection>::connect(&place.url).await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM observations").execute(&mut reader).await.unwrap();
    let maintained = writer.store.maintain((NOON + 9 * DAY) * 1_000, WEEK).await.unwrap();
    assert_eq!(maintained.partitions_dropped, 0);
    sqlx::raw_sql("ROLLBACK").execute(&mut reader).await.unwrap();
    let maintained = writer.store.maintain((NOON + 9 * DAY) * 1_000, WEEK).await.unwrap();
    assert_eq!((maintained.partitions_dropped, maintained.partitions_made), (3, 12));
}

#[tokio::test]
async fn a_server_that_goes_away_is_waited_for() {
    let mut cluster = Cluster::start();
    let url = cluster.make_database("away");
    let mut store = Postgres::new(&url).unwrap();
    store.connect().await.unwrap();
    let mut writer = Writer::adopt(store).await;
    writer.write(&everything()).await.unwrap();
    cluster.stop();
    let error = writer.write(&everything()).await.unwrap_err();
    assert_eq!(error.class, Class::Retry, "{error}");
    let error = writer.store.connect().await.unwrap_err();
    assert_eq!(error.class, Class::Retry, "{error}");
    cluster.restart();
    writer.store.connect().await.unwrap();
    assert_eq!(writer.store.cursor(JOURNAL).await.unwrap(), Some(writer.cursor));
    writer.write(&everything()).await.unwrap();
    assert_eq!(writer.cursor.position, Position(3));
}

#[tokio::test]
async fn a_session_that_the_server_ends_is_opened_again() {
    let place = Place::postgres();
    let mut writer = Writer::adopt(place.store().await).await;
    let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'footfall' AND datname = current_database()";
    assert_eq!(place.number(ended).await, 1);
    let error = writer.write(&everything()).await.unwrap_err();
    assert_eq!(error.class, Class::Retry, "{error}");
    writer.store.connect().await.unwrap();
    writer.write(&everything()).await.unwrap();
}

#[tokio::test]
async fn the_session_commits_to_disk_and_in_utc() {
    let place = Place::postgres();
    place.execute("ALTER DATABASE CURRENT_DATABASE_NAME SET synchronous_commit = off".replace("CURRENT_DATABASE_NAME", name(&place)).as_str()).await;
    let _store = place.store().await;
    // What a session has set shows only to itself: the test looks at a trigger's eyes.
    place
        .execute(
            "CREATE TABLE seen (name text, value text);
             CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO seen SELECT s, current_setting(s) FROM unnest(ARRAY['synchronous_commit', 'TimeZone', 'statement_timeout']) AS s;
                 RETURN NEW; END $$;
             CREATE TRIGGER look AFTER INSERT ON journal_cursor FOR EACH ROW EXECUTE FUNCTION look()",
        )
        .await;
    let _writer = Writer::adopt(place.store().await).await;
    assert_eq!(place.ask("SELECT name, value FROM seen ORDER BY name").await, ["TimeZone|UTC", "statement_timeout|2min", "synchronous_commit|on"]);
}

fn name(place: &Place) -> &str {
    place.url.split_once("@localhost/").unwrap().1.split_once('?').unwrap().0
}

#[tokio::test]
async fn who_cannot_log_in_is_told_so() {
    let place = Place::postgres();
    let mut store = Postgres::new(&place.url.replace("postgres@", "nobody_known:secret@")).unwrap();
    let error = store.connect().await.unwrap_err();
    assert_eq!(error.class, Class::Schema, "{error}");
    assert!(!error.message.contains("secret"), "{error}");
    let mut store = Postgres::new(&place.url.replace(name(&place), "no_such_database")).unwrap();
    assert_eq!(store.connect().await.unwrap_err().class, Class::Schema);
}

#[tokio::test]
async fn two_writers_of_one_database_do_not_hinder_each_other() {
    let place = Place::postgres();
    let write = async |number: u8| {
        let mut store = place.store().await;
        let journal = JournalId([number; 16]);
        let mut cursor = store.adopt(journal, Position::FIRST).await.unwrap();
        for round in 0..20_u64 {
            let mut group = Group::default();
            // Both bring the same new names, in opposite order.
            for at in 0..50_u64 {
                let at = if number == 1 { at } else { 49 - at };
                let source = group.source("mall", &format!("N_{round}"), Some(ap(at)), Radio::Wifi);
                group.observe(NOON, ClientId(u64::from(number)), source, &format!("ssid {round} {at}"), -50);
                let row = crate::sample::bare_client(&mut group, "mall", ClientId(1 << 60 | at), Radio::Wifi, NOON);
                group.clients.push(row);
                group.post(source, NOON, 1, 1);
            }
            let advance = Advance { journal, epoch: cursor.epoch, from: cursor.position, to: cursor.position.next(), turn: cursor.turn };
            store.write(&group, &advance).await.unwrap();
            cursor = advance.end();
        }
    };
    tokio::join!(write(1), write(2));
    assert_eq!(place.number("SELECT count(*) FROM observations").await, 2_000);
    assert_eq!(place.number("SELECT count(*) FROM source").await, 1_000);
    assert_eq!(place.number("SELECT sum(posts) FROM posts").await, 2_000);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    // The system takes the connection; nobody answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut store = Postgres::new(&format!("postgres://postgres@{}/silent?sslmode=disable", listener.local_addr().unwrap())).unwrap();
    let error = store.connect().await.unwrap_err();
    assert_eq!(error.class, Class::Retry);
    assert!(error.message.contains("no answer"), "{error}");
}
