//! Waiting between tries: exponential, capped, with full jitter, so that many processes do not come back at once.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The waits of one trouble.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    tries: u32,
}

impl Backoff {
    /// The next wait: random, up to a bound that doubles from 100 ms to 5 s.
    pub(super) fn next(&mut self) -> Duration {
        let bound_ms = (FIRST_MS << self.tries.min(10)).min(LAST_MS);
        self.tries += 1;
        // A fresh RandomState is seeded by the system: good enough to spread waits.
        Duration::from_millis(FIRST_MS / 2 + RandomState::new().hash_one(self.tries) % bound_ms)
    }

    /// The trouble is over.
    pub(super) fn reset(&mut self) {
        self.tries = 0;
    }
}

const FIRST_MS: u64 = 100;
const LAST_MS: u64 = 5_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_bounded_and_begin_small_again() {
        let mut backoff = Backoff::default();
        assert!(backoff.next() < Duration::from_millis(151));
        let longest = (0..200).map(|_| backoff.next()).max().unwrap();
        assert!(longest > Duration::from_secs(2) && longest < Duration::from_millis(5_051), "{longest:?}");
        backoff.reset();
        assert!(backoff.next() < Duration::from_millis(151));
    }
}
