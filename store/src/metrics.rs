//! The names of this crate's metrics and what they mean. docs/metrics.md is compared with these lists by a test.

/// A metric's name, type and meaning.
pub type Described = (&'static str, &'static str, &'static str);

/// Bytes in the journal's files.
pub const JOURNAL_BYTES: &str = "footfall_journal_bytes";
/// Records in the journal's files, applied ones that are still kept included.
pub const JOURNAL_RECORDS: &str = "footfall_journal_records";
/// Seconds that an `fdatasync` of the journal took.
pub const JOURNAL_FSYNC_SECONDS: &str = "footfall_journal_fsync_seconds";
/// Records made durable by one `fdatasync`.
pub const JOURNAL_GROUP_RECORDS: &str = "footfall_journal_group_records";
/// Damaged places of the journal.
pub const JOURNAL_CORRUPT_TOTAL: &str = "footfall_journal_corrupt_total";
/// Failed writes and syncs of the journal.
pub const JOURNAL_FSYNC_ERRORS_TOTAL: &str = "footfall_journal_fsync_errors_total";
/// Unfinished ends that recovery cut.
pub const JOURNAL_TORN_TAIL_TOTAL: &str = "footfall_journal_torn_tail_total";
/// Records set aside, by reason.
pub const QUARANTINE_RECORDS_TOTAL: &str = "footfall_quarantine_records_total";

/// All of them, for registration and for docs/metrics.md.
pub const ALL: &[Described] = &[
    (JOURNAL_BYTES, "gauge", "Bytes in the journal's segment files."),
    (JOURNAL_RECORDS, "gauge", "Records in the journal's segment files, applied ones that are still kept included."),
    (JOURNAL_FSYNC_SECONDS, "histogram", "Seconds one fdatasync of the journal took."),
    (JOURNAL_GROUP_RECORDS, "histogram", "Records made durable by one fdatasync."),
    (JOURNAL_CORRUPT_TOTAL, "counter", "Damaged places found in the journal and set aside. Must be zero."),
    (JOURNAL_FSYNC_ERRORS_TOTAL, "counter", "Failed writes and syncs of the journal. Must be zero."),
    (JOURNAL_TORN_TAIL_TOTAL, "counter", "Unfinished ends of the journal that recovery cut: posts that were never answered."),
    (QUARANTINE_RECORDS_TOTAL, "counter", "Records set aside in quarantine, by reason."),
];
