//! Presence, defined: one SQL query per table, from observations to counts.
//!
//! The text is the published meaning of every number. The same text runs in `SQLite` from 3.45 and in Postgres from 15. It is written
//! to be read and to be compared with, not to be fast: the engine must give the same.
//!
//! Whoever runs it makes these tables first; times are seconds since 1970, `BIGINT` in Postgres, and flags 0 or 1:
//!
//! | table | holds |
//! |---|---|
//! | `raw(site, client, ap, t, received, rssi, radio, associated, random, excluded)` | every arrival of an observation; repeats may differ in `received`; `excluded` marks the devices that are in no count |
//! | `param(ignore_dbm, enter_dbm, stay_dbm, assoc_bypasses, gap_s, ap_gap_s, min_dwell_s, min_minutes, present_s, settle_s, settle_db, max_visit_s, loyalty_days, allowed_lateness_s, identity_days)` | one row, the profile; `identity_days` is how long a pseudonym lasts |
//! | `win(site, kind, n, a, b)` | the windows \[a, b) of the site's calendar: each `day`, from `loyalty_days` before the first observation on, and each `hour` that a session may touch; `n` is the local date in days since 1970, of an hour that of its day |
//! | `minute(a)` | the minutes in which occupancy is asked |
//! | `zone_ap(site, zone, ap, since, until)` | which access points make a zone; `until` is null while it lasts |
//! | `edge(site, at)` | when the key of the pseudonyms changes; empty when it lasts |
//! | `key_birth(site, at)` | when that key was made; empty when long ago |
//! | `now_at(site, t)` | the times at which `def_now` is asked |

/// The statements in the order in which they run: the name of the table each makes, and its text.
pub const DEFINITION: [(&str, &str); 16] = [
    ("def_observation", include_str!("../sql/definition/01_observation.sql")),
    ("def_run", include_str!("../sql/definition/02_run.sql")),
    ("def_span", include_str!("../sql/definition/03_span.sql")),
    ("def_fixture_day", include_str!("../sql/definition/04_fixture_day.sql")),
    ("def_session", include_str!("../sql/definition/05_session.sql")),
    ("def_settled", include_str!("../sql/definition/06_settled.sql")),
    ("def_stay", include_str!("../sql/definition/07_stay.sql")),
    ("def_evidence", include_str!("../sql/definition/08_evidence.sql")),
    ("def_presence", include_str!("../sql/definition/09_presence.sql")),
    ("def_occupancy", include_str!("../sql/definition/10_occupancy.sql")),
    ("def_client", include_str!("../sql/definition/11_client.sql")),
    ("def_movement", include_str!("../sql/definition/12_movement.sql")),
    ("def_dwell", include_str!("../sql/definition/13_dwell.sql")),
    ("def_counts", include_str!("../sql/definition/14_counts.sql")),
    ("def_flow", include_str!("../sql/definition/15_flow.sql")),
    ("def_now", include_str!("../sql/definition/16_now.sql")),
];
