//! Load mode: as many posts as asked, from bodies that were made before the clock started.
//!
//! Open loop (a rate): post number n is meant to leave n / rate after the start, whatever happened to the others, and its answer time
//! counts from there, so that a receiver that stalls cannot hide it. Timers are set a millisecond early and a post that wakes before its
//! time leaves then; its answer time counts from when it left. Closed loop: each connection sends as soon as it has its answer.
//!
//! How many bodies: what the run needs at its rate, or [`BODIES_CLOSED`] in the closed loop, but never more bytes than
//! [`BODY_BYTES_MAX`]. When a run needs more, they are sent again from the first; what comes again is a repeat to the receiver, which
//! then writes nothing. The summary says so. Nothing is tried again, and no connection follows one network.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::ledger::{Books, Paths, WallClock};
use super::post::Post;
use super::replay::{unreachable, until};
use super::sender::{SendError, Sender, Target};
use super::summary::{LoadFacts, Summary, Tally};
use super::{RunError, Totals, World, WorldOptions};

/// Bytes of bodies that are held at most.
pub const BODY_BYTES_MAX: u64 = 512 << 20;
/// Bodies made for the closed loop, whose need is not known beforehand.
pub const BODIES_CLOSED: u64 = 20_000;
/// Bodies of one load cover about this many simulated minutes when the number of sites is ours to choose: few, so that
/// posts repeat each other as much as real ones do, and observations are about as old.
const SPAN_MINUTES: u64 = 5;
/// Simulated before the first body, so that the first posts are as full as the last.
const WARM_UP_MINUTES: u32 = 5;
const TICK: Duration = Duration::from_millis(250);
const TIMER_SLACK: Duration = Duration::from_millis(1);
/// A connection that got no answer waits this long, so that an absent server is not hammered.
const FAILURE_PAUSE: Duration = Duration::from_millis(10);

/// What to send and how hard.
#[derive(Clone, Debug)]
pub struct Load {
    /// The world that bodies come from.
    pub world: WorldOptions,
    /// Posts per second for the open loop; none for the closed one.
    pub rate: Option<f64>,
    /// Connections: the posts under way at most.
    pub connections: usize,
    /// How long.
    pub seconds: u64,
    /// How many bodies to make; see [`Load::bodies_needed`].
    pub bodies: u64,
    /// What to write down. There is no truth in load mode.
    pub paths: Paths,
}

impl Load {
    /// How many different bodies a run wants.
    #[must_use]
    pub fn bodies_needed(rate: Option<f64>, seconds: u64) -> u64 {
        rate.map_or(BODIES_CLOSED, |rate| (rate * seconds as f64).ceil() as u64).max(1)
    }

    /// Chooses what the operator left open: how many sites, and a start that lets the bodies end now.
    pub fn fit(&mut self, choose_sites: bool, choose_start: bool, now: i64) {
        let world = &mut self.world;
        if choose_sites {
            world.sites = u32::try_from(self.bodies.div_ceil(world.posts_per_minute().max(1) * SPAN_MINUTES)).unwrap_or(u32::MAX).clamp(1, 20_000);
        }
        if choose_start {
            let minutes = self.bodies.div_ceil(world.posts_per_minute().max(1) * u64::from(world.sites.max(1)));
            world.start = now - i64::try_from(minutes * 60).unwrap_or(0);
        }
        world.warm_up_minutes = WARM_UP_MINUTES;
        world.keep_truth = false;
        world.keep_rows = self.paths.observations.is_some();
    }
}

/// Bodies that are ready to go.
pub struct Pool {
    /// In the order in which they are sent: minute by minute, site by site.
    pub posts: Vec<Post>,
    /// Who was simulated for them.
    pub people: Totals,
    /// The bytes of all bodies.
    pub bytes: u64,
}

impl Pool {
    /// Makes `count` bodies, or as many as fit into `bytes_max` (at least one).
    #[must_use]
    pub fn make(world: &WorldOptions, count: u64, bytes_max: u64, progress: &ProgressBar) -> Self {
        progress.set_length(count);
        let mut sites = World::new(world).into_sites();
        let (mut posts, mut bytes) = (Vec::new(), 0);
        let mut people = Totals::default();
        'full: loop {
            for site in &mut sites {
                for _ in 0..world.posts_per_minute() {
                    let post = site.next_post();
                    let grown = bytes + post.body.len() as u64;
                    if posts.len() as u64 >= count || (grown > bytes_max && !posts.is_empty()) {
                        break 'full;
                    }
                    bytes = grown;
                    posts.push(post);
                }
                progress.set_position(posts.len() as u64);
            }
        }
        sites.iter().for_each(|site| people.add(&site.totals()));
        Self { posts, people, bytes }
    }
}

/// Makes the bodies, connects, and sends until the time is over or `stop` turns true.
///
/// # Errors
/// When nothing could be reached at all, or a file cannot be written.
pub async fn run(load: Load, target: Arc<Target>, clock: WallClock, stop: watch::Receiver<bool>, progress: &ProgressBar) -> Result<Summary, RunError> {
    let books = Books::create(&load.paths, clock).map_err(RunError::Create)?;
    let keeps_books = load.paths.ledger.is_some() || load.paths.observations.is_some();
    let senders = connect(&load, &target).await?;
    progress.set_message("making bodies");
    let pool = Pool::make(&load.world, load.bodies, BODY_BYTES_MAX, progress);
    let facts = LoadFacts { bodies: pool.posts.len(), body_bytes: pool.bytes, rate: load.rate, unsent: 0 };
    let duration = Duration::from_secs(load.seconds);
    let total = load.rate.map(|rate| (rate * duration.as_secs_f64()).ceil() as u64);
    progress.set_message("sending");
    progress.reset();
    progress.set_length(total.unwrap_or(load.seconds));
    let begin = Instant::now();
    let run = Arc::new(Run { posts: pool.posts, next: AtomicU64::new(0), rate: load.rate, total, begin, end: begin + duration, books, keeps_books });
    let mut tasks = JoinSet::new();
    for sender in senders {
        tasks.spawn(Arc::clone(&run).work(sender, stop.clone()));
    }
    let mut tally = Tally::default();
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            joined = tasks.join_next() => match joined {
                Some(joined) => tally.add(&joined.map_err(|error| RunError::Defect(format!("drive a connection: {error}")))?.map_err(RunError::Write)?),
                None => break,
            },
            _ = tick.tick() => progress.set_position(if total.is_some() { run.next.load(Ordering::Relaxed) } else { begin.elapsed().as_secs() }),
        }
    }
    let elapsed = begin.elapsed();
    if tally.posts > 0 && !tally.was_answered() {
        return Err(RunError::Unreachable(unreachable(&target, &tally.first_error.unwrap_or_default(), false)));
    }
    let unsent = total.map_or(0, |total| total.saturating_sub(tally.posts));
    Ok(Summary { tally, elapsed, people: pool.people, load: Some(LoadFacts { unsent, ..facts }) })
}

/// Opens all connections before the clock starts.
async fn connect(load: &Load, target: &Arc<Target>) -> Result<Vec<Sender>, RunError> {
    let mut senders: Vec<Sender> = (0..load.connections.max(1)).map(|_| Sender::new(Arc::clone(target))).collect();
    for (index, sender) in senders.iter_mut().enumerate() {
        let connected = sender.connect().await;
        // The first one decides; another may be refused by a limit, and its posts will tell.
        if index == 0 {
            connected.map_err(|error: SendError| RunError::Unreachable(unreachable(target, &error, error.is_distrust())))?;
        }
    }
    Ok(senders)
}

/// What all connections share.
struct Run {
    posts: Vec<Post>,
    /// The number of the next post to send.
    next: AtomicU64,
    rate: Option<f64>,
    total: Option<u64>,
    begin: Instant,
    end: Instant,
    books: Books,
    keeps_books: bool,
}

impl Run {
    async fn work(self: Arc<Self>, mut sender: Sender, mut stop: watch::Receiver<bool>) -> Result<Tally, String> {
        let mut tally = Tally::default();
        while !*stop.borrow() && Instant::now() < self.end {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if self.total.is_some_and(|total| number >= total) {
                break;
            }
            let intended = self.rate.map(|rate| self.begin + Duration::from_secs_f64(number as f64 / rate));
            if let Some(early) = intended.and_then(|intended| intended.checked_sub(TIMER_SLACK))
                && early > Instant::now()
            {
                until(tokio::time::sleep_until(early.into()), &mut stop).await;
                if *stop.borrow() {
                    break;
                }
            }
            let post = &self.posts[(number % self.posts.len() as u64) as usize];
            let sent = Instant::now();
            let answer = sender.post(&post.body).await;
            let late = intended.map_or(Duration::ZERO, |intended| sent.saturating_duration_since(intended));
            let elapsed = late + answer.elapsed;
            tally.tried(answer.status, elapsed, answer.error.as_ref().map(|error| error as &dyn std::fmt::Display));
            tally.sent(answer.status, post.observations, post.body.len());
            if self.keeps_books {
                self.books.answered(post, answer.status, sent, elapsed)?;
            }
            if answer.status == 0 {
                until(tokio::time::sleep(FAILURE_PAUSE), &mut stop).await;
            }
        }
        Ok(tally)
    }
}
