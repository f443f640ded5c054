//! The listening sockets of all receiving threads.

use std::io;
use std::sync::Arc;

use anyhow::anyhow;
use kipfix_service::bind;
use kipfix_service::exit::{BadSettings, Failure};

use super::listen_url::ListenUrl;
use super::steering::Steering;
use super::tcp::{self, StreamListener};
use super::udp::UdpReceiver;

/// How sockets are bound.
#[derive(Clone, Copy, Debug)]
pub struct SocketOptions {
    /// Receiving threads for each kind of socket.
    pub workers: usize,
    /// Octets of the receive buffer of a UDP socket.
    pub receive_buffer_octets: usize,
    /// Maximum number of open connections.
    pub max_connections: usize,
}

/// The sockets, worker after worker: each worker has one for each URL of its kind.
#[derive(Debug, Default)]
pub struct Sockets {
    /// Sockets of datagrams.
    pub datagrams: Vec<Arc<UdpReceiver>>,
    /// Sockets of connections.
    pub connections: Vec<Arc<StreamListener>>,
    /// Which worker an exporter that sends datagrams has, if there are several.
    pub steering: Option<Arc<Steering>>,
}

impl Sockets {
    /// True if there is any socket.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !self.datagrams.is_empty() || !self.connections.is_empty()
    }

    /// Binds all sockets.
    ///
    /// # Errors
    /// A certificate or key cannot be used, or an address cannot be bound.
    pub fn bind(urls: &[ListenUrl], options: SocketOptions) -> Result<Self, Failure> {
        let shared = options.workers > 1;
        let mut sockets = Self::default();
        let mut tls = Vec::new();
        for url in urls {
            let loaded = tcp::tls(url);
            tls.push(loaded.map_err(|error| BadSettings::new(format!("listen: {url}: {error}")))?);
        }
        // If port 0 was requested, the other workers share the port that the first one got.
        let mut addresses: Vec<_> = urls.iter().map(ListenUrl::address).collect();
        if urls.iter().any(|url| !url.is_udp()) {
            tcp::raise_file_limit(options.max_connections);
        }
        for worker in 0..options.workers {
            let urls = urls.iter().zip(&tls);
            for ((url, tls), address) in urls.zip(&mut addresses) {
                let failed = |error: io::Error| {
                    let reason = bind::failure(&error);
                    anyhow!("listen: cannot listen on {url}: {reason}")
                };
                if url.is_udp() {
                    let octets = options.receive_buffer_octets;
                    let socket =
                        UdpReceiver::bind(*address, octets, worker, shared).map_err(failed)?;
                    *address = socket.local_address();
                    tracing::info!(
                        listen = %socket.name(),
                        transport = "udp",
                        receive_buffer = socket.receive_buffer_octets(),
                        "listening for flow export"
                    );
                    sockets.datagrams.push(Arc::new(socket));
                } else {
                    let tls = tls.clone();
                    let socket = StreamListener::bind(*address, tls, shared).map_err(failed)?;
                    *address = socket.local_address();
                    let transport = if socket.tls().is_some() { "tls" } else { "tcp" };
                    tracing::info!(listen = %address, transport, "listening for flow export");
                    sockets.connections.push(Arc::new(socket));
                }
            }
        }
        sockets.steering = Steering::new(&sockets.datagrams, options.workers).map(Arc::new);
        Ok(sockets)
    }
}
