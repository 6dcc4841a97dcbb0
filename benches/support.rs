//! What the benches share: bodies, a way to time methods side by side, and the rows that peers are held against.

// Each bench uses a part of it.
#![allow(dead_code, unreachable_pub)]

pub mod bodies;
pub mod rounds;
pub mod typed;
