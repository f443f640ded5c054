//! Outer headers of conversations. Most conversations have none, so they are kept apart.

use flowproto::record::Tunnel;

use super::links::NONE;
use crate::connection::{Pair, Side};

/// Slots for the outer headers of both directions.
#[derive(Debug, Default)]
pub(super) struct TunnelSlab {
    slots: Vec<Pair<Option<Tunnel>>>,
    free: Vec<u32>,
}

impl TunnelSlab {
    /// Sets the outer header of a direction. Chooses a slot if `slot` is [`NONE`].
    pub(super) fn set(&mut self, slot: &mut u32, source: Side, tunnel: Option<Tunnel>) {
        if *slot == NONE {
            *slot = self.free.pop().unwrap_or_else(|| {
                let unused = u32::try_from(self.slots.len()).unwrap_or(NONE);
                self.slots.push(Pair::default());
                unused
            });
        }
        if let Some(pair) = place(*slot).and_then(|place| self.slots.get_mut(place)) {
            *pair.of_mut(source) = tunnel;
        }
    }

    /// The outer headers of both directions.
    pub(super) fn get(&self, slot: u32) -> Pair<Option<Tunnel>> {
        place(slot)
            .and_then(|place| self.slots.get(place))
            .copied()
            .unwrap_or_default()
    }

    /// Frees a slot, if it is one.
    pub(super) fn remove(&mut self, slot: u32) {
        if let Some(pair) = place(slot).and_then(|place| self.slots.get_mut(place)) {
            *pair = Pair::default();
            self.free.push(slot);
        }
    }
}

fn place(slot: u32) -> Option<usize> {
    usize::try_from(slot).ok()
}

#[cfg(test)]
mod tests {
    use flowproto::Address;
    use flowproto::record::TunnelType;

    use super::*;

    #[test]
    fn a_freed_slot_is_used_again_and_is_empty() {
        let tunnel = Some(Tunnel {
            tunnel_type: TunnelType::Vxlan,
            tunnel_key: 7,
            tunnel_source_address: Address::from_v4_bits(1),
            tunnel_destination_address: Address::from_v4_bits(2),
            tunnel_protocol_identifier: 17,
            tunnel_source_port: 3,
            tunnel_destination_port: 4789,
        });
        let mut tunnels = TunnelSlab::default();
        let (mut first, mut second, mut third) = (NONE, NONE, NONE);
        tunnels.set(&mut first, Side::Low, tunnel);
        tunnels.set(&mut second, Side::High, tunnel);
        tunnels.remove(first);
        tunnels.remove(NONE);
        tunnels.set(&mut third, Side::High, tunnel);
        assert_eq!((third, tunnels.slots.len()), (first, 2));
        assert_eq!(
            (tunnels.get(third).low, tunnels.get(third).high),
            (None, tunnel)
        );
        assert_eq!(tunnels.get(NONE), Pair::default());
    }
}
