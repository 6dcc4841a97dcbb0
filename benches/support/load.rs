//! Posts over HTTPS: as fast as answers come, or at a rate.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ingest::simulate::sender::{Sender, Target};
use ingest::simulate::summary::Histogram;
use ingest::simulate::tls::Trust;

/// What became of posts.
pub struct Sent {
    /// From the first post to the last answer.
    pub elapsed: Duration,
    /// Answer times.
    pub answers: Histogram,
}

impl Sent {
    /// Three percentiles in milliseconds.
    pub fn percentiles(&self) -> [f64; 3] {
        [0.5, 0.99, 0.999].map(|share| self.answers.percentile(share).as_secs_f64() * 1e3)
    }
}

/// Where posts go.
pub fn target(url: &str, ca: &Path) -> Arc<Target> {
    Arc::new(Target::parse(url, &Trust::File(ca.to_owned())).expect("the bench's own URL"))
}

/// Sends each body once over so many connections, the next as soon as the last is answered.
pub async fn send_all(target: &Arc<Target>, bodies: &Arc<Vec<Bytes>>, connections: usize) -> Sent {
    send(target, bodies, connections, None).await
}

/// Sends bodies at a rate, whatever the answers do: a post's time counts from when it should have been sent.
pub async fn send_at(target: &Arc<Target>, bodies: &Arc<Vec<Bytes>>, per_second: f64, connections: usize) -> Sent {
    send(target, bodies, connections, Some(per_second)).await
}

async fn send(target: &Arc<Target>, bodies: &Arc<Vec<Bytes>>, connections: usize, per_second: Option<f64>) -> Sent {
    let (next, started) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let senders: Vec<_> = (0..connections)
        .map(|_| {
            let (target, bodies, next) = (Arc::clone(target), Arc::clone(bodies), Arc::clone(&next));
            tokio::spawn(async move {
                let (mut sender, mut answers) = (Sender::new(target), Histogram::default());
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(body) = bodies.get(at) else { break answers };
                    let due = per_second.map(|per_second| started + Duration::from_secs_f64(at as f64 / per_second));
                    if let Some(due) = due {
                        tokio::time::sleep_until(due.into()).await;
                    }
                    let took = post(&mut sender, body).await;
                    answers.record(due.map_or(took, |due| due.elapsed()));
                }
            })
        })
        .collect();
    let mut answers = Histogram::default();
    for sender in senders {
        answers.add(&sender.await.expect("a sender"));
    }
    Sent { elapsed: started.elapsed(), answers }
}

async fn post(sender: &mut Sender, body: &Bytes) -> Duration {
    let answer = sender.post(body).await;
    assert_eq!(answer.status, 200, "{:?}", answer.error);
    answer.elapsed
}
