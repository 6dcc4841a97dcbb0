//! What goes into the journal and what it says: posts, records, states and refusals.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::batch::Batch;
use crate::position::Position;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A post that was parsed when it came.
    Post,
    /// An authentic post of unknown shape.
    Unknown,
}

/// A post to be made durable.
pub struct Append {
    /// Whether its shape is known.
    pub kind: Kind,
    /// The receiver's configured name.
    pub receiver: Arc<str>,
    /// When it had arrived, milliseconds since 1970. A clock that was set back does not take the journal back: the record then has the time
    /// of the one before it.
    pub received_at_ms: i64,
    /// Its bytes, the secret blanked.
    pub body: Vec<u8>,
    /// The same, parsed, for the [`Tail`](super::Tail).
    pub batch: Option<Box<Batch>>,
    /// What is held for it meanwhile, such as a claim on the memory budget; dropped when it is durable or refused.
    pub held: Box<dyn Send>,
}

/// A post that is durable.
#[derive(Debug)]
pub struct Appended {
    /// Its position.
    pub position: Position,
    /// The buffer, for the next post.
    pub body: Vec<u8>,
}

/// Why a post was not kept. Nothing of it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// No room below the limits.
    #[error("the journal is full")]
    Full,
    /// The disk refuses to write or to sync.
    #[error("the journal cannot be written")]
    Failed,
    /// Another process writes a copy of this journal.
    #[error("the journal is fenced")]
    Fenced,
    /// The journal is stopping.
    #[error("the journal has stopped")]
    Stopped,
    /// Larger than a record may be, which the configuration is checked for.
    #[error("the post is larger than a record may be")]
    TooLarge,
}

/// A record read back.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Its position.
    pub position: Position,
    /// Whether its shape was known.
    pub kind: Kind,
    /// The receiver's configured name.
    pub receiver: Arc<str>,
    /// When it was received, milliseconds since 1970; never less than that of the record before.
    pub received_at_ms: i64,
    /// The post's bytes.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Record {
    /// Without the body, which is nobody's business.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("position", &self.position)
            .field("kind", &self.kind)
            .field("receiver", &self.receiver)
            .field("received_at_ms", &self.received_at_ms)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// What the journal can do at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Takes posts.
    Ready,
    /// No room for another segment.
    Full,
    /// The disk refuses.
    Failed,
    /// Fenced for good.
    Fenced,
}

/// How the journal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Bytes of its files.
    pub bytes: u64,
    /// Records in them, applied ones included.
    pub records: u64,
    /// When the oldest of them was received, milliseconds since 1970.
    pub oldest_received_ms: Option<i64>,
    /// The position of the next record.
    pub next: Position,
    /// What it can do.
    pub state: State,
    /// Damaged places met since the journal was opened.
    pub corrupt: u64,
    /// Unfinished places mended when it was opened.
    pub torn: u64,
}

/// What was found when the journal was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The position of the next record.
    pub next: Position,
    /// The position of the oldest record, or `next` when there is none.
    pub first: Position,
    /// Records in the files, as their headers tell.
    pub records: u64,
    /// Unfinished places that were mended.
    pub torn: u64,
    /// Damaged places that were set aside; older segments are looked at when they are read.
    pub corrupt: u64,
    /// When the newest record was received, milliseconds since 1970.
    pub last_received_ms: Option<i64>,
}

/// Why the journal was not opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("lock {}: another process uses this journal", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A newer program wrote it.
    #[error("read {}: it has format version {version}, which this program does not know; use the program that wrote it", path.display())]
    Newer {
        /// The segment.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// It is sealed with another key.
    #[error("read {}: it is sealed with another key; put the journal's own key back, a new one would lose its posts", path.display())]
    WrongKey {
        /// The segment.
        path: PathBuf,
    },
    /// The file system refuses.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), source }
    }
}
