//! The ends of connections and of the process: peers that leave within a post and before its answer, and SIGTERM under load.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use crate::dice::is_long;
use crate::edge_support::{Posts, mac, metric, small_post, status_of, wait_for_metric};
use crate::harness::{PATIENCE, Served, Site};

fn connect(served: &Served) -> TcpStream {
    let stream = TcpStream::connect(&served.http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn head(length: usize) -> String {
    format!("POST /meraki/mall HTTP/1.1\r\nHost: f\r\nContent-Length: {length}\r\n\r\n")
}

/// Ends the connection with a reset, as a peer does that dies.
fn reset(stream: TcpStream) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let _inside = runtime.enter();
    stream.set_nonblocking(true).unwrap();
    tokio::net::TcpStream::from_std(stream).unwrap().set_zero_linger().unwrap();
}

/// Connects until nobody new is let in.
fn until_refused(address: &str) {
    let started = Instant::now();
    while TcpStream::connect(address).is_ok() {
        assert!(started.elapsed() < PATIENCE, "somebody new is let in");
    }
}

fn mall(served: &Served) -> Posts {
    Posts::of(&served.status(), 0)
}

#[test]
fn a_peer_that_leaves_within_its_body_leaves_nothing_of_it() {
    let site = Site::sqlite();
    let served = site.serve();
    let body = small_post(1);
    let mut left = 0;
    for sent in (0..body.len()).step_by(body.len() / 12) {
        for dies in [true, false] {
            let mut stream = connect(&served);
            stream.write_all(head(body.len()).as_bytes()).unwrap();
            stream.write_all(&body.as_bytes()[..sent]).unwrap();
            served.wait_until("open", |status| Posts::of(status, 0).received() == left + 1);
            if dies {
                reset(stream);
            } else {
                stream.shutdown(Shutdown::Write).unwrap();
            }
            left += 1;
            served.wait_until("counted", |status| Posts::of(status, 0).outcome("aborted") == left);
        }
    }
    mall(&served).balance();
    assert_eq!(metric(&served, "footfall_memory_claimed_bytes"), 0);
    assert_eq!(served.status()["journal"]["next_position"], 1, "nothing was stored");
    assert_eq!(served.post("/meraki/mall", body.as_bytes()).0, 200);
    served.wait_until_applied();
    assert_eq!(site.number("SELECT count(*) FROM observations"), 1);
    served.stop();
}

/// Whether the post of a peer that dies is stored is open, since nobody was told; it is there whole or not at all, and counted as what it
/// is. One that only has no more to say is taken like any other.
#[test]
fn a_peer_that_leaves_before_its_answer_has_its_post_stored_whole_or_not_at_all() {
    const EACH: u64 = 80;
    let site = Site::sqlite();
    let served = site.serve();
    for number in 0..3 * EACH {
        let body = small_post(number);
        let mut stream = connect(&served);
        stream.write_all((head(body.len()) + &body).as_bytes()).unwrap();
        match number % 3 {
            0 => reset(stream),
            1 => drop(stream),
            _ => {
                stream.shutdown(Shutdown::Write).unwrap();
                assert_eq!(status_of(read_answer(&mut stream).unwrap().as_bytes()), Some(200));
                assert!(read_answer(&mut stream).is_none());
            }
        }
    }
    // A reset may overtake the bytes before it: then the post has not come at all.
    let status = served.wait_until("settled", |status| Posts::of(status, 0).outcome("accepted") >= 2 * EACH && status["receivers"][0]["open"] == 0);
    wait_for_metric(&served, "footfall_connections", |open| open == 0);
    let posts = Posts::of(&status, 0);
    posts.balance();
    served.wait_until_applied();
    let accepted = mall(&served).outcome("accepted") as i64;
    assert_eq!(site.number("SELECT count(*) FROM observations"), accepted, "one for each that was counted as kept");
    assert_eq!(site.number("SELECT sum(posts) FROM posts"), accepted);
    println!("{accepted} of {} stored, {} broken off", 3 * EACH, posts.outcome("aborted"));
    served.stop();
}

/// What one sender saw until its connection ended.
#[derive(Default)]
struct Seen {
    answered: BTreeSet<u64>,
    refused: u64,
    cut: u64,
}

/// Posts one after another on one connection, in two pieces each, until the server says that it closes, or does.
fn keep_posting(served: &Served, numbers: &AtomicU64, answered: &AtomicU64) -> Seen {
    let mut seen = Seen::default();
    let mut stream = connect(served);
    loop {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let body = small_post(number);
        let (begin, rest) = body.split_at(body.len() / 2);
        let sent = stream.write_all((head(body.len()) + begin).as_bytes()).and_then(|()| stream.write_all(rest.as_bytes()));
        let Some(answer) = sent.ok().and_then(|()| read_answer(&mut stream)) else {
            // Closed between two requests, or within one: no answer, no promise.
            seen.cut += 1;
            return seen;
        };
        match status_of(answer.as_bytes()) {
            Some(200) => {
                seen.answered.insert(number);
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Some(503) => seen.refused += 1,
            _ => panic!("{answer}"),
        }
        if answer.to_lowercase().contains("connection: close") {
            return seen;
        }
    }
}

/// The head of an answer, whose body is read with it when there is one.
fn read_answer(stream: &mut TcpStream) -> Option<String> {
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) if answer.is_empty() => return None,
            Ok(0) => panic!("half an answer: {:?}", String::from_utf8_lossy(&answer)),
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("neither an answer nor an end"),
            Err(_) => return None,
        }
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |length| length.parse().unwrap());
        if body.len() >= length {
            return Some(head.to_owned());
        }
    }
}

#[test]
fn a_stop_under_load_loses_no_answered_post_and_ends_every_connection_in_order() {
    const SENDERS: usize = 12;
    let rounds = if is_long() { 20 } else { 2 };
    let site = Site::sqlite_with("[limits]\nstop_timeout = \"1m\"\n[privacy]\nclients = \"plain\"\n");
    let numbers = AtomicU64::new(1);
    let mut promised = BTreeSet::new();
    let mut cut = 0;
    for round in 0..rounds {
        let served = site.serve();
        let answered = AtomicU64::new(0);
        // A connection that was answered once and waits, and a body that is half sent when the stop comes.
        let mut idle = connect(&served);
        let first = small_post(numbers.fetch_add(1, Ordering::Relaxed));
        idle.write_all((head(first.len()) + &first).as_bytes()).unwrap();
        assert_eq!(status_of(read_answer(&mut idle).unwrap().as_bytes()), Some(200));
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let body = small_post(number);
        let mut half = connect(&served);
        half.write_all((head(body.len()) + &body[..100]).as_bytes()).unwrap();
        served.wait_until("reading the half body", |status| Posts::of(status, 0).0["open"].as_u64().unwrap() >= 1);

        let seen: Vec<Seen> = thread::scope(|scope| {
            let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(|| keep_posting(&served, &numbers, &answered))).collect();
            // Anywhere in the work, another place in each round.
            served.wait_until("under load", |_| answered.load(Ordering::Relaxed) > 100 + round * 13);
            served.signal("TERM");
            assert!(read_answer(&mut idle).is_none(), "an idle connection is closed without a word");
            assert_eq!(served.admin("/readyz"), (503, "[\"stopping\"]".to_owned()));
            until_refused(&served.http);
            half.write_all(&body.as_bytes()[100..]).unwrap();
            let answer = read_answer(&mut half).unwrap();
            assert_eq!(status_of(answer.as_bytes()), Some(200), "what was under way is finished: {answer}");
            promised.insert(number);
            senders.into_iter().map(|sender| sender.join().unwrap()).collect()
        });
        promised.insert(number - 1);
        for one in seen {
            promised.extend(one.answered);
            cut += one.cut;
        }
        let (status, log) = served.wait();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(!log.contains("cut off"), "nothing had to be cut: {log}");
    }
    let served = site.serve();
    served.wait_until_applied();
    let rows = site.query("SELECT client FROM observations");
    let stored: BTreeSet<&str> = rows.iter().map(|row| row["client"].as_str().unwrap()).collect();
    assert_eq!(stored.len(), rows.len(), "none twice");
    assert!(promised.len() as u64 > rounds * 100);
    let lost: Vec<_> = promised.iter().filter(|number| !stored.contains(mac(**number).as_str())).collect();
    assert!(lost.is_empty(), "answered and lost: {lost:?}");
    println!("{rounds} stops, {} answered posts, {} rows, {cut} connections closed between two posts", promised.len(), stored.len());
    served.stop();
}
