//! Parsers as methods to be held against each other: the product's and others, all of which end with the same batch.

use std::sync::Arc;
use std::time::Duration;

use ingest::wire::{Context, PADDING, Parsed, Parser, Secret, Secrets};
use serde::Deserialize;
use simd_json::Buffers;
use store::batch::Batch;

use super::bodies::{Kind, NOW, SECRET};
use super::rounds::{Method, timed};
use super::typed;

/// All of them for a body of a kind, the product's first.
pub fn all(kind: Kind, body: &[u8]) -> Vec<Method<'_>> {
    let v3 = matches!(kind, Kind::V3Wifi | Kind::V3Ble);
    let mut methods: Vec<Method<'_>> = vec![("footfall", ours(body, true)), ("simd-json tape, padded, reused", ours(body, false))];
    if v3 {
        methods.push(("serde_json typed", typed_by(body, |bytes, batch| serde_json::from_slice::<typed::Post<'_, typed::V3<'_>>>(bytes).unwrap().rows(batch))));
        methods.push(("sonic-rs typed", typed_by(body, |bytes, batch| sonic_rs::from_slice::<typed::Post<'_, typed::V3<'_>>>(bytes).unwrap().rows(batch))));
        methods.push((
            "simd-json typed, buffers reused",
            simd_typed(body, |bytes, buffers, batch| simd::<typed::Post<'_, typed::V3<'_>>>(bytes, buffers).rows(batch)),
        ));
    } else {
        methods.push(("serde_json typed", typed_by(body, |bytes, batch| serde_json::from_slice::<typed::Post<'_, typed::V2<'_>>>(bytes).unwrap().rows(batch))));
        methods.push(("sonic-rs typed", typed_by(body, |bytes, batch| sonic_rs::from_slice::<typed::Post<'_, typed::V2<'_>>>(bytes).unwrap().rows(batch))));
        methods.push((
            "simd-json typed, buffers reused",
            simd_typed(body, |bytes, buffers, batch| simd::<typed::Post<'_, typed::V2<'_>>>(bytes, buffers).rows(batch)),
        ));
    }
    methods
}

/// The product's parser: by both roads, or by the second one alone.
fn ours<'a>(body: &'a [u8], fast: bool) -> Box<dyn FnMut() -> Duration + 'a> {
    let receiver: Arc<str> = Arc::from("bench");
    let secrets = [Secret::new(SECRET.to_owned())];
    let mut parser = Parser::default();
    let mut bytes = Vec::with_capacity(body.len() + PADDING);
    let (mut spare, mut check) = (None, Check::new(body));
    Box::new(move || {
        bytes.clear();
        bytes.extend_from_slice(body);
        let context = Context { receiver: &receiver, secrets: Secrets::Any(&secrets), received_at_ms: NOW * 1_000 };
        let (batch, time) = timed(|| {
            if fast {
                return parser.parse_fast(&mut bytes, &context, spare.take()).expect("the fast road");
            }
            match parser.parse_slow(&mut bytes, &context) {
                Ok(Parsed::Post(batch)) => batch,
                _ => panic!("refused"),
            }
        });
        check.see(&batch);
        if fast {
            spare = Some(batch);
        } else {
            parser.give_back(batch);
        }
        time
    })
}

fn typed_by<'a>(body: &'a [u8], parse: impl Fn(&[u8], &mut Batch) + 'a) -> Box<dyn FnMut() -> Duration + 'a> {
    simd_typed(body, move |bytes, _, batch| parse(bytes, batch))
}

fn simd_typed<'a>(body: &'a [u8], parse: impl Fn(&mut [u8], &mut Buffers, &mut Batch) + 'a) -> Box<dyn FnMut() -> Duration + 'a> {
    let (mut bytes, mut buffers, mut batch, mut check) = (Vec::with_capacity(body.len() + PADDING), Buffers::default(), Batch::default(), Check::new(body));
    Box::new(move || {
        bytes.clear();
        bytes.extend_from_slice(body);
        batch.clear();
        batch.receiver = Arc::from("bench");
        batch.received_at_ms = NOW * 1_000;
        let ((), time) = timed(|| parse(&mut bytes, &mut buffers, &mut batch));
        check.see(&batch);
        time
    })
}

fn simd<'de, T: Deserialize<'de>>(bytes: &'de mut [u8], buffers: &mut Buffers) -> T {
    simd_json::serde::from_slice_with_buffers(bytes, buffers).unwrap()
}

/// Every method must tell the same of a body as the second road does. Looked at once a method.
struct Check<'a> {
    body: &'a [u8],
    is_done: bool,
}

impl<'a> Check<'a> {
    fn new(body: &'a [u8]) -> Self {
        Self { body, is_done: false }
    }

    fn see(&mut self, batch: &Batch) {
        if !std::mem::replace(&mut self.is_done, true) {
            let receiver: Arc<str> = Arc::from("bench");
            let context = Context { receiver: &receiver, secrets: Secrets::Trusted, received_at_ms: NOW * 1_000 };
            let Ok(Parsed::Post(right)) = Parser::default().parse_slow(&mut self.body.to_vec(), &context) else { panic!("refused") };
            assert!(right.tells_the_same_as(batch), "a method tells something else");
        }
    }
}
