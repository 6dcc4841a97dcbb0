//! The admin listener: health, readiness, metrics, status. It is off the hot path and asks the database only for `/v1/heard`.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use ingest::receiver::{Class, Outcome, Receiver};
use jiff::Timestamp;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};
use store::journal::{self, Journal};
use tokio::sync::watch;

use crate::config::Hidden;
use crate::log::Dropped;
use crate::pipeline::Report;
use crate::query::{self, Rows};

/// What the admin listener shows.
pub(crate) struct Admin {
    pub(crate) receivers: Vec<Arc<Receiver>>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) report: Arc<Report>,
    pub(crate) store_kind: &'static str,
    pub(crate) database: Hidden,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) dropped: Dropped,
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) started: Instant,
    pub(crate) now_ms: fn() -> i64,
}

/// The paths of interface.md.
pub(crate) fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/status", get(status))
        .route("/v1/heard", get(heard))
        .with_state(admin)
}

async fn ready(Shared(admin): Shared<Arc<Admin>>) -> Response {
    let reasons = admin.not_ready();
    let code = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(reasons)).into_response()
}

async fn metrics(Shared(admin): Shared<Arc<Admin>>) -> Response {
    let journal = admin.journal.status();
    metrics::gauge!(store::metrics::JOURNAL_BYTES).set(journal.bytes as f64);
    metrics::gauge!(store::metrics::JOURNAL_RECORDS).set(journal.records as f64);
    metrics::gauge!(crate::metrics::STORE_LAG_SECONDS).set(admin.lag_s());
    metrics::counter!(crate::metrics::LOG_DROPPED_LINES_TOTAL).absolute(admin.dropped.lines());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], admin.metrics.render()).into_response()
}

async fn status(Shared(admin): Shared<Arc<Admin>>) -> Json<Value> {
    let journal = admin.journal.status();
    let report = &admin.report;
    // In this order what is applied can be ahead of what was durable, and is equal only when it really was.
    let durable = admin.journal.durable();
    let (cursor, outcomes) = report.applied();
    let next = durable.next;
    let told = durable.observations + outcomes.replayed;
    let done = outcomes.written + outcomes.late + outcomes.repeats + outcomes.discarded;
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": admin.started.elapsed().as_secs(),
        "ready": admin.not_ready().is_empty(),
        "receivers": admin.receivers.iter().map(|receiver| receiver_status(receiver)).collect::<Vec<_>>(),
        "journal": {
            "id": admin.journal.id().to_string(),
            "state": format!("{:?}", journal.state).to_lowercase(),
            "bytes": journal.bytes,
            "records": journal.records,
            "oldest_age_s": journal.oldest_received_ms.map_or(0, |oldest| ((admin.now_ms)() - oldest).max(0) / 1_000),
            "next_position": next.0,
        },
        "store": {
            "kind": admin.store_kind,
            "state": report.state().name(),
            "cursor": cursor.0,
            "lag_records": next.0.saturating_sub(cursor.0.max(admin.journal.first_position().0)),
            "lag_s": admin.lag_s(),
            "last_error": report.last_error(),
        },
        "pipeline": {
            "observations_told": told,
            "observations_written": outcomes.written,
            "observations_repeat": outcomes.repeats,
            "observations_late": outcomes.late,
            "observations_discarded": outcomes.discarded,
            "observations_in_flight": told.saturating_sub(done),
            "accounting_mismatch": report.mismatch(),
        },
    }))
}

fn receiver_status(receiver: &Receiver) -> Value {
    let counts = receiver.counts();
    let side = |class: Class| -> serde_json::Map<String, Value> {
        let outcomes = Outcome::ALL.into_iter().filter(|outcome| outcome.class() == class);
        outcomes.map(|outcome| (outcome.name().to_owned(), json!(counts.of(outcome)))).collect()
    };
    json!({
        "name": receiver.name().as_ref(),
        "posts": counts.received,
        "open": counts.open,
        "last_post_at": counts.last_post_at_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()).map(|at| at.to_string()),
        "kept": side(Class::Kept),
        "rejected": side(Class::Rejected),
        "shed": side(Class::Shed),
    })
}

async fn heard(Shared(admin): Shared<Arc<Admin>>) -> Response {
    let since_s = (admin.now_ms)().div_euclid(1_000) - HEARD_S;
    let since = Timestamp::from_second(since_s).map(|at| at.to_string()).unwrap_or_default();
    let sql = store::query::heard_since(admin.database.reveal(), since_s);
    let mut rows = Rows::default();
    match store::query::query(admin.database.reveal(), &sql, &mut rows).await {
        Ok(()) => {
            let rows: Vec<Value> = rows
                .0
                .iter()
                .map(|row| {
                    let text = |n: usize| row.get(n).map(query::text);
                    let clients = text(3).and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
                    json!({ "receiver": text(0), "ap": text(1), "radio": text(2), "clients": clients })
                })
                .collect();
            Json(json!({ "since": since, "access_points": rows })).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "error": format!("the store does not answer: {error}") }))).into_response(),
    }
}

impl Admin {
    fn not_ready(&self) -> Vec<&'static str> {
        let mut reasons = Vec::new();
        match self.journal.status().state {
            journal::State::Ready => {}
            journal::State::Full => reasons.push("journal_full"),
            journal::State::Failed => reasons.push("journal_failed"),
            journal::State::Fenced => reasons.push("fenced"),
        }
        if *self.stopping.borrow() {
            reasons.push("stopping");
        }
        reasons
    }

    /// Until the store was reached for the first time, the oldest record in the journal is the best answer.
    fn lag_s(&self) -> f64 {
        let now = (self.now_ms)();
        if self.report.cursor().0 == 0 && self.journal.durable().next > self.journal.first_position() {
            return self.journal.status().oldest_received_ms.map_or(0.0, |oldest| (now - oldest).max(0) as f64 / 1_000.0);
        }
        self.report.lag_s(now)
    }
}

/// How far back `/v1/heard` looks, in seconds.
const HEARD_S: i64 = 600;
