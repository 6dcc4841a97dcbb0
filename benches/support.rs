//! What the benches share: bodies, a way to time methods side by side, and the rows that peers are held against.

// Each bench uses a part of it.
#![allow(dead_code, unreachable_pub)]

pub mod bodies;
// A server of its own, as the tests have one.
#[path = "../store/tests/it/cluster.rs"]
mod cluster;
pub mod database;
pub mod history;
pub mod load;
pub mod parsers;
pub mod process;
pub mod rival;
pub mod rounds;
pub mod rows;
pub mod server;
pub mod typed;
