//! The log, to stderr through a thread of its own: whoever has something to say never waits for whoever reads it.
//!
//! A pipe that nobody reads (a stuck supervisor, a stopped `less`) would otherwise hold up the first task that logs, with the lock of the
//! stream in its hand, and then every other one. What has no room meanwhile is dropped and counted.

use std::io;

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};

/// The log of this process. Dropping it writes what waits, as far as it is taken within a second.
pub(crate) struct Log {
    dropped: ErrorCounter,
    _writer: WorkerGuard,
}

impl Log {
    /// Starts it. A second start in one process does not happen; if it did, the first log would go on.
    pub(crate) fn start(config: &Config) -> Self {
        let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES_MAX).thread_name("log").finish(io::stderr());
        let dropped = writer.error_counter();
        let builder = tracing_subscriber::fmt().with_env_filter(config.process.log.parse::<EnvFilter>().unwrap_or_default()).with_writer(writer);
        let _ = match config.process.log_format {
            LogFormat::Text => builder.with_ansi(false).try_init(),
            LogFormat::Json => builder.json().try_init(),
        };
        Self { dropped, _writer: guard }
    }

    /// Counts the lines that nobody took.
    pub(crate) fn dropped(&self) -> Dropped {
        Dropped(self.dropped.clone())
    }
}

/// Tells how many lines were dropped.
pub(crate) struct Dropped(ErrorCounter);

impl Dropped {
    /// Since the start.
    pub(crate) fn lines(&self) -> u64 {
        self.0.dropped_lines() as u64
    }
}

/// Lines that wait at most; a line has some hundred bytes.
const WAITING_LINES_MAX: usize = 1024;
