//! What noise does not touch: instructions (by valgrind's callgrind) and allocations of the parsers, per client of a post.
//! `cargo bench --bench counts`

// All of it measures; nothing here serves anybody. Unsafe for the counting allocator alone.
#![allow(unsafe_code, clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use support::bodies::{Kind, Post};
use support::parsers;
use support::rounds::is_test;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: all calls go to `System`, whose contract is the caller's; counting touches no memory of theirs.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from `System` with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: `block` came from `System` with this layout, and the caller keeps the contract of `realloc`.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    if let Ok(work) = std::env::var(WORK) {
        let numbers: Vec<usize> = work.split(' ').map(|number| number.parse().unwrap()).collect();
        parse(KINDS[numbers[0]].0, numbers[1], numbers[2], numbers[3]);
        return;
    }
    let (clients, kinds) = if is_test() { (10, 1) } else { (1_000, KINDS.len()) };
    println!("parse, {clients} clients per post, per client of the second post and later");
    println!("{:<14} {:<34} {:>13} {:>13} {:>8}", "post", "method", "instructions", "allocations", "ours is");
    for (at, (kind, title)) in KINDS.into_iter().enumerate().take(kinds) {
        let body = Post::of(kind, clients).body();
        let names: Vec<&str> = parsers::all(kind, &body).iter().map(|(name, _)| *name).collect();
        let mut ours = None;
        for (method, name) in names.into_iter().enumerate() {
            let per_client = instructions(at, method, clients).map(|count| count / clients as f64);
            let ours = *ours.get_or_insert(per_client);
            let times = per_client.zip(ours).map_or("?".to_owned(), |(count, ours)| format!("{:.2}x", count / ours));
            let shown = per_client.map_or("no valgrind".to_owned(), |count| format!("{count:.0}"));
            println!("{title:<14} {name:<34} {shown:>13} {:>13.3} {times:>8}", allocations(kind, method, clients) / clients as f64);
        }
    }
}

/// Runs one method over its body so many times.
fn parse(kind: Kind, method: usize, clients: usize, rounds: usize) {
    let body = Post::of(kind, clients).body();
    let mut methods = parsers::all(kind, &body);
    for _ in 0..rounds {
        std::hint::black_box((methods[method].1)());
    }
}

/// Allocations of a pass when memory has grown.
fn allocations(kind: Kind, method: usize, clients: usize) -> f64 {
    let body = Post::of(kind, clients).body();
    let mut methods = parsers::all(kind, &body);
    let pass = &mut methods[method].1;
    for _ in 0..3 {
        pass();
    }
    let before = ALLOCATIONS.load(Relaxed);
    for _ in 0..ROUNDS {
        pass();
    }
    (ALLOCATIONS.load(Relaxed) - before) as f64 / ROUNDS as f64
}

/// Instructions of a pass: two runs under callgrind that differ in nothing but the number of passes.
fn instructions(kind: usize, method: usize, clients: usize) -> Option<f64> {
    let [few, many] = [3, 3 + ROUNDS].map(|rounds| collected(&format!("{kind} {method} {clients} {rounds}")));
    Some((many? - few?) / ROUNDS as f64)
}

fn collected(work: &str) -> Option<f64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(std::env::current_exe().unwrap()).env(WORK, work);
    let said = String::from_utf8(command.output().ok()?.stderr).unwrap();
    let line = said.lines().find_map(|line| line.split_once("Collected : ")).unwrap_or_else(|| panic!("valgrind failed:\n{said}"));
    Some(line.1.trim().parse().unwrap())
}

const KINDS: [(Kind, &str); 4] = [(Kind::V3Wifi, "v3 Wi-Fi"), (Kind::V2Wifi, "v2 Wi-Fi"), (Kind::V3Ble, "v3 Bluetooth"), (Kind::V2Ble, "v2 Bluetooth")];
const ROUNDS: usize = 4;
/// Tells the program under valgrind what to do.
const WORK: &str = "FOOTFALL_BENCH_COUNT";
