//! The layout, on fixed rows.

use super::bars::{bar, length, share, short};
use super::layout::{Style, page, sites};
use super::page::{Bar, Flow, Line, Occupancy, Page, Place, Summary};

const PLAIN: Style = Style { width: 80, is_coloured: false };

fn summary() -> Summary {
    Summary {
        visitors: Some(146),
        passers_by: Some(196),
        capture_rate: Some(0.427),
        connected: Some(75),
        visits: Some(151),
        bounce_rate: Some(0.24),
        dwell_mean_s: Some(1_904.5),
        dwell_median_s: Some(1_143.0),
        dwell_p90_s: Some(8_700.0),
        new: Some(0),
        returning: Some(0),
        unknown: Some(146),
    }
}

fn example() -> Page {
    Page {
        site: "mall/L_1".to_owned(),
        title: "Thursday, 26 November 2026".to_owned(),
        profile: "standard@1".to_owned(),
        data_until: "2026-11-26 10:57 UTC".to_owned(),
        coverage: Some(0.95),
        is_final: false,
        summary: summary(),
        is_week: false,
        bars: vec![
            Bar { label: "09:00".to_owned(), visitors: Some(40), passers_by: Some(80) },
            Bar { label: "10:00".to_owned(), visitors: Some(120), passers_by: None },
        ],
        occupancy: vec![Occupancy { label: "09:00".to_owned(), mean: 10.5, peak: 21, peak_at: "09:42".to_owned() }],
        places: vec![Place {
            name: "Entrance".to_owned(),
            visitors: Some(90),
            dwell_total_s: Some(64_385),
            stay_mean_s: Some(503.0),
            capture_rate: Some(0.367),
        }],
        flows: vec![
            Flow { from: "outside".to_owned(), to: "Entrance".to_owned(), transitions: 61 },
            Flow { from: "Entrance".to_owned(), to: "5c:f0:a0:00:00:02".to_owned(), transitions: 6 },
        ],
    }
}

#[test]
fn a_day_is_a_page() {
    assert_eq!(page(&example(), PLAIN), PAGE.trim_start_matches('\n'));
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut wide = example();
    wide.places[0].name = "An access point with a name that nobody would give it".to_owned();
    wide.flows[0].to = wide.places[0].name.clone();
    for width in [80, 100, 140] {
        let text = page(&wide, Style { width, is_coloured: false });
        let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest <= width, "{longest} in {width}:\n{text}");
        assert!(longest > width / 2, "{longest} in {width}:\n{text}");
    }
}

#[test]
fn colour_changes_nothing_but_colour() {
    let coloured = page(&example(), Style { is_coloured: true, ..PLAIN });
    let mut plain = String::new();
    for part in coloured.split('\u{1b}') {
        plain.push_str(part.strip_prefix('[').and_then(|code| code.split_once('m')).map_or(part, |(_, text)| text));
    }
    let trimmed = |text: &str| text.lines().map(|line| format!("{}\n", line.trim_end())).collect::<String>();
    assert_eq!(trimmed(&plain), page(&example(), PLAIN));
}

#[test]
fn what_is_null_is_unknown_or_a_dash() {
    let mut hidden = example();
    hidden.summary = Summary { visits: Some(3), ..Summary::default() };
    hidden.coverage = Some(0.4);
    let text = page(&hidden, PLAIN);
    for part in ["new           unknown", "returning     unknown", "visitors      -", "mean dwell    -", "no post arrived"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    hidden.summary = Summary { new: Some(5), returning: Some(2), unknown: Some(1), ..Summary::default() };
    let text = page(&hidden, PLAIN);
    assert!(text.contains("new           5") && text.contains("returning     2, unknown 1"), "{text}");
}

#[test]
fn a_week_says_what_does_not_add_up() {
    let text = page(&Page { is_week: true, ..example() }, PLAIN);
    for part in ["capture rate  by day", "A client who came on two days is in both", "Devices present by day"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn many_sites_are_a_table() {
    let line = |site: &str| Line { site: site.to_owned(), day: "2026-11-26".to_owned(), summary: summary() };
    let text = sites(&[line("mall/L_1"), line("mall/L_646000000000000001")], PLAIN);
    assert!(text.contains("mall/L_646000000000000001") && text.contains("43 %") && text.contains("footfall report --site"), "{text}");
    let text = sites(&[line(&"long".repeat(40))], PLAIN);
    assert!(text.lines().all(|line| line.chars().count() <= PLAIN.width), "{text}");
}

#[test]
fn numbers_are_as_people_read_them() {
    assert_eq!([Some(40.0), Some(720.0), Some(7_300.0), Some(270_000.0), None].map(length), ["40 s", "12 min", "2 h 02 min", "3 d 03 h", "-"]);
    assert_eq!([Some(0.0014), Some(0.427), Some(1.0), None].map(share), ["0.1 %", "43 %", "100 %", "-"]);
    assert_eq!(short("caf\u{1b}[2Jé", 20), "caf\u{fffd}[2Jé");
    assert_eq!([0.0, 0.001, 0.5, 1.0, 2.0].map(|value| bar(value, 1.0, 4)), ["", "▏", "██", "████", "████"]);
}

const PAGE: &str = "
mall/L_1  Thursday, 26 November 2026
profile standard@1, data until 2026-11-26 10:57 UTC, not final yet
coverage 95 %

  visitors      146         passers-by    196         capture rate  43 %
  visits        151         connected     75          bounce rate   24 %
  mean dwell    32 min      median dwell  19 min      90 % within   2 h 25 min
  new           unknown     returning     unknown

Visitors by hour                        passers-by
  09:00     40 █████████▍                       80 ██████████████████▋
  10:00    120 ████████████████████████████      -

Devices present by hour                               mean   peak
  09:00 ████████████████████▌····················     10.5     21 at 09:42

Access points                        visitors    dwell total  mean stay  capture
  Entrance     █████████████████████       90         17.9 h      8 min     37 %

Ways most taken
  outside  → Entrance              61 ████████████████████████████████████████
  Entrance → 5c:f0:a0:00:00:02      6 ███▉
";
