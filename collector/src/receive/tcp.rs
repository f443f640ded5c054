//! Connections (RFC 7011 §10.4, §11.1): accepted within limits and read in turns.
//!
//! One thread reads all connections of its listeners and hands complete Messages to an [`Ingest`]
//! of its own, so that datagrams and connections never wait for each other. A connection holds
//! memory only for a Message that is not complete. A slow exporter delays no other: a handshake,
//! and a Message that has begun, must be complete in time, and every connection reads a bounded
//! number of octets in its turn. If the collector is slow, TCP makes the exporter wait.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Poll, ready};
use std::time::Duration;

use kipfix_service::bind::{Transport, bind};
use kipfix_service::signals::Stop;
use kipfix_service::sync::lock;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, yield_now};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use super::connections::{Connections, Ending, Refusal};
use super::framing::{Framing, FramingError};
use super::listen_url::ListenUrl;
use super::tls::{ExporterTls, HandshakeError};
use super::{Ingest, TICK_INTERVAL};
use crate::clock;

/// Octets that a connection reads in its turn.
const TURN_OCTETS: usize = 64 << 10;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// Pause after a failed accept(2), in which other connections may close.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// Idle time before the kernel sends keepalive probes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// On shutdown, maximum time to read what has arrived.
const SHUTDOWN_READ_TIMEOUT: Duration = Duration::from_secs(3);
/// On shutdown, time without a new connection after which a listener is closed.
const ACCEPT_DRAIN_TIMEOUT: Duration = Duration::from_millis(100);
/// On shutdown, time without data after which a connection is closed. kipfix exporters poll every
/// 250 ms, so they flush and close first.
const SHUTDOWN_IDLE_TIMEOUT: Duration = Duration::from_millis(600);
/// Maximum time to half-close a connection.
const CLOSE_NOTIFY_TIMEOUT: Duration = Duration::from_millis(100);

/// A listening socket for connections.
#[derive(Debug)]
pub struct StreamListener {
    socket: std::net::TcpListener,
    local_address: SocketAddr,
    tls: Option<Arc<ExporterTls>>,
}

impl StreamListener {
    /// Binds a socket. With `tls`, its connections are TLS. With `shared`, the sockets of several
    /// workers share the port, and the kernel spreads the connections over them.
    ///
    /// # Errors
    /// The address is in use, not an address of this host, or not permitted.
    pub fn bind(
        address: SocketAddr,
        tls: Option<Arc<ExporterTls>>,
        shared: bool,
    ) -> io::Result<Self> {
        let socket = bind(Transport::Tcp, address, shared)?;
        socket.listen(BACKLOG)?;
        let socket = std::net::TcpListener::from(socket);
        Ok(Self {
            local_address: socket.local_addr()?,
            socket,
            tls,
        })
    }

    /// The address it is bound to, with the real port if 0 was requested.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Its certificates and names, if it is for TLS.
    #[must_use]
    pub const fn tls(&self) -> Option<&Arc<ExporterTls>> {
        self.tls.as_ref()
    }
}

/// The certificates and names of a listener.
///
/// # Errors
/// A message that names the file and the problem.
pub fn tls(url: &ListenUrl) -> Result<Option<Arc<ExporterTls>>, String> {
    match url {
        ListenUrl::Tls(_, parameters) => {
            ExporterTls::load(parameters, clock::monotonic()).map(|tls| Some(Arc::new(tls)))
        }
        ListenUrl::Udp(_) | ListenUrl::Tcp(_) => Ok(None),
    }
}

/// Raises the limit of open files so that it allows `connections`, as far as permitted. Logs if it
/// does not suffice.
pub fn raise_file_limit(connections: usize) {
    /// Files other than connections: sockets, logs, the Kubernetes API.
    const FD_HEADROOM: u64 = 128;
    let wanted = u64::try_from(connections)
        .unwrap_or(u64::MAX)
        .saturating_add(FD_HEADROOM);
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    if soft >= wanted {
        return;
    }
    let raised = wanted.min(hard);
    if setrlimit(Resource::RLIMIT_NOFILE, raised, hard).is_err() || raised < wanted {
        tracing::warn!(
            connections,
            files = hard,
            "limit of open files is lower than max_connections needs"
        );
    }
}

/// What the tasks of one thread share.
struct Thread<I> {
    ingest: Arc<Mutex<I>>,
    connections: Arc<Connections>,
    stop: Stop,
    /// The read buffer of the connection whose turn it is.
    turn: RefCell<Box<[u8]>>,
}

/// Accepts and reads connections until the stop, then what has arrived already.
///
/// # Errors
/// The runtime cannot be created.
pub fn receive<I: Ingest + 'static>(
    ingest: &Arc<Mutex<I>>,
    listeners: &[Arc<StreamListener>],
    connections: &Arc<Connections>,
    stop: &Stop,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let thread = Rc::new(Thread {
        ingest: Arc::clone(ingest),
        connections: Arc::clone(connections),
        stop: stop.clone(),
        turn: RefCell::new(vec![0; TURN_OCTETS].into_boxed_slice()),
    });
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async {
        for listener in listeners {
            let socket = TcpListener::from_std(listener.socket.try_clone()?)?;
            let accepting = Rc::clone(&thread).accept(socket, listener.tls.clone());
            tokio::task::spawn_local(accepting);
        }
        while timeout(TICK_INTERVAL, stop.wait()).await.is_err() {
            lock(ingest).tick(clock::now());
        }
        // Each task holds a reference until it is done.
        let stopped = Instant::now();
        while Rc::strong_count(&thread) > 1
            && stopped.elapsed() < SHUTDOWN_READ_TIMEOUT + SHUTDOWN_IDLE_TIMEOUT
        {
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    })
}

impl<I: Ingest + 'static> Thread<I> {
    async fn accept(self: Rc<Self>, socket: TcpListener, tls: Option<Arc<ExporterTls>>) {
        let mut stopped = pin!(self.stop.wait());
        let mut is_stopping = false;
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                () = &mut stopped, if !is_stopping => {
                    is_stopping = true;
                    continue;
                }
                // Connections in the backlog were acknowledged by the kernel, so they are accepted.
                // Later ones are refused, and their exporters try another collector.
                () = sleep(ACCEPT_DRAIN_TIMEOUT), if is_stopping => {
                    SockRef::from(&socket).shutdown(Shutdown::Both).ok();
                    return;
                }
            };
            match accepted {
                Ok((stream, peer)) => {
                    let exporter = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                    let is_node = |address| lock(&self.ingest).is_node(address);
                    let opened = self.connections.open_connection(exporter, is_node);
                    let Some((number, close)) = opened else {
                        continue;
                    };
                    let thread = Rc::clone(&self);
                    let tls = tls.clone();
                    tokio::task::spawn_local(async move {
                        let ended = tokio::select! {
                            ended = thread.serve(stream, exporter, number, tls) => ended,
                            displaced = close.notified() => displaced,
                        };
                        lock(&thread.ingest).close(number);
                        thread
                            .connections
                            .close_connection(number, exporter.ip(), ended);
                        tracing::debug!(%exporter, ?ended, "connection ended");
                    });
                }
                Err(error) => {
                    if !self.connections.on_accept_failure() {
                        tracing::warn!(%error, "cannot accept a connection (logged once; see accept_failures_total)");
                    }
                    sleep(ACCEPT_RETRY_INTERVAL).await;
                }
            }
        }
    }

    /// Serves a connection from its handshake to its end.
    async fn serve(
        &self,
        stream: TcpStream,
        exporter: SocketAddr,
        number: u64,
        tls: Option<Arc<ExporterTls>>,
    ) -> Result<Ending, Refusal> {
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE_IDLE)
            .with_interval(KEEPALIVE_IDLE / 4);
        // Without keepalive, a vanished peer is closed by the idle timeout.
        SockRef::from(&stream).set_tcp_keepalive(&keepalive).ok();
        let Some(tls) = tls else {
            return Ok(self.read(stream, exporter, number).await);
        };
        let acceptor = TlsAcceptor::from(tls.certificates().current(clock::monotonic()));
        let handshake = timeout(self.connections.limits().read, acceptor.accept(stream));
        let stream = tokio::select! {
            () = self.stop.wait() => return Err(Refusal::Stopped),
            done = handshake => match done {
                Err(_) => return Err(Refusal::HandshakeTimeout),
                Ok(Err(error)) => return Err(Refusal::Handshake(HandshakeError::of(&error))),
                Ok(Ok(stream)) => stream,
            },
        };
        if !tls.names_match(stream.get_ref().1) {
            return Err(Refusal::Handshake(HandshakeError::Name));
        }
        Ok(self.read(stream, exporter, number).await)
    }

    /// Reads Messages until the connection ends.
    async fn read(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        exporter: SocketAddr,
        number: u64,
    ) -> Ending {
        let limits = self.connections.limits();
        let mut framing = Framing::default();
        let mut deadline = Instant::now() + limits.idle;
        let mut alarm = pin!(sleep_until(deadline));
        let mut stopped = pin!(self.stop.wait());
        let mut last_read = None;
        let mut has_sent_message = false;
        loop {
            let was_incomplete = framing.is_incomplete();
            let turn = tokio::select! {
                biased;
                () = &mut stopped, if last_read.is_none() => {
                    // Half-close: the exporter notices, sends what it has and closes, so that
                    // nothing is lost that the kernel has acknowledged.
                    let half_close = poll_fn(|context| Pin::new(&mut stream).poll_shutdown(context));
                    timeout(CLOSE_NOTIFY_TIMEOUT, half_close).await.ok();
                    last_read = Some(Instant::now() + SHUTDOWN_READ_TIMEOUT);
                    deadline = Instant::now() + SHUTDOWN_IDLE_TIMEOUT;
                    alarm.as_mut().reset(deadline);
                    continue;
                }
                turn = self.turn(&mut stream, &mut framing, exporter, number) => turn,
                () = &mut alarm => {
                    // The deadline moves with every Message; the timer is reset only when it fires.
                    if Instant::now() < deadline {
                        alarm.as_mut().reset(deadline);
                        continue;
                    }
                    return match framing.is_incomplete() {
                        _ if last_read.is_some() => Ending::Stopped,
                        true => Ending::MessageTimeout,
                        false => Ending::Idle,
                    };
                }
            };
            let messages = match turn {
                Turn::Read { messages } => messages,
                Turn::Ended(ending) => return ending,
            };
            if !has_sent_message && messages > 0 {
                has_sent_message = true;
                self.connections.on_first_message(number);
            }
            let now = Instant::now();
            deadline = match (last_read, framing.is_incomplete()) {
                (Some(end), _) if now >= end => return Ending::Stopped,
                (Some(_), _) => now + SHUTDOWN_IDLE_TIMEOUT,
                (None, false) => now + limits.idle,
                // The same Message is still incomplete.
                (None, true) if was_incomplete && messages == 0 => deadline,
                (None, true) => now + limits.read,
            };
            if deadline < alarm.deadline() {
                alarm.as_mut().reset(deadline);
            }
            yield_now().await;
        }
    }

    /// Reads what has arrived, up to one turn.
    async fn turn(
        &self,
        stream: &mut (impl AsyncRead + Unpin),
        framing: &mut Framing,
        exporter: SocketAddr,
        number: u64,
    ) -> Turn {
        poll_fn(|context| {
            let mut turn = self.turn.borrow_mut();
            let mut buffer = ReadBuf::new(&mut turn);
            if ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer)).is_err() {
                return Poll::Ready(Turn::Ended(Ending::Broken));
            }
            let octets = buffer.filled();
            if octets.is_empty() {
                let ending = if framing.is_incomplete() {
                    Ending::Truncated
                } else {
                    Ending::Closed
                };
                return Poll::Ready(Turn::Ended(ending));
            }
            let now = clock::now();
            let mut ingest = lock(&self.ingest);
            let mut messages = 0_usize;
            let taken = framing.push(octets, |message| {
                messages += 1;
                match ingest.message(number, exporter, message, now) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(malformed) => ControlFlow::Break(malformed),
                }
            });
            ingest.flush();
            Poll::Ready(match taken {
                Ok(ControlFlow::Continue(())) => Turn::Read { messages },
                Ok(ControlFlow::Break(_)) | Err(FramingError::Length) => {
                    Turn::Ended(Ending::Malformed)
                }
                Err(FramingError::Version) => Turn::Ended(Ending::NotIpfix),
            })
        })
        .await
    }
}

/// The result of a turn.
enum Turn {
    /// This number of complete Messages was read.
    Read { messages: usize },
    /// The connection has ended.
    Ended(Ending),
}
