//! Serve: what people and tools read. `/metrics`, `/livez` and `/readyz` over HTTP, and the same
//! metrics on stdout after a savefile.

pub mod info;
mod scrape;

pub use scrape::{Clock, Scrape};
