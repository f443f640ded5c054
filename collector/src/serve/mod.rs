//! Serve: what people and tools read. `/metrics`, `/livez` and `/readyz` over HTTP, and the same
//! metrics on stdout after a savefile.

mod exposition;
pub mod info;
mod readiness;
mod scrape;
mod settings_status;

pub use exposition::ScrapeChunks;
pub use readiness::readiness;
pub use scrape::Scrape;
pub use settings_status::SettingsStatus;
