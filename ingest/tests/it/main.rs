//! The ingress over real sockets and real TLS, with a scripted journal behind it. Nothing here sleeps: deadlines are short and what
//! they cause is awaited.

#![allow(clippy::unwrap_used, reason = "all of this is tests; clippy itself exempts only the functions marked as such")]

mod answers;
mod bodies;
mod certificates;
mod connections;
mod deadlines;
mod memory;
mod opted_out;
mod stop;
mod support;
