//! Faults of the whole program: the real binary is killed, its disk fails, its database goes away or lies, the power goes, peers and clocks do
//! what they should not; and what was answered is in the store exactly once. The short form runs with every test, the long one with `make soak`.

// All of it is test code, which clippy cannot tell of helper functions.
#![allow(clippy::unwrap_used, clippy::expect_used)]

// Shared with the other tests, each of which uses a part.
#[allow(unreachable_pub, dead_code)]
#[path = "../../store/tests/it/cluster.rs"]
mod cluster;
mod dice;
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
mod epochs;
mod failing_disk;
#[allow(dead_code)]
#[path = "../it/harness.rs"]
mod harness;
mod kills;
#[path = "../it/ledger.rs"]
mod ledger;
mod load;
mod needs_root;
mod postgres_away;
mod postgres_link;
mod postgres_refuses;
mod presence_days;
mod proxy;
mod restore;
mod scene;
mod stops;
mod verdict;
