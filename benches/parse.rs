//! Parsing: the bytes of a post to the rows of a batch, beside what others would take. `cargo bench --bench parse`

// All of it measures; nothing here serves anybody.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod support;

use criterion::Criterion;

use support::bodies::{Kind, Post, pretty, sorted};
use support::parsers;
use support::rounds::Contest;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (kind, name) in [(Kind::V3Wifi, "v3 Wi-Fi"), (Kind::V2Wifi, "v2 Wi-Fi"), (Kind::V3Ble, "v3 Bluetooth"), (Kind::V2Ble, "v2 Bluetooth")] {
        for clients in [10, 1_000, 20_000] {
            contest(&format!("{name}, {clients} clients"), kind, &Post::of(kind, clients).body(), clients).run(&mut criterion, 25);
        }
    }
    for (kind, name) in [(Kind::V3Wifi, "v3 Wi-Fi"), (Kind::V2Wifi, "v2 Wi-Fi")] {
        let body = Post::of(kind, 1_000).body();
        contest(&format!("{name}, keys sorted"), kind, &sorted(&body), 1_000).run(&mut criterion, 25);
        contest(&format!("{name}, indented"), kind, &pretty(&body), 1_000).run(&mut criterion, 25);
    }
    criterion.final_summary();
}

fn contest<'a>(title: &str, kind: Kind, body: &'a [u8], clients: usize) -> Contest<'a> {
    Contest { title: format!("parse {title}"), units: (clients as u64, "client"), bytes: body.len() as u64, methods: parsers::all(kind, body) }
}
