//! `GET /api/v1/status`: version, readiness, history and loss accounting.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::response::Response;
use kipfix_service::sync::lock;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::ApiError;
use super::{Api, Request, answer, parameters};
use crate::aggregate::field::Field;
use crate::clock;
use crate::history::{History, HistoryEngine, StoredEdge};
use crate::metrics::Totals;
use crate::serve::readiness;

/// Metric families by what the page uses them for.
const METRICS: [(&str, &str); 6] = [
    ("workload_bytes", "kipfix_bytes_total"),
    ("workload_packets", "kipfix_packets_total"),
    ("workload_connections", "kipfix_connections_total"),
    ("external_bytes", "kipfix_external_bytes_total"),
    ("external_packets", "kipfix_external_packets_total"),
    ("external_connections", "kipfix_external_connections_total"),
];

/// It has no parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {}

/// Version, readiness, history and loss accounting of this collector, as of the last 10 seconds.
#[utoipa::path(
    get,
    path = "/api/v1/status",
    responses(
        (status = 200, body = StatusJson),
        (status = 400, body = ApiError),
        (status = 401, body = ApiError),
        (status = 429, body = ApiError),
    )
)]
pub(super) async fn get(request: Request) -> Response {
    answer(request, run).await
}

fn run(api: &Api, query: &str) -> Result<StatusJson, ApiError> {
    let Parameters {} = parameters::parse(query)?;
    let scrape = &api.scrape;
    let totals = Arc::clone(&lock(&scrape.last_totals));
    let readiness = readiness(scrape);
    let served = METRICS
        .into_iter()
        .filter(|(_, name)| scrape.series.has_family(name));
    Ok(StatusJson {
        version: env!("CARGO_PKG_VERSION"),
        cluster: scrape.store.load().cluster_name.to_string(),
        started: api.started,
        ready: readiness.missing.is_empty(),
        not_ready: readiness.missing,
        notes: readiness.notes,
        history: match &api.engine {
            Some(engine) => HistoryJson::of_engine(engine),
            None => HistoryJson::new(scrape.history.as_deref()),
        },
        loss: LossJson::new(&totals),
        metrics: served.collect(),
    })
}

/// The status of a collector.
#[derive(Serialize, ToSchema)]
struct StatusJson {
    version: &'static str,
    /// Name of the cluster. Empty if it has none.
    cluster: String,
    /// Time of the start, Unix milliseconds.
    started: u64,
    ready: bool,
    /// Why it is not ready.
    not_ready: Vec<String>,
    /// Problems that do not affect readiness.
    notes: Vec<String>,
    history: HistoryJson,
    loss: LossJson,
    /// Names of the served metrics by use, such as `workload_bytes`.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    metrics: BTreeMap<&'static str, &'static str>,
}

/// The history.
#[derive(Default, Serialize, ToSchema)]
struct HistoryJson {
    /// What answers queries for edges: `ring` is the memory of this collector, `prometheus` an
    /// engine that has the series of all collectors, `clickhouse` one that has their records,
    /// `none` if there is no history.
    source: &'static str,
    /// The time that is covered, by length of the intervals. For an engine: the time that the page
    /// offers.
    rings: Vec<RingJson>,
    /// Memory, octets.
    octets: u64,
    /// Maximum memory, octets.
    max_octets: u64,
    /// The fields by which edges can be grouped and filtered.
    fields: Vec<String>,
}

/// The time that a ring covers.
#[derive(Serialize, ToSchema)]
struct RingJson {
    /// Length of its intervals, milliseconds.
    step: u64,
    /// Unix milliseconds.
    from: u64,
    /// Unix milliseconds.
    to: u64,
}

impl HistoryJson {
    fn of_engine(engine: &HistoryEngine) -> Self {
        let to = clock::wall_milliseconds();
        let fields = engine.fields();
        Self {
            source: engine.name(),
            rings: vec![RingJson {
                step: 60_000,
                from: to.saturating_sub(engine.retention()),
                to,
            }],
            fields: fields.iter().map(ToString::to_string).collect(),
            ..Self::default()
        }
    }

    fn new(history: Option<&History>) -> Self {
        let Some(history) = history else {
            return Self {
                source: "none",
                ..Self::default()
            };
        };
        let spans = history.spans().into_iter();
        let fields = Field::all().filter(StoredEdge::has);
        Self {
            source: "ring",
            rings: spans
                .map(|span| RingJson {
                    step: span.step,
                    from: span.from,
                    to: span.to,
                })
                .collect(),
            octets: history.counts().octets,
            fields: fields.map(|field| field.to_string()).collect(),
            max_octets: u64::try_from(history.settings().max_octets).unwrap_or(u64::MAX),
        }
    }
}

/// The loss accounting: `records` and the reverse directions of biflow records are counted, not
/// counted, or pending.
#[derive(Serialize, ToSchema)]
struct LossJson {
    /// Data Records received.
    records: u64,
    /// Records that are counted.
    counted: u64,
    /// Records that are not counted, by reason.
    #[schema(value_type = std::collections::HashMap<String, u64>)]
    not_counted: BTreeMap<&'static str, u64>,
    /// What is missing by the sequence numbers of exporters.
    sequence_lost: u64,
    /// Datagrams, Sets and templates that could not be used.
    unusable: u64,
    /// Datagrams dropped by the kernel.
    kernel_drops: u64,
}

impl LossJson {
    fn new(totals: &Totals) -> Self {
        let decoding = &totals.pipeline.decoding;
        let records = &totals.pipeline.records;
        let not_counted = records.not_counted.into_iter();
        Self {
            records: decoding.records,
            counted: records.counted,
            not_counted: not_counted
                .filter(|(_, count)| *count > 0)
                .map(|(reason, count)| (reason.into(), count))
                .collect(),
            sequence_lost: decoding.sequence.lost,
            unusable: decoding.unusable.total(),
            kernel_drops: totals
                .sockets
                .iter()
                .map(|socket| socket.kernel_drops)
                .sum(),
        }
    }
}
