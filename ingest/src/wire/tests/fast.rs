//! The fast road: which bodies it reads alone, and that it never reads one otherwise than the second road does.
//!
//! [`outcome`] holds both roads against each other for each body of every table beside this one; here bodies are made at random.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// A body of each dialect with everything in it that the cloud is known to send.
fn usual() -> [String; 4] {
    let place = r#""lat":60.05342983801672,"lng":6.095774480792448,"variance":1.6885258062410806"#;
    let records = r#""rssiRecords":[{"apMac":"02:00:00:00:0a:01","rssi":-32},{"apMac":"02:00:00:00:0a:02","rssi":-104}]"#;
    let latest = |rssi: &str| format!(r#""latestRecord":{{"time":"2026-09-21T14:13:19Z","nearestApMac":"02:00:00:00:0a:01","nearestApRssi":{rssi}}}"#);
    let ap = r#"{"serial":"Q2XX-0001","mac":"02:00:00:00:0a:01","name":"AP 1","lat":"NaN","lng":"NaN","tags":["","a b","c"],"floorPlan":{"id":"","name":"","x":"NaN","y":"NaN"}},
        {"serial":null,"mac":"02:00:00:00:0a:02","name":"","lat":-31.69,"lng":71.94,"tags":[],"floorPlan":null}"#;
    [
        v2_wifi(&format!(
            "{},{}",
            heard(r#","ipv4":"host/192.0.2.1","ipv6":"/2001:db8::1","ssid":"caf\u00e9 \"x\"","os":null,"manufacturer":"Apple","seenTime":"2026-09-21T14:12:20Z","location":{"lat":51.5355157,"lng":-0.06990350000000944,"unc":-0.554,"x":[3.5,7],"y":["4.25",null]}"#),
            r#"{"clientMac":"02:00:00:00:0c:02","seenEpoch":0,"seenTime":"2026-09-21T14:12:20Z","rssi":0,"location":{"lat":"NaN","lng":"NaN","unc":"NaN","x":[],"y":[]}}"#
        )),
        v2_ble(r#"{"clientMac":"02:00:00:00:0c:01","seenTime":"2026-09-21T14:12:20Z","seenEpoch":1789999940,"rssi":-50,"name":"Watch","location":null}"#),
        v3_wifi(&format!(
            r#"{{"locations":[{{"x":"7.976651798199431","y":"10.576847081490314",{place},"floorPlanName":"3rd Floor","floorPlanId":"g_1",{records},"nearestApTags":["","Office"],"time":"2026-09-21T14:12:20Z"}}],"ipv4":"192.0.2.1","ssid":"guest","os":"iOS","clientMac":"02:00:00:00:0c:01","userId":"u",{},"ipv6":null,"manufacturer":null}}"#,
            latest("\"-47\"")
        )),
        v3_wifi(&format!(
            r#"{{"locations":[{{{place},"time":"2026-09-21T14:12:20Z","nearestApMac":"02:00:00:00:0a:01","floorPlan":{{"id":"g_1","name":"Ground","x":9.0,"y":8}},{records}}}],"name":"unknown","bleBeacons":[{{"uuid":"f6b2","txPower":-59,"major":0,"bleType":"iBeacon"}}],"clientMac":"02:00:00:00:0c:01",{}}},{{"clientMac":"020000000c02","locations":[],"name":"Tag \u00e9"}}"#,
            latest("-64")
        ))
        .replace("\"WiFi\"", "\"Bluetooth\"")
        .replace(r#""networkId":"N_1","#, &format!(r#""networkId":"N_1","startTime":"2026-09-21T14:12:20Z","endTime":"2026-09-21T14:13:20Z","reportingAps":[{ap}],"#)),
    ]
}

#[test]
fn the_clouds_usual_bodies_are_read_by_the_fast_road_alone() {
    for body in usual() {
        assert!(is_fast(&body), "{body}");
        let batch = post(&body);
        assert!(!batch.clients.is_empty() && batch.discarded.total() == 0);
        let document: Value = serde_json::from_str(&body).unwrap();
        for other in [serde_json::to_string(&document).unwrap(), serde_json::to_string_pretty(&document).unwrap(), reversed(&document)] {
            assert!(is_fast(&other), "{other}");
            assert_eq!(told(&Parsed::Post(post(&other))), told(&Parsed::Post(post(&body))));
        }
    }
}

#[test]
fn what_the_fast_road_does_not_own_is_left_to_the_second_one() {
    let [_, _, body, _] = usual();
    for (usual, odd) in [
        ("\"-47\"", "\"-47.0\""),
        ("\"-47\"", "-470"),
        ("-47", "-47e0"),
        ("\"-47\"", "-07"),
        ("\"-47\"", "07"),
        ("\"-47\"", "-00"),
        ("\"-47\"", "-0x"),
        ("02:00:00:00:0c:01", "02:00:00:00:0c"),
        ("\"os\":\"iOS\"", "\"os\":\"iOS\",\"os\":\"x\""),
        ("\"os\"", "\"o\\u0073\""),
        ("\"floorPlanId\"", "\"floorplanId\""),
        ("2026-09-21T14:12:20Z", "2026-09-31T14:12:20Z"),
        ("2026-09-21T14:12:20Z", "2026-09-22T14:12:20Z"),
        ("guest", "\\ud800"),
        ("guest", "\\u0000"),
        ("null", "NaN"),
        ("null", "[1]"),
        ("N_1", ""),
        ("wax", "wox"),
        ("}}", "}},1"),
        ("\"3.0\"", "[3]"),
    ] {
        let odd = body.replacen(usual, odd, 1);
        assert_ne!(odd, body);
        assert!(!is_fast(&odd), "{odd}");
        let _same = outcome(&odd);
    }
}

/// The day of the first time is known when the second one is read.
#[test]
fn a_time_of_a_known_day_is_judged_as_the_first_one_is() {
    let [_, _, body, _] = usual();
    let (first, second) = ("2026-09-21T14:12:20Z", "2026-09-21T14:13:19Z");
    assert!(body.find(first) < body.find(second));
    for clock in ["14:13:60", "14:60:00", "24:00:00", "23:59:59", "00:00:00", "14:13:5:", "14:13:1/", "14-13-19", "1413:019", "é4:13:19"] {
        let odd = body.replacen(second, &format!("2026-09-21T{clock}Z"), 1);
        let Ok(told) = outcome(&odd) else { panic!("{clock} is refused") };
        let other_day = odd.replacen(first, "2026-09-20T14:12:20Z", 1);
        let (Parsed::Post(told), Ok(Parsed::Post(alone))) = (told, outcome(&other_day)) else { panic!("{clock} is unknown") };
        assert_eq!(told.discarded, alone.discarded, "{clock}");
    }
}

/// The document with the members of every object backwards.
fn reversed(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<String> = members.iter().rev().map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), reversed(value))).collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(elements) => format!("[{}]", elements.iter().map(reversed).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

/// A document cut into its tokens, so that edits hit whole ones.
fn tokens(body: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = body.trim();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string_length(rest),
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            _ => rest.find(['{', '}', '[', ']', ',', ':', ' ', '\n']).unwrap_or(rest.len()),
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    tokens
}

fn string_length(text: &str) -> usize {
    let mut at = 1;
    while !text[at..].starts_with('"') {
        at += if text[at..].starts_with('\\') { 2 } else { text[at..].chars().next().map_or(1, char::len_utf8) };
    }
    at + 1
}

/// What may come in the place of a token: numbers of every form, other types, other spellings, and what is no JSON.
fn replacement() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,22})?([eE][+-]?[0-9]{1,3})?",
        2 => "-?(0|[1-9][0-9]{0,3})\\.[0-9]{1,19}",
        2 => "\"-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,22})?([eE][+-]?[0-9]{1,3})?\"",
        1 => any::<f64>().prop_map(|number| format!("{number:?}")),
        1 => (-400..400_i32).prop_map(|number| number.to_string()),
        2 => "\"([a-z0-9:/.é\u{1f600} -]|\\\\[\"\\\\/bfnrt]|\\\\u00[0-9a-f]{2}|\\\\ud83d\\\\ude0[0-9a-f]){0,50}\"",
        2 => "\"[0-9A-Fa-f]{2}([:.-]?[0-9A-Fa-f]{2}){5}\"",
        2 => "\"202[5-7]-(0[1-9]|1[0-2])-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,3})?(Z|z|\\+01:00)\"",
        3 => prop::sample::select(ODD_TOKENS).prop_map(str::to_owned),
        1 => prop::sample::select(KEYS).prop_map(|key| format!("\"{key}\"")),
        1 => prop::sample::select(KEYS).prop_map(|key| format!("\"{key}\":1,\"x\"")),
    ]
}

const ODD_TOKENS: &[&str] = &[
    "",
    "null",
    "true",
    "false",
    "{}",
    "[]",
    "[[]]",
    "{\"a\":[{\"b\":null}]}",
    "\"\"",
    "\"NaN\"",
    "NaN",
    "nul",
    "-",
    "01",
    "1.",
    "-0",
    "-0.0",
    "0.0",
    "1e999",
    "\"inf\"",
    "\"-47\"",
    "\"+5\"",
    "\"unknown\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"a",
    "\u{1}",
    "0.1.2",
    "18446744073709551615",
    "9223372036854775808",
    "-9223372036854775808",
    "9007199254740993",
    "4.35",
    "123456789012345678901234567890.5",
    "5e-324",
];

const KEYS: &[&str] = &[
    "version",
    "secret",
    "type",
    "data",
    "apMac",
    "apTags",
    "apFloors",
    "observations",
    "networkId",
    "reportingAps",
    "clientMac",
    "seenEpoch",
    "seenTime",
    "rssi",
    "ssid",
    "os",
    "manufacturer",
    "ipv4",
    "ipv6",
    "name",
    "location",
    "locations",
    "latestRecord",
    "lat",
    "lng",
    "unc",
    "variance",
    "x",
    "y",
    "time",
    "rssiRecords",
    "floorPlan",
    "floorplan",
    "floorPlanId",
    "floorplanName",
    "id",
    "mac",
    "tags",
    "nearestApMac",
    "nearestApRssi",
    "userId",
    "extra",
];

/// A usual body of which tokens were replaced, removed or put in, with white space between them, and its members in another order.
fn edited() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), 0..2_usize, replacement());
    let blank = prop::sample::select(&["", "", "", " ", "\n", "\t\r\n  "][..]);
    let blanks = prop_oneof![Just(vec![""]), prop::collection::vec(blank, 1..7)];
    (0..4_usize, any::<prop::sample::Index>(), 0..3_u8, prop::collection::vec(edit, 0..4), blanks).prop_map(|(which, turn, order, edits, blanks)| {
        let document: Value = serde_json::from_str(&usual()[which]).unwrap();
        let body = match order {
            0 => usual()[which].clone(),
            1 => reversed(&document),
            _ => in_order(&document, turn),
        };
        let mut tokens = tokens(&body);
        for (at, removed, added) in edits {
            let at = at.index(tokens.len());
            tokens.splice(at..(at + removed).min(tokens.len()), [added]);
        }
        tokens.iter().enumerate().map(|(at, token)| format!("{}{token}", blanks[at % blanks.len()])).collect()
    })
}

/// The members of each object turned by another number.
fn in_order(value: &Value, by: prop::sample::Index) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<String> = members.iter().map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), in_order(value, by))).collect();
            if !members.is_empty() {
                let turn = (by.index(1_000) + members[0].len()) % members.len();
                members.rotate_left(turn);
            }
            format!("{{{}}}", members.join(","))
        }
        Value::Array(elements) => format!("[{}]", elements.iter().map(|element| in_order(element, by)).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_roads_tell_the_same(body in edited()) {
        let _same = outcome(&body);
    }

    #[test]
    fn numbers_are_those_of_the_standard_library(text in "-?(0|[1-9][0-9]{0,18})(\\.[0-9]{1,27})?") {
        let exact: f64 = text.parse().unwrap();
        for spelled in [text.clone(), format!("\"{text}\"")] {
            let body = v2_wifi(&heard(&format!(r#","location":{{"lat":{spelled},"lng":1}}"#)));
            prop_assert!(is_fast(&body));
            prop_assert_eq!(post(body).locations[0].lat.to_bits(), (exact + 0.0).to_bits(), "{}", spelled);
        }
    }
}
