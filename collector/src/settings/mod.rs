//! Settings: flags, their meaning and defaults, and what they must be with each other.
//!
//! Defaults < `--config FILE` (YAML, keys as the flags with `_`) < environment
//! (`KIPFIX_COLLECTOR__…`) < flags.

mod check;
mod parts;

use std::path::PathBuf;

use clap::Parser;
use kipfix_export::target::Target;
use kipfix_service::exit::Failure;
use kipfix_service::logs::LogFormat;
use kipfix_service::settings::{self, ListenAddress, Size, Span};
use serde::{Deserialize, Serialize};

use crate::aggregate::Preset;
use crate::emit::FlowLogTarget;
use crate::emit::forward::Which;
use crate::emit::replicate::ReplicaUrl;
use crate::inventory::external::NamedCidr;
use crate::receive::listen::ListenUrl;
use crate::receive::senders::AllowedExporters;

pub use parts::milliseconds;

/// Prefix of the settings in the environment.
pub const ENVIRONMENT_PREFIX: &str = "KIPFIX_COLLECTOR__";

const AFTER_HELP: &str = "\
Examples:
  kipfix-collector --inventory cluster.yaml --flow-log file:/var/log/flows.json
      listen on UDP 4739 and 2055, say who is who by the file, serve http://HOST:8080/metrics
  kipfix-collector --read export.pcap --flow-log stdout: --print-metrics
      print every record of a capture as JSON, then the counters, and exit
  kipfix-collector --read export.pcap --explain
      print every octet of it, readable, and what is wrong with it

Every flag is also a key of the --config file (with _ for -) and an environment variable
(KIPFIX_COLLECTOR__ and the key in capitals; lists separated by commas).
Exit codes: 0 asked to stop or done, 64 bad settings, 1 could not start or a stage died.";

#[expect(
    rustdoc::broken_intra_doc_links,
    reason = "the texts of --help have addresses such as [::]:8080 in them"
)]
/// Collects NetFlow and IPFIX, adds who the addresses are, and serves Prometheus counters.
#[derive(Debug, Default, Parser, Serialize)]
#[command(name = "kipfix-collector", version, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Flags {
    /// Receive flow export here: udp://ADDRESS:PORT (IPFIX, NetFlow v9, v7, v5), tcp://ADDRESS:PORT
    /// (IPFIX) or tls://ADDRESS:PORT?cert=FILE&key=FILE; with &client-ca=FILE exporters must show a
    /// certificate of one of these CAs, with &client-name=NAME (repeatable) one for that name. The
    /// files are read again when they change. Repeatable [default: udp://[::]:4739 and
    /// udp://[::]:2055, both IPv6 and IPv4]
    #[arg(long, value_name = "URL", help_heading = "Input")]
    pub listen: Vec<ListenUrl>,
    /// Exporters that may send: a CIDR, an address, or nodes for the cluster's nodes; repeatable.
    /// Others are refused and counted [default: everyone]
    #[arg(long, value_name = "CIDR|nodes", help_heading = "Input")]
    pub allow_exporters: Vec<AllowedExporters>,
    /// Read a pcap or pcapng capture of flow export, or an IPFIX file, as if received; '-' is stdin;
    /// repeatable. Exits when done; then nothing listens unless its flag is given
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    pub read: Vec<PathBuf>,
    /// With --read: print on stdout every message, set, template and record, with names, units and
    /// offsets, what is wrong with it and which rule that breaks; nothing else is done. Problems in the
    /// input are no failure: the exit code is 0
    #[arg(long, help_heading = "Input")]
    pub explain: bool,
    /// Threads that receive and decode datagrams, and as many for connections, each with a socket of
    /// its own; an exporter stays on one [default: 1]
    #[arg(long, value_name = "N", help_heading = "Input")]
    pub workers: Option<usize>,
    /// Receive buffer of each socket, in bytes or with K, M, G [default: 8MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Input")]
    pub receive_buffer: Option<Size>,

    /// Connections (TCP, TLS) at once [default: 1024]
    #[arg(long, value_name = "N", help_heading = "Input")]
    pub max_connections: Option<usize>,
    /// ... and from one address. At either bound, the oldest that has brought no Message yet gives way
    /// to a new one [default: 512]
    #[arg(long, value_name = "N", help_heading = "Input")]
    pub max_connections_of_address: Option<usize>,
    /// A TLS handshake, and a Message that has begun, must be complete within [default: 10s]
    #[arg(long, value_name = "SPAN", help_heading = "Input")]
    pub read_timeout: Option<Span>,
    /// A connection that brings no Message for so long is closed [default: 30m]
    #[arg(long, value_name = "SPAN", help_heading = "Input")]
    pub connection_idle: Option<Span>,

    /// Ask Kubernetes who holds an address: auto (if there is a cluster), off, or a kubeconfig file
    /// [default: auto]
    #[arg(long, value_name = "auto|off|KUBECONFIG", help_heading = "Who is who")]
    pub kubernetes: Option<String>,
    /// YAML file that says who holds an address: nodes, pods, services, cidrs
    #[arg(long, value_name = "FILE", help_heading = "Who is who")]
    pub inventory: Option<PathBuf>,
    /// How long a record waits until it is known whether the other node is observed too [default: 10s]
    #[arg(long, value_name = "SPAN", help_heading = "Who is who")]
    pub observer_wait: Option<Span>,
    /// How many records wait for that at the most, and how many for Kubernetes, for each worker
    /// [default: 65536]
    #[arg(long, value_name = "N", help_heading = "Who is who")]
    pub held_records: Option<usize>,

    /// How long a record waits for the pod whose address it names to be reported [default: 5s]
    #[arg(long, value_name = "SPAN", help_heading = "Who is who")]
    pub attribution_wait: Option<Span>,
    /// How long, from the start on, records wait for the first word of Kubernetes [default: 30s]
    #[arg(long, value_name = "SPAN", help_heading = "Who is who")]
    pub inventory_wait: Option<Span>,
    /// How long a pod, node or service is remembered after its end [default: 5m]
    #[arg(long, value_name = "SPAN", help_heading = "Who is who")]
    pub deleted_pods_kept: Option<Span>,
    /// An exporter's clock may be off by so much; if it is by more, its records are taken to be of
    /// the moment when they arrive [default: 10m]
    #[arg(long, value_name = "SPAN", help_heading = "Who is who")]
    pub max_clock_skew: Option<Span>,
    /// Label of a Node that names its node pool [default: none]
    #[arg(long, value_name = "LABEL", help_heading = "Who is who")]
    pub node_pool_label: Option<String>,
    /// Label of a Namespace that names the group it belongs to: a team, a cost centre. Namespaces are
    /// only watched for it [default: none]
    #[arg(long, value_name = "LABEL", help_heading = "Who is who")]
    pub namespace_label: Option<String>,
    /// Labels that name the workload of a pod without a controller, the first that it has; repeatable
    /// [default: app.kubernetes.io/name, app and k8s-app]
    #[arg(long, value_name = "LABEL", help_heading = "Who is who")]
    pub workload_labels: Vec<String>,
    /// Labels by which a pod is known as a probe: a node with a Ready one is observed
    /// [default: app.kubernetes.io/name=kipfix,app.kubernetes.io/component=probe]
    #[arg(long, value_name = "LABEL=VALUE,...", help_heading = "Who is who")]
    pub probe_selector: Option<String>,
    /// Namespace of the probes. Pods in other namespaces are not probes, whatever their labels
    /// [default: the collector's own namespace, or that of the kubeconfig's context]
    #[arg(long, value_name = "NAMESPACE", help_heading = "Who is who")]
    pub probe_namespace: Option<String>,
    /// Name of this cluster: label "cluster" of every traffic metric, "clusterId" in the flow log
    /// [default: none]
    #[arg(long, value_name = "NAME", help_heading = "Who is who")]
    pub cluster_name: Option<String>,
    /// Pods, services, nodes and pod CIDRs known at once, those remembered too [default: 1048576]
    #[arg(long, value_name = "N", help_heading = "Who is who")]
    pub max_endpoints: Option<u32>,
    /// Nodes known at once, those remembered too [default: 16384]
    #[arg(long, value_name = "N", help_heading = "Who is who")]
    pub max_nodes: Option<u32>,

    /// Name of an address range outside; of several around an address the longest prefix names it;
    /// repeatable
    #[arg(long, value_name = "CIDR=NAME", help_heading = "Who is outside")]
    pub cidr: Vec<NamedCidr>,
    /// Database in MaxMind's format (.mmdb) that knows autonomous systems, countries or both; repeatable,
    /// the first one that knows an address is believed. Read again when it changes
    #[arg(long, value_name = "FILE", help_heading = "Who is outside")]
    pub geoip: Vec<PathBuf>,
    /// Address ranges as a cloud publishes them: AWS ip-ranges.json, Google cloud.json and goog.json,
    /// Azure ServiceTags_*.json; repeatable. Read again when it changes
    #[arg(long, value_name = "FILE", help_heading = "Who is outside")]
    pub cloud_ranges: Vec<PathBuf>,
    /// Combinations of name, system, country and cloud told apart; further ones are "other"
    /// [default: 262144]
    #[arg(long, value_name = "N", help_heading = "Who is outside")]
    pub max_outside: Option<usize>,

    /// Serve /metrics, /livez and /readyz here [default: [::]:8080]
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Output")]
    pub http: Option<ListenAddress>,
    /// Write every record as one line of JSON
    #[arg(long, value_name = "stdout:|file:PATH", help_heading = "Output")]
    pub flow_log: Option<FlowLogTarget>,
    /// How much of the flow log may wait for a slow disk or reader before lines are dropped
    /// [default: 16MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Output")]
    pub flow_log_queue: Option<Size>,
    /// Send records on as IPFIX, with the names of their ends (Antrea's elements, and our own where there is no
    /// public one); repeatable. tls:// takes ca=FILE, cert=FILE and key=FILE, file: rotate-size=SIZE,
    /// rotate-every=TIME and keep=N
    #[arg(
        long,
        value_name = "udp://HOST:PORT|tcp://...|tls://...|file:PATH",
        help_heading = "Output"
    )]
    pub forward: Vec<Target>,
    /// Which records are sent on: counted (of two nodes that saw a flow, one node's) or all
    /// [default: counted]
    #[arg(
        long,
        value_name = "counted|all",
        hide_possible_values = true,
        help_heading = "Output"
    )]
    pub forward_records: Option<Which>,
    /// Records that may wait to be sent on before some are dropped, and as many for each target of TCP,
    /// TLS and files [default: 65536]
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub forward_queue: Option<usize>,
    /// Pass every datagram on as it came, over UDP; repeatable. The exporter's address is kept where the
    /// kernel lets us (NET_ADMIN or NET_RAW): source=keep insists on that, source=own does without
    #[arg(
        long,
        value_name = "udp://HOST:PORT[?source=keep|own]",
        help_heading = "Output"
    )]
    pub replicate: Vec<ReplicaUrl>,
    /// How much may wait for each such target before datagrams are dropped [default: 8MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Output")]
    pub replicate_queue: Option<Size>,
    /// With --read: print what a scrape would say on stdout at the end
    #[arg(long, help_heading = "Output")]
    pub print_metrics: bool,

    /// Metric families to serve: workloads, nodes, zones, external; repeatable [default: the first three]
    #[arg(
        long,
        value_name = "NAME",
        hide_possible_values = true,
        help_heading = "Metrics"
    )]
    pub preset: Vec<Preset>,
    /// Count traffic inside a node too (class intra_node)
    #[arg(long, help_heading = "Metrics")]
    pub intra_node: bool,
    /// Count each record of an exporter that counts no connections as one connection
    #[arg(long, help_heading = "Metrics")]
    pub connections_from_flows: bool,
    /// Of exporters that are no node of the cluster, count only records of this direction: for routers
    /// that report a flow both where it enters and where it leaves. both, ingress or egress
    /// [default: both]
    #[arg(
        long,
        value_name = "DIRECTION",
        hide_possible_values = true,
        help_heading = "Metrics"
    )]
    pub flow_direction: Option<FlowDirection>,
    /// The same of exporters on the nodes of the cluster, where these are no probes of kipfix: for Open
    /// vSwitch (OVN-Kubernetes). both, ingress or egress [default: both]
    #[arg(
        long,
        value_name = "DIRECTION",
        hide_possible_values = true,
        help_heading = "Metrics"
    )]
    pub node_flow_direction: Option<FlowDirection>,
    /// Exporters that have series of their own among the self-metrics, for each worker; the others are
    /// summed up as "other" [default: 256]
    #[arg(long, value_name = "N", help_heading = "Metrics")]
    pub max_exporter_series: Option<usize>,
    /// Series of a family; further ones are counted under the label value "other" [default: 100000]
    #[arg(long, value_name = "N", help_heading = "Metrics")]
    pub max_series: Option<usize>,
    /// A series that nothing was added to for so long goes [default: 1h]
    #[arg(long, value_name = "SPAN", help_heading = "Metrics")]
    pub series_idle: Option<Span>,
    /// Pairs of endpoints that a worker counts before they are added to the series, without waiting
    /// for a scrape [default: 262144]
    #[arg(long, value_name = "N", help_heading = "Metrics")]
    pub max_edges: Option<usize>,

    /// Observation Domains known at once, for each worker; the one longest silent goes for a new one
    /// [default: 4096]
    #[arg(long, value_name = "N", help_heading = "Bounds of the decoder")]
    pub max_domains: Option<usize>,
    /// Templates of an Observation Domain [default: 4096]
    #[arg(long, value_name = "N", help_heading = "Bounds of the decoder")]
    pub max_templates: Option<usize>,
    /// Records that came before their template may take so much [default: 16MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Bounds of the decoder")]
    pub template_wait_size: Option<Size>,
    /// ... and wait for it so long [default: 2m]
    #[arg(long, value_name = "SPAN", help_heading = "Bounds of the decoder")]
    pub template_wait: Option<Span>,

    /// An Observation Domain that was silent for so long is forgotten, and so is a template that was
    /// neither sent nor used [default: 2h]
    #[arg(long, value_name = "SPAN", help_heading = "Bounds of the decoder")]
    pub domain_idle: Option<Span>,
    /// Names of interfaces and applications, and types of elements, that exporters may teach, for each
    /// worker [default: 65536]
    #[arg(long, value_name = "N", help_heading = "Bounds of the decoder")]
    pub max_names: Option<usize>,
    /// Flows whose running totals are remembered, for each worker, of exporters that send no deltas
    /// [default: 65536]
    #[arg(long, value_name = "N", help_heading = "Bounds of the decoder")]
    pub max_totals: Option<usize>,

    /// Settings file, YAML
    #[arg(long, value_name = "FILE", help_heading = "Settings and logs")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Print the effective settings, a valid --config file, and exit
    #[arg(long, help_heading = "Settings and logs")]
    #[serde(skip)]
    pub check: bool,
    /// How log lines are written to stderr: text or json; RUST_LOG says which [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = "Settings and logs")]
    pub log_format: Option<LogFormat>,
}

/// The effective settings. Each is described by its flag in [`Flags`].
#[derive(Clone, Debug, Deserialize, Serialize)]
#[expect(missing_docs, reason = "each is described by its flag")]
pub struct Settings {
    pub listen: Vec<ListenUrl>,
    pub allow_exporters: Vec<AllowedExporters>,
    pub read: Vec<PathBuf>,
    pub explain: bool,
    pub workers: usize,
    pub receive_buffer: Size,
    pub max_connections: usize,
    pub max_connections_of_address: usize,
    pub read_timeout: Span,
    pub connection_idle: Span,
    pub kubernetes: String,
    pub inventory: Option<PathBuf>,
    pub observer_wait: Span,
    pub held_records: usize,
    pub attribution_wait: Span,
    pub inventory_wait: Span,
    pub deleted_pods_kept: Span,
    pub max_clock_skew: Span,
    pub node_pool_label: String,
    pub namespace_label: String,
    pub workload_labels: Vec<String>,
    pub probe_selector: String,
    pub probe_namespace: String,
    pub cluster_name: String,
    pub max_endpoints: u32,
    pub max_nodes: u32,
    pub cidr: Vec<NamedCidr>,
    pub geoip: Vec<PathBuf>,
    pub cloud_ranges: Vec<PathBuf>,
    pub max_outside: usize,
    pub http: ListenAddress,
    pub flow_log: Option<FlowLogTarget>,
    pub flow_log_queue: Size,
    pub forward: Vec<Target>,
    pub forward_records: Which,
    pub forward_queue: usize,
    pub replicate: Vec<ReplicaUrl>,
    pub replicate_queue: Size,
    pub print_metrics: bool,
    pub preset: Vec<Preset>,
    pub intra_node: bool,
    pub connections_from_flows: bool,
    pub flow_direction: FlowDirection,
    pub node_flow_direction: FlowDirection,
    pub max_exporter_series: usize,
    pub max_series: usize,
    pub series_idle: Span,
    pub max_edges: usize,
    pub max_domains: usize,
    pub max_templates: usize,
    pub template_wait_size: Size,
    pub template_wait: Span,
    pub domain_idle: Span,
    pub max_names: usize,
    pub max_totals: usize,
    pub log_format: LogFormat,
}

impl Default for Settings {
    fn default() -> Self {
        let any = |port| std::net::SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port));
        Self {
            listen: vec![ListenUrl::Udp(any(4739)), ListenUrl::Udp(any(2055))],
            allow_exporters: Vec::new(),
            read: Vec::new(),
            explain: false,
            workers: 1,
            receive_buffer: Size::from_bytes(8 << 20),
            max_connections: 1024,
            max_connections_of_address: 512,
            read_timeout: Span::from_secs(10),
            connection_idle: Span::from_secs(1800),
            kubernetes: "auto".into(),
            inventory: None,
            observer_wait: Span::from_secs(10),
            held_records: 65_536,
            attribution_wait: Span::from_secs(5),
            inventory_wait: Span::from_secs(30),
            deleted_pods_kept: Span::from_secs(300),
            max_clock_skew: Span::from_secs(600),
            node_pool_label: String::new(),
            namespace_label: String::new(),
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
            max_outside: 1 << 18,
            http: ListenAddress(any(8080)),
            flow_log: None,
            flow_log_queue: Size::from_bytes(16 << 20),
            forward: Vec::new(),
            forward_records: Which::default(),
            forward_queue: 65_536,
            replicate: Vec::new(),
            replicate_queue: Size::from_bytes(8 << 20),
            print_metrics: false,
            preset: Preset::DEFAULT.to_vec(),
            intra_node: false,
            connections_from_flows: false,
            flow_direction: FlowDirection::Both,
            node_flow_direction: FlowDirection::Both,
            max_exporter_series: 256,
            max_series: 100_000,
            series_idle: Span::from_secs(3600),
            max_edges: 262_144,
            max_domains: 4096,
            max_templates: 4096,
            template_wait_size: Size::from_bytes(16 << 20),
            template_wait: Span::from_secs(120),
            domain_idle: Span::from_secs(7200),
            max_names: 65_536,
            max_totals: 65_536,
            log_format: LogFormat::Text,
        }
    }
}

impl Settings {
    /// Layers the settings and checks what they must be with each other.
    ///
    /// # Errors
    /// A sentence that names the setting, the value and what is allowed.
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

/// Which records count where an exporter makes two of the same packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FlowDirection {
    /// All of them.
    #[default]
    Both,
    /// Those of packets that enter.
    Ingress,
    /// Those of packets that leave.
    Egress,
}

impl FlowDirection {
    /// The value of 61 `flowDirection` that counts; `None` for all.
    #[must_use]
    pub const fn value(self) -> Option<u8> {
        match self {
            Self::Both => None,
            Self::Ingress => Some(0),
            Self::Egress => Some(1),
        }
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
