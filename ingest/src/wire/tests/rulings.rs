//! interface.md section 7, rulings 1 to 8: each that the parser decides has a test of its number.

use super::*;

fn with_location(location: &str) -> Box<Batch> {
    post(v2_wifi(&heard(&format!(r#","location":{location}"#))))
}

#[test]
fn ruling_1_bare_nan_is_null_where_a_coordinate_may_stand() {
    let batch = with_location(r#"{"lat":NaN,"lng":4.5,"x":[ NaN , 2,NaN],"y":[1,3,4],"unc":NaN}"#);
    assert_eq!(places(&batch), ["0c:01 60 - - 2,3 NaN,NaN NaN"]);
    assert_eq!(batch.repaired, 0, "null is no repaired string");
    let body = v3_wifi(r#"{"clientMac":"020000000c01","locations":[{"time":"2026-09-21T14:12:20Z","x":NaN,"y":NaN,"lat":1,"lng":2,"variance":NaN}]}"#);
    assert_eq!(places(&post(body)), ["0c:01 60 - - NaN,NaN 1,2 NaN"]);
    let escaped = with_location(r#"{"l\u0061t":NaN,"x":[1],"y":[2]}"#);
    assert_eq!(places(&escaped), ["0c:01 60 - Ground 1,2 NaN,NaN NaN"]);
}

#[test]
fn ruling_1_bare_nan_elsewhere_and_infinity_are_no_json() {
    for member in [
        r#""rssi":NaN"#,
        r#""time":NaN"#,
        r#""other":[NaN]"#,
        r#""lat":-NaN"#,
        r#""lat":NaNs"#,
        r#""lat":NaN NaN"#,
        r#""lat":nan"#,
        r#""lat":[[NaN]]"#,
        r#""lat":{"a":NaN}"#,
        r#""lat":[{"a":1},NaN]"#,
        r#""lat":1,NaN"#,
        r#""lat":Infinity"#,
        r#""lat":-Infinity"#,
        r#""x":[Infinity]"#,
        r#""x":[inf]"#,
        r#"NaN:1"#,
        r#""lat""x":NaN,"#,
    ] {
        assert!(is_not_json(v2_wifi(&heard(&format!(r#","location":{{{member}}}"#)))), "{member}");
    }
    assert!(is_not_json("NaN") && is_not_json("[NaN]"));
}

#[test]
fn ruling_1_whole_numbers_come_as_strings_fractions_and_exponents() {
    for rssi in ["30", r#""30""#, "30.0", r#""30.0""#, "3e1", "3.0E+1", r#""3e1""#] {
        let entry = format!(r#"{{"clientMac":"020000000c01","seenEpoch":{},"rssi":{rssi}}}"#, RECEIVED - 60);
        assert_eq!(rows(&post(v2_wifi(&entry))), ["0a:01 0c:01 60 -65 -"], "{rssi}");
    }
    for epoch in ["1789999940", r#""1789999940""#, "1.78999994e9", "1789999940.0", r#""1789999940.000""#, "17899999400e-1"] {
        let entry = format!(r#"{{"clientMac":"020000000c01","seenEpoch":{epoch},"rssi":30}}"#);
        assert_eq!(rows(&post(v2_wifi(&entry))), ["0a:01 0c:01 60 -65 -"], "{epoch}");
    }
    for version in [r#""2""#, "2", "2.0", "2.1", r#""2.999""#, "2e0", r#""2e0""#, r#""2.0.1""#, "20e-1"] {
        let body = v2_wifi(&heard("")).replace(r#""2.0""#, version);
        assert_eq!(post(body).observations.len(), 1, "{version}");
    }
    for rssi in ["30.5", r#""thirty""#, r#""""#, "null", "true", "[30]", "1e30", "99999999999999999999", r#""30 dB""#] {
        let entry = format!(r#"{{"clientMac":"020000000c01","seenEpoch":{},"rssi":{rssi}}}"#, RECEIVED - 60);
        assert_eq!(discarded(&post(v2_wifi(&entry))), [0, 0, 0, 1], "{rssi}");
    }
}

#[test]
fn ruling_1_half_a_position_is_none() {
    for location in [
        r#"{}"#,
        "null",
        "5",
        r#"{"lat":1}"#,
        r#"{"lng":1,"lat":null}"#,
        r#"{"lat":"NaN","lng":"NaN"}"#,
        r#"{"lat":1,"lng":"x"}"#,
        r#"{"x":[1],"y":[]}"#,
        r#"{"x":[1],"y":["NaN"]}"#,
        r#"{"lat":1,"x":[2],"y":[null]}"#,
        r#"{"lat":"Infinity","lng":"1"}"#,
        r#"{"lat":"1e999","lng":"1"}"#,
    ] {
        assert!(places(&with_location(location)).is_empty(), "{location}");
    }
    assert_eq!(places(&with_location(r#"{"lat":1,"x":[2],"y":[3]}"#)), ["0c:01 60 - Ground 2,3 NaN,NaN NaN"]);
    assert_eq!(places(&with_location(r#"{"lat":"1.5","lng":"-2.5e0","x":[2],"y":["NaN"]}"#)), ["0c:01 60 - Ground NaN,NaN 1.5,-2.5 NaN"]);
}

#[test]
fn ruling_1_negative_uncertainty_shows_as_0_and_nan_as_null() {
    for (told, shown) in [("-0.554", "0"), ("\"-2\"", "0"), ("\"NaN\"", "NaN"), ("null", "NaN"), ("48.9999", "48.9999"), ("-0.0", "0")] {
        let batch = with_location(&format!(r#"{{"lat":1,"lng":2,"unc":{told}}}"#));
        assert_eq!(places(&batch), [format!("0c:01 60 - - NaN,NaN 1,2 {shown}")], "{told}");
    }
}

#[test]
fn ruling_1_coordinates_are_double_precision_and_absurd_ones_stay() {
    let batch = with_location(r#"{"lat":60.05342983801672,"lng":"6.095774480792448","x":[1e300],"y":[-99999]}"#);
    let row = batch.locations[0];
    assert_eq!((row.lat, row.lng, row.x_m, row.y_m), (60.053_429_838_016_72, 6.095_774_480_792_448, 1e300, -99_999.0));
}

#[test]
fn ruling_1_a_discarded_rssi_leaves_its_location_standing() {
    let entry = format!(r#"{{"clientMac":"020000000c01","seenEpoch":{},"rssi":200,"location":{{"lat":1,"lng":2}}}}"#, RECEIVED - 60);
    let batch = post(v2_wifi(&entry));
    assert_eq!((discarded(&batch), places(&batch).len(), batch.clients[0].last_observed_at), ([0, 0, 0, 1], 1, RECEIVED - 60));
}

#[test]
fn ruling_2_what_cannot_be_read_becomes_the_replacement_character() {
    let table: [(&[u8], &str, u32); 9] = [
        (br"a\ud83db", "a\u{fffd}b", 1),
        (br"a\udc00\ud800", "a\u{fffd}\u{fffd}", 1),
        (br"\ud800\ud83d\ude00", "\u{fffd}\u{1f600}", 1),
        (br"\ud83d\ude00", "\u{1f600}", 0),
        (b"\\ud800\\n\xff\xfe\\\\x", "\u{fffd}\n\u{fffd}\u{fffd}\\x", 1),
        (b"caf\xe9", "caf\u{fffd}", 1),
        (b"\xe2\x82", "\u{fffd}", 1),
        (br"a\u0000b", "a\u{fffd}b", 1),
        ("caf\u{e9}".as_bytes(), "caf\u{e9}", 0),
    ];
    for (ssid, kept, repaired) in table {
        let body = v2_wifi(&heard(r#","ssid":"HERE""#)).into_bytes();
        let at = memchr::memmem::find(&body, b"HERE").unwrap();
        let body = [&body[..at], ssid, &body[at + 4..]].concat();
        let batch = post(body);
        assert_eq!(text(&batch, batch.observations[0].ssid), kept);
        assert_eq!((batch.repaired, batch.observations.len()), (repaired, 1), "{kept}");
    }
}

#[test]
fn ruling_2_repairs_are_counted_once_a_string_and_in_tags_too() {
    let batch = post(v2_wifi(&heard(r#","ssid":"\u0000\u0000","os":"\u0000","manufacturer":"\ud800\u0000\ud800""#)));
    assert_eq!((batch.repaired, text(&batch, batch.clients[0].os)), (3, "\u{fffd}"));
    let tagged = post(v2_wifi("").replace(r#""lobby""#, r#""a\u0000\"\u0000","\\u0000""#));
    assert_eq!((tagged.repaired, access_points(&tagged)[0].as_str()), (1, "0a:01 - - [\"a\u{fffd}\\\"\u{fffd}\",\"\\\\u0000\"] - NaN,NaN NaN,NaN"));
    assert!(is_not_json(v2_wifi(&heard(r#","ssid":"\ud8zz""#))), "an escape that is no escape stays an error");
}

#[test]
fn ruling_3_a_deciding_member_stands_once() {
    let good = v2_wifi(&heard(""));
    for twice in [
        r#"{"secret":"x","#,
        r#"{"version":"2.0","#,
        r#"{"type":"DevicesSeen","#,
        r#"{"data":{},"#,
        r#"{"data":null,"#,
        r#"{"s\u0065cret":"x","#,
        r#"{"\u0064ata":1,"#,
    ] {
        assert!(is_not_json(good.replacen('{', twice, 1)), "{twice}");
        assert!(is_not_json(good.replacen('{', twice, 1).replace(SECRET, "wrong")), "before the secret is judged: {twice}");
    }
    let batch = post(good.replacen('{', r#"{"other":1,"other":{"secret":"x"},"#, 1));
    assert_eq!(batch.observations.len(), 1);
}

#[test]
fn ruling_3_elsewhere_the_last_one_wins() {
    let entry = heard(r#","rssi":20,"clientMac":"02:00:00:00:0c:02","ssid":"a","ssid":null,"location":{"lat":1,"lng":2,"lat":3},"rssi":25"#);
    let batch = post(v2_wifi(&entry).replace(r#""apFloors""#, r#""apMac":"02:00:00:00:0a:02","apFloors""#));
    assert_eq!(rows(&batch), ["0a:02 0c:02 60 -70 -"]);
    assert_eq!(places(&batch), ["0c:02 60 - - NaN,NaN 3,2 NaN"]);
    let floors =
        r#"{"clientMac":"020000000c01","locations":[{"time":"2026-09-21T14:12:20Z","floorPlan":{"id":"a","x":1,"y":2},"floorPlan":{"name":"B","x":3,"y":4}}]}"#;
    assert_eq!(places(&post(v3_wifi(floors))), ["0c:01 60 - B 3,4 NaN,NaN NaN"]);
}

#[test]
fn ruling_3_nesting_goes_to_127_levels() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let nested = |levels: usize| {
            let inner = if open == "[" { "" } else { "1" };
            let deep = format!("{}{inner}{}", open.repeat(levels - 1), close.repeat(levels - 1));
            v2_wifi("").replacen('{', &format!(r#"{{"skipped":{deep},"#), 1)
        };
        assert!(outcome(nested(127)).is_ok() && serde_json::from_str::<serde_json::Value>(&nested(127)).is_ok());
        assert!(is_not_json(nested(128)) && serde_json::from_str::<serde_json::Value>(&nested(128)).is_err());
        assert!(is_not_json(nested(100_000)));
    }
    assert!(is_not_json("[".repeat(1_000_000)) && is_not_json("{\"a\":".repeat(300_000)));
}

#[test]
fn ruling_4_no_object_or_no_secret_is_refused_as_a_wrong_secret() {
    for body in [
        "[]".to_owned(),
        "1".to_owned(),
        "\"secret\"".to_owned(),
        "null".to_owned(),
        "true".to_owned(),
        "{}".to_owned(),
        v2_wifi("").replace(r#""secret""#, r#""Secret""#),
        v2_wifi("").replace(&format!(r#""{SECRET}""#), "null"),
        v2_wifi("").replace(&format!(r#""{SECRET}""#), "5"),
        v2_wifi("").replace(&format!(r#""{SECRET}""#), &format!(r#"["{SECRET}"]"#)),
        v2_wifi("").replace(SECRET, "wax and feather"),
        v2_wifi("").replace(SECRET, "wax and feathers "),
        v2_wifi("").replace(SECRET, ""),
        r#"{"secret":"wrong"}"#.to_owned(),
    ] {
        assert!(matches!(outcome(&body), Err(Rejection::Secret)), "{body}");
    }
}

#[test]
fn ruling_4_the_form_of_version_1_goes_to_quarantine_with_the_right_secret() {
    let json = format!(r#"%7B%22secret%22%3A%22{}%22%2C+%22probing%22:[]%7D"#, SECRET.replace(' ', "+"));
    assert_eq!(unknown(format!("data={json}")), "v1");
    assert_eq!(unknown(format!("a=1&data={json}&b")), "v1");
    assert!(matches!(outcome(format!("data={}", json.replace("wax", "Wax"))), Err(Rejection::Secret)));
    assert!(matches!(outcome("data={}"), Err(Rejection::Secret)));
}

#[test]
fn ruling_4_v3_without_a_network_goes_to_quarantine() {
    for network in ["\"\"", "null", "5", "[\"N_1\"]"] {
        assert_eq!(unknown(v3_wifi("").replace("\"N_1\"", network)), "no_network", "{network}");
    }
    assert_eq!(unknown(v3_wifi("").replace("networkId", "network")), "no_network");
}

#[test]
fn ruling_4_the_major_part_of_the_version_decides() {
    for version in ["\"1.0\"", "\"4.0\"", "4", "\"v2\"", "\"\"", "null", "-2", "\"20\"", "1e300", "\"22222222222222222222222.0\"", "\".2\"", "[2]"] {
        assert_eq!(unknown(v2_wifi(&heard("")).replace("\"2.0\"", version)), "version", "{version}");
    }
    for version in ["3", "3.0", "3.9", "\"3.7\"", "\"3\""] {
        assert_eq!(unknown(v3_wifi("").replace("\"3.0\"", version)), "none", "{version}");
    }
    assert_eq!(unknown(v2_wifi("").replace("\"2.0\"", "\"3.0\"")), "type", "a type belongs to its version");
}

#[test]
fn ruling_5_an_address_has_any_spelling_and_may_be_multicast() {
    for mac in ["02:00:00:00:0C:01", "02-00-00-00-0c-01", "0200.0000.0c01", "020000000C01"] {
        let entry = heard("").replace("02:00:00:00:0c:01", mac);
        assert_eq!(rows(&post(v2_wifi(&entry))), ["0a:01 0c:01 60 -65 -"], "{mac}");
    }
    let multicast = post(v2_wifi(&heard("").replace("02:00", "01:00")));
    assert!(multicast.observations.len() == 1 && multicast.clients[0].mac.is_group());
    for mac in ["\"02:00:00:00:0c\"", "\"02:00:00:00:0c:01:02\"", "\"\"", "null", "5", "\"02:00:00:00:0c:0g\"", "\"(redacted)\""] {
        let entry = heard(r#","location":{"lat":1,"lng":2}"#).replace("\"02:00:00:00:0c:01\"", mac);
        let batch = post(v2_wifi(&entry));
        assert_eq!((discarded(&batch), batch.locations.len(), batch.clients.len()), ([1, 0, 0, 0], 0, 0), "{mac}");
    }
}

#[test]
fn ruling_5_signals_outside_the_scale_are_discarded() {
    let rssi = |value: i64| heard("").replace(r#""rssi":30"#, &format!(r#""rssi":{value}"#));
    for (told, dbm) in [(0, Some(-95)), (94, Some(-1)), (95, None), (-1, Some(-1)), (-120, Some(-120)), (-121, None), (i64::MAX, None), (i64::MIN, None)] {
        let batch = post(v2_wifi(&rssi(told)));
        assert_eq!(batch.observations.first().map(|row| row.rssi_dbm), dbm, "v2 wifi {told}");
        assert_eq!(discarded(&batch), [0, 0, 0, u64::from(dbm.is_none())]);
    }
    for (told, dbm) in [(-70, Some(-70)), (0, None), (30, None), (-128, None)] {
        assert_eq!(post(v2_ble(&rssi(told))).observations.first().map(|row| row.rssi_dbm), dbm, "v2 ble {told}");
    }
}

#[test]
fn ruling_5_the_epoch_stands_before_the_text() {
    let seen = |epoch: &str| {
        let entry = format!(r#"{{"clientMac":"020000000c01",{epoch}"seenTime":"2026-09-21T14:12:20Z","rssi":30}}"#);
        let batch = post(v2_wifi(&entry));
        (rows(&batch).first().map(|row| row[12..].to_owned()), discarded(&batch)[1])
    };
    for epoch in [r#""seenEpoch":0,"#, r#""seenEpoch":null,"#, "", r#""seenEpoch":"","#, r#""seenEpoch":"0","#, r#""seenEpoch":0.0,"#, r#""seenEpoch":{},"#] {
        assert_eq!(seen(epoch), (Some("60 -65 -".to_owned()), 0), "{epoch}");
    }
    assert_eq!(seen(r#""seenEpoch":1789999930,"#), (Some("70 -65 -".to_owned()), 0));
    for epoch in [r#""seenEpoch":-5,"#, r#""seenEpoch":"soon","#, r#""seenEpoch":1789999930.5,"#] {
        assert_eq!(seen(epoch), (None, 1), "{epoch}");
    }
}

#[test]
fn ruling_6_the_future_begins_120_seconds_after_the_arrival() {
    let at = |ahead: i64| {
        let entry = heard(r#","location":{"lat":1,"lng":2}"#).replace(&(RECEIVED - 60).to_string(), &RECEIVED.saturating_add(ahead).to_string());
        let batch = post(v2_wifi(&entry));
        (batch.observations.len(), batch.locations.len(), discarded(&batch)[2])
    };
    assert_eq!((at(120), at(121), at(i64::MAX)), ((1, 1, 0), (0, 0, 1), (0, 0, 1)));
    assert_eq!(at(1 - RECEIVED), (1, 1, 0), "however old, it is stored");
}

#[test]
fn ruling_7_v2_has_a_location_row_for_every_floor() {
    let body = v2_wifi(&heard(r#","location":{"lat":1,"lng":2,"unc":3,"x":[4,"5",6],"y":["7",8.5]}"#));
    assert_eq!(places(&post(&body)), ["0c:01 60 - Ground 4,7 1,2 3", "0c:01 60 - - 5,8.5 1,2 3"]);
    let named = body.replace(r#"["Ground"]"#, r#"["Ground","First","Second"]"#);
    assert_eq!(places(&post(named)), ["0c:01 60 - Ground 4,7 1,2 3", "0c:01 60 - First 5,8.5 1,2 3"]);
    let unnamed = body.replace(r#"["Ground"]"#, r#"["",5,"Second"]"#);
    assert_eq!(places(&post(unnamed)), ["0c:01 60 - - 4,7 1,2 3", "0c:01 60 - - 5,8.5 1,2 3"]);
    for empty in [r#""x":[],"y":[]"#, r#""x":null,"y":null"#, r#""a":1"#, r#""x":[],"y":[3]"#, r#""x":3,"y":4"#] {
        let batch = with_location(&format!(r#"{{"lat":1,"lng":2,{empty}}}"#));
        assert_eq!(places(&batch), ["0c:01 60 - - NaN,NaN 1,2 NaN"], "{empty}");
    }
}

#[test]
fn ruling_7_empty_tags_are_dropped() {
    for (tags, kept) in [
        (r#"["","home",""]"#, r#"["home"]"#),
        ("[]", "[]"),
        (r#"[""]"#, "[]"),
        (r#"["a",5,null,["b"],"c\"\u00e9\u0001"]"#, "[\"a\",\"c\\\"\u{e9}\\u0001\"]"),
        ("null", "-"),
        (r#""home""#, "-"),
    ] {
        let batch = post(v2_wifi("").replace(r#"["","lobby",""]"#, tags));
        assert_eq!(text(&batch, batch.access_points[0].tags), kept, "{tags}");
    }
    let missing = post(v2_wifi("").replace("apTags", "tags"));
    assert!(missing.access_points[0].tags.is_none());
}

#[test]
fn ruling_8_and_protocol_the_body_alone_decides() {
    // Paths, methods and encodings are the server's; here it is that no header is needed to tell a form from JSON.
    assert_eq!(unknown(format!("data=%7b%22secret%22:%22{}%22%7d", SECRET.replace(' ', "%20"))), "v1");
    assert_eq!(post(format!("  \r\n\t{}  \n", v2_wifi(&heard("")))).observations.len(), 1);
}
