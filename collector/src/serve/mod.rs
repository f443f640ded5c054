//! Serve: what people and tools read. `/metrics`, `/livez` and `/readyz` over HTTP, and the same metrics on stdout after a
//! savefile.

pub mod info;
mod readiness;
mod scrape;

pub use readiness::readiness;
pub use scrape::{ReadCounts, Scrape, SpareTable};
