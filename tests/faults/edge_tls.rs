//! What is no TLS on the TLS listener, and many handshakes at once.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::dice::is_long;
use crate::edge_support::{metric, small_post, trust, wait_for_metric};
use crate::harness::{PATIENCE, Served, Site};

/// The first flight of a good client.
fn hello(site: &Site) -> Vec<u8> {
    let config = trust(&[site.data().join("certificates/ca.pem")]);
    let mut tls = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
    let mut out = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut out).unwrap();
    }
    out
}

/// Sends, says that no more comes, and waits for the end.
fn send(served: &Served, name: &str, bytes: &[u8]) {
    let mut stream = TcpStream::connect(&served.https).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => panic!("{name}: not closed"),
        _ => {}
    }
    // Whatever it said, it was TLS: a handshake or an alert.
    assert!(answer.first().is_none_or(|kind| matches!(kind, 20..=23)), "{name}: {answer:02x?}");
}

#[test]
fn what_is_no_handshake_is_closed_and_counted_and_nothing_more() {
    let site = Site::sqlite_with("[limits]\nhandshake_timeout = \"10m\"\n");
    let served = site.serve();
    let good = hello(&site);
    let mut cases: Vec<(String, Vec<u8>)> = vec![
        ("plain HTTP".into(), b"POST /meraki/mall HTTP/1.1\r\nHost: f\r\nContent-Length: 2\r\n\r\n{}".to_vec()),
        ("SSL 2".into(), [&[0x80, 0x2e, 1, 0, 2][..], &[0; 41]].concat()),
        ("TLS 1.0".into(), [&good[..9], &[3, 1], &good[11..]].concat()),
        ("a record beyond its size".into(), [&[22, 3, 1, 0xff, 0xff][..], &[1; 70_000]].concat()),
        ("an empty record".into(), vec![22, 3, 1, 0, 0]),
        ("an alert first".into(), vec![21, 3, 1, 0, 2, 1, 0]),
        ("data first".into(), vec![23, 3, 3, 0, 4, 1, 2, 3, 4]),
        ("the hello twice".into(), [good.as_slice(), &good].concat()),
        ("zeros".into(), vec![0; 20_000]),
    ];
    // Every byte of the hello changed, and the hello cut at every length.
    let step = if is_long() { 1 } else { 7 };
    cases.extend((0..good.len()).step_by(step).map(|at| {
        let mut changed = good.clone();
        changed[at] ^= 0xff;
        (format!("byte {at} of the hello"), changed)
    }));
    cases.extend((1..good.len()).step_by(step).map(|length| (format!("{length} bytes of the hello"), good[..length].to_vec())));
    for (name, bytes) in &cases {
        send(&served, name, bytes);
    }
    wait_for_metric(&served, "footfall_connections", |open| open == 0);
    // None of them came to its end: a client that is good but for a byte in its random number never finishes.
    assert_eq!(metric(&served, "footfall_handshake_errors_total"), cases.len() as u64);
    assert_eq!(metric(&served, "footfall_unknown_paths_total"), 0);
    assert_eq!(served.status()["receivers"][0]["posts"], 0);
    assert_eq!(served.post("/meraki/mall", small_post(0).as_bytes()).0, 200);
    served.stop();
}

/// Handshakes are work: they share the workers with the posts and do not stop them.
#[test]
fn a_flood_of_handshakes_keeps_no_honest_post_from_its_answer() {
    let handshakes: u64 = if is_long() { 5_000 } else { 400 };
    let site = Site::sqlite();
    let served = site.serve();
    let config = trust(&[site.data().join("certificates/ca.pem")]);
    let done = AtomicU64::new(0);
    let answered = thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while done.fetch_add(1, Ordering::Relaxed) < handshakes {
                    let mut socket = TcpStream::connect(&served.https).unwrap();
                    let mut tls = ClientConnection::new(Arc::clone(&config), ServerName::try_from("localhost").unwrap()).unwrap();
                    while tls.is_handshaking() {
                        tls.complete_io(&mut socket).unwrap();
                    }
                }
            });
        }
        let mut answered = 0;
        while done.load(Ordering::Relaxed) < handshakes {
            assert_eq!(served.post("/meraki/mall", small_post(answered).as_bytes()).0, 200);
            answered += 1;
        }
        answered
    });
    println!("{handshakes} handshakes beside {answered} honest posts");
    assert!(answered > 0);
    wait_for_metric(&served, "footfall_connections", |open| open == 0);
    served.stop();
}
