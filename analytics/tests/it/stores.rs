//! The views of real stores held against the definition: what the engine tells is written, the process stops and goes on from the store.

use std::collections::BTreeSet;
use std::time::Duration;

use analytics::presence::engine::Engine;
use store::database::Database;
use store::forget::Forget;
use store::group::{Address, CLIENT_FACTS, ClientRow, Fact, Group, PostRow};
use store::position::{JournalId, Position};
use store::presence::Keep;
use store::query::{Cell, Sink, query};
use store::texts::Text;
use store::writer::{Advance, Store};

use crate::check::differences;
use crate::engine::{arrivals, group_of, settings};
use crate::place::Place as Room;
use crate::random::Dice;
use crate::rows::{COUNTS, Class, Counts, Cut, Flow, Identity, Kind, Now, Occupancy, Place, Session, Stay, Tables};
use crate::site::{Observation, Site, Window};
use crate::{definition, random};

#[tokio::test]
async fn the_views_of_sqlite_are_the_definition() {
    let mut worked_out = 0;
    for seed in 1_000..1_025 {
        worked_out += hold(Room::sqlite(), seed).await;
    }
    assert!(worked_out > 100, "{worked_out}");
}

#[tokio::test]
async fn the_views_of_postgres_are_the_definition() {
    let mut worked_out = 0;
    for seed in 2_000..2_012 {
        worked_out += hold(Room::postgres(), seed).await;
    }
    assert!(worked_out > 50, "{worked_out}");
}

/// Each minute in which a post arrived is counted once, in its hour and in its day, unless arrivals went back.
async fn hold_coverage(room: &Room, site: &Site, seed: u64) {
    let minutes: BTreeSet<i64> = arrivals(site, seed, &mut Dice(seed)).iter().map(|row| row.received.div_euclid(60)).collect();
    for level in [0, 1] {
        let covered = whole(&ask(room, &format!("SELECT coalesce(sum(minutes), 0) FROM presence_covered WHERE level = {level}")).await[0][0]);
        let is_in_order = seed.is_multiple_of(4);
        assert!(covered <= minutes.len() as i64 && (!is_in_order || covered == minutes.len() as i64), "seed {seed}: {covered} of {}", minutes.len());
    }
}

/// How many percentiles were worked out for good.
async fn hold(room: Room, seed: u64) -> i64 {
    let mut site = random::site(seed);
    fill(&room, &site, seed).await;
    let until = ask(&room, "SELECT DISTINCT data_until FROM hourly").await;
    site.now_at = until.iter().map(|row| time(&row[0])).collect();
    let expected = only_listed(definition::tables(&site));
    let wrong = differences(&expected, &tables(&room, &site).await);
    assert!(wrong.is_empty(), "seed {seed}\n{}", wrong.join("\n"));
    // Housekeeping works percentiles out for good, and changes nothing.
    let mut store = room.store().await;
    while store.tend(0, &FOR_EVER).await.unwrap() {}
    let wrong = differences(&expected, &tables(&room, &site).await);
    assert!(wrong.is_empty(), "seed {seed}, after housekeeping\n{}", wrong.join("\n"));
    hold_finality(&room, &site, seed).await;
    hold_coverage(&room, &site, seed).await;
    whole(&ask(&room, "SELECT count(*) FROM presence_count WHERE NOT is_stale AND measured > 0").await[0][0])
}

#[tokio::test]
async fn sqlite_keeps_presence_for_as_long_as_it_is_told() {
    keeps_for_as_long_as_it_is_told(Room::sqlite()).await;
}

#[tokio::test]
async fn postgres_keeps_presence_for_as_long_as_it_is_told() {
    keeps_for_as_long_as_it_is_told(Room::postgres()).await;
}

/// Each table by a span of its own, from the time that its rows are of.
async fn keeps_for_as_long_as_it_is_told(room: Room) {
    let site = random::site(1_003);
    fill(&room, &site, 1_003).await;
    let count = async |table: &str| whole(&ask(&room, &format!("SELECT count(*) FROM {table}")).await[0][0]);
    let tables = ["presence_session", "presence_stay", "presence_occupancy", "presence_count", "presence_flow", "presence_record"];
    for table in tables {
        assert!(count(table).await > 0, "{table} is empty from the start");
    }
    let latest = site.observations.iter().map(|row| row.t).max().unwrap();
    let now_ms = (latest + 40 * 86_400) * 1_000;
    let mut store = room.store().await;
    let tend = async |store: &mut Database, keep: Keep| while store.tend(now_ms, &keep).await.unwrap() {};
    tend(&mut store, Keep { visits: days(10), ..FOR_EVER }).await;
    assert_eq!((count("visits").await, count("stays").await), (0, 0));
    assert!(count("occupancy").await > 0 && count("hourly").await > 0 && count("presence_record").await > 0);
    tend(&mut store, Keep { occupancy: days(10), ..FOR_EVER }).await;
    assert_eq!(count("occupancy").await, 0);
    assert!(count("hourly").await > 0 && count("daily").await > 0 && count("flow").await > 0);
    tend(&mut store, Keep { counts: days(10), ..FOR_EVER }).await;
    assert_eq!((count("hourly").await, count("daily").await, count("flow").await), (0, 0, 0));
    // What is known of clients outlives a short span: late observations and returning visitors need it.
    tend(&mut store, Keep { records: days(1), ..FOR_EVER }).await;
    assert_eq!(count("presence_record").await, 0, "nobody was observed in the last 30 days");
    assert!(count("clients").await > 0);
    tend(&mut store, Keep { clients: days(10), ..FOR_EVER }).await;
    assert_eq!(count("clients").await, 0);
}

fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

/// A window is final when the watermark is past all that may still come of it, and no session that is not so, and may be a visit, overlaps it.
async fn hold_finality(room: &Room, site: &Site, seed: u64) {
    let p = site.profile;
    let reach = p.gap_s + p.allowed_lateness_s;
    let sessions = definition::tables(site).sessions;
    for (view, label, kind) in [("hourly", "hour", Kind::Hour), ("daily", "day", Kind::Day)] {
        for row in ask(room, &format!("SELECT DISTINCT {label}, final, data_until FROM {view}")).await {
            let watermark = time(&row[2]);
            let window = window_of(site, kind, &row[0]);
            let is_open = |session: &Session| {
                let dwell = session.ended - session.started;
                watermark <= session.ended + reach && dwell <= p.max_visit_s && session.started < window.b && session.class != Class::Fixture
            };
            let is_final = watermark > window.b + reach && !sessions.iter().any(is_open);
            assert_eq!(whole(&row[1]) == 1, is_final, "seed {seed}: {view} {row:?}");
        }
    }
}

/// What views list: visits and their stays, and whether a visit was connected.
pub(crate) fn only_listed(tables: Tables) -> Tables {
    let sessions: Vec<Session> = tables.sessions.into_iter().filter(|session| session.class == Class::Visit).collect();
    let is_visit = |stay: &Stay| sessions.iter().any(|session| (session.client, session.started) == (stay.client, stay.started));
    let stays = tables.stays.into_iter().filter(is_visit).collect();
    let sessions = sessions.into_iter().map(|session| Session { connected_at: session.connected_at.map(|_| 1), ..session }).collect();
    Tables { sessions, stays, ..tables }
}

/// Writes a site's observations in commits, and stops now and then.
async fn fill(room: &Room, site: &Site, seed: u64) {
    fill_and_forget(room, site, seed, None).await;
}

/// As [`fill`]; an epoch is forgotten before the first arrival from a second on.
pub(crate) async fn fill_and_forget(room: &Room, site: &Site, seed: u64, mut forget: Option<(i64, Forget)>) {
    let mut dice = Dice(seed);
    let arrivals = arrivals(site, seed, &mut dice);
    let (mut store, mut engine, mut at) = begin(room, site, &mut dice).await;
    let mut now_ms = 0;
    let mut waiting = arrivals.as_slice();
    loop {
        let mut size = usize::try_from(1 + dice.below(20)).unwrap().min(waiting.len());
        let is_of_the_epoch = |row: &&Observation| forget.as_ref().is_none_or(|(until, _)| row.received < *until);
        let of_the_epoch = waiting.iter().take_while(|row| is_of_the_epoch(row)).count();
        let ends = forget.is_some() && of_the_epoch <= size;
        size = size.min(of_the_epoch);
        let (piece, rest) = waiting.split_at(size);
        now_ms += dice.below(90_000);
        let mut group = group_of(piece);
        add_clients(&mut group, piece);
        add_posts(&mut group, piece);
        engine.absorb(&group, &group.observations);
        engine.next_group();
        let keys = engine.prepare(now_ms, rest.is_empty() || ends);
        let bodies = store.records(&keys).await.unwrap();
        assert_eq!(engine.fill(bodies), 0);
        let mut changes = std::mem::take(&mut group.presence);
        engine.cover(&group, &mut changes);
        engine.publish(&mut changes);
        group.presence = changes;
        store.write(&group, &at).await.unwrap();
        at = Advance { from: at.to, to: at.to.next(), turn: at.turn + 1, ..at };
        if ends && let Some((_, what)) = forget.take() {
            // Told again from the beginning, as by a process that is killed between two steps.
            let mut steps = 0;
            while store.forget(&what).await.unwrap().more {
                steps += 1;
                if steps == 2 {
                    store = room.store().await;
                }
            }
        }
        if rest.is_empty() {
            return;
        }
        waiting = rest;
        if dice.one_in(9) {
            (store, engine, at) = begin(room, site, &mut dice).await;
        }
    }
}

async fn begin(room: &Room, site: &Site, dice: &mut Dice) -> (Database, Engine, Advance) {
    let mut store = room.store().await;
    let cursor = store.adopt(JOURNAL, Position::FIRST).await.unwrap();
    let mut engine = Engine::new(settings(site, dice));
    let stored = store.presence(JOURNAL).await.unwrap();
    assert!(engine.recall(&stored.scopes).is_empty());
    if let Some(since) = stored.unpublished_since {
        let mut take_in = |group: &Group| {
            let rows: Vec<_> = group.observations.iter().filter(|row| row.observed_at >= since).copied().collect();
            engine.absorb(group, &rows);
            engine.next_group();
        };
        store.recent(since, &mut take_in).await.unwrap();
    }
    let at = Advance { journal: JOURNAL, epoch: cursor.epoch, from: cursor.position, to: cursor.position.next(), turn: cursor.turn };
    (store, engine, at)
}

/// The rows of clients, which say what kind of address each has.
fn add_clients(group: &mut Group, observations: &[&Observation]) {
    let receiver = group.texts.intern("mall");
    let mut rows: Vec<ClientRow> = Vec::new();
    for (row, told) in group.observations.iter().zip(observations) {
        let radio = group.sources[row.source as usize].radio;
        if !rows.iter().any(|known| known.client == row.client && known.radio == radio) {
            rows.push(ClientRow {
                receiver,
                client: row.client,
                radio,
                random_address: Some(row.address == Address::Local),
                group_address: false,
                is_excluded: row.address == Address::Excluded,
                facts: [Fact { text: Text::NONE, at: 0 }; CLIENT_FACTS.len()],
                first_seen: told.t,
                last_seen: told.t,
            });
        }
    }
    group.clients = rows;
}

/// A post for each minute of arrival: a group may span many.
fn add_posts(group: &mut Group, observations: &[&Observation]) {
    for (row, told) in group.observations.iter().zip(observations) {
        let minute = told.received.div_euclid(60) * 60;
        if !group.posts.iter().any(|post| (post.source, post.minute) == (row.source, minute)) {
            group.posts.push(PostRow { source: row.source, minute, posts: 1, observations: 1 });
        }
    }
}

pub(crate) async fn tables(room: &Room, site: &Site) -> Tables {
    let mut tables = Tables::default();
    let visits = "SELECT client, started_at, ended_at, dwell_s, minutes, associated, identity, is_returning, cut FROM visits ORDER BY 1, 2";
    for row in ask(room, visits).await {
        let (started, ended) = (time(&row[1]), time(&row[2]));
        assert_eq!(whole(&row[3]), ended - started);
        tables.sessions.push(Session {
            client: client(&row[0]),
            started,
            ended,
            minutes: whole(&row[4]),
            class: Class::Visit,
            identity: match text(&row[6]) {
                "global" => Identity::Global,
                "local_assoc" => Identity::LocalAssoc,
                _ => Identity::LocalUnassoc,
            },
            connected_at: (whole(&row[5]) == 1).then_some(1),
            is_returning: optional(&row[7]).map(|is| is > 0.0),
            cut: match &row[8] {
                Cell::Text(cut) if cut == "start" => Some(Cut::Start),
                Cell::Text(cut) if cut == "end" => Some(Cut::End),
                Cell::Text(_) => Some(Cut::Both),
                _ => None,
            },
        });
    }
    tables.stays = stays(room).await;
    for row in ask(room, "SELECT place_kind, place, minute, devices, connected FROM occupancy ORDER BY 1, 2, 3").await {
        tables.occupancy.push(Occupancy { place: place_of(&row[0], &row[1]), minute: time(&row[2]), devices: whole(&row[3]), connected: whole(&row[4]) });
    }
    tables.counts = counts(room, site).await;
    let node = |cell: &Cell| match text(cell) {
        "outside" => Place::Outside,
        "unlocated" => Place::Unlocated,
        ap => Place::Ap(ap.to_owned()),
    };
    for row in ask(room, "SELECT from_place, to_place, hour, transitions FROM flow ORDER BY 1, 2, 3").await {
        tables.flow.push(Flow { from: node(&row[0]), to: node(&row[1]), hour: time(&row[2]), transitions: whole(&row[3]) });
    }
    for row in ask(room, "SELECT place_kind, place, data_until, devices, connected FROM now ORDER BY 1, 2, 3").await {
        tables.now.push(Now { t: time(&row[2]), place: place_of(&row[0], &row[1]), devices: whole(&row[3]), connected: whole(&row[4]) });
    }
    tables
}

async fn stays(room: &Room) -> Vec<Stay> {
    let sql = "SELECT s.place_kind, s.place, v.client, v.started_at, s.started_at, s.ended_at, v.visit_id FROM stays s JOIN visits v ON v.visit_id = s.visit_id
               ORDER BY 3, 4, 7, CASE s.place_kind WHEN 'zone' THEN s.place ELSE '' END, 5, 6";
    let mut stays = Vec::new();
    let mut last: Option<(String, Option<Place>)> = None;
    let mut seq = 0;
    for row in ask(room, sql).await {
        let place = place_of(&row[0], &row[1]);
        let (client, started) = (client(&row[2]), time(&row[3]));
        let run = (text(&row[6]).to_owned(), if let Place::Zone(_) = &place { Some(place.clone()) } else { None });
        seq = if last.as_ref() == Some(&run) { seq + 1 } else { 1 };
        last = Some(run);
        stays.push(Stay { client, started, seq, place, a: time(&row[4]), b: time(&row[5]) });
    }
    stays
}

async fn counts(room: &Room, site: &Site) -> Vec<Counts> {
    let mut counts = Vec::new();
    for (view, label, kind) in [("hourly", "hour", Kind::Hour), ("daily", "day", Kind::Day)] {
        for row in ask(room, &format!("SELECT place_kind, place, {label}, {} FROM {view} ORDER BY 1, 2, 3", COUNTS.join(", "))).await {
            let a = window_of(site, kind, &row[2]).a;
            let mut values = [None; COUNTS.len()];
            values.iter_mut().zip(&row[3..]).for_each(|(value, cell)| *value = optional(cell));
            counts.push(Counts { place: place_of(&row[0], &row[1]), kind, a, values });
        }
    }
    counts
}

/// The window that a view names by its hour or its day.
fn window_of(site: &Site, kind: Kind, label: &Cell) -> Window {
    let number = |date: &str| i64::from(EPOCH.until(date.parse::<jiff::civil::Date>().unwrap()).unwrap().get_days());
    let is_named = |window: &Window| match kind {
        Kind::Hour => window.a == time(label),
        Kind::Day => window.n == number(text(label)),
    };
    site.windows().into_iter().find(|window| window.kind == kind && is_named(window)).expect("a window of the calendar")
}

fn place_of(kind: &Cell, place: &Cell) -> Place {
    match text(kind) {
        "site" => Place::Site,
        "ap" => Place::Ap(text(place).to_owned()),
        "zone" => Place::Zone(text(place).to_owned()),
        "unlocated" => Place::Unlocated,
        other => panic!("no kind of place: {other}"),
    }
}

/// 0 of a visit that is nobody's.
fn client(cell: &Cell) -> u32 {
    if let Cell::Null = cell { 0 } else { u32::from_str_radix(&text(cell)[8..], 16).unwrap() }
}

fn time(cell: &Cell) -> i64 {
    text(cell).parse::<jiff::Timestamp>().unwrap().as_second()
}

fn text(cell: &Cell) -> &str {
    if let Cell::Text(text) = cell { text } else { panic!("{cell:?} is no text") }
}

pub(crate) fn whole(cell: &Cell) -> i64 {
    match cell {
        Cell::Integer(number) => *number,
        Cell::Bool(is) => i64::from(*is),
        Cell::Decimal(text) => text.parse().unwrap(),
        other => panic!("{other:?} is no whole number"),
    }
}

fn optional(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Null => None,
        Cell::Number(number) => Some(*number),
        other => Some(whole(other) as f64),
    }
}

pub(crate) async fn ask(room: &Room, sql: &str) -> Vec<Vec<Cell>> {
    let mut rows = Rows::default();
    query(&room.url, sql, &mut rows).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.0
}

#[derive(Default)]
struct Rows(Vec<Vec<Cell>>);

impl Sink for Rows {
    fn columns(&mut self, _: Vec<String>) -> std::io::Result<()> {
        Ok(())
    }

    fn row(&mut self, cells: Vec<Cell>) -> std::io::Result<()> {
        self.0.push(cells);
        Ok(())
    }
}

const FOR_EVER: Keep = Keep { visits: Duration::MAX, occupancy: Duration::MAX, counts: Duration::MAX, records: Duration::MAX, clients: Duration::MAX };
const JOURNAL: JournalId = JournalId([7; 16]);
const EPOCH: jiff::civil::Date = jiff::civil::date(1970, 1, 1);
