//! The fields of a Service.

use flowproto::Address;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;

use super::super::uid::uid;
use super::parse::{address, distinct, milliseconds, port};
use crate::inventory::address_key::TransportPort;

#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = core::Service)]
pub(in super::super) struct Service {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: ServiceSpec,
    #[serde(default)]
    status: ServiceStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
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

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServicePort {
    port: i32,
    node_port: i32,
    protocol: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceStatus {
    load_balancer: LoadBalancer,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct LoadBalancer {
    ingress: Vec<Ingress>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Ingress {
    ip: String,
}

/// The fields of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct ServiceFields {
    pub(in super::super) uid: u128,
    pub(in super::super) namespace: String,
    pub(in super::super) name: String,
    /// All addresses.
    pub(in super::super) addresses: Vec<Address>,
    /// External and load balancer addresses. A node or another Service can have the same address.
    /// Only the ports of the Service belong to it then.
    pub(in super::super) shared_addresses: Vec<Address>,
    pub(in super::super) ports: Vec<TransportPort>,
    pub(in super::super) node_ports: Vec<TransportPort>,
    /// Creation time, milliseconds since the epoch.
    pub(in super::super) created: u64,
}

impl Service {
    pub(in super::super) fn fields(self) -> ServiceFields {
        let Self {
            metadata,
            spec,
            status,
        } = self;
        let cluster_ips = spec.cluster_ips.iter().chain([&spec.cluster_ip]);
        let load_balancer = status.load_balancer.ingress.iter().map(|i| &i.ip);
        let shared = spec.external_ips.iter().chain(load_balancer);
        let shared = distinct(shared.filter_map(|text| address(text)));
        let all = cluster_ips.filter_map(|text| address(text));
        let created = metadata.creation_timestamp.as_ref();
        ServiceFields {
            addresses: distinct(all.chain(shared.iter().copied())),
            shared_addresses: shared,
            ports: spec
                .ports
                .iter()
                .filter_map(|p| port(&p.protocol, p.port))
                .collect(),
            node_ports: spec
                .ports
                .iter()
                .filter_map(|p| port(&p.protocol, p.node_port))
                .collect(),
            created: created.and_then(milliseconds).unwrap_or_default(),
            uid: uid(metadata.uid.as_deref().unwrap_or_default()),
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name.unwrap_or_default(),
        }
    }
}
