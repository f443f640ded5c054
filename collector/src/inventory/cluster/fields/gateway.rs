//! Addresses in a pod CIDR that belong to the node.

use std::collections::BTreeMap;

use ipnet::IpNet;

/// An address in a pod CIDR that belongs to the node unless a pod reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Gateway {
    /// A prefix of one address.
    pub(in super::super) prefix: IpNet,
    /// Whether the network plugin is unknown. Bridge plugins give the node the first address of a
    /// pod CIDR, others give it to a pod.
    pub(in super::super) is_guess: bool,
}

/// The addresses in a pod CIDR that belong to the node, by network plugin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum GatewayRule {
    /// Unknown: the network address and the first host may belong to the node.
    #[default]
    Unknown,
    /// None, or the annotations have them.
    None,
    /// None: the pods of the node have addresses of other CIDRs (Calico's own IPAM).
    OtherIpam,
    /// The network address is the tunnel's and the first host the bridge's (Flannel).
    TunnelAndBridge,
    /// The first host (Antrea, kube-router).
    FirstHost,
}

/// Calico has these addresses from its own IPAM, which does not use the pod CIDRs of the Node. With
/// those, it uses their first address, without an annotation.
const CALICO_TUNNELS: [&str; 5] = [
    "projectcalico.org/IPv4IPIPTunnelAddr",
    "projectcalico.org/IPv4VXLANTunnelAddr",
    "projectcalico.org/IPv6VXLANTunnelAddr",
    "projectcalico.org/IPv4WireguardInterfaceAddr",
    "projectcalico.org/IPv6WireguardInterfaceAddr",
];

impl GatewayRule {
    pub(super) fn of(annotations: &BTreeMap<String, String>) -> Self {
        let has_prefix = |prefix: &str| annotations.keys().any(|name| name.starts_with(prefix));
        let is_set = |name: &&str| annotations.get(*name).is_some_and(|text| !text.is_empty());
        if annotations.contains_key("flannel.alpha.coreos.com/backend-type") {
            Self::TunnelAndBridge
        } else if has_prefix("node.antrea.io/") || has_prefix("kube-router.io/") {
            Self::FirstHost
        } else if has_prefix("network.cilium.io/")
            || has_prefix("io.cilium.network.")
            || has_prefix("k8s.ovn.org/")
        {
            Self::None
        } else if CALICO_TUNNELS.iter().any(is_set) {
            // After the others: these annotations stay when another plugin replaces Calico.
            Self::OtherIpam
        } else {
            Self::Unknown
        }
    }

    /// Returns the addresses in `cidr` that belong to the node.
    pub(super) fn gateways(self, cidr: IpNet) -> impl Iterator<Item = Gateway> {
        let network = cidr.network();
        let first_host = cidr.hosts().find(|host| *host != network);
        let (tunnel, bridge) = match self {
            Self::None | Self::OtherIpam => (None, None),
            Self::FirstHost => (None, first_host),
            Self::Unknown | Self::TunnelAndBridge => (Some(network), first_host),
        };
        let is_guess = self == Self::Unknown;
        [tunnel, bridge]
            .into_iter()
            .flatten()
            .map(move |ip| Gateway {
                prefix: IpNet::from(ip),
                is_guess,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateways(annotations: &[&str], cidr: &str) -> Vec<(String, bool)> {
        let annotations = annotations.iter();
        let annotations = annotations.map(|name| ((*name).to_owned(), "10.0.0.7".to_owned()));
        let gateways = GatewayRule::of(&annotations.collect()).gateways(cidr.parse().unwrap());
        gateways
            .map(|one| (one.prefix.to_string(), one.is_guess))
            .collect()
    }

    #[test]
    fn the_network_plugin_decides_which_addresses_of_a_pod_cidr_are_the_nodes() {
        let flannel = ["flannel.alpha.coreos.com/backend-type"];
        let certain = |text: &str| (text.to_owned(), false);
        let guess = |text: &str| (text.to_owned(), true);
        assert_eq!(
            gateways(&flannel, "10.42.3.0/24"),
            [certain("10.42.3.0/32"), certain("10.42.3.1/32")]
        );
        let antrea = ["node.antrea.io/mac-address"];
        assert_eq!(gateways(&antrea, "10.11.3.0/24"), [certain("10.11.3.1/32")]);
        assert_eq!(
            gateways(&antrea, "fd00:11:3::/64"),
            [certain("fd00:11:3::1/128")]
        );
        let calico = [
            "projectcalico.org/IPv4Address",
            "projectcalico.org/IPv4IPIPTunnelAddr",
        ];
        assert_eq!(gateways(&calico, "10.11.3.0/24"), []);
        // Without a tunnel from its own IPAM, Calico may use the pod CIDR.
        assert_eq!(
            gateways(&calico[..1], "10.11.3.0/24"),
            [guess("10.11.3.0/32"), guess("10.11.3.1/32")]
        );
        let canal = [calico[1], flannel[0]];
        assert_eq!(
            gateways(&canal, "10.42.3.0/24"),
            [certain("10.42.3.0/32"), certain("10.42.3.1/32")]
        );
        assert_eq!(
            gateways(&[], "10.11.3.0/24"),
            [guess("10.11.3.0/32"), guess("10.11.3.1/32")]
        );
        // A plugin that has replaced Calico.
        for plugin in ["network.cilium.io/ipv4-cilium-host", "k8s.ovn.org/node-id"] {
            let annotations = [calico[1], plugin].map(|name| (name.to_owned(), "7".to_owned()));
            assert_eq!(GatewayRule::of(&annotations.into()), GatewayRule::None);
        }
        // A prefix of one address has no other host.
        assert_eq!(gateways(&antrea, "10.11.3.7/32"), []);
    }
}
