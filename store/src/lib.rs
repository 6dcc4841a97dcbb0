//! The rows, the journal, and the writers.
//!
//! This crate knows neither HTTP nor Meraki's JSON. It takes parsed [`batch::Batch`]es and raw bytes, keeps the bytes in the
//! [`journal`] until a database has the rows, and writes the rows through a [`writer::Store`]: SQLite or Postgres, each behind a
//! feature of the same name.

pub mod batch;
pub mod client;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub mod database;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod dictionary;
pub mod epoch;
pub mod forget;
pub mod group;
pub mod journal;
pub mod key;
pub mod mac;
pub mod metrics;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod migrations;
pub mod null;
pub mod optout;
pub mod position;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod presence;
pub mod quarantine;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub mod query;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod readback;
pub mod repeat;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod texts;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod upsert;
pub mod writer;
