//! The global memory budget: whatever a post occupies, from its first body byte until it is kept, is claimed here first.
//!
//! Claims follow the bytes that have arrived, never what a header promises, so a sender that promises much and sends nothing takes
//! nothing from the others.

pub mod pool;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::Gauge;

use crate::metrics::{MEMORY_CLAIMED_BYTES, MEMORY_LIMIT_BYTES};

/// Claims grow in steps of this many bytes.
pub const STEP: usize = 64 * 1024;

/// Rounds up to whole steps.
#[must_use]
pub const fn in_steps(bytes: usize) -> usize {
    bytes.div_ceil(STEP).saturating_mul(STEP)
}

/// The budget. Its gauges belong to the metrics recorder that is installed when it is made.
pub struct Budget {
    limit: usize,
    claimed: AtomicUsize,
    gauge: Gauge,
}

impl Budget {
    /// A budget of `limit` bytes, nothing claimed.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        metrics::gauge!(MEMORY_LIMIT_BYTES).set(limit as f64);
        let gauge = metrics::gauge!(MEMORY_CLAIMED_BYTES);
        gauge.set(0.0);
        Arc::new(Self { limit, claimed: AtomicUsize::new(0), gauge })
    }

    /// A claim of `bytes`, or `None` when so much is not left.
    #[must_use]
    pub fn claim(self: &Arc<Self>, bytes: usize) -> Option<Claim> {
        let mut claim = Claim { budget: Arc::clone(self), bytes: 0 };
        claim.grow_to(bytes).then_some(claim)
    }

    /// Bytes claimed now.
    #[must_use]
    pub fn claimed(&self) -> usize {
        self.claimed.load(Ordering::Relaxed)
    }

    /// Bytes that may be claimed in all.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Whether less than half is claimed, so that comfort (a buffer larger than what has arrived) does no harm.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.claimed() < self.limit / 2
    }

    fn take(&self, bytes: usize) -> bool {
        let fits = |claimed: usize| claimed.checked_add(bytes).filter(|&sum| sum <= self.limit);
        if self.claimed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
            return false;
        }
        self.gauge.increment(bytes as f64);
        true
    }

    fn take_regardless(&self, bytes: usize) {
        self.claimed.fetch_add(bytes, Ordering::Relaxed);
        self.gauge.increment(bytes as f64);
    }

    fn give(&self, bytes: usize) {
        self.claimed.fetch_sub(bytes, Ordering::Relaxed);
        self.gauge.decrement(bytes as f64);
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Budget({} of {})", self.claimed(), self.limit)
    }
}

/// Part of the budget; dropping it returns it.
#[derive(Debug)]
pub struct Claim {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Claim {
    /// Bytes held.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Holds at least `bytes` afterwards, or nothing changes and the answer is no.
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let granted = more == 0 || self.budget.take(more);
        if granted {
            self.bytes += more;
        }
        granted
    }

    /// Holds exactly `bytes` afterwards. For memory that is held already: the budget is passed rather than told a lie.
    pub fn settle(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.budget.take_regardless(bytes - self.bytes);
        } else {
            self.budget.give(self.bytes - bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.budget.give(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_claimed_comes_back_with_the_claim() {
        let budget = Budget::new(10 * STEP);
        let mut first = budget.claim(0).unwrap();
        assert!(first.grow_to(4 * STEP));
        assert!(first.grow_to(STEP), "less than is held is granted and changes nothing");
        let second = budget.claim(6 * STEP).unwrap();
        assert_eq!(budget.claimed(), budget.limit());
        assert!(!first.grow_to(4 * STEP + 1));
        assert!(budget.claim(1).is_none());
        drop(second);
        assert!(first.grow_to(10 * STEP));
        first.settle(11 * STEP);
        assert_eq!(budget.claimed(), 11 * STEP, "memory that exists is told even over the limit");
        drop(first);
        assert_eq!(budget.claimed(), 0);
        assert!(budget.claim(usize::MAX).is_none());
    }

    #[test]
    fn steps_round_up() {
        assert_eq!([in_steps(0), in_steps(1), in_steps(STEP), in_steps(STEP + 1)], [0, STEP, STEP, 2 * STEP]);
    }

    #[test]
    fn many_threads_never_pass_the_limit() {
        let budget = Budget::new(1_000);
        std::thread::scope(|scope| {
            for thread in 0..4_usize {
                let budget = &budget;
                scope.spawn(move || {
                    for n in 0..5_000_usize {
                        let claim = budget.claim((n * 7 + thread) % 400);
                        assert!(budget.claimed() <= budget.limit());
                        drop(claim);
                    }
                });
            }
        });
        assert_eq!(budget.claimed(), 0);
    }
}
