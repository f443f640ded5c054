//! Settings: the sources of external attributes.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;

/// The sources of external attributes. None by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalSources {
    /// Named CIDRs. The longest prefix around an address names it.
    pub cidrs: Vec<NamedCidr>,
    /// Databases in MaxMind DB format with autonomous systems, countries or both: GeoLite2 and
    /// GeoIP2 (ASN, ISP, Country, City), DB-IP, IPinfo. For each of the two attributes, the first
    /// database that has it for an address is used.
    pub databases: Vec<PathBuf>,
    /// Published address ranges: AWS `ip-ranges.json`, Google `cloud.json` and `goog.json`, Azure
    /// `ServiceTags_*.json`.
    pub cloud_ranges: Vec<PathBuf>,
    /// Maximum number of distinct combinations of attributes, over all reloads. Further ones are
    /// [`ExternalId::OTHER`](super::ExternalId::OTHER). About 130 octets each. Default: 262144.
    pub max_combinations: usize,
}

impl Default for ExternalSources {
    fn default() -> Self {
        Self {
            cidrs: Vec::new(),
            databases: Vec::new(),
            cloud_ranges: Vec::new(),
            max_combinations: 1 << 18,
        }
    }
}

impl ExternalSources {
    /// Returns whether there are no sources, so that external addresses have no attributes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cidrs.is_empty() && self.databases.is_empty() && self.cloud_ranges.is_empty()
    }
}

/// A CIDR and its name. Text form: `CIDR=NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedCidr {
    /// The addresses.
    pub cidr: IpNet,
    /// Their name.
    pub name: String,
}

impl FromStr for NamedCidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('=').and_then(|(cidr, name)| {
            let cidr = cidr.trim().parse().ok()?;
            let name = name.trim();
            (!name.is_empty()).then(|| Self {
                cidr,
                name: name.to_owned(),
            })
        });
        parsed.ok_or_else(|| {
            format!("invalid named CIDR {text:?}: must be CIDR=NAME, e.g. 192.0.2.0/24=office")
        })
    }
}

kipfix_service::text_setting!(NamedCidr);

impl fmt::Display for NamedCidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.cidr, self.name)
    }
}
