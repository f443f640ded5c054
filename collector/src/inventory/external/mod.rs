//! Outside: who an address is that the cluster does not hold: named CIDR, autonomous system, country,
//! cloud.
//!
//! Three kinds of files and settings say so, each on its own: [`NamedCidr`]s, databases in MaxMind's
//! format, and the address ranges that clouds publish. Each becomes a layer of ranges; the layers are
//! laid over each other once, when a file is read, and every combination of attributes that comes of
//! it gets an [`ExternalId`]. A lookup is then one search in a sorted table: no lock, no allocation and
//! no decoding of databases.
//!
//! [`ExternalWatcher`] reads the files, reads again what changed and publishes the result as [`PublishedExternal`].

mod attribute_table;
mod bucket_table;
mod cloud_ranges;
mod databases;
mod layer;
mod source_file;
mod watcher;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use flowproto::Address;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use attribute_table::AttributeTable;
use bucket_table::BucketTable;
use layer::{Layer, LayerBuilder};
pub use source_file::{ExternalError, FileError};
pub use watcher::{ExternalCounts, ExternalWatcher, PublishedExternal};

/// What says who an address outside is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalSources {
    /// Named CIDRs; of several around an address the longest prefix names it.
    pub cidrs: Vec<NamedCidr>,
    /// Databases in MaxMind's format that know autonomous systems, countries or both: GeoLite2 and
    /// GeoIP2 (ASN, ISP, Country, City), DB-IP, IPinfo. For each of the two the first one that knows an
    /// address is believed.
    pub databases: Vec<PathBuf>,
    /// Address ranges as published: AWS `ip-ranges.json`, Google `cloud.json` and `goog.json`, Azure
    /// `ServiceTags_*.json`.
    pub cloud_ranges: Vec<PathBuf>,
    /// Distinct combinations of attributes, over all reloads; further ones are [`ExternalId::OTHER`].
    /// About 130 octets each. Default 262144.
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
    /// True where nothing is named, so that every address outside is just outside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cidrs.is_empty() && self.databases.is_empty() && self.cloud_ranges.is_empty()
    }
}

/// A CIDR and what it is called; as text `CIDR=NAME`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(try_from = "String", into = "String")]
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
            format!("{text:?} is no named CIDR; allowed: CIDR=NAME, e.g. 192.0.2.0/24=office")
        })
    }
}

impl TryFrom<String> for NamedCidr {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<NamedCidr> for String {
    fn from(named: NamedCidr) -> Self {
        named.to_string()
    }
}

impl fmt::Display for NamedCidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.cidr, self.name)
    }
}

/// A combination of [`ExternalAttributes`], numbered from 0 without gaps in the order of discovery. Means the
/// same in every [`ExternalSnapshot`] of one [`ExternalWatcher`], however often the files were read again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExternalId(pub u32);

impl ExternalId {
    /// Nothing is known of the address.
    pub const UNKNOWN: Self = Self(0);
    /// Something is known, but there were too many combinations to tell it apart.
    pub const OTHER: Self = Self(1);
}

/// What is known of an address outside. Text is empty where nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ExternalAttributes {
    /// Name of the narrowest named CIDR around it.
    pub name: Arc<str>,
    /// Number of the autonomous system that announces it; 0 where that is not known (RFC 7607).
    pub as_number: u32,
    /// Who runs that system; at most 128 octets.
    pub as_organisation: Arc<str>,
    /// ISO 3166-1 alpha-2 code of its country.
    pub country: Arc<str>,
    /// `aws`, `gcp` or `azure`.
    pub cloud_provider: Arc<str>,
    /// The cloud's name of the service; where only the provider is known, its name of the whole:
    /// `AMAZON`, `Google`, `AzureCloud`.
    pub cloud_service: Arc<str>,
    /// The cloud's name of the region.
    pub cloud_region: Arc<str>,
}

impl ExternalAttributes {
    /// These attributes, and what they do not say as `below` says it. The number and the organisation
    /// of a system stay together, and so do the three of a cloud, unless both speak of one provider.
    fn over(&self, below: &Self) -> Self {
        let text =
            |top: &Arc<str>, below: &Arc<str>| Arc::clone(if top.is_empty() { below } else { top });
        let system = if self.as_number == 0 && self.as_organisation.is_empty() {
            below
        } else {
            self
        };
        let mut sum = Self {
            name: text(&self.name, &below.name),
            as_number: system.as_number,
            as_organisation: Arc::clone(&system.as_organisation),
            country: text(&self.country, &below.country),
            cloud_provider: Arc::clone(&self.cloud_provider),
            cloud_service: Arc::clone(&self.cloud_service),
            cloud_region: Arc::clone(&self.cloud_region),
        };
        if self.cloud_provider.is_empty() || self.cloud_provider == below.cloud_provider {
            sum.cloud_provider = Arc::clone(&below.cloud_provider);
            sum.cloud_service = text(&self.cloud_service, &below.cloud_service);
            sum.cloud_region = text(&self.cloud_region, &below.cloud_region);
        }
        sum
    }
}

/// Who is who outside, as the files said when they were read. Never changes. By default nothing is known.
#[derive(Debug, Default)]
pub struct ExternalSnapshot {
    v4: BucketTable<u32>,
    v6: BucketTable<u128>,
    /// By [`ExternalId`].
    attributes: Arc<Vec<ExternalAttributes>>,
    /// Ranges that had to be [`ExternalId::OTHER`].
    other_ranges: usize,
}

impl ExternalSnapshot {
    /// Reads all of `files`, once.
    ///
    /// # Errors
    /// One of them cannot be used: a sentence that names it and the reason.
    pub fn load(files: &ExternalSources) -> Result<Arc<Self>, ExternalError> {
        Ok(ExternalWatcher::new(files)?.published().load_full())
    }

    /// The id of what is known of `address`.
    #[must_use]
    #[inline]
    pub fn lookup(&self, address: Address) -> ExternalId {
        if address.is_ipv4() {
            self.v4.find(address.v4_bits())
        } else {
            self.v6.find(address.bits())
        }
    }

    /// What an id of this or an earlier snapshot stands for.
    #[must_use]
    pub fn attributes(&self, id: ExternalId) -> &ExternalAttributes {
        let at = usize::try_from(id.0).unwrap_or(usize::MAX);
        self.attributes
            .get(at)
            .unwrap_or_else(|| attribute_table::unknown())
    }

    /// True where nothing is known of any address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges() == 0
    }

    /// Number of combinations known, the first two ids included.
    #[must_use]
    pub fn combinations(&self) -> usize {
        self.attributes.len()
    }

    /// Number of address ranges that are told apart.
    #[must_use]
    pub fn ranges(&self) -> usize {
        self.v4.len().saturating_add(self.v6.len())
    }

    /// Number of address ranges that are [`ExternalId::OTHER`], since there were too many combinations.
    #[must_use]
    pub const fn other_ranges(&self) -> usize {
        self.other_ranges
    }

    /// Lays the layers over each other, the first one on top.
    fn of<'a>(layers: impl Iterator<Item = &'a Layer>, names: &mut AttributeTable) -> Self {
        let merged = layers.fold(Layer::default(), |top, below| top.over(below));
        let ids = names.intern(&merged.facts);
        let (v4, other_v4) = BucketTable::new(&merged.v4, &ids);
        let (v6, other_v6) = BucketTable::new(&merged.v6, &ids);
        Self {
            v4,
            v6,
            attributes: names.all(),
            other_ranges: other_v4.saturating_add(other_v6),
        }
    }
}

/// The layer of the named CIDRs.
fn named(cidrs: &[NamedCidr]) -> Result<Layer, ExternalError> {
    let mut builder = LayerBuilder::default();
    let mut seen = std::collections::BTreeMap::new();
    for NamedCidr { cidr, name } in cidrs {
        if let Some(first) = seen.insert(cidr.trunc(), name) {
            return Err(ExternalError::Cidr {
                cidr: *cidr,
                first: first.clone(),
                second: name.clone(),
            });
        }
        let attributes = ExternalAttributes {
            name: builder.text(name),
            ..ExternalAttributes::default()
        };
        builder.claim(*cidr, 0, attributes);
    }
    Ok(builder.build())
}
