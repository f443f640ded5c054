//! The YAML document of an inventory file.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Deref;

use flowproto::Address;
use ipnet::IpNet;
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Document {
    pub(super) nodes: Vec<NodeEntry>,
    pub(super) namespaces: Vec<NamespaceEntry>,
    pub(super) pods: Vec<PodEntry>,
    pub(super) services: Vec<ServiceEntry>,
    pub(super) cidrs: Vec<CidrEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct NodeEntry {
    pub(super) name: NameText,
    #[serde(default)]
    pub(super) addresses: Vec<AddressText>,
    #[serde(default, rename = "podCIDRs")]
    pub(super) pod_cidrs: Vec<CidrText>,
    #[serde(default)]
    pub(super) zone: NameText,
    #[serde(default)]
    pub(super) region: NameText,
    #[serde(default)]
    pub(super) pool: NameText,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PodEntry {
    pub(super) name: NameText,
    pub(super) namespace: NameText,
    #[serde(default)]
    pub(super) addresses: Vec<AddressText>,
    pub(super) node: Option<NameText>,
    pub(super) workload: Option<WorkloadEntry>,
    #[serde(default)]
    pub(super) labels: Labels,
}

/// Labels by their key.
pub(super) type Labels = BTreeMap<String, NameText>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamespaceEntry {
    pub(super) name: NameText,
    #[serde(default)]
    pub(super) labels: Labels,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WorkloadEntry {
    pub(super) kind: NameText,
    pub(super) name: NameText,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceEntry {
    pub(super) name: NameText,
    pub(super) namespace: NameText,
    #[serde(default)]
    pub(super) addresses: Vec<AddressText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CidrEntry {
    pub(super) cidr: CidrText,
    pub(super) name: NameText,
}

/// A name. Control characters are refused, since names appear in messages and labels.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct NameText(pub(super) String);

impl TryFrom<String> for NameText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.contains(char::is_control) {
            return Err(format!(
                "invalid name {text:?}: must not contain control characters"
            ));
        }
        Ok(Self(text))
    }
}

impl Deref for NameText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct AddressText(pub(super) Address);

impl TryFrom<String> for AddressText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let ip: IpAddr = text
            .parse()
            .map_err(|_| format!("invalid IP address {text:?}: must be IPv4 or IPv6"))?;
        if ip.is_unspecified() {
            return Err(format!(
                "invalid IP address {text:?}: must not be unspecified"
            ));
        }
        Ok(Self(Address::from(ip)))
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct CidrText(pub(super) IpNet);

impl TryFrom<String> for CidrText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            format!(
                "invalid CIDR {text:?}: must be an address and a prefix length, e.g. 10.1.1.0/24"
            )
        })
    }
}
