//! The definition run in `SQLite`: on every case, and in ways that must not matter.

use std::collections::BTreeSet;

use analytics::definition::DEFINITION;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params};

use crate::check::{check, differences};
use crate::rows::{COUNTS, Class, Counts, Cut, Flow, Identity, Kind, Now, Occupancy, Place, Session, Stay, Tables};
use crate::site::Site;
use crate::{cases, random};

#[test]
fn every_case_holds() {
    let cases = cases::all();
    assert!(cases.len() >= 67, "{}", cases.len());
    let wrong: Vec<String> = cases.iter().flat_map(|case| told(&case.id, check(&case.expected, &tables(&case.site)))).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A check that compares nothing would let every case pass.
#[test]
fn a_wrong_expectation_of_any_kind_is_noticed() {
    let text = include_str!("../../cases.toml");
    for (id, right, wrong) in WRONG {
        let (before, rest) = text.split_once(&format!("id = \"{id}\"")).unwrap_or_else(|| panic!("no case {id}"));
        assert!(rest.split("[[case]]").next().unwrap().contains(right), "{id} does not say {right}");
        let cases = cases::parse(&format!("{before}id = \"{id}\"{}", rest.replacen(right, wrong, 1)));
        let case = cases.iter().find(|case| case.id == id).unwrap();
        assert!(!check(&case.expected, &tables(&case.site)).is_empty(), "{id}: {wrong} in place of {right} is not noticed");
    }
}

#[test]
fn every_case_has_a_name_of_its_own_and_says_what_it_is_for() {
    let cases = cases::all();
    let names: BTreeSet<&str> = cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(names.len(), cases.len());
    for case in &cases {
        let is_rule = case.rule.strip_prefix('R').is_some_and(|number| number.parse::<u8>().is_ok());
        assert!(is_rule && !case.shows.is_empty(), "{}", case.id);
    }
}

/// A definition that forgets to keep sites apart somewhere gives other rows when two share a database.
#[test]
fn sites_of_one_database_do_not_mix() {
    for seed in 0..20 {
        let (mut one, mut other) = (random::site(seed), random::site(seed + 1000));
        (other.profile, other.identity_days) = (one.profile, one.identity_days);
        let (first, second) = (one.now_at.clone(), other.now_at.clone());
        one.now_at.extend(second);
        other.now_at.extend(first);
        let together = Database::of(&[("one", &one), ("other", &other)]);
        let wrong = [("one", &one), ("other", &other)].map(|(name, site)| differences(&tables(site), &together.tables(name))).concat();
        assert!(wrong.is_empty(), "seed {seed}\n{}", wrong.join("\n"));
    }
}

/// Presence is a function of the set: neither the order of arrival nor a repeat matters.
#[test]
fn order_and_repeats_do_not_matter() {
    for seed in 0..20 {
        let site = random::site(seed);
        let mut turned = site.clone();
        turned.observations.reverse();
        turned.observations.extend(site.observations.iter().step_by(3).cloned());
        let wrong = differences(&tables(&site), &tables(&turned));
        assert!(wrong.is_empty(), "seed {seed}\n{}", wrong.join("\n"));
    }
}

fn told(id: &str, differences: Vec<String>) -> Vec<String> {
    differences.into_iter().map(|difference| format!("{id} {difference}")).collect()
}

/// What the definition says of a site that is alone.
pub(crate) fn tables(site: &Site) -> Tables {
    Database::of(&[("here", site)]).tables("here")
}

/// A database in which the definition has run.
struct Database {
    connection: Connection,
}

impl Database {
    /// Sites with one profile.
    fn of(sites: &[(&str, &Site)]) -> Self {
        let connection = Connection::open_in_memory().expect("open a database in memory");
        connection.execute_batch(INPUTS).expect("make the tables of the inputs");
        let transaction = connection.unchecked_transaction().expect("begin");
        fill_profile(&connection, sites[0].1);
        sites.iter().for_each(|(name, site)| fill(&connection, name, site));
        transaction.commit().expect("commit");
        for (table, text) in DEFINITION {
            connection.execute_batch(text).unwrap_or_else(|error| panic!("{table}: {error}"));
        }
        Self { connection }
    }

    fn tables(&self, site: &str) -> Tables {
        let counts = format!("SELECT place_kind, place, kind, a, {} FROM def_counts WHERE site = ?1 ORDER BY 1, 2, 3, 4", COUNTS.join(", "));
        let sessions =
            "SELECT client, started, ended, minutes, class, identity, connected_at, is_returning, cut FROM def_session WHERE site = ?1 ORDER BY 1, 2";
        let stays = "SELECT place_kind, place, client, started, seq, a, b FROM def_stay WHERE site = ?1 ORDER BY 3, 4, 1, 2, 5";
        let occupancy = "SELECT place_kind, place, minute, devices, connected FROM def_occupancy WHERE site = ?1 ORDER BY 1, 2, 3";
        let flow = "SELECT from_place, to_place, hour, transitions FROM def_flow WHERE site = ?1 ORDER BY 1, 2, 3";
        let now = "SELECT place_kind, place, t, devices, connected FROM def_now WHERE site = ?1 ORDER BY 1, 2, 3";
        Tables {
            sessions: self.rows(sessions, site, session),
            stays: self.rows(stays, site, stay),
            occupancy: self.rows(occupancy, site, |row| Occupancy {
                place: place(row),
                minute: whole(row, 2),
                devices: whole(row, 3),
                connected: whole(row, 4),
            }),
            counts: self.rows(&counts, site, counted),
            flow: self.rows(flow, site, |row| Flow { from: node(row, 0), to: node(row, 1), hour: whole(row, 2), transitions: whole(row, 3) }),
            now: self.rows(now, site, |row| Now { place: place(row), t: whole(row, 2), devices: whole(row, 3), connected: whole(row, 4) }),
        }
    }

    fn rows<T>(&self, sql: &str, site: &str, make: impl Fn(&Row<'_>) -> T) -> Vec<T> {
        let mut statement = self.connection.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let rows = statement.query_map([site], |row| Ok(make(row))).expect("ask for the rows");
        rows.collect::<Result<_, _>>().expect("read the rows")
    }
}

fn fill_profile(connection: &Connection, site: &Site) {
    let p = site.profile;
    let bypass = i64::from(p.assoc_bypasses_rssi);
    let values = [p.ignore_dbm, p.enter_dbm, p.stay_dbm, bypass, p.gap_s, p.ap_gap_s, p.min_dwell_s, p.min_minutes, p.present_s, p.settle_s];
    let values = [&values[..], &[p.settle_db, p.max_visit_s, p.loyalty_days, p.allowed_lateness_s, site.identity_days]].concat();
    let marks = vec!["?"; values.len()].join(", ");
    connection.execute(&format!("INSERT INTO param VALUES ({marks})"), rusqlite::params_from_iter(values)).expect("fill param");
}

fn fill(connection: &Connection, name: &str, site: &Site) {
    let insert = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
        connection.prepare(sql).and_then(|mut statement| statement.execute(values)).unwrap_or_else(|error| panic!("{sql}: {error}"));
    };
    for o in &site.observations {
        let (client, radio) = (format!("c{}", o.client), if o.is_wifi { "wifi" } else { "ble" });
        let row = params![name, client, o.ap, o.t, o.received, o.rssi, radio, o.associated, o.random, o.excluded];
        insert("INSERT INTO raw VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row);
    }
    for w in site.windows() {
        let kind = if w.kind == Kind::Hour { "hour" } else { "day" };
        insert("INSERT INTO win VALUES (?, ?, ?, ?, ?)", params![name, kind, w.n, w.a, w.b]);
    }
    site.minutes().iter().for_each(|minute| insert("INSERT OR IGNORE INTO minute VALUES (?)", params![minute]));
    site.zones.iter().for_each(|z| insert("INSERT INTO zone_ap VALUES (?, ?, ?, ?, ?)", params![name, z.zone, z.ap, z.since, z.until]));
    site.edges().iter().for_each(|at| insert("INSERT INTO edge VALUES (?, ?)", params![name, at]));
    site.key_birth.iter().for_each(|at| insert("INSERT INTO key_birth VALUES (?, ?)", params![name, at]));
    site.now_at.iter().for_each(|t| insert("INSERT INTO now_at VALUES (?, ?)", params![name, t]));
}

fn session(row: &Row<'_>) -> Session {
    Session {
        client: client(row, 0),
        started: whole(row, 1),
        ended: whole(row, 2),
        minutes: whole(row, 3),
        class: match text(row, 4).as_str() {
            "visit" => Class::Visit,
            "bounce" => Class::Bounce,
            "fixture" => Class::Fixture,
            other => panic!("class {other}"),
        },
        identity: match text(row, 5).as_str() {
            "global" => Identity::Global,
            "local_assoc" => Identity::LocalAssoc,
            "local_unassoc" => Identity::LocalUnassoc,
            other => panic!("identity {other}"),
        },
        connected_at: row.get(6).expect("connected_at"),
        is_returning: row.get(7).expect("is_returning"),
        cut: row.get::<_, Option<String>>(8).expect("cut").map(|cut| match cut.as_str() {
            "start" => Cut::Start,
            "end" => Cut::End,
            "both" => Cut::Both,
            other => panic!("cut {other}"),
        }),
    }
}

fn stay(row: &Row<'_>) -> Stay {
    Stay { place: place(row), client: client(row, 2), started: whole(row, 3), seq: whole(row, 4), a: whole(row, 5), b: whole(row, 6) }
}

fn counted(row: &Row<'_>) -> Counts {
    let kind = if text(row, 2) == "hour" { Kind::Hour } else { Kind::Day };
    let value = |column| match row.get::<_, Value>(column).expect("a count") {
        Value::Null => None,
        // Counts of a test are far below 2^53.
        Value::Integer(count) => Some(count as f64),
        Value::Real(rate) => Some(rate),
        other => panic!("{other:?} is no count"),
    };
    Counts { place: place(row), kind, a: whole(row, 3), values: std::array::from_fn(|n| value(n + 4)) }
}

/// The first two columns.
fn place(row: &Row<'_>) -> Place {
    match text(row, 0).as_str() {
        "site" => Place::Site,
        "zone" => Place::Zone(text(row, 1)),
        "ap" => Place::Ap(text(row, 1)),
        "unlocated" => Place::Unlocated,
        other => panic!("place_kind {other}"),
    }
}

/// A node of the flow.
fn node(row: &Row<'_>, column: usize) -> Place {
    match text(row, column).as_str() {
        "outside" => Place::Outside,
        "unlocated" => Place::Unlocated,
        ap => Place::Ap(ap.to_owned()),
    }
}

fn client(row: &Row<'_>, column: usize) -> u32 {
    text(row, column).trim_start_matches('c').parse().expect("a client is c and a number")
}

fn text(row: &Row<'_>, column: usize) -> String {
    row.get(column).expect("a text")
}

fn whole(row: &Row<'_>, column: usize) -> i64 {
    row.get(column).expect("a whole number")
}

/// The tables that the definition reads. The indexes are for speed alone.
const INPUTS: &str = "
CREATE TABLE raw (site TEXT, client TEXT, ap TEXT, t BIGINT, received BIGINT, rssi INTEGER, radio TEXT, associated INTEGER, random INTEGER, excluded INTEGER);
CREATE TABLE param (
    ignore_dbm INTEGER, enter_dbm INTEGER, stay_dbm INTEGER, assoc_bypasses INTEGER, gap_s BIGINT, ap_gap_s BIGINT, min_dwell_s BIGINT,
    min_minutes BIGINT, present_s BIGINT, settle_s BIGINT, settle_db INTEGER, max_visit_s BIGINT, loyalty_days BIGINT,
    allowed_lateness_s BIGINT, identity_days BIGINT
);
CREATE TABLE win (site TEXT, kind TEXT, n BIGINT, a BIGINT, b BIGINT);
CREATE TABLE minute (a BIGINT PRIMARY KEY);
CREATE TABLE zone_ap (site TEXT, zone TEXT, ap TEXT, since BIGINT, until BIGINT);
CREATE TABLE edge (site TEXT, at BIGINT);
CREATE TABLE key_birth (site TEXT, at BIGINT);
CREATE TABLE now_at (site TEXT, t BIGINT);
CREATE INDEX win_by_time ON win (site, kind, a);
";

/// A case, what it says, and what would be wrong: one for each kind of row and each value of one.
const WRONG: [(&str, &str, &str); 28] = [
    ("V01", "10:00:00 10:09:30 3 visit", "10:00:01 10:09:30 3 visit"),
    ("V01", "10:00:00 10:09:30 3 visit", "10:00:00 10:09:31 3 visit"),
    ("V01", "10:00:00 10:09:30 3 visit", "10:00:00 10:09:30 4 visit"),
    ("V01", "10:00:00 10:09:30 3 visit", "10:00:00 10:09:30 3 bounce"),
    ("V01", "10:00:00 10:09:30 3 visit", "10:00:00 10:09:30 3 visit c2"),
    ("V13", "06-14T01:00:00 06-14T01:05:00 3 visit; ", ""),
    ("V21", "identity=local_assoc", "identity=global"),
    ("C12", "connected=11:05:00", "connected=10:55:00"),
    ("V21", "returning=null", "returning=false"),
    ("P01", "cut=end", "cut=both"),
    ("P01", "cut=end", ""),
    ("V01", "A 10:00:00 10:09:30", "B 10:00:00 10:09:30"),
    ("V03", "U 10:11:00 10:20:00; ", ""),
    ("V04", "2 A 10:20:01 10:20:01", "1 A 10:20:01 10:20:01"),
    ("V09", "bounces=1", "bounces=0"),
    ("V15", "capture_rate=1", "capture_rate=0.999"),
    ("V16", "connect_rate=null", "connect_rate=0"),
    ("V16", "capture_rate=0", "capture_rate=null"),
    ("C07", "10:00/C seen=0", "10:00/C seen=1"),
    ("C08", "10:00/@hall visits=3", "10:00/@hall visits=4"),
    ("C02", "visits=1 exits=1 visitors=1 dwell_total=900", "visits=1 exits=1 visitors=1 dwell_total=901"),
    ("V23", "occupancy = \"none\"", "occupancy = \"10:00 site 1 0\""),
    ("C01", "10:04 site 1 0; ", ""),
    ("C01", "10:09 A 1 1", "10:09 A 1 0"),
    ("C05", "B A 10:00 1; ", ""),
    ("C05", "A B 10:00 1", "A B 10:00 2"),
    ("C09", "10:14:59 A 1 1; ", ""),
    ("C09", "10:15:00 - 0 0", "10:15:00 site 1 1"),
];
