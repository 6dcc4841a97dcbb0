//! Devices that are opted out: what of them reaches the journal.

use ingest::metrics::PARSE_FALLBACKS_TOTAL;
use ingest::receiver::Outcome;
use store::key::Key;
use store::mac::Mac;
use store::optout::{List, OptOuts};

use crate::support::keeper::Kept;
use crate::support::{NOW, Running, meters};

const OUT: &str = "02:aa:bc:de:f0:01";
const STAYS: &str = "02:aa:bc:de:f0:02";

fn opted_out() -> OptOuts {
    OptOuts::from(List::of(Key::from_bytes([5; 32]), [Mac::parse(OUT).unwrap()]))
}

/// Two clients, the first under some spelling, with more in its entry.
fn v2(first: &str, more: &str) -> String {
    format!(
        r#"{{"version":"2.0","secret":"open sesame","type":"DevicesSeen","data":{{"apMac":"02:00:00:00:0a:01","observations":[
        {{"clientMac":"{first}","seenEpoch":{NOW},"rssi":30,"ssid":"guest"{more}}},{{"clientMac":"{STAYS}","seenEpoch":{NOW},"rssi":31,"ssid":"lobby"}}]}}}}"#
    )
}

fn v3(first: &str) -> String {
    let entry = |mac: &str| {
        format!(
            r#"{{"clientMac":"{mac}","ipv6":"fe80::aa:bcff:fede:f001","locations":[{{"time":"2026-11-22T11:59:20Z","lat":1.5,"lng":2.5,
            "rssiRecords":[{{"apMac":"02:00:00:00:0a:01","rssi":-40}},{{"apMac":"02:00:00:00:0a:02","rssi":-50}}]}}]}}"#
        )
    };
    format!(
        r#"{{"version":"3.0","secret":"open sesame","type":"WiFi","data":{{"networkId":"N_1","observations":[{},{}]}}}}"#,
        entry(first),
        entry(STAYS).replace("f001", "f002")
    )
}

/// Posts the bodies; what the journal was told of each.
async fn kept(server: &Running, bodies: &[String]) -> Vec<Kept> {
    let mut peer = server.connect_plain().await;
    for body in bodies {
        assert_eq!(peer.post("", body.clone()).await.status, 200, "{body}");
    }
    std::mem::take(&mut *server.keeper.kept())
}

#[tokio::test]
async fn the_journal_gets_a_body_without_the_address_and_the_batch_that_it_tells() {
    let server = Running::start_without(opted_out()).await;
    // The last two go the second road: a bare NaN is no JSON, and a name is told twice.
    let large = format!(r#","padding":"{}""#, " ".repeat(100_000));
    let bodies = [
        v2(OUT, r#","ipv4":"/10.1.2.3""#),
        v2("02-AA-BC-DE-F0-01", &large),
        v3("02aabcdef001"),
        v2("02aa.bcde.f001", r#","location":{"lat":NaN,"lng":1.0}"#),
        v2(r"\u00302:aa:bc:de:f0:01", r#","rssi":30"#),
    ];
    let fallbacks = meters::counter(&format!("{PARSE_FALLBACKS_TOTAL}{{}}"));
    for (kept, body) in kept(&server, &bodies).await.iter().zip(&bodies) {
        let digits: String = kept.body.to_lowercase().chars().filter(|c| c.is_ascii_hexdigit()).collect();
        assert!(!digits.contains("02aabcdef001") && !kept.body.contains("bcff:fede:f001"), "{}", kept.body);
        assert!(kept.body.contains(STAYS) && kept.body.len() == body.len(), "{}", kept.body);
        assert_eq!(kept.clients, [Mac::default(), Mac::parse(STAYS).unwrap()]);
        assert_eq!(kept.observations, if body.contains("rssiRecords") { 4 } else { 2 }, "what was told is told");
    }
    assert!(meters::counter(&format!("{PARSE_FALLBACKS_TOTAL}{{}}")) - fallbacks >= 2);
    assert_eq!(server.counts().of(Outcome::Accepted), 5);
    server.finish().await;
}

#[tokio::test]
async fn others_are_kept_as_they_came() {
    let server = Running::start_without(opted_out()).await;
    let bodies = [v2("02:aa:bc:de:f0:03", ""), v3("02:aa:bc:de:f0:04"), v2(OUT, "").replace("2.0", "7.0")];
    let kept = kept(&server, &bodies).await;
    for (kept, body) in kept.iter().zip(&bodies) {
        assert_eq!(kept.body, body.replace("open sesame", "           "));
    }
    assert!(kept[2].is_unknown, "of a shape that is not understood nobody can tell whose address is where");
    server.finish().await;
}

/// One among two thousand.
#[tokio::test]
async fn one_among_many_is_found() {
    let server = Running::start_without(opted_out()).await;
    let many: String = (0..2_000).map(|n| format!(r#"{{"clientMac":"02:aa:00:00:{:02x}:{:02x}","seenEpoch":{NOW},"rssi":30}},"#, n / 256, n % 256)).collect();
    let body = v2(OUT, "").replace("[\n", &format!("[{many}"));
    let kept = kept(&server, &[body]).await;
    assert_eq!((kept[0].clients.len(), kept[0].clients.iter().filter(|&&mac| mac == Mac::default()).count()), (2_002, 1));
    assert!(!kept[0].body.contains(OUT));
    server.finish().await;
}
