//! The newest records in memory, already parsed, so that a pipeline that keeps up never reads the disk.
//!
//! The tail is a shortcut, never the truth: it is bounded in bytes and simply does not keep what does not fit, nor posts of unknown
//! shape. A pipeline therefore works by its own `next` position, and [`Tail::try_take`] tells it where that record is: here, on
//! disk, or not yet written. What is durable and what the tail holds change together under one lock, so the answer "on disk" is never
//! given for a record that is about to appear here.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::batch::Batch;
use crate::position::Position;

/// One consistent view of what is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durable {
    /// Everything before it is on disk.
    pub next: Position,
    /// Records appended since the journal was opened.
    pub records: u64,
    /// Those among them whose shape is unknown.
    pub unknown: u64,
    /// Observations that the batches appended since the journal was opened told.
    pub observations: u64,
}

/// Where the record at the pipeline's position is.
#[derive(Debug)]
pub enum Taken {
    /// Here: the record at the position asked for.
    Batch(Box<Batch>),
    /// On disk: read with [`Reader::next_before`](super::Reader::next_before) up to this position, then ask again with it.
    Disk(Position),
    /// Nowhere yet: everything durable has been taken.
    Nothing,
    /// Nowhere, and nothing will come: the journal has stopped and everything durable has been taken.
    Stopped,
}

/// The newest records in memory. Clones share it.
#[derive(Clone)]
pub struct Tail(Arc<Shared>);

struct Shared {
    bytes_max: usize,
    inner: Mutex<Inner>,
    changed: Notify,
}

struct Inner {
    items: VecDeque<Item>,
    bytes: usize,
    durable: Durable,
    stopped: bool,
}

struct Item {
    position: Position,
    bytes: usize,
    batch: Box<Batch>,
}

impl Tail {
    pub(crate) fn new(bytes_max: usize, next: Position) -> Self {
        let durable = Durable { next, records: 0, unknown: 0, observations: 0 };
        let inner = Inner { items: VecDeque::new(), bytes: 0, durable, stopped: false };
        Self(Arc::new(Shared { bytes_max, inner: Mutex::new(inner), changed: Notify::new() }))
    }

    /// Where the record `next` is, at once. Items before `next` are dropped: they have been read from disk meanwhile.
    #[must_use]
    pub fn try_take(&self, next: Position) -> Taken {
        let mut inner = self.lock();
        while let Some(item) = inner.items.front() {
            if item.position > next {
                return Taken::Disk(item.position);
            }
            let Some(item) = inner.items.pop_front() else { break };
            inner.bytes -= item.bytes;
            if item.position == next {
                return Taken::Batch(item.batch);
            }
        }
        match inner.durable.next {
            durable if durable > next => Taken::Disk(durable),
            _ if inner.stopped => Taken::Stopped,
            _ => Taken::Nothing,
        }
    }

    /// The same, but waits while there is nothing; never [`Taken::Nothing`]. Cancel safe: a batch is taken only when it is returned.
    pub async fn take(&self, next: Position) -> Taken {
        loop {
            let mut changed = pin!(self.0.changed.notified());
            // Registered before looking: a change between the look and the wait is not missed.
            changed.as_mut().enable();
            match self.try_take(next) {
                Taken::Nothing => changed.await,
                taken => return taken,
            }
        }
    }

    /// Waits until something at or after `next` is durable, wherever it is; `false` when the journal has stopped and nothing is. Cancel safe.
    pub async fn wait(&self, next: Position) -> bool {
        loop {
            let mut changed = pin!(self.0.changed.notified());
            changed.as_mut().enable();
            let (durable, stopped) = {
                let inner = self.lock();
                (inner.durable.next > next, inner.stopped)
            };
            if durable || stopped {
                return durable;
            }
            changed.await;
        }
    }

    /// The position of the oldest item.
    #[must_use]
    pub fn front(&self) -> Option<Position> {
        self.lock().items.front().map(|item| item.position)
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.lock().bytes
    }

    /// What is durable.
    #[must_use]
    pub fn durable(&self) -> Durable {
        self.lock().durable
    }

    /// Makes a group known. A batch that does not fit is dropped: it is on disk.
    pub(crate) fn publish(&self, durable: Durable, batches: impl Iterator<Item = (Position, Box<Batch>)>) {
        let mut inner = self.lock();
        for (position, batch) in batches {
            let bytes = batch.memory_bytes() + size_of::<Item>();
            if inner.bytes + bytes <= self.0.bytes_max {
                inner.bytes += bytes;
                inner.items.push_back(Item { position, bytes, batch });
            }
        }
        inner.durable = durable;
        drop(inner);
        self.0.changed.notify_waiters();
    }

    /// Nothing will be published any more.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.0.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durable(next: u64) -> Durable {
        Durable { next: Position(next), records: 0, unknown: 0, observations: 0 }
    }

    fn publish(tail: &Tail, next: u64, positions: &[u64]) {
        tail.publish(durable(next), positions.iter().map(|at| (Position(*at), Box::default())));
    }

    #[tokio::test]
    async fn the_tail_tells_where_each_position_is() {
        let tail = Tail::new(1 << 20, Position(5));
        assert!(matches!(tail.try_take(Position(5)), Taken::Nothing));
        assert!(matches!(tail.try_take(Position(3)), Taken::Disk(Position(5))), "older records are on disk");
        publish(&tail, 9, &[5, 7]);
        assert!(tail.wait(Position(5)).await);
        assert!(matches!(tail.try_take(Position(4)), Taken::Disk(Position(5))));
        assert!(matches!(tail.take(Position(5)).await, Taken::Batch(_)));
        assert!(matches!(tail.try_take(Position(6)), Taken::Disk(Position(7))));
        assert!(matches!(tail.try_take(Position(8)), Taken::Disk(Position(9))), "what was passed is dropped");
        assert_eq!((tail.front(), tail.memory_bytes()), (None, 0));
        tail.stop();
        assert!(matches!(tail.take(Position(8)).await, Taken::Disk(Position(9))), "what is durable is taken before the end");
        assert!(matches!(tail.take(Position(9)).await, Taken::Stopped));
        assert!(!tail.wait(Position(9)).await);
    }

    #[tokio::test]
    async fn a_waiter_wakes_for_a_batch_that_comes_later() {
        let tail = Tail::new(1 << 20, Position(1));
        let waiter = tokio::spawn({
            let tail = tail.clone();
            async move { matches!(tail.take(Position(1)).await, Taken::Batch(_)) }
        });
        tokio::task::yield_now().await;
        publish(&tail, 2, &[1]);
        assert!(waiter.await.unwrap());
    }

    #[test]
    fn what_does_not_fit_is_left_to_the_disk() {
        let one = Batch::default().memory_bytes() + size_of::<Item>();
        let tail = Tail::new(2 * one, Position(1));
        publish(&tail, 4, &[1, 2, 3]);
        assert_eq!(tail.memory_bytes(), 2 * one);
        assert!(matches!(tail.try_take(Position(1)), Taken::Batch(_)));
        publish(&tail, 5, &[4]);
        assert!(matches!(tail.try_take(Position(2)), Taken::Batch(_)));
        assert!(matches!(tail.try_take(Position(3)), Taken::Disk(Position(4))));
        assert!(matches!(tail.try_take(Position(4)), Taken::Batch(_)));
    }
}
