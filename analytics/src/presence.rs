//! The presence engine: observations in, changes of visits, stays, counts, occupancy and flow out.
//!
//! Pure: time is a parameter, and nothing here waits or writes. What a client did is a [`record::Record`] of cells ([`cell`]), one per minute;
//! what is published of it is a function of that record ([`session`], [`stay`], [`evaluate`]); what the store is told is the difference
//! between the record as published and as it is now ([`engine`]). So order and repeats cannot matter, and the same observations give the same
//! rows whether they come live, late, or from the store.

pub mod calendar;
pub mod cell;
pub mod engine;
pub mod epoch;
pub mod evaluate;
pub mod profile;
mod publish;
pub mod record;
pub mod session;
pub mod site;
mod sites;
pub mod stay;
mod tags;
mod tidy;
