//! Version 2, its traps one by one.

use store::batch::Radio;

use super::*;

#[test]
fn a_wifi_post_becomes_rows() {
    let entries = [
        heard(r#","ssid":".interwebs","manufacturer":"Edimax","os":null,"ipv4":"/192.0.2.15","ipv6":null,"seenTime":"ignored","location":{"lat":51.5,"lng":-0.07,"unc":1.5,"x":[],"y":[]}"#),
        r#"{"clientMac":"02-00-00-00-0C-02","seenEpoch":1789999400,"rssi":3,"ssid":null,"location":null,"ipv4":"printer/192.0.2.16","os":""}"#.to_owned(),
    ]
    .join(",");
    let batch = post(v2_wifi(&entries));
    assert_eq!((batch.radio, text(&batch, batch.network), batch.ap.map(short)), (Radio::Wifi, "-", Some("0a:01".to_owned())));
    assert_eq!(rows(&batch), ["0a:01 0c:01 60 -65 .interwebs", "0a:01 0c:02 600 -92 -"]);
    assert_eq!(places(&batch), ["0c:01 60 - - NaN,NaN 51.5,-0.07 1.5"]);
    assert_eq!(clients(&batch), ["0c:01 Edimax - 192.0.2.15 - - - - 60", "0c:02 - - 192.0.2.16 - printer - - 600"]);
    assert_eq!(access_points(&batch), [r#"0a:01 - - ["lobby"] - NaN,NaN NaN,NaN"#]);
    assert_eq!((batch.told(), batch.repaired), (2, 0));
    assert_eq!((batch.receiver.as_ref(), batch.received_at_ms), ("mall", RECEIVED * 1_000));
}

#[test]
fn a_bluetooth_post_is_told_in_dbm_and_has_names() {
    let entry = |name: &str| heard(&format!(r#","rssi":-70,"name":{name}"#));
    let batch = post(v2_ble(&[entry("\"Watch\""), entry("\"unknown\""), entry("\"\""), entry("null")].join(",")));
    assert_eq!((batch.radio, rows(&batch)), (Radio::Ble, vec!["0a:01 0c:01 60 -70 -".to_owned(); 4]));
    let names: Vec<_> = batch.clients.iter().map(|client| text(&batch, client.device_name)).collect();
    assert_eq!(names, ["Watch", "-", "-", "-"]);
    let wifi = post(v2_wifi(&heard(r#","name":"Watch""#)));
    assert!(wifi.clients[0].device_name.is_none(), "a name is what a Bluetooth device gives itself");
}

#[test]
fn observations_may_be_empty() {
    let batch = post(v2_wifi(""));
    assert_eq!((batch.told(), batch.access_points.len(), batch.clients.len()), (0, 1, 0));
}

#[test]
fn an_address_may_carry_a_host_name() {
    for (told, address, host) in [
        ("/192.0.2.1", "192.0.2.1", "-"),
        ("192.0.2.1", "192.0.2.1", "-"),
        ("laptop/192.0.2.1", "192.0.2.1", "laptop"),
        ("a/b/192.0.2.1", "192.0.2.1", "a/b"),
        ("laptop/", "-", "laptop"),
        ("/", "-", "-"),
        ("", "-", "-"),
        ("laptop/fe80::1%en0", "fe80::1%en0", "laptop"),
        ("/fe80::1/64", "fe80::1/64", "-"),
        ("fe80::1/64", "fe80::1/64", "-"),
        ("laptop/fe80::1/64", "fe80::1/64", "laptop"),
    ] {
        for member in ["ipv4", "ipv6"] {
            let batch = post(v2_wifi(&heard(&format!(r#","{member}":"{told}""#))));
            let client = batch.clients[0];
            let kept = if member == "ipv4" { client.ipv4 } else { client.ipv6 };
            assert_eq!((text(&batch, kept), text(&batch, client.hostname)), (address, host), "{told}");
        }
    }
}

#[test]
fn an_access_point_without_six_bytes_discards_all_but_the_locations() {
    let entries = [heard(r#","location":{"lat":1,"lng":2}"#), heard(""), "7".to_owned()].join(",");
    for ap in ["02:00:00:00:0a", "", "nonsense"] {
        let batch = post(v2_wifi(&entries).replace("02:00:00:00:0a:01", ap));
        assert_eq!((discarded(&batch), batch.observations.len(), batch.locations.len()), ([3, 0, 0, 0], 0, 1), "{ap}");
        assert!(batch.ap.is_none() && batch.access_points.is_empty());
    }
}

#[test]
fn an_entry_that_is_no_object_is_one_discard() {
    let batch = post(v2_wifi(&format!("null,5,\"x\",[],[{{}}],{{}},{}", heard(""))));
    assert_eq!((discarded(&batch), batch.observations.len(), batch.told()), ([6, 0, 0, 0], 1, 7));
}

#[test]
fn reasons_have_an_order_and_neighbours_stand() {
    let entry = |mac: &str, epoch: i64, rssi: i64| format!(r#"{{"clientMac":"{mac}","seenEpoch":{epoch},"rssi":{rssi}}}"#);
    let (good, late) = ("020000000c01", RECEIVED + 1_000);
    let entries = [entry("x", -1, 500), entry(good, -1, 500), entry(good, late, 500), entry(good, RECEIVED, 500), entry(good, RECEIVED, 20)];
    let batch = post(v2_wifi(&entries.join(",")));
    assert_eq!((discarded(&batch), batch.observations.len()), ([1, 1, 1, 1], 1));
    let last: Vec<_> = batch.clients.iter().map(|client| client.last_observed_at).collect();
    assert_eq!(last, [0, 0, 0, RECEIVED], "a client without a row has no time");
}

#[test]
fn unexpected_types_are_absent() {
    let more = r#","ssid":5,"manufacturer":["a"],"os":{"b":1},"ipv4":7,"ipv6":true,"location":"here","extra":{"deep":[1,{"a":[]}]}"#;
    let batch = post(v2_wifi(&heard(more)).replace(r#"["Ground"]"#, "\"Ground>1\""));
    assert_eq!(clients(&batch), ["0c:01 - - - - - - - 60"]);
    assert_eq!(rows(&batch), ["0a:01 0c:01 60 -65 -"]);
}
