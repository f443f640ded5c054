//! What a process exports itself, so that a probe does not meter it. A UDP socket is known before it sends; of
//! a TCP connection the first packets, until the capture has been told of it, are metered like others.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use flowproto::Address;

/// The own end of an export session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnEnd {
    /// 4 `protocolIdentifier`: UDP or TCP.
    pub protocol_identifier: u8,
    /// The address.
    pub address: Address,
    /// The port.
    pub port: u16,
}

impl OwnEnd {
    /// A UDP socket's.
    #[must_use]
    pub fn udp(local: SocketAddr) -> Self {
        Self::new(17, local)
    }

    /// A TCP connection's.
    #[must_use]
    pub fn tcp(local: SocketAddr) -> Self {
        Self::new(6, local)
    }

    fn new(protocol_identifier: u8, local: SocketAddr) -> Self {
        Self {
            protocol_identifier,
            address: Address::from(local.ip()),
            port: local.port(),
        }
    }
}

/// The own ends of all sessions that are open.
#[derive(Debug, Default)]
pub struct OwnExport {
    ends: Mutex<Vec<OwnEnd>>,
    revision: AtomicU64,
}

impl OwnExport {
    /// Changes whenever an end does.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// All ends.
    #[must_use]
    pub fn ends(&self) -> Vec<OwnEnd> {
        self.ends
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A session is open at `new`, and the one at `old` is not any more.
    pub(crate) fn replace(&self, old: Option<OwnEnd>, new: Option<OwnEnd>) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = old
            && let Some(at) = ends.iter().position(|end| *end == old)
        {
            ends.swap_remove(at);
        }
        ends.extend(new);
        self.revision.fetch_add(1, Ordering::Release);
    }
}
