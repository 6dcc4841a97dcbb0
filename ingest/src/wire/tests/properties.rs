//! Properties over generated bodies: no panic, the same judgement as `serde_json`, a replay that tells the same, exact numbers and
//! times, and a cost that holds.

use proptest::prelude::*;

use super::*;

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(text).is_ok()
}

/// Ours and theirs agree, but where something was repaired, and then they agree on the repaired text.
fn assert_same_judgement(body: &[u8]) {
    let accepted = match outcome(body) {
        Err(Rejection::NotJson { reason }) => reason.ends_with("twice"),
        _ => true,
    };
    let mut repaired = Vec::new();
    let repairs = repair::repair(body, &mut repaired);
    let shown = String::from_utf8_lossy(body);
    if repairs.is_empty() {
        assert_eq!(accepted, is_json(body), "{shown:?}");
    } else if is_json(body) {
        assert!(accepted, "{shown:?}");
    } else {
        assert_eq!(accepted, is_json(&repaired), "{shown:?}");
    }
}

/// Pieces of which texts are made that are nearly JSON.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\"a\":",
    "\"lat\":",
    "\"x\":[",
    "\"secret\":\"",
    "\"data\":{",
    "NaN",
    "null",
    "true",
    "1",
    "-0.5",
    "1e99",
    "1e999",
    "\\u0000",
    "\\ud83d",
    "\\ude00",
    "\\\"",
    "\\",
    " ",
    "\n",
    "\u{e9}",
    "\"version\":2,",
    "\"observations\":[",
    "\"apMac\":\"020000000a01\"",
    "{}",
    "[]",
];

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let whole = prop::sample::select(vec![
        v2_wifi(&heard(r#","ssid":"gu\u00e9st","location":{"lat":1.5,"lng":"NaN","x":[1],"y":["2"],"unc":-1}"#)),
        v2_ble(&heard(r#","name":"Watch","rssi":-50,"location":null"#)),
        v3_wifi(
            r#"{"clientMac":"020000000c01","locations":[{"time":"2026-09-21T14:12:20Z","x":NaN,"rssiRecords":[{"apMac":"020000000a01","rssi":-40}]}],"latestRecord":{"time":"2026-09-21T14:12:21Z","nearestApMac":"020000000a01","nearestApRssi":"-41"}}"#,
        ),
        format!("data=%7B%22secret%22%3A%22{}%22%7D", SECRET.replace(' ', "+")),
    ]);
    let edit = (
        any::<prop::sample::Index>(),
        0..4_usize,
        prop_oneof![any::<u8>().prop_map(|byte| vec![byte]), prop::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec())],
    );
    (whole, prop::collection::vec(edit, 0..6)).prop_map(|(whole, edits)| {
        let mut body = whole.into_bytes();
        for (at, removed, added) in edits {
            let at = at.index(body.len() + 1);
            let end = (at + removed).min(body.len());
            body.splice(at..end, added);
        }
        body
    })
}

fn soup() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(PIECES), 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

fn is_form(body: &[u8]) -> bool {
    matches!(Form::find(body), Ok(Some(_)) | Err(_))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_judged(body in prop::collection::vec(any::<u8>(), 0..200)) {
        if !is_form(&body) {
            assert_same_judgement(&body);
        }
    }

    #[test]
    fn mutated_posts_are_judged(body in bodies()) {
        if is_form(&body) {
            let _outcome = outcome(&body);
        } else {
            assert_same_judgement(&body);
        }
    }

    #[test]
    fn soups_are_judged(body in soup()) {
        assert_same_judgement(&body);
        assert_same_judgement(&[b"{\"a\":[", body.as_slice(), b"]}"].concat());
    }

    #[test]
    fn coordinates_are_exact(bits in any::<u64>(), digits in 0..25_usize) {
        let number = f64::from_bits(bits);
        prop_assume!(number.is_finite());
        for text in [format!("{number}"), format!("{number:e}"), format!("{number:.digits$e}"), format!("{:.digits$}", number % 1e6)] {
            let exact: f64 = text.parse().unwrap();
            if !exact.is_finite() {
                continue;
            }
            for spelled in [text.clone(), format!("\"{text}\"")] {
                let batch = post(v2_wifi(&heard(&format!(r#","location":{{"lat":{spelled},"lng":1}}"#))));
                prop_assert_eq!(batch.locations[0].lat.to_bits(), (exact + 0.0).to_bits(), "{}", spelled);
            }
        }
    }

    #[test]
    fn times_are_those_of_jiff(second in -62_167_219_200_i64..253_402_207_200, offset in -23..=23_i8, nanos in 0..1_000_000_000_i32) {
        let zone = jiff::tz::Offset::constant(offset);
        let time = jiff::Timestamp::new(second, nanos.max(1)).or_else(|_| jiff::Timestamp::new(second, 0)).unwrap();
        let spelled = time.display_with_offset(zone).to_string();
        prop_assume!(!spelled.starts_with('-') && spelled.as_bytes()[4] == b'-');
        prop_assert_eq!(time::seconds(&spelled), Some(second), "{}", spelled);
    }

    #[test]
    fn anything_may_stand_as_a_time(text in "\\PC{0,30}|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,12})?([Zz]|[+-][0-9]{2}:[0-9]{2})?") {
        let ours = time::seconds(&text);
        // Leap seconds aside, what both read is the same.
        if let (Some(ours), Ok(theirs)) = (ours, text.parse::<jiff::Timestamp>()) && !text.contains(":60") {
            prop_assert_eq!(ours, theirs.as_millisecond().div_euclid(1_000));
        }
    }

    #[test]
    fn the_cost_covers_the_tables(body in prop_oneof![bodies(), soup()]) {
        let mut parser = Parser::default();
        let receiver = Arc::from("mall");
        let context = Context { receiver: &receiver, secrets: Secrets::Trusted, received_at_ms: 0 };
        let cost = cost_bytes(&body);
        let _outcome = parser.parse_slow(&mut body.clone(), &context);
        prop_assert!(parser.memory.written_bytes() <= cost, "{} > {}", parser.memory.written_bytes(), cost);
    }
}

#[test]
fn times_in_other_spellings() {
    for (text, seconds) in [
        ("1970-01-01T00:00:00Z", Some(0)),
        ("2026-09-21T14:13:20z", Some(RECEIVED)),
        ("2026-09-21t14:13:20.999999999999999999Z", Some(RECEIVED)),
        ("2026-09-21T16:43:20+02:30", Some(RECEIVED)),
        ("2026-09-21T14:13:20-00:00", Some(RECEIVED)),
        ("2016-12-31T23:59:60Z", Some(1_483_228_799)),
        ("2016-02-29T00:00:00Z", Some(1_456_704_000)),
        ("1969-12-31T23:59:59.5Z", Some(-1)),
        ("0000-01-01T00:00:00Z", Some(-62_167_219_200)),
        ("9999-12-31T23:59:59Z", Some(253_402_300_799)),
        ("2026-02-29T00:00:00Z", None),
        ("1900-02-29T00:00:00Z", None),
        ("2026-13-01T00:00:00Z", None),
        ("2026-00-01T00:00:00Z", None),
        ("2026-01-00T00:00:00Z", None),
        ("2026-01-01T24:00:00Z", None),
        ("2026-01-01T00:60:00Z", None),
        ("2026-01-01T00:00:61Z", None),
        ("2026-01-01T00:00:00", None),
        ("2026-01-01T00:00:00.Z", None),
        ("2026-01-01T00:00:00.5", None),
        ("2026-01-01T00:00:00+24:00", None),
        ("2026-01-01T00:00:00+0200", None),
        ("+12026-01-01T00:00:00Z", None),
        ("2026-01-01T00:00Z", None),
        ("", None),
    ] {
        assert_eq!(time::seconds(text), seconds, "{text}");
    }
}

#[test]
fn giant_hostile_bodies_take_linear_time() {
    // Each would take hours if anything in them were looked at more than a few times.
    let many = 400_000;
    for body in [
        "\"\\ud800".repeat(many),
        "{\"lat\":NaN,".repeat(many),
        format!("[{}1]", "\"\\ud800\",".repeat(many)),
        format!("{{\"x\":[{}1]}}", "NaN,".repeat(many)),
        format!("{{\"a\":\"{}\"}}", "\\ud800".repeat(many)),
        "&data".repeat(many),
        format!("data={}", "%7B".repeat(many)),
        "a&secret=1".repeat(many),
    ] {
        assert!(outcome(&body).is_err());
    }
    let entries = vec![heard(r#","ssid":"\u0000""#); 2_000].join(",");
    assert_eq!(post(v2_wifi(&entries)).repaired, 2_000);
}

#[test]
fn the_cost_of_an_ordinary_post_is_a_few_times_its_bytes() {
    let entries = vec![heard(r#","ssid":"guest","location":{"lat":51.53569388164768,"lng":-0.06959447280598852,"unc":0.68,"x":[3.47],"y":[4.35]}"#); 1_000];
    let body = v2_wifi(&entries.join(","));
    let cost = cost_bytes(body.as_bytes());
    assert!(cost > 2 * body.len() && cost < 8 * body.len(), "{cost} for {}", body.len());
}
