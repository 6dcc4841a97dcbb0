//! The engine held against the cases and against the definition: shuffled, split over commits, told again, stopped and started.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use analytics::presence::engine::{Engine, Settings, SiteSettings};
use analytics::presence::epoch::Epochs;
use analytics::presence::evaluate::Part;
use analytics::presence::profile::Profile;
use analytics::presence::record::{Record, Told};
use analytics::presence::site::{Lasting, Member, Site as EngineSite};
use jiff::tz::TimeZone;
use store::batch::Radio;
use store::client::ClientId;
use store::group::{Address, Group, ObservationRow, Source};
use store::mac::Mac;
use store::presence::{self as rows, COUNTS as SUMS, Changes, Level, SessionRow, StayRow};

use crate::check::{check, differences};
use crate::random::Dice;
use crate::rows::{COUNTS, Class, Counts, Cut, Flow, Identity, Kind, Now, Occupancy, Place, Session, Stay, Tables};
use crate::site::{LASTING_DAYS, Observation, Site};
use crate::{cases, definition, random};

#[test]
fn every_case_holds() {
    let wrong: Vec<String> = cases::all()
        .iter()
        .flat_map(|case| check(&case.expected, &tables(&case.site, 1)).into_iter().map(|difference| format!("{} {difference}", case.id)))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Whatever the order, the commits and the stops: the rows are those of the definition.
#[test]
fn the_engine_is_the_definition() {
    for seed in 0..150 {
        let site = random::site(seed);
        let wrong = differences(&definition::tables(&site), &tables(&site, seed));
        assert!(wrong.is_empty(), "seed {seed}\n{}", wrong.join("\n"));
    }
}

/// What a store holds.
#[derive(Default)]
struct Model {
    sessions: BTreeMap<(ClientId, i64), SessionRow>,
    stays: BTreeMap<(ClientId, i64, bool, u32), (StayRow, Place)>,
    counts: BTreeMap<(Place, Kind, i64), [i64; SUMS.len()]>,
    occupancy: BTreeMap<(Place, i64), (i64, i64)>,
    flow: BTreeMap<(Place, Place, i64), i64>,
    last_places: BTreeMap<(ClientId, i64), Place>,
    records: HashMap<ClientId, Vec<u8>>,
    scopes: Vec<rows::Scope>,
    unpublished_since: Option<i64>,
}

impl Model {
    fn apply(&mut self, changes: &Changes) {
        let place = |place: rows::Place| match place {
            rows::Place::Site => Place::Site,
            rows::Place::Ap(ap) => Place::Ap(ap.text().to_string()),
            rows::Place::Zone(zone) => Place::Zone(changes.zones[zone as usize].to_string()),
            rows::Place::Unlocated => Place::Unlocated,
            rows::Place::Outside => Place::Outside,
        };
        for key in &changes.gone {
            assert!(self.sessions.remove(&(key.client, key.started_at)).is_some(), "only what is there goes");
        }
        for gone in &changes.stays_gone {
            self.stays.retain(|&(client, started, in_zones, number), _| {
                (client, started, in_zones) != (gone.visit.client, gone.visit.started_at, gone.in_zones) || number < gone.from
            });
        }
        for row in &changes.sessions {
            self.last_places.insert((row.key.client, row.key.started_at), place(row.last_place));
            self.sessions.insert((row.key.client, row.key.started_at), *row);
        }
        for row in &changes.stays {
            let in_zones = matches!(row.place, rows::Place::Zone(_));
            self.stays.insert((row.visit.client, row.visit.started_at, in_zones, row.number), (*row, place(row.place)));
        }
        for row in &changes.counts {
            let kind = if row.level == Level::Hour { Kind::Hour } else { Kind::Day };
            let sums = self.counts.entry((place(row.place), kind, row.start)).or_insert([0; SUMS.len()]);
            sums.iter_mut().zip(row.counts).for_each(|(sum, count)| *sum += count);
        }
        for row in &changes.occupancy {
            let both = self.occupancy.entry((place(row.place), row.minute)).or_insert((0, 0));
            (both.0, both.1) = (both.0 + row.devices, both.1 + row.connected);
        }
        for row in &changes.flow {
            *self.flow.entry((place(row.from), place(row.to), row.hour)).or_insert(0) += row.transitions;
        }
        let told: BTreeSet<ClientId> = changes.records.iter().map(|row| row.client).collect();
        assert_eq!(told.len(), changes.records.len(), "a transaction tells of each client once");
        for row in &changes.records {
            self.records.insert(row.client, changes.body(row).to_vec());
        }
        for scope in &changes.scopes {
            self.scopes.retain(|other| other.site != scope.site);
            self.scopes.push(scope.clone());
        }
        self.unpublished_since = changes.unpublished_since;
    }
}

/// What the engine makes of a site.
pub(crate) fn tables(site: &Site, seed: u64) -> Tables {
    let mut dice = Dice(seed);
    let mut model = Model::default();
    let mut engine = Engine::new(settings(site, &mut dice));
    let rows = arrivals(site, seed, &mut dice);
    let mut now_ms = 0;
    let mut committed: Vec<&Observation> = Vec::new();
    let mut waiting = rows.as_slice();
    while !waiting.is_empty() {
        let size = usize::try_from(1 + dice.below(12)).unwrap().min(waiting.len());
        let (piece, rest) = waiting.split_at(size);
        waiting = rest;
        now_ms += dice.below(90_000);
        absorb(&mut engine, piece);
        if dice.one_in(5) {
            // The store is away: whoever is chosen stays so while more comes.
            let _ = engine.prepare(now_ms, dice.one_in(2));
            absorb(&mut engine, piece);
            now_ms += 61_000;
        }
        commit(&mut engine, &mut model, now_ms, dice.one_in(7));
        committed.extend(piece);
        if dice.one_in(9) {
            engine = Engine::new(settings(site, &mut dice));
            assert!(engine.recall(&model.scopes).is_empty(), "the definition is the same");
            if let Some(since) = model.unpublished_since {
                absorb(&mut engine, &committed.iter().copied().filter(|row| row.t >= since).collect::<Vec<_>>());
            }
        }
    }
    commit(&mut engine, &mut model, now_ms, true);
    assert_eq!(engine.unpublished_since(), None);
    tables_of(site, &model)
}

/// By how many seconds arrivals may go back: from not at all to anyhow. What the engine forgets rests on arrivals going on in time, so anyhow
/// is for sites of which it forgets nothing.
fn disorder(site: &Site, seed: u64) -> i64 {
    let times = || site.observations.iter().map(|row| row.t);
    let span = times().max().unwrap_or(0) - times().min().unwrap_or(0);
    let is_kept = span < site.profile.allowed_lateness_s + site.profile.max_visit_s;
    [1, 60, 3_600, if is_kept { i64::MAX } else { 3_600 }][usize::try_from(seed % 4).unwrap()]
}

/// What becomes a row at all: the parser discards the rest.
fn is_stored(row: &Observation) -> bool {
    (-120..=-1).contains(&row.rssi) && row.t <= row.received + 120
}

fn absorb(engine: &mut Engine, observations: &[&Observation]) {
    let group = group_of(observations);
    engine.absorb(&group, &group.observations);
    engine.next_group();
}

/// The rows of some observations, without anything else.
pub(crate) fn group_of(observations: &[&Observation]) -> Group {
    let mut group = Group::default();
    let (receiver, network, ssid) = (group.texts.intern("mall"), group.texts.intern("N_1"), group.texts.intern("guest"));
    for row in observations {
        let source = Source { receiver, network, ap: Mac::parse(&row.ap), radio: if row.is_wifi { Radio::Wifi } else { Radio::Ble } };
        let at = group.sources.iter().position(|other| *other == source).unwrap_or_else(|| {
            group.sources.push(source);
            group.sources.len() - 1
        });
        group.observations.push(ObservationRow {
            observed_at: row.t,
            received_at_ms: row.received * 1_000,
            client: client(row.client),
            source: u32::try_from(at).unwrap(),
            ssid: if row.associated { ssid } else { store::texts::Text::NONE },
            rssi_dbm: i8::try_from(row.rssi).unwrap(),
            address: match (row.excluded, row.random) {
                (true, _) => Address::Excluded,
                (false, true) => Address::Local,
                (false, false) => Address::Global,
            },
        });
    }
    group
}

/// The observations that become rows, in an order in which they may arrive.
pub(crate) fn arrivals<'s>(site: &'s Site, seed: u64, dice: &mut Dice) -> Vec<&'s Observation> {
    let mut rows: Vec<&Observation> = site.observations.iter().filter(|row| is_stored(row)).collect();
    for at in (1..rows.len()).rev() {
        rows.swap(at, usize::try_from(dice.below(at as i64 + 1)).unwrap());
    }
    rows.sort_by_key(|row| row.received.div_euclid(disorder(site, seed)));
    rows
}

fn commit(engine: &mut Engine, model: &mut Model, now_ms: i64, all: bool) {
    let keys = engine.prepare(now_ms, all);
    let bodies = keys.iter().map(|key| model.records.get(&key.client).cloned().unwrap_or_default());
    assert_eq!(engine.fill(bodies), 0);
    let mut changes = Changes::default();
    engine.publish(&mut changes);
    model.apply(&changes);
}

fn client(number: u32) -> ClientId {
    ClientId(1 << 60 | u64::from(number))
}

pub(crate) fn number(client: ClientId) -> u32 {
    u32::try_from(client.0 & 0xffff_ffff).unwrap()
}

fn profile(site: &Site) -> Profile {
    let p = site.profile;
    let small = |value: i64| i8::try_from(value).unwrap();
    Profile {
        name: "standard@1".to_owned(),
        ignore_dbm: small(p.ignore_dbm),
        enter_dbm: small(p.enter_dbm),
        stay_dbm: small(p.stay_dbm),
        assoc_bypasses_rssi: p.assoc_bypasses_rssi,
        gap_s: p.gap_s,
        ap_gap_s: p.ap_gap_s,
        min_dwell_s: p.min_dwell_s,
        min_minutes: u32::try_from(p.min_minutes).unwrap(),
        present_s: p.present_s,
        settle_s: p.settle_s,
        settle_db: i16::try_from(p.settle_db).unwrap(),
        max_visit_s: p.max_visit_s,
        loyalty_days: u16::try_from(p.loyalty_days).unwrap(),
        lateness_s: 120,
        allowed_lateness_s: p.allowed_lateness_s,
    }
}

fn lasting(site: &Site) -> Lasting {
    Lasting {
        days: if site.identity_days == LASTING_DAYS { i64::MAX } else { site.identity_days },
        born_at: site.key_birth.unwrap_or(i64::MIN),
        epochs: site.epoch.map(|second| Epochs::days(TimeZone::UTC, 1, u32::try_from(second).unwrap())),
    }
}

fn zones(site: &Site) -> Vec<(String, Vec<Member>)> {
    let mut zones: Vec<(String, Vec<Member>)> = Vec::new();
    for row in &site.zones {
        let member = Member { ap: Mac::parse(&row.ap).unwrap(), since: row.since, until: row.until.unwrap_or(i64::MAX) };
        match zones.iter_mut().find(|(name, _)| *name == row.zone) {
            Some((_, members)) => members.push(member),
            None => zones.push((row.zone.clone(), vec![member])),
        }
    }
    zones
}

pub(crate) fn settings(site: &Site, dice: &mut Dice) -> Settings {
    Settings {
        profiles: vec![profile(site)],
        sites: vec![SiteSettings {
            name: "here".to_owned(),
            networks: vec![("mall".to_owned(), "N_1".to_owned())],
            receivers: Vec::new(),
            time_zone: TimeZone::get(&site.zone).unwrap(),
            opening: None,
            zones: zones(site),
            tagged: Vec::new(),
        }],
        time_zone: TimeZone::UTC,
        lasting: lasting(site),
        publish_every_ms: 60_000,
        // Now and then there is no room for anybody.
        memory_max: if dice.one_in(4) { 0 } else { 1 << 20 },
        rebuilding: false,
    }
}

/// The rows as tables. What the store is not told, fixtures and the stays of bounces, comes from an evaluation of everything.
fn tables_of(site: &Site, model: &Model) -> Tables {
    let mut tables = Tables::default();
    let mut engine_site = EngineSite::new("here", TimeZone::get(&site.zone).unwrap(), None);
    engine_site.lasting = lasting(site);
    let names = zones(site);
    for (at, (_, members)) in names.iter().enumerate() {
        engine_site.zones.push(analytics::presence::site::Zone { number: u32::try_from(at).unwrap(), members: members.clone() });
    }
    let profile = profile(site);
    let mut latest: BTreeMap<u32, (i64, bool)> = BTreeMap::new();
    for (client, record) in records(site, &profile) {
        let mut part = Part::default();
        part.evaluate(&record, &profile, &mut engine_site);
        for (at, session) in part.sessions().iter().enumerate() {
            latest.insert(client, (session.end, session.class == rows::Class::Fixture));
            if session.class == rows::Class::Fixture {
                tables.sessions.push(Session {
                    client,
                    started: session.start,
                    ended: session.end,
                    minutes: session.minutes.into(),
                    class: Class::Fixture,
                    identity: identity(session.identity),
                    connected_at: session.connected_at,
                    is_returning: None,
                    cut: cut(session.cut),
                });
            }
            if session.class == rows::Class::Bounce {
                let mut seqs = BTreeMap::new();
                for stay in part.stays(at).iter().chain(part.zone_stays(at)) {
                    let place = match stay.place {
                        rows::Place::Ap(ap) => Place::Ap(ap.text().to_string()),
                        rows::Place::Zone(zone) => Place::Zone(names[zone as usize].0.clone()),
                        _ => Place::Unlocated,
                    };
                    tables.stays.push(numbered(&mut seqs, client, session.start, place, stay.start, stay.end));
                }
            }
        }
    }
    for row in model.sessions.values() {
        tables.sessions.push(Session {
            client: number(row.key.client),
            started: row.key.started_at,
            ended: row.ended_at,
            minutes: row.minutes.into(),
            class: if row.class == rows::Class::Visit { Class::Visit } else { Class::Bounce },
            identity: identity(row.identity),
            connected_at: row.connected_at,
            is_returning: row.is_returning,
            cut: cut(row.cut),
        });
    }
    let mut seqs = BTreeMap::new();
    let mut visit = None;
    for (&(client, started, ..), (row, place)) in &model.stays {
        if visit != Some((client, started)) {
            visit = Some((client, started));
            seqs.clear();
        }
        tables.stays.push(numbered(&mut seqs, number(client), started, place.clone(), row.started_at, row.ended_at));
    }
    tables.sessions.sort_by_key(|row| (row.client, row.started));
    tables.stays.sort();
    tables.occupancy = model
        .occupancy
        .iter()
        .filter(|(_, both)| **both != (0, 0))
        .map(|((place, minute), (devices, connected))| Occupancy { place: place.clone(), minute: *minute, devices: *devices, connected: *connected })
        .collect();
    tables.flow = model
        .flow
        .iter()
        .filter(|(_, transitions)| **transitions != 0)
        .map(|((from, to, hour), transitions)| Flow { from: from.clone(), to: to.clone(), hour: *hour, transitions: *transitions })
        .collect();
    tables.counts = model.counts.iter().filter(|(_, sums)| **sums != [0; SUMS.len()]).map(|(key, sums)| counts(site, model, key, sums)).collect();
    tables.now = site.now_at.iter().flat_map(|&t| now(t, model, &profile, &latest, &names)).collect();
    tables
}

fn numbered(seqs: &mut BTreeMap<Option<String>, i64>, client: u32, started: i64, place: Place, a: i64, b: i64) -> Stay {
    let seq = seqs.entry(if let Place::Zone(zone) = &place { Some(zone.clone()) } else { None }).or_insert(0);
    *seq += 1;
    Stay { client, started, seq: *seq, place, a, b }
}

fn records(site: &Site, profile: &Profile) -> BTreeMap<u32, Record> {
    let mut records: BTreeMap<u32, Record> = BTreeMap::new();
    for row in site.observations.iter().filter(|row| is_stored(row) && row.is_wifi && !row.excluded && row.t >= row.received - site.profile.allowed_lateness_s)
    {
        let ap = Mac::parse(&row.ap).unwrap();
        let told = Told { observed_at: row.t, ap, rssi_dbm: i8::try_from(row.rssi).unwrap(), is_associated: row.associated, is_random: row.random };
        records.entry(row.client).or_default().observe(&told, profile);
    }
    records
}

fn identity(identity: rows::Identity) -> Identity {
    match identity {
        rows::Identity::Global => Identity::Global,
        rows::Identity::LocalAssociated => Identity::LocalAssoc,
        rows::Identity::LocalUnassociated => Identity::LocalUnassoc,
    }
}

fn cut(cut: rows::Cut) -> Option<Cut> {
    match (cut.start, cut.end) {
        (true, true) => Some(Cut::Both),
        (true, false) => Some(Cut::Start),
        (false, true) => Some(Cut::End),
        (false, false) => None,
    }
}

/// The published columns, as the views make them of the sums.
fn counts(site: &Site, model: &Model, (place, kind, a): &(Place, Kind, i64), sums: &[i64; SUMS.len()]) -> Counts {
    let sum = |name: &str| sums[SUMS.iter().position(|known| *known == name).unwrap()] as f64;
    let is_site = *place == Place::Site;
    let over = |a: f64, b: f64| (b != 0.0).then_some(a / b);
    let window = site.windows().into_iter().find(|window| window.kind == *kind && window.a == *a).expect("a window of the calendar");
    let mut lengths: Vec<i64> = if is_site {
        let measured = model
            .sessions
            .values()
            .filter(|row| row.class == rows::Class::Visit && row.identity != rows::Identity::LocalUnassociated && row.cut == rows::Cut::default());
        measured.filter(|row| (window.a..window.b).contains(&row.key.started_at)).map(|row| row.ended_at - row.key.started_at).collect()
    } else {
        let measured = model.stays.values().filter(|(row, at)| row.is_measured && at == place);
        measured.filter(|(row, _)| (window.a..window.b).contains(&row.started_at)).map(|(row, _)| row.ended_at - row.started_at).collect()
    };
    lengths.sort_unstable();
    assert_eq!(lengths.len() as f64, sum("measured"), "{place:?} {kind:?} {a}");
    let rank = |p: usize| ((p * lengths.len()).div_ceil(100)).checked_sub(1).map(|at| lengths[at] as f64);
    let sessions = sum("visits") + sum("bounces");
    let values = COUNTS.map(|name| match name {
        "entered" | "bounces" => is_site.then(|| sum(name)),
        "passersby" => Some(sum("seen") - sum("visitors")),
        "dwell_avg" => over(sum("measured_s"), sum("measured")),
        "dwell_p50" => rank(50),
        "dwell_p90" => rank(90),
        "bounce_rate" => over(sum("bounces"), sessions).filter(|_| is_site),
        "stay_rate" => over(sum("visits"), sessions).filter(|_| is_site),
        "capture_rate" => over(sum("visitors"), sum("seen")),
        "entry_ratio" => over(sum("visitors"), sum("seen") - sum("visitors")),
        "connect_rate" => over(sum("connected"), sum("visitors")),
        "return_rate" => over(sum("returning_visits"), sum("known")),
        "capture_rate_global" => over(sum("visitors_global"), sum("seen_global")),
        name => Some(sum(name)),
    });
    Counts { place: place.clone(), kind: *kind, a: *a, values }
}

fn now(t: i64, model: &Model, profile: &Profile, latest: &BTreeMap<u32, (i64, bool)>, zones: &[(String, Vec<Member>)]) -> Vec<Now> {
    let mut there: BTreeMap<Place, (i64, i64)> = BTreeMap::new();
    let mut told = BTreeSet::new();
    for (key, row) in model.sessions.iter().rev() {
        // The latest of each client, by their order.
        if !told.insert(key.0) || row.identity == rows::Identity::LocalUnassociated || row.ended_at <= t - profile.present_s {
            continue;
        }
        if latest[&number(key.0)] != (row.ended_at, false) {
            continue;
        }
        let is_at = |member: &Member| rows::Place::Ap(member.ap) == row.last_place && (member.since..member.until).contains(&row.last_since);
        let within = zones.iter().filter(|(_, members)| members.iter().any(is_at)).map(|(name, _)| Place::Zone(name.clone()));
        for place in [Place::Site, model.last_places[key].clone()].into_iter().chain(within) {
            if place != Place::Unlocated {
                let both = there.entry(place).or_insert((0, 0));
                (both.0, both.1) = (both.0 + 1, both.1 + i64::from(row.connected_at.is_some()));
            }
        }
    }
    there.into_iter().map(|(place, (devices, connected))| Now { t, place, devices, connected }).collect()
}

/// A network of its own that becomes part of a configured site is counted there from then on, whatever the store has of before.
#[test]
fn a_network_that_joins_a_site_is_counted_there() {
    let site = random::site(3);
    let rows: Vec<&Observation> = site.observations.iter().filter(|row| is_stored(row)).collect();
    let configured = settings(&site, &mut Dice(1));
    let alone = Settings { sites: Vec::new(), ..configured.clone() };
    let mut model = Model::default();
    let mut engine = Engine::new(alone);
    absorb(&mut engine, &rows[..rows.len() / 2]);
    commit(&mut engine, &mut model, 0, true);
    assert_eq!(model.scopes.iter().map(|scope| &*scope.site).collect::<Vec<_>>(), ["mall/N_1"]);
    let mut engine = Engine::new(configured);
    assert!(engine.recall(&model.scopes).is_empty(), "nothing leads to the old site any more");
    absorb(&mut engine, &rows[rows.len() / 2..]);
    commit(&mut engine, &mut model, 0, true);
    assert!(model.scopes.iter().any(|scope| &*scope.site == "here"), "{:?}", model.scopes);
}

/// Whoever is configured for some receivers leaves the sites of others alone.
#[test]
fn a_site_is_of_the_receivers_that_lead_to_it() {
    let settings = settings(&random::site(3), &mut Dice(1));
    let own = ["mall".to_owned()];
    for (site, is_own) in [("here", true), ("mall", true), ("mall/N_9", true), ("mallet/N_9", false), ("other", false)] {
        assert_eq!(settings.is_of(site, &own), is_own, "{site}");
    }
    assert!(!settings.is_of("here", &["other".to_owned()]));
}

/// A crowd that has gone takes no memory any more, and those who stayed are as they were.
#[test]
fn the_memory_of_a_crowd_comes_back() {
    let site = random::site(3);
    let mut engine = Engine::new(Settings { sites: Vec::new(), memory_max: usize::MAX, ..settings(&site, &mut Dice(1)) });
    let mut model = Model::default();
    let ap = site.observations[0].ap.clone();
    let heard = |client: u32, t: i64| Observation {
        client,
        ap: ap.clone(),
        t,
        received: t,
        rssi: -60,
        is_wifi: true,
        associated: false,
        random: false,
        excluded: false,
    };
    let crowd: Vec<Observation> = (0..5_000).map(|client| heard(client, NOON)).collect();
    absorb(&mut engine, &crowd.iter().collect::<Vec<_>>());
    commit(&mut engine, &mut model, 0, true);
    let (full, known) = (engine.bytes(), engine.clients());
    assert_eq!(known, 5_000);
    // Two hours later one of them is left, and something of hers is pending when the others are forgotten.
    for minute in 0..8 {
        absorb(&mut engine, &[&heard(7, NOON + 7_200 + minute * 60)]);
        commit(&mut engine, &mut model, minute * 60_000, minute % 2 == 1);
    }
    commit(&mut engine, &mut model, 0, true);
    assert_eq!(engine.clients(), 1);
    assert!(engine.bytes() < full / 100, "{} of {full} bytes are left", engine.bytes());
    let visits: Vec<_> = model.sessions.values().filter(|row| row.class == rows::Class::Visit).collect();
    assert_eq!(visits.iter().map(|row| (number(row.key.client), row.minutes)).collect::<Vec<_>>(), [(7, 8)]);
}

/// Each live profile has scopes of its own, which go on with the clock and have the zones' members, though both stay as far behind.
#[test]
fn live_profiles_tell_of_their_scopes_each() {
    let site = random::site(3);
    let settings = settings(&site, &mut Dice(1));
    let other = Profile { name: "other@1".to_owned(), ..settings.profiles[0].clone() };
    let mut engine = Engine::new(Settings { profiles: vec![settings.profiles[0].clone(), other], ..settings });
    let mut told = Vec::new();
    for clock in [NOON, NOON + 3_600] {
        if clock == NOON {
            let row = Observation {
                client: 1,
                ap: site.observations[0].ap.clone(),
                t: NOON,
                received: NOON,
                rssi: -60,
                is_wifi: true,
                associated: false,
                random: false,
                excluded: false,
            };
            absorb(&mut engine, &[&row]);
        }
        engine.clock(clock * 1_000);
        let keys = engine.prepare(clock * 1_000, true);
        engine.fill(keys.iter().map(|_| Vec::new()));
        let mut changes = Changes::default();
        engine.publish(&mut changes);
        let scopes: BTreeMap<String, i64> = changes.scopes.iter().map(|scope| (scope.profile.to_string(), scope.watermark)).collect();
        told.push((scopes, changes.members_of.len()));
    }
    let both = |watermark: i64| BTreeMap::from([("standard@1".to_owned(), watermark), ("other@1".to_owned(), watermark)]);
    assert_eq!(told, [(both(NOON - 120), 2), (both(NOON + 3_600 - 300), 0)]);
}

/// A Monday in summer.
const NOON: i64 = 1_781_524_800;
