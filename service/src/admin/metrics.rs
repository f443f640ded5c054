//! Self-metrics of the HTTP port.

use enum_map::EnumMap;
use prometheus::IntCounter;

use super::transport::Refusal;
use crate::metric_maker::{MetricMaker, raise};

/// Counters of the HTTP port. Clones share their values.
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    refused: EnumMap<Refusal, IntCounter>,
    without_certificate: IntCounter,
    scrapes_displaced: IntCounter,
    certificates_loaded: IntCounter,
    certificates_failed: IntCounter,
}

impl HttpMetrics {
    /// Creates the counters.
    ///
    /// # Errors
    /// A name is registered already.
    pub fn new(make: &MetricMaker) -> prometheus::Result<Self> {
        let refused = make.counter_by(
            "http_connections_refused_total",
            "Connections of the HTTP port that were closed by the server: plain_http (a request without \
             TLS), a failed handshake, displaced (all slots were in use, and this one had no \
             request in progress, or its address more than its share), or too_many (all slots were \
             in use by requests, and its address had its share).",
            "reason",
        )?;
        let loads = make.counters(
            "http_certificate_loads_total",
            "Reads of the files of TLS of the HTTP port; after a failure the previous content stays \
             in use.",
            &["result"],
        )?;
        Ok(Self {
            refused,
            without_certificate: make.counter(
                "http_requests_without_certificate_total",
                "Requests that were answered by 403 because the client presented no certificate.",
            )?,
            scrapes_displaced: make.counter(
                "http_scrapes_displaced_total",
                "Scrapes that were closed before their end for a new one: all slots were in use, and \
                 this one was the slowest, below 1 MB/s.",
            )?,
            certificates_loaded: loads.with_label_values(&["ok"]),
            certificates_failed: loads.with_label_values(&["failed"]),
        })
    }

    pub(super) fn on_refused(&self, reason: Refusal) {
        self.refused[reason].inc();
    }

    pub(super) fn on_request_without_certificate(&self) {
        self.without_certificate.inc();
    }

    pub(super) fn on_scrape_displaced(&self) {
        self.scrapes_displaced.inc();
    }

    pub(super) fn set_certificate_loads(&self, (loaded, failed): (u64, u64)) {
        raise(&self.certificates_loaded, loaded);
        raise(&self.certificates_failed, failed);
    }
}
