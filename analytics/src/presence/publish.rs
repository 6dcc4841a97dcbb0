//! The difference between two parts of one client, added up over clients into the rows of one transaction.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use hashbrown::HashMap;
use store::client::ClientId;
use store::presence::{COUNTS, Changes, Class, CountRow, FlowRow, Identity, Level, OccupancyRow, Place, SessionKey, SessionRow, StayRow, StaysGone};

use super::calendar::Window;
use super::evaluate::{Part, Step, Tally};
use super::session::Session;
use super::stay::Stay;

/// Differences that are still being added up.
#[derive(Default)]
pub(super) struct Ledger {
    counts: HashMap<(u32, Place, Level, i64), (Window, Sums)>,
    occupancy: HashMap<(u32, Place, i64), (i64, i64)>,
    flow: HashMap<(u32, Place, Place, i64), i64>,
    steps: Vec<Step>,
    text: String,
}

type Sums = [i64; COUNTS.len()];

/// Whose part it is.
#[derive(Clone, Copy)]
pub(super) struct Whose<'a> {
    pub(super) scope: u32,
    pub(super) client: ClientId,
    pub(super) profile: &'a str,
    pub(super) site: &'a str,
}

impl Ledger {
    /// Adds what changes from `before` to `after`.
    pub(super) fn add(&mut self, whose: Whose<'_>, before: &Part, after: &Part, changes: &mut Changes) {
        self.add_sessions(whose, before, after, changes);
        self.add_tallies(whose.scope, before, after);
        if before.transitions() != after.transitions() {
            for (part, sign) in [(before, -1), (after, 1)] {
                for transition in part.transitions() {
                    *self.flow.entry((whose.scope, transition.from, transition.to, transition.hour)).or_insert(0) += sign;
                }
            }
        }
        self.add_occupancy(whose, before, after);
    }

    /// Moves the rows into `changes` and leaves the ledger empty: after each scope, so that what is added up stays in the caches.
    pub(super) fn close(&mut self, changes: &mut Changes) {
        if self.counts.is_empty() && self.occupancy.is_empty() && self.flow.is_empty() {
            return;
        }
        shrink(&mut self.counts);
        shrink(&mut self.occupancy);
        shrink(&mut self.flow);
        let (old_counts, old_occupancy, old_flow) = (changes.counts.len(), changes.occupancy.len(), changes.flow.len());
        let counts = self.counts.drain().filter(|(_, (_, counts))| counts.iter().any(|&count| count != 0));
        changes.counts.extend(counts.map(|((scope, place, level, start), (window, counts))| {
            let Window { day, from, to, .. } = window;
            CountRow { scope, place, level, start, day, from, to, counts }
        }));
        let occupancy = self.occupancy.drain().filter(|(_, both)| *both != (0, 0));
        changes.occupancy.extend(occupancy.map(|((scope, place, minute), (devices, connected))| OccupancyRow { scope, place, minute, devices, connected }));
        let flow = self.flow.drain().filter(|(_, transitions)| *transitions != 0);
        changes.flow.extend(flow.map(|((scope, from, to, hour), transitions)| FlowRow { scope, from, to, hour, transitions }));
        // In the order of the store's keys: one writer after the other, and pages once.
        changes.counts[old_counts..].sort_unstable_by_key(|row| (row.scope, row.level, row.start, row.place));
        changes.occupancy[old_occupancy..].sort_unstable_by_key(|row| (row.scope, row.minute, row.place));
        changes.flow[old_flow..].sort_unstable_by_key(|row| (row.scope, row.hour, row.from, row.to));
    }

    /// Most windows are the same in both: only the others are looked up among those of all clients.
    fn add_tallies(&mut self, scope: u32, before: &Part, after: &Part) {
        let other = |part: &Part, tally: &Tally, at: usize| {
            // Both are made in the same order, mostly.
            let near = part.tallies().get(at).filter(|other| other.is_of(tally)).copied();
            near.or_else(|| part.find(tally.place, tally.window).map(|at| part.tallies()[at]))
        };
        for (at, tally) in after.tallies().iter().enumerate() {
            match other(before, tally, at) {
                Some(known) if known.counts_the_same(tally) => {}
                Some(known) => self.add_counts(scope, tally, &known.counts(), tally.counts()),
                None => self.add_counts(scope, tally, &[0; COUNTS.len()], tally.counts()),
            }
        }
        for (at, tally) in before.tallies().iter().enumerate() {
            if other(after, tally, at).is_none() {
                self.add_counts(scope, tally, &tally.counts(), [0; COUNTS.len()]);
            }
        }
    }

    fn add_counts(&mut self, scope: u32, tally: &Tally, before: &[i64; COUNTS.len()], after: [i64; COUNTS.len()]) {
        let window = tally.window;
        let (_, sums) = self.counts.entry((scope, tally.place, window.level, window.start)).or_insert((window, [0; COUNTS.len()]));
        for ((sum, before), after) in sums.iter_mut().zip(before).zip(after) {
            *sum += after - before;
        }
    }

    fn add_occupancy(&mut self, whose: Whose<'_>, before: &Part, after: &Part) {
        self.steps.clear();
        self.steps.extend(before.steps().iter().map(|step| Step { devices: -step.devices, connected: -step.connected, ..*step }));
        self.steps.extend(after.steps());
        self.steps.sort_unstable();
        let (mut devices, mut connected) = (0, 0);
        for (at, step) in self.steps.iter().enumerate() {
            (devices, connected) = (devices + i64::from(step.devices), connected + i64::from(step.connected));
            let Some(next) = self.steps.get(at + 1).filter(|next| next.place == step.place) else {
                // All steps of a place add up to nothing.
                (devices, connected) = (0, 0);
                continue;
            };
            if (devices, connected) == (0, 0) {
                continue;
            }
            let mut minute = step.minute;
            while minute < next.minute {
                let both = self.occupancy.entry((whose.scope, step.place, minute)).or_insert((0, 0));
                (both.0, both.1) = (both.0 + devices, both.1 + connected);
                minute += 60;
            }
        }
    }

    fn add_sessions(&mut self, whose: Whose<'_>, before: &Part, after: &Part, changes: &mut Changes) {
        let listed = |part: &'_ Part, at: usize| part.sessions()[at].class != Class::Fixture;
        let key = |session: &Session| SessionKey { scope: whose.scope, started_at: session.start, client: whose.client };
        let mut olds = (0..before.sessions().len()).filter(|&at| listed(before, at)).peekable();
        for at in (0..after.sessions().len()).filter(|&at| listed(after, at)) {
            let session = &after.sessions()[at];
            while let Some(gone) = olds.next_if(|&old| before.sessions()[old].start < session.start) {
                remove(key(&before.sessions()[gone]), before, gone, changes);
            }
            let known = olds.next_if(|&old| before.sessions()[old].start == session.start);
            let last = |part: &Part, at: usize| part.stays(at).last().map_or((Place::Unlocated, 0), |stay| (stay.place, stay.start));
            let (last_place, last_since) = last(after, at);
            let is_same = known.is_some_and(|old| {
                let known = &before.sessions()[old];
                Session { cells: session.cells.clone(), ..known.clone() } == *session && last(before, old) == (last_place, last_since)
            });
            if !is_same {
                changes.sessions.push(SessionRow {
                    key: key(session),
                    visit_id: self.visit_id(whose, session.start),
                    ended_at: session.end,
                    minutes: session.minutes,
                    class: session.class,
                    identity: session.identity,
                    connected_at: session.connected_at,
                    is_returning: session.is_returning,
                    cut: session.cut,
                    last_place,
                    last_since,
                });
            }
            for in_zones in [false, true] {
                let old = known.map_or(&[][..], |old| visit_stays(before, old, in_zones));
                let new = visit_stays(after, at, in_zones);
                replace(key(session), (known.map(|old| &before.sessions()[old]), old), (session, new), in_zones, changes);
            }
        }
        for gone in olds {
            remove(key(&before.sessions()[gone]), before, gone, changes);
        }
    }

    /// The first 128 bits of SHA-256 over profile, site, client and start, with NUL between them.
    fn visit_id(&mut self, whose: Whose<'_>, start: i64) -> [u8; 16] {
        self.text.clear();
        let _ = write!(self.text, "{}\0{}\0{}\0{start}", whose.profile, whose.site, whose.client);
        let hash = digest(&SHA256, self.text.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hash.as_ref()[..16]);
        id
    }
}

/// Emptying a table costs what it could hold, so that one which a great site has left would make every small one dear.
fn shrink<K: Eq + std::hash::Hash, V>(table: &mut HashMap<K, V>) {
    if table.capacity() > ROWS_KEPT.max(8 * table.len()) {
        table.shrink_to(table.len());
    }
}

/// Bounces have stays too, which nobody is told of.
fn visit_stays(part: &Part, session: usize, in_zones: bool) -> &[Stay] {
    match part.sessions()[session].class {
        Class::Visit if in_zones => part.zone_stays(session),
        Class::Visit => part.stays(session),
        Class::Bounce | Class::Fixture => &[],
    }
}

fn remove(key: SessionKey, part: &Part, session: usize, changes: &mut Changes) {
    changes.gone.push(key);
    for in_zones in [false, true] {
        if !visit_stays(part, session, in_zones).is_empty() {
            changes.stays_gone.push(StaysGone { visit: key, in_zones, from: 0 });
        }
    }
}

/// Tells what changes of the stays of a visit.
fn replace(visit: SessionKey, (known, old): (Option<&Session>, &[Stay]), (session, new): (&Session, &[Stay]), in_zones: bool, changes: &mut Changes) {
    for (number, stay) in new.iter().enumerate() {
        let is_measured = is_measured(session, stay);
        let is_same = old.get(number) == Some(stay) && known.is_some_and(|known| self::is_measured(known, stay) == is_measured);
        if !is_same {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            changes.stays.push(StayRow { visit, number, place: stay.place, started_at: stay.start, ended_at: stay.end, is_measured });
        }
    }
    if new.len() < old.len() {
        changes.stays_gone.push(StaysGone { visit, in_zones, from: u32::try_from(new.len()).unwrap_or(u32::MAX) });
    }
}

/// Whether a stay's length stands in averages.
fn is_measured(session: &Session, stay: &Stay) -> bool {
    let is_cut = (session.cut.start && stay.start == session.start) || (session.cut.end && stay.end == session.end);
    session.identity != Identity::LocalUnassociated && !is_cut
}

/// Rows that a table keeps room for in any case.
const ROWS_KEPT: usize = 16_384;
