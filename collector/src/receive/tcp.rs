//! Connections (RFC 7011 §10.4, §11.1): accepted, bounded, read by turns.
//!
//! One thread reads all connections of its listeners and hands whole Messages to a worker of its own, so
//! that datagrams and connections never wait for each other. A connection holds memory only for the
//! Message that has begun. Who is slow is not waited for: a handshake, and a Message once begun, must be
//! complete in time; every connection reads a bounded piece in its turn. Where we are slow, TCP makes the
//! exporter wait.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, ready};
use std::time::Duration;

use kipfix_service::signals::Stop;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, yield_now};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use super::connections::{Connections, Ending, Refusal};
use super::framing::{Framing, NoMessage};
use super::listen::ListenUrl;
use super::tls::{Certificates, NoHandshake};
use super::udp::lacks_ipv6;
use crate::live;
use crate::worker::Worker;

/// Octets that a connection reads in its turn.
const TURN: usize = 64 << 10;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// After an accept that failed, others are given time to close something.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// A peer that vanished is found out by the kernel's probes, which begin after so long.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// At the stop, what has come is read for so long at the most.
const LAST_READ: Duration = Duration::from_secs(3);
/// At the stop, a listener that nobody comes to for so long is done.
const LAST_PAUSE: Duration = Duration::from_millis(100);
/// At the stop, a connection that brings nothing for so long is done. Our own exporters look up four times a
/// second whether they are told so, send what they have, and close.
const LAST_WORD: Duration = Duration::from_millis(600);
/// How long it may take to tell an exporter that we are done.
const FAREWELL: Duration = Duration::from_millis(100);

/// A socket that connections come to.
#[derive(Debug)]
pub struct StreamListener {
    socket: std::net::TcpListener,
    local_address: SocketAddr,
    certificates: Option<Arc<Certificates>>,
}

impl StreamListener {
    /// Binds a socket; with `certificates`, its connections are TLS. `shared`: the sockets of several
    /// workers share the port, and the kernel spreads the connections over them.
    ///
    /// # Errors
    /// The address is in use, not ours, or not permitted.
    pub fn bind(
        address: SocketAddr,
        certificates: Option<Arc<Certificates>>,
        shared: bool,
    ) -> io::Result<Self> {
        let socket = match listen(address, shared) {
            Err(error) if address.ip().is_unspecified() && lacks_ipv6(&error) => {
                listen((Ipv4Addr::UNSPECIFIED, address.port()).into(), shared)?
            }
            listening => listening?,
        };
        Ok(Self {
            local_address: socket.local_addr()?,
            socket,
            certificates,
        })
    }

    /// Where it listens; the port is real where 0 was asked for.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Its certificates, if it is one for TLS.
    #[must_use]
    pub const fn certificates(&self) -> Option<&Arc<Certificates>> {
        self.certificates.as_ref()
    }
}

/// The certificates that a listener needs.
///
/// # Errors
/// A sentence that names the file and what is wrong with it.
pub fn certificates(url: &ListenUrl) -> Result<Option<Arc<Certificates>>, String> {
    match url {
        ListenUrl::Tls(_, files) => Certificates::load(files, live::monotonic())
            .map(|certificates| Some(Arc::new(certificates))),
        ListenUrl::Udp(_) | ListenUrl::Tcp(_) => Ok(None),
    }
}

/// Raises how many files the process may have open, as far as it may, so that there is room for so many
/// connections beside all else; says so where there is not.
pub fn make_room(connections: usize) {
    /// Sockets, logs, the cluster's API.
    const BESIDE: u64 = 128;
    let wanted = u64::try_from(connections)
        .unwrap_or(u64::MAX)
        .saturating_add(BESIDE);
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
            "the process may not open as many files as max_connections asks for"
        );
    }
}

fn listen(address: SocketAddr, shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A port that the collector before this one listened on is free at once.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What the tasks of one thread share.
struct Thread {
    worker: Arc<Mutex<Worker>>,
    connections: Arc<Connections>,
    stop: Stop,
    /// Where every connection reads into in its turn.
    turn: RefCell<Box<[u8]>>,
}

/// Accepts and reads connections until the stop, then what has come already.
///
/// # Errors
/// There is no room for what waits for the sockets.
pub fn receive(
    worker: &Arc<Mutex<Worker>>,
    listeners: &[Arc<StreamListener>],
    connections: &Arc<Connections>,
    stop: &Stop,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let thread = Rc::new(Thread {
        worker: Arc::clone(worker),
        connections: Arc::clone(connections),
        stop: stop.clone(),
        turn: RefCell::new(vec![0; TURN].into_boxed_slice()),
    });
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async {
        for listener in listeners {
            let socket = TcpListener::from_std(listener.socket.try_clone()?)?;
            let accepting = Rc::clone(&thread).accept(socket, listener.certificates.clone());
            tokio::task::spawn_local(accepting);
        }
        while timeout(live::TICK, stop.wait()).await.is_err() {
            lock(worker).tick(live::now_milliseconds());
        }
        // Each of the tasks holds the thread until it is done.
        let stopped = Instant::now();
        while Rc::strong_count(&thread) > 1 && stopped.elapsed() < LAST_READ + LAST_WORD {
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    })
}

impl Thread {
    async fn accept(self: Rc<Self>, socket: TcpListener, certificates: Option<Arc<Certificates>>) {
        let mut stopped = pin!(self.stop.wait());
        let mut is_stopping = false;
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                () = &mut stopped, if !is_stopping => {
                    is_stopping = true;
                    continue;
                }
                // What waits to be accepted at the stop has been told that it is connected. Who comes later
                // is told that it is not, and goes elsewhere.
                () = sleep(LAST_PAUSE), if is_stopping => {
                    SockRef::from(&socket).shutdown(Shutdown::Both).ok();
                    return;
                }
            };
            match accepted {
                Ok((stream, peer)) => {
                    let exporter = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                    let is_node = |address| lock(&self.worker).is_node(address);
                    let entered = self.connections.enter(exporter, is_node);
                    let Some((number, go)) = entered else {
                        continue;
                    };
                    let thread = Rc::clone(&self);
                    let certificates = certificates.clone();
                    tokio::task::spawn_local(async move {
                        let ended = tokio::select! {
                            ended = thread.serve(stream, exporter, number, certificates) => ended,
                            () = go.notified() => Err(Refusal::CrowdedOut),
                        };
                        lock(&thread.worker).close(number);
                        thread.connections.leave(number, exporter.ip(), ended);
                        tracing::debug!(%exporter, ?ended, "connection ended");
                    });
                }
                Err(error) => {
                    if !self.connections.accept_failed() {
                        tracing::warn!(%error, "a connection cannot be accepted; further ones are counted");
                    }
                    sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }

    /// One connection from its first octet to its end.
    async fn serve(
        &self,
        stream: TcpStream,
        exporter: SocketAddr,
        number: u64,
        certificates: Option<Arc<Certificates>>,
    ) -> Result<Ending, Refusal> {
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE)
            .with_interval(KEEPALIVE / 4);
        // Without it, a peer that vanished is idle in the end.
        SockRef::from(&stream).set_tcp_keepalive(&keepalive).ok();
        let Some(certificates) = certificates else {
            return Ok(self.read(stream, exporter, number).await);
        };
        let acceptor = TlsAcceptor::from(certificates.current(live::monotonic()));
        let handshake = timeout(self.connections.limits().read, acceptor.accept(stream));
        let stream = tokio::select! {
            () = self.stop.wait() => return Err(Refusal::Stopped),
            done = handshake => match done {
                Err(_) => return Err(Refusal::HandshakeTimeout),
                Ok(Err(error)) => return Err(NoHandshake::of(&error).into()),
                Ok(Ok(stream)) => stream,
            },
        };
        if !certificates.names_match(stream.get_ref().1) {
            return Err(Refusal::Name);
        }
        Ok(self.read(stream, exporter, number).await)
    }

    /// Reads Messages until there are no more.
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
        let mut is_fresh = true;
        loop {
            let was_midway = framing.is_midway();
            let turn = tokio::select! {
                biased;
                () = &mut stopped, if last_read.is_none() => {
                    // This way is closed, the other one stays open: who notices can send what it has and go,
                    // and nothing is lost that a host has acknowledged.
                    let farewell = poll_fn(|context| Pin::new(&mut stream).poll_shutdown(context));
                    timeout(FAREWELL, farewell).await.ok();
                    last_read = Some(Instant::now() + LAST_READ);
                    deadline = Instant::now() + LAST_WORD;
                    alarm.as_mut().reset(deadline);
                    continue;
                }
                turn = self.turn(&mut stream, &mut framing, exporter, number) => turn,
                () = &mut alarm => {
                    // Deadlines move with what comes; the alarm is set anew only when it rings.
                    if Instant::now() < deadline {
                        alarm.as_mut().reset(deadline);
                        continue;
                    }
                    return match framing.is_midway() {
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
            if is_fresh && messages > 0 {
                is_fresh = false;
                self.connections.settle(number);
            }
            let now = Instant::now();
            deadline = match (last_read, framing.is_midway()) {
                (Some(end), _) if now >= end => return Ending::Stopped,
                (Some(_), _) => now + LAST_WORD,
                (None, false) => now + limits.idle,
                // The Message that had begun before goes on.
                (None, true) if was_midway && messages == 0 => deadline,
                (None, true) => now + limits.read,
            };
            if deadline < alarm.deadline() {
                alarm.as_mut().reset(deadline);
            }
            yield_now().await;
        }
    }

    /// What has come, as far as it goes into one turn.
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
                let ending = if framing.is_midway() {
                    Ending::CutShort
                } else {
                    Ending::Closed
                };
                return Poll::Ready(Turn::Ended(ending));
            }
            let now = live::now_milliseconds();
            let mut worker = lock(&self.worker);
            let mut messages = 0_usize;
            let taken = framing.push(octets, |message| {
                messages += 1;
                match worker.receive_over(number, exporter, message, now) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(malformed) => ControlFlow::Break(malformed),
                }
            });
            worker.flush();
            Poll::Ready(match taken {
                Ok(ControlFlow::Continue(())) => Turn::Read { messages },
                Ok(ControlFlow::Break(_)) | Err(NoMessage::Length) => {
                    Turn::Ended(Ending::Malformed)
                }
                Err(NoMessage::Version) => Turn::Ended(Ending::NoIpfix),
            })
        })
        .await
    }
}

/// What came of a turn.
enum Turn {
    /// So many whole Messages came.
    Read { messages: usize },
    /// The connection is over.
    Ended(Ending),
}

fn lock(worker: &Mutex<Worker>) -> std::sync::MutexGuard<'_, Worker> {
    worker.lock().unwrap_or_else(PoisonError::into_inner)
}
