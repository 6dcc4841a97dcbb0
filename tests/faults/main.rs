//! The whole program under faults: the real binary, and peers, disks and clocks that do what they should not.
//!
//! `FOOTFALL_SOAK=1` runs the long forms.

// All of it is test code, which clippy cannot tell of helper functions.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod edge_clock;
mod edge_http2;
mod edge_json;
mod edge_life;
mod edge_log;
mod edge_memory;
mod edge_peers;
mod edge_reload;
mod edge_smuggling;
mod edge_support;
mod edge_tls;
mod edge_versions;
// Shared with the tests without faults, which use more of it.
#[allow(dead_code)]
#[path = "../it/harness.rs"]
mod harness;
