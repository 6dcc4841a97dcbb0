//! Tables held against what must be: against a case, and against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use crate::cases::{Expected, ExpectedCounts, ExpectedSession};
use crate::rows::{COUNTS, Counts, Place, Session, Stay, Tables};

/// What differs from a case, a line each. Only what the case names is compared.
pub(crate) fn check(expected: &Expected, actual: &Tables) -> Vec<String> {
    let mut differences = sessions(expected, actual);
    differences.extend(stays(expected, actual));
    differences.extend(expected.counts.iter().flat_map(|counts| one_count(counts, actual)));
    if let Some(rows) = &expected.occupancy {
        let places: BTreeSet<&Place> = rows.iter().map(|row| &row.place).collect();
        let found = actual.occupancy.iter().filter(|row| row.devices > 0 && (rows.is_empty() || places.contains(&row.place)));
        differences.extend(sets("occupancy", rows.iter(), found));
    }
    if let Some(rows) = &expected.flow {
        differences.extend(sets("flow", rows.iter(), actual.flow.iter()));
    }
    let asked: BTreeSet<i64> = expected.now.iter().map(|(t, _)| *t).collect();
    let found = actual.now.iter().filter(|row| row.devices > 0 && asked.contains(&row.t));
    differences.extend(sets("now", expected.now.iter().filter_map(|(_, row)| row.as_ref()), found));
    differences
}

/// What differs between two ways to the same tables, a line each.
pub(crate) fn differences(definition: &Tables, other: &Tables) -> Vec<String> {
    let mut differences = sets("sessions", definition.sessions.iter(), other.sessions.iter());
    differences.extend(sets("stays", definition.stays.iter(), other.stays.iter()));
    let (ours, theirs) = (definition.occupancy.iter().filter(|row| row.devices > 0), other.occupancy.iter().filter(|row| row.devices > 0));
    differences.extend(sets("occupancy", ours, theirs));
    differences.extend(sets("flow", definition.flow.iter(), other.flow.iter()));
    differences.extend(sets("now", definition.now.iter().filter(|row| row.devices > 0), other.now.iter().filter(|row| row.devices > 0)));
    differences.extend(counts(definition, other));
    differences
}

fn sessions(expected: &Expected, actual: &Tables) -> Vec<String> {
    let mut found: Vec<&Session> = actual.sessions.iter().collect();
    found.sort();
    let mut named: Vec<&ExpectedSession> = expected.sessions.iter().collect();
    named.sort_by_key(|session| (session.client, session.started));
    if found.len() != named.len() {
        return vec![format!("sessions: {named:?} expected, {found:?} found")];
    }
    let differs = |(named, found): &(&ExpectedSession, &Session)| {
        (named.client, named.started, named.ended, named.minutes) != (found.client, found.started, found.ended, found.minutes)
            || (named.class, named.cut) != (found.class, found.cut)
            || named.identity.is_some_and(|identity| identity != found.identity)
            || named.connected_at.is_some_and(|at| at != found.connected_at)
            || named.is_returning.is_some_and(|returning| returning != found.is_returning)
    };
    named.into_iter().zip(found).filter(differs).map(|(named, found)| format!("session: {named:?} expected, {found:?} found")).collect()
}

fn stays(expected: &Expected, actual: &Tables) -> Vec<String> {
    let Some(named) = &expected.stays else { return Vec::new() };
    let with_session = |stay: &crate::cases::ExpectedStay| {
        let session = &expected.sessions[stay.session];
        (session.client, session.started, stay.place.clone(), stay.a, stay.b)
    };
    let named: Vec<_> = named.iter().map(with_session).collect();
    let order = |stay: &&Stay| expected.sessions.iter().position(|session| (session.client, session.started) == (stay.client, stay.started));
    let mut found: Vec<&Stay> = actual.stays.iter().filter(|stay| !matches!(stay.place, Place::Zone(_))).collect();
    found.sort_by_key(|stay| (order(stay), stay.seq));
    let found: Vec<_> = found.into_iter().map(|stay| (stay.client, stay.started, stay.place.clone(), stay.a, stay.b)).collect();
    if named == found { Vec::new() } else { vec![format!("stays: {named:?} expected, {found:?} found")] }
}

fn one_count(expected: &ExpectedCounts, actual: &Tables) -> Vec<String> {
    let is_it = |row: &&Counts| row.place == expected.place && row.kind == expected.kind && row.a == expected.a;
    let nothing = Counts::nothing(expected.place.clone(), expected.kind, expected.a);
    let row = actual.counts.iter().find(is_it).unwrap_or(&nothing);
    let wrong = expected.values.iter().filter(|(column, value)| !is_near(*value, row.value(column)));
    let told = |(column, value): &(String, Option<f64>)| {
        let window = (expected.kind, expected.a, &expected.place);
        format!("{window:?} {column}: {value:?} expected, {:?} found", row.value(column))
    };
    wrong.map(told).collect()
}

/// All counts of all rows. A row that one side lacks counts as one in which nothing was.
fn counts(definition: &Tables, other: &Tables) -> Vec<String> {
    let keyed = |tables: &Tables| tables.counts.iter().map(|row| ((row.place.clone(), row.kind, row.a), row.clone())).collect::<BTreeMap<_, _>>();
    let (ours, theirs) = (keyed(definition), keyed(other));
    let mut differences = Vec::new();
    if ours.len() != definition.counts.len() || theirs.len() != other.counts.len() {
        differences.push("a window has two rows of counts".to_owned());
    }
    for key in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
        let nothing = Counts::nothing(key.0.clone(), key.1, key.2);
        let (our, their) = (ours.get(key).unwrap_or(&nothing), theirs.get(key).unwrap_or(&nothing));
        for (column, (our, their)) in COUNTS.iter().zip(our.values.iter().zip(&their.values)) {
            if !is_near(*our, *their) {
                differences.push(format!("{key:?} {column}: {our:?} by the definition, {their:?} by the other"));
            }
        }
    }
    differences
}

/// Rows that only one side has, how often they are there included.
fn sets<'a, T: Ord + Debug + 'a>(table: &str, expected: impl Iterator<Item = &'a T>, found: impl Iterator<Item = &'a T>) -> Vec<String> {
    let mut counted: BTreeMap<&T, i32> = BTreeMap::new();
    expected.for_each(|row| *counted.entry(row).or_default() += 1);
    found.for_each(|row| *counted.entry(row).or_default() -= 1);
    let unequal = counted.into_iter().filter(|(_, count)| *count != 0);
    unequal.map(|(row, count)| format!("{table}: {row:?} {}", if count > 0 { "expected, not found" } else { "found, not expected" })).collect()
}

/// Rates are doubles, and two ways to one may round differently in the last digit.
fn is_near(one: Option<f64>, other: Option<f64>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => (one - other).abs() < 1e-9,
        (one, other) => one == other,
    }
}
