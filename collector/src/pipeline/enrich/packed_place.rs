//! The place of an endpoint in four octets, for entries of the endpoint cache.

use enum_map::Enum;
use strum::VariantArray;

use crate::inventory::{EndpointKind, NodeId, Place};

/// A [`Place`] and the generation of its snapshots in four octets: the kind in the three highest
/// bits, the generation, and the node plus one, 0 without a node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PackedPlace(u32);

impl PackedPlace {
    const NODE_BITS: u32 = 20;
    const NODE_MASK: u32 = (1 << Self::NODE_BITS) - 1;
    const KIND_SHIFT: u32 = 29;
    pub(super) const MAX_GENERATION: u32 = (1 << (Self::KIND_SHIFT - Self::NODE_BITS)) - 1;

    /// `None` if the node's number is too large.
    pub(super) fn new(place: Place, generation: u32) -> Option<Self> {
        let kind = u32::try_from(place.kind.into_usize()).ok()?;
        let node = match place.node {
            None => 0,
            Some(node) => node.0.checked_add(1)?,
        };
        let packed = kind << Self::KIND_SHIFT | generation << Self::NODE_BITS | node;
        (node <= Self::NODE_MASK).then_some(Self(packed))
    }

    #[inline]
    pub(super) const fn generation(self) -> u32 {
        self.0 >> Self::NODE_BITS & Self::MAX_GENERATION
    }

    #[inline]
    pub(super) fn unpack(self) -> Place {
        let node = self.0 & Self::NODE_MASK;
        let kind = usize::try_from(self.0 >> Self::KIND_SHIFT).ok();
        let kind = kind.and_then(|kind| EndpointKind::VARIANTS.get(kind));
        Place {
            kind: kind.copied().unwrap_or_default(),
            node: node.checked_sub(1).map(NodeId),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_packing() {
        for kind in [
            EndpointKind::External,
            EndpointKind::Pod,
            EndpointKind::Node,
            EndpointKind::Service,
            EndpointKind::Link,
        ] {
            for node in [None, Some(NodeId(0)), Some(NodeId(1 << 19))] {
                let place = Place { kind, node };
                for generation in [1, PackedPlace::MAX_GENERATION] {
                    let packed = PackedPlace::new(place, generation).unwrap();
                    assert_eq!((packed.unpack(), packed.generation()), (place, generation));
                }
            }
        }
        for node in [1 << 20, u32::MAX].map(|node| Some(NodeId(node))) {
            let kind = EndpointKind::Pod;
            assert!(PackedPlace::new(Place { kind, node }, 1).is_none());
        }
    }
}
