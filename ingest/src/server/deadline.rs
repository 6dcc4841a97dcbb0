//! The deadlines of a connection. hyper has none for a peer that reads no answer, and its own for heads runs from the last answer
//! on, so that it would close idle connections too; hence the phases are watched here, on the raw socket.
//!
//! Three parts share a [`Phases`]: the socket's wrapper tells it when bytes arrive and when writing is stuck, the service tells it
//! when requests begin and end, and the connection's task asks it what to wait for.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a connection that is being closed may take: to say goodbye, and for the peer to stop sending what nobody reads.
const CLOSING: Duration = Duration::from_secs(5);

/// What a connection waited for too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Expired {
    /// The rest of a head.
    Header,
    /// The next request. It is time to part in good order.
    Idle,
    /// The peer to take an answer.
    Write,
    /// The end.
    Closing,
}

/// How long each may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    pub(crate) header: Duration,
    pub(crate) idle: Duration,
    pub(crate) write: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing has arrived since the handshake.
    Fresh,
    /// A head has begun.
    Head,
    /// Nothing has arrived since the last answer.
    Idle,
    Closing,
}

struct State {
    phase: Phase,
    since: Instant,
    /// Requests that have no answer yet. While there are any, their handlers keep the time.
    requests: usize,
    /// HTTP/2: bytes that arrive are not necessarily a request.
    multiplexed: bool,
    stuck_since: Option<Instant>,
    /// The last answer left something of its request unread.
    unread: bool,
}

/// Where a connection is and since when.
pub(crate) struct Phases {
    deadlines: Deadlines,
    state: Mutex<State>,
}

impl Phases {
    /// Of a connection whose first head is awaited.
    pub(crate) fn new(deadlines: Deadlines) -> Arc<Self> {
        let state = State { phase: Phase::Fresh, since: Instant::now(), requests: 0, multiplexed: false, stuck_since: None, unread: false };
        Arc::new(Self { deadlines, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handshake is done and the first head is awaited from now on.
    pub(crate) fn start(&self, multiplexed: bool) {
        let mut state = self.state();
        state.phase = Phase::Fresh;
        state.since = Instant::now();
        state.multiplexed = multiplexed;
    }

    /// A head is whole. The request is open until the returned value is dropped.
    pub(crate) fn request(self: &Arc<Self>) -> Request {
        self.state().requests += 1;
        Request(Arc::clone(self))
    }

    /// The answer is given while more of the request is on its way.
    pub(crate) fn leave_unread(&self) {
        self.state().unread = true;
    }

    /// The connection is asked to end.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        if state.phase != Phase::Closing {
            state.phase = Phase::Closing;
            state.since = Instant::now();
        }
    }

    fn received(&self) {
        let mut state = self.state();
        if state.requests > 0 || state.multiplexed {
            return;
        }
        match state.phase {
            Phase::Idle => {
                state.phase = Phase::Head;
                state.since = Instant::now();
            }
            // The time for the first head runs already.
            Phase::Fresh => state.phase = Phase::Head,
            Phase::Head | Phase::Closing => {}
        }
    }

    fn wrote(&self, pending: bool) {
        let mut state = self.state();
        state.stuck_since = pending.then(|| state.stuck_since.unwrap_or_else(Instant::now));
    }

    /// Whether the peer may still be sending what nobody will read. Closing the socket then would destroy the answer on its way.
    fn is_cut_short(&self) -> bool {
        let state = self.state();
        state.unread || state.phase == Phase::Head
    }

    /// What is waited for, and until when.
    fn deadline(&self) -> Option<(Instant, Expired)> {
        let state = self.state();
        let phase = match state.phase {
            Phase::Closing => Some((state.since + CLOSING, Expired::Closing)),
            _ if state.requests > 0 => None,
            Phase::Fresh | Phase::Head => Some((state.since + self.deadlines.header, Expired::Header)),
            Phase::Idle => Some((state.since + self.deadlines.idle, Expired::Idle)),
        };
        let write = state.stuck_since.map(|since| (since + self.deadlines.write, Expired::Write));
        [phase, write].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

/// An open request.
pub(crate) struct Request(Arc<Phases>);

impl Drop for Request {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.requests -= 1;
        if state.requests == 0 && state.phase != Phase::Closing {
            state.phase = Phase::Idle;
            state.since = Instant::now();
        }
    }
}

/// Wakes the connection's task when a deadline passes. The timer is moved only when a deadline is earlier than what it is set to,
/// not with every request.
pub(crate) struct Alarm {
    phases: Arc<Phases>,
    sleep: Pin<Box<Sleep>>,
}

impl Alarm {
    pub(crate) fn new(phases: &Arc<Phases>) -> Self {
        let at = phases.deadline().map_or_else(Instant::now, |(at, _)| at);
        Self { phases: Arc::clone(phases), sleep: Box::pin(sleep_until(at)) }
    }

    /// To be called after everything that can change the phase.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Expired> {
        loop {
            let Some((at, expired)) = self.phases.deadline() else { return Poll::Pending };
            if at < self.sleep.deadline() || self.sleep.is_elapsed() {
                self.sleep.as_mut().reset(at);
            }
            ready!(self.sleep.as_mut().poll(context));
            if Instant::now() >= at {
                return Poll::Ready(expired);
            }
        }
    }
}

/// The raw socket, watched. Its shutdown waits for a peer that is still sending, so that the peer gets to read its answer.
pub(crate) struct Watched<S> {
    socket: S,
    phases: Arc<Phases>,
    is_shut: bool,
    lingers: bool,
}

impl<S> Watched<S> {
    pub(crate) const fn new(socket: S, phases: Arc<Phases>) -> Self {
        Self { socket, phases, is_shut: false, lingers: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.phases.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.phases.wrote(polled.is_pending());
        polled
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.phases.wrote(polled.is_pending());
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut {
            ready!(Pin::new(&mut self.socket).poll_shutdown(context))?;
            self.is_shut = true;
            self.lingers = self.phases.is_cut_short();
            self.phases.close();
        }
        let mut scratch = [0; 8 * 1024];
        while self.lingers {
            let mut discarded = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut self.socket).poll_read(context, &mut discarded));
            self.lingers = read.is_ok() && !discarded.filled().is_empty();
        }
        Poll::Ready(Ok(()))
    }
}
