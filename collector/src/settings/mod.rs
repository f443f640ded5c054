//! Settings: flags, their meaning and defaults, and the rules between them.
//!
//! Defaults < `--config FILE` (YAML, keys as the flags with `_`) < environment
//! (`KIPFIX_COLLECTOR__…`) < flags.

mod check;
mod exporters;
mod flags;
mod http_flags;
mod parts;
mod reload;

use std::path::PathBuf;

pub use flags::{Flags, Task};
pub use http_flags::HttpFlags;
use ipnet::IpNet;
use kipfix_service::exit::Failure;
use kipfix_service::logs::LogFormat;
use kipfix_service::settings::{self, ListenAddress, Size, Span};
pub use reload::{RELOADED, SettingsChange};
use serde::{Deserialize, Serialize};

use crate::aggregate::expression::Expression;
use crate::aggregate::{FamilyDefinition, HostWildcard, Preset};
use crate::emit::EmittedRecords;
use crate::emit::flow_log::{FlowLogFormat, FlowLogTarget};
use crate::emit::forward::ForwardTarget;
use crate::emit::replicate::ReplicaUrl;
use crate::history::HistorySource;
use crate::history::RingSettings;
use crate::inventory::external::NamedCidr;
use crate::pipeline::CountedDirection;
use crate::receive::listen_url::ListenUrl;
use crate::receive::senders::AllowedExporters;

/// Prefix of the settings in the environment.
pub const ENVIRONMENT_PREFIX: &str = "KIPFIX_COLLECTOR__";

/// The effective settings. Each is described by its flag in [`Flags`].
#[derive(Clone, Debug, Deserialize, Serialize)]
#[expect(missing_docs, reason = "each is described by its flag")]
pub struct Settings {
    pub listen: Vec<ListenUrl>,
    pub allow_exporters: Vec<AllowedExporters>,
    pub exporters: Option<PathBuf>,
    pub read: Vec<PathBuf>,
    pub explain: bool,
    pub compare: bool,
    pub state: Option<PathBuf>,
    pub workers: usize,
    pub receive_buffer: Size,
    pub max_connections: usize,
    pub max_connections_per_address: usize,
    pub read_timeout: Span,
    pub connection_idle: Span,
    pub kubernetes: String,
    pub inventory: Option<PathBuf>,
    pub tunnel_cidr: Vec<IpNet>,
    pub observer_wait: Span,
    pub observer_timeout: Span,
    pub pending_queue: Size,
    pub attribution_wait: Span,
    pub inventory_wait: Span,
    pub deleted_pods_kept: Span,
    pub max_clock_skew: Span,
    pub node_pool_label: String,
    pub namespace_label: String,
    pub pod_labels: Vec<String>,
    pub namespace_labels: Vec<String>,
    pub workload_labels: Vec<String>,
    pub probe_selector: String,
    pub probe_namespace: String,
    pub cluster_name: String,
    pub max_endpoints: u32,
    pub max_nodes: u32,
    pub cidr: Vec<NamedCidr>,
    pub geoip: Vec<PathBuf>,
    pub cloud_ranges: Vec<PathBuf>,
    pub max_external: usize,
    pub http: ListenAddress,
    pub http_token_file: Option<PathBuf>,
    pub http_tls_cert: Option<PathBuf>,
    pub http_tls_key: Option<PathBuf>,
    pub http_client_ca: Option<PathBuf>,
    pub history: HistorySource,
    pub history_size: Size,
    pub history_health: bool,
    pub history_rings: Vec<RingSettings>,
    pub history_file: Option<PathBuf>,
    pub recent_records_size: Size,
    pub flow_log: Option<FlowLogTarget>,
    pub flow_log_format: FlowLogFormat,
    pub flow_log_fields: Vec<String>,
    pub flow_log_records: EmittedRecords,
    pub flow_log_filter: Option<Expression>,
    pub flow_log_sample: u32,
    pub flow_log_queue: Size,
    pub forward: Vec<ForwardTarget>,
    pub forward_records: EmittedRecords,
    pub forward_queue: usize,
    pub replicate: Vec<ReplicaUrl>,
    pub replicate_queue: Size,
    pub print_metrics: bool,
    pub preset: Vec<Preset>,
    pub metrics: Vec<FamilyDefinition>,
    pub host_wildcard: Vec<HostWildcard>,
    pub intra_node: bool,
    pub connections_from_flows: bool,
    pub flow_direction: CountedDirection,
    pub node_flow_direction: CountedDirection,
    pub max_exporter_series: usize,
    pub max_series: usize,
    pub series_idle: Span,
    pub series_birth: Span,
    pub created_samples: bool,
    pub max_edges: usize,
    pub max_open_connections: usize,
    pub open_connection_timeout: Span,
    pub max_domains: usize,
    pub max_templates: usize,
    pub max_template_fields: usize,
    pub max_address_share: u8,
    pub template_sharing: bool,
    pub template_wait_size: Size,
    pub template_wait: Span,
    pub domain_idle: Span,
    pub max_metadata: usize,
    pub max_running_totals: usize,
    pub log_format: LogFormat,
}

impl Default for Settings {
    fn default() -> Self {
        let any = |port| std::net::SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port));
        Self {
            listen: vec![ListenUrl::Udp(any(4739)), ListenUrl::Udp(any(2055))],
            allow_exporters: Vec::new(),
            exporters: None,
            read: Vec::new(),
            explain: false,
            compare: false,
            state: None,
            workers: 1,
            receive_buffer: Size::from_bytes(8 << 20),
            max_connections: 1024,
            max_connections_per_address: 512,
            read_timeout: Span::from_secs(10),
            connection_idle: Span::from_secs(1800),
            kubernetes: "auto".into(),
            inventory: None,
            tunnel_cidr: Vec::new(),
            observer_wait: Span::from_secs(10),
            observer_timeout: Span::from_secs(60),
            pending_queue: Size::from_bytes(16 << 20),
            attribution_wait: Span::from_secs(5),
            inventory_wait: Span::from_secs(30),
            deleted_pods_kept: Span::from_secs(300),
            max_clock_skew: Span::from_secs(600),
            node_pool_label: String::new(),
            namespace_label: String::new(),
            pod_labels: Vec::new(),
            namespace_labels: Vec::new(),
            workload_labels: ["app.kubernetes.io/name", "app", "k8s-app"]
                .map(String::from)
                .to_vec(),
            probe_selector: "app.kubernetes.io/name=kipfix,app.kubernetes.io/component=probe"
                .into(),
            probe_namespace: String::new(),
            cluster_name: String::new(),
            max_endpoints: 1 << 20,
            max_nodes: 1 << 14,
            cidr: Vec::new(),
            geoip: Vec::new(),
            cloud_ranges: Vec::new(),
            max_external: 1 << 18,
            http: ListenAddress(any(8080)),
            http_token_file: None,
            http_tls_cert: None,
            http_tls_key: None,
            http_client_ca: None,
            history: HistorySource::Ring,
            history_size: Size::from_bytes(64 << 20),
            history_health: true,
            history_rings: RingSettings::DEFAULT.to_vec(),
            history_file: None,
            recent_records_size: Size::from_bytes(8 << 20),
            flow_log: None,
            flow_log_format: FlowLogFormat::default(),
            flow_log_fields: Vec::new(),
            flow_log_records: EmittedRecords::All,
            flow_log_filter: None,
            flow_log_sample: 1,
            flow_log_queue: Size::from_bytes(16 << 20),
            forward: Vec::new(),
            forward_records: EmittedRecords::default(),
            forward_queue: 65_536,
            replicate: Vec::new(),
            replicate_queue: Size::from_bytes(8 << 20),
            print_metrics: false,
            preset: Preset::DEFAULT.to_vec(),
            metrics: Vec::new(),
            host_wildcard: Vec::new(),
            intra_node: false,
            connections_from_flows: false,
            flow_direction: CountedDirection::Both,
            node_flow_direction: CountedDirection::Both,
            max_exporter_series: 256,
            max_series: 100_000,
            series_idle: Span::from_secs(3600),
            series_birth: Span::from_secs(60),
            created_samples: false,
            max_edges: 262_144,
            max_open_connections: 262_144,
            open_connection_timeout: Span::from_secs(3600),
            max_domains: 4096,
            max_templates: 4096,
            max_template_fields: 1 << 21,
            max_address_share: 25,
            template_sharing: true,
            template_wait_size: Size::from_bytes(16 << 20),
            template_wait: Span::from_secs(120),
            domain_idle: Span::from_secs(7200),
            max_metadata: 65_536,
            max_running_totals: 65_536,
            log_format: LogFormat::Text,
        }
    }
}

impl Settings {
    /// Layers the settings and checks them.
    ///
    /// # Errors
    /// A message that names the setting, the value and what is allowed.
    pub fn load(flags: &Flags) -> Result<Self, Failure> {
        let settings: Self = settings::load(
            "kipfix-collector",
            flags.config.as_deref(),
            ENVIRONMENT_PREFIX,
            flags,
        )?;
        settings.check()?;
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed_and_every_flag_but_two_is_a_setting() {
        use clap::CommandFactory;
        Flags::command().debug_assert();
        let names = |value: &serde_json::Value| -> Vec<String> {
            let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
            names.sort();
            names
        };
        assert_eq!(
            names(&serde_json::to_value(Flags::default()).unwrap()),
            names(&serde_json::to_value(Settings::default()).unwrap())
        );
    }
}
