//! Published address ranges of clouds: AWS `ip-ranges.json`, Google `cloud.json` and `goog.json`,
//! Azure `ServiceTags_*.json`. The fields of a file identify its format.
//!
//! Clouds list an address several times: AWS lists all addresses as `AMAZON`, Azure in a tag
//! without region and service. The narrowest prefix wins. Attributes that it lacks come from the
//! wider ones.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use super::attributes::ExternalAttributes;
use super::error::FileError;
use super::layer::{Layer, LayerBuilder};

/// Maximum number of prefixes in a file. AWS has about 10,000, Azure about 100,000 in all tags.
const MAX_PREFIXES: usize = 1 << 19;
/// Maximum number of entries in one list.
const MAX_ENTRIES: usize = 1 << 18;

/// Reads the ranges into a layer.
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
        let precedence = precedence(&attributes, "");
        for net in &properties.address_prefixes.0 {
            builder.claim(*net, precedence, attributes.clone());
            count = count.saturating_add(1);
            if count > MAX_PREFIXES {
                return Err(FileError::TooMany {
                    what: "prefixes",
                    max: MAX_PREFIXES,
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

/// An entry of AWS (`ip_prefix`, `ipv6_prefix`) or Google (`ipv4Prefix`, `ipv6Prefix`).
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
    /// The region of AWS.
    #[serde(default)]
    region: String,
    /// The region of Google.
    #[serde(default)]
    scope: String,
}

impl Entry {
    /// Claims the prefixes of the entry and returns their number.
    fn claim(&self, builder: &mut LayerBuilder) -> usize {
        let mut count = 0_usize;
        for net in [self.ip_prefix, self.ipv6_prefix].into_iter().flatten() {
            let service = match self.service.as_str() {
                "AMAZON" => "",
                service => service,
            };
            let attributes = cloud(builder, "aws", service, &self.region);
            // Services that run in EC2 are listed as both.
            let precedence = precedence(&attributes, "EC2");
            builder.claim(net, precedence, attributes);
            count = count.saturating_add(1);
        }
        for net in [self.google_ipv4, self.google_ipv6].into_iter().flatten() {
            let attributes = cloud(builder, "gcp", &self.service, &self.scope);
            let precedence = precedence(&attributes, "");
            builder.claim(net, precedence, attributes);
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

/// Returns the precedence between entries of one prefix: the most specific one is on top.
fn precedence(attributes: &ExternalAttributes, common: &str) -> u32 {
    let service: &Arc<str> = &attributes.cloud_service;
    let service = match &**service {
        "" => 0,
        service if service == common => 2,
        _ => 4,
    };
    service | u32::from(!attributes.cloud_region.is_empty())
}

/// A list with at most [`MAX_ENTRIES`] entries. A longer one is refused while it is read.
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
            if list.len() >= MAX_ENTRIES {
                return Err(A::Error::custom(format_args!(
                    "a list has more than {MAX_ENTRIES} entries"
                )));
            }
            list.push(element);
        }
        Ok(List(list))
    }
}
