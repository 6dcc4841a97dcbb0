//! Version 3, its traps one by one.

use store::batch::Radio;

use super::*;

const TIME: &str = "2026-09-21T14:12:20Z";

fn location(more: &str) -> String {
    format!(r#"{{"time":"{TIME}","rssiRecords":[{{"apMac":"02:00:00:00:0a:01","rssi":-40}},{{"apMac":"02:00:00:00:0a:02","rssi":-50}}]{more}}}"#)
}

fn entry(locations: &[String], more: &str) -> String {
    format!(r#"{{"clientMac":"02:00:00:00:0c:01","locations":[{}]{more}}}"#, locations.join(","))
}

#[test]
fn a_wifi_entry_fans_out() {
    let place = location(r#","x":"7.97","y":"10.5","lat":60.05,"lng":6.09,"variance":1.6,"floorPlanId":"g_1","floorPlanName":"3rd","nearestApTags":["","a"]"#);
    let latest = r#","latestRecord":{"time":"2026-09-21T14:13:00.9Z","nearestApMac":"020000000a03","nearestApRssi":"-47"}"#;
    let facts = r#","ssid":"guest","os":"iOS","manufacturer":"Apple","ipv4":"192.0.2.7","ipv6":null,"userId":"someone","name":"x""#;
    let batch = post(v3_wifi(&entry(&[place], &format!("{latest}{facts}"))));
    assert_eq!((batch.radio, text(&batch, batch.network), batch.ap.is_none()), (Radio::Wifi, "N_1", true));
    assert_eq!(rows(&batch), ["0a:01 0c:01 60 -40 guest", "0a:02 0c:01 60 -50 guest", "0a:03 0c:01 20 -47 guest"]);
    assert_eq!(places(&batch), ["0c:01 60 g_1 3rd 7.97,10.5 60.05,6.09 1.6"]);
    assert_eq!(clients(&batch), ["0c:01 Apple iOS 192.0.2.7 - - someone - 20"]);
    assert!(batch.access_points.is_empty());
}

#[test]
fn a_bluetooth_post_has_both_names_and_its_own_shape() {
    let aps = r#""startTime":"x","reportingAps":[
        {"serial":"Q2","mac":"02:00:00:00:0A:01","name":"AP-01","lat":-31.6,"lng":-71.9,"tags":["new",""],"floorPlan":{"id":"g_1","name":"Ground","x":9.0,"y":"8"}},
        {"serial":"","mac":"020000000a02","name":null,"lat":"NaN","lng":"NaN","tags":[],"floorPlan":{"id":"","name":"","x":"NaN","y":"NaN"}},
        {"mac":"nonsense"},7,{}],"observations""#;
    let places_told = [
        location(r#","lat":-31.5,"lng":-71.5,"variance":100,"nearestApMac":"a","floorPlan":{"id":"","name":"","x":"NaN","y":"NaN"}"#),
        location(r#","floorPlan":{"id":"g_1","name":"Ground","x":1.5,"y":2}"#),
    ];
    let more = r#","name":"unknown","bleBeacons":[{"uuid":"f6","txPower":-59,"major":0}],"latestRecord":{"time":"2026-09-21T14:13:20Z","nearestApMac":"020000000a01","nearestApRssi":-64}"#;
    for kind in ["Bluetooth", "BLE"] {
        let body = v3_wifi(&entry(&places_told, more)).replace("\"observations\"", aps).replace("WiFi", kind);
        let batch = post(body);
        assert_eq!(batch.radio, Radio::Ble);
        assert_eq!((rows(&batch).len(), rows(&batch)[4].as_str()), (5, "0a:01 0c:01 0 -64 -"));
        assert_eq!(places(&batch), ["0c:01 60 - - NaN,NaN -31.5,-71.5 100", "0c:01 60 g_1 Ground 1.5,2 NaN,NaN NaN"]);
        assert_eq!(clients(&batch), ["0c:01 - - - - - - - 0"]);
        assert_eq!(access_points(&batch), [r#"0a:01 AP-01 Q2 ["new"] g_1 9,8 -31.6,-71.9"#, "0a:02 - - [] - NaN,NaN NaN,NaN"]);
    }
}

#[test]
fn the_beta_spelled_some_members_otherwise() {
    let beta = location(r#","lat":1,"lng":2,"unc":-3,"floorplanId":"g_2","floorplanName":"Roof""#);
    assert_eq!(places(&post(v3_wifi(&entry(&[beta], "")))), ["0c:01 60 g_2 Roof NaN,NaN 1,2 0"]);
}

#[test]
fn a_latest_record_that_is_told_already_is_one_row() {
    let latest = |time: &str, rssi: &str| {
        let more = format!(r#","latestRecord":{{"time":"{time}","nearestApMac":"020000000a02","nearestApRssi":{rssi}}}"#);
        let batch = post(v3_wifi(&entry(&[location("")], &more)));
        (batch.observations.len(), batch.told())
    };
    assert_eq!(latest(TIME, "-50"), (2, 2));
    assert_eq!(latest("2026-09-21T16:12:20.5+02:00", "\"-50\""), (2, 2), "the same second in other words");
    assert_eq!(latest(TIME, "-51"), (3, 3));
    assert_eq!(latest("2026-09-21T14:12:21Z", "-50"), (3, 3));
    let alone = entry(&[], r#","latestRecord":{"time":"2026-09-21T14:12:20Z","nearestApMac":"020000000a02","nearestApRssi":-50}"#);
    assert_eq!(post(v3_wifi(&[alone.clone(), alone].join(","))).told(), 2, "another entry is told apart");
}

#[test]
fn an_entry_may_tell_nothing() {
    for more in ["", r#","latestRecord":null"#, r#","latestRecord":[]"#] {
        let batch = post(v3_wifi(&entry(&[], more)));
        assert_eq!((batch.told(), batch.clients.len(), batch.clients[0].last_observed_at), (0, 1, 0), "{more}");
    }
    let batch = post(v3_wifi(r#"{"clientMac":"020000000c01","locations":null},{"clientMac":"020000000c01"}"#));
    assert_eq!(batch.told(), 0);
}

#[test]
fn a_client_without_six_bytes_discards_each_of_its_rows() {
    let latest = r#","latestRecord":{"time":"x"},"ssid":"a\u0000""#;
    let bad = |text: String| text.replace("02:00:00:00:0c:01", "02:00:00:00:0c");
    for (told, rows) in [
        (bad(entry(&[location(""), location("")], latest)), 5),
        (bad(entry(&[], "")), 1),
        (bad(entry(&[location(r#","lat":1,"lng":2"#)], "")), 2),
        ("null".to_owned(), 1),
        ("[]".to_owned(), 1),
        ("{}".to_owned(), 1),
    ] {
        let batch = post(v3_wifi(&told));
        assert_eq!((discarded(&batch), batch.locations.len(), batch.clients.len()), ([rows, 0, 0, 0], 0, 0), "{told}");
    }
}

#[test]
fn a_record_is_discarded_alone() {
    let records = r#"[{"apMac":"nonsense","rssi":-40},{"apMac":"020000000a01","rssi":0},{"apMac":"020000000a01","rssi":5},{"apMac":"020000000a01","rssi":-121},
        {"apMac":"020000000a01"},7,{},{"apMac":"020000000a01","rssi":"-60"}]"#;
    let told = format!(r#"{{"time":"{TIME}","lat":1,"lng":2,"rssiRecords":{records}}}"#);
    let batch = post(v3_wifi(&entry(&[told], "")));
    assert_eq!((discarded(&batch), rows(&batch)), ([3, 0, 0, 4], vec!["0a:01 0c:01 60 -60 -".to_owned()]));
    assert_eq!(batch.locations.len(), 1);
}

#[test]
fn a_location_stands_and_falls_with_its_time() {
    let at = |time: &str| {
        let told = location(r#","lat":1,"lng":2"#).replace(&format!("\"{TIME}\""), time);
        let batch = post(v3_wifi(&entry(&[told, location("")], "")));
        (discarded(&batch), batch.locations.len(), batch.observations.len())
    };
    for time in ["null", "\"\"", "5", "\"yesterday\"", "\"1969-12-31T23:59:59Z\"", "\"1970-01-01T00:00:00Z\"", "\"0000-01-01T00:00:00Z\""] {
        assert_eq!(at(time), ([0, 2, 0, 0], 0, 2), "{time}");
    }
    for time in ["\"2026-09-21T14:15:21Z\"", "\"9999-12-31T23:59:60Z\"", "\"9999-12-31T23:59:59-23:59\""] {
        assert_eq!(at(time), ([0, 0, 2, 0], 0, 2), "{time}");
    }
    assert_eq!(at("\"2026-09-21t16:15:20.999+02:00\""), ([0, 0, 0, 0], 1, 4));
}

#[test]
fn the_latest_record_has_reasons_too() {
    let latest = |record: &str| discarded(&post(v3_wifi(&entry(&[], &format!(r#","latestRecord":{record}"#)))));
    assert_eq!(latest(r#"{}"#), [1, 0, 0, 0]);
    assert_eq!(latest(r#"{"nearestApMac":"020000000a02","nearestApRssi":-50}"#), [0, 1, 0, 0]);
    assert_eq!(latest(r#"{"time":"2029-09-21T14:12:20Z","nearestApMac":"020000000a02","nearestApRssi":"x"}"#), [0, 0, 1, 0]);
    assert_eq!(latest(&format!(r#"{{"time":"{TIME}","nearestApMac":"020000000a02","nearestApRssi":47}}"#)), [0, 0, 0, 1]);
}

#[test]
fn unexpected_types_are_absent() {
    let told = r#"{"clientMac":"020000000c01","ssid":5,"userId":{},"locations":[7,null,{"time":"2026-09-21T14:12:20Z","rssiRecords":{},"lat":true,"lng":1,"x":[1],"y":[2],"floorPlan":7}]}"#;
    let batch = post(v3_wifi(told).replace("\"observations\"", "\"reportingAps\":{},\"observations\""));
    assert_eq!((batch.told(), batch.locations.len(), batch.access_points.len()), (0, 0, 0));
}
