//! How the packets of a record are carried: address translation, tunnel, protection.

use super::super::slot::Slot;
use super::{Values, bits};
use crate::record::{FlowRecord, Translation, Tunnel, TunnelType};

const TRANSLATION: u128 = bits([
    Slot::PostNatSourceV4,
    Slot::PostNatDestinationV4,
    Slot::PostNatSourceV6,
    Slot::PostNatDestinationV6,
    Slot::PostNaptSourcePort,
    Slot::PostNaptDestinationPort,
]);
const SECURITY: u128 = Slot::SecurityProtocol.bit();
const TUNNEL: u128 = bits([
    Slot::TunnelType,
    Slot::TunnelKey,
    Slot::TunnelSourceV4,
    Slot::TunnelDestinationV4,
    Slot::TunnelSourceV6,
    Slot::TunnelDestinationV6,
    Slot::TunnelProtocol,
    Slot::TunnelSourcePort,
    Slot::TunnelDestinationPort,
    Slot::TunnelEncapsulation,
]);
/// The slots of this file.
pub(super) const SLOTS: u128 = TRANSLATION | TUNNEL | SECURITY;

impl Values {
    /// Fills the fields about translation, tunnel and protection.
    pub(super) fn fill_carriage(&self, record: &mut FlowRecord) {
        record.security_protocol = self.low_u8(Slot::SecurityProtocol).into();
        if self.any(TRANSLATION) {
            record.translation = Some(Translation {
                post_nat_source_address: self.address(Slot::PostNatSourceV4, Slot::PostNatSourceV6),
                post_nat_destination_address: self
                    .address(Slot::PostNatDestinationV4, Slot::PostNatDestinationV6),
                post_napt_source_port: self.low_u16(Slot::PostNaptSourcePort),
                post_napt_destination_port: self.low_u16(Slot::PostNaptDestinationPort),
            });
        }
        if self.any(TUNNEL) {
            record.tunnel = Some(Tunnel {
                tunnel_type: TunnelType::of(
                    self.low_u8(Slot::TunnelType),
                    self.low_u8(Slot::TunnelEncapsulation),
                ),
                tunnel_key: self.low_u32(Slot::TunnelKey),
                tunnel_source_address: self.address(Slot::TunnelSourceV4, Slot::TunnelSourceV6),
                tunnel_destination_address: self
                    .address(Slot::TunnelDestinationV4, Slot::TunnelDestinationV6),
                tunnel_protocol_identifier: self.low_u8(Slot::TunnelProtocol),
                tunnel_source_port: self.low_u16(Slot::TunnelSourcePort),
                tunnel_destination_port: self.low_u16(Slot::TunnelDestinationPort),
            });
        }
    }
}
