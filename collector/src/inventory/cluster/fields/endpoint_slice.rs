//! The fields of an EndpointSlice of a Service without pods.

use flowproto::Address;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;

use super::parse::{address, distinct, milliseconds, or_default, port};
use crate::inventory::address_key::TransportPort;
use crate::inventory::cluster::uid::uid;

/// Label with the name of the Service, and the domain of its DNS name after the namespace. A slice
/// that the Multi-Cluster Services API makes for the endpoints of other clusters can also have the
/// name of a Service that it makes for them.
const SERVICE_LABELS: [(&str, &str); 2] = [
    (
        "multicluster.kubernetes.io/service-name",
        "svc.clusterset.local",
    ),
    ("kubernetes.io/service-name", "svc"),
];

#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = discovery::EndpointSlice)]
pub(in super::super) struct EndpointSlice {
    metadata: ObjectMeta,
    /// The API server sends null for an empty list, here and in `ports`.
    #[serde(default, deserialize_with = "or_default")]
    endpoints: Vec<SliceEndpoint>,
    #[serde(default, deserialize_with = "or_default")]
    ports: Vec<SlicePort>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SliceEndpoint {
    #[serde(deserialize_with = "or_default")]
    addresses: Vec<String>,
    target_ref: Option<TargetRef>,
}

/// The object that an endpoint stands for. Its fields are not read.
#[derive(Clone, Debug, Default, Deserialize)]
struct TargetRef {}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct SlicePort {
    /// `None` for all ports.
    port: Option<i32>,
    protocol: Option<String>,
}

/// The fields of an EndpointSlice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct EndpointSliceFields {
    pub(in super::super) uid: u128,
    /// DNS name of the Service that the slice belongs to. Empty if it belongs to none.
    pub(in super::super) dns_name: String,
    /// Addresses that no object of the cluster stands for, of a Service without a selector. An
    /// example is the Service `kubernetes` of a managed control plane.
    pub(in super::super) addresses: Vec<Address>,
    /// Ports of the endpoints. Empty for all ports.
    pub(in super::super) ports: Vec<TransportPort>,
    /// Creation time, milliseconds since the epoch.
    pub(in super::super) created: u64,
}

impl EndpointSlice {
    pub(in super::super) fn fields(self) -> EndpointSliceFields {
        let Self {
            metadata,
            endpoints,
            ports,
        } = self;
        let labels = metadata.labels.unwrap_or_default();
        let namespace = metadata.namespace.unwrap_or_default();
        let service = SERVICE_LABELS.iter().find_map(|(label, domain)| {
            let service = labels.get(*label).filter(|name| !name.is_empty())?;
            Some(format!("{service}.{namespace}.{domain}"))
        });
        let external = endpoints.iter().filter(|one| one.target_ref.is_none());
        let addresses = external.flat_map(|one| &one.addresses);
        let has_all_ports = ports.iter().any(|one| one.port.is_none());
        let ports = ports.iter().filter(|_| !has_all_ports).filter_map(|one| {
            let protocol = one.protocol.as_deref().unwrap_or_default();
            port(protocol, one.port?)
        });
        let created = metadata.creation_timestamp.as_ref();
        EndpointSliceFields {
            dns_name: service.unwrap_or_default(),
            addresses: distinct(addresses.filter_map(|text| address(text))),
            ports: distinct(ports),
            created: created.and_then(milliseconds).unwrap_or_default(),
            uid: uid(metadata.uid.as_deref().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> EndpointSliceFields {
        serde_json::from_str::<EndpointSlice>(json)
            .unwrap()
            .fields()
    }

    #[test]
    fn addresses_without_an_object_are_read_with_their_ports() {
        let fields = fields(
            r#"{"metadata": {"namespace": "shop", "uid": "5",
                "labels": {"kubernetes.io/service-name": "billing"}},
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": ["203.0.113.61"], "conditions": {}},
                {"addresses": ["10.4.4.4"], "targetRef": {"kind": "Pod", "name": "x"}}
            ],
            "ports": [{"name": "sql", "port": 5432, "protocol": "TCP"}, {"port": 9000}]}"#,
        );
        assert_eq!(fields.addresses, [address("203.0.113.61").unwrap()]);
        assert_eq!(
            fields.ports,
            [port("TCP", 5432).unwrap(), port("", 9000).unwrap()]
        );
        assert_eq!(fields.dns_name, "billing.shop.svc");
    }

    #[test]
    fn an_imported_service_has_its_name_in_the_cluster_set() {
        for labels in [
            r#""multicluster.kubernetes.io/service-name": "billing""#,
            r#""multicluster.kubernetes.io/service-name": "billing",
                "kubernetes.io/service-name": "derived-1c2b3d""#,
        ] {
            let fields = fields(&format!(
                r#"{{"metadata": {{"namespace": "shop", "uid": "5", "labels": {{{labels}}}}},
                "endpoints": [{{"addresses": ["10.200.1.7"]}}], "ports": []}}"#
            ));
            assert_eq!(fields.dns_name, "billing.shop.svc.clusterset.local");
            assert_eq!(fields.addresses, [address("10.200.1.7").unwrap()]);
        }
    }

    #[test]
    fn a_port_without_a_number_means_all_ports() {
        let fields = fields(
            r#"{"metadata": {}, "endpoints": [{"addresses": ["203.0.113.61"]}],
            "ports": [{"port": 80}, {"port": null}]}"#,
        );
        assert_eq!(fields.ports, []);
    }

    #[test]
    fn an_empty_slice_has_null_for_its_lists() {
        let fields = fields(r#"{"metadata": {}, "endpoints": null, "ports": null}"#);
        assert_eq!(fields, EndpointSliceFields::default());
    }
}
