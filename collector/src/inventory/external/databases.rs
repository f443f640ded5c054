//! Databases in MaxMind DB format: autonomous systems and countries.
//!
//! The field names depend on the publisher:
//!
//! * GeoLite2, GeoIP2, DB-IP Lite: `autonomous_system_number`, `autonomous_system_organization`,
//!   `country.iso_code`, else `registered_country.iso_code`;
//! * GeoIP2 Enterprise, DB-IP ISP: the first two in `traits`, `country.iso_code`;
//! * IPinfo: `asn` (`AS64500`), `as_name` (`name` in the ASN database), `country_code` (`country`
//!   in older ones).

use std::net::{IpAddr, Ipv6Addr};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use maxminddb::{LookupResult, MaxMindDbError, Reader, WithinOptions};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::attributes::ExternalAttributes;
use super::error::FileError;
use super::layer::{Layer, LayerBuilder};
use crate::interval_map::{AddressBits, IntervalMap};

/// Maximum number of networks to walk.
const MAX_NETWORKS: usize = 1 << 26;
/// Maximum number of intervals to keep, for each address family.
const MAX_INTERVALS: usize = 1 << 23;
/// Maximum number of distinct combinations of autonomous system and country.
const MAX_COMBINATIONS: usize = 1 << 19;
/// Maximum number of decoded records to cache. Many networks share one record.
const MAX_CACHED_RECORDS: usize = 1 << 22;

/// Reads the whole database into a layer. Flow records are looked up in a table, not here.
pub(super) fn parse(octets: Vec<u8>) -> Result<Layer, FileError> {
    let reader = Reader::from_source(octets).map_err(FileError::Database)?;
    let mut values = RecordValues::default();
    let (mut v4, mut v6) = (Walk::<u32>::default(), Walk::<u128>::default());
    // Networks that the iterator skips are not counted, and a crafted tree can have any number of
    // them. So networks without data and aliased networks are included.
    let options = WithinOptions::default()
        .include_networks_without_data()
        .include_aliased_networks();
    let networks = reader.networks(options).map_err(FileError::Database)?;
    // A tree has one leaf more than nodes. The IPv4 aliases share nodes. A crafted tree that shares
    // more nodes can have 2^128 leaves.
    let nodes = usize::try_from(reader.metadata().node_count).unwrap_or(usize::MAX);
    let max_networks = nodes.saturating_mul(8).saturating_add(8).min(MAX_NETWORKS);
    for (count, network) in networks.enumerate() {
        let network = network.map_err(FileError::Database)?;
        let value = values.of(&network).map_err(FileError::Database)?;
        let prefix = network.network().map_err(FileError::Database)?;
        match (prefix.network(), prefix.broadcast()) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                v4.network(first.to_bits(), last.to_bits(), value);
            }
            (IpAddr::V6(first), IpAddr::V6(last)) if !is_alias(first) => {
                v6.network(first.to_bits(), last.to_bits(), value);
            }
            _ => {}
        }
        let limits = [
            ("networks for its size", count, max_networks),
            ("address ranges", v4.intervals.count(), MAX_INTERVALS),
            ("address ranges", v6.intervals.count(), MAX_INTERVALS),
            (
                "combinations of autonomous system and country",
                values.builder.attribute_count(),
                MAX_COMBINATIONS,
            ),
        ];
        for (what, count, max) in limits {
            if count >= max {
                return Err(FileError::TooMany { what, max });
            }
        }
    }
    let builder = values.builder;
    if builder.attribute_count() <= 1 {
        return Err(FileError::NoKnownFields {
            database_type: reader.metadata().database_type.chars().take(64).collect(),
        });
    }
    Ok(builder.build_of(v4.intervals, v6.intervals))
}

/// The values of records in the layer.
#[derive(Default)]
struct RecordValues {
    builder: LayerBuilder,
    /// By offset of the record.
    cached: HashMap<usize, u32, RandomState>,
}

impl RecordValues {
    /// The value of a network's record; 0 if it has none.
    fn of(&mut self, network: &LookupResult<'_, Vec<u8>>) -> Result<u32, MaxMindDbError> {
        let Some(offset) = network.offset() else {
            return Ok(0);
        };
        if let Some(value) = self.cached.get(&offset) {
            return Ok(*value);
        }
        let record: Option<Record<'_>> = network.decode()?;
        let value = record.map_or(0, |record| {
            let attributes = record.attributes(&mut self.builder);
            self.builder.add(attributes)
        });
        if self.cached.len() < MAX_CACHED_RECORDS {
            self.cached.insert(offset, value);
        }
        Ok(value)
    }
}

/// Returns whether a database repeats its IPv4 networks there: v4-mapped, Teredo (RFC 4380), 6to4
/// (RFC 3056).
fn is_alias(address: Ipv6Addr) -> bool {
    let bits = address.to_bits();
    bits >> 32 == 0xffff || bits >> 96 == 0x2001_0000 || bits >> 112 == 0x2002
}

/// Builds the intervals of one family from networks in ascending order.
#[derive(Debug, Default)]
struct Walk<K: AddressBits> {
    intervals: IntervalMap<K, u32>,
}

impl<K: AddressBits> Walk<K> {
    fn network(&mut self, first: K, last: K, value: u32) {
        self.intervals.push(first, value);
        // Aliases are skipped, so the next network may start later.
        if let Some(after) = last.next() {
            self.intervals.push(after, 0);
        }
    }
}

/// The fields that are read from a record.
#[derive(serde::Deserialize)]
#[serde(bound(deserialize = "'de: 'a"), default)]
#[derive(Default)]
struct Record<'a> {
    autonomous_system_number: Field<'a>,
    autonomous_system_organization: Field<'a>,
    traits: Field<'a>,
    asn: Field<'a>,
    as_name: Field<'a>,
    name: Field<'a>,
    country_code: Field<'a>,
    country: Field<'a>,
    registered_country: Field<'a>,
}

impl Record<'_> {
    fn attributes(&self, builder: &mut LayerBuilder) -> ExternalAttributes {
        let numbers = [
            self.autonomous_system_number.number,
            self.asn.number,
            self.traits.number,
        ];
        let as_number = numbers.into_iter().find(|n| *n != 0).unwrap_or(0);
        let organisations = [
            self.autonomous_system_organization.text,
            self.as_name.text,
            self.traits.text,
            // Without a number, the name may be that of something else.
            if as_number == 0 { "" } else { self.name.text },
        ];
        let organisation = organisations.into_iter().find(|text| !text.is_empty());
        let codes = [
            self.country_code.text,
            self.country.text,
            self.registered_country.text,
        ];
        // `country` is a code, a map with a code, or a full name. Only codes are used.
        let code = codes
            .into_iter()
            .find(|code| code.len() == 2 && code.bytes().all(|b| b.is_ascii_alphabetic()));
        ExternalAttributes {
            as_number,
            as_organisation: builder.text(organisation.unwrap_or_default()),
            country: builder.text(&code.unwrap_or_default().to_ascii_uppercase()),
            ..ExternalAttributes::default()
        }
    }
}

/// A field that is a number, a text, or a map with one of the two. Other types are empty.
#[derive(Clone, Copy, Debug, Default)]
struct Field<'a> {
    number: u32,
    text: &'a str,
}

impl<'a> Field<'a> {
    fn of_text(text: &'a str) -> Self {
        let digits = text
            .strip_prefix("AS")
            .or_else(|| text.strip_prefix("as"))
            .unwrap_or(text);
        Self {
            number: digits.parse().unwrap_or(0),
            text,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor::<true>)
    }
}

/// A field inside the map of a field. Nested maps are empty.
struct Inner<'a>(Field<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Inner<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(FieldVisitor::<false>)
            .map(Self)
    }
}

struct FieldVisitor<const MAPS: bool>;

impl<'de, const MAPS: bool> Visitor<'de> for FieldVisitor<MAPS> {
    type Value = Field<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a field of a record")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Field::of_text(text))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Field {
            number: u32::try_from(number).unwrap_or(0),
            text: "",
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut field = Field::default();
        while let Some(key) = map.next_key::<&str>()? {
            match key {
                "iso_code" | "autonomous_system_organization" if MAPS => {
                    field.text = map.next_value::<Inner<'de>>()?.0.text;
                }
                "autonomous_system_number" if MAPS => {
                    field.number = map.next_value::<Inner<'de>>()?.0.number;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(field)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::default())
    }

    fn visit_u128<E>(self, _: u128) -> Result<Self::Value, E> {
        Ok(Field::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Field::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Field::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Field::default())
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Self::Value, E> {
        Ok(Field::default())
    }
}
