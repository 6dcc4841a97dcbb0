//! Memory that one post leaves to the next: body buffers, parsers and batches, bounded in number and in bytes.

use std::fmt;
use std::sync::{Mutex, PoisonError};

/// A buffer or batch that has grown over this is dropped rather than pooled.
pub const LARGEST_BYTES: usize = 1024 * 1024;

/// A stack of things for reuse. The last one returned is the first one taken, since it is still in the cache.
pub struct Pool<T> {
    inner: Mutex<Inner<T>>,
    limit: usize,
    limit_bytes: usize,
    largest_bytes: usize,
}

struct Inner<T> {
    things: Vec<(usize, T)>,
    bytes: usize,
}

impl<T> Pool<T> {
    /// An empty pool that keeps at most `limit` things of `limit_bytes` together, none of them larger than `largest_bytes`.
    #[must_use]
    pub const fn new(limit: usize, limit_bytes: usize, largest_bytes: usize) -> Self {
        Self { inner: Mutex::new(Inner { things: Vec::new(), bytes: 0 }), limit, limit_bytes, largest_bytes }
    }

    /// Takes one, whichever comes first.
    #[must_use]
    pub fn take(&self) -> Option<T> {
        self.take_if(|_| true)
    }

    /// Takes the top one if its size pleases.
    pub fn take_if(&self, fits: impl FnOnce(usize) -> bool) -> Option<T> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (bytes, thing) = inner.things.pop_if(|(bytes, _)| fits(*bytes))?;
        inner.bytes -= bytes;
        Some(thing)
    }

    /// Keeps `thing`, which occupies `bytes`, or drops it when it is too large or the pool is full.
    pub fn give(&self, thing: T, bytes: usize) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes <= self.largest_bytes && inner.things.len() < self.limit && inner.bytes + bytes <= self.limit_bytes {
            inner.bytes += bytes;
            inner.things.push((bytes, thing));
        }
    }

    /// How many things rest here, and their bytes.
    #[must_use]
    pub fn resting(&self) -> (usize, usize) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        (inner.things.len(), inner.bytes)
    }
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What rests here held posts: only numbers are shown.
        let (things, bytes) = self.resting();
        write!(f, "Pool({things} things, {bytes} bytes)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_bytes_are_bounded_and_large_things_are_dropped() {
        let pool = Pool::new(3, 1_000_000, 900_000);
        pool.give("large", 900_001);
        assert_eq!(pool.resting(), (0, 0));
        pool.give("a", 600_000);
        pool.give("over", 500_000);
        pool.give("b", 1);
        pool.give("c", 1);
        pool.give("d", 1);
        assert_eq!(pool.resting(), (3, 600_002));
        assert_eq!(pool.take(), Some("c"));
        assert_eq!(pool.take_if(|bytes| bytes > 1), None);
        assert_eq!(pool.take(), Some("b"));
        assert_eq!(pool.take_if(|bytes| bytes > 1), Some("a"));
        assert_eq!((pool.take(), pool.resting()), (None, (0, 0)));
    }
}
