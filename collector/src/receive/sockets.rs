//! The sockets that flow export comes to, as the settings name them.

use std::sync::Arc;

use anyhow::anyhow;
use kipfix_service::exit::Failure;

use super::tcp::{self, StreamListener};
use super::udp::UdpReceiver;
use crate::settings::Settings;

/// The sockets, worker after worker: one for each URL, so many workers for each kind.
#[derive(Default)]
pub(crate) struct Sockets {
    pub(crate) datagrams: Vec<Arc<UdpReceiver>>,
    pub(crate) connections: Vec<Arc<StreamListener>>,
}

impl Sockets {
    /// Binds all of them.
    ///
    /// # Errors
    /// A certificate or key that cannot be used, or an address that cannot be bound.
    pub(crate) fn bind(settings: &Settings) -> Result<Self, Failure> {
        let octets = usize::try_from(settings.receive_buffer.bytes()).unwrap_or(usize::MAX);
        let shared = settings.workers > 1;
        let mut sockets = Self::default();
        let mut certificates = Vec::new();
        for url in &settings.listen {
            certificates.push(
                tcp::certificates(url)
                    .map_err(|error| Failure::BadSettings(format!("listen: {url}: {error}")))?,
            );
        }
        // Where any port was asked for, the other workers share the one that was found.
        let mut addresses: Vec<_> = settings.listen.iter().map(|url| url.address()).collect();
        if settings.listen.iter().any(|url| !url.is_udp()) {
            tcp::make_room(settings.max_connections);
        }
        for worker in 0..settings.workers {
            let urls = settings.listen.iter().zip(&certificates);
            for ((url, certificates), address) in urls.zip(&mut addresses) {
                let failed = |error| anyhow!("listen: cannot listen on {url}: {error}");
                if url.is_udp() {
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
                    let certificates = certificates.clone();
                    let socket =
                        StreamListener::bind(*address, certificates, shared).map_err(failed)?;
                    *address = socket.local_address();
                    let transport = if socket.certificates().is_some() {
                        "tls"
                    } else {
                        "tcp"
                    };
                    tracing::info!(listen = %address, transport, "listening for flow export");
                    sockets.connections.push(Arc::new(socket));
                }
            }
        }
        Ok(sockets)
    }
}
