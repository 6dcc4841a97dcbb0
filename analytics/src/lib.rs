//! What presence means: the engine that turns observations into visits, stays and counts, and the SQL that defines them.

pub mod definition;
pub mod presence;
