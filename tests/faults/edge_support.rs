//! What the tests of peers and limits share: invented posts of any size, numbers of a running process, and raw requests.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use serde_json::Value;

use crate::harness::{PATIENCE, SECRET, Served};

pub(crate) const MIB: u64 = 1024 * 1024;

/// A small v2 post of one observation; `number` makes it one of its own.
pub(crate) fn small_post(number: u64) -> String {
    format!(
        r#"{{"version":"2.0","secret":"{SECRET}","type":"DevicesSeen","data":{{"apMac":"02:18:5a:00:00:01","apTags":[],"apFloors":[],"observations":[{{"clientMac":"{}","seenEpoch":1714557600,"rssi":35,"ssid":"guest","location":null}}]}}}}"#,
        mac(number)
    )
}

/// An invented, locally administered address.
pub(crate) fn mac(number: u64) -> String {
    let [.., a, b, c, d] = number.to_be_bytes();
    format!("02:aa:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

/// A v3 post in two pieces: its beginning, which names its network, and the rest, which many posts share.
pub(crate) struct BigPosts {
    rest: Arc<[u8]>,
    /// Observations that each of them tells.
    pub(crate) told: u64,
}

impl BigPosts {
    /// Posts of about this size, as Meraki's are: some hundred bytes for each client, and the same clients again and again.
    pub(crate) fn new(bytes: usize) -> Self {
        let mut rest = Vec::with_capacity(bytes + 2_000);
        let mut entries = 0;
        while rest.len() < bytes {
            if entries > 0 {
                rest.push(b',');
            }
            rest.extend_from_slice(entry(entries % CLIENTS).as_bytes());
            entries += 1;
        }
        rest.extend_from_slice(b"]}}");
        Self { rest: rest.into(), told: entries * TOLD_PER_CLIENT }
    }

    /// The beginning of the post of a network.
    fn beginning(network: &str, secret: &str) -> String {
        format!(r#"{{"version":"3.0","secret":"{secret}","type":"WiFi","data":{{"networkId":"{network}","observations":["#)
    }

    /// Posts to the plain listener on a connection of its own, and gives the status of the answer.
    pub(crate) fn send(&self, address: &str, network: &str, secret: &str) -> u16 {
        let beginning = Self::beginning(network, secret);
        let head = format!(
            "POST /meraki/mall HTTP/1.1\r\nHost: footfall\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{beginning}",
            beginning.len() + self.rest.len()
        );
        raw_request(address, &[head.as_bytes(), &self.rest])
    }
}

/// Clients that a big post tells before it begins again.
const CLIENTS: u64 = 500;
const TOLD_PER_CLIENT: u64 = 3;

fn entry(client: u64) -> String {
    let aps: Vec<String> = (0..2).map(|ap| format!(r#"{{"apMac":"02:18:5a:00:00:{:02x}","rssi":-{}}}"#, ap + 1, 40 + client % 50)).collect();
    format!(
        r#"{{"clientMac":"{}","name":null,"ssid":"guest","os":"Invented OS","manufacturer":"Invented","ipv4":"10.0.{}.{}","ipv6":null,"locations":[{{"lat":51.501{client},"lng":-0.101{client},"variance":4.5,"floorPlanId":"g_1","floorPlanName":"Ground","x":"{}.5","y":"7.25","nearestApTags":["","lobby",""],"time":"2024-05-01T10:00:00Z","rssiRecords":[{}]}}],"latestRecord":{{"time":"2024-05-01T10:00:30Z","nearestApMac":"02:18:5a:00:00:01","nearestApRssi":-51}}}}"#,
        mac(client),
        client / 250,
        client % 250,
        client % 40,
        aps.join(",")
    )
}

/// Sends a request and gives the status of its answer. A server that answers early may close before it has read everything.
pub(crate) fn raw_request(address: &str, pieces: &[&[u8]]) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    for piece in pieces {
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    status_of(&answer).unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(&answer)))
}

/// The status code of an answer.
pub(crate) fn status_of(answer: &[u8]) -> Option<u16> {
    std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
}

/// The value of a metric with these exact labels; 0 when it has not been counted yet.
pub(crate) fn metric(served: &Served, line: &str) -> u64 {
    let (_, metrics) = served.admin("/metrics");
    let found = metrics.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
    found.map_or(0, |value| value.parse::<f64>().unwrap() as u64)
}

/// Waits until a metric is as wished: each answer is an event of the program.
pub(crate) fn wait_for_metric(served: &Served, line: &str, wish: impl Fn(u64) -> bool) -> u64 {
    let started = std::time::Instant::now();
    loop {
        let value = metric(served, line);
        if wish(value) {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "{line} is {value}");
        std::thread::yield_now();
    }
}

/// A line of `/proc/PID/status`, in bytes.
pub(crate) fn memory_of(served: &Served, line: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", served.id())).unwrap();
    let value = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':')).unwrap();
    value.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// A client of TLS that trusts these authorities and is shown the certificate at each handshake.
pub(crate) fn trust(authorities: &[PathBuf]) -> Arc<ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    for authority in authorities {
        roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// Posts of a receiver by outcome, received and open, as `/v1/status` shows them.
pub(crate) struct Posts(pub(crate) Value);

impl Posts {
    pub(crate) fn of(status: &Value, receiver: usize) -> Self {
        Self(status["receivers"][receiver].clone())
    }

    pub(crate) fn outcome(&self, name: &str) -> u64 {
        ["kept", "rejected", "shed"].iter().find_map(|side| self.0[side][name].as_u64()).unwrap_or_else(|| panic!("no outcome {name}: {:#}", self.0))
    }

    pub(crate) fn received(&self) -> u64 {
        self.0["posts"].as_u64().unwrap()
    }

    /// The law: each post has exactly one outcome.
    pub(crate) fn balance(&self) {
        let sum: u64 = ["kept", "rejected", "shed"].iter().flat_map(|side| self.0[side].as_object().unwrap().values()).map(|n| n.as_u64().unwrap()).sum();
        assert_eq!(self.received(), sum + self.0["open"].as_u64().unwrap(), "{:#}", self.0);
    }
}
