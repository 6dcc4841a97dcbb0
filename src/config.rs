//! The configuration: every key, its default, and the way from a file to a checked value.
//!
//! The whole of it is read and checked before a port is bound ([`Config::load`]). Secrets are [`Hidden`] and show in no output.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use store::journal;

mod check;
mod presence;
mod privacy;
mod read;
#[cfg(test)]
mod tests;
mod units;

pub(crate) use privacy::{ANONYMOUS, Clients, Mode, Personal, Privacy};
pub(crate) use read::{Mistake, World};
pub(crate) use units::{Hidden, Size, Span};

/// The file that `config example` prints: every key with its meaning, unit, default and range.
pub(crate) const EXAMPLE: &str = include_str!("../config.example.toml");

/// All settings of one process.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) database: Hidden,
    pub(crate) listen: Vec<Listen>,
    pub(crate) receiver: Vec<Receiver>,
    pub(crate) admin: Admin,
    pub(crate) limits: Limits,
    pub(crate) journal: Journal,
    pub(crate) pipeline: Pipeline,
    pub(crate) presence: presence::Presence,
    pub(crate) profile: Vec<presence::OwnProfile>,
    pub(crate) site: Vec<presence::Site>,
    pub(crate) privacy: Privacy,
    pub(crate) retention: Retention,
    pub(crate) process: Process,
}

/// One address that Meraki's posts arrive on.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listen {
    pub(crate) address: Address,
    #[serde(default)]
    pub(crate) tls: Tls,
    #[serde(default)]
    pub(crate) http2: bool,
    #[serde(default)]
    pub(crate) insecure_plaintext: bool,
    #[serde(default)]
    pub(crate) names: Vec<String>,
}

/// Where a listener is.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Address {
    /// An IP address and a port; port 0 takes a free one.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

/// How a listener speaks TLS.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Tls {
    /// A private authority and a leaf, made and kept in the data directory.
    #[default]
    SelfSigned,
    /// Files in PEM.
    Files { chain: PathBuf, key: PathBuf },
    /// None: plain HTTP.
    Off,
}

/// One URL path: a tenant or network.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Receiver {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) validator: Hidden,
    pub(crate) secrets: Vec<Hidden>,
}

/// The listener for people and monitoring.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Admin {
    pub(crate) address: Address,
}

/// What one sender, and all of them together, may take.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    pub(crate) body: Size,
    pub(crate) memory: Size,
    pub(crate) connections: usize,
    pub(crate) connections_per_address: usize,
    pub(crate) handshake_timeout: Span,
    pub(crate) header_timeout: Span,
    pub(crate) body_timeout: Span,
    pub(crate) idle_timeout: Span,
    pub(crate) stop_timeout: Span,
}

/// The disk between the answer and the database.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Journal {
    pub(crate) max: Size,
    pub(crate) free_min: Size,
    pub(crate) keep: Span,
    /// See [`Config::segment_bytes`] for what stands when it is left out.
    pub(crate) segment: Option<Size>,
    pub(crate) key: Option<Hidden>,
}

/// The way from the journal into the database.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Pipeline {
    pub(crate) tail: Size,
    pub(crate) rows: usize,
}

/// How long rows are kept.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Retention {
    pub(crate) observations: Span,
    pub(crate) visits: Span,
    pub(crate) occupancy: Span,
    pub(crate) counts: Span,
    pub(crate) clients: Span,
    pub(crate) quarantine: Span,
}

impl Retention {
    /// For how long the tables of presence keep rows. What is known of clients is kept for as short as lateness and the days of loyalty allow.
    pub(crate) fn presence(&self, allowed_lateness: Span) -> store::presence::Keep {
        let records = allowed_lateness.0 + Duration::from_secs(3 * 86_400);
        store::presence::Keep { visits: self.visits.0, occupancy: self.occupancy.0, counts: self.counts.0, records, clients: self.clients.0 }
    }
}

/// The process itself.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Process {
    pub(crate) core_dumps: bool,
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
}

/// The shape of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

// === defaults ===

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("footfall-data"),
            database: Hidden::new("sqlite:footfall-data/footfall.db"),
            listen: vec![Listen::default()],
            receiver: Vec::new(),
            admin: Admin::default(),
            limits: Limits::default(),
            journal: Journal::default(),
            pipeline: Pipeline::default(),
            presence: presence::Presence::default(),
            profile: Vec::new(),
            site: Vec::new(),
            privacy: Privacy::default(),
            retention: Retention::default(),
            process: Process::default(),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self { address: Address::loopback(8443), tls: Tls::SelfSigned, http2: false, insecure_plaintext: false, names: Vec::new() }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { address: Address::loopback(8080) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: Size::mib(64),
            memory: Size::mib(512),
            connections: 4_096,
            connections_per_address: 256,
            handshake_timeout: Span::seconds(10),
            header_timeout: Span::seconds(10),
            body_timeout: Span::seconds(60),
            idle_timeout: Span::seconds(75),
            stop_timeout: Span::seconds(20),
        }
    }
}

impl Default for Journal {
    fn default() -> Self {
        Self { max: Size::mib(10 * 1_024), free_min: Size::mib(1_024), keep: Span::seconds(15 * 60), segment: None, key: None }
    }
}

impl Default for Pipeline {
    fn default() -> Self {
        Self { tail: Size::mib(64), rows: 50_000 }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            observations: Span::days(7),
            visits: Span::days(90),
            occupancy: Span::days(90),
            counts: Span::days(760),
            clients: Span::days(90),
            quarantine: Span::days(90),
        }
    }
}

impl Default for Process {
    fn default() -> Self {
        Self { core_dumps: false, log: "info".to_owned(), log_format: LogFormat::Text }
    }
}

impl Config {
    /// The size of a segment file: as configured, else 128 MiB or a quarter of what the journal may take, and never less than the largest
    /// post needs.
    pub(crate) fn segment_bytes(&self) -> u64 {
        let quarter = Size::mib(128).0.min(self.journal.max.0 / 4);
        self.journal.segment.map_or_else(|| quarter.max(self.segment_bytes_min()), |size| size.0)
    }

    /// The size of the smallest segment that holds the largest post.
    pub(crate) fn segment_bytes_min(&self) -> u64 {
        journal::segment_bytes_min(self.record_bytes_max())
    }

    /// The largest record of the journal.
    pub(crate) fn record_bytes_max(&self) -> u64 {
        let name_bytes = self.receiver.iter().map(|receiver| receiver.name.len()).max().unwrap_or(0);
        journal::record_bytes(usize::try_from(self.limits.body.0).unwrap_or(usize::MAX), name_bytes)
    }
}

impl Address {
    fn loopback(port: u16) -> Self {
        Self::Tcp(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// Whether only this machine reaches it.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}
