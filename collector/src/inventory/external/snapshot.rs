//! An immutable table from external addresses to attributes.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowproto::Address;

use super::attribute_table::{self, AttributeTable};
use super::attributes::{ExternalAttributes, ExternalId};
use super::bucket_table::BucketTable;
use super::error::ExternalError;
use super::layer::{Layer, LayerBuilder};
use super::sources::NamedCidr;

/// 64:ff9b::/96, in front of the IPv4 address (RFC 6052 §2.1).
const NAT64_PREFIX: u128 = 0x64_ff9b << 64;

/// External addresses and their attributes, as the sources had them when they were read. The
/// default has no attributes.
#[derive(Debug, Default)]
pub struct ExternalSnapshot {
    v4: BucketTable<u32>,
    v6: BucketTable<u128>,
    /// Attributes by [`ExternalId`].
    attributes: Arc<Vec<ExternalAttributes>>,
    /// Address ranges with [`ExternalId::OTHER`].
    other_ranges: usize,
}

impl ExternalSnapshot {
    /// Returns the id of the attributes of `address`. An address of NAT64 without attributes has
    /// those of the IPv4 address in it.
    #[must_use]
    #[inline]
    pub fn lookup(&self, address: Address) -> ExternalId {
        if address.is_ipv4() {
            return self.v4.get(address.v4_bits());
        }
        let id = self.v6.get(address.bits());
        if id == ExternalId::UNKNOWN && address.bits() >> 32 == NAT64_PREFIX {
            self.v4.get(address.v4_bits())
        } else {
            id
        }
    }

    /// Returns the attributes of an id from this snapshot or an earlier one.
    #[must_use]
    pub fn attributes(&self, id: ExternalId) -> &ExternalAttributes {
        let at = usize::try_from(id.0).unwrap_or(usize::MAX);
        let attributes = self.attributes.get(at);
        attributes.unwrap_or_else(|| attribute_table::unknown())
    }

    /// Returns whether no address has attributes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges() == 0
    }

    /// Returns the number of distinct combinations of attributes, including the first two ids.
    #[must_use]
    pub fn combinations(&self) -> usize {
        self.attributes.len()
    }

    /// Returns the number of address ranges with distinct attributes.
    #[must_use]
    pub fn ranges(&self) -> usize {
        self.v4.len().saturating_add(self.v6.len())
    }

    /// Returns the number of address ranges with [`ExternalId::OTHER`], because the limit on
    /// combinations is reached.
    #[must_use]
    pub const fn other_ranges(&self) -> usize {
        self.other_ranges
    }

    /// Merges layers, the first one on top.
    pub(super) fn of<'a>(
        layers: impl Iterator<Item = &'a Layer>,
        attributes: &mut AttributeTable,
    ) -> Self {
        let merged = layers.fold(Layer::default(), |top, below| top.over(below));
        let ids = attributes.intern(&merged.attributes);
        let (v4, other_v4) = BucketTable::new(&merged.v4, &ids);
        let (v6, other_v6) = BucketTable::new(&merged.v6, &ids);
        Self {
            v4,
            v6,
            attributes: attributes.all(),
            other_ranges: other_v4.saturating_add(other_v6),
        }
    }
}

/// Builds the layer of the named CIDRs.
pub(super) fn named_cidrs(cidrs: &[NamedCidr]) -> Result<Layer, ExternalError> {
    let mut builder = LayerBuilder::default();
    let mut seen = BTreeMap::new();
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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use crate::inventory::external::{ExternalSources, ExternalWatcher};

    #[test]
    fn an_address_of_nat64_has_the_attributes_of_its_ipv4_address() {
        let cidrs = ["198.51.100.0/24=office", "64:ff9b::c000:207/128=gateway"];
        let sources = ExternalSources {
            cidrs: cidrs.map(|text| text.parse().unwrap()).into(),
            ..ExternalSources::default()
        };
        let snapshot = ExternalWatcher::new(&sources)
            .unwrap()
            .published()
            .load_full();
        for (address, expected) in [
            ("198.51.100.7", "office"),
            ("64:ff9b::198.51.100.7", "office"),
            ("64:ff9b::192.0.2.7", "gateway"),
            ("64:ff9b::203.0.113.7", ""),
            ("64:ff9b:1::198.51.100.7", ""),
            ("2001:db8::198.51.100.7", ""),
        ] {
            let id = snapshot.lookup(address.parse::<IpAddr>().unwrap().into());
            assert_eq!(&*snapshot.attributes(id).name, expected, "{address}");
        }
    }
}
