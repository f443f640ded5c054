//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use ipnet::IpNet;
use kipfix_service::logs::LogFormat;
use kipfix_service::settings::{Size, Span};
use serde::Serialize;

use super::http_flags::HttpFlags;
use crate::aggregate::expression::Expression;
use crate::aggregate::{FamilyDefinition, HostWildcard, Preset};
use crate::emit::EmittedRecords;
use crate::emit::flow_log::{FlowLogFormat, FlowLogTarget};
use crate::emit::forward::ForwardTarget;
use crate::emit::replicate::ReplicaUrl;
use crate::inventory::external::NamedCidr;
use crate::pipeline::CountedDirection;
use crate::receive::listen_url::ListenUrl;
use crate::receive::senders::AllowedExporters;
use crate::top::TopFlags;

const AFTER_HELP: &str = "\
Examples:
  kipfix-collector --inventory cluster.yaml --flow-log file:/var/log/flows.json
      listen on UDP 4739 and 2055, attribute by the file, serve http://HOST:8080/metrics
  kipfix-collector --read export.pcap --flow-log stdout: --print-metrics
      print every record of a capture as JSON, then the counters, and exit
  kipfix-collector --read export.pcap --explain
      print every message, set and record of a capture, and every violation of the protocol

Every flag is also a key of the --config file (with _ for -) and an environment variable
(KIPFIX_COLLECTOR__ and the key in capitals; lists separated by commas).
Exit codes: 0 stopped on request or done, 64 invalid settings, 1 start failed, a stage died or a
file of --read was not read to its end.";

#[expect(
    rustdoc::broken_intra_doc_links,
    reason = "the texts of --help have addresses such as [::]:8080 in them"
)]
/// Collects NetFlow and IPFIX, attributes flows to Kubernetes workloads, and serves Prometheus counters.
#[derive(Debug, Default, Parser, Serialize)]
#[command(
    name = "kipfix-collector",
    version,
    after_help = AFTER_HELP,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub struct Flags {
    /// Address on which flow export is received: udp://ADDRESS:PORT (IPFIX, NetFlow v9, v7, v5),
    /// tcp://ADDRESS:PORT (IPFIX) or tls://ADDRESS:PORT?cert=FILE&key=FILE. With &client-ca=FILE
    /// exporters must present a certificate signed by one of these CAs, with &client-name=NAME
    /// (repeatable) one for that name. Changed files are reloaded. Repeatable
    /// [default: udp://[::]:4739 and udp://[::]:2055, both for IPv6 and IPv4]
    #[arg(long, value_name = "URL", help_heading = "Input")]
    pub listen: Vec<ListenUrl>,
    /// Exporters that may send: a CIDR, an address, or nodes for the nodes of the cluster. Others are
    /// refused and counted. Repeatable [default: all]
    #[arg(long, value_name = "CIDR|nodes", help_heading = "Input")]
    pub allow_exporters: Vec<AllowedExporters>,
    /// YAML file with policies of exporters by address: whether their records count (records: auto, count,
    /// inform or ignore), the direction that counts (direction: both, ingress or egress), and their
    /// sampling (sampling: N replaces what they announce, default_sampling: N applies without an
    /// announcement). By default (auto) a record of an exporter that is not a node of the cluster counts
    /// unless a node of its flow is observed
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    pub exporters: Option<PathBuf>,
    /// Read a pcap or pcapng capture of flow export, or an IPFIX file, as if it were received, and exit.
    /// '-' is stdin. No socket is opened unless its flag is given. Repeatable
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    pub read: Vec<PathBuf>,
    /// With --read: print every message, set, template and record on stdout, with names, units and
    /// offsets, and every violation of the protocol with its rule. Nothing else is done. Violations in
    /// the input do not change the exit code
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        help_heading = "Input"
    )]
    pub explain: Option<bool>,
    /// With --explain: also decode each datagram with netflow_parser, a widely embedded decoder, and print
    /// where it reads a record differently
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        help_heading = "Input"
    )]
    pub compare: Option<bool>,
    /// Keep templates, options data and sequence numbers of exporters that send datagrams in this file,
    /// so that they survive a restart. Written every minute and at the end [default: none]
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    pub state: Option<PathBuf>,
    /// Number of threads that receive and decode datagrams, and of those for connections. Each has
    /// sockets of its own, and an exporter stays on one of them [default: 1]
    #[arg(long, value_name = "N", help_heading = "Input")]
    pub workers: Option<usize>,
    /// Receive buffer of each UDP socket, in bytes or with K, M, G [default: 8MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Input")]
    pub receive_buffer: Option<Size>,

    /// Maximum number of open connections (TCP, TLS) [default: 1024]
    #[arg(long, value_name = "N", help_heading = "Input")]
    pub max_connections: Option<usize>,
    /// Maximum number of open connections from one address. When a limit is reached, the oldest
    /// connection without a complete Message is closed for a new one [default: 512]
    #[arg(long, value_name = "N", help_heading = "Input")]
    pub max_connections_per_address: Option<usize>,
    /// Maximum time for a TLS handshake, and for the rest of a Message that has begun [default: 10s]
    #[arg(long, value_name = "SPAN", help_heading = "Input")]
    pub read_timeout: Option<Span>,
    /// Time without a Message after which a connection is closed [default: 30m]
    #[arg(long, value_name = "SPAN", help_heading = "Input")]
    pub connection_idle: Option<Span>,

    /// Watch Kubernetes for pods, nodes and Services: auto (if running in a cluster), off, or a
    /// kubeconfig file [default: auto]
    #[arg(long, value_name = "auto|off|KUBECONFIG", help_heading = "Attribution")]
    pub kubernetes: Option<String>,
    /// YAML file with nodes, pods, services and cidrs, instead of or next to Kubernetes
    #[arg(long, value_name = "FILE", help_heading = "Attribution")]
    pub inventory: Option<PathBuf>,
    /// Network whose addresses are ends of tunnels, in addition to the nodes. The inner packet of a tunnel
    /// is attributed only if both ends are nodes or in such a network, otherwise the outer packet. Repeatable
    #[arg(long, value_name = "CIDR", help_heading = "Attribution")]
    pub tunnel_cidr: Vec<IpNet>,
    /// How long a record waits until it is known whether the other node of its flow is observed, too
    /// [default: 10s]
    #[arg(long, value_name = "SPAN", help_heading = "Attribution")]
    pub observer_wait: Option<Span>,
    /// Active timeout of the exporters on nodes. A node without a Message for this time and
    /// --observer-wait is no longer taken to be observed, so the other node's records count
    /// [default: 60s]
    #[arg(long, value_name = "SPAN", help_heading = "Attribution")]
    pub observer_timeout: Option<Span>,
    /// Maximum size of the pending records of a worker: those that wait for the other observer or for
    /// the inventory. Each exporter has a share; when it is full, records are decided early
    /// [default: 16MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Attribution")]
    pub pending_queue: Option<Size>,

    /// How long a record waits for Kubernetes to report the pod that has its address [default: 5s]
    #[arg(long, value_name = "SPAN", help_heading = "Attribution")]
    pub attribution_wait: Option<Span>,
    /// Maximum time after start to hold records until the initial Kubernetes list is loaded
    /// [default: 30s]
    #[arg(long, value_name = "SPAN", help_heading = "Attribution")]
    pub inventory_wait: Option<Span>,
    /// How long a deleted pod, node or Service is retained for late records [default: 5m]
    #[arg(long, value_name = "SPAN", help_heading = "Attribution")]
    pub deleted_pods_kept: Option<Span>,
    /// Maximum clock offset of an exporter. If it is larger, its records are taken to be of the time at
    /// which they arrive [default: 10m]
    #[arg(long, value_name = "SPAN", help_heading = "Attribution")]
    pub max_clock_skew: Option<Span>,
    /// Node label whose value is the node pool [default: none]
    #[arg(long, value_name = "LABEL", help_heading = "Attribution")]
    pub node_pool_label: Option<String>,
    /// Namespace label whose value is the group of the namespace, e.g. a team or cost centre.
    /// Namespaces are watched only if it is set [default: none]
    #[arg(long, value_name = "LABEL", help_heading = "Attribution")]
    pub namespace_label: Option<String>,
    /// Pod labels that are kept: fields such as src.label["team"] of metric families and filters, and
    /// members of the flow log. Those that families and filters read at the start are kept in any case.
    /// Repeatable [default: none]
    #[arg(long, value_name = "LABEL", help_heading = "Attribution")]
    pub pod_labels: Vec<String>,
    /// The same for labels of namespaces: src.namespace_label["team"]. Namespaces are watched if any is
    /// kept. Repeatable [default: none]
    #[arg(long, value_name = "LABEL", help_heading = "Attribution")]
    pub namespace_labels: Vec<String>,
    /// Pod labels whose value is the workload of a pod without a controller; the first one that the pod
    /// has is used. Repeatable [default: app.kubernetes.io/name, app and k8s-app]
    #[arg(long, value_name = "LABEL", help_heading = "Attribution")]
    pub workload_labels: Vec<String>,
    /// Labels of probe pods. A node with a Ready probe is observed
    /// [default: app.kubernetes.io/name=kipfix,app.kubernetes.io/component=probe]
    #[arg(long, value_name = "LABEL=VALUE,...", help_heading = "Attribution")]
    pub probe_selector: Option<String>,
    /// Namespace of the probes. Pods in other namespaces are not probes, whatever their labels
    /// [default: the collector's own namespace, or that of the kubeconfig's context]
    #[arg(long, value_name = "NAMESPACE", help_heading = "Attribution")]
    pub probe_namespace: Option<String>,
    /// Name of the cluster: label "cluster" of every traffic metric, "clusterId" in the flow log
    /// [default: none]
    #[arg(long, value_name = "NAME", help_heading = "Attribution")]
    pub cluster_name: Option<String>,
    /// Maximum number of pods, Services, nodes and pod CIDRs, including retained ones
    /// [default: 1048576]
    #[arg(long, value_name = "N", help_heading = "Attribution")]
    pub max_endpoints: Option<u32>,
    /// Maximum number of nodes, including retained ones [default: 16384]
    #[arg(long, value_name = "N", help_heading = "Attribution")]
    pub max_nodes: Option<u32>,

    /// Name of an external address range. The longest matching prefix is used. Repeatable
    #[arg(long, value_name = "CIDR=NAME", help_heading = "External addresses")]
    pub cidr: Vec<NamedCidr>,
    /// Database of autonomous systems or countries in MaxMind's format (.mmdb). The first one that has
    /// an address is used. Reloaded when it changes. Repeatable
    #[arg(long, value_name = "FILE", help_heading = "External addresses")]
    pub geoip: Vec<PathBuf>,
    /// Address ranges as published by a cloud: AWS ip-ranges.json, Google cloud.json and goog.json, Azure
    /// ServiceTags_*.json. Reloaded when it changes. Repeatable
    #[arg(long, value_name = "FILE", help_heading = "External addresses")]
    pub cloud_ranges: Vec<PathBuf>,
    /// Maximum number of combinations of name, autonomous system, country and cloud. Further ones are
    /// "other" [default: 262144]
    #[arg(long, value_name = "N", help_heading = "External addresses")]
    pub max_external: Option<usize>,

    /// The HTTP port, and what it shows.
    #[command(flatten)]
    #[serde(flatten)]
    pub http: HttpFlags,
    /// Write every record as a line. file: takes rotate-size=SIZE, rotate-every=TIME and keep=N: a
    /// complete file is renamed to PATH with its time, and the oldest ones are removed. SIGHUP opens
    /// the file again, for logrotate
    #[arg(
        long,
        value_name = "stdout:|file:PATH[?rotate-size=SIZE&rotate-every=TIME&keep=N]",
        help_heading = "Output"
    )]
    pub flow_log: Option<FlowLogTarget>,
    /// Format of the lines: json, logfmt (the same members as name=value), or kubezonnet (a sentence for
    /// each direction of a record between two zones) [default: json]
    #[arg(
        long,
        value_name = "FORMAT",
        hide_possible_values = true,
        help_heading = "Output"
    )]
    pub flow_log_format: Option<FlowLogFormat>,
    /// Members of a line (json, logfmt), by the names in the line. Several separated by commas, or
    /// repeated [default: all]
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        help_heading = "Output"
    )]
    pub flow_log_fields: Vec<String>,
    /// The records that are logged: counted (of two nodes that see a flow, one node's) or all
    /// [default: all]
    #[arg(
        long,
        value_name = "counted|all",
        hide_possible_values = true,
        help_heading = "Output"
    )]
    pub flow_log_records: Option<EmittedRecords>,
    /// Expression that selects the records that are logged, as in a metric family, e.g.
    /// 'src.namespace == "shop" && direction == "egress"' [default: all records]
    #[arg(long, value_name = "EXPRESSION", help_heading = "Output")]
    pub flow_log_filter: Option<Expression>,
    /// Log one in N flows, with all of its records. The choice depends only on addresses, ports and
    /// protocol. Each line then has flowLogSample, except for kubezonnet [default: 1]
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub flow_log_sample: Option<u32>,
    /// Maximum size of the flow log's queue. When it is full, lines are dropped and counted
    /// [default: 16MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Output")]
    pub flow_log_queue: Option<Size>,
    /// Send records as IPFIX with the names of their endpoints (Antrea's elements, and kipfix's own where
    /// there is no public one). profile=registered sends registered elements of fixed length only, for
    /// tools that do not read others. tls:// takes ca=FILE, cert=FILE and key=FILE; file: takes
    /// rotate-size=SIZE, rotate-every=TIME and keep=N. kafka://BROKER[:PORT][,BROKER]/TOPIC sends one
    /// message per record: format=protobuf|json, compression=lz4|gzip|none, linger=SPAN, queue=SIZE,
    /// tls=true, ca=FILE, cert=FILE, key=FILE, user=NAME, password-file=FILE,
    /// mechanism=plain|scram-sha-256|scram-sha-512. clickhouse://HOST[:PORT]/DATABASE/TABLE inserts one
    /// row per record: interval=SPAN, batch=SIZE, and compression, queue, TLS and user as for Kafka.
    /// Repeatable
    #[arg(
        long,
        value_name = "udp://HOST:PORT|tcp://...|tls://...|file:PATH|kafka://...|clickhouse://...",
        help_heading = "Output"
    )]
    pub forward: Vec<ForwardTarget>,
    /// The records that are forwarded: counted (of two nodes that see a flow, one node's) or all
    /// [default: counted]
    #[arg(
        long,
        value_name = "counted|all",
        hide_possible_values = true,
        help_heading = "Output"
    )]
    pub forward_records: Option<EmittedRecords>,
    /// Maximum number of records in the forward queue, and in that of each TCP, TLS or file target. When
    /// it is full, records are dropped and counted [default: 65536]
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub forward_queue: Option<usize>,
    /// Send every datagram over UDP as it was received. The exporter's source address is kept if the
    /// kernel permits it (NET_ADMIN or NET_RAW): source=keep requires that, source=own does without.
    /// Repeatable
    #[arg(
        long,
        value_name = "udp://HOST:PORT[?source=keep|own]",
        help_heading = "Output"
    )]
    pub replicate: Vec<ReplicaUrl>,
    /// Maximum size of the queue of each --replicate target. When it is full, datagrams are dropped and
    /// counted [default: 8MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Output")]
    pub replicate_queue: Option<Size>,
    /// With --read: print the metrics on stdout at the end
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        help_heading = "Output"
    )]
    pub print_metrics: Option<bool>,

    /// Metric families. Several separated by commas, or repeated. The key metrics of the --config
    /// file adds families of your own [default: workloads,nodes,zones]
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        help_heading = "Metrics"
    )]
    pub preset: Vec<Preset>,
    /// Metric families of the settings file.
    #[arg(skip)]
    pub metrics: Vec<FamilyDefinition>,
    /// Count the host names of external endpoints that end with DOMAIN together, as *.DOMAIN, for example
    /// *.s3.amazonaws.com. The flow log has the whole name. Several separated by commas, or repeated
    /// [default: none]
    #[arg(
        long,
        value_name = "*.DOMAIN",
        value_delimiter = ',',
        help_heading = "Metrics"
    )]
    pub host_wildcard: Vec<HostWildcard>,
    /// Also count traffic within a node (class intra_node)
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        help_heading = "Metrics"
    )]
    pub intra_node: Option<bool>,
    /// Count each record of an exporter that does not count connections as one connection
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        help_heading = "Metrics"
    )]
    pub connections_from_flows: Option<bool>,
    /// Direction of the records that count, of exporters that are not a node of the cluster: both, ingress
    /// or egress. For routers that report a flow on each of its interfaces [default: both]
    #[arg(
        long,
        value_name = "DIRECTION",
        hide_possible_values = true,
        help_heading = "Metrics"
    )]
    pub flow_direction: Option<CountedDirection>,
    /// The same for exporters on the nodes of the cluster, e.g. Open vSwitch (OVN-Kubernetes)
    /// [default: both]
    #[arg(
        long,
        value_name = "DIRECTION",
        hide_possible_values = true,
        help_heading = "Metrics"
    )]
    pub node_flow_direction: Option<CountedDirection>,
    /// Maximum number of exporters with self-metrics of their own, for each worker [default: 256]
    #[arg(long, value_name = "N", help_heading = "Metrics")]
    pub max_exporter_series: Option<usize>,
    /// Maximum number of series of a family. Further ones are counted under the label value "other"
    /// [default: 100000]
    #[arg(long, value_name = "N", help_heading = "Metrics")]
    pub max_series: Option<usize>,
    /// Time without an addition after which a series is removed [default: 1h]
    #[arg(long, value_name = "SPAN", help_heading = "Metrics")]
    pub series_idle: Option<Span>,
    /// Time for which a new series shows 0 before its first value, so that increase() and rate() include
    /// that value: at least the scrape interval. 0s shows the value at once [default: 60s]
    #[arg(long, value_name = "SPAN", help_heading = "Metrics")]
    pub series_birth: Option<Span>,
    /// In OpenMetrics, add a sample _created with the time at which each series began. Prometheus
    /// stores it as a series of its own unless created-timestamp-zero-ingestion is enabled
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        help_heading = "Metrics"
    )]
    pub created_samples: Option<bool>,
    /// Maximum number of pairs of endpoints that a worker counts before they are merged into the series
    /// without a scrape [default: 262144]
    #[arg(long, value_name = "N", help_heading = "Metrics")]
    pub max_edges: Option<usize>,
    /// Maximum number of TCP connections counted as open, for each worker, by families with the value
    /// open_connections. The one without a record for longest is forgotten [default: 262144]
    #[arg(long, value_name = "N", help_heading = "Metrics")]
    pub max_open_connections: Option<usize>,
    /// Time after its latest record after which an open connection is presumed to have ended. Probes
    /// report an idle connection for their connection timeout [default: 1h]
    #[arg(long, value_name = "SPAN", help_heading = "Metrics")]
    pub open_connection_timeout: Option<Span>,

    /// Maximum number of Observation Domains, for each worker. A new one replaces one that has sent no
    /// record, else one of the same address, else one that has been silent for a minute [default: 4096]
    #[arg(long, value_name = "N", help_heading = "Decoder limits")]
    pub max_domains: Option<usize>,
    /// Maximum number of templates of an Observation Domain [default: 4096]
    #[arg(long, value_name = "N", help_heading = "Decoder limits")]
    pub max_templates: Option<usize>,
    /// Maximum number of fields of all templates, for each worker. A field takes about 50 octets
    /// [default: 2097152]
    #[arg(long, value_name = "N", help_heading = "Decoder limits")]
    pub max_template_fields: Option<usize>,
    /// Share of one address of each of these limits, in percent [default: 25]
    #[arg(long, value_name = "PERCENT", help_heading = "Decoder limits")]
    pub max_address_share: Option<u8>,
    /// Whether records can use the template of another port of their exporter: of the same Source ID in
    /// NetFlow v9, and where the sequence numbers go on [default: true]
    #[arg(long, value_name = "true|false", help_heading = "Decoder limits")]
    pub template_sharing: Option<bool>,
    /// Maximum size of the records that wait for their template [default: 16MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Decoder limits")]
    pub template_wait_size: Option<Size>,
    /// How long records wait for their template [default: 2m]
    #[arg(long, value_name = "SPAN", help_heading = "Decoder limits")]
    pub template_wait: Option<Span>,

    /// Time after which a silent Observation Domain is forgotten, and a template that was neither sent nor
    /// used [default: 2h]
    #[arg(long, value_name = "SPAN", help_heading = "Decoder limits")]
    pub domain_idle: Option<Span>,
    /// Maximum number of interface names, application names and element types learned from options data,
    /// for each worker [default: 65536]
    #[arg(long, value_name = "N", help_heading = "Decoder limits")]
    pub max_metadata: Option<usize>,
    /// Maximum number of flows with a running total, of exporters that send no deltas, for each worker
    /// [default: 65536]
    #[arg(long, value_name = "N", help_heading = "Decoder limits")]
    pub max_running_totals: Option<usize>,

    /// Settings file, YAML
    #[arg(long, value_name = "FILE", help_heading = "General")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Print the effective settings as a valid --config file, and exit
    #[arg(long, help_heading = "General")]
    #[serde(skip)]
    pub check: bool,
    /// Format of the log on stderr: text or json. RUST_LOG sets the level [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = "General")]
    pub log_format: Option<LogFormat>,

    /// Another task instead.
    #[command(subcommand)]
    #[serde(skip)]
    pub task: Option<Task>,
}

/// What the program can do instead of collecting.
#[derive(Clone, Debug, Subcommand)]
pub enum Task {
    /// Show the traffic of a cluster as a live table, from the API of a collector.
    Top(TopFlags),
}
