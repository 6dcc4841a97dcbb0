//! The names of this crate's metrics and what they mean. docs/metrics.md is compared with these lists by a test.

use store::metrics::Described;

/// Posts on known receivers, by receiver and outcome.
pub const POSTS_TOTAL: &str = "footfall_posts_total";
/// Requests for paths that no receiver has.
pub const UNKNOWN_PATHS_TOTAL: &str = "footfall_unknown_paths_total";
/// Seconds from the last byte of a post's body to its answer.
pub const ANSWER_SECONDS: &str = "footfall_answer_seconds";
/// Strings in which something unreadable was replaced.
pub const REPAIRED_STRINGS_TOTAL: &str = "footfall_repaired_strings_total";
/// Posts that the second road of the parser read.
pub const PARSE_FALLBACKS_TOTAL: &str = "footfall_parse_fallbacks_total";
/// Bytes claimed from the memory budget.
pub const MEMORY_CLAIMED_BYTES: &str = "footfall_memory_claimed_bytes";
/// The memory budget.
pub const MEMORY_LIMIT_BYTES: &str = "footfall_memory_limit_bytes";
/// Open connections.
pub const CONNECTIONS: &str = "footfall_connections";
/// Connections closed as soon as they were accepted, by the cap that they were over.
pub const CONNECTIONS_REFUSED_TOTAL: &str = "footfall_connections_refused_total";
/// Connections closed because a deadline passed, by what was waited for.
pub const CONNECTIONS_TIMED_OUT_TOTAL: &str = "footfall_connections_timed_out_total";
/// Handshakes that failed.
pub const HANDSHAKE_ERRORS_TOTAL: &str = "footfall_handshake_errors_total";
/// Failed calls to accept a connection.
pub const ACCEPT_ERRORS_TOTAL: &str = "footfall_accept_errors_total";
/// Seconds until the leaf certificate of a listener expires.
pub const CERTIFICATE_EXPIRY_SECONDS: &str = "footfall_certificate_expiry_seconds";
/// Changed certificate files that were not taken.
pub const CERTIFICATE_REFUSED_TOTAL: &str = "footfall_certificate_refused_total";

/// All of them, for registration and for docs/metrics.md.
pub const ALL: &[Described] = &[
    (POSTS_TOTAL, "counter", "Posts on known receivers, by receiver and outcome. Each post has exactly one outcome."),
    (UNKNOWN_PATHS_TOTAL, "counter", "Requests for paths that no receiver has (404)."),
    (ANSWER_SECONDS, "histogram", "Seconds from the last byte of a post's body to its answer."),
    (REPAIRED_STRINGS_TOTAL, "counter", "Strings of kept posts in which something unreadable became U+FFFD."),
    (PARSE_FALLBACKS_TOTAL, "counter", "Kept posts that the parser's fast road left to the second one: slower, and just as right."),
    (MEMORY_CLAIMED_BYTES, "gauge", "Bytes claimed from the memory budget by posts that are being received or kept."),
    (MEMORY_LIMIT_BYTES, "gauge", "The memory budget, limits.memory."),
    (CONNECTIONS, "gauge", "Open connections on the receiver listeners."),
    (CONNECTIONS_REFUSED_TOTAL, "counter", "Connections closed when accepted, by the cap they were over: total or address."),
    (CONNECTIONS_TIMED_OUT_TOTAL, "counter", "Connections closed by a deadline, by phase: handshake, header, write, closing. Idle ones are not counted."),
    (HANDSHAKE_ERRORS_TOTAL, "counter", "TLS handshakes that failed."),
    (ACCEPT_ERRORS_TOTAL, "counter", "Failed calls to accept a connection, for want of file descriptors or memory."),
    (CERTIFICATE_EXPIRY_SECONDS, "gauge", "Seconds until the listener's certificate expires; negative when it has expired."),
    (CERTIFICATE_REFUSED_TOTAL, "counter", "Changed certificate files that were of no use (unreadable, or the key does not fit); the old ones stay."),
];
