//! Sends a simulated stretch of time: every network's posts one after another, on a clock that may run faster than the real one.
//!
//! Networks go on side by side. Each has a connection of its own, up to [`Replay::parallel`] of them; beyond that, networks take
//! turns on the connections. A receiver that answers slowly slows its networks down, as it does with Meraki.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::dice::{Dice, Purpose};
use super::ledger::{Books, Paths, WallClock};
use super::people::Totals;
use super::post::Post;
use super::sender::{Answer, SendError, Sender, Target};
use super::summary::{Summary, Tally};
use super::{RunError, Site, World, WorldOptions};

/// A post that is tried again waits this long at first, then twice as long each time, up to the second figure.
const RETRY_PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(1)];
/// After this long a post is given up.
const RETRY_TIME_MAX: Duration = Duration::from_secs(300);
/// After a stop, a post that is under way is tried so much longer: whether an unanswered try was taken is not known, and the ledger should tell.
const LAST_TRIES_TIME_MAX: Duration = Duration::from_secs(10);
const MINUTE_S: i64 = 60;

/// How fast simulated time passes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Speed {
    /// Simulated minutes per real minute.
    Factor(f64),
    /// As fast as answers come.
    Max,
}

/// What to send and how.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The world.
    pub world: WorldOptions,
    /// How long to simulate.
    pub minutes: u64,
    /// How fast.
    pub speed: Speed,
    /// Whether a post without a 2xx is sent again, for up to five minutes, when it may succeed later. Meraki does not.
    pub retry: bool,
    /// The share of posts, from 0 to 1, that are made and not sent.
    pub lose_posts: f64,
    /// Connections at most.
    pub parallel: usize,
    /// What to write down.
    pub paths: Paths,
}

/// When to begin so that the simulation ends at the real time at which it has been sent, and never tells the future on the way there.
#[must_use]
pub fn default_start(now: i64, minutes: u64, speed: Speed) -> i64 {
    let seconds = minutes as f64 * MINUTE_S as f64;
    match speed {
        Speed::Max => now - seconds as i64,
        // The first minute's posts leave at once, so it has to be over by now.
        Speed::Factor(factor) => now - (seconds * (1.0 - 1.0 / factor)).max(0.0) as i64 - MINUTE_S,
    }
}

/// Sends it all, or what comes before `stop` turns true.
///
/// # Errors
/// When nothing could be reached at all, or a file cannot be written.
pub async fn run(replay: Replay, target: Arc<Target>, clock: WallClock, stop: watch::Receiver<bool>, progress: &ProgressBar) -> Result<Summary, RunError> {
    let books = Books::create(&replay.paths, clock).map_err(RunError::Create)?;
    let mut world = replay.world.clone();
    world.keep_rows = replay.paths.observations.is_some();
    world.keep_truth = replay.paths.truth.is_some();
    let sites = World::new(&world).into_sites();
    let mut senders: Vec<Sender> = (0..replay.parallel.clamp(1, sites.len().max(1))).map(|_| Sender::new(Arc::clone(&target))).collect();
    if !replay.retry {
        let reached = senders[0].connect().await;
        reached.map_err(|error| RunError::Unreachable(unreachable(&target, &error, error.is_distrust())))?;
    }
    let posts_per_site = replay.minutes * world.posts_per_minute();
    progress.set_length(posts_per_site * sites.len() as u64);
    let begin = Instant::now();
    let run = Arc::new(Run {
        senders: senders.into_iter().map(tokio::sync::Mutex::new).collect(),
        books,
        tally: Mutex::default(),
        pace: Pace { speed: replay.speed, begin, first_due: world.start + MINUTE_S },
        retry: replay.retry,
        lose_posts: replay.lose_posts,
        seed: world.seed,
        posts_per_site,
        posts_per_minute: world.posts_per_minute(),
        progress: progress.clone(),
    });
    let mut tasks = JoinSet::new();
    for (index, site) in sites.into_iter().enumerate() {
        tasks.spawn(Arc::clone(&run).drive(index, site, stop.clone()));
    }
    let mut people = Totals::default();
    while let Some(joined) = tasks.join_next().await {
        let totals = joined.map_err(|error| RunError::Defect(format!("drive a network: {error}")))?.map_err(RunError::Write)?;
        people.add(&totals);
    }
    let tally = run.tally.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if tally.posts > 0 && !tally.was_answered() {
        return Err(RunError::Unreachable(unreachable(&target, &tally.first_error.unwrap_or_default(), false)));
    }
    Ok(Summary { tally, elapsed: begin.elapsed(), people, load: None })
}

/// Says that nothing can be reached, and what to do.
pub(super) fn unreachable(target: &Target, error: &dyn std::fmt::Display, is_distrust: bool) -> String {
    let remedy = if is_distrust {
        "give the authority that signed its certificate with --ca FILE, or --insecure for a first try"
    } else {
        "is a receiver running there?"
    };
    format!("cannot reach {}: {error}; {remedy}", target.address())
}

/// Waits until somebody wants everything to stop.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Whoever could have stopped it is gone.
        std::future::pending::<()>().await;
    }
}

/// When a post leaves.
struct Pace {
    speed: Speed,
    begin: Instant,
    /// The simulated time that is due at `begin`.
    first_due: i64,
}

impl Pace {
    /// The real instant for a simulated time; none for "at once".
    fn instant(&self, due: i64) -> Option<Instant> {
        match self.speed {
            Speed::Max => None,
            Speed::Factor(factor) => {
                let seconds = (due - self.first_due).max(0) as f64 / factor;
                Duration::try_from_secs_f64(seconds).ok().and_then(|wait| self.begin.checked_add(wait))
            }
        }
    }
}

/// What all networks share.
struct Run {
    senders: Vec<tokio::sync::Mutex<Sender>>,
    books: Books,
    tally: Mutex<Tally>,
    pace: Pace,
    retry: bool,
    lose_posts: f64,
    seed: u64,
    posts_per_site: u64,
    posts_per_minute: u64,
    progress: ProgressBar,
}

impl Run {
    async fn drive(self: Arc<Self>, index: usize, mut site: Site, mut stop: watch::Receiver<bool>) -> Result<Totals, String> {
        self.books.truth(&site.take_truth())?;
        let mut loss = Dice::new(self.seed, index as u32, Purpose::Loss);
        for number in 0..self.posts_per_site {
            if let Some(instant) = self.pace.instant(site.due()) {
                until(tokio::time::sleep_until(instant.into()), &mut stop).await;
            }
            if *stop.borrow() {
                break;
            }
            if loss.chance(self.lose_posts) {
                let _ = site.next_post();
                self.tally.lock().unwrap_or_else(PoisonError::into_inner).lost += 1;
            } else {
                self.post_next(index, &mut site, &mut stop).await?;
            }
            self.progress.inc(1);
            if (number + 1) % self.posts_per_minute == 0 {
                self.books.truth(&site.take_truth())?;
            }
        }
        self.books.truth(&site.finish_truth())?;
        Ok(site.totals())
    }

    async fn post_next(&self, index: usize, site: &mut Site, stop: &mut watch::Receiver<bool>) -> Result<(), String> {
        let mut sender = self.senders[index % self.senders.len()].lock().await;
        // Made only now: no more bodies exist than connections.
        let post = site.next_post();
        let (answer, sent) = self.send(&mut sender, &post, stop).await;
        drop(sender);
        self.books.answered(&post, answer.status, sent, answer.elapsed)?;
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).sent(answer.status, post.observations, post.body.len());
        Ok(())
    }

    /// Sends a post until it is taken, refused for good, or given up. Returns the last answer and when its try began.
    async fn send(&self, sender: &mut Sender, post: &Post, stop: &mut watch::Receiver<bool>) -> (Answer, Instant) {
        let begun = Instant::now();
        let mut stopped_at = None;
        let [mut pause, pause_max] = RETRY_PAUSES;
        loop {
            let sent = Instant::now();
            let answer = sender.post(&post.body).await;
            let error = answer.error.as_ref().map(|error: &SendError| error as &dyn std::fmt::Display);
            self.tally.lock().unwrap_or_else(PoisonError::into_inner).tried(answer.status, answer.elapsed, error);
            let is_final = answer.is_accepted() || !self.retry || !answer.is_worth_retrying() || begun.elapsed() > RETRY_TIME_MAX;
            if is_final {
                return (answer, sent);
            }
            if *stop.borrow() {
                if stopped_at.get_or_insert_with(Instant::now).elapsed() > LAST_TRIES_TIME_MAX {
                    return (answer, sent);
                }
                tokio::time::sleep(pause).await;
            } else {
                until(tokio::time::sleep(pause), stop).await;
            }
            pause = (pause * 2).min(pause_max);
        }
    }
}

/// Waits, but not beyond the stop.
pub(super) async fn until(wait: impl Future<Output = ()>, stop: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = wait => {}
        () = stopped(stop) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulation_ends_when_it_has_been_sent() {
        let now = 1_800_000_000;
        assert_eq!(default_start(now, 30, Speed::Max), now - 1800);
        assert_eq!(default_start(now, 30, Speed::Factor(1.0)), now - 60);
        assert_eq!(default_start(now, 60, Speed::Factor(10.0)), now - 3240 - 60);
        assert_eq!(default_start(now, 60, Speed::Factor(0.5)), now - 60);
    }

    #[test]
    fn a_fast_clock_shortens_the_waits() {
        let begin = Instant::now();
        let pace = |speed| Pace { speed, begin, first_due: 1000 };
        assert_eq!(pace(Speed::Max).instant(5000), None);
        assert_eq!(pace(Speed::Factor(60.0)).instant(1060), Some(begin + Duration::from_secs(1)));
        assert_eq!(pace(Speed::Factor(60.0)).instant(900), Some(begin));
    }
}
