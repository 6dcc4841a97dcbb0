//! Parsing is free of allocations once its memory has grown: a second post of the same size takes nothing from the allocator.

// Proof: every method hands its arguments to the system allocator unchanged; counting on the side touches no memory of the caller's.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ingest::wire::{Context, Parsed, Parser, Secret, Secrets};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all four calls go to `System`, whose contract is the caller's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from `System` with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: `block` came from `System` with this layout, and the caller keeps the contract of `realloc`.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const RECEIVED: i64 = 1_790_000_000;

fn v2(round: usize) -> String {
    let entry = |entry: usize| {
        let ssid = entry % 7;
        let maker = entry % 5;
        format!(
            r#"{{"clientMac":"02:00:00:00:{round:02x}:{entry:02x}","seenEpoch":{RECEIVED},"rssi":30,"ssid":"net {round} {ssid}",
            "ipv4":"/192.0.2.{entry}","manufacturer":"M\u00e9 {maker}","location":{{"lat":51.5,"lng":-0.07,"unc":1.5,"x":[1.5],"y":["2.5"]}}}}"#
        )
    };
    let entries: Vec<_> = (0..200).map(entry).collect();
    format!(
        r#"{{"version":"2.0","secret":"s3cret","type":"DevicesSeen","data":{{"apMac":"02:00:00:00:0a:01","apTags":["","lobby"],
        "apFloors":["Ground"],"observations":[{}]}}}}"#,
        entries.join(",")
    )
}

fn v3(round: usize) -> String {
    let entry = |entry: usize| {
        let system = entry % 9;
        format!(
            r#"{{"clientMac":"02:00:00:00:{round:02x}:{entry:02x}","os":"os {system}","locations":[{{"time":"2026-09-21T14:12:20Z","x":"1.5",
            "y":"2.5","floorPlanId":"g_1","rssiRecords":[{{"apMac":"02:00:00:00:0a:01","rssi":-40}},{{"apMac":"02:00:00:00:0a:02","rssi":-50}}]}}],
            "latestRecord":{{"time":"2026-09-21T14:13:00Z","nearestApMac":"02:00:00:00:0a:03","nearestApRssi":"-47"}}}}"#
        )
    };
    let entries: Vec<_> = (0..200).map(entry).collect();
    format!(
        r#"{{"version":"3.0","secret":"s3cret","type":"WiFi","data":{{"networkId":"N_1","reportingAps":[{{"mac":"02:00:00:00:0a:01","name":"a",
        "tags":["x","y"],"floorPlan":{{"id":"g_1","x":1,"y":2}}}}],"observations":[{}]}}}}"#,
        entries.join(",")
    )
}

#[test]
fn the_second_post_allocates_nothing() {
    let receiver: Arc<str> = Arc::from("mall");
    let secrets = [Secret::new("s3cret".to_owned())];
    let context = Context { receiver: &receiver, secrets: Secrets::Any(&secrets), received_at_ms: RECEIVED * 1_000 };
    for (name, make) in [("v2", v2 as fn(usize) -> String), ("v3", v3)] {
        let (mut first, mut second) = (make(1).into_bytes(), make(2).into_bytes());
        assert_eq!(first.len(), second.len());
        let mut parser = Parser::default();
        let Parsed::Post(batch) = parser.parse(&mut first, &context, None).unwrap() else { panic!("unknown") };
        let rows = batch.observations.len();
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let parsed = parser.parse(&mut second, &context, Some(batch));
        let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
        let Ok(Parsed::Post(batch)) = parsed else { panic!("refused") };
        assert_eq!((allocations, batch.observations.len()), (0, rows), "{name}");
        assert!(rows >= 200);
    }
}
