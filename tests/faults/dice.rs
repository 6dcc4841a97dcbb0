//! How long the tests go on, and the chance in them: drawn from a seed that is printed when a test fails, so that a round can be repeated.
//!
//! `FOOTFALL_SOAK` makes the long form: 1 is all of it, 0.2 a fifth of its rounds. `FOOTFALL_SEED` repeats the one round of that seed.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The share of the long form that is asked for; 0 is the short form.
fn share() -> f64 {
    let read = |text: String| text.parse().unwrap_or_else(|_| panic!("FOOTFALL_SOAK is {text:?}, and must be a number such as 1 or 0.2"));
    std::env::var("FOOTFALL_SOAK").map_or(0.0, read)
}

/// Whether this is the long form.
pub(crate) fn is_long() -> bool {
    share() > 0.0
}

/// The dice of each round of a test: so many in the short form, and in the whole long form.
pub(crate) fn rounds(name: &'static str, short: u32, long: u32) -> impl Iterator<Item = Dice> {
    let count = if is_long() { (f64::from(long) * share()).ceil() as u32 } else { short };
    let seed = std::env::var("FOOTFALL_SEED").ok().map(|text| text.parse().unwrap_or_else(|_| panic!("FOOTFALL_SEED is {text:?}, and must be a number")));
    let first = seed.unwrap_or_else(|| RandomState::new().hash_one(name) >> 32);
    let count = if seed.is_some() { 1 } else { count };
    (0..count).map(move |round| Dice::new(name, first + u64::from(round)))
}

/// Repeatable chance. When it is dropped in a panic, it says how to throw the same again.
pub(crate) struct Dice {
    name: &'static str,
    seed: u64,
    state: u64,
}

impl Dice {
    fn new(name: &'static str, seed: u64) -> Self {
        Self { name, seed, state: seed }
    }

    /// The seed, for whatever else needs one.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// A number from 0 up to, and without, `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // SplitMix64: small, and good enough to choose moments.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// A time below `end`.
    pub(crate) fn moment(&mut self, end: Duration) -> Duration {
        Duration::from_micros(self.below(end.as_micros().max(1) as u64))
    }
}

impl Drop for Dice {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let long = if is_long() { " FOOTFALL_SOAK=1" } else { "" };
            eprintln!("{}: this round again: FOOTFALL_SEED={}{long} cargo test --test faults", self.name, self.seed);
        }
    }
}
