//! What was sent and what became of it, for whoever checks a receiver's books.
//!
//! The ledger has one JSON line per post, written as soon as its answer is there, in one write, so that it is right when the
//! server, or the simulator, is killed at any moment: `{"post": 1, "status": 200, "network": "L_..", "ap": null, "observations": 34,
//! "sent_at": "..", "answer_ms": 1.234}`. `post` counts from 1 in the order of the answers; `status` is 0 when none came; `network` is the
//! simulator's knowledge also where a v2 body does not tell it; `ap` is null in v3; `sent_at` is real time. Only a 2xx obliges the receiver.
//!
//! The file of observations has one line per observation of every accepted post, as the receiver should count them: `{"network": null,
//! "ap": "..", "client": "..", "radio": "wifi", "observed_at": "..", "rssi_dbm": -61, "ssid": null}`, with the network only
//! where the body told it (v3).

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Version;
use super::post::{Json, Post};

/// Which files to write.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    /// One line per answered post.
    pub ledger: Option<PathBuf>,
    /// One line per observation of each accepted post.
    pub observations: Option<PathBuf>,
    /// Who was where.
    pub truth: Option<PathBuf>,
}

/// The real time, told by a clock that was read once.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    at: Timestamp,
    read: Instant,
}

impl WallClock {
    /// `now` must be the time at this moment.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { at: now, read: Instant::now() }
    }

    /// What the clock says at an instant after it was read.
    #[must_use]
    pub fn at(&self, instant: Instant) -> Timestamp {
        self.at.checked_add(instant.saturating_duration_since(self.read)).unwrap_or(Timestamp::MAX)
    }
}

/// The open files. All methods write at once.
pub struct Books {
    clock: WallClock,
    inner: Mutex<Inner>,
}

struct Inner {
    posts: u64,
    ledger: Option<Output>,
    observations: Option<Output>,
    truth: Option<Output>,
    json: Json,
}

struct Output {
    path: PathBuf,
    file: File,
}

impl Output {
    fn create(path: &Path) -> Result<Self, String> {
        let file = File::create(path).map_err(|error| format!("create {}: {error}", path.display()))?;
        Ok(Self { path: path.to_owned(), file })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.file.write_all(bytes).map_err(|error: io::Error| format!("write {}: {error}", self.path.display()))
    }
}

impl Books {
    /// Creates the files; what stood in them is gone.
    ///
    /// # Errors
    /// When one cannot be created.
    pub fn create(paths: &Paths, clock: WallClock) -> Result<Self, String> {
        let create = |path: &Option<PathBuf>| path.as_deref().map(Output::create).transpose();
        let inner =
            Inner { posts: 0, ledger: create(&paths.ledger)?, observations: create(&paths.observations)?, truth: create(&paths.truth)?, json: Json::default() };
        Ok(Self { clock, inner: Mutex::new(inner) })
    }

    /// Writes down what became of a post.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn answered(&self, post: &Post, status: u16, sent: Instant, elapsed: Duration) -> Result<(), String> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner { posts, ledger, observations, json, .. } = &mut *inner;
        *posts += 1;
        if let Some(ledger) = ledger {
            json.bytes.clear();
            json.raw("{\"post\": ").value(*posts).raw(", \"status\": ").value(status).raw(", \"network\": ").text(&post.network).raw(", \"ap\": ");
            match post.ap {
                Some(ap) => json.mac(ap),
                None => json.raw("null"),
            };
            json.raw(", \"observations\": ").value(post.observations).raw(", \"sent_at\": ");
            json.quoted(format_args!("{:.3}", self.clock.at(sent))).raw(", \"answer_ms\": ");
            json.value(format_args!("{:.3}", elapsed.as_secs_f64() * 1000.0)).raw("}\n");
            ledger.write(&json.bytes)?;
        }
        if let Some(observations) = observations
            && (200..300).contains(&status)
        {
            json.bytes.clear();
            write_rows(json, post);
            observations.write(&json.bytes)?;
        }
        Ok(())
    }

    /// Writes lines of truth.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn truth(&self, lines: &[u8]) -> Result<(), String> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut inner.truth {
            Some(truth) if !lines.is_empty() => truth.write(lines),
            _ => Ok(()),
        }
    }
}

fn write_rows(json: &mut Json, post: &Post) {
    let network = (post.version == Version::V3).then_some(&*post.network);
    for row in &post.rows {
        json.raw("{\"network\": ").optional(network).raw(", \"ap\": ").mac(row.ap).raw(", \"client\": ").mac(row.client);
        json.raw(", \"radio\": ").quoted(post.radio.name()).raw(", \"observed_at\": ").time(row.observed_at);
        json.raw(", \"rssi_dbm\": ").value(row.rssi_dbm).raw(", \"ssid\": ").optional(row.ssid).raw("}\n");
    }
}
