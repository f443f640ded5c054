//! Addresses of a node that network plugins keep in its annotations.

use std::collections::BTreeMap;

use flowproto::Address;
use ipnet::IpNet;
use serde_json::Value;

use super::gateway::GatewayRule;
use super::parse::{address, cidr, distinct};

/// Maximum number of addresses and pod CIDRs from the annotations of a node.
const MAX_ADDRESSES: usize = 256;

/// Lists of addresses, separated by commas, with or without a prefix length.
const ADDRESS_LISTS: [&str; 34] = [
    "projectcalico.org/IPv4Address",
    "projectcalico.org/IPv6Address",
    "projectcalico.org/IPv4IPIPTunnelAddr",
    "projectcalico.org/IPv4VXLANTunnelAddr",
    "projectcalico.org/IPv6VXLANTunnelAddr",
    "projectcalico.org/IPv4WireguardInterfaceAddr",
    "projectcalico.org/IPv6WireguardInterfaceAddr",
    "flannel.alpha.coreos.com/public-ip",
    "flannel.alpha.coreos.com/public-ipv6",
    "flannel.alpha.coreos.com/public-ip-overwrite",
    "flannel.alpha.coreos.com/public-ipv6-overwrite",
    "network.cilium.io/ipv4-cilium-host",
    "network.cilium.io/ipv6-cilium-host",
    "network.cilium.io/ipv4-health-ip",
    "network.cilium.io/ipv6-health-ip",
    "network.cilium.io/ipv4-Ingress-ip",
    "network.cilium.io/ipv6-Ingress-ip",
    "io.cilium.network.ipv4-cilium-host",
    "io.cilium.network.ipv6-cilium-host",
    "io.cilium.network.ipv4-health-ip",
    "io.cilium.network.ipv6-health-ip",
    "k8s.ovn.org/hybrid-overlay-distributed-router-gateway-ip",
    "node.antrea.io/transport-addresses",
    "k3s.io/internal-ip",
    "k3s.io/external-ip",
    "rke2.io/internal-ip",
    "rke2.io/external-ip",
    "networking.talos.dev/self-ips",
    "networking.talos.dev/kubespan-ip",
    "kilo.squat.ai/internal-ip",
    "kilo.squat.ai/wireguard-ip",
    "submariner.io/cniIfaceIp",
    "submariner.io/globalIp",
    "alpha.kubernetes.io/provided-node-ip",
];

/// JSON with addresses of the node and, in [`FOREIGN_MEMBERS`], of others. Of OVN-Kubernetes: the
/// gateway router, its port to the join switch, the transit switch port, the host's addresses, the
/// egress addresses on its other interfaces. Of GKE: the interfaces in additional networks.
const ADDRESS_DOCUMENTS: [&str; 10] = [
    "k8s.ovn.org/l3-gateway-config",
    "k8s.ovn.org/node-primary-ifaddr",
    "k8s.ovn.org/node-gateway-router-lrp-ifaddr",
    "k8s.ovn.org/node-gateway-router-lrp-ifaddrs",
    "k8s.ovn.org/node-transit-switch-port-ifaddr",
    "k8s.ovn.org/node-encap-ips",
    "k8s.ovn.org/host-addresses",
    "k8s.ovn.org/host-cidrs",
    "k8s.ovn.org/secondary-host-egress-ips",
    "networking.gke.io/north-interfaces",
];
const FOREIGN_MEMBERS: [&str; 4] = ["next-hop", "next-hops", "exgw-next-hop", "exgw-next-hops"];

/// Pod CIDRs of the node, one for each family.
const CIDR_LISTS: [&str; 6] = [
    "network.cilium.io/ipv4-pod-cidr",
    "network.cilium.io/ipv6-pod-cidr",
    "io.cilium.network.ipv4-pod-cidr",
    "io.cilium.network.ipv6-pod-cidr",
    "kube-router.io/pod-cidr",
    "kube-router.io/pod-cidrs",
];

/// Pod CIDRs of OVN-Kubernetes by network. The first address is the router's, the second one the
/// management port's.
const OVN_SUBNETS: &str = "k8s.ovn.org/node-subnets";

/// Kube-OVN: the address of the node in the join network.
const KUBE_OVN_ADDRESS: &str = "ovn.kubernetes.io/ip_address";
const KUBE_OVN_ALLOCATED: &str = "ovn.kubernetes.io/allocated";

/// Addresses of a node that network plugins keep in its annotations.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct NodeNetworks {
    pub(super) addresses: Vec<Address>,
    /// Pod CIDRs that replace those of the Node.
    pub(super) pod_cidrs: Vec<IpNet>,
    pub(super) gateway: GatewayRule,
    /// An annotation that cannot be read.
    pub(super) malformed: Option<&'static str>,
}

impl NodeNetworks {
    fn add_address(&mut self, text: &str, annotation: &'static str) {
        let Some(address) = address(text) else {
            return;
        };
        if self.addresses.contains(&address) {
            return;
        }
        if self.addresses.len() >= MAX_ADDRESSES {
            self.malformed = Some(annotation);
            return;
        }
        self.addresses.push(address);
    }

    fn add_cidr(&mut self, text: &str, annotation: &'static str) -> Option<IpNet> {
        let Some(cidr) = cidr(text) else {
            self.malformed = Some(annotation);
            return None;
        };
        if self.pod_cidrs.len() >= MAX_ADDRESSES {
            self.malformed = Some(annotation);
            return None;
        }
        self.pod_cidrs.push(cidr);
        Some(cidr)
    }
}

/// Reads the addresses and pod CIDRs of a node.
pub(super) fn read(annotations: &BTreeMap<String, String>) -> NodeNetworks {
    let mut networks = NodeNetworks {
        gateway: GatewayRule::of(annotations),
        ..NodeNetworks::default()
    };
    let get = |name: &str| {
        let text = annotations.get(name)?.trim();
        (!text.is_empty()).then_some(text)
    };
    for name in ADDRESS_LISTS {
        for text in get(name).into_iter().flat_map(|text| text.split(',')) {
            networks.add_address(text, name);
        }
    }
    if get(KUBE_OVN_ALLOCATED).is_none_or(|text| text == "true") {
        for text in get(KUBE_OVN_ADDRESS)
            .into_iter()
            .flat_map(|text| text.split(','))
        {
            networks.add_address(text, KUBE_OVN_ADDRESS);
        }
    }
    for name in ADDRESS_DOCUMENTS {
        let Some(text) = get(name) else { continue };
        match serde_json::from_str::<Value>(text) {
            Ok(document) => each_text(&document, &mut |text| networks.add_address(text, name)),
            Err(_) => networks.malformed = Some(name),
        }
    }
    for name in CIDR_LISTS {
        for text in get(name).into_iter().flat_map(|text| text.split(',')) {
            networks.add_cidr(text, name);
        }
    }
    if let Some(text) = get(OVN_SUBNETS) {
        match serde_json::from_str::<Value>(text) {
            Ok(document) => each_text(&document, &mut |text| {
                if let Some(cidr) = networks.add_cidr(text, OVN_SUBNETS) {
                    let network = cidr.network();
                    let hosts = cidr.hosts().filter(|host| *host != network);
                    for host in hosts.take(2) {
                        networks.add_address(&host.to_string(), OVN_SUBNETS);
                    }
                }
            }),
            Err(_) => networks.malformed = Some(OVN_SUBNETS),
        }
    }
    networks.pod_cidrs = distinct(networks.pod_cidrs);
    networks
}

/// Calls `use_text` with all texts of a document, except those in [`FOREIGN_MEMBERS`].
fn each_text(document: &Value, use_text: &mut impl FnMut(&str)) {
    match document {
        Value::String(text) => use_text(text),
        Value::Array(list) => list.iter().for_each(|one| each_text(one, use_text)),
        Value::Object(members) => {
            for (name, member) in members {
                if !FOREIGN_MEMBERS.contains(&name.as_str()) {
                    each_text(member, use_text);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(annotations: &[(&str, &str)]) -> NodeNetworks {
        let annotations = annotations.iter();
        read(
            &annotations
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect(),
        )
    }

    fn addresses(annotations: &[(&str, &str)]) -> Vec<String> {
        let networks = networks(annotations);
        assert_eq!(networks.malformed, None);
        networks.addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn ovn_kubernetes_gives_a_node_its_router_and_management_port_addresses() {
        let annotations = [
            (
                "k8s.ovn.org/node-subnets",
                r#"{"default":["10.130.6.0/23","fd01:0:0:7::/64"],"tenant_net":["172.31.8.0/22"]}"#,
            ),
            (
                "k8s.ovn.org/l3-gateway-config",
                r#"{"default":{"mode":"shared","bridge-id":"br-ex","interface-id":"br-ex_w7",
                    "mac-address":"02:11:4a:00:00:21","ip-addresses":["192.0.2.37/24"],
                    "ip-address":"192.0.2.37/24","next-hops":["192.0.2.1"],"next-hop":"192.0.2.1",
                    "node-port-enable":"true","vlan-id":"0",
                    "exgw-ip-addresses":["198.51.100.37/24"]}}"#,
            ),
            (
                "k8s.ovn.org/node-gateway-router-lrp-ifaddrs",
                r#"{"default":{"ipv4":"100.64.0.9/16","ipv6":"fd98::9/64"}}"#,
            ),
            (
                "k8s.ovn.org/node-transit-switch-port-ifaddr",
                r#"{"ipv4":"100.88.0.9/16"}"#,
            ),
            (
                "k8s.ovn.org/host-cidrs",
                r#"["192.0.2.37/24","198.51.100.37/24"]"#,
            ),
            (
                "k8s.ovn.org/node-masquerade-subnet",
                r#"{"ipv4":"169.254.0.0/17"}"#,
            ),
        ];
        assert_eq!(
            addresses(&annotations),
            [
                "198.51.100.37",
                "192.0.2.37",
                "100.64.0.9",
                "fd98::9",
                "100.88.0.9",
                "10.130.6.1",
                "10.130.6.2",
                "fd01:0:0:7::1",
                "fd01:0:0:7::2",
                "172.31.8.1",
                "172.31.8.2",
            ]
        );
        let cidrs = networks(&annotations).pod_cidrs;
        assert_eq!(cidrs.len(), 3);
        assert_eq!(networks(&annotations).gateway, GatewayRule::None);
    }

    #[test]
    fn older_forms_of_ovn_kubernetes_are_read() {
        assert_eq!(
            addresses(&[
                ("k8s.ovn.org/node-subnets", r#"{"default":"10.130.2.0/23"}"#),
                (
                    "k8s.ovn.org/node-gateway-router-lrp-ifaddr",
                    r#"{"ipv4":"100.64.0.5/16"}"#
                ),
                (
                    "k8s.ovn.org/node-primary-ifaddr",
                    r#"{"ipv4":"192.0.2.38/24","ipv6":""}"#
                ),
                ("k8s.ovn.org/host-addresses", r#"["192.0.2.38"]"#),
            ]),
            ["192.0.2.38", "100.64.0.5", "10.130.2.1", "10.130.2.2"]
        );
        assert_eq!(
            addresses(&[(
                "k8s.ovn.org/node-gateway-router-lrp-ifaddrs",
                r#"{"default":"100.64.0.3/16"}"#
            )]),
            ["100.64.0.3"]
        );
    }

    #[test]
    fn tunnel_addresses_of_calico_flannel_and_cilium_are_read() {
        assert_eq!(
            addresses(&[
                ("projectcalico.org/IPv4Address", "192.0.2.40/24"),
                ("projectcalico.org/IPv4VXLANTunnelAddr", "10.48.77.128"),
                ("projectcalico.org/IPv6VXLANTunnelAddr", "fd5f:0:0:77::80"),
                (
                    "projectcalico.org/IPv4WireguardInterfaceAddr",
                    "10.48.77.129"
                ),
                (
                    "projectcalico.org/IPv6WireguardInterfaceAddr",
                    "fd5f:0:0:77::81"
                ),
                ("flannel.alpha.coreos.com/public-ip", "203.0.113.40"),
                ("network.cilium.io/ipv4-Ingress-ip", "10.0.3.201"),
                (
                    "node.antrea.io/transport-addresses",
                    "198.51.100.40,2001:db8::40"
                ),
                ("k3s.io/internal-ip", "192.0.2.41,fd00:9::41"),
            ]),
            [
                "192.0.2.40",
                "10.48.77.128",
                "fd5f:0:0:77::80",
                "10.48.77.129",
                "fd5f:0:0:77::81",
                "203.0.113.40",
                "10.0.3.201",
                "198.51.100.40",
                "2001:db8::40",
                "192.0.2.41",
                "fd00:9::41",
            ]
        );
    }

    #[test]
    fn addresses_of_meshes_between_nodes_and_clusters_are_read() {
        assert_eq!(
            addresses(&[
                ("rke2.io/external-ip", "203.0.113.43"),
                ("networking.talos.dev/self-ips", "192.0.2.44,2001:db8::44"),
                ("networking.talos.dev/kubespan-ip", "fd7a:9::44"),
                ("kilo.squat.ai/wireguard-ip", "10.4.0.3/16"),
                ("submariner.io/cniIfaceIp", "10.42.3.1"),
                ("submariner.io/globalIp", "242.0.0.7"),
                (
                    "k8s.ovn.org/secondary-host-egress-ips",
                    r#"["198.51.100.44"]"#
                ),
            ]),
            [
                "203.0.113.43",
                "192.0.2.44",
                "2001:db8::44",
                "fd7a:9::44",
                "10.4.0.3",
                "10.42.3.1",
                "242.0.0.7",
                "198.51.100.44",
            ]
        );
    }

    #[test]
    fn gke_reports_the_interfaces_in_additional_networks() {
        let interfaces = r#"[{"network": "storage", "ipAddress": "192.0.2.50"},
                             {"network": "192.0.2.51", "ipAddress": ""}]"#;
        let annotation = ("networking.gke.io/north-interfaces", interfaces);
        assert_eq!(addresses(&[annotation])[0], "192.0.2.50");
    }

    #[test]
    fn kube_ovn_gives_a_node_an_address_in_the_join_network() {
        let address = ("ovn.kubernetes.io/ip_address", "100.65.0.8,fd00:100:65::8");
        for (allocated, expected) in [
            ("true", &["100.65.0.8", "fd00:100:65::8"][..]),
            ("", &["100.65.0.8", "fd00:100:65::8"]),
            ("false", &[]),
        ] {
            let allocated = ("ovn.kubernetes.io/allocated", allocated);
            assert_eq!(addresses(&[address, allocated]), expected);
        }
    }

    #[test]
    fn addresses_that_every_node_has_are_not_read() {
        assert_eq!(
            addresses(&[(
                "k8s.ovn.org/l3-gateway-config",
                r#"{"default":{"mode":"local","ip-addresses":["169.254.33.2/24"]}}"#
            )]),
            [""; 0]
        );
    }

    #[test]
    fn a_malformed_annotation_is_named_and_the_others_are_read() {
        let deep = "[".repeat(100_000);
        for (name, bad) in [
            ("k8s.ovn.org/node-subnets", "{\"default\":"),
            ("k8s.ovn.org/node-subnets", r#"{"default":["10.0.0.0/40"]}"#),
            ("k8s.ovn.org/node-subnets", r#"{"default":["0.0.0.0/0"]}"#),
            ("k8s.ovn.org/l3-gateway-config", deep.as_str()),
            ("network.cilium.io/ipv4-pod-cidr", "10.0.0.0/33"),
        ] {
            let networks = networks(&[(name, bad), ("k3s.io/internal-ip", "192.0.2.41")]);
            assert_eq!(networks.malformed, Some(name), "{bad:.40}");
            assert_eq!(networks.addresses, [address("192.0.2.41").unwrap()]);
            assert_eq!(networks.pod_cidrs, []);
        }
    }

    #[test]
    fn the_number_of_addresses_is_limited() {
        let all: Vec<String> = (0..1000)
            .map(|n| format!("\"10.9.{}.{}\"", n / 250, n % 250 + 1))
            .collect();
        let text = format!("[{}]", all.join(","));
        let networks = networks(&[("k8s.ovn.org/host-cidrs", &text)]);
        assert_eq!(networks.addresses.len(), MAX_ADDRESSES);
        assert_eq!(networks.malformed, Some("k8s.ovn.org/host-cidrs"));
    }
}
