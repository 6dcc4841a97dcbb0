//! The whole program: the real binary, real databases, the simulator as sender. Nothing here reaches into the code.

mod accounting;
mod commands;
// Shared with the stores' own tests, where it must be public.
#[allow(unreachable_pub, dead_code)]
#[path = "../../store/tests/it/cluster.rs"]
mod cluster;
mod documents;
mod exactly_once;
mod harness;
mod ledger;
mod posts;
mod privacy;
