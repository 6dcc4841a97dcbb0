//! A request's way to its answer: the path, the limits, the body, the parser, and the journal before the 200.

mod answer;
mod body;
mod finish;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request};
use metrics::{Counter, Histogram};
use store::batch::Batch;
use store::journal::{Append, AppendError, Appended, Journal, Kind};
use store::optout::OptOuts;

pub use self::answer::Answer;
use self::body::{Body, Coding};
use self::finish::{Detached, Finish};
use crate::budget::Budget;
use crate::budget::pool::{LARGEST_BYTES, Pool};
use crate::metrics::{ANSWER_SECONDS, PARSE_FALLBACKS_TOTAL, REPAIRED_STRINGS_TOTAL, UNKNOWN_PATHS_TOTAL};
use crate::receiver::{Open, Outcome, Receiver, Receivers};
use crate::redact::redact;
use crate::wire::{self, Context, Parsed, Parser, Rejection, Secrets};

/// Bodies up to this size are parsed on the worker that read them; a larger one would hold up the worker's other connections for
/// more than about a millisecond, and goes to a thread for blocking work.
const INLINE_PARSE_BYTES: usize = 1024 * 1024;

/// Bytes that each pool may hold at most.
const POOL_BYTES: usize = 32 * 1024 * 1024;

/// Tells the time in milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Where posts become durable. The journal does this; tests put something scripted here.
pub trait Keep: Send + Sync + 'static {
    /// Answers when the post is durable, or why it is not. The post goes on when the returned future is dropped.
    fn keep(&self, post: Append) -> impl Future<Output = Result<Appended, AppendError>> + Send;
}

impl Keep for Arc<Journal> {
    async fn keep(&self, post: Append) -> Result<Appended, AppendError> {
        self.append(post).await
    }
}

/// What a peer may take and how long it may need.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a body, on both sides of gzip.
    pub body: usize,
    /// Bytes of the budget that all posts share.
    pub memory: usize,
    /// Open connections in all.
    pub connections: usize,
    /// Open connections from one IPv4 address or one IPv6 /64.
    pub connections_per_address: usize,
    /// For the TLS handshake.
    pub handshake_timeout: Duration,
    /// From the first byte of a head to its end; for the first head of a connection from the end of the handshake.
    pub header_timeout: Duration,
    /// From the end of the head to the end of the body. Also for a peer to take an answer.
    pub body_timeout: Duration,
    /// From an answer to the first byte of the next head.
    pub idle_timeout: Duration,
    /// For what is open when the process stops.
    pub stop_timeout: Duration,
}

/// What all listeners share. Made after the metrics recorder is installed.
pub struct Ingress<K> {
    limits: Limits,
    receivers: Receivers,
    opted_out: Arc<OptOuts>,
    budget: Arc<Budget>,
    keeper: K,
    clock: Clock,
    stopping: AtomicBool,
    buffers: Arc<Pool<Vec<u8>>>,
    parsers: Pool<Parser>,
    batches: Pool<Box<Batch>>,
    detached: Arc<Detached>,
    answer_seconds: Histogram,
    repaired: Counter,
    fallbacks: Counter,
    unknown_paths: Counter,
}

impl<K: Keep> Ingress<K> {
    /// An ingress that keeps posts with `keeper`, without the addresses of who is on `opted_out` at the time.
    #[must_use]
    pub fn new(limits: Limits, receivers: Receivers, opted_out: Arc<OptOuts>, keeper: K, clock: Clock) -> Arc<Self> {
        let bytes = POOL_BYTES.min(limits.memory / 16);
        Arc::new(Self {
            limits,
            receivers,
            opted_out,
            budget: Budget::new(limits.memory),
            keeper,
            clock,
            stopping: AtomicBool::new(false),
            buffers: Arc::new(Pool::new(256, bytes, LARGEST_BYTES)),
            parsers: Pool::new(16, bytes, bytes),
            batches: Pool::new(256, bytes, LARGEST_BYTES),
            detached: Arc::default(),
            answer_seconds: metrics::histogram!(ANSWER_SECONDS),
            repaired: metrics::counter!(REPAIRED_STRINGS_TOTAL),
            fallbacks: metrics::counter!(PARSE_FALLBACKS_TOTAL),
            unknown_paths: metrics::counter!(UNKNOWN_PATHS_TOTAL),
        })
    }

    /// The limits that it was made with.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The receivers, for their counters and for new secrets.
    #[must_use]
    pub const fn receivers(&self) -> &Receivers {
        &self.receivers
    }

    /// The memory budget.
    #[must_use]
    pub const fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Whether posts are refused because the process stops: a reason not to be ready.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// From now on new posts are answered 503; those whose body is being read go on.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Takes back a batch that has been written, for its memory.
    pub fn reuse(&self, mut batch: Box<Batch>) {
        batch.clear();
        let bytes = batch.memory_bytes();
        self.batches.give(batch, bytes);
    }

    /// Waits for posts that go on after their connection has gone.
    pub(crate) async fn join_detached(&self) {
        self.detached.join().await;
    }

    /// Ends them.
    pub(crate) async fn end_detached(&self) {
        self.detached.end().await;
    }

    /// Answers one request. An answer that carries `Connection: close` left something of the request unread.
    pub async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        // What follows a CONNECT may be meant for a tunnel, and is then no request.
        let leaves_more = body::promised(request.body()).1 || request.method() == Method::CONNECT;
        let answer = match self.receivers.at(request.uri().path().as_bytes()) {
            None => {
                self.unknown_paths.increment(1);
                answer::unknown_path()
            }
            Some(receiver) => match *request.method() {
                Method::GET | Method::HEAD => answer::validator(receiver.validator()),
                Method::POST => return self.post(receiver.arrive(), request).await,
                _ => answer::method(),
            },
        };
        if leaves_more { answer::closing(answer) } else { answer }
    }

    async fn post(self: &Arc<Self>, open: Open, request: Request<Incoming>) -> Answer {
        let (head, incoming) = request.into_parts();
        match self.receive(&head.headers, incoming).await {
            Err(refusal) => {
                open.close(refusal);
                answer::closing(answer::post(refusal))
            }
            Ok(body) => {
                let whole = Instant::now();
                let outcome = Finish::new(&self.detached, Arc::clone(self).settle(open, body)).await;
                self.answer_seconds.record(whole.elapsed());
                answer::post(outcome)
            }
        }
    }

    /// Reads the body within its limits.
    async fn receive(&self, headers: &HeaderMap, incoming: Incoming) -> Result<Body, Outcome> {
        if self.is_stopping() {
            return Err(Outcome::ShedStopping);
        }
        let coding = Coding::of(headers).ok_or(Outcome::Encoding)?;
        let (promised, _) = body::promised(&incoming);
        if promised.is_some_and(|bytes| bytes > self.limits.body as u64) {
            return Err(Outcome::TooLarge);
        }
        let body = Body::new(&self.budget, &self.buffers, self.limits.body, promised).ok_or(Outcome::ShedMemory)?;
        tokio::time::timeout(self.limits.body_timeout, body.fill(incoming, coding)).await.unwrap_or(Err(Outcome::TooSlow))
    }

    /// Parses a whole body and has it kept. The outcome is counted when this returns.
    async fn settle(self: Arc<Self>, mut open: Open, body: Body) -> Outcome {
        open.fall_back_to(Outcome::ShedStopping);
        let received_at_ms = (self.clock)();
        let receiver = Arc::clone(open.receiver());
        let (result, body) = self.parse(&receiver, body, received_at_ms).await;
        let (outcome, batch) = match result {
            Ok(Parsed::Post(batch)) => (Outcome::Accepted, Some(batch)),
            Ok(Parsed::Unknown { reason }) => {
                if receiver.unknown_is_worth_a_line(received_at_ms) {
                    tracing::warn!(receiver = %receiver.name(), reason, "a post of unknown shape is kept and goes to quarantine; silent about others for an hour");
                }
                (Outcome::Quarantined, None)
            }
            Err(refusal) => {
                if refusal == Outcome::Secret && receiver.secret_is_worth_a_line(received_at_ms) {
                    tracing::warn!(receiver = %receiver.name(), "a post without the right secret is refused; silent about others for an hour");
                }
                self.recycle(body);
                open.close(refusal);
                return refusal;
            }
        };
        let Body { bytes, mut claim, .. } = body;
        claim.settle(bytes.capacity() + batch.as_ref().map_or(0, |batch| batch.memory_bytes()));
        let repaired = batch.as_ref().map_or(0, |batch| batch.repaired);
        let kind = if batch.is_some() { Kind::Post } else { Kind::Unknown };
        let append = Append { kind, receiver: Arc::clone(receiver.name()), received_at_ms, body: bytes, batch, held: Box::new(claim) };
        match self.keeper.keep(append).await {
            Ok(Appended { body, .. }) => {
                let capacity = body.capacity();
                self.give_buffer(body, capacity);
                self.repaired.increment(u64::from(repaired));
                open.close_kept(outcome, received_at_ms);
                outcome
            }
            Err(error) => {
                let refusal = refused(error);
                open.close(refusal);
                refusal
            }
        }
    }

    /// Parses where it does not hold up others. The body comes back with the result, the parser goes back to its pool.
    async fn parse(self: &Arc<Self>, receiver: &Arc<Receiver>, body: Body, received_at_ms: i64) -> (Result<Parsed, Outcome>, Body) {
        let (ingress, receiver) = (Arc::clone(self), Arc::clone(receiver));
        let large = body.bytes.len() > INLINE_PARSE_BYTES;
        let job = move || {
            let mut body = body;
            let mut parser = ingress.parsers.take().unwrap_or_default();
            let secrets = receiver.secrets();
            let context = Context { receiver: receiver.name(), secrets: Secrets::Any(&secrets), received_at_ms };
            let result = match parser.parse_fast(&mut body.bytes, &context, ingress.batches.take()) {
                Some(batch) => Ok(Parsed::Post(batch)),
                None => ingress.parse_slow(&mut parser, &mut body.bytes, &context),
            };
            let result = match result {
                Ok(Parsed::Post(batch)) => ingress.without_opted_out(&mut parser, &mut body.bytes, &context, batch),
                other => other,
            };
            let bytes = parser.memory_bytes();
            ingress.parsers.give(parser, bytes);
            (result, body)
        };
        if !large {
            return job();
        }
        match tokio::task::spawn_blocking(job).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going away and has not run it: nobody is left to be answered.
                Err(_) => std::future::pending().await,
            },
        }
    }

    fn parse_slow(&self, parser: &mut Parser, body: &mut [u8], context: &Context<'_>) -> Result<Parsed, Outcome> {
        let parsed = self.read_slow(parser, body, context)?;
        if matches!(parsed, Parsed::Post(_)) {
            self.fallbacks.increment(1);
        }
        Ok(parsed)
    }

    /// The second road takes a few times the body in memory, which must be claimed first.
    fn read_slow(&self, parser: &mut Parser, body: &mut [u8], context: &Context<'_>) -> Result<Parsed, Outcome> {
        let Some(_working) = self.budget.claim(wire::cost_bytes(body)) else { return Err(Outcome::ShedMemory) };
        parser.parse_slow(body, context).map_err(rejected)
    }

    /// The post as it may be kept: where somebody in it is opted out, their addresses are zeros in the body, and the batch is what that body
    /// tells, as it will be when it is read back from the journal.
    fn without_opted_out(&self, parser: &mut Parser, body: &mut Vec<u8>, context: &Context<'_>, batch: Box<Batch>) -> Result<Parsed, Outcome> {
        let Some(list) = self.opted_out.list() else { return Ok(Parsed::Post(batch)) };
        if !redact(body, &batch, &list) {
            return Ok(Parsed::Post(batch));
        }
        // The secret was compared, and is blank now.
        let context = Context { secrets: Secrets::Trusted, ..*context };
        match parser.parse_fast(body, &context, Some(batch)) {
            Some(batch) => Ok(Parsed::Post(batch)),
            None => self.read_slow(parser, body, &context),
        }
    }

    fn recycle(&self, body: Body) {
        let capacity = body.bytes.capacity();
        self.give_buffer(body.bytes, capacity);
    }

    fn give_buffer(&self, mut buffer: Vec<u8>, capacity: usize) {
        buffer.clear();
        self.buffers.give(buffer, capacity);
    }
}

impl<K> fmt::Debug for Ingress<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingress").field("receivers", &self.receivers.all()).field("budget", &self.budget).finish_non_exhaustive()
    }
}

fn rejected(rejection: Rejection) -> Outcome {
    match rejection {
        Rejection::NotJson { .. } => Outcome::NotJson,
        Rejection::Secret => Outcome::Secret,
    }
}

fn refused(error: AppendError) -> Outcome {
    match error {
        AppendError::Full | AppendError::Failed => Outcome::ShedJournal,
        AppendError::Fenced => Outcome::ShedFenced,
        AppendError::Stopped => Outcome::ShedStopping,
        AppendError::TooLarge => Outcome::TooLarge,
    }
}
