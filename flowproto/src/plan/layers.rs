//! The headers of a tunnel packet in one record, the outer one first (RFC 7011 §8), as routers
//! report them where a tunnel begins or ends.

use super::Step;
use super::slot::Slot;

const SOURCES: &[Slot] = &[Slot::SourceV4, Slot::SourceV6];
const DESTINATIONS: &[Slot] = &[Slot::DestinationV4, Slot::DestinationV6];
const PROTOCOL: &[Slot] = &[Slot::Protocol];
/// What else headers have.
const OTHERS: [&[Slot]; 4] = [
    &[Slot::SourcePort],
    &[Slot::DestinationPort],
    &[Slot::ClassOfService],
    &[Slot::TcpControlBits],
];

/// What a field of the outer header becomes: a property of the tunnel, or nothing.
const fn of_outer(slot: Slot) -> Option<Slot> {
    match slot {
        Slot::SourceV4 => Some(Slot::TunnelSourceV4),
        Slot::SourceV6 => Some(Slot::TunnelSourceV6),
        Slot::DestinationV4 => Some(Slot::TunnelDestinationV4),
        Slot::DestinationV6 => Some(Slot::TunnelDestinationV6),
        Slot::Protocol => Some(Slot::TunnelProtocol),
        Slot::SourcePort => Some(Slot::TunnelSourcePort),
        Slot::DestinationPort => Some(Slot::TunnelDestinationPort),
        _ => None,
    }
}

/// The position of the first of two fields with one of these slots, of elements of the same
/// preference.
fn first_of_two(fields: &[(Step, u8)], slots: &[Slot]) -> Option<usize> {
    let mut all = fields.iter().enumerate();
    let (at, (_, rank)) = all.find(|(_, (step, _))| slots.contains(&step.slot))?;
    all.any(|(_, (step, other))| slots.contains(&step.slot) && other == rank)
        .then_some(at)
}

/// Makes the first of two headers the tunnel of the second one, which is the flow. `fields`: those
/// of a template in their order, with the ranks of their elements.
///
/// There are two headers if the protocol, a source and a destination occur twice: a template for
/// both address families has one protocol.
pub(super) fn separate(fields: &mut Vec<(Step, u8)>) {
    let addresses = [SOURCES, DESTINATIONS, PROTOCOL];
    let is_twice = |slots: &&[Slot]| first_of_two(fields, slots).is_some();
    if !addresses.iter().all(is_twice) {
        return;
    }
    for slots in addresses.into_iter().chain(OTHERS) {
        let Some(at) = first_of_two(fields, slots) else {
            continue;
        };
        let outer = fields.get(at).and_then(|(step, _)| of_outer(step.slot));
        match (outer, fields.get_mut(at)) {
            (Some(slot), Some((step, rank))) => (step.slot, *rank) = (slot, 0),
            _ => {
                fields.remove(at);
            }
        }
    }
}
