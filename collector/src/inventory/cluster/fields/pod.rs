//! The fields of a Pod.

use flowproto::Address;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use serde::Deserialize;

use super::parse::{
    Controller, REGION_LABELS, ZONE_LABELS, address, controller, distinct, first_label,
    kept_labels, label, milliseconds, or_default, port,
};
use super::pod_networks::{self, PodNetworks};
use crate::inventory::address_key::TransportPort;
use crate::inventory::cluster::selectors::LabelSelectors;
use crate::inventory::cluster::uid::uid;

#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = core::Pod)]
pub(in super::super) struct Pod {
    metadata: ObjectMeta,
    #[serde(default, deserialize_with = "or_default")]
    spec: PodSpec,
    #[serde(default, deserialize_with = "or_default")]
    status: PodStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    #[serde(deserialize_with = "or_default")]
    node_name: String,
    #[serde(deserialize_with = "or_default")]
    host_network: bool,
    #[serde(deserialize_with = "or_default")]
    containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    init_containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    #[serde(deserialize_with = "or_default")]
    ports: Vec<ContainerPort>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerPort {
    #[serde(deserialize_with = "or_default")]
    container_port: i32,
    #[serde(deserialize_with = "or_default")]
    host_port: i32,
    #[serde(rename = "hostIP", deserialize_with = "or_default")]
    host_ip: String,
    #[serde(deserialize_with = "or_default")]
    protocol: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    #[serde(deserialize_with = "or_default")]
    phase: String,
    #[serde(rename = "podIP", deserialize_with = "or_default")]
    pod_ip: String,
    #[serde(rename = "podIPs", deserialize_with = "or_default")]
    pod_ips: Vec<PodIp>,
    start_time: Option<Time>,
    #[serde(deserialize_with = "or_default")]
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PodIp {
    #[serde(deserialize_with = "or_default")]
    ip: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    #[serde(rename = "type", deserialize_with = "or_default")]
    kind: String,
    #[serde(deserialize_with = "or_default")]
    status: String,
    last_transition_time: Option<Time>,
}

/// The fields of a Pod. Times are in milliseconds since the epoch.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct PodFields {
    pub(in super::super) uid: u128,
    pub(in super::super) namespace: String,
    pub(in super::super) name: String,
    /// Empty until the pod is scheduled.
    pub(in super::super) node: String,
    /// Empty if the pod does not have the label.
    pub(in super::super) zone: String,
    /// Empty if the pod does not have the label.
    pub(in super::super) region: String,
    pub(in super::super) host_network: bool,
    /// Addresses from the status.
    pub(in super::super) addresses: Vec<Address>,
    /// Addresses from annotations, that the status does not have: secondary networks.
    pub(in super::super) claimed_addresses: Vec<Address>,
    /// Ports of the node that lead to the pod: of one of the node's addresses, or of all.
    pub(in super::super) ports: Vec<(Option<Address>, TransportPort)>,
    pub(in super::super) started: u64,
    /// All containers have terminated: the pod does not have its addresses any more.
    pub(in super::super) is_terminated: bool,
    /// Time of the termination, if known.
    pub(in super::super) terminated: Option<u64>,
    /// Time when the deletion will be or should have been complete.
    pub(in super::super) deletion: Option<u64>,
    pub(in super::super) controller: Option<Controller>,
    pub(in super::super) template_hash: Option<String>,
    pub(in super::super) rollout_hash: Option<String>,
    /// Labels that are kept.
    pub(in super::super) labels: Vec<(String, String)>,
    /// Value of the workload label.
    pub(in super::super) label: Option<String>,
    /// Whether the probe is Ready. `None` if the pod is not a probe.
    pub(in super::super) probe_ready: Option<bool>,
    /// An annotation that cannot be read.
    pub(in super::super) malformed: Option<&'static str>,
}

impl Pod {
    pub(in super::super) fn fields(self, selectors: &LabelSelectors) -> PodFields {
        let Self {
            metadata,
            spec,
            status,
        } = self;
        let is_terminated = matches!(status.phase.as_str(), "Succeeded" | "Failed");
        let ready = status.conditions.iter().find(|c| c.kind == "Ready");
        let is_probe = metadata.namespace.as_deref() == Some(&selectors.probe_namespace)
            && selectors
                .probe_labels
                .iter()
                .all(|(name, value)| label(&metadata, name) == Some(value));
        let is_ready = !is_terminated && ready.is_some_and(|c| c.status == "True");
        let created = metadata.creation_timestamp.as_ref().and_then(milliseconds);
        let started = status.start_time.as_ref().and_then(milliseconds);
        let reported = status.pod_ips.iter().map(|pod| pod.ip.as_str());
        let reported = reported.chain([status.pod_ip.as_str()]);
        let addresses = distinct(reported.filter_map(address));
        let networks = match &metadata.annotations {
            Some(annotations) if !spec.host_network => pod_networks::read(annotations, &addresses),
            _ => PodNetworks::default(),
        };
        PodFields {
            zone: first_label(&metadata, &ZONE_LABELS),
            region: first_label(&metadata, &REGION_LABELS),
            addresses,
            claimed_addresses: networks.addresses,
            malformed: networks.malformed,
            ports: host_ports(&spec),
            host_network: spec.host_network,
            started: started.or(created).unwrap_or_default(),
            is_terminated,
            terminated: ready
                .filter(|_| is_terminated)
                .and_then(|ready| milliseconds(ready.last_transition_time.as_ref()?)),
            deletion: metadata.deletion_timestamp.as_ref().and_then(milliseconds),
            controller: pod_controller(&metadata),
            template_hash: label(&metadata, "pod-template-hash").cloned(),
            rollout_hash: label(&metadata, "rollouts-pod-template-hash").cloned(),
            label: selectors
                .workload_labels
                .iter()
                .find_map(|name| label(&metadata, name))
                .cloned(),
            labels: kept_labels(&metadata, &selectors.kept.pods),
            probe_ready: is_probe.then_some(is_ready),
            node: spec.node_name,
            uid: uid(metadata.uid.as_deref().unwrap_or_default()),
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name.unwrap_or_default(),
        }
    }
}

/// Annotations of a pod with its ReplicationController, and with the DeploymentConfig (OpenShift)
/// that controls it.
const DEPLOYMENT: &str = "openshift.io/deployment.name";
const DEPLOYMENT_CONFIG: &str = "openshift.io/deployment-config.name";

/// Returns the controller of a pod. A DeploymentConfig has a ReplicationController for each of its
/// versions, as a Deployment has ReplicaSets.
fn pod_controller(metadata: &ObjectMeta) -> Option<Controller> {
    let controller = controller(metadata)?;
    let annotation = |name: &str| metadata.annotations.as_ref()?.get(name);
    let is_version = (&*controller.group, &*controller.kind) == ("", "ReplicationController")
        && annotation(DEPLOYMENT) == Some(&controller.name);
    match annotation(DEPLOYMENT_CONFIG).filter(|_| is_version) {
        Some(config) => Some(Controller {
            group: "apps.openshift.io".into(),
            kind: "DeploymentConfig".into(),
            name: config.clone(),
            ..controller
        }),
        None => Some(controller),
    }
}

/// Returns the ports of the node that the containers declare. A port on a loopback address of the
/// node is not reachable from elsewhere.
fn host_ports(spec: &PodSpec) -> Vec<(Option<Address>, TransportPort)> {
    let containers = spec.containers.iter().chain(&spec.init_containers);
    let declared = containers.flat_map(|container| &container.ports);
    distinct(declared.filter_map(|declared| {
        let number = match declared.host_port {
            0 if spec.host_network => declared.container_port,
            number => number,
        };
        let port = port(&declared.protocol, number)?;
        match declared.host_ip.as_str() {
            "" | "0.0.0.0" | "::" => Some((None, port)),
            text => address(text).map(|address| (Some(address), port)),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_config_is_the_controller_of_its_replication_controllers() {
        let owner = |controller: &str, annotations: &str| {
            let text = format!(
                r#"{{"metadata": {{"name": "cart-7-x", "annotations": {annotations},
                "ownerReferences": [{{"apiVersion": "v1", "kind": "ReplicationController",
                    "name": "{controller}", "uid": "7", "controller": true}}]}}}}"#
            );
            let pod: Pod = serde_json::from_str(&text).unwrap();
            let controller = pod.fields(&LabelSelectors::default()).controller.unwrap();
            format!("{} {}", controller.kind, controller.name)
        };
        let annotations = r#"{"openshift.io/deployment-config.latest-version": "7",
            "openshift.io/deployment-config.name": "cart", "openshift.io/deployment.name": "cart-7"}"#;
        assert_eq!(owner("cart-7", annotations), "DeploymentConfig cart");
        assert_eq!(owner("other", annotations), "ReplicationController other");
        assert_eq!(owner("cart-7", "{}"), "ReplicationController cart-7");
    }

    #[test]
    fn a_pod_with_the_labels_of_a_probe_is_one_in_the_namespace_of_the_probes_only() {
        let selectors = LabelSelectors {
            probe_labels: vec![("component".to_owned(), "probe".to_owned())],
            probe_namespace: "kipfix".to_owned(),
            ..LabelSelectors::default()
        };
        let ready = |namespace: &str, component: &str| {
            let text = format!(
                r#"{{"metadata": {{"name": "x", "namespace": "{namespace}",
                    "labels": {{"component": "{component}"}}}},
                "status": {{"conditions": [{{"type": "Ready", "status": "True"}}]}}}}"#
            );
            let pod: Pod = serde_json::from_str(&text).unwrap();
            pod.fields(&selectors).probe_ready
        };
        assert_eq!(ready("kipfix", "probe"), Some(true));
        assert_eq!(ready("kipfix", "collector"), None);
        assert_eq!(ready("shop", "probe"), None);
    }

    #[test]
    fn null_stands_for_what_a_pod_does_not_have() {
        for text in [
            r#"{"metadata": {"name": "web"}, "spec": null, "status": null}"#,
            r#"{"metadata": {"name": "web", "labels": null, "annotations": null},
            "spec": {"nodeName": null, "hostNetwork": null, "containers": null,
                "initContainers": [{"ports": null}]},
            "status": {"phase": null, "podIP": null, "podIPs": null, "startTime": null,
                "conditions": null}}"#,
            r#"{"metadata": {"name": "web"}, "spec": {"containers": [{"ports": [{"hostPort": null,
                "hostIP": null, "protocol": null, "containerPort": null}]}]},
            "status": {"podIPs": [{"ip": null}], "conditions": [{"type": null, "status": null,
                "lastTransitionTime": null}]}}"#,
        ] {
            let pod: Pod = serde_json::from_str(text).unwrap();
            let fields = pod.fields(&LabelSelectors::default());
            assert_eq!((&*fields.name, fields.addresses), ("web", Vec::new()));
            assert_eq!(fields.ports, []);
        }
    }
}
