//! The address ranges that clouds publish: AWS `ip-ranges.json`, Google `cloud.json` and `goog.json`,
//! Azure `ServiceTags_*.json`. Which one a file is, its fields tell.
//!
//! Clouds list an address several times: all of AWS as `AMAZON`, all of Azure in a tag without region
//! and service. The narrowest prefix is believed, and what it leaves open is as a wider one says.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use super::ExternalAttributes;
use super::layer::{Layer, LayerBuilder};
use super::source_file::FileError;

/// Prefixes that a file may have. AWS has about 10,000, all tags of Azure together 100,000.
const MOST_PREFIXES: usize = 1 << 19;
/// Entries of one list.
const MOST_ENTRIES: usize = 1 << 18;

/// What the file says.
pub(super) fn parse(octets: &[u8]) -> Result<Layer, FileError> {
    let document: Document = serde_json::from_slice(octets).map_err(FileError::Json)?;
    let mut builder = LayerBuilder::default();
    let mut count = 0_usize;
    let lists = [document.prefixes, document.ipv6_prefixes];
    for entry in lists.iter().flatten().flat_map(|list| &list.0) {
        count = count.saturating_add(entry.claim(&mut builder));
    }
    for tag in document.values.iter().flat_map(|list| &list.0) {
        let properties = &tag.properties;
        let attributes = cloud(
            &mut builder,
            "azure",
            &properties.system_service,
            &properties.region,
        );
        let rank = rank(&attributes, "");
        for net in &properties.address_prefixes.0 {
            builder.claim(*net, rank, attributes.clone());
            count = count.saturating_add(1);
            if count > MOST_PREFIXES {
                return Err(FileError::TooMany {
                    what: "prefixes",
                    most: MOST_PREFIXES,
                });
            }
        }
    }
    if count == 0 {
        return Err(FileError::UnknownLayout);
    }
    Ok(builder.build())
}

#[derive(Deserialize)]
struct Document {
    prefixes: Option<List<Entry>>,
    ipv6_prefixes: Option<List<Entry>>,
    values: Option<List<Tag>>,
}

/// An entry of AWS, with `ip_prefix` or `ipv6_prefix`, or of Google, with `ipv4Prefix` or `ipv6Prefix`.
#[derive(Deserialize)]
struct Entry {
    ip_prefix: Option<IpNet>,
    ipv6_prefix: Option<IpNet>,
    #[serde(rename = "ipv4Prefix")]
    google_ipv4: Option<IpNet>,
    #[serde(rename = "ipv6Prefix")]
    google_ipv6: Option<IpNet>,
    #[serde(default)]
    service: String,
    /// AWS.
    #[serde(default)]
    region: String,
    /// Google's word for a region.
    #[serde(default)]
    scope: String,
}

impl Entry {
    /// Claims the prefixes of the entry and returns how many those were.
    fn claim(&self, builder: &mut LayerBuilder) -> usize {
        let mut count = 0_usize;
        for net in [self.ip_prefix, self.ipv6_prefix].into_iter().flatten() {
            let service = match self.service.as_str() {
                "AMAZON" => "",
                service => service,
            };
            let attributes = cloud(builder, "aws", service, &self.region);
            // Many services run in EC2 and are listed as both.
            let rank = rank(&attributes, "EC2");
            builder.claim(net, rank, attributes);
            count = count.saturating_add(1);
        }
        for net in [self.google_ipv4, self.google_ipv6].into_iter().flatten() {
            let attributes = cloud(builder, "gcp", &self.service, &self.scope);
            let rank = rank(&attributes, "");
            builder.claim(net, rank, attributes);
            count = count.saturating_add(1);
        }
        count
    }
}

#[derive(Deserialize)]
struct Tag {
    properties: Properties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    #[serde(default)]
    region: String,
    #[serde(default)]
    system_service: String,
    address_prefixes: List<IpNet>,
}

fn cloud(
    builder: &mut LayerBuilder,
    provider: &str,
    service: &str,
    region: &str,
) -> ExternalAttributes {
    ExternalAttributes {
        cloud_provider: builder.text(provider),
        cloud_service: builder.text(service),
        cloud_region: builder.text(region),
        ..ExternalAttributes::default()
    }
}

/// Of several entries for one prefix the one that says most lies on top.
fn rank(attributes: &ExternalAttributes, common: &str) -> u32 {
    let service: &Arc<str> = &attributes.cloud_service;
    let service = match &**service {
        "" => 0,
        service if service == common => 2,
        _ => 4,
    };
    service | u32::from(!attributes.cloud_region.is_empty())
}

/// A list that is refused while it is read, once it is too long.
struct List<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = seq.next_element()? {
            if list.len() >= MOST_ENTRIES {
                return Err(A::Error::custom(format_args!(
                    "a list has more than {MOST_ENTRIES} entries"
                )));
            }
            list.push(element);
        }
        Ok(List(list))
    }
}
