//! The memory budget on the live binary: 64 senders of giant posts at once, right ones, wrong ones and nonsense.

use std::thread;

use crate::dice::is_long;
use crate::edge_support::{BigPosts, MIB, Posts, memory_of, metric, raw_request};
use crate::harness::{SECRET, Site};

const SENDERS: u64 = 64;

/// What the process takes beside the budget, the tail and a post that is read back: the program, the journal's group, the connections, and
/// what posts leave to each other in three pools.
fn beside(memory: u64) -> u64 {
    48 * MIB + 3 * (32 * MIB).min(memory / 16)
}

/// Reading a post back takes up to so many times its bytes: as it stands on disk, opened, and what parsing it takes.
const READ_BACK: u64 = 8;

/// Sizes of a post and of `limits.memory`.
fn sizes() -> (u64, u64) {
    if is_long() { (60 * MIB, 512 * MIB) } else { (16 * MIB, 128 * MIB) }
}

/// All senders at once; how many were answered with the first of two statuses. Any other is a failure.
fn wave(what: &str, allowed: [u16; 2], send: impl Fn(u64) -> u16 + Sync) -> u64 {
    let statuses: Vec<u16> = thread::scope(|scope| {
        let send = &send;
        let senders: Vec<_> = (0..SENDERS).map(|n| scope.spawn(move || send(n))).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|status| allowed.contains(status)), "{what}: {statuses:?}");
    statuses.iter().filter(|status| **status == allowed[0]).count() as u64
}

#[test]
fn giant_posts_at_once_are_taken_or_shed_within_the_budget_and_leave_nothing_behind() {
    let (body, memory) = sizes();
    // A tail in which no such post has room: each is read back from the journal.
    let limits = format!("[limits]\nbody = \"{}MiB\"\nmemory = \"{}MiB\"\n", body / MIB + 1, memory / MIB);
    let site = Site::sqlite_with(&format!("max = \"4GiB\"\n{limits}[pipeline]\ntail = \"1MiB\"\n"));
    let served = site.serve();
    let at_first = memory_of(&served, "VmRSS");
    let posts = BigPosts::new(body as usize);
    assert_eq!(posts.send(&served.http, "L_alone", SECRET), 200);
    let mut taken = 1;
    taken += wave("right", [200, 503], |n| posts.send(&served.http, &format!("L_{n}"), SECRET));
    wave("wrong", [403, 503], |n| posts.send(&served.http, &format!("L_{n}"), "wrong"));
    // What costs a parser most for its size, and what is refused only at its end.
    let fillings: &[&[u8]] = if is_long() { &[b"[", b",", b"\"", b"{\"a\":", b"1,", b"\xff", b"\\", b"%", b" "] } else { &[b"[", b"\xff"] };
    for filling in fillings {
        let nonsense = filling.repeat(body as usize / filling.len());
        let head = format!("POST /meraki/mall HTTP/1.1\r\nHost: f\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", nonsense.len());
        wave("nonsense", [400, 503], |_| raw_request(&served.http, &[head.as_bytes(), &nonsense]));
    }
    assert_eq!(posts.send(&served.http, "L_last", SECRET), 200, "after the storm");
    taken += 1;

    let status = served.wait_until_applied();
    assert_eq!(site.number("SELECT sum(posts) FROM posts"), taken as i64, "each 200 is in the database");
    assert_eq!(site.number("SELECT sum(observations) FROM posts"), (taken * posts.told) as i64);
    Posts::of(&status, 0).balance();
    assert_eq!(metric(&served, "footfall_memory_claimed_bytes"), 0);
    let (highest, at_last) = (memory_of(&served, "VmHWM"), memory_of(&served, "VmRSS"));
    println!("{taken} of {} taken; resident {} MiB at first, {} at most, {} at last", SENDERS + 2, at_first / MIB, highest / MIB, at_last / MIB);
    assert!(highest <= memory + MIB + READ_BACK * body + beside(memory), "{} MiB", highest / MIB);
    assert!(at_last <= at_first + beside(memory), "{} MiB at first, {} at last", at_first / MIB, at_last / MIB);
    served.stop();
}
