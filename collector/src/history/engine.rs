//! Engines that keep the history of all collectors.

use super::clickhouse::ClickHouseHistory;
use super::error::HistoryError;
use super::prometheus::PrometheusHistory;
use super::query::{EdgesAnswer, EdgesQuery};
use crate::aggregate::field::Field;

/// An engine.
#[derive(Debug)]
pub enum HistoryEngine {
    /// It has the series of the collectors.
    Prometheus(PrometheusHistory),
    /// It has the records of the collectors.
    ClickHouse(ClickHouseHistory),
}

impl HistoryEngine {
    /// Its name in answers.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Prometheus(_) => "prometheus",
            Self::ClickHouse(_) => "clickhouse",
        }
    }

    /// The fields by which edges can be grouped and filtered. Not all of them can be combined.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        match self {
            Self::Prometheus(engine) => engine.fields(),
            Self::ClickHouse(engine) => engine.fields(),
        }
    }

    /// How long it keeps edges by default, milliseconds.
    #[must_use]
    pub const fn retention(&self) -> u64 {
        const DAY: u64 = 86_400_000;
        match self {
            // Of Prometheus itself.
            Self::Prometheus(_) => 15 * DAY,
            // Of the sums by minute, in `deploy/clickhouse/views.sql`.
            Self::ClickHouse(_) => 90 * DAY,
        }
    }

    /// Answers a query at the wall-clock time `now`, milliseconds since the epoch.
    ///
    /// # Errors
    /// The engine cannot answer it, or does not answer.
    pub async fn edges(&self, query: &EdgesQuery, now: u64) -> Result<EdgesAnswer, HistoryError> {
        match self {
            Self::Prometheus(engine) => engine.edges(query, now).await,
            Self::ClickHouse(engine) => engine.edges(query, now).await,
        }
    }

    /// The engine, if it has records.
    #[must_use]
    pub const fn records(&self) -> Option<&ClickHouseHistory> {
        match self {
            Self::Prometheus(_) => None,
            Self::ClickHouse(engine) => Some(engine),
        }
    }
}
