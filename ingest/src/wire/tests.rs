//! Tables of good and malformed bodies, and what they share: a post is parsed twice, the second time from the blanked bytes as a
//! replay does, and both must tell the same.

mod fast;
mod json;
mod properties;
mod rulings;
mod v2;
mod v3;
mod verdicts;

use std::cell::RefCell;
use std::fmt::Write;

use store::batch::Discard;
use store::texts::Text;

use super::*;

/// 2026-09-21T14:13:20Z, when all posts of these tests arrive.
pub(super) const RECEIVED: i64 = 1_790_000_000;

pub(super) const SECRET: &str = "wax and feathers";

/// A v2 Wi-Fi post of one access point with these entries.
pub(super) fn v2_wifi(entries: &str) -> String {
    format!(
        r#"{{"version":"2.0","secret":"{SECRET}","type":"DevicesSeen","data":{{"apMac":"02:00:00:00:0a:01","apTags":["","lobby",""],"apFloors":["Ground"],"observations":[{entries}]}}}}"#
    )
}

pub(super) fn v2_ble(entries: &str) -> String {
    v2_wifi(entries).replace("2.0", "2.1").replace("DevicesSeen", "BluetoothDevicesSeen")
}

/// A v3 Wi-Fi post of one network with these entries.
pub(super) fn v3_wifi(entries: &str) -> String {
    format!(r#"{{"version":"3.0","secret":"{SECRET}","type":"WiFi","data":{{"networkId":"N_1","observations":[{entries}]}}}}"#)
}

/// An entry of v2 that was heard a minute ago, with further members.
pub(super) fn heard(more: &str) -> String {
    format!(r#"{{"clientMac":"02:00:00:00:0c:01","seenEpoch":{},"rssi":30{more}}}"#, RECEIVED - 60)
}

/// What a body becomes, and the blanked bytes. Both roads must tell the same, whatever the fast one has learned from the posts before.
pub(super) fn parse_bytes(body: &[u8], secrets: Secrets<'_>) -> (Result<Parsed, Rejection>, Vec<u8>) {
    let receiver = Arc::from("mall");
    let context = Context { receiver: &receiver, secrets, received_at_ms: RECEIVED * 1_000 };
    let (mut by_slow, mut by_both) = (body.to_vec(), body.to_vec());
    let slow = Parser::default().parse_slow(&mut by_slow, &context);
    let both = LEARNED.with_borrow_mut(|parser| parser.parse(&mut by_both, &context, None));
    assert_eq!(both.as_ref().map(told), slow.as_ref().map(told), "{:?}", String::from_utf8_lossy(body));
    if let (Ok(Parsed::Post(both)), Ok(Parsed::Post(slow))) = (&both, &slow) {
        assert!(both.tells_the_same_as(slow), "{:?}", String::from_utf8_lossy(body));
    }
    if slow.is_ok() {
        assert_eq!(by_both, by_slow);
    }
    (both, by_both)
}

/// Whether the fast road reads this body alone.
pub(super) fn is_fast(body: impl AsRef<[u8]>) -> bool {
    let receiver = Arc::from("mall");
    let context = Context { receiver: &receiver, secrets: Secrets::Any(&[Secret::new(SECRET.to_owned())]), received_at_ms: RECEIVED * 1_000 };
    let mut bytes = body.as_ref().to_vec();
    let batch = LEARNED.with_borrow_mut(|parser| parser.parse_fast(&mut bytes, &context, None));
    assert!(batch.is_some() || bytes == body.as_ref(), "a body that is left is untouched");
    batch.is_some()
}

thread_local! {
    static LEARNED: RefCell<Parser> = RefCell::default();
}

/// What a body becomes with the tests' secret.
pub(super) fn outcome(body: impl AsRef<[u8]>) -> Result<Parsed, Rejection> {
    let body = body.as_ref();
    let (first, blanked) = parse_bytes(body, Secrets::Any(&[Secret::new("other".to_owned()), Secret::new(SECRET.to_owned())]));
    if let Ok(first) = &first {
        assert_eq!(blanked.len(), body.len());
        assert!(memchr::memmem::find(&blanked, SECRET.as_bytes()).is_none(), "the secret is still there");
        let (again, unchanged) = parse_bytes(&blanked, Secrets::Trusted);
        assert_eq!(unchanged, blanked);
        assert_eq!(told(&again.unwrap()), told(first), "a replay tells something else");
    }
    first
}

pub(super) fn post(body: impl AsRef<[u8]>) -> Box<Batch> {
    match outcome(body).unwrap() {
        Parsed::Post(batch) => batch,
        Parsed::Unknown { reason } => panic!("unknown: {reason}"),
    }
}

/// The reason for which a body is unknown, or `none`.
pub(super) fn unknown(body: impl AsRef<[u8]>) -> &'static str {
    match outcome(body).unwrap() {
        Parsed::Post(_) => "none",
        Parsed::Unknown { reason } => reason,
    }
}

pub(super) fn is_not_json(body: impl AsRef<[u8]>) -> bool {
    matches!(outcome(body), Err(Rejection::NotJson { .. }))
}

/// Discarded observations as `mac time future scale`.
pub(super) fn discarded(batch: &Batch) -> [u64; 4] {
    [Discard::Mac, Discard::Time, Discard::Future, Discard::Scale].map(|reason| batch.discarded.of(reason))
}

/// A text, or `-` for none.
pub(super) fn text(batch: &Batch, text: Text) -> &str {
    batch.texts.get(text).unwrap_or("-")
}

/// Observations as `ap client seconds-before-received rssi ssid`, addresses by their last two bytes.
pub(super) fn rows(batch: &Batch) -> Vec<String> {
    let row = |row: &store::batch::Observation| {
        let (ap, client) = (short(row.ap), short(batch.clients[row.client as usize].mac));
        format!("{ap} {client} {} {} {}", RECEIVED - row.observed_at, row.rssi_dbm, text(batch, row.ssid))
    };
    batch.observations.iter().map(row).collect()
}

/// Locations as `client seconds plan name x,y lat,lng uncertainty`.
pub(super) fn places(batch: &Batch) -> Vec<String> {
    let place = |row: &store::batch::Location| {
        let client = short(batch.clients[row.client as usize].mac);
        let (plan, name) = (text(batch, row.floor_plan), text(batch, row.floor_plan_name));
        let (x, y, lat, lng, unc) = (row.x_m, row.y_m, row.lat, row.lng, row.uncertainty_m);
        format!("{client} {} {plan} {name} {x},{y} {lat},{lng} {unc}", RECEIVED - row.observed_at)
    };
    batch.locations.iter().map(place).collect()
}

/// Clients as `client manufacturer os ipv4 ipv6 host user device last`.
pub(super) fn clients(batch: &Batch) -> Vec<String> {
    let client = |client: &store::batch::Client| {
        let mut line = short(client.mac);
        for fact in [client.manufacturer, client.os, client.ipv4, client.ipv6, client.hostname, client.user, client.device_name] {
            write!(line, " {}", text(batch, fact)).unwrap();
        }
        let last = if client.last_observed_at == 0 { 0 } else { RECEIVED - client.last_observed_at };
        format!("{line} {last}")
    };
    batch.clients.iter().map(client).collect()
}

/// Access points as `ap name serial tags plan x,y lat,lng`.
pub(super) fn access_points(batch: &Batch) -> Vec<String> {
    let ap = |ap: &store::batch::AccessPoint| {
        let [name, serial, tags, plan] = [ap.name, ap.serial, ap.tags, ap.floor_plan].map(|fact| text(batch, fact));
        format!("{} {name} {serial} {tags} {plan} {},{} {},{}", short(ap.mac), ap.x_m, ap.y_m, ap.lat, ap.lng)
    };
    batch.access_points.iter().map(ap).collect()
}

/// All that a result tells, in words that can be compared.
pub(super) fn told(parsed: &Parsed) -> String {
    match parsed {
        Parsed::Unknown { reason } => format!("unknown {reason}"),
        Parsed::Post(batch) => format!(
            "{} {} {:?} {} {:?} {} {:?} {:?} {:?} {:?} {:?}",
            batch.receiver,
            batch.received_at_ms,
            batch.radio,
            text(batch, batch.network),
            batch.ap.map(short),
            batch.repaired,
            discarded(batch),
            rows(batch),
            places(batch),
            clients(batch),
            access_points(batch)
        ),
    }
}

fn short(mac: store::mac::Mac) -> String {
    mac.text().to_string()[12..].to_owned()
}
