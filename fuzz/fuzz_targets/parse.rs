//! Any bytes as the body of a post: no panic, and what was accepted once tells the same when its blanked bytes are replayed.

#![no_main]

use std::sync::Arc;

use ingest::wire::{Context, Parsed, Parser, Secret, Secrets, cost_bytes};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let receiver: Arc<str> = Arc::from("fuzz");
    let secrets = [Secret::new("s".to_owned())];
    let mut parser = Parser::default();
    let mut parse = |body: &mut Vec<u8>, secrets| {
        let context = Context { receiver: &receiver, secrets, received_at_ms: 1_790_000_000_000 };
        parser.parse(body, &context, None).ok()
    };
    let _cost = cost_bytes(input);
    // Most inputs have no right secret: trusted, they reach the dialects all the same.
    let _trusted = parse(&mut input.to_vec(), Secrets::Trusted);
    let mut body = input.to_vec();
    if let Some(first) = parse(&mut body, Secrets::Any(&secrets)) {
        let again = parse(&mut body, Secrets::Trusted);
        match (first, again) {
            (Parsed::Post(first), Some(Parsed::Post(again))) => {
                assert_eq!(first.observations, again.observations);
                assert_eq!((first.told(), first.repaired, first.locations.len()), (again.told(), again.repaired, again.locations.len()));
            }
            (Parsed::Unknown { reason: first }, Some(Parsed::Unknown { reason: again })) => assert_eq!(first, again),
            _ => panic!("a replay tells something else"),
        }
    }
});
