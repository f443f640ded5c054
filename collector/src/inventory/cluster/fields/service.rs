//! What is read of a Service, and of the EndpointSlices of one that leads out of the cluster.

use flowproto::Address;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Serialize};

use super::super::super::address_history::TransportPort;
use super::{address, milliseconds, once, port};

#[derive(Clone, Debug, Deserialize, Serialize, Resource)]
#[resource(inherit = core::Service)]
pub(in super::super) struct Service {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: ServiceSpec,
    #[serde(default)]
    status: ServiceStatus,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceSpec {
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Vec<String>,
    #[serde(rename = "externalIPs")]
    external_ips: Vec<String>,
    ports: Vec<ServicePort>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct ServicePort {
    port: i32,
    node_port: i32,
    protocol: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceStatus {
    load_balancer: LoadBalancer,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct LoadBalancer {
    ingress: Vec<Ingress>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Ingress {
    ip: String,
}

/// What is kept of a service until it is in the writer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct ServiceFields {
    pub(in super::super) uid: String,
    pub(in super::super) namespace: String,
    pub(in super::super) name: String,
    pub(in super::super) addresses: Vec<Address>,
    /// Addresses that may be a node's too: there, only its ports are the service's.
    pub(in super::super) shared_addresses: Vec<Address>,
    pub(in super::super) ports: Vec<TransportPort>,
    pub(in super::super) node_ports: Vec<TransportPort>,
    pub(in super::super) created: u64,
}

impl Service {
    pub(in super::super) fn fields(self) -> ServiceFields {
        let Self {
            metadata,
            spec,
            status,
        } = self;
        let virtual_ips = spec.cluster_ips.iter().chain([&spec.cluster_ip]);
        let balanced = status.load_balancer.ingress.iter().map(|i| &i.ip);
        let shared = once(
            spec.external_ips
                .iter()
                .chain(balanced)
                .filter_map(|text| address(text)),
        );
        let ports = spec.ports.iter();
        ServiceFields {
            addresses: once(
                virtual_ips
                    .filter_map(|text| address(text))
                    .chain(shared.iter().copied()),
            ),
            shared_addresses: shared,
            ports: ports
                .clone()
                .filter_map(|p| port(&p.protocol, p.port))
                .collect(),
            node_ports: ports
                .filter_map(|p| port(&p.protocol, p.node_port))
                .collect(),
            created: metadata
                .creation_timestamp
                .as_ref()
                .and_then(milliseconds)
                .unwrap_or_default(),
            uid: metadata.uid.unwrap_or_default(),
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name.unwrap_or_default(),
        }
    }
}

//------------ EndpointSlices --------------------------------------------------------------------

#[derive(Clone, Debug, Deserialize, Serialize, Resource)]
#[resource(inherit = discovery::EndpointSlice)]
pub(in super::super) struct Slice {
    metadata: ObjectMeta,
    #[serde(default)]
    endpoints: Vec<SliceEndpoint>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct SliceEndpoint {
    addresses: Vec<String>,
    target_ref: Option<TargetRef>,
}

/// The object that an endpoint stands for; which one does not matter.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct TargetRef {}

/// What is kept of an EndpointSlice until it is in the writer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct EndpointSliceFields {
    pub(in super::super) uid: String,
    pub(in super::super) namespace: String,
    /// Of the Service that it belongs to; empty where it belongs to none.
    pub(in super::super) service: String,
    /// Addresses that no object of the cluster stands for: a Service without a selector leads to them,
    /// as `kubernetes` does to an API server that is managed elsewhere.
    pub(in super::super) addresses: Vec<Address>,
    pub(in super::super) created: u64,
}

const SERVICE_LABEL: &str = "kubernetes.io/service-name";

impl Slice {
    pub(in super::super) fn fields(self) -> EndpointSliceFields {
        let Self {
            metadata,
            endpoints,
        } = self;
        let labels = metadata.labels.as_ref();
        let foreign = endpoints.iter().filter(|end| end.target_ref.is_none());
        let addresses = foreign.flat_map(|end| &end.addresses);
        EndpointSliceFields {
            service: labels
                .and_then(|labels| labels.get(SERVICE_LABEL).cloned())
                .unwrap_or_default(),
            addresses: once(addresses.filter_map(|text| address(text))),
            created: metadata
                .creation_timestamp
                .as_ref()
                .and_then(milliseconds)
                .unwrap_or_default(),
            uid: metadata.uid.unwrap_or_default(),
            namespace: metadata.namespace.unwrap_or_default(),
        }
    }
}
