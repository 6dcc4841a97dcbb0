//! Bytes from the network to a parsed batch: listeners, TLS, limits, the Scanning API's dialects, and the simulator that speaks
//! them.
//!
//! A post's way through this crate: [`server`] accepts a connection, [`handler`] claims memory and reads the body, [`wire`] turns it
//! into a batch, and the journal of the `store` crate keeps it before the answer leaves.

pub mod budget;
pub mod certificate;
pub mod handler;
pub mod metrics;
pub mod receiver;
mod redact;
pub mod server;
pub mod simulate;
pub mod wire;
