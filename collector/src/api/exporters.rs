//! `GET /api/v1/exporters`: the exporters that send to this collector.

use std::collections::HashMap;

use axum::response::Response;
use flowproto::collector::Version;
use kipfix_service::sync::lock;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::ApiError;
use super::parameters::{self, MAX_LIMIT, number};
use super::{Api, Request, answer};
use crate::metrics::ExporterSummary;

/// Parameters of a request for exporters.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
struct Parameters {
    /// Maximum number of exporters, 1–10000. Default: 1000.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 10_000)]
    limit: Option<String>,
}

/// The exporters that send to this collector, as of the last 10 seconds.
#[utoipa::path(
    get,
    path = "/api/v1/exporters",
    params(Parameters),
    responses(
        (status = 200, body = ExportersJson),
        (status = 400, body = ApiError),
        (status = 401, body = ApiError),
        (status = 429, body = ApiError),
    )
)]
pub(super) async fn get(request: Request) -> Response {
    answer(request, run).await
}

fn run(api: &Api, query: &str) -> Result<ExportersJson, ApiError> {
    let parameters: Parameters = parameters::parse(query)?;
    let limit = number("limit", parameters.limit.as_deref(), 1000, 1..=MAX_LIMIT)?;
    let totals = std::sync::Arc::clone(&lock(&api.scrape.last_totals));
    let index = api.scrape.store.load().index;
    let skews: HashMap<_, _> = totals.skews.iter().copied().collect();
    let json = |exporter: ExporterSummary<'_>| {
        let named = index
            .node_named(exporter.name)
            .filter(|_| !exporter.name.is_empty());
        let node = named.or_else(|| index.node_at(exporter.address));
        ExporterJson {
            address: exporter.address.to_string(),
            name: exporter.name.to_owned(),
            node: node
                .map(|id| index.node(id).name.to_string())
                .unwrap_or_default(),
            version: match exporter.version {
                Version::V1 => "netflow1",
                Version::V5 => "netflow5",
                Version::V7 => "netflow7",
                Version::V9 => "netflow9",
                Version::Ipfix => "ipfix",
            },
            observation_domain_id: exporter.observation_domain_id,
            records: exporter.records,
            sequence_lost: exporter.sequence_lost,
            unusable: exporter.unusable,
            sampling: exporter.sampling,
            clock_skew_milliseconds: skews.get(&exporter.address).copied().unwrap_or(0),
            last_message: exporter.last_record,
        }
    };
    let all = totals.exporters.summaries();
    let count = all.size_hint().0;
    Ok(ExportersJson {
        exporters: all.take(limit).map(json).collect(),
        truncated: count > limit,
    })
}

/// Exporters.
#[derive(Serialize, ToSchema)]
struct ExportersJson {
    exporters: Vec<ExporterJson>,
    /// There are more exporters than are returned.
    truncated: bool,
}

/// An Observation Domain of an exporter.
#[derive(Serialize, ToSchema)]
struct ExporterJson {
    /// Source address.
    address: String,
    /// Its name: element 300, `observationDomainName`. Empty if it reports none.
    name: String,
    /// The node that it is on. Empty if it is not on a known node.
    node: String,
    /// `ipfix`, `netflow9`, `netflow7`, `netflow5` or `netflow1`.
    version: &'static str,
    /// Observation Domain ID, Source ID, or engine.
    observation_domain_id: u32,
    /// Data Records.
    records: u64,
    /// What is missing by its sequence numbers.
    sequence_lost: u64,
    /// Datagrams, Sets and templates of its address that could not be used.
    unusable: u64,
    /// Factor by which its counters are multiplied.
    sampling: f64,
    /// Offset of its clock, milliseconds. 0 if it is less than a second.
    clock_skew_milliseconds: i64,
    /// Time at which a Data Record of it was last noticed, Unix milliseconds. It is checked every
    /// 10 seconds.
    last_message: u64,
}
