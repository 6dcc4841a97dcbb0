//! An epoch ends in the middle of a site's life: its rows lose their clients, and no number changes.

use store::forget::Forget;
use store::writer::Store;

use crate::check::differences;
use crate::place::Place as Room;
use crate::rows::{Session, Stay, Tables};
use crate::site::Site;
use crate::stores::{ask, fill_and_forget, only_listed, tables, whole};
use crate::{definition, random};

#[tokio::test]
async fn sqlite_forgets_clients_and_keeps_the_numbers() {
    assert!(hold_all(Room::sqlite, 120).await > 8);
}

#[tokio::test]
async fn postgres_forgets_clients_and_keeps_the_numbers() {
    assert!(hold_all(Room::postgres, 48).await > 4);
}

/// How many sites had an epoch with visits before and after its end.
async fn hold_all(room: fn() -> Room, seeds: u64) -> usize {
    let mut held = 0;
    // Arrivals of these are in order.
    for seed in (3_000..3_000 + seeds).filter(|seed| seed.is_multiple_of(4)) {
        let Some((site, edge)) = site(seed) else { continue };
        hold(&room(), &site, seed, edge).await;
        held += 1;
    }
    held
}

/// A site whose key changes in the middle; what came when the key was gone is left out, since it has no name.
fn site(seed: u64) -> Option<(Site, i64)> {
    let mut site = random::site(seed);
    if site.epoch.is_some() {
        // Its clients have changed elsewhere.
        return None;
    }
    let mut times: Vec<i64> = site.observations.iter().map(|row| row.t).collect();
    times.sort_unstable();
    let edge = times[times.len() / 2];
    (site.epoch, site.identity_days, site.key_birth) = (Some(edge.rem_euclid(86_400)), 1, None);
    for row in &mut site.observations {
        row.client += 100 * u32::try_from((row.t - edge).div_euclid(86_400) + 50).unwrap();
    }
    site.observations.retain(|row| (row.t < edge) == (row.received < edge + GRACE_S));
    let starts: Vec<i64> = only_listed(definition::tables(&site)).sessions.into_iter().map(|session| session.started).collect();
    (starts.iter().any(|&start| start < edge) && starts.iter().any(|&start| start >= edge)).then_some((site, edge))
}

async fn hold(room: &Room, site: &Site, seed: u64, edge: i64) {
    let what =
        Forget { from: i64::MIN, to: edge, receivers: vec!["mall".to_owned()], sites: vec!["here".to_owned()], ended_until: Some(edge), keep_counts: false };
    fill_and_forget(room, site, seed, Some((edge + GRACE_S, what.clone()))).await;
    let expected = nobodys(only_listed(definition::tables(site)), edge);
    let mut found = tables(room, site).await;
    // Which is another question.
    found.now = expected.now.clone();
    let wrong = differences(&expected, &found);
    assert!(wrong.is_empty(), "seed {seed}\n{}", wrong.join("\n"));

    let count = async |sql: String| whole(&ask(room, &format!("SELECT count(*) FROM {sql}")).await[0][0]);
    let edge_text = jiff::Timestamp::from_second(edge).unwrap();
    for (view, time) in [("observations", "observed_at"), ("clients", "first_seen")] {
        assert_eq!(count(format!("{view} WHERE {time} < '{edge_text}'")).await, 0, "seed {seed}: {view}");
        assert!(count(format!("{view} WHERE {time} >= '{edge_text}'")).await > 0, "seed {seed}: {view}");
    }
    assert!(count("presence_record".to_owned()).await > 0, "seed {seed}");
    assert_eq!(count(format!("visits WHERE (client IS NULL) <> (started_at < '{edge_text}')")).await, 0, "seed {seed}");
    assert_eq!(count(format!("visits WHERE NOT final AND ended_at < '{edge_text}'")).await, 0, "seed {seed}");
    assert_eq!(count(format!("hourly WHERE NOT final AND hour < '{}'", jiff::Timestamp::from_second(edge - 3_600).unwrap())).await, 0, "seed {seed}");
    // Others' rows are none of ours, and what is done is done.
    let before = count("visits WHERE client IS NULL".to_owned()).await;
    let mut store = room.store().await;
    let others = Forget { to: i64::MAX, receivers: vec!["other".to_owned()], sites: vec!["elsewhere".to_owned()], ..what.clone() };
    for what in [others, what] {
        let mut rows = 0;
        loop {
            let forgotten = store.forget(&what).await.unwrap();
            rows += forgotten.rows;
            if !forgotten.more {
                break;
            }
        }
        assert_eq!(rows, 0, "seed {seed}");
    }
    assert_eq!(count("visits WHERE client IS NULL".to_owned()).await, before, "seed {seed}");
}

/// The visits of before the edge are client 0's, in the order in which they are read.
fn nobodys(tables: Tables, edge: i64) -> Tables {
    let sessions = tables.sessions.into_iter().map(|session| Session { client: if session.started < edge { 0 } else { session.client }, ..session });
    let stays = tables.stays.into_iter().map(|stay| Stay { client: if stay.started < edge { 0 } else { stay.client }, ..stay });
    Tables { sessions: sessions.collect(), stays: stays.collect(), ..tables }
}

/// How long a key outlives its epoch.
const GRACE_S: i64 = 3_600;
