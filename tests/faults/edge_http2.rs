//! Floods of HTTP/2 frames: each ends its own connection, costs bounded memory, and keeps no other post from its answer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::edge_support::{MIB, Posts, memory_of, metric, small_post, trust, wait_for_metric};
use crate::harness::{PATIENCE, Served, Site};

type Tls = StreamOwned<ClientConnection, TcpStream>;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const FLOW_CONTROL_ERROR: u32 = 3;
const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    let mut frame = vec![a, b, c, kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A head in HPACK: method and scheme from the static table, the others written out.
fn head(method_post: bool) -> Vec<u8> {
    let mut block = vec![if method_post { 0x83 } else { 0x82 }, 0x87];
    for (index, text) in [(4, "/meraki/mall"), (1, "localhost")] {
        block.push(index);
        block.push(text.len() as u8);
        block.extend_from_slice(text.as_bytes());
    }
    block
}

/// A connection that has said hello in HTTP/2, with these settings of its own.
fn connect(served: &Served, config: &Arc<ClientConfig>, settings: &[u8]) -> Tls {
    let socket = TcpStream::connect(&served.https).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    let tls = ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = StreamOwned::new(tls, socket);
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, settings)).unwrap();
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"h2"[..]));
    stream
}

/// The code of the server's farewell in what it has sent.
fn farewell(mut sent: &[u8]) -> Option<u32> {
    while let [a, b, c, kind, _, _, _, _, _, payload @ ..] = sent {
        let (payload, after) = payload.split_at_checked(u32::from_be_bytes([0, *a, *b, *c]) as usize)?;
        if *kind == GOAWAY {
            return Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
        }
        sent = after;
    }
    None
}

/// What a flood meets: the server's farewell, and whether it stopped taking bytes.
#[derive(Default, Debug)]
struct Met {
    farewell: Option<u32>,
    is_cut: bool,
}

/// Sends pieces, many at a time, until the server parts or takes no more. Reads its answers between them, unless `deaf`.
fn flood(stream: &mut Tls, pieces: u32, deaf: bool, mut piece: impl FnMut(u32) -> Vec<u8>) -> Met {
    let mut sent = Vec::new();
    let mut met = Met::default();
    let mut n = 0;
    while n < pieces && met.farewell.is_none() && !met.is_cut {
        let until = pieces.min(n + 16);
        let burst: Vec<u8> = (n..until).flat_map(&mut piece).collect();
        n = until;
        met.is_cut = stream.write_all(&burst).and_then(|()| stream.flush()).is_err();
        if !deaf {
            stream.sock.set_nonblocking(true).unwrap();
            read_all(stream, &mut sent);
            stream.sock.set_nonblocking(false).unwrap();
            met.farewell = farewell(&sent);
        }
    }
    if !met.is_cut && met.farewell.is_none() {
        // All is sent: whatever comes now comes by itself, be it by a deadline.
        read_all(stream, &mut sent);
        met.farewell = farewell(&sent);
    }
    met
}

/// Reads what is there, or, when reading waits, up to the end.
fn read_all(stream: &mut Tls, sent: &mut Vec<u8>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        sent.extend_from_slice(&buffer[..count]);
    }
}

/// Frames as many as no honest client sends.
const MANY: u32 = 200_000;

struct Flood {
    name: &'static str,
    settings: &'static [u8],
    run: fn(&mut Tls) -> Met,
    /// How it must end.
    is_right: fn(&Met) -> bool,
}

/// It is told to calm down, or was cut off so fast that it could not hear it: a socket that is closed over unread bytes takes what was
/// said back.
fn calmed(met: &Met) -> bool {
    met.farewell.map_or(met.is_cut, |code| code == ENHANCE_YOUR_CALM)
}

/// It has broken the rules of flow control.
fn beyond_window(met: &Met) -> bool {
    met.farewell.map_or(met.is_cut, |code| code == FLOW_CONTROL_ERROR)
}

/// Nothing more is taken from it when a deadline has passed.
fn cut(met: &Met) -> bool {
    met.is_cut
}

fn begin(stream: &mut Tls, flags: u8) {
    stream.write_all(&frame(HEADERS, flags, 1, &head(true))).unwrap();
}

/// Floods that a limit of their own ends.
fn limited() -> Vec<Flood> {
    let of = |name, run: fn(&mut Tls) -> Met, is_right| Flood { name, settings: &[], run, is_right };
    vec![
        of(
            "rapid reset",
            |stream| {
                let reset = |n: u32| [frame(HEADERS, END_HEADERS, 2 * n + 1, &head(true)), frame(RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8])].concat();
                flood(stream, MANY, false, reset)
            },
            calmed,
        ),
        of(
            "a head that goes on and on",
            |stream| {
                begin(stream, 0);
                flood(stream, MANY, false, |_| frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b"))
            },
            calmed,
        ),
        of(
            "empty pieces of a head",
            |stream| {
                begin(stream, 0);
                flood(stream, MANY, false, |_| frame(CONTINUATION, 0, 1, b""))
            },
            calmed,
        ),
        of(
            "empty pieces of a body",
            |stream| {
                begin(stream, END_HEADERS);
                flood(stream, MANY, false, |_| frame(DATA, 0, 1, b""))
            },
            calmed,
        ),
        of("streams beyond their number", |stream| flood(stream, MANY, false, |n| frame(HEADERS, END_HEADERS, 2 * n + 1, &head(true))), calmed),
        of(
            "more bytes than the window has",
            |stream| {
                begin(stream, END_HEADERS);
                // Less than a body may be. A server that is not busy keeps up with some hundred kilobytes at a time, and gives the window back.
                flood(stream, 3_000, false, |_| frame(DATA, 0, 1, &[b' '; 16_000]))
            },
            beyond_window,
        ),
        of("a window beyond all windows", |stream| flood(stream, 3, false, |_| frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])), beyond_window),
        of(
            "a short head that means a long one",
            |stream| {
                // One entry of 3 KiB put into the table, and then named again and again by one byte each: a head of megabytes.
                let mut block = head(true);
                block.extend_from_slice(&[0x40, 1, b'x', 0x7f, 0x81, 0x17]);
                block.extend_from_slice(&[b'y'; 3_072]);
                block.extend_from_slice(&[0xbe; 10_000]);
                flood(stream, 1, false, |_| frame(HEADERS, END_HEADERS | END_STREAM, 1, &block))
            },
            calmed,
        ),
    ]
}

/// Floods that only the deadlines end.
fn timed() -> Vec<Flood> {
    vec![
        Flood {
            name: "pings whose answers nobody reads",
            settings: &[],
            run: |stream| flood(stream, 20 * MANY, true, |_| frame(PING, 0, 0, &[0; 8])),
            is_right: cut,
        },
        Flood {
            name: "settings whose answers nobody reads",
            settings: &[],
            run: |stream| flood(stream, 20 * MANY, true, |_| frame(SETTINGS, 0, 0, &[])),
            is_right: cut,
        },
        Flood {
            name: "a window of one byte for the answer",
            settings: &[0, 4, 0, 0, 0, 1],
            run: |stream| flood(stream, 20, true, |n| frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &head(false))),
            is_right: |met| met.farewell == Some(0),
        },
    ]
}

fn honest(served: &Served, number: u64) {
    assert_eq!(served.post("/meraki/other", small_post(number).as_bytes()).0, 200);
}

/// A server whose deadlines are these, and a client that speaks HTTP/2 to it.
fn start(deadline: &str) -> (Site, Served, Arc<ClientConfig>) {
    let limits = ["handshake_timeout", "header_timeout", "body_timeout", "idle_timeout"].map(|key| format!("{key} = \"{deadline}\"\n")).concat();
    let site = Site::sqlite_with(&format!("[limits]\n{limits}"));
    let path = site.path("footfall.toml");
    let config = std::fs::read_to_string(&path).unwrap().replacen("tls = \"self-signed\"", "tls = \"self-signed\"\nhttp2 = true", 1);
    std::fs::write(path, config).unwrap();
    let served = site.serve();
    let mut config = Arc::unwrap_or_clone(trust(&[site.data().join("certificates/ca.pem")]));
    config.alpn_protocols = vec![b"h2".to_vec()];
    (site, served, Arc::new(config))
}

/// Runs floods one after another, with an honest post beside each.
fn run(deadline: &str, floods: Vec<Flood>) -> Served {
    let (_site, served, config) = start(deadline);
    honest(&served, 0);
    let before = memory_of(&served, "VmRSS");
    for (n, Flood { name, settings, run, is_right }) in (1..).zip(floods) {
        let mut stream = connect(&served, &config, settings);
        let met = run(&mut stream);
        honest(&served, n);
        assert!(is_right(&met), "{name}: {met:?}");
        drop(stream);
        wait_for_metric(&served, "footfall_connections", |open| open == 0);
    }
    let highest = memory_of(&served, "VmHWM");
    assert!(highest < before + 32 * MIB, "{} MiB before, {} MiB at most", before / MIB, highest / MIB);
    let status = served.wait_until("quiet", |status| status["receivers"][0]["open"] == 0);
    let posts = Posts::of(&status, 0);
    posts.balance();
    assert_eq!(posts.outcome("accepted"), 0, "no flood was a post");
    assert_eq!(metric(&served, "footfall_memory_claimed_bytes"), 0);
    served
}

/// Nothing but the limits ends them: every deadline is longer than the test.
#[test]
fn floods_of_frames_end_their_own_connection_only() {
    run("10m", limited()).stop();
}

#[test]
fn answers_that_are_not_taken_end_at_the_deadline() {
    let served = run("2s", timed());
    // The two that never ask for anything are ended as those are that never send a head.
    assert_eq!(metric(&served, "footfall_connections_timed_out_total{phase=\"header\"}"), 2);
    served.stop();
}
