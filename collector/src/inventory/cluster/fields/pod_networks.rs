//! Addresses of a pod on secondary networks, from annotations.
//!
//! The annotations are written by network plugins, but any user who creates a pod can write them
//! too. The addresses are therefore only claimed: see
//! [`AddressKey::claimed`](crate::inventory::AddressKey::claimed).

use std::collections::BTreeMap;

use flowproto::Address;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::parse::address;

/// Maximum number of claimed addresses of a pod.
const MAX_CLAIMED: usize = 32;

/// Multus: a list of networks with their addresses. The second name is from older versions.
const NETWORK_STATUS: [&str; 2] = [
    "k8s.v1.cni.cncf.io/network-status",
    "k8s.v1.cni.cncf.io/networks-status",
];
/// OVN-Kubernetes: networks by name, including a primary user-defined network.
const OVN_POD_NETWORKS: &str = "k8s.ovn.org/pod-networks";
/// Calico and the Amazon VPC plugin: the addresses of the pod, earlier than in its status.
const EARLY_POD_IPS: [&str; 2] = ["cni.projectcalico.org/podIPs", "vpc.amazonaws.com/pod-ips"];
/// GKE: a list of additional networks, with an address each.
const GKE_POD_IPS: &str = "networking.gke.io/pod-ips";
/// Kube-OVN: `ovn.kubernetes.io/ip_address` for the primary network, and
/// `NAME.NAMESPACE.ovn.kubernetes.io/ip_address` for others. Also set before an address is
/// allocated, to request it.
const KUBE_OVN_SUFFIX: &str = "ovn.kubernetes.io/ip_address";
const KUBE_OVN_ALLOCATED: &str = "allocated";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NetworkStatus {
    ips: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OvnPodNetwork {
    ip_addresses: Option<Vec<String>>,
    ip_address: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct GkePodIp {
    ip: Option<String>,
}

/// Addresses of a pod on secondary networks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PodNetworks {
    /// Addresses that the status of the pod does not have.
    pub(super) addresses: Vec<Address>,
    /// An annotation that cannot be read.
    pub(super) malformed: Option<&'static str>,
}

/// Collects the addresses of a pod.
struct Reader<'a> {
    /// The addresses in the status of the pod.
    reported: &'a [Address],
    networks: PodNetworks,
}

impl Reader<'_> {
    fn add(&mut self, annotation: &'static str, text: &str) {
        let Some(address) = address(text) else {
            return;
        };
        let networks = &mut self.networks;
        if self.reported.contains(&address) || networks.addresses.contains(&address) {
            return;
        }
        if networks.addresses.len() >= MAX_CLAIMED {
            networks.malformed = Some(annotation);
            return;
        }
        networks.addresses.push(address);
    }

    fn add_list(&mut self, annotation: &'static str, text: &str) {
        for text in text.split(',') {
            self.add(annotation, text);
        }
    }

    fn add_json<T: DeserializeOwned>(
        &mut self,
        annotation: &'static str,
        json: &str,
        addresses: impl FnOnce(T) -> Vec<String>,
    ) {
        match serde_json::from_str(json) {
            Ok(value) => {
                for text in addresses(value) {
                    self.add(annotation, &text);
                }
            }
            Err(_) => self.networks.malformed = Some(annotation),
        }
    }
}

/// Reads the addresses of all networks of a pod. `reported` are those in its status.
pub(super) fn read(annotations: &BTreeMap<String, String>, reported: &[Address]) -> PodNetworks {
    let mut reader = Reader {
        reported,
        networks: PodNetworks::default(),
    };
    let get = |name: &'static str| Some((name, annotations.get(name)?.as_str()));
    let status = NETWORK_STATUS.into_iter().find_map(get);
    if let Some((name, text)) = status.filter(|(_, text)| !text.trim().is_empty()) {
        reader.add_json(name, text, |list: Vec<NetworkStatus>| {
            list.into_iter()
                .filter_map(|one| one.ips)
                .flatten()
                .collect()
        });
    }
    if let Some((name, text)) = get(OVN_POD_NETWORKS) {
        reader.add_json(name, text, |all: BTreeMap<String, OvnPodNetwork>| {
            let networks = all.into_values();
            let addresses = networks.flat_map(|network| {
                let list = network.ip_addresses.into_iter().flatten();
                list.chain(network.ip_address)
            });
            addresses.collect()
        });
    }
    if let Some((name, text)) = get(GKE_POD_IPS) {
        reader.add_json(name, text, |list: Vec<GkePodIp>| {
            list.into_iter().filter_map(|one| one.ip).collect()
        });
    }
    for (name, text) in EARLY_POD_IPS.into_iter().filter_map(get) {
        reader.add_list(name, text);
    }
    for (name, text) in annotations {
        let Some(provider) = name.strip_suffix(KUBE_OVN_SUFFIX) else {
            continue;
        };
        let allocated = format!("{provider}ovn.kubernetes.io/{KUBE_OVN_ALLOCATED}");
        if annotations
            .get(&allocated)
            .is_some_and(|text| text == "true")
        {
            reader.add_list(KUBE_OVN_SUFFIX, text);
        }
    }
    reader.networks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(
        annotations: &[(&str, &str)],
        reported: &[&str],
    ) -> (Vec<String>, Option<&'static str>) {
        let annotations = annotations.iter();
        let annotations = annotations
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        let reported: Vec<Address> = reported.iter().filter_map(|text| address(text)).collect();
        let networks = read(&annotations, &reported);
        let texts = networks.addresses.iter().map(ToString::to_string);
        (texts.collect(), networks.malformed)
    }

    fn addresses(annotations: &[(&str, &str)], reported: &[&str]) -> Vec<String> {
        let (addresses, malformed) = networks(annotations, reported);
        assert_eq!(malformed, None);
        addresses
    }

    #[test]
    fn multus_reports_the_addresses_of_all_interfaces() {
        let status = r#"[
            {"name": "cbr0", "interface": "eth0", "ips": ["10.244.3.9"], "default": true},
            {"name": "media/sriov-a", "interface": "net1", "ips": ["192.168.77.4", "fd00:77::4"],
             "mac": "02:00:00:00:77:04", "dns": {}},
            {"name": "media/l2-only", "interface": "net2", "mac": "02:00:00:00:77:05", "dns": {}}
        ]"#;
        for name in NETWORK_STATUS {
            assert_eq!(
                addresses(&[(name, status)], &["10.244.3.9"]),
                ["192.168.77.4", "fd00:77::4"],
                "{name}"
            );
        }
        assert_eq!(addresses(&[(NETWORK_STATUS[0], "")], &[]), [""; 0]);
        assert_eq!(
            addresses(&[(NETWORK_STATUS[0], r#"[{"ips": null}]"#)], &[]),
            [""; 0]
        );
    }

    #[test]
    fn ovn_kubernetes_reports_user_defined_networks() {
        let networks = r#"{
            "default": {"ip_addresses": ["10.128.4.7/23", "fd01:0:0:3::7/64"],
                        "mac_address": "0a:58:0a:80:04:07", "role": "infrastructure-locked"},
            "tenant-a/overlay": {"ip_addresses": ["172.31.0.9/16"], "ip_address": "172.31.0.9/16",
                                 "gateway_ips": ["172.31.0.1"], "role": "primary"},
            "tenant-a/old": {"ip_address": "172.30.9.9/24"}
        }"#;
        assert_eq!(
            addresses(
                &[(OVN_POD_NETWORKS, networks)],
                &["10.128.4.7", "fd01:0:0:3::7"]
            ),
            ["172.30.9.9", "172.31.0.9"]
        );
    }

    #[test]
    fn kube_ovn_addresses_count_when_they_are_allocated() {
        let requested = [("ovn.kubernetes.io/ip_address", "10.16.0.44")];
        assert_eq!(addresses(&requested, &[]), [""; 0]);
        let allocated = [
            ("ovn.kubernetes.io/ip_address", "10.16.0.44"),
            ("ovn.kubernetes.io/allocated", "true"),
            (
                "storage.default.ovn.kubernetes.io/ip_address",
                "172.20.5.4,fd00:5::4",
            ),
            ("storage.default.ovn.kubernetes.io/allocated", "true"),
            ("backup.default.ovn.kubernetes.io/ip_address", "172.20.6.4"),
            ("backup.default.ovn.kubernetes.io/allocated", "false"),
        ];
        assert_eq!(
            addresses(&allocated, &["10.16.0.44"]),
            ["172.20.5.4", "fd00:5::4"]
        );
    }

    #[test]
    fn calico_and_the_amazon_plugin_report_addresses_before_the_status_does() {
        for name in EARLY_POD_IPS {
            let annotations = [(name, "10.48.0.17/32,fd5f::11/128")];
            assert_eq!(addresses(&annotations, &[]), ["10.48.0.17", "fd5f::11"]);
            assert_eq!(addresses(&annotations, &["10.48.0.17"]), ["fd5f::11"]);
            assert_eq!(addresses(&[(name, "")], &[]), [""; 0]);
        }
    }

    #[test]
    fn gke_reports_the_addresses_in_additional_networks() {
        let networks = r#"[{"networkName": "blue", "ip": "172.16.1.2"},
                           {"networkName": "green", "ip": null}, {"networkName": "l2"}]"#;
        assert_eq!(addresses(&[(GKE_POD_IPS, networks)], &[]), ["172.16.1.2"]);
    }

    #[test]
    fn addresses_that_every_node_has_are_not_claimed() {
        let status = r#"[{"ips": ["169.254.172.3", "fe80::1", "127.0.0.1", "::", "224.0.0.5"]}]"#;
        assert_eq!(addresses(&[(NETWORK_STATUS[0], status)], &[]), [""; 0]);
    }

    #[test]
    fn a_malformed_annotation_is_named_and_the_others_are_read() {
        let nested = "[".repeat(100_000);
        for bad in ["{", "[{\"ips\": 5}]", "{}", "[1]", nested.as_str()] {
            let annotations = [
                (NETWORK_STATUS[0], bad),
                (
                    OVN_POD_NETWORKS,
                    r#"{"a/b": {"ip_addresses": ["172.31.0.9/16"]}}"#,
                ),
            ];
            let (addresses, malformed) = networks(&annotations, &[]);
            assert_eq!(addresses, ["172.31.0.9"]);
            assert_eq!(malformed, Some(NETWORK_STATUS[0]));
        }
        let (_, malformed) = networks(&[(OVN_POD_NETWORKS, "[]")], &[]);
        assert_eq!(malformed, Some(OVN_POD_NETWORKS));
    }

    #[test]
    fn the_number_of_claimed_addresses_is_limited() {
        let ips: Vec<String> = (0..100).map(|n| format!("\"10.9.9.{n}\"")).collect();
        let status = format!("[{{\"ips\": [{}]}}]", ips.join(","));
        let (addresses, malformed) = networks(&[(NETWORK_STATUS[0], &status)], &[]);
        assert_eq!(addresses.len(), MAX_CLAIMED);
        assert_eq!(malformed, Some(NETWORK_STATUS[0]));
    }
}
