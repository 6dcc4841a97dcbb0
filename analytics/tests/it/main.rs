//! Presence: the cases, the definition in SQL that they are held against, and random sites.
// All of it is test code, which clippy cannot tell of helper functions.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cases;
// Shared with the tests of the stores, which use more of it.
mod check;
#[path = "../../../store/tests/it/cluster.rs"]
#[allow(unreachable_pub, dead_code)]
mod cluster;
mod definition;
mod engine;
mod forgotten;
mod laws;
#[path = "../../../store/tests/it/place.rs"]
#[allow(dead_code)]
mod place;
mod random;
mod rows;
mod site;
mod stores;
