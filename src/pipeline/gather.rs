//! What the next transaction will tell, gathered while the last one is in flight.
//!
//! A group is whatever came in that time, up to a limit of rows. It is gathered on the thread that also talks to the store, between two
//! looks at the socket: the database works on one group while the next one is folded.

use std::io;
use std::sync::Arc;

use store::batch::Batch;
use store::group::{Fold, Gathered};

use super::Report;
use super::source::{Item, SetAside, Source};
use analytics::presence::engine::Engine;

/// Gathers records into groups.
pub(super) struct Gather {
    pub(super) source: Source,
    pub(super) fold: Fold,
    /// What the observations mean.
    pub(super) engine: Engine,
    /// How many observations of the group the engine has taken in.
    absorbed: usize,
    rows_max: usize,
    /// Whether nothing more is taken in for now.
    is_held: bool,
    /// When the latest post taken in arrived, milliseconds since 1970.
    received_ms: i64,
    /// Takes back a batch that came by the tail, for its memory.
    reuse: Box<dyn Fn(Box<Batch>) + Send>,
    report: Arc<Report>,
    /// Of the group that is being gathered.
    beside: Beside,
}

/// A group that has left the gathering: it is written, as it is, until it is committed.
#[derive(Default)]
pub(super) struct Hand {
    pub(super) rows: Gathered,
    pub(super) beside: Beside,
    /// Rows that the database refuses, in words.
    pub(super) poison: Vec<String>,
}

/// What goes with a group's rows.
#[derive(Default)]
pub(super) struct Beside {
    /// Records that go into quarantine.
    pub(super) asides: Vec<SetAside>,
    /// Observations that this process's journal does not count as appended.
    pub(super) replayed: u64,
    /// Observations that are too late for presence.
    pub(super) late: u64,
    /// When its first post arrived.
    oldest_ms: Option<i64>,
}

impl Gather {
    pub(super) fn new(source: Source, fold: Fold, engine: Engine, rows_max: usize, reuse: Box<dyn Fn(Box<Batch>) + Send>, report: Arc<Report>) -> Self {
        Self { source, fold, engine, absorbed: 0, rows_max, is_held: false, received_ms: 0, reuse, report, beside: Beside::default() }
    }

    /// Fills the group with whatever waits, up to the limit of rows.
    pub(super) fn fill(&mut self) -> io::Result<()> {
        while !self.is_full() && self.take_one()? {}
        Ok(())
    }

    /// Waits until there is a record to take and room for it, and lets the runtime look at its sockets first. Cancel-safe.
    pub(super) async fn wait(&mut self) {
        if self.is_full() {
            std::future::pending::<()>().await;
        }
        self.source.work().await;
        tokio::task::yield_now().await;
    }

    /// Takes one record in; says whether there was one. May block on the disk.
    pub(super) fn take_one(&mut self) -> io::Result<bool> {
        let position = self.source.next_position();
        match self.source.next()? {
            Some(Item::Post { batch, replayed, from_disk }) => {
                if self.beside.oldest_ms.is_none() {
                    self.beside.oldest_ms = Some(batch.received_at_ms);
                    self.report.pending_since(batch.received_at_ms);
                }
                if let Err(error) = self.fold.add(&batch) {
                    // Nothing of it was taken in: it is read again.
                    self.source.seek(position);
                    return Err(io::Error::new(error.kind(), format!("make the key of an epoch: {error}")));
                }
                if replayed {
                    self.beside.replayed += batch.told();
                }
                self.received_ms = self.received_ms.max(batch.received_at_ms);
                self.engine.clock(batch.received_at_ms);
                self.engine.tag(&batch);
                self.absorb();
                if from_disk {
                    self.source.reuse(batch);
                } else {
                    (self.reuse)(batch);
                }
                Ok(true)
            }
            Some(Item::Aside(aside)) => {
                self.beside.asides.push(aside);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// The engine takes in what it has not of the group.
    pub(super) fn absorb(&mut self) {
        let group = self.fold.group();
        self.engine.absorb(group, &group.observations[self.absorbed..]);
        self.absorbed = group.observations.len();
    }

    /// Hands the closed group over and begins the next one.
    pub(super) fn hand_over(&mut self, hand: &mut Hand) {
        self.engine.next_group();
        self.absorbed = 0;
        self.fold.hand_over(&mut hand.rows);
        hand.beside = std::mem::take(&mut self.beside);
        hand.beside.late = self.engine.take_late();
        hand.poison.clear();
    }

    /// Takes nothing more in, or goes on.
    pub(super) fn hold(&mut self, is_held: bool) {
        self.is_held = is_held;
    }

    /// When the latest post taken in arrived, milliseconds since 1970.
    pub(super) fn received_ms(&self) -> i64 {
        self.received_ms
    }

    /// When the first post of the group that is being gathered arrived.
    pub(super) fn oldest_ms(&self) -> Option<i64> {
        self.beside.oldest_ms
    }

    /// Forgets what was gathered, and everything that was known.
    pub(super) fn begin_anew(&mut self, fold: Fold, engine: Engine) {
        self.fold = fold;
        self.engine = engine;
        self.absorbed = 0;
        self.beside = Beside::default();
    }

    fn is_full(&self) -> bool {
        self.is_held || self.fold.rows() >= self.rows_max || self.beside.asides.len() >= ASIDES_MAX
    }
}

/// Records set aside with one group at most.
const ASIDES_MAX: usize = 1_000;
