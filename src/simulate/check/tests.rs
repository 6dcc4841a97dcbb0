//! The definitions on small truths, and what a comparison makes of differences.

use std::collections::BTreeSet;

use analytics::presence::calendar::Calendar;
use analytics::presence::profile::Profile;
use jiff::tz::TimeZone;

use super::compare::Comparison;
use super::counts::Counts;
use super::presence::{Moments, Visit, of};
use super::truth::{Device, Stretch, parse};

/// A full hour.
const T: i64 = 1_800_000_000;

fn device(second: i64, stretches: &[(i64, i64, usize, bool)]) -> Device {
    let stretches = stretches.iter().map(|&(from, to, ap, is_inside)| Stretch { from: T + from, to: T + to, ap, is_inside }).collect();
    Device { is_wifi: true, is_associated: false, second, stretches }
}

fn aps() -> Vec<String> {
    ["a", "b", "c"].map(str::to_owned).to_vec()
}

fn visits(device: &Device, moments: Moments) -> Vec<Visit> {
    of(device, &aps(), &Profile::standard(), moments).visits
}

fn stay(place: &str, from: i64, to: i64) -> (String, i64, i64) {
    (place.to_owned(), T + from, T + to)
}

#[test]
fn a_visit_is_as_long_as_somebody_was_inside() {
    let device = device(30, &[(0, 40, 0, false), (40, 100, 0, true), (100, 700, 1, true), (700, 760, 2, true)]);
    let visit = Visit { from: T + 40, to: T + 760, stays: vec![stay("a", 40, 100), stay("b", 100, 760)] };
    assert_eq!(visits(&device, Moments::Second), [visit]);
    // Heard at 90 by a, at 150 .. 690 by b, at 750 by c, which does not hold; a new place holds from the full minute on.
    let visit = Visit { from: T + 90, to: T + 750, stays: vec![stay("a", 90, 120), stay("b", 120, 750)] };
    assert_eq!(visits(&device, Moments::Minute), [visit]);
}

#[test]
fn who_is_inside_too_briefly_or_too_long_is_no_visitor() {
    let short = device(0, &[(0, 299, 0, true)]);
    let presence = of(&short, &aps(), &Profile::standard(), Moments::Second);
    assert_eq!((presence.visits.len(), presence.bounces), (0, vec![T]));
    let printer = device(0, &[(0, 43_201, 0, true)]);
    assert_eq!(of(&printer, &aps(), &Profile::standard(), Moments::Second), super::presence::Presence::default());
    assert_eq!(visits(&device(0, &[(0, 900, 0, false)]), Moments::Second), [], "a passer-by stays outside");
}

fn counts(devices: &[Device]) -> Counts {
    let mut counts = Counts::new(&mut Calendar::new(TimeZone::UTC, None), T, T + 7_200);
    devices.iter().for_each(|device| counts.add(&of(device, &aps(), &Profile::standard(), Moments::Second)));
    counts
}

#[test]
fn a_difference_stands_at_its_place() {
    let aps: BTreeSet<String> = aps().into_iter().collect();
    let truth = [device(0, &[(3_000, 4_200, 0, true), (4_200, 4_800, 1, true)]), device(0, &[(0, 60, 0, false)])];
    let equal = Comparison::new("s".to_owned(), "standard@1", Moments::Second, aps.clone(), &counts(&truth), &counts(&truth));
    assert_eq!(equal.differences(), 0);
    let passers_by = &equal.measures[1];
    assert_eq!((passers_by.name, passers_by.site.truth), ("passers-by", 1.0));

    let published = [device(0, &[(3_000, 4_200, 2, true), (4_200, 4_800, 1, true)]), device(0, &[(0, 60, 0, false)])];
    let other = Comparison::new("s".to_owned(), "standard@1", Moments::Second, aps, &counts(&truth), &counts(&published));
    assert!(other.differences() > 0);
    for measure in other.measures.iter().filter(|measure| measure.name != "passers-by") {
        assert_eq!(measure.site.difference(), 0.0, "{}", measure.name);
        let of_a = measure.aps[0].1;
        assert!(of_a.truth > 0.0 && of_a.published == 0.0, "{}", measure.name);
        assert!(measure.spread().unwrap().mean_absolute_error > 0.0);
    }
    let dwell = &other.measures[2];
    assert_eq!((dwell.name, dwell.aps[0].1.difference(), dwell.aps[2].1.percent()), ("dwell", -1.0 / 3.0, None));
}

#[test]
fn a_truth_file_that_cannot_be_used_says_why() {
    let ap = r#"{"record":"access_point","site":"x","network":"N","ap":"a","floor":0,"x_m":1,"y_m":2}"#;
    let stay = r#"{"record":"stay","client":"c","radio":"wifi","network":"N","from":"2026-01-01T00:00:00Z","to":"2026-01-01T00:01:00Z","nearest_ap":"a","inside":true}"#;
    let end = r#"{"record":"site","network":"N","radio_model":"noisy","from":"2026-01-01T00:00:00Z","to":"2026-01-01T00:01:00Z"}"#;
    let read = |lines: &[&str]| parse(lines.join("\n").as_bytes());
    let networks = read(&[ap, stay, end]).unwrap();
    assert_eq!((networks.len(), networks[0].devices.len(), networks[0].devices[0].stretches.len()), (1, 1, 1));
    for (lines, part) in [
        (&[][..], "is empty"),
        (&[ap, stay], "did not end"),
        (&[stay], "line 1 names an access point"),
        (&[ap, "{}"], "line 2 is no record"),
        (&[ap, r#"{"record":"visit","client":"c"}"#], "line 2 is no record"),
    ] {
        let error = read(lines).err().unwrap();
        assert!(error.contains(part), "{error}");
    }
}
