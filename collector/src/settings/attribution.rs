//! Flags of the attribution of addresses to workloads.

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use ipnet::IpNet;
use kipfix_service::settings::{Size, Span, within};
use serde::Serialize;

use super::label_selector::LabelSelector;

/// Maximum length of a label's key in Kubernetes, octets.
const MAX_LABEL_KEY: usize = 317;

/// Flags of the attribution.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "Attribution")]
pub struct AttributionFlags {
    /// Watch Kubernetes for pods, nodes and Services: auto (if running in a cluster), off, or a
    /// kubeconfig file
    #[arg(
        long,
        value_name = "auto|off|KUBECONFIG",
        default_value = "auto",
        value_parser = NonEmptyStringValueParser::new(),
    )]
    pub kubernetes: String,
    /// YAML file with nodes, pods, services and cidrs, instead of or next to Kubernetes
    #[arg(long, value_name = "FILE")]
    pub inventory: Option<PathBuf>,
    /// Network whose addresses are ends of tunnels, in addition to the nodes. The inner packet of
    /// a tunnel is attributed only if both ends are nodes or in such a network, otherwise the
    /// outer packet. Repeatable
    #[arg(long, value_name = "CIDR", value_parser = cidr)]
    pub tunnel_cidr: Vec<IpNet>,
    /// Maximum time that a record waits for a sign that the other node of its flow is observed
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10s",
        value_parser = within(Span::SECOND, Span::MINUTE),
    )]
    pub observer_wait: Span,
    /// Active timeout of the exporters on nodes. After this time plus --observer-wait without a
    /// Message, a node counts as not observed, and the records of the other node count
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "60s",
        value_parser = within(Span::SECOND, Span::HOUR),
    )]
    pub observer_timeout: Span,
    /// Maximum size of the pending records of a worker: those that wait for the other observer or
    /// for the inventory. Each exporter has a share; when it is full, records are decided early
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "16MiB",
        value_parser = within(Size::kib(4), Size::gib(64)),
    )]
    pub pending_queue: Size,
    /// How long a record waits for Kubernetes to report the pod that has its address
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5s",
        value_parser = within(Span::ZERO, Span::MINUTE),
    )]
    pub attribution_wait: Span,
    /// Maximum time after start to hold records until the initial Kubernetes list is loaded
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "30s",
        value_parser = within(Span::ZERO, Span::from_secs(600)),
    )]
    pub inventory_wait: Span,
    /// How long a deleted pod, node or Service is retained for late records
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5m",
        value_parser = within(Span::ZERO, Span::DAY),
    )]
    pub deleted_pods_kept: Span,
    /// Maximum clock offset of an exporter. If it is larger, its records are taken to be of the
    /// time at which they arrive
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10m",
        value_parser = within(Span::ZERO, Span::YEAR),
    )]
    pub max_clock_skew: Span,
    /// Node labels whose value is the pool of the node; the first one that the node has is used.
    /// Repeatable; without pools: node_pool_labels: [] in the file of --config
    #[arg(
        long,
        value_name = "LABEL",
        default_values = [
            "karpenter.sh/nodepool",
            "eks.amazonaws.com/nodegroup",
            "cloud.google.com/gke-nodepool",
            "kubernetes.azure.com/agentpool",
            "doks.digitalocean.com/node-pool",
            "k8s.scaleway.com/pool-name",
            "ibm-cloud.kubernetes.io/worker-pool-name",
            "worker.gardener.cloud/pool",
            "kops.k8s.io/instancegroup",
            "alpha.eksctl.io/nodegroup-name",
        ],
        value_parser = label,
    )]
    pub node_pool_labels: Vec<String>,
    /// Namespace label whose value is the group of the namespace, e.g. a team or cost centre.
    /// Namespaces are watched only if it is set [default: none]
    #[arg(long, value_name = "LABEL", default_value = "")]
    pub namespace_label: String,
    /// Pod labels that are kept: fields such as src.label["team"] of metric families and filters,
    /// and members of the flow log. Those that families and filters read at the start are kept in
    /// any case. Repeatable [default: none]
    #[arg(long, value_name = "LABEL", value_parser = label)]
    pub pod_labels: Vec<String>,
    /// The same for labels of namespaces: src.namespace_label["team"]. Namespaces are watched if
    /// any is kept. Repeatable [default: none]
    #[arg(long, value_name = "LABEL", value_parser = label)]
    pub namespace_labels: Vec<String>,
    /// Pod labels whose value is the workload of a pod without a controller; the first one that
    /// the pod has is used. Repeatable; without labels: workload_labels: [] in the file of --config
    #[arg(
        long,
        value_name = "LABEL",
        default_values = ["app.kubernetes.io/name", "app", "k8s-app"],
        value_parser = label,
    )]
    pub workload_labels: Vec<String>,
    /// Labels of probe pods. A node with a Ready probe is observed
    #[arg(
        long,
        value_name = "LABEL=VALUE,...",
        default_value = "app.kubernetes.io/name=kipfix,app.kubernetes.io/component=probe"
    )]
    pub probe_selector: LabelSelector,
    /// Namespace of the probes. Pods in other namespaces are not probes, whatever their labels
    /// [default: the collector's own namespace, or that of the kubeconfig's context]
    #[arg(long, value_name = "NAMESPACE", default_value = "")]
    pub probe_namespace: String,
    /// Name of the cluster: label "cluster" of every traffic metric, "clusterId" in the flow log
    /// [default: none]
    #[arg(long, value_name = "NAME", default_value = "")]
    pub cluster_name: String,
    /// Maximum number of pods, Services, nodes and pod CIDRs, including retained ones
    #[arg(long, value_name = "N", default_value_t = 1 << 20, value_parser = within(16u32, 1 << 26))]
    pub max_endpoints: u32,
    /// Maximum number of nodes, including retained ones
    #[arg(long, value_name = "N", default_value_t = 1 << 14, value_parser = within(16u32, 1 << 20))]
    pub max_nodes: u32,
}

fn cidr(text: &str) -> Result<IpNet, &'static str> {
    text.parse()
        .map_err(|_| "must be a CIDR, e.g. 192.0.2.0/24")
}

fn label(text: &str) -> Result<String, String> {
    let is_key = (1..=MAX_LABEL_KEY).contains(&text.len());
    let label = is_key.then(|| text.to_owned());
    label.ok_or_else(|| format!("must be the key of a label, 1–{MAX_LABEL_KEY} octets"))
}
