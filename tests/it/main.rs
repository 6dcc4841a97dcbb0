//! The whole program: the real binary, real databases, the simulator as sender. Nothing here reaches into the code.

// All of it is test code, which clippy cannot tell of helper functions.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod accounting;
// Shared with the stores' own tests, which use less of it.
#[allow(unreachable_pub, dead_code)]
#[path = "../../store/tests/it/cluster.rs"]
mod cluster;
mod commands;
mod documents;
mod excluded;
// Shared with tests/faults, which uses more of it.
#[allow(dead_code)]
mod harness;
// Shared with tests/faults, which uses more of it.
#[allow(dead_code)]
mod ledger;
mod opted_out;
mod posts;
mod privacy;
mod report;
mod sql_examples;
mod store_trouble;
mod zones;
