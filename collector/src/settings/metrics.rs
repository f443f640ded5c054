//! Flags of the metrics.

use clap::Args;
use kipfix_service::settings::{Span, within};
use serde::Serialize;
use serde_json::Value;

use crate::aggregate::{FamilyDefinition, HostWildcard, Preset};
use crate::pipeline::CountedDirection;

/// Flags of the metrics.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "Metrics")]
pub struct MetricFlags {
    /// Metric families. Several separated by commas, or repeated. The key metrics of the --config
    /// file adds families of your own
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        value_enum,
        default_values_t = Preset::DEFAULT,
    )]
    pub preset: Vec<Preset>,
    /// A metric family of your own, as a JSON object. In the --config file, metrics is a list of
    /// families. Repeatable [default: none]
    #[arg(long, value_name = "FAMILY", value_parser = family)]
    pub metrics: Vec<FamilyDefinition>,
    /// Count the host names of external endpoints that end with DOMAIN together, as *.DOMAIN, for
    /// example *.s3.amazonaws.com. The flow log has the whole name. Several separated by commas,
    /// or repeated [default: none]
    #[arg(long, value_name = "*.DOMAIN", value_delimiter = ',')]
    pub host_wildcard: Vec<HostWildcard>,
    /// Also count traffic within a node (class intra_node)
    #[arg(long)]
    pub intra_node: bool,
    /// Count each record of an exporter that does not count connections as one connection
    #[arg(long)]
    pub connections_from_flows: bool,
    /// Direction of the records that count, of exporters that are not a node of the cluster:
    /// both, ingress or egress. For routers that report a flow on each of its interfaces
    #[arg(
        long,
        value_name = "DIRECTION",
        hide_possible_values = true,
        default_value = "both"
    )]
    pub flow_direction: CountedDirection,
    /// The same for exporters on the nodes of the cluster, e.g. Open vSwitch (OVN-Kubernetes)
    #[arg(
        long,
        value_name = "DIRECTION",
        hide_possible_values = true,
        default_value = "both"
    )]
    pub node_flow_direction: CountedDirection,
    /// Maximum number of exporters with self-metrics of their own, for each worker
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = within(0usize, 1 << 16))]
    pub max_exporter_series: usize,
    /// Maximum number of series of a family. Further ones are counted under the label value
    /// "other"
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100_000,
        value_parser = within(1usize, 1 << 26),
    )]
    pub max_series: usize,
    /// Time without an addition after which a series is removed
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "1h",
        value_parser = within(Span::from_secs(300), Span::YEAR),
    )]
    pub series_idle: Span,
    /// Time for which a new series shows 0 before its first value, so that increase() and rate()
    /// include that value: at least the scrape interval. 0s shows the value at once
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "60s",
        value_parser = within(Span::ZERO, Span::HOUR),
    )]
    pub series_birth: Span,
    /// In OpenMetrics, add a sample _created with the time at which each series began. Prometheus
    /// stores it as a series of its own unless created-timestamp-zero-ingestion is enabled
    #[arg(long)]
    pub created_samples: bool,
    /// Maximum number of pairs of endpoints that a worker counts before they are merged into the
    /// series without a scrape
    #[arg(
        long,
        value_name = "N",
        default_value_t = 262_144,
        value_parser = within(16usize, 1 << 24),
    )]
    pub max_edges: usize,
    /// Maximum number of TCP connections counted as open, for each worker, by families with the
    /// value open_connections. The one without a record for longest is forgotten
    #[arg(
        long,
        value_name = "N",
        default_value_t = 262_144,
        value_parser = within(1usize, 1 << 24),
    )]
    pub max_open_connections: usize,
    /// Time after its latest record after which an open connection is presumed to have ended.
    /// Probes report an idle connection for their connection timeout
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "1h",
        value_parser = within(Span::MINUTE, Span::YEAR),
    )]
    pub open_connection_timeout: Span,
}

fn family(text: &str) -> Result<FamilyDefinition, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        format!("must be a JSON object with name, help, value and labels: {error}")
    })?;
    let name = value.get("name").and_then(Value::as_str);
    let name = name.unwrap_or_default().to_owned();
    serde_json::from_value(value).map_err(|error| {
        let error = error
            .to_string()
            .replace("unknown variant", "unknown value");
        format!("invalid family {name:?}: {error}")
    })
}
