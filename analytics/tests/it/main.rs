//! Presence: the cases, the definition in SQL that they are held against, and random sites.
// All of it is test code, which clippy cannot tell of helper functions.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cases;
mod check;
mod definition;
mod engine;
mod laws;
mod random;
mod rows;
mod site;
