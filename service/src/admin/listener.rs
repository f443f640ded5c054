//! The admin socket. It is bound before any stage starts and served by a thread.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::anyhow;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::errno::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::lifetime::{ConnectionLifetime, ConnectionService};
use super::stall::StallLimit;
use crate::exit::Failure;
use crate::signals::Stop;

/// Maximum number of connections. Others wait in the kernel's accept queue.
const MAX_CONNECTIONS: usize = 64;
/// Maximum time for the head of a request, including idle time before it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time for which a client does not read its response.
const WRITE_STALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Lifetime of a connection. Then it is closed after the current response.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(300);
/// Idle time after which it is checked whether a client still exists.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// Maximum time for the last response of a connection.
const LAST_RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause after a failed accept, e.g. for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound socket that is not served yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds `address` for the setting `setting`. `[::]` includes IPv4, and falls back to `0.0.0.0` on
    /// a host without IPv6.
    ///
    /// # Errors
    /// If the socket cannot be bound.
    pub fn bind(setting: &str, address: SocketAddr) -> Result<Self, Failure> {
        let bound = match listen(address) {
            Err(error) if lacks_ipv6(address, &error) => {
                listen((Ipv4Addr::UNSPECIFIED, address.port()).into())
            }
            bound => bound,
        };
        bound
            .and_then(|socket| {
                Ok(Self {
                    address: socket.local_addr()?,
                    socket,
                })
            })
            .map_err(|error| {
                anyhow!("{setting}: cannot listen on {address}: {}", reason(&error)).into()
            })
    }

    /// Returns the bound address. Port 0 is replaced by the actual port.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `router` on a new thread until shutdown.
    ///
    /// # Errors
    /// If the thread or its runtime cannot be created.
    pub fn serve(self, router: Router, stop: Stop) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let socket = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(self.socket)?
        };
        std::thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || {
                runtime.block_on(accept(&socket, &router, &stop));
                // A scrape whose connection is closed may still be running: do not wait for it.
                runtime.shutdown_background();
            })
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(128)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn lacks_ipv6(address: SocketAddr, error: &io::Error) -> bool {
    address.is_ipv6()
        && address.ip().is_unspecified()
        && (error.kind() == io::ErrorKind::AddrNotAvailable
            || error.raw_os_error().map(Errno::from_raw) == Some(Errno::EAFNOSUPPORT))
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "port already in use".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "permission denied (ports below 1024 need the capability NET_BIND_SERVICE)".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "not an address of this host (use [::] for all)".to_owned()
        }
        _ => error.to_string(),
    }
}

async fn accept(socket: &tokio::net::TcpListener, router: &Router, stop: &Stop) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let next = async {
            let slot = slots.clone().acquire_owned().await.ok();
            (slot, socket.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            () = stop.wait() => break,
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = serve_connection(stream, router.clone(), stop.clone());
                tokio::spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "accepting an admin connection failed");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    let all = u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX);
    // Connections that are still open after this time are closed.
    timeout(LAST_RESPONSE_TIMEOUT, slots.acquire_many(all))
        .await
        .ok();
}

async fn serve_connection(stream: TcpStream, router: Router, stop: Stop) {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE);
    // Without it, a response without an end would keep the connection of a client that vanished.
    SockRef::from(&stream).set_tcp_keepalive(&keepalive).ok();
    let stream = StallLimit::new(stream, WRITE_STALL_TIMEOUT);
    let lifetime = ConnectionLifetime::default();
    let service = ConnectionService::new(router, lifetime.clone());
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.wait() => last_response(connection.as_mut()).await,
        () = sleep(CONNECTION_LIFETIME) => {
            if lifetime.is_extended() {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection.as_mut() => ended,
                    () = stop.wait() => last_response(connection.as_mut()).await,
                }
            } else {
                last_response(connection.as_mut()).await
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "admin connection failed");
    }
}

type Connection = http1::Connection<TokioIo<StallLimit<TcpStream>>, ConnectionService>;

async fn last_response(mut connection: std::pin::Pin<&mut Connection>) -> Result<(), hyper::Error> {
    connection.as_mut().graceful_shutdown();
    timeout(LAST_RESPONSE_TIMEOUT, connection)
        .await
        .unwrap_or(Ok(()))
}
