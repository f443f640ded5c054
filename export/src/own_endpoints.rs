//! Local endpoints of export sessions, which a probe excludes from metering. A UDP socket is
//! registered before it sends. Of a TCP connection, the first packets are metered until the capture
//! has excluded it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use kipfix_service::sync::lock;

use flowproto::Address;

/// The local endpoint of an export session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnEndpoint {
    /// 4 `protocolIdentifier`: UDP or TCP.
    pub protocol_identifier: u8,
    /// Address.
    pub address: Address,
    /// Port.
    pub port: u16,
}

impl OwnEndpoint {
    /// The endpoint of a UDP socket.
    #[must_use]
    pub fn udp(local: SocketAddr) -> Self {
        Self::new(17, local)
    }

    /// The endpoint of a TCP connection.
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

/// The local endpoints of all open sessions.
#[derive(Debug, Default)]
pub struct OwnEndpoints {
    endpoints: Mutex<Vec<OwnEndpoint>>,
    revision: AtomicU64,
}

impl OwnEndpoints {
    /// A number that changes whenever an endpoint does.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// All endpoints.
    #[must_use]
    pub fn all(&self) -> Vec<OwnEndpoint> {
        self.lock().clone()
    }

    /// Removes the endpoint of a session that ended, and adds that of a session that started.
    pub(crate) fn replace(&self, old: Option<OwnEndpoint>, new: Option<OwnEndpoint>) {
        let mut endpoints = self.lock();
        if let Some(old) = old
            && let Some(at) = endpoints.iter().position(|endpoint| *endpoint == old)
        {
            endpoints.swap_remove(at);
        }
        endpoints.extend(new);
        self.revision.fetch_add(1, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<OwnEndpoint>> {
        lock(&self.endpoints)
    }
}
