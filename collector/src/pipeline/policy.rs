//! Policies of exporters: which of their records count, and their sampling, by address.

use std::sync::Arc;

use flowproto::Address;
use flowproto::alias::ElementAliases;
use flowproto::collector::{AliasPolicy, ExporterAddresses, SamplingPolicy, SamplingRule};
use flowproto::record::Sampling;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// Whether the records of an exporter count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum RecordPolicy {
    /// A record counts unless a node of its flow is observed.
    #[default]
    Auto,
    /// All records count.
    Count,
    /// No record counts; they are logged and forwarded.
    Inform,
    /// Records are discarded.
    Ignore,
}

/// The records that count if an exporter makes two of the same packets, where they enter and where
/// they leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum CountedDirection {
    /// Records of both directions.
    #[default]
    Both,
    /// Records of packets that enter.
    Ingress,
    /// Records of packets that leave.
    Egress,
}

impl CountedDirection {
    /// Whether records with this value of 61 `flowDirection` count.
    #[inline]
    #[must_use]
    pub const fn includes(self, flow_direction: u8) -> bool {
        match self {
            Self::Both => true,
            Self::Ingress => flow_direction == 0,
            Self::Egress => flow_direction == 1,
        }
    }
}

/// The policy of an exporter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExporterPolicy {
    /// Whether its records count.
    pub records: RecordPolicy,
    /// The direction that counts; `None` as the settings for all exporters say.
    pub direction: Option<CountedDirection>,
    /// One packet of this number was metered, whatever the exporter announces. The decoder applies
    /// it.
    pub sampling: Option<u32>,
    /// The same, if the exporter announces nothing. An announced 1:1 is not replaced.
    pub default_sampling: Option<u32>,
}

/// The policies of all exporters, by network.
#[derive(Clone, Debug, Default)]
pub struct ExporterPolicies {
    policies: ByNetwork<ExporterPolicy>,
    aliases: ByNetwork<ElementAliases>,
}

/// Values by network, the longest prefix first.
#[derive(Clone, Debug, Default)]
struct ByNetwork<T>(Vec<(IpNet, T)>);

impl<T> ByNetwork<T> {
    fn new(values: impl IntoIterator<Item = (IpNet, T)>) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix_len()));
        Self(values)
    }

    fn find(&self, address: Address) -> Option<&T> {
        let ip = address.to_ip();
        let mut containing = self.0.iter().filter(|(network, _)| network.contains(&ip));
        containing.next().map(|(_, value)| value)
    }
}

impl ExporterPolicies {
    /// Creates the policies. Of several networks that contain an address, the longest prefix has
    /// its policy.
    #[must_use]
    pub fn new(policies: impl IntoIterator<Item = (IpNet, ExporterPolicy)>) -> Self {
        Self {
            policies: ByNetwork::new(policies),
            ..Self::default()
        }
    }

    /// Adds the elements that are read as others, by network.
    #[must_use]
    pub fn with_aliases(self, aliases: impl IntoIterator<Item = (IpNet, ElementAliases)>) -> Self {
        Self {
            aliases: ByNetwork::new(aliases),
            ..self
        }
    }

    /// The policy of an exporter that sends from `source_address` and reports `reported_address`
    /// for itself. The address that it sends from is more certain.
    #[must_use]
    pub fn find(&self, source_address: Address, reported_address: Address) -> ExporterPolicy {
        let of = |address: Address| self.policies.find(address).copied();
        let reported = Some(reported_address).filter(|address| !address.is_unspecified());
        of(source_address)
            .or_else(|| reported.and_then(of))
            .unwrap_or_default()
    }

    /// The elements that are read as others, of an exporter that sends from this address. A
    /// template is read before the exporter can report another address.
    #[must_use]
    pub fn aliases(&self, source_address: Address) -> ElementAliases {
        self.aliases
            .find(source_address)
            .cloned()
            .unwrap_or_default()
    }

    /// Returns the aliases as a policy for the decoder.
    #[must_use]
    pub fn alias_policy(self: &Arc<Self>) -> AliasPolicy {
        let policies = Arc::clone(self);
        AliasPolicy::new(move |source_address| policies.aliases(source_address))
    }

    /// Returns the sampling rules as a policy for the decoder.
    #[must_use]
    pub fn sampling_policy(self: &Arc<Self>) -> SamplingPolicy {
        let policies = Arc::clone(self);
        SamplingPolicy::new(move |exporter: ExporterAddresses| {
            let policy = policies.find(exporter.source, exporter.reported);
            SamplingRule {
                override_with: policy.sampling.map(Sampling::one_in),
                default: policy.default_sampling.map(Sampling::one_in),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(records: RecordPolicy) -> ExporterPolicy {
        ExporterPolicy {
            records,
            ..ExporterPolicy::default()
        }
    }

    fn address(text: &str) -> Address {
        text.parse::<std::net::IpAddr>().unwrap().into()
    }

    #[test]
    fn the_longest_prefix_has_the_policy_and_the_source_address_comes_first() {
        let policies = ExporterPolicies::new([
            (
                "192.0.2.0/24".parse().unwrap(),
                policy(RecordPolicy::Inform),
            ),
            ("192.0.2.7/32".parse().unwrap(), policy(RecordPolicy::Count)),
            (
                "2001:db8::/32".parse().unwrap(),
                policy(RecordPolicy::Ignore),
            ),
        ]);
        let none = Address::UNSPECIFIED;
        for (source, reported, wanted) in [
            (address("192.0.2.1"), none, RecordPolicy::Inform),
            (address("192.0.2.7"), none, RecordPolicy::Count),
            (address("2001:db8::1"), none, RecordPolicy::Ignore),
            (address("198.51.100.1"), none, RecordPolicy::Auto),
            (
                address("198.51.100.1"),
                address("192.0.2.7"),
                RecordPolicy::Count,
            ),
            (
                address("192.0.2.1"),
                address("192.0.2.7"),
                RecordPolicy::Inform,
            ),
        ] {
            assert_eq!(policies.find(source, reported).records, wanted, "{source}");
        }
    }
}
