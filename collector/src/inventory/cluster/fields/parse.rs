//! Values that several kinds of objects have.

use std::net::IpAddr;

use flowproto::Address;
use ipnet::IpNet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::{Deserialize, Deserializer};

use crate::inventory::address_key::TransportPort;
use crate::inventory::cluster::uid;
use crate::inventory::labels;

pub(super) const ZONE_LABELS: [&str; 2] = [
    "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/zone",
];
pub(super) const REGION_LABELS: [&str; 2] = [
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/region",
];

/// Deserializes null as the default.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// The value of a label.
pub(super) fn label<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a String> {
    metadata.labels.as_ref().and_then(|labels| labels.get(name))
}

/// The labels of these keys that the object has.
pub(super) fn kept_labels(metadata: &ObjectMeta, keys: &[String]) -> Vec<(String, String)> {
    let value = |key: &str| label(metadata, key).map(String::as_str);
    let kept = labels::kept(keys, value);
    kept.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// The value of the first of these labels that the object has with a value, or an empty text.
pub(super) fn first_label(metadata: &ObjectMeta, names: &[impl AsRef<str>]) -> String {
    let mut values = names
        .iter()
        .filter_map(|name| label(metadata, name.as_ref()));
    let value = values.find(|value| !value.is_empty());
    value.cloned().unwrap_or_default()
}

/// The controller of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Controller {
    /// API group. Empty for the core group.
    pub(in super::super) group: String,
    pub(in super::super) kind: String,
    pub(in super::super) name: String,
    pub(in super::super) uid: u128,
}

#[cfg(test)]
impl Controller {
    /// Creates the controller of a kind of Kubernetes, or of an operator.
    pub(in super::super) fn new(kind: &str, name: &str, uid: &str) -> Self {
        let group = match kind {
            "Node" | "Pod" => "",
            "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Deployment" => "apps",
            "Job" | "CronJob" => "batch",
            _ => "example.com",
        };
        Self {
            group: group.into(),
            kind: kind.into(),
            name: name.into(),
            uid: uid::uid(uid),
        }
    }
}

pub(super) fn controller(metadata: &ObjectMeta) -> Option<Controller> {
    let owners = metadata.owner_references.as_deref()?;
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    let group = owner.api_version.split_once('/');
    Some(Controller {
        group: group.map_or("", |(group, _)| group).to_owned(),
        kind: owner.kind.clone(),
        name: owner.name.clone(),
        uid: uid::uid(&owner.uid),
    })
}

/// Milliseconds since the epoch.
pub(super) fn milliseconds(time: &Time) -> Option<u64> {
    u64::try_from(time.0.as_millisecond()).ok()
}

/// Returns an address, with or without a prefix length. `None` for an address that is not unique in
/// the cluster: unspecified, loopback, link-local and multicast ones.
pub(super) fn address(text: &str) -> Option<Address> {
    let text = text.split_once('/').map_or(text, |(address, _)| address);
    let text = text.trim();
    let ip = text.parse().ok().or_else(|| zero_padded(text))?;
    is_unique(ip.to_canonical()).then(|| Address::from(ip))
}

/// Returns an IPv4 address with leading zeros. Kubernetes keeps those of old objects, and takes
/// their numbers as decimal.
fn zero_padded(text: &str) -> Option<IpAddr> {
    let numbers = text.split('.').map(|number| {
        let is_decimal = number.bytes().all(|octet| octet.is_ascii_digit());
        number.parse::<u8>().ok().filter(|_| is_decimal)
    });
    let octets: Vec<u8> = numbers.collect::<Option<_>>()?;
    let octets: [u8; 4] = octets.try_into().ok()?;
    Some(IpAddr::from(octets))
}

fn is_unique(ip: IpAddr) -> bool {
    let is_link_local = match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || is_link_local)
}

/// Returns a CIDR. `None` for an invalid one, and for all addresses of a family.
pub(super) fn cidr(text: &str) -> Option<IpNet> {
    let cidr: IpNet = text.trim().parse().ok()?;
    (cidr.prefix_len() > 0).then_some(cidr)
}

pub(super) fn port(protocol: &str, port: i32) -> Option<TransportPort> {
    let protocol = match protocol {
        "" | "TCP" => 6,
        "UDP" => 17,
        "SCTP" => 132,
        _ => return None,
    };
    TransportPort::new(protocol, u16::try_from(port).ok()?)
}

/// Returns the distinct values in the order of their first occurrence.
pub(super) fn distinct<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut out: Vec<T> = Vec::new();
    for value in values {
        if !out.contains(&value) {
            out.push(value);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_leading_zeros_and_a_prefix_length() {
        let ip = |text: &str| address(text).map(|address| address.to_ip().to_string());
        for (text, expected) in [
            ("10.001.000.010", Some("10.1.0.10")),
            ("192.168.010.09/24", Some("192.168.10.9")),
            ("::ffff:10.1.0.10", Some("10.1.0.10")),
            (" fd00::7/64", Some("fd00::7")),
            ("10.1.0.256", None),
            ("10.1.0.+1", None),
            ("10.1.0", None),
            ("10.1.0.1.1", None),
            ("10.1..1", None),
            ("127.000.000.001", None),
        ] {
            assert_eq!(ip(text).as_deref(), expected, "{text}");
        }
    }
}
