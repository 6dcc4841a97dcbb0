//! Huge and odd JSON against the live server: each is answered with what it deserves, and leaves nothing behind.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::dice::is_long;
use crate::edge_support::{MIB, Posts, mac, memory_of, metric, raw_request, small_post};
use crate::harness::{SECRET, Served, Site};

struct Case {
    name: &'static str,
    allowed: &'static [u16],
    body: Vec<u8>,
}

fn case(name: &'static str, status: u16, body: impl Into<Vec<u8>>) -> Case {
    let allowed: &[u16] = match status {
        200 => &[200],
        403 => &[403],
        _ => &[400],
    };
    Case { name, allowed, body: body.into() }
}

/// Grammar allows a number that no double holds, and leaves it to the reader what becomes of it.
fn beyond_numbers() -> Vec<Case> {
    let of = |number: u64, observation: &str, top: &str| right(number, top, "", observation).into_bytes();
    let far = "\"location\":{\"lat\":1e999999,\"lng\":-1e999999,\"unc\":1e999999,\"x\":[],\"y\":[]},";
    vec![
        Case { name: "a million digits", allowed: &[400, 403], body: "1".repeat(1_000_000).into() },
        Case { name: "an exponent beyond all", allowed: &[200, 400], body: of(98, far, "") },
        Case { name: "a number of many digits", allowed: &[200, 400], body: of(99, "", &format!("\"x\":{},", "7".repeat(10_000))) },
    ]
}

/// A right post of one observation, with more members in its data, at its top and in the observation.
fn right(number: u64, top: &str, data: &str, observation: &str) -> String {
    format!(
        r#"{{"version":"2.0","secret":"{SECRET}","type":"DevicesSeen",{top}"data":{{{data}"apMac":"02:18:5a:00:00:01","apTags":[],"apFloors":[],"observations":[{{{observation}"clientMac":"{}","seenEpoch":1714557600,"rssi":35,"location":null}}]}}}}"#,
        mac(number)
    )
}

fn members(count: usize) -> String {
    (0..count).map(|n| format!("\"member{n}\":{n},")).collect()
}

/// Nothing that can be read, or nothing that may be trusted.
fn refused(large: usize) -> Vec<Case> {
    let whole = small_post(1);
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    vec![
        case("a hundred thousand brackets", 400, "[".repeat(100_000)),
        case("a hundred thousand braces", 400, "{\"a\":".repeat(100_000)),
        case("brackets inside of a right post", 400, right(1, &format!("\"deep\":{}{},", "[".repeat(200), "]".repeat(200)), "", "")),
        case("a string without end", 400, [b"\"".as_slice(), &vec![b'a'; large]].concat()),
        case("a large string and nothing else", 403, [b"\"".as_slice(), &vec![b'a'; large], b"\""].concat()),
        case("a large secret", 403, format!("{{\"secret\":\"{}\"}}", "a".repeat(large))),
        case("white space", 400, vec![b' '; large]),
        case("zeros", 400, vec![0; large]),
        case("ones", 400, vec![0xff; large]),
        case("a million members without the secret", 403, format!("{{{}\"end\":0}}", members(1_000_000))),
        case("a byte order mark", 400, [b"\xef\xbb\xbf".as_slice(), whole.as_bytes()].concat()),
        case("UTF-16", 400, utf16(&whole)),
        case("UTF-16 with its mark", 400, [b"\xff\xfe".as_slice(), &utf16(&whole)].concat()),
        case("a NUL after the end", 400, format!("{whole}\0")),
        case("a NUL in a string", 400, whole.replace("guest", "gu\0st")),
        case("two documents", 400, format!("{whole}{whole}")),
        case("the secret twice", 400, right(1, &format!("\"secret\":\"{SECRET}\","), "", "")),
        case("the secret twice, once escaped", 400, right(1, "\"\\u0073ecret\":\"wrong\",", "", "")),
        case("data twice", 400, right(1, "\"data\":{},", "", "")),
        case("Infinity", 400, right(1, "\"x\":Infinity,", "", "")),
        case("a comment", 400, right(1, "/* none */", "", "")),
        case("single quotes", 400, whole.replace('"', "'")),
        case("the secret as a number", 403, r#"{"version":"2.0","secret":7,"type":"DevicesSeen","data":{}}"#),
        case("an array of posts", 403, format!("[{whole}]")),
    ]
}

/// Odd and right: each is kept, and tells one observation.
fn kept(large: usize) -> Vec<Case> {
    let of = |number: u64, top: &str, data: &str, observation: &str| right(100 + number, top, data, observation);
    vec![
        case("a large string that nobody reads", 200, of(0, &format!("\"x\":\"{}\",", "a".repeat(large)), "", "")),
        case("a large string full of escapes", 200, of(1, &format!("\"x\":\"{}\",", "\\n\\u00e4".repeat(large / 8)), "", "")),
        case("a million members at its top", 200, of(2, &members(1_000_000), "", "")),
        case("a million members in its data", 200, of(3, "", &members(1_000_000), "")),
        case("a million members in an observation", 200, of(4, "", "", &members(1_000_000))),
        case("a number of many zeros", 200, of(5, &format!("\"x\":0.{}1,", "0".repeat(10_000)), "", "")),
        case("a key twice in an observation", 200, of(8, "", "", "\"ssid\":\"first\",\"ssid\":\"second\",")),
        case("lone surrogates", 200, of(9, "", "", "\"ssid\":\"a\\ud800b\\udc00c\",")),
        case("a NUL escape", 200, of(10, "", "", "\"ssid\":\"a\\u0000b\",")),
        case("empty names", 200, of(11, "\"\":1,\"\":2,", "", "")),
        case("nesting up to the line", 200, of(12, &format!("\"deep\":{}{},", "[".repeat(126), "]".repeat(126)), "", "")),
    ]
}

fn send(served: &Served, body: &[u8]) -> u16 {
    let head = format!("POST /meraki/mall HTTP/1.1\r\nHost: f\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    raw_request(&served.http, &[head.as_bytes(), body])
}

#[test]
fn huge_and_odd_json_is_answered_as_it_deserves_and_leaves_nothing_behind() {
    let large = if is_long() { 60_000_000 } else { 12_000_000 };
    let site = Site::sqlite_with("max = \"4GiB\"\n[limits]\nbody = \"64MiB\"\nmemory = \"512MiB\"\n");
    let served = site.serve();
    assert_eq!(send(&served, small_post(0).as_bytes()), 200);
    let at_first = memory_of(&served, "VmRSS");
    let cases: Vec<Case> = refused(large).into_iter().chain(kept(large)).chain(beyond_numbers()).collect();
    let mut statuses = Vec::new();
    let done = AtomicBool::new(false);
    let beside = thread::scope(|scope| {
        // Beside the odd ones honest posts are answered all the time.
        let honest = scope.spawn(|| {
            let mut answered = 0_u64;
            while !done.load(Ordering::Relaxed) {
                assert_eq!(served.post("/meraki/other", small_post(answered).as_bytes()).0, 200);
                answered += 1;
            }
            answered
        });
        for Case { name, allowed, body } in &cases {
            let status = send(&served, body);
            assert!(allowed.contains(&status), "{name}: {status}");
            statuses.push(status);
        }
        done.store(true, Ordering::Relaxed);
        honest.join().unwrap()
    });
    assert!(beside > cases.len() as u64, "{beside} honest posts beside them");

    let status = served.wait_until_applied();
    let posts = Posts::of(&status, 0);
    posts.balance();
    let answered = |status: u16| statuses.iter().filter(|one| **one == status).count() as u64;
    let counted = ["not_json", "secret", "accepted"].map(|outcome| posts.outcome(outcome));
    assert_eq!(counted, [answered(400), answered(403), 1 + answered(200)]);
    assert_eq!(site.number("SELECT count(*) FROM observations WHERE receiver = 'mall'"), 1 + answered(200) as i64);
    let odd: Vec<_> = site.query("SELECT ssid FROM observations WHERE receiver = 'mall' AND ssid <> 'guest' ORDER BY ssid");
    let odd: Vec<&str> = odd.iter().map(|row| row["ssid"].as_str().unwrap()).collect();
    assert_eq!(odd, ["a\u{fffd}b", "a\u{fffd}b\u{fffd}c", "second"]);
    assert_eq!(metric(&served, "footfall_repaired_strings_total"), 2);
    assert_eq!(metric(&served, "footfall_memory_claimed_bytes"), 0);
    let at_last = memory_of(&served, "VmRSS");
    println!("{} MiB at first, {} at most, {} at last", at_first / MIB, memory_of(&served, "VmHWM") / MIB, at_last / MIB);
    assert!(at_last <= at_first + 144 * MIB, "{} MiB at first, {} at last", at_first / MIB, at_last / MIB);
    served.stop();
}
