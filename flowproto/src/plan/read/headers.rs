//! Reads how the packets of a record are carried: address translation, tunnel, encryption.

use super::addresses::without_zero;
use super::{Values, bits};
use crate::address::Address;
use crate::plan::slot::Slot;
use crate::record::{FlowKey, FlowRecord, Translation, Tunnel, TunnelType};

const TRANSLATION: u128 = bits([
    Slot::PostNatSourceV4,
    Slot::PostNatDestinationV4,
    Slot::PostNatSourceV6,
    Slot::PostNatDestinationV6,
    Slot::PostNaptSourcePort,
    Slot::PostNaptDestinationPort,
]);
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
const SECURITY: u128 = Slot::SecurityProtocol.bit();
/// Everything that is read here.
pub(super) const SLOTS: u128 = TRANSLATION | TUNNEL | SECURITY;

impl Values {
    /// An address that a flow need not have. Exporters send 0.0.0.0 where it has none.
    pub(super) fn optional_address(&self, v4: Slot, v6: Slot) -> Address {
        without_zero(self.address(v4, v6))
    }

    /// Fills translation, tunnel and encryption.
    pub(super) fn fill_headers(&self, record: &mut FlowRecord) {
        record.security_protocol = self.low_u8(Slot::SecurityProtocol).into();
        if self.any(TRANSLATION) {
            let translation = Translation {
                post_nat_source_address: self
                    .optional_address(Slot::PostNatSourceV4, Slot::PostNatSourceV6),
                post_nat_destination_address: self
                    .optional_address(Slot::PostNatDestinationV4, Slot::PostNatDestinationV6),
                post_napt_source_port: self.low_u16(Slot::PostNaptSourcePort),
                post_napt_destination_port: self.low_u16(Slot::PostNaptDestinationPort),
            };
            record.translation = (translation != Translation::default()).then_some(translation);
        }
        if self.any(TUNNEL) {
            let tunnel = Tunnel {
                tunnel_type: TunnelType::of(
                    self.low_u8(Slot::TunnelType),
                    self.low_u8(Slot::TunnelEncapsulation),
                ),
                tunnel_key: self.low_u32(Slot::TunnelKey),
                tunnel_source_address: self
                    .optional_address(Slot::TunnelSourceV4, Slot::TunnelSourceV6),
                tunnel_destination_address: self
                    .optional_address(Slot::TunnelDestinationV4, Slot::TunnelDestinationV6),
                tunnel_protocol_identifier: self.low_u8(Slot::TunnelProtocol),
                tunnel_source_port: self.low_u16(Slot::TunnelSourcePort),
                tunnel_destination_port: self.low_u16(Slot::TunnelDestinationPort),
            };
            let is_known = |address| !without_zero(address).is_unspecified();
            let has_outer_ends = is_known(tunnel.tunnel_source_address)
                || is_known(tunnel.tunnel_destination_address);
            let has_inner_ends =
                is_known(record.key.source_address) || is_known(record.key.destination_address);
            let is_outer_packet = has_outer_ends && !has_inner_ends;
            // A template for all flows has zeros for those that are in no tunnel.
            let has_tunnel = has_outer_ends || tunnel.tunnel_key != 0;
            record.tunnel = (has_tunnel && !is_outer_packet).then_some(tunnel);
            if is_outer_packet {
                record.key = FlowKey {
                    source_address: tunnel.tunnel_source_address,
                    destination_address: tunnel.tunnel_destination_address,
                    source_port: tunnel.tunnel_source_port,
                    destination_port: tunnel.tunnel_destination_port,
                    protocol_identifier: tunnel.tunnel_protocol_identifier,
                };
            }
        }
    }
}
