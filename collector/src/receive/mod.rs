//! Receive: octets of flow export from sockets ([`udp`], [`tcp`], [`tls`]) or files ([`savefile`]),
//! and who may send them ([`senders`]). With several workers, [`steering`] gives each exporter one
//! of them.
//!
//! What is received goes to an [`Ingest`], of which each receiving thread has one.

pub mod connections;
pub mod framing;
pub mod listen_url;
pub mod savefile;
pub mod senders;
pub mod sockets;
pub mod steering;
pub mod tcp;
pub mod tls;
pub mod udp;
pub mod udp_loop;

use std::net::SocketAddr;
use std::time::Duration;

use flowproto::Address;
use flowproto::collector::Unusable;

use crate::clock::Now;

/// Interval of [`Ingest::tick`].
const TICK_INTERVAL: Duration = Duration::from_millis(1000);

/// Takes received octets.
pub trait Ingest: Send {
    /// Takes the payload of a datagram from `exporter`.
    fn datagram(&mut self, exporter: SocketAddr, octets: &[u8], now: Now);

    /// Takes an IPFIX Message of a connection. `connection` is a number that is never 0 and never
    /// used again after [`Self::close`].
    ///
    /// # Errors
    /// The Message is malformed, so the connection must be closed (RFC 7011 §10.4).
    fn message(
        &mut self,
        connection: u64,
        exporter: SocketAddr,
        octets: &[u8],
        now: Now,
    ) -> Result<(), Unusable>;

    /// Forgets a connection, with the templates that it taught.
    fn close(&mut self, connection: u64);

    /// True if a known node has this address.
    fn is_node(&self, address: Address) -> bool;

    /// Ends a batch: hands over what was collected.
    fn flush(&mut self);

    /// Expires what has waited long enough. Called about once a second.
    fn tick(&mut self, now: Now);
}
