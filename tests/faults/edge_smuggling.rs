//! Requests whose end two readers could see in two places. Each carries a second post in its bytes; that post must never be taken as one,
//! and the connection ends where the framing is in doubt.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::edge_support::{Posts, small_post, status_of};
use crate::harness::{PATIENCE, Served, Site};

/// The post that is hidden: to the receiver `other`, which nobody posts to openly.
fn hidden() -> String {
    let body = small_post(HIDDEN);
    format!("POST /meraki/other HTTP/1.1\r\nHost: f\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

const HIDDEN: u64 = 0xdead;

/// A chunk of a body.
fn chunk(bytes: &str) -> String {
    format!("{:x}\r\n{bytes}\r\n", bytes.len())
}

struct Case {
    name: &'static str,
    request: Vec<u8>,
    /// What the only answer may be; nothing means that the connection is closed without one.
    allowed: &'static [u16],
}

fn case(name: &'static str, allowed: &'static [u16], request: impl Into<Vec<u8>>) -> Case {
    Case { name, request: request.into(), allowed }
}

/// The head of a post to `mall` with these header lines, and the bytes after it.
fn post(headers: &str, rest: &str) -> String {
    format!("POST /meraki/mall HTTP/1.1\r\nHost: f\r\n{headers}\r\n{rest}")
}

/// Two lengths, or none that holds.
fn lengths() -> Vec<Case> {
    let (good, hidden) = (small_post(1), hidden());
    let (length, both) = (good.len(), good.len() + hidden.len());
    let chunked = format!("{}0\r\n\r\n{hidden}", chunk(&good));
    let whole = format!("{good}{hidden}");
    vec![
        case("CL then TE: the chunks count", &[200, 400], post(&format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", chunked.len()), &chunked)),
        case("TE then CL: the chunks count", &[200, 400], post(&format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n", chunked.len()), &chunked)),
        case("TE then a short CL", &[200, 400], post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", &chunked)),
        case("CL that differs from CL", &[400], post(&format!("Content-Length: {length}\r\nContent-Length: {both}\r\n"), &whole)),
        case("CL that differs from CL, the long one first", &[400], post(&format!("Content-Length: {both}\r\nContent-Length: {length}\r\n"), &whole)),
        case("CL as a list", &[400], post(&format!("Content-Length: {length}, {both}\r\n"), &whole)),
        case("CL with a plus", &[400], post(&format!("Content-Length: +{length}\r\n"), &whole)),
        case("CL with a minus", &[400], post("Content-Length: -1\r\n", &whole)),
        case("CL in hexadecimal", &[400], post(&format!("Content-Length: 0x{length:x}\r\n"), &whole)),
        case("CL beyond 64 bits", &[400, 413], post("Content-Length: 18446744073709551617\r\n", &whole)),
        case("CL of nothing", &[400], post("Content-Length: \r\n", &whole)),
        case("CL with a space before its colon", &[400], post(&format!("Content-Length : {length}\r\n"), &whole)),
        case("chunk size with a minus", &[400], post("Transfer-Encoding: chunked\r\n", &format!("-1\r\n{good}\r\n0\r\n\r\n{hidden}"))),
        case("chunk size beyond 64 bits", &[400, 413], post("Transfer-Encoding: chunked\r\n", &format!("fffffffffffffffff\r\n{good}\r\n0\r\n\r\n{hidden}"))),
        case("chunk size with 0x", &[400], post("Transfer-Encoding: chunked\r\n", &format!("0x{length:x}\r\n{good}\r\n0\r\n\r\n{hidden}"))),
        case("chunk without its end", &[400], post("Transfer-Encoding: chunked\r\n", &format!("{length:x}\r\n{good}XX0\r\n\r\n{hidden}"))),
    ]
}

/// Transfer codings that are none, or only look like one.
fn codings() -> Vec<Case> {
    let hidden = hidden();
    let chunked = format!("{}0\r\n\r\n{hidden}", chunk(&small_post(1)));
    let with = |name, allowed, coding: &str| case(name, allowed, post(&format!("Transfer-Encoding: {coding}\r\n"), &chunked));
    vec![
        with("TE chunked, identity", &[400], "chunked, identity"),
        with("TE identity", &[400], "identity"),
        with("TE xchunked", &[400], "xchunked"),
        with("TE chunked in quotes", &[400], "\"chunked\""),
        with("TE with a semicolon", &[400], "chunked;q=1"),
        with("TE of nothing", &[400], ""),
        with("TE with a vertical tab", &[400], "\u{b}chunked"),
        case("TE with a space before its colon", &[400], post("Transfer-Encoding : chunked\r\n", &chunked)),
        case("TE twice, the last one no chunked", &[400], post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", &chunked)),
        case("TE in HTTP/1.0", &[400], post("Transfer-Encoding: chunked\r\n", &chunked).replace("HTTP/1.1\r\nHost", "HTTP/1.0\r\nHost").into_bytes()),
        with("TE gzip, chunked", &[415], "gzip, chunked"),
        with("TE chunked, chunked", &[400, 415], "chunked, chunked"),
        case("TE chunked twice", &[400, 415], post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", &chunked)),
    ]
}

/// Lines that end or go on where they must not.
fn lines() -> Vec<Case> {
    let (good, hidden) = (small_post(1), hidden());
    let length = good.len();
    let chunked = format!("{}0\r\n\r\n{hidden}", chunk(&good));
    let after = |headers: &str| post(headers, &format!("{good}{hidden}"));
    let nul = [post(&format!("X-Nul: a\0b\r\nContent-Length: {length}\r\n"), &good).into_bytes(), hidden.clone().into_bytes()].concat();
    vec![
        case("a folded line", &[400], after(&format!("X-Fold: a\r\n Content-Length: 5\r\nContent-Length: {length}\r\n"))),
        case("a folded TE", &[400], post("Transfer-Encoding:\r\n chunked\r\n", &chunked)),
        case("a line of spaces", &[400], after(&format!(" \r\nContent-Length: {length}\r\n"))),
        case("bare CR in a value", &[400], after(&format!("X-Cr: a\rContent-Length: 5\r\nContent-Length: {length}\r\n"))),
        case("NUL in a value", &[400], nul),
        case("NUL in a name", &[400], after(&format!("X-\0: a\r\nContent-Length: {length}\r\n"))),
        case("no colon", &[400], after(&format!("Nonsense\r\nContent-Length: {length}\r\n"))),
        case(
            "chunk extensions without end",
            &[400, 413],
            post("Transfer-Encoding: chunked\r\n", &format!("{length:x};{}\r\n{good}\r\n0\r\n\r\n{hidden}", "a=b;".repeat(50_000))),
        ),
        case(
            "trailers without end",
            &[400, 413, 431],
            post("Transfer-Encoding: chunked\r\n", &format!("{}0\r\n{}\r\n{hidden}", chunk(&good), "X-T: a\r\n".repeat(20_000))),
        ),
        case("heads without end", &[431], after(&format!("{}Content-Length: {length}\r\n", "X-H: abcdefgh\r\n".repeat(10_000)))),
        case("a head of 20 KiB", &[431], after(&format!("X-H: {}\r\nContent-Length: {length}\r\n", "h".repeat(20_000)))),
        case("a hundred and more header lines", &[431, 400], after(&format!("{}Content-Length: {length}\r\n", "X-H: a\r\n".repeat(300)))),
        case("a word for a version", &[400, 505], format!("POST /meraki/mall HTTP/nine\r\nHost: f\r\n\r\n{hidden}")),
        case("a version of the future", &[400, 505], format!("POST /meraki/mall HTTP/2.0\r\nHost: f\r\nContent-Length: {length}\r\n\r\n{good}{hidden}")),
        case("no path", &[400], format!("POST HTTP/1.1\r\nHost: f\r\n\r\n{hidden}")),
        case("a space in the path", &[400], format!("POST /meraki/mall x HTTP/1.1\r\nHost: f\r\nContent-Length: {length}\r\n\r\n{good}{hidden}")),
    ]
}

/// Refusals before the body was read, with a whole post behind what was announced.
fn refusals() -> Vec<Case> {
    let hidden = hidden();
    let chunked = format!("{}0\r\n\r\n{hidden}", chunk("{}"));
    vec![
        case("404 and its body is a post", &[404], format!("POST /nobody HTTP/1.1\r\nHost: f\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len())),
        case("404 and a post behind its body", &[404], format!("POST /nobody HTTP/1.1\r\nHost: f\r\nContent-Length: 2\r\n\r\n{{}}{hidden}")),
        case("404 and a post behind its chunks", &[404], format!("POST /nobody HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}")),
        case("405 and its body is a post", &[405], format!("PUT /meraki/mall HTTP/1.1\r\nHost: f\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len())),
        case("GET whose body is a post", &[200], format!("GET /meraki/mall HTTP/1.1\r\nHost: f\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len())),
        case("413 by its length", &[413], post("Content-Length: 99999999\r\n", &hidden)),
        case("415 and its body is a post", &[415], post(&format!("Content-Encoding: br\r\nContent-Length: {}\r\n", hidden.len()), &hidden)),
        case(
            "417 is no answer: an unknown expectation",
            &[400, 403, 417],
            post(&format!("Expect: 200-ok\r\nContent-Length: {}\r\nConnection: close\r\n", hidden.len()), &hidden),
        ),
        case("CONNECT", &[404, 405, 400], format!("CONNECT other:443 HTTP/1.1\r\nHost: f\r\n\r\n{hidden}")),
        case("an upgrade", &[200, 400, 403], format!("GET /meraki/mall HTTP/1.1\r\nHost: f\r\nConnection: upgrade, close\r\nUpgrade: h2c\r\n\r\n{hidden}")),
        case("the preface of HTTP/2", &[], format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{hidden}")),
        case("TLS on the plain listener", &[400], [&[22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3][..], hidden.as_bytes()].concat()),
    ]
}

/// Sends all at once and reads until the server closes.
fn send(served: &Served, name: &str, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(&served.http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // A server that has seen enough may close before it has taken everything.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return answer,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                panic!("{name}: not closed: {}", String::from_utf8_lossy(&answer))
            }
            Err(_) => return answer,
        }
    }
}

fn other(status: &Value) -> Posts {
    Posts::of(status, 1)
}

#[test]
fn a_hidden_post_is_never_taken_and_a_doubtful_connection_ends() {
    // Nothing but the server's doubt ends a connection here: every deadline is longer than the test.
    let site = Site::sqlite_with("[limits]\nheader_timeout = \"10m\"\nbody_timeout = \"10m\"\nidle_timeout = \"10m\"\n");
    let served = site.serve();
    let mut taken = 0;
    for Case { name, request, allowed } in lengths().into_iter().chain(codings()).chain(lines()).chain(refusals()) {
        let answer = send(&served, name, &request);
        let text = String::from_utf8_lossy(&answer);
        let answers = text.matches("HTTP/1.1 ").count();
        let status = status_of(&answer);
        assert!(status.map_or(allowed.is_empty(), |status| allowed.contains(&status)) && answers <= 1, "{name}: {text:?}");
        let now = served.status();
        assert_eq!(other(&now).received(), 0, "{name}: the hidden post was taken: {text}");
        taken += u64::from(status == Some(200) && request.starts_with(b"POST"));
        assert_eq!(Posts::of(&now, 0).outcome("accepted"), taken, "{name}");
        Posts::of(&now, 0).balance();
    }
    // That the hidden post is a good one, and would be told if it were taken: here it follows a request that is whole.
    let body = small_post(1);
    let whole = post(&format!("Content-Length: {}\r\n", body.len()), &format!("{body}{}", hidden().replace("Host: f", "Host: f\r\nConnection: close")));
    let answer = send(&served, "both", whole.as_bytes());
    assert_eq!(String::from_utf8_lossy(&answer).matches("HTTP/1.1 200").count(), 2);
    let status = served.wait_until_applied();
    assert_eq!((other(&status).received(), Posts::of(&status, 0).outcome("accepted")), (1, taken + 1));
    assert_eq!(site.number("SELECT count(*) FROM observations WHERE receiver = 'other'"), 1);
    served.stop();
}

/// Not doubtful, and taken: what is odd only in its looks.
#[test]
fn odd_but_clear_requests_are_answered_as_what_they_are() {
    let site = Site::sqlite();
    let served = site.serve();
    let body = small_post(1);
    let length = body.len();
    let close = "Connection: close\r\n";
    let odd = [
        ("CL twice and the same", post(&format!("{close}Content-Length: {length}\r\nContent-Length: {length}\r\n"), &body)),
        ("no Host", format!("POST /meraki/mall HTTP/1.1\r\n{close}Content-Length: {length}\r\n\r\n{body}")),
        ("an absolute URI", format!("POST http://elsewhere/meraki/mall HTTP/1.1\r\nHost: f\r\n{close}Content-Length: {length}\r\n\r\n{body}")),
        ("TE in capitals", post(&format!("{close}Transfer-Encoding: CHUNKED\r\n"), &format!("{}0\r\n\r\n", chunk(&body)))),
        ("a chunk extension", post(&format!("{close}Transfer-Encoding: chunked\r\n"), &format!("{length:x};a=b\r\n{body}\r\n0\r\n\r\n"))),
        ("a trailer", post(&format!("{close}Transfer-Encoding: chunked\r\n"), &format!("{}0\r\nX-T: a\r\n\r\n", chunk(&body)))),
        ("bare line feeds", post(&format!("{close}Content-Length: {length}\r\n"), "").replace("\r\n", "\n") + &body),
        ("HTTP/1.0", post(&format!("Content-Length: {length}\r\n"), &body).replace("HTTP/1.1", "HTTP/1.0")),
        ("empty lines before it", format!("\r\n\r\n{}", post(&format!("{close}Content-Length: {length}\r\n"), &body))),
    ];
    for (name, request) in &odd {
        let answer = send(&served, name, request.as_bytes());
        assert!(answer.starts_with(b"HTTP/1.1 200") || answer.starts_with(b"HTTP/1.0 200"), "{name}: {}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(Posts::of(&served.status(), 0).outcome("accepted"), odd.len() as u64);
    served.stop();
}

/// What was promised and never comes is a slow body like any other, whatever else comes in its place.
#[test]
fn promises_that_stall_are_ended_by_the_body_deadline() {
    let site = Site::sqlite_with("[limits]\nbody_timeout = \"1s\"\n");
    let served = site.serve();
    let answer = send(&served, "stall", post("Expect: 100-continue\r\nContent-Length: 1000\r\n", "").as_bytes());
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 408 "), "{text}");
    let nearly_all = format!("ffffffffffffffff\r\n{}\r\n0\r\n\r\n{}", small_post(1), hidden());
    let answer = send(&served, "stall", post("Transfer-Encoding: chunked\r\n", &nearly_all).as_bytes());
    assert_eq!(status_of(&answer), Some(408));
    let status = served.status();
    assert_eq!((Posts::of(&status, 0).outcome("too_slow"), other(&status).received()), (2, 0));
    served.stop();
}
