//! What is put off against a store that hears everything: once it is settled, both say the same.

use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_790_000_000;

/// A store's row: first seen, last seen, and the facts with their times.
type Row = (i64, i64, [Option<(u32, i64)>; FACTS]);
type Store = std::collections::HashMap<Who, Row>;

/// Beside an empty store.
fn new_known() -> Known {
    let mut known = Known::default();
    known.start(0);
    known
}

fn who(id: u64) -> Who {
    Who { receiver: Text::NONE, what: What::AccessPoint, id }
}

fn told(first_seen: i64, last_seen: i64, facts: &[(usize, u32, i64)]) -> Told {
    let mut told = Told { first_seen, last_seen, is_observed: true, facts: [ToldFact::default(); FACTS] };
    for &(at, hash, time) in facts {
        told.facts[at] = ToldFact { hash: Some(hash), at: time };
    }
    told
}

/// Merges as the stores do.
fn merge(store: &mut Store, who: Who, first_seen: i64, last_seen: i64, facts: [Option<(u32, i64)>; FACTS]) {
    let row = store.entry(who).or_insert((first_seen, last_seen, [None; FACTS]));
    (row.0, row.1) = (row.0.min(first_seen), row.1.max(last_seen));
    for (held, told) in row.2.iter_mut().zip(facts) {
        if told.is_some_and(|(_, at)| held.is_none_or(|(_, before)| at >= before)) {
            *held = told;
        }
    }
}

/// A time without a fact says that the stored one was true then, too.
fn confirm(store: &mut Store, who: Who, at: usize, time: i64) {
    if let Some(Some((_, held))) = store.get_mut(&who).map(|row| &mut row.2[at]) {
        *held = (*held).max(time);
    }
}

fn write(store: &mut Store, who: Who, told: &Told, verdict: Verdict) -> bool {
    let Verdict::Write { last_seen, facts } = verdict else { return false };
    let mut as_told = [None; FACTS];
    for (at, stand) in facts.into_iter().enumerate() {
        match stand {
            Stand::AsTold(time) => as_told[at] = Some((told.facts[at].hash.unwrap(), time)),
            Stand::AsStored(time) => confirm(store, who, at, time),
            Stand::Nothing => {}
        }
    }
    merge(store, who, told.first_seen, last_seen, as_told);
    true
}

fn write_times(store: &mut Store, put_off: PutOff<'_>) {
    merge(store, *put_off.who, put_off.first_seen, put_off.last_seen, [None; FACTS]);
    for (at, stand) in put_off.facts.into_iter().enumerate() {
        if let Stand::AsStored(time) = stand {
            confirm(store, *put_off.who, at, time);
        }
    }
}

#[test]
fn only_the_time_of_last_sight_is_put_off_and_not_for_long() {
    let (mut known, mut store) = (new_known(), Store::new());
    let mut tell = |at: i64, facts: &[(usize, u32, i64)]| {
        let told = told(at, at, facts);
        let verdict = known.judge(who(1), &told, NOW + 1_000);
        write(&mut store, who(1), &told, verdict)
    };
    assert!(tell(NOW + 600, &[(0, 5, NOW + 600)]), "unknown");
    assert!(!tell(NOW + 600, &[(0, 5, NOW + 600)]), "nothing new");
    assert!(!tell(NOW + 660, &[(0, 5, NOW + 660)]), "a later time alone");
    assert!(!tell(NOW + 660, &[(0, 6, NOW + 650)]), "older than what is known");
    assert!(tell(NOW + 661, &[(0, 6, NOW + 661)]), "another fact");
    assert!(tell(NOW + 661, &[(1, 9, NOW + 661)]), "one more fact");
    assert!(tell(NOW + 599, &[]), "seen earlier");
    assert!(!tell(NOW + 1_260, &[]), "within the time");
    assert!(tell(NOW + 1_261, &[]), "long enough");
    assert_eq!(store[&who(1)], (NOW + 599, NOW + 1_261, [Some((6, NOW + 661)), Some((9, NOW + 661)), None, None, None, None, None]));
}

#[test]
fn what_a_store_could_not_find_again_is_never_put_off() {
    let mut known = new_known();
    let mut tell = |at: i64, is_observed: bool| {
        let told = Told { is_observed, ..told(at, at, &[]) };
        known.judge(who(1), &told, NOW) != Verdict::PutOff
    };
    assert!(tell(NOW - 940, true));
    assert!(tell(NOW - 930, true), "too old for the store to look at after a crash");
    assert!(!tell(NOW - 720, true), "just young enough");
    assert!(tell(NOW - 710, false), "no observation tells it");
}

#[test]
fn who_is_not_told_of_any_more_is_settled_and_forgotten() {
    let mut known = new_known();
    for at in [NOW, NOW + 10] {
        let _ = known.judge(who(1), &told(at, at, &[]), NOW + 10);
    }
    let _ = known.judge(who(2), &told(NOW, NOW, &[]), NOW + 10);
    let mut settled = Vec::new();
    for minutes in 1..20 {
        known.sweep(NOW + minutes * 60, |put_off| settled.push((put_off.who.id, put_off.first_seen - NOW, put_off.last_seen - NOW, minutes)));
    }
    assert_eq!(settled, [(1, 0, 10, 13)]);
    assert!(known.entries.is_empty() && !known.has_put_off());
}

#[test]
fn whoever_does_not_fit_is_written_each_time() {
    let mut known = Known { limit: 1, ..new_known() };
    let told = told(NOW, NOW, &[]);
    let mut is_written = |id: u64| known.judge(who(id), &told, NOW) != Verdict::PutOff;
    assert_eq!([1, 1, 2, 2].map(&mut is_written), [true, false, true, true]);
    let far = i64::from(u32::MAX) + 1;
    assert!((0..2).all(|_| known.judge(who(1), &self::told(far, far, &[]), far) != Verdict::PutOff), "times that do not fit are written");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn settled_it_says_what_a_store_says_that_heard_all(
        events in prop::collection::vec((0..3_u64, 0..900_i64, 0..60_i64, prop::collection::vec((0..2_usize, 1..4_u32, 0..900_i64), 0..3), any::<bool>(), 0..90_i64, 0..20_u8), 1..60),
        limit in 1..4_usize,
    ) {
        let mut known = Known { limit, ..new_known() };
        let (mut partly, mut all) = (Store::new(), Store::new());
        let mut now = NOW;
        for (id, ago, span, facts, is_observed, pause, restart) in events {
            now += pause;
            let facts: Vec<_> = facts.into_iter().map(|(at, hash, ago)| (at, hash, now - ago)).collect();
            let told = Told { is_observed, ..told(now - ago - span, now - ago, &facts) };
            let as_told = told.facts.map(|fact| fact.hash.map_or(Stand::Nothing, |_| Stand::AsTold(fact.at)));
            let everything = Verdict::Write { last_seen: told.last_seen, facts: as_told };
            write(&mut all, who(id), &told, everything);
            let verdict = known.judge(who(id), &told, now);
            write(&mut partly, who(id), &told, verdict);
            known.sweep(now, |put_off| write_times(&mut partly, put_off));
            if restart == 0 {
                known.settle(|put_off| write_times(&mut partly, put_off));
                known = Known { limit, ..Known::default() };
                known.start(now);
            }
            // What is put off is within reach of a store that has only its observations.
            for entry in known.entries.values().filter(|entry| entry.is_put_off) {
                let is_within_reach = i64::from(entry.last_seen) >= now - OPEN_S - 60 || entry.last_seen == entry.written;
                prop_assert!(is_within_reach);
                prop_assert!(entry.last_seen - entry.written < REFRESH_S as u32);
            }
        }
        known.settle(|put_off| write_times(&mut partly, put_off));
        prop_assert!(!known.has_put_off());
        for (who, (first, last, facts)) in all {
            prop_assert_eq!(partly[&who], (first, last, facts));
        }
    }
}
