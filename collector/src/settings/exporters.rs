//! The file of `--exporters`: policies of exporters by address.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use flowproto::alias::ElementAliases;
use flowproto::field::ElementId;
use ipnet::IpNet;
use kipfix_service::settings::BadSettings;
use serde::Deserialize;

use crate::interval_map::parse_network;
use crate::pipeline::{CountedDirection, ExporterPolicies, ExporterPolicy, RecordPolicy};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PolicyFile {
    exporters: Vec<PolicyEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyEntry {
    cidr: String,
    #[serde(default)]
    records: RecordPolicy,
    direction: Option<CountedDirection>,
    sampling: Option<u32>,
    default_sampling: Option<u32>,
    #[serde(default)]
    elements: BTreeMap<String, String>,
}

/// Reads the file.
///
/// # Errors
/// It cannot be read, or an entry is invalid.
pub(super) fn read(path: &Path) -> Result<ExporterPolicies, BadSettings> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string());
    text.and_then(|text| parse(&text)).map_err(|error| {
        let path = path.display();
        BadSettings::new(format!("exporters: cannot use {path}: {error}"))
    })
}

fn parse(text: &str) -> Result<ExporterPolicies, String> {
    let file: PolicyFile =
        serde_saphyr::from_str(text).map_err(|error| error.without_snippet().to_string())?;
    let (mut policies, mut aliases) = (Vec::new(), Vec::new());
    for entry in &file.exporters {
        let (network, policy) = entry.policy()?;
        policies.push((network, policy));
        aliases.push((network, entry.aliases()?));
    }
    let mut networks: Vec<IpNet> = policies.iter().map(|(network, _)| *network).collect();
    networks.sort_unstable();
    let mut pairs = networks.iter().zip(networks.iter().skip(1));
    if let Some((twice, _)) = pairs.find(|(first, second)| first == second) {
        return Err(format!("{twice} is there twice"));
    }
    Ok(ExporterPolicies::new(policies).with_aliases(aliases))
}

impl PolicyEntry {
    fn policy(&self) -> Result<(IpNet, ExporterPolicy), String> {
        let cidr = &self.cidr;
        let network = parse_network(cidr).ok_or_else(|| {
            format!("invalid cidr {cidr:?}: must be a CIDR or an address, e.g. 192.0.2.0/24")
        })?;
        for (name, sampling) in [
            ("sampling", self.sampling),
            ("default_sampling", self.default_sampling),
        ] {
            if sampling == Some(0) {
                return Err(format!("invalid {name} 0 of {cidr}: must be at least 1"));
            }
        }
        let policy = ExporterPolicy {
            records: self.records,
            direction: self.direction,
            sampling: self.sampling,
            default_sampling: self.default_sampling,
        };
        Ok((network.trunc(), policy))
    }

    fn aliases(&self) -> Result<ElementAliases, String> {
        let cidr = &self.cidr;
        let element = |text: &String| {
            ElementId::parse(text).ok_or_else(|| {
                format!(
                    "invalid element {text:?} of {cidr}: must be a name of a registry, ID or PEN:ID, \
                     e.g. postOctetDeltaCount, 23 or 9:8337"
                )
            })
        };
        let elements = self.elements.iter();
        let pairs = elements.map(|(own, read_as)| Ok((element(own)?, element(read_as)?)));
        let pairs: Vec<_> = pairs.collect::<Result<_, String>>()?;
        ElementAliases::new(pairs).map_err(|error| format!("invalid elements of {cidr}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use flowproto::Address;

    use std::net::IpAddr;

    use super::*;

    fn policy(policies: &ExporterPolicies, address: &str) -> ExporterPolicy {
        let address = address.parse::<IpAddr>().unwrap().into();
        policies.find(address, Address::UNSPECIFIED)
    }

    #[test]
    fn every_key_of_an_entry_is_used() {
        let text = "
exporters:
- {cidr: 192.0.2.0/24, records: inform, direction: egress, sampling: 100}
- {cidr: 192.0.2.7, records: count, direction: both, default_sampling: 10}
- {cidr: '2001:db8::/32', records: ignore}
";
        let policies = parse(text).unwrap();
        let inform = policy(&policies, "192.0.2.1");
        assert_eq!(inform.records, RecordPolicy::Inform);
        assert_eq!(inform.direction, Some(CountedDirection::Egress));
        assert_eq!(
            (inform.sampling, inform.default_sampling),
            (Some(100), None)
        );
        let count = policy(&policies, "192.0.2.7");
        assert_eq!(count.records, RecordPolicy::Count);
        assert_eq!(count.direction, Some(CountedDirection::Both));
        assert_eq!((count.sampling, count.default_sampling), (None, Some(10)));
        let ignore = policy(&policies, "2001:db8::1");
        assert_eq!(ignore.records, RecordPolicy::Ignore);
        assert_eq!(policy(&policies, "10.0.0.1"), ExporterPolicy::default());
    }

    #[test]
    fn elements_that_are_read_as_others_belong_to_the_longest_prefix() {
        let text = "
exporters:
- {cidr: 192.0.2.0/24, elements: {postOctetDeltaCount: reverseOctetDeltaCount, '15397:8': 1}}
- {cidr: 192.0.2.7, records: count}
";
        let policies = parse(text).unwrap();
        let aliases = |address: &str| policies.aliases(address.parse::<IpAddr>().unwrap().into());
        let octets = ElementId::iana(1);
        let of_network = aliases("192.0.2.1");
        assert_eq!(
            of_network.read_as(ElementId::iana(23)),
            Some(ElementId::reverse(1))
        );
        let own = ElementId::new(15_397, 8);
        assert_eq!(of_network.read_as(own), Some(octets));
        assert_eq!(of_network.read_as(octets), None);
        assert!(aliases("192.0.2.7").is_empty());
        assert!(aliases("198.51.100.1").is_empty());
    }

    #[test]
    fn an_invalid_entry_is_named_with_what_is_allowed() {
        for (text, words) in [
            ("- {cidr: 10.0.0.0/33}", &["10.0.0.0/33", "CIDR"][..]),
            ("- {cidr: 10.0.0.1, records: maybe}", &["maybe", "inform"]),
            (
                "- {cidr: 10.0.0.1, sampling: 0}",
                &["sampling", "at least 1"],
            ),
            ("- {cidr: 10.0.0.1, rate: 5}", &["rate"]),
            (
                "- {cidr: 10.0.0.1, elements: {octets: octetDeltaCount}}",
                &["\"octets\"", "10.0.0.1", "PEN:ID"],
            ),
            (
                "- {cidr: 10.0.0.1, elements: {'1:2': applicationName}}",
                &["applicationName", "10.0.0.1", "counted"],
            ),
            (
                "- {cidr: 10.0.0.1, elements: {sourceIPv4Address: octetDeltaCount}}",
                &["sourceIPv4Address", "octetDeltaCount", "types"],
            ),
            (
                "- {cidr: 10.0.0.1, elements: {'23': octetDeltaCount, '0:23': paddingOctets}}",
                &["postOctetDeltaCount", "10.0.0.1", "twice"],
            ),
            ("- {records: count}", &["cidr"]),
            ("- {cidr: 10.0.0.1}\n- {cidr: 10.0.0.1/32}", &["twice"]),
        ] {
            let error = parse(&format!("exporters:\n{text}\n")).unwrap_err();
            for word in words {
                assert!(error.contains(word), "{error} lacks {word}");
            }
        }
    }
}
