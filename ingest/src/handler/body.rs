//! Reading a body: one copy from hyper's frames, or through inflate, into a buffer whose size follows what has arrived and is
//! claimed from the budget.

use std::io::{self, Write};
use std::sync::Arc;

use flate2::write::MultiGzDecoder;
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_ENCODING, TRANSFER_ENCODING};

use crate::budget::pool::Pool;
use crate::budget::{Budget, Claim, in_steps};
use crate::receiver::Outcome;
use crate::wire::PADDING;

/// Inflate works on pieces of this size and lets others run in between: a piece can become a thousand times as much.
const GZIP_PIECE: usize = 16 * 1024;

/// How a body is coded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Coding {
    /// As it is.
    Identity,
    /// RFC 1952, one member or several.
    Gzip,
}

impl Coding {
    /// Of a request, or `None` when it is one that is not taken.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        // A coding inside of the chunks would have to be taken off too, and chunks are made once.
        let mut transfers = headers.get_all(TRANSFER_ENCODING).iter();
        if transfers.next().is_some_and(|first| !first.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")) || transfers.next().is_some() {
            return None;
        }
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        let Some(value) = values.next() else { return Some(Self::Identity) };
        if values.next().is_some() {
            return None;
        }
        let value = value.as_bytes().trim_ascii();
        if value.is_empty() || value.eq_ignore_ascii_case(b"identity") {
            Some(Self::Identity)
        } else if value.eq_ignore_ascii_case(b"gzip") || value.eq_ignore_ascii_case(b"x-gzip") {
            Some(Self::Gzip)
        } else {
            None
        }
    }
}

/// The bytes of a body and the claim that covers their buffer.
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) claim: Claim,
    buffers: Arc<Pool<Vec<u8>>>,
    budget: Arc<Budget>,
    limit: usize,
    promised: usize,
    /// Why nothing more goes in. It stays: inflate writes once more when it is dropped.
    refusal: Option<Outcome>,
}

impl Body {
    /// An empty body that takes `limit` bytes, or `None` when not even an empty claim is to be had.
    pub(crate) fn new(budget: &Arc<Budget>, buffers: &Arc<Pool<Vec<u8>>>, limit: usize, promised: Option<u64>) -> Option<Self> {
        Some(Self {
            bytes: Vec::new(),
            claim: budget.claim(0)?,
            buffers: Arc::clone(buffers),
            budget: Arc::clone(budget),
            limit,
            promised: promised.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX),
            refusal: None,
        })
    }

    fn push(&mut self, data: &[u8]) -> Result<(), Outcome> {
        if self.refusal.is_none() {
            self.refusal = self.make_room(data.len()).err();
        }
        match self.refusal {
            Some(refusal) => Err(refusal),
            None => {
                self.bytes.extend_from_slice(data);
                Ok(())
            }
        }
    }

    fn make_room(&mut self, more: usize) -> Result<(), Outcome> {
        if self.bytes.len() + more > self.limit {
            return Err(Outcome::TooLarge);
        }
        let needed = self.bytes.len() + more + PADDING;
        if self.bytes.capacity() == 0 && more > 0 {
            self.take_pooled();
        }
        if needed <= self.bytes.capacity() {
            return Ok(());
        }
        // Twice what is there, so that a large body is moved a few times only; no more than was promised or is allowed. The
        // claim grows with it and thus stays in proportion to what has arrived.
        let doubled = (self.bytes.capacity() * 2).min(in_steps(self.promised.saturating_add(PADDING))).min(in_steps(self.limit + PADDING));
        let exact = in_steps(needed);
        let wanted = [doubled.max(exact), exact].into_iter().find(|&wanted| self.claim.grow_to(wanted));
        let wanted = wanted.ok_or(Outcome::ShedMemory)?;
        self.bytes.reserve_exact(wanted - self.bytes.len());
        Ok(())
    }

    /// A buffer that rests in the pool may be larger than what has arrived: it is taken only while memory is plenty.
    fn take_pooled(&mut self) {
        if let Some(buffer) = self.buffers.take_if(|_| self.budget.has_room()) {
            if self.claim.grow_to(buffer.capacity()) {
                self.bytes = buffer;
            } else {
                let capacity = buffer.capacity();
                self.buffers.give(buffer, capacity);
            }
        }
    }

    /// Reads `incoming` to its end.
    pub(crate) async fn fill(self, incoming: Incoming, coding: Coding) -> Result<Self, Outcome> {
        match coding {
            Coding::Identity => self.copy(incoming).await,
            Coding::Gzip => self.inflate(incoming).await,
        }
    }

    async fn copy(mut self, mut incoming: Incoming) -> Result<Self, Outcome> {
        while let Some(frame) = incoming.frame().await {
            if let Some(data) = frame.map_err(|error| broken(&error))?.data_ref() {
                self.push(data)?;
            }
        }
        Ok(self)
    }

    async fn inflate(self, mut incoming: Incoming) -> Result<Self, Outcome> {
        let limit = self.limit;
        // A promise is of the coded size, which says nothing about what comes out.
        let mut decoder = MultiGzDecoder::new(Self { promised: usize::MAX, ..self });
        let mut coded = 0_usize;
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| broken(&error))?;
            let Some(data) = frame.data_ref() else { continue };
            coded += data.len();
            if coded > limit {
                return Err(Outcome::TooLarge);
            }
            for piece in data.chunks(GZIP_PIECE) {
                if decoder.write_all(piece).is_err() {
                    return Err(decoder.get_ref().refusal.unwrap_or(Outcome::NotJson));
                }
                if data.len() > GZIP_PIECE {
                    tokio::task::yield_now().await;
                }
            }
        }
        if decoder.try_finish().is_err() {
            return Err(decoder.get_ref().refusal.unwrap_or(Outcome::NotJson));
        }
        decoder.finish().map_err(|_| Outcome::NotJson)
    }
}

impl Write for Body {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self.push(data) {
            Ok(()) => Ok(data.len()),
            Err(_) => Err(io::ErrorKind::QuotaExceeded.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a failed read of the body means: its framing is broken, or the peer left.
fn broken(error: &hyper::Error) -> Outcome {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    match source.map(io::Error::kind) {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => Outcome::NotJson,
        _ => Outcome::Aborted,
    }
}

/// The body's size as the head promises it, and whether there is anything to read.
pub(crate) fn promised(incoming: &Incoming) -> (Option<u64>, bool) {
    (incoming.size_hint().exact(), !incoming.is_end_stream())
}
