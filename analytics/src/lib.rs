//! What presence means: observations in, visits, stays and counts out.

pub mod definition;
