//! The fields of a Service.

use flowproto::Address;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;

use super::parse::{address, distinct, milliseconds, or_default, port};
use crate::inventory::address_key::TransportPort;
use crate::inventory::cluster::uid::uid;

#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = core::Service)]
pub(in super::super) struct Service {
    metadata: ObjectMeta,
    #[serde(default, deserialize_with = "or_default")]
    spec: ServiceSpec,
    #[serde(default, deserialize_with = "or_default")]
    status: ServiceStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceSpec {
    #[serde(rename = "clusterIP", deserialize_with = "or_default")]
    cluster_ip: String,
    #[serde(rename = "clusterIPs", deserialize_with = "or_default")]
    cluster_ips: Vec<String>,
    #[serde(rename = "externalIPs", deserialize_with = "or_default")]
    external_ips: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    ports: Vec<ServicePort>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServicePort {
    #[serde(deserialize_with = "or_default")]
    port: i32,
    #[serde(deserialize_with = "or_default")]
    node_port: i32,
    #[serde(deserialize_with = "or_default")]
    protocol: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceStatus {
    #[serde(deserialize_with = "or_default")]
    load_balancer: LoadBalancer,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct LoadBalancer {
    #[serde(deserialize_with = "or_default")]
    ingress: Vec<Ingress>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Ingress {
    #[serde(deserialize_with = "or_default")]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_stands_for_what_a_service_does_not_have() {
        for text in [
            r#"{"metadata": {"name": "db"}, "spec": null, "status": null}"#,
            r#"{"metadata": {"name": "db"}, "spec": {"clusterIP": null, "clusterIPs": null,
                "externalIPs": null, "ports": null}, "status": {"loadBalancer": null}}"#,
            r#"{"metadata": {"name": "db"}, "spec": {"ports": [{"port": null, "nodePort": null,
                "protocol": null}]}, "status": {"loadBalancer": {"ingress": null}}}"#,
            r#"{"metadata": {"name": "db"}, "status": {"loadBalancer": {"ingress": [
                {"ip": null}]}}}"#,
        ] {
            let service: Service = serde_json::from_str(text).unwrap();
            let fields = service.fields();
            let expected = ServiceFields {
                name: "db".into(),
                uid: fields.uid,
                ..ServiceFields::default()
            };
            assert_eq!(fields, expected);
        }
    }
}
