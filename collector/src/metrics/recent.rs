//! Self-metrics of recent records and of the clients that follow.

use enum_map::EnumMap;
use kipfix_service::metric_maker::{MetricMaker, level, raise, raise_by_reason};
use prometheus::{IntCounter, IntGauge};

use crate::recent::{LossReason, RecentCounts};

#[derive(Debug)]
pub(super) struct RecentMetrics {
    records: IntGauge,
    octets: IntGauge,
    followers: IntGauge,
    sent: IntCounter,
    lost: EnumMap<LossReason, IntCounter>,
}

impl RecentMetrics {
    pub(super) fn new(make: &MetricMaker) -> prometheus::Result<Self> {
        Ok(Self {
            records: make.gauge("recent_records", "Records that /api/v1/flows can return.")?,
            octets: make.gauge("recent_records_bytes", "Memory of recent records.")?,
            followers: make.gauge("followers", "Clients that follow /api/v1/flows.")?,
            sent: make.counter(
                "followed_records_sent_total",
                "Records passed to connections of clients that follow /api/v1/flows.",
            )?,
            lost: make.by_reason(
                "followed_records_lost_total",
                "Records that clients which follow /api/v1/flows did not get.",
            )?,
        })
    }

    pub(super) fn publish(&self, counts: &RecentCounts) {
        self.records.set(level(counts.records));
        self.octets.set(level(counts.octets));
        self.followers.set(level(counts.followers));
        raise(&self.sent, counts.sent);
        raise_by_reason(&self.lost, &counts.lost);
    }
}
