//! The admin socket. It is bound before any stage starts and served by a thread.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::lifetime::{ConnectionLifetime, ConnectionService};
use super::metrics::HttpMetrics;
use super::slots::{Slot, Slots};
use super::stall::StallLimit;
use super::transport::{self, ClientCertificate, Octets, Refusal};
use crate::bind::{self, Transport};
use crate::exit::{BadSettings, Failure};
use crate::signals::Stop;
use crate::tls::{Certificates, ClientCertificates, TlsFiles};

/// Maximum number of connections. A further one displaces one without a request in progress, or one
/// of an address with more than its share, or is refused.
pub(super) const MAX_CONNECTIONS: usize = 64;
/// Maximum time for a TLS handshake, and for the head of a request with the idle time before it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time for which a client does not read its response.
const WRITE_STALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Lifetime of a connection. Then it is closed after the current response.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(300);
/// Idle time after which it is checked whether a client still exists.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// Maximum time for the last response of a connection.
const LAST_RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Interval at which changes of certificates are noticed while no connection arrives.
const CERTIFICATES_INTERVAL: Duration = Duration::from_secs(10);
/// Paths that need no certificate of the client: the kubelet reads them.
const PUBLIC_PATHS: [&str; 2] = ["/livez", "/readyz"];
/// Pause after a failed accept, e.g. for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound socket that is not served yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Certificates>>,
}

impl Listener {
    /// Binds `address` for the setting `setting`. `[::]` includes IPv4, and falls back to `0.0.0.0`
    /// on a host without IPv6.
    ///
    /// # Errors
    /// If the socket cannot be bound.
    pub fn bind(setting: &str, address: SocketAddr) -> Result<Self, Failure> {
        listen(address)
            .and_then(|socket| {
                Ok(Self {
                    address: socket.local_addr()?,
                    socket,
                    tls: None,
                })
            })
            .map_err(|error| {
                anyhow!(
                    "{setting}: cannot listen on {address}: {}",
                    bind::failure(&error)
                )
                .into()
            })
    }

    /// Serves connections with TLS. If there are CAs for clients, all paths except `/livez` and
    /// `/readyz` need a certificate of the client.
    ///
    /// # Errors
    /// A file cannot be used. The message names `setting`.
    pub fn with_tls(self, setting: &str, files: Option<&TlsFiles>) -> Result<Self, Failure> {
        let Some(files) = files else {
            return Ok(self);
        };
        let certificates = Certificates::load(files, ClientCertificates::Optional, now())
            .map_err(|error| BadSettings::new(format!("{setting}: {error}")))?;
        Ok(Self {
            tls: Some(Arc::new(certificates)),
            ..self
        })
    }

    /// The scheme of its URLs: `https` with TLS, otherwise `http`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Returns the bound address. Port 0 is replaced by the actual port.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `router` on a new thread until shutdown. Connections are counted in `metrics`.
    ///
    /// # Errors
    /// If the thread or its runtime cannot be created.
    pub fn serve(
        self,
        router: Router,
        metrics: HttpMetrics,
        stop: Stop,
    ) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let socket = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(self.socket)?
        };
        let needs_certificate = self.tls.as_ref().is_some_and(|tls| tls.has_client_ca());
        let router = if needs_certificate {
            let metrics = metrics.clone();
            router.layer(from_fn(move |request, next| {
                require_certificate(metrics.clone(), request, next)
            }))
        } else {
            router
        };
        let served = Served {
            router,
            tls: self.tls,
            metrics,
            stop,
        };
        std::thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || {
                runtime.block_on(accept(&socket, &served));
                // A scrape whose connection is closed may still be running: do not wait for it.
                runtime.shutdown_background();
            })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the listener is at the edge of the program"
)]
fn now() -> Instant {
    Instant::now()
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bind::bind(Transport::Tcp, address, false)?;
    socket.listen(128)?;
    Ok(socket.into())
}

/// What all connections of a listener share.
#[derive(Clone)]
struct Served {
    router: Router,
    tls: Option<Arc<Certificates>>,
    metrics: HttpMetrics,
    stop: Stop,
}

impl Served {
    /// The configuration of TLS for a new connection. Changed files are read.
    fn tls_config(&self) -> Option<Arc<ServerConfig>> {
        let tls = self.tls.as_ref()?;
        let config = tls.current(now());
        self.metrics.set_certificate_loads(tls.loads());
        Some(config)
    }

    fn on_refused(&self, reason: Refusal) {
        tracing::debug!(
            reason = <&str>::from(reason),
            "admin connection refused or displaced"
        );
        self.metrics.on_refused(reason);
    }
}

async fn accept(socket: &tokio::net::TcpListener, served: &Served) {
    let slots = Slots::new(MAX_CONNECTIONS);
    loop {
        let next = async {
            let stream = timeout(CERTIFICATES_INTERVAL, socket.accept()).await;
            match stream {
                Ok(Ok((stream, peer))) => {
                    Some(Ok((stream, slots.acquire(peer.ip().to_canonical()).await)))
                }
                Ok(Err(error)) => Some(Err(error)),
                Err(_) => None,
            }
        };
        let accepted = tokio::select! {
            () = served.stop.wait() => break,
            accepted = next => accepted,
        };
        match accepted {
            Some(Ok((_, None))) => served.on_refused(Refusal::TooMany),
            Some(Ok((stream, Some((slot, has_displaced))))) => {
                if has_displaced {
                    served.on_refused(Refusal::Displaced);
                }
                tokio::spawn(serve_connection(stream, slot, served.clone()));
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "accepting an admin connection failed");
                sleep(ACCEPT_PAUSE).await;
            }
            // A change of the files is noticed without a connection, too.
            None => drop(served.tls_config()),
        }
    }
    // Connections that are still open after this time are closed.
    timeout(LAST_RESPONSE_TIMEOUT, slots.all_free(MAX_CONNECTIONS))
        .await
        .ok();
}

async fn serve_connection(stream: TcpStream, slot: Slot, served: Served) {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE);
    // Without it, a response without an end would keep the connection of a client that vanished.
    SockRef::from(&stream).set_tcp_keepalive(&keepalive).ok();
    let handshake = transport::accept(stream, served.tls_config());
    let accepted = tokio::select! {
        accepted = timeout(HEAD_TIMEOUT, handshake) => accepted,
        () = slot.displaced() => return,
        () = served.stop.wait() => return,
    };
    let (stream, certificate) = match accepted.unwrap_or(Err(Refusal::HandshakeTimeout)) {
        Ok(accepted) => accepted,
        Err(reason) => return served.on_refused(reason),
    };
    let stream = StallLimit::new(stream, WRITE_STALL_TIMEOUT);
    let lifetime = ConnectionLifetime::default();
    let service = ConnectionService::new(
        served.router.clone(),
        lifetime.clone(),
        certificate,
        slot.requests(),
    );
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let mut end = std::pin::pin!(sleep(CONNECTION_LIFETIME));
    let mut is_extended = false;
    let ended = loop {
        tokio::select! {
            ended = connection.as_mut() => break ended,
            () = slot.displaced() => return,
            () = lifetime.closed() => return served.metrics.on_scrape_displaced(),
            () = served.stop.wait() => break last_response(connection.as_mut()).await,
            () = end.as_mut(), if !is_extended => {
                is_extended = lifetime.is_extended();
                if !is_extended {
                    break last_response(connection.as_mut()).await;
                }
                connection.as_mut().graceful_shutdown();
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "admin connection failed");
    }
}

/// Answers a request without a certificate of the client by 403. The kubelet has none, so its paths
/// do not need one.
async fn require_certificate(
    metrics: HttpMetrics,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    let certificate = request.extensions().get::<ClientCertificate>();
    let is_verified = certificate.is_some_and(|certificate| certificate.is_verified);
    if is_verified || PUBLIC_PATHS.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    metrics.on_request_without_certificate();
    (StatusCode::FORBIDDEN, "a client certificate is required\n").into_response()
}

type Connection = http1::Connection<TokioIo<StallLimit<Box<dyn Octets>>>, ConnectionService>;

async fn last_response(mut connection: std::pin::Pin<&mut Connection>) -> Result<(), hyper::Error> {
    connection.as_mut().graceful_shutdown();
    timeout(LAST_RESPONSE_TIMEOUT, connection)
        .await
        .unwrap_or(Ok(()))
}
