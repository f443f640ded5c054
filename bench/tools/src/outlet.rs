//! The senders' sockets.

use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use anyhow::{Context as _, Result, bail, ensure};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg, setsockopt, sockopt};

/// Datagrams of one system call.
pub(crate) const BATCH: usize = 16;
/// Errors after which sending stops.
const MAX_ERRORS: u64 = 1000;
/// Exporters that fit into the loopback addresses used.
const MAX_EXPORTERS: u32 = 1 << 16;

/// Datagrams by what became of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) datagrams: u64,
    pub(crate) octets: u64,
    pub(crate) errors: u64,
}

/// Sends datagrams in batches.
pub(crate) struct Outlet {
    sockets: Vec<UdpSocket>,
    headers: MultiHeaders<SockaddrStorage>,
    /// Datagrams that wait for the batch to be full, one behind the other.
    arena: Vec<u8>,
    ends: Vec<usize>,
    exporter: usize,
    pub(crate) sent: Sent,
}

impl Outlet {
    /// Opens a socket for every exporter. The first is 127.0.0.1, further ones have addresses of
    /// their own.
    pub(crate) fn open(to: SocketAddr, exporters: u32) -> Result<Self> {
        ensure!(
            to.ip().is_loopback(),
            "invalid to \"{to}\": must be a loopback address"
        );
        ensure!(
            (1..=MAX_EXPORTERS).contains(&exporters),
            "invalid exporters \"{exporters}\": must be 1–{MAX_EXPORTERS}"
        );
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        let open = |number: u32| {
            let socket = UdpSocket::bind((source(to, number), 0))?;
            setsockopt(&socket, sockopt::SndBuf, &(4 << 20))?;
            socket.connect(to)?;
            anyhow::Ok(socket)
        };
        let sockets = (0..exporters).map(open).collect::<Result<_>>();
        Ok(Self {
            sockets: sockets.context("the exporters' sockets")?,
            headers: MultiHeaders::preallocate(BATCH, None),
            arena: Vec::with_capacity(BATCH * 1500),
            ends: Vec::with_capacity(BATCH),
            exporter: 0,
            sent: Sent::default(),
        })
    }

    /// Queues a datagram; sends the batch when it is full or of another exporter.
    pub(crate) fn send(&mut self, exporter: usize, datagram: &[u8]) -> Result<()> {
        if exporter != self.exporter {
            self.flush()?;
            self.exporter = exporter;
        }
        self.arena.extend_from_slice(datagram);
        self.ends.push(self.arena.len());
        if self.ends.len() == BATCH {
            self.flush()?;
        }
        Ok(())
    }

    /// Sends what is queued.
    pub(crate) fn flush(&mut self) -> Result<()> {
        let mut first = 0;
        while first < self.ends.len() {
            let slices: Vec<[IoSlice<'_>; 1]> = (first..self.ends.len())
                .map(|at| {
                    let start = if at == 0 { 0 } else { self.ends[at - 1] };
                    [IoSlice::new(&self.arena[start..self.ends[at]])]
                })
                .collect();
            let addresses = [None::<SockaddrStorage>; BATCH];
            let socket = self.sockets[self.exporter].as_raw_fd();
            let flags = MsgFlags::empty();
            let result = sendmmsg(socket, &mut self.headers, &slices, addresses, [], flags);
            match result.map(|results| results.count()) {
                Ok(count) => {
                    let octets = |at: usize| slices[at][0].len() as u64;
                    self.sent.datagrams += count as u64;
                    self.sent.octets += (0..count).map(octets).sum::<u64>();
                    first += count;
                }
                Err(Errno::EINTR) => {}
                Err(error) => {
                    self.sent.errors += 1;
                    if self.sent.errors > MAX_ERRORS {
                        bail!("cannot send: {error}");
                    }
                }
            }
        }
        self.arena.clear();
        self.ends.clear();
        Ok(())
    }
}

/// The address of an exporter.
fn source(to: SocketAddr, number: u32) -> IpAddr {
    match number.checked_sub(1) {
        None => to.ip(),
        Some(number) => {
            let [_, _, high, low] = number.to_be_bytes();
            Ipv4Addr::new(127, 1, high, low).into()
        }
    }
}
