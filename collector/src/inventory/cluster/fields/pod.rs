//! What is read of a Pod.

use flowproto::Address;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use serde::{Deserialize, Serialize};

use super::super::super::address_history::TransportPort;
use super::{Controller, LabelSelectors, address, controller, milliseconds, once, port};

#[derive(Clone, Debug, Deserialize, Serialize, Resource)]
#[resource(inherit = core::Pod)]
pub(in super::super) struct Pod {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    node_name: String,
    host_network: bool,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Container {
    ports: Vec<ContainerPort>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerPort {
    container_port: i32,
    host_port: i32,
    #[serde(rename = "hostIP")]
    host_ip: String,
    protocol: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: String,
    #[serde(rename = "podIP")]
    pod_ip: String,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<PodIp>,
    start_time: Option<Time>,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct PodIp {
    ip: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    last_transition_time: Option<Time>,
}

/// What is kept of a pod until it is in the writer.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct PodFields {
    pub(in super::super) uid: String,
    pub(in super::super) namespace: String,
    pub(in super::super) name: String,
    /// Empty until it is scheduled.
    pub(in super::super) node: String,
    pub(in super::super) host_network: bool,
    pub(in super::super) addresses: Vec<Address>,
    /// Ports of its node that lead to it: of one of the node's addresses, or of all.
    pub(in super::super) ports: Vec<(Option<Address>, TransportPort)>,
    /// Milliseconds since the epoch, as all times here.
    pub(in super::super) started: u64,
    /// It has run to its end: it holds its addresses no longer.
    pub(in super::super) is_over: bool,
    /// When that was, as far as known.
    pub(in super::super) over: Option<u64>,
    /// When it will have gone, or should have.
    pub(in super::super) deletion: Option<u64>,
    pub(in super::super) controller: Option<Controller>,
    pub(in super::super) template_hash: Option<String>,
    pub(in super::super) rollout_hash: Option<String>,
    pub(in super::super) label: Option<String>,
    /// It is a probe, and Ready.
    pub(in super::super) is_ready_probe: bool,
}

impl Pod {
    pub(in super::super) fn fields(self, selectors: &LabelSelectors) -> PodFields {
        let Self {
            metadata,
            spec,
            status,
        } = self;
        let label = |name: &str| metadata.labels.as_ref().and_then(|labels| labels.get(name));
        let is_over = matches!(status.phase.as_str(), "Succeeded" | "Failed");
        let ready = status.conditions.iter().find(|c| c.kind == "Ready");
        let is_probe = selectors
            .probe_labels
            .iter()
            .all(|(name, value)| label(name) == Some(value));
        let created = metadata.creation_timestamp.as_ref().and_then(milliseconds);
        let reported = status.pod_ips.iter().map(|pod| pod.ip.as_str());
        let ports = spec.containers.iter().chain(&spec.init_containers);
        let ports = ports.flat_map(|container| &container.ports);
        let ports = ports.filter_map(|declared| {
            let number = match declared.host_port {
                0 if spec.host_network => declared.container_port,
                number => number,
            };
            let port = port(&declared.protocol, number)?;
            Some((address(&declared.host_ip), port))
        });
        PodFields {
            addresses: once(reported.chain([status.pod_ip.as_str()]).filter_map(address)),
            ports: once(ports),
            host_network: spec.host_network,
            started: status
                .start_time
                .as_ref()
                .and_then(milliseconds)
                .or(created)
                .unwrap_or_default(),
            is_over,
            over: ready
                .filter(|_| is_over)
                .and_then(|ready| milliseconds(ready.last_transition_time.as_ref()?)),
            deletion: metadata.deletion_timestamp.as_ref().and_then(milliseconds),
            controller: controller(&metadata),
            template_hash: label("pod-template-hash").cloned(),
            rollout_hash: label("rollouts-pod-template-hash").cloned(),
            label: selectors
                .workload_labels
                .iter()
                .find_map(|name| label(name))
                .cloned(),
            is_ready_probe: is_probe && !is_over && ready.is_some_and(|c| c.status == "True"),
            node: spec.node_name,
            uid: metadata.uid.unwrap_or_default(),
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name.unwrap_or_default(),
        }
    }
}
