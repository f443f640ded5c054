//! A hash of the ends of a conversation.

use flowproto::FlowKey;
use flowproto::address::Address;

use crate::decode::mix;

/// A hash of addresses and ports, the same for both directions. Nothing depends on its seed: it has
/// none.
#[expect(clippy::as_conversions, reason = "all bits are used")]
pub(super) const fn conversation_hash(key: &FlowKey) -> u64 {
    const fn end(address: Address, port: u16) -> u64 {
        let bits = address.bits();
        mix((bits >> 64) as u64 ^ bits as u64 ^ (port as u64) << 48)
    }
    let source = end(key.source_address, key.source_port);
    let destination = end(key.destination_address, key.destination_port);
    mix(source ^ destination) >> 16
}
