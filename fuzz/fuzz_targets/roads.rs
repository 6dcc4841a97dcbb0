//! Any bytes as the body of a post, by both roads of the parser: they must judge it alike, blank the same bytes and make the same rows.
//!
//! The parser is kept from input to input, so that what the fast road has learned is any input's.

#![no_main]

use std::cell::RefCell;
use std::sync::Arc;

use ingest::wire::{Context, Parsed, Parser, Secret, Secrets};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static PARSER: RefCell<Parser> = RefCell::default();
}

fuzz_target!(|input: &[u8]| {
    let receiver: Arc<str> = Arc::from("fuzz");
    let secrets = [Secret::new("s".to_owned())];
    // Most inputs have no right secret: trusted, they reach the dialects all the same.
    for secrets in [Secrets::Any(&secrets), Secrets::Trusted] {
        let context = Context { receiver: &receiver, secrets, received_at_ms: 1_790_000_000_000 };
        PARSER.with_borrow_mut(|parser| {
            let (mut by_fast, mut by_slow) = (input.to_vec(), input.to_vec());
            let Some(fast) = parser.parse_fast(&mut by_fast, &context, None) else {
                assert_eq!(by_fast, input, "a body that is left is untouched");
                return;
            };
            match parser.parse_slow(&mut by_slow, &context) {
                Ok(Parsed::Post(slow)) => assert!(fast.tells_the_same_as(&slow)),
                other => panic!("the second road says {other:?}"),
            }
            assert_eq!(by_fast, by_slow);
        });
    }
});
