//! The one place that reads the wall clock. Time is passed on from here.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The clock of what is received: it never goes back, and begins at the newest time that the journal holds. The journal gives no post an
/// earlier time than the one before it; what is judged by the time of arrival, such as whether a sighting is of the future, is then judged
/// the same now and when it is read back.
pub(crate) fn of_arrivals(newest_ms: i64) -> impl Fn() -> i64 {
    let latest = AtomicI64::new(newest_ms);
    move || {
        let now = now_ms();
        latest.fetch_max(now, Ordering::Relaxed).max(now)
    }
}

/// Seconds since 1970.
pub(crate) fn now_s() -> i64 {
    now_ms().div_euclid(1_000)
}

/// Milliseconds since 1970. A clock before 1970 reads 0.
#[allow(clippy::disallowed_methods)]
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(0)
}
