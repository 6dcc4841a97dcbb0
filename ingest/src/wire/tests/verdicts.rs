//! The order of verdicts, the secret, what is blanked, and bodies of unknown shape.

use super::*;

#[test]
fn the_secret_is_blanked_in_place_and_nothing_else_changes() {
    let secret = "a\"b\\c\u{e9}/";
    let spelled = r#"a\"b\\c\u00e9\/"#;
    let body = v2_wifi(&heard(r#","ssid":"x\"secret\":\"y""#)).replace(SECRET, spelled);
    let (parsed, blanked) = parse_bytes(body.as_bytes(), Secrets::Any(&[Secret::new(secret.to_owned())]));
    assert!(matches!(parsed, Ok(Parsed::Post(_))));
    let expected = body.replace(spelled, &" ".repeat(spelled.len()));
    assert_eq!(String::from_utf8(blanked).unwrap(), expected);
}

#[test]
fn the_secret_is_found_again_behind_repairs() {
    let noise = b"{\"a\xff\xfe\":\"\\ud800\",\"lat\":NaN,\"x\":[NaN,NaN],\"b\":\"\\u0000\xc3\",".to_vec();
    let body = [noise, v2_wifi(&heard("")).as_bytes()[1..].to_vec()].concat();
    let (parsed, blanked) = parse_bytes(&body, Secrets::Any(&[Secret::new(SECRET.to_owned())]));
    let Ok(Parsed::Post(batch)) = parsed else { panic!("refused") };
    assert_eq!(batch.repaired, 3);
    let at = memchr::memmem::find(&body, SECRET.as_bytes()).unwrap();
    let mut expected = body;
    expected[at..at + SECRET.len()].fill(b' ');
    assert_eq!(blanked, expected);
}

#[test]
fn every_configured_secret_opens_and_none_opens_nothing() {
    let body = v2_wifi("");
    let secrets: Vec<_> = ["old", SECRET, "next"].map(|secret| Secret::new(secret.to_owned())).into();
    for (some, opens) in [(&secrets[..], true), (&secrets[1..2], true), (&secrets[2..], false), (&[], false)] {
        assert_eq!(parse_bytes(body.as_bytes(), Secrets::Any(some)).0.is_ok(), opens);
    }
    assert_eq!(format!("{:?}", secrets[0]), "Secret(..)");
}

#[test]
fn a_secret_with_something_unreadable_is_wrong() {
    let secrets = [Secret::new("\u{fffd}".to_owned())];
    for spelled in [&b"\xff"[..], br"\ud800", br"\u0000"] {
        let body = [br#"{"secret":""#, spelled, br#"","version":2}"#].concat();
        assert!(matches!(parse_bytes(&body, Secrets::Any(&secrets)).0, Err(Rejection::Secret)));
    }
    let (parsed, blanked) = parse_bytes("{\"secret\":\"\u{fffd}\"}".as_bytes(), Secrets::Any(&secrets));
    assert!(matches!(parsed, Ok(Parsed::Unknown { reason: "version" })));
    assert_eq!(blanked, b"{\"secret\":\"   \"}");
}

#[test]
fn the_syntax_is_judged_before_the_secret_and_the_secret_before_the_shape() {
    let wrong = v2_wifi("").replace(SECRET, "wrong");
    assert!(is_not_json(&wrong[..wrong.len() - 1]));
    assert!(is_not_json(format!("{wrong},")));
    for shape in [wrong.replace("2.0", "9"), wrong.replace("DevicesSeen", "x"), wrong.replace("apMac", "x"), wrong.replace("data", "x")] {
        assert!(matches!(outcome(shape), Err(Rejection::Secret)));
    }
}

#[test]
fn an_unknown_shape_has_a_reason() {
    let v2 = v2_wifi(&heard(""));
    let v3 = v3_wifi("");
    for (body, reason) in [
        (v2.replace("DevicesSeen", "Unheard"), "type"),
        (v2.replace("\"DevicesSeen\"", "null"), "type"),
        (v2.replace("\"type\"", "\"kind\""), "type"),
        (v2.replace("\"version\"", "\"v\""), "version"),
        (v2.replace("\"data\"", "\"dat\""), "shape"),
        (v2.replace("\"observations\"", "\"seen\""), "shape"),
        (v2.replace("\"02:00:00:00:0a:01\"", "null"), "no_ap"),
        (v2.replace("\"apMac\"", "\"ap\""), "no_ap"),
        (v3.replace("[]", "null"), "shape"),
        (v3.replace("[]", "{}"), "shape"),
        (v3.replace("WiFi", "DevicesSeen"), "type"),
        (v3.replace("WiFi", "LoRa"), "type"),
        (format!(r#"{{"secret":"{SECRET}","version":3,"type":"BLE","data":[]}}"#), "shape"),
        (format!(r#"{{"secret":"{SECRET}"}}"#), "version"),
        (format!(r#"{{"alertId":"","sharedSecret":"x","secret":"{SECRET}","version":"0.1"}}"#), "version"),
    ] {
        assert_eq!(unknown(&body), reason, "{body}");
    }
}

#[test]
fn a_form_is_blanked_so_that_the_rest_still_decodes() {
    let secret = "p&q \u{e9}%";
    let encoded = "p%26q+%C3%A9%25";
    let body = format!("secret={encoded}&x=%zz&data=%7B%22secret%22%3A%22{encoded}%22%2C%22probing%22%3A%5B%5D%7D&y");
    let (parsed, blanked) = parse_bytes(body.as_bytes(), Secrets::Any(&[Secret::new(secret.to_owned())]));
    assert!(matches!(parsed, Ok(Parsed::Unknown { reason: "v1" })));
    assert_eq!(String::from_utf8(blanked.clone()).unwrap(), body.replace(encoded, &" ".repeat(encoded.len())));
    assert!(matches!(parse_bytes(&blanked, Secrets::Trusted).0, Ok(Parsed::Unknown { reason: "v1" })));
}

#[test]
fn a_form_that_cannot_be_read_is_no_json() {
    for body in ["data=", "data", "data=%7", "data=%zz", "data=%7b", "data=a&b", "data={}&data={}", "secret=x", "a", "dat=1", "=&=&", "data=%00"] {
        assert!(is_not_json(body), "{body}");
    }
    let twice = format!(r#"data={{"secret":"{SECRET}","secret":"{SECRET}"}}"#);
    assert!(is_not_json(twice));
}

#[test]
fn a_form_may_need_repairs_too() {
    let body = format!("data=%7B%22ap%22:%22%ff%22,%22secret%22:%22{}%22%7D", SECRET.replace(' ', "%20"));
    assert_eq!(unknown(&body), "v1");
    let (_, blanked) = parse_bytes(body.as_bytes(), Secrets::Any(&[Secret::new(SECRET.to_owned())]));
    assert!(blanked.ends_with(b"%22%7D") && memchr::memmem::find(&blanked, b"wax").is_none());
}

#[test]
fn a_parser_that_has_seen_everything_still_tells_the_same() {
    let mut parser = Parser::default();
    let receiver = Arc::from("mall");
    let secrets = [Secret::new(SECRET.to_owned())];
    let context = Context { receiver: &receiver, secrets: Secrets::Any(&secrets), received_at_ms: RECEIVED * 1_000 };
    let good = v2_wifi(&heard(r#","ssid":"guest","location":{"lat":1,"lng":2,"x":[1],"y":[1]}"#));
    let expected = told(&outcome(&good).unwrap());
    let bad = ["", "{", "[1,", "{\"a\":\"\\ud800\"", "data=%7B%7D", "{\"secret\":\"wrong\"}", "{\"lat\":NaN}"];
    let mut reuse = None;
    for body in bad.iter().cycle().take(50) {
        let _refused = parser.parse(&mut body.as_bytes().to_vec(), &context, reuse.take()).unwrap_err();
        let parsed = parser.parse(&mut good.clone().into_bytes(), &context, None).unwrap();
        assert_eq!(told(&parsed), expected);
        if let Parsed::Post(batch) = parsed {
            reuse = Some(batch);
        }
    }
    assert!(parser.memory_bytes() > 0);
}

#[test]
fn rejections_say_what_was_tried_and_show_nothing() {
    let Err(rejection) = outcome("{\"secret\":\"hunter2\",") else { panic!("taken") };
    assert_eq!(rejection.name(), "not_json");
    assert!(!format!("{rejection} {rejection:?}").contains("hunter"));
    assert_eq!(Rejection::Secret.to_string(), "compare the secret: missing or wrong");
}

#[test]
fn a_batch_and_a_parser_cross_threads() {
    fn crosses<T: Send>() {}
    crosses::<Parser>();
    crosses::<Parsed>();
}
