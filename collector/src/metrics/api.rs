//! Self-metrics of access to the API.

use kipfix_service::metric_maker::MetricMaker;
use prometheus::IntCounter;

/// Counters of access to the API. Clones share their values.
#[derive(Clone, Debug)]
pub struct ApiMetrics {
    rejected: IntCounter,
    tokens_loaded: IntCounter,
    tokens_failed: IntCounter,
}

impl ApiMetrics {
    pub(super) fn new(make: &MetricMaker) -> prometheus::Result<Self> {
        let loads = make.counters(
            "api_token_loads_total",
            "Tokens read from http_token_file; after a failure the previous one stays in use.",
            &["result"],
        )?;
        Ok(Self {
            rejected: make.counter(
                "api_requests_rejected_total",
                "Requests of the API without the bearer token of http_token_file.",
            )?,
            tokens_loaded: loads.with_label_values(&["ok"]),
            tokens_failed: loads.with_label_values(&["failed"]),
        })
    }

    /// Counts a request without the token.
    pub fn on_rejected(&self) {
        self.rejected.inc();
    }

    /// Counts a read of the token.
    pub fn on_token_loaded(&self) {
        self.tokens_loaded.inc();
    }

    /// Counts a read that failed.
    pub fn on_token_failed(&self) {
        self.tokens_failed.inc();
    }
}
