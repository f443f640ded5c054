//! Octets that connections of HTTP/2 keep: of all together, and of each client, so that one client
//! does not take the room of the others. One address may be many clients, such as those behind an
//! ingress, so half of the room is for any of them.

use std::collections::HashMap;

use flowproto::Address;
use foldhash::fast::RandomState;

use super::unread::UnreadHttp;

/// Octets that all connections keep, at most, heads in several segments apart.
const MAX_OCTETS: usize = 32 * 1024 * 1024;
/// Octets from which on the room is scarce.
const SCARCE_OCTETS: usize = MAX_OCTETS / 2;
/// Octets that the connections of one client address keep, at most, while room is scarce.
const MAX_CLIENT_OCTETS: usize = MAX_OCTETS / 8;
/// Octets of a connection, at most, while room is scarce. Tables of the default size need less.
const MAX_SCARCE_OCTETS: usize = 64 * 1024;

/// The memory of all connections of HTTP/2.
#[derive(Debug, Default)]
pub(super) struct Http2Memory {
    octets: usize,
    /// Octets of each client that keeps some.
    clients: HashMap<Address, usize, RandomState>,
}

impl Http2Memory {
    /// Octets that all connections keep.
    pub(super) const fn octets(&self) -> usize {
        self.octets
    }

    /// True if half of what is kept before anything is refused is in use, so that expired segments
    /// are freed first.
    pub(super) const fn is_filling(&self) -> bool {
        self.octets > SCARCE_OCTETS / 2
    }

    /// Notes that a connection of a client keeps `now` octets instead of `before`.
    ///
    /// # Errors
    /// It has grown, and there is no room for that.
    pub(super) fn resize(
        &mut self,
        client: Address,
        before: usize,
        now: usize,
    ) -> Result<(), UnreadHttp> {
        if now == before {
            return Ok(());
        }
        self.octets = self.octets.saturating_sub(before).saturating_add(now);
        let of_client = self.clients.entry(client).or_default();
        *of_client = of_client.saturating_sub(before).saturating_add(now);
        let of_client = *of_client;
        if of_client == 0 {
            self.clients.remove(&client);
        }
        if now < before || self.octets <= SCARCE_OCTETS {
            Ok(())
        } else if self.octets > MAX_OCTETS || now > MAX_SCARCE_OCTETS {
            Err(UnreadHttp::NoRoom)
        } else if of_client > MAX_CLIENT_OCTETS {
            Err(UnreadHttp::NoRoomForClient)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_keeps_nothing_has_no_entry() {
        let client = Address::from(std::net::IpAddr::from([10, 0, 0, 9]));
        let mut memory = Http2Memory::default();
        for (before, now) in [(0, 300), (0, 200), (300, 100), (100, 0)] {
            assert_eq!(memory.resize(client, before, now), Ok(()));
        }
        assert_eq!((memory.octets(), memory.clients.len()), (200, 1));
        assert_eq!(memory.resize(client, 200, 0), Ok(()));
        assert_eq!((memory.octets(), memory.clients.len()), (0, 0));
    }
}
