//! The names of the pipeline's metrics, and the recorder that renders all of them.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use store::metrics::Described;

/// Observations by outcome.
pub(crate) const OBSERVATIONS_TOTAL: &str = "footfall_observations_total";
/// Discarded observations by reason.
pub(crate) const OBSERVATIONS_DISCARDED_TOTAL: &str = "footfall_observations_discarded_total";
/// Seconds of one commit.
pub(crate) const STORE_COMMIT_SECONDS: &str = "footfall_store_commit_seconds";
/// Rows of one commit.
pub(crate) const STORE_COMMIT_ROWS: &str = "footfall_store_commit_rows";
/// How old the oldest post is that the store does not have.
pub(crate) const STORE_LAG_SECONDS: &str = "footfall_store_lag_seconds";
/// Errors by class.
pub(crate) const STORE_ERRORS_TOTAL: &str = "footfall_store_errors_total";
/// How the store is doing.
pub(crate) const STORE_STATE: &str = "footfall_store_state";
/// Times that another process took over.
pub(crate) const STORE_FENCED_TOTAL: &str = "footfall_store_fenced_total";
/// Records that the store asked for in vain.
pub(crate) const STORE_GAP_RECORDS_TOTAL: &str = "footfall_store_gap_records_total";
/// Rows in default partitions.
pub(crate) const STORE_DEFAULT_PARTITION_ROWS: &str = "footfall_store_default_partition_rows";
/// Observations told without an outcome.
pub(crate) const ACCOUNTING_MISMATCH: &str = "footfall_accounting_mismatch";
/// Bytes of the repeat filter.
pub(crate) const REPEAT_FILTER_BYTES: &str = "footfall_repeat_filter_bytes";
pub(crate) const KNOWN_FACTS_BYTES: &str = "footfall_known_facts_bytes";

/// Bytes of the presence engine.
pub(crate) const PRESENCE_BYTES: &str = "footfall_presence_bytes";
/// Clients in its memory.
pub(crate) const PRESENCE_CLIENTS: &str = "footfall_presence_clients";
/// Rows of presence that the database refused.
pub(crate) const PRESENCE_REFUSED_TOTAL: &str = "footfall_presence_refused_total";
/// Clients with something to publish.
pub(crate) const PRESENCE_PENDING: &str = "footfall_presence_pending";

/// Keys of ended epochs that were destroyed.
pub(crate) const KEYS_DESTROYED_TOTAL: &str = "footfall_keys_destroyed_total";
/// Keys of epochs whose files could not be written or destroyed.
pub(crate) const KEY_ERRORS_TOTAL: &str = "footfall_key_errors_total";
/// Rows that have lost their client.
pub(crate) const ROWS_FORGOTTEN_TOTAL: &str = "footfall_rows_forgotten_total";
/// Devices on the opt-out list.
pub(crate) const OPTOUT_ENTRIES: &str = "footfall_optout_entries";

/// Lines of the log that nobody took.
pub(crate) const LOG_DROPPED_LINES_TOTAL: &str = "footfall_log_dropped_lines_total";

/// All of them, for registration and for docs/metrics.md.
pub(crate) const ALL: &[Described] = &[
    (OBSERVATIONS_TOTAL, "counter", "Observations by `outcome`: `written`, `repeat`, `late` (written, and too late to count in presence), `discarded`."),
    (
        OBSERVATIONS_DISCARDED_TOTAL,
        "counter",
        "Discarded observations by `reason`: `future`, `scale`, `mac`, `time`, `poison`, `epoch` (its key is destroyed), `opted_out`.",
    ),
    (STORE_COMMIT_SECONDS, "histogram", "Seconds one transaction took, from its first statement to the answer of COMMIT."),
    (STORE_COMMIT_ROWS, "histogram", "Rows of all kinds in one transaction."),
    (STORE_LAG_SECONDS, "gauge", "Age of the oldest answered post that the store does not have yet."),
    (STORE_ERRORS_TOTAL, "counter", "Errors of the store by `class`: `retry`, `schema`, `data`, `cursor_moved`."),
    (STORE_STATE, "gauge", "0 running, 1 retrying, 2 paused, 3 fenced."),
    (STORE_FENCED_TOTAL, "counter", "Times that another process took over this journal's cursor. Must be zero."),
    (STORE_GAP_RECORDS_TOTAL, "counter", "Records that a store restored from too old a copy asked for in vain. Must be zero."),
    (STORE_DEFAULT_PARTITION_ROWS, "gauge", "Rows in Postgres' default partitions. Must be zero."),
    (ACCOUNTING_MISMATCH, "gauge", "Observations told less observations with an outcome, whenever all is applied. Must be zero."),
    (REPEAT_FILTER_BYTES, "gauge", "Bytes of the repeat filter."),
    (KNOWN_FACTS_BYTES, "gauge", "Bytes held for what the store is known to say of clients and access points; 200 MB at most."),
    (KEYS_DESTROYED_TOTAL, "counter", "Keys of epochs that were destroyed when their time was over."),
    (KEY_ERRORS_TOTAL, "counter", "Times that a key whose time was over could not be destroyed. Must be zero."),
    (ROWS_FORGOTTEN_TOTAL, "counter", "Rows of ended epochs that were deleted or lost their client."),
    (PRESENCE_BYTES, "gauge", "Bytes held for presence; `presence.memory` at most, but for what is being published."),
    (PRESENCE_CLIENTS, "gauge", "Clients held for presence, once per profile; footfall_presence_bytes over it is what one takes."),
    (PRESENCE_REFUSED_TOTAL, "counter", "Rows of presence that the database refused and that are missing until `footfall recompute`. Must be zero."),
    (PRESENCE_PENDING, "gauge", "Clients of which something is not in the rows of presence yet; 0 whenever nothing comes."),
    (OPTOUT_ENTRIES, "gauge", "Devices on the opt-out list, as it was read last."),
    (LOG_DROPPED_LINES_TOTAL, "counter", "Lines of the log dropped because whoever reads stderr does not."),
];

/// Every metric of the process.
pub(crate) fn all() -> impl Iterator<Item = &'static Described> {
    ingest::metrics::ALL.iter().chain(store::metrics::ALL).chain(ALL)
}

/// Installs the recorder and describes every metric; those that must be zero are shown from the start.
pub(crate) fn install() -> Result<PrometheusHandle, String> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_records".to_owned()), COUNTS))
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_rows".to_owned()), COUNTS))
        .map_err(|error| error.to_string())?;
    let handle = builder.install_recorder().map_err(|error| error.to_string())?;
    for (name, kind, help) in all() {
        match *kind {
            "counter" => metrics::describe_counter!(*name, *help),
            "gauge" => metrics::describe_gauge!(*name, *help),
            _ => metrics::describe_histogram!(*name, *help),
        }
    }
    for name in [
        store::metrics::JOURNAL_CORRUPT_TOTAL,
        store::metrics::JOURNAL_FSYNC_ERRORS_TOTAL,
        store::metrics::JOURNAL_TORN_TAIL_TOTAL,
        STORE_FENCED_TOTAL,
        STORE_GAP_RECORDS_TOTAL,
        PRESENCE_REFUSED_TOTAL,
    ] {
        metrics::counter!(name).absolute(0);
    }
    metrics::gauge!(ACCOUNTING_MISMATCH).set(0.0);
    metrics::gauge!(STORE_DEFAULT_PARTITION_ROWS).set(0.0);
    for outcome in ["written", "repeat", "late", "discarded"] {
        metrics::counter!(OBSERVATIONS_TOTAL, "outcome" => outcome).absolute(0);
    }
    for reason in store::batch::Discard::ALL {
        metrics::counter!(OBSERVATIONS_DISCARDED_TOTAL, "reason" => reason.name()).absolute(0);
    }
    for class in store::writer::Class::ALL {
        metrics::counter!(STORE_ERRORS_TOTAL, "class" => class.name()).absolute(0);
    }
    metrics::counter!(ingest::metrics::REPAIRED_STRINGS_TOTAL).absolute(0);
    metrics::counter!(ingest::metrics::PARSE_FALLBACKS_TOTAL).absolute(0);
    Ok(handle)
}

/// Bounds of histograms of seconds: an answer within 1 ms to a database that hangs.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Bounds of histograms of counts.
const COUNTS: &[f64] = &[1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0, 100_000.0];
