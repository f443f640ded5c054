//! The addresses of a Data Record.

use super::{Values, bits};
use crate::address::Address;
use crate::plan::slot::Slot;

const ENDS_V4: u128 = bits([Slot::SourceV4, Slot::DestinationV4]);
const ENDS_V6: u128 = bits([Slot::SourceV6, Slot::DestinationV6]);

impl Values {
    /// An address of either family. Some templates have both and send zeros in the family that a
    /// flow does not use.
    #[inline]
    pub(super) fn address(&self, v4: Slot, v6: Slot) -> Address {
        let wide = self.wide.get(v6.index()).copied().unwrap_or_default();
        if wide != 0 {
            Address::from_v6_bits(wide)
        } else if self.any(v4.bit()) {
            Address::from_v4_bits(self.low_u32(v4))
        } else {
            Address::UNSPECIFIED
        }
    }

    /// Source and destination. Zeros in both families are the unspecified address of the family
    /// that the other end has.
    #[inline]
    pub(super) fn ends(&self) -> [Address; 2] {
        let ends = [
            self.address(Slot::SourceV4, Slot::SourceV6),
            self.address(Slot::DestinationV4, Slot::DestinationV6),
        ];
        if !self.any(ENDS_V4) || !self.any(ENDS_V6) || ends.iter().all(|end| end.is_ipv4()) {
            return ends;
        }
        ends.map(without_zero)
    }
}

/// An address, with 0.0.0.0 as the unspecified address of IPv6.
#[inline]
pub(super) const fn without_zero(address: Address) -> Address {
    if address.is_ipv4() && address.v4_bits() == 0 {
        Address::UNSPECIFIED
    } else {
        address
    }
}
