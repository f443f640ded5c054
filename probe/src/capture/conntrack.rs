//! Translated connections of this network namespace, from the connection table of the kernel
//! (`ctnetlink`): all of them at the start, then each one as it begins and ends.
//!
//! The socket takes `CAP_NET_ADMIN`. If the kernel discards events because the buffer is full, the
//! table is read again. Connections that are not translated are skipped.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use anyhow::{Context as _, anyhow};
use flowproto::{Address, FlowKey};
use nix::errno::Errno;
use nix::libc::{NLMSG_DONE, NLMSG_ERROR};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt,
    socket, sockopt,
};

use super::netlink::{
    RECEIVE_BUFFER, attributes, error_code, is_part_of_dump, next_message, request_dump,
};
use super::permission;

/// Octets of `struct nfgenmsg`.
const HEADER: usize = 4;
/// `NFNL_SUBSYS_CTNETLINK` in the high octet of a message type.
const SUBSYSTEM: u16 = 1 << 8;
/// `IPCTNL_MSG_CT_NEW`: a connection that is there or has begun.
const NEW: u16 = SUBSYSTEM;
/// `IPCTNL_MSG_CT_GET`: requests all connections.
const GET: u16 = SUBSYSTEM | 1;
/// `IPCTNL_MSG_CT_DELETE`: a connection that has ended.
const DELETE: u16 = SUBSYSTEM | 2;
/// `NF_NETLINK_CONNTRACK_NEW` and `NF_NETLINK_CONNTRACK_DESTROY`.
const GROUPS: u32 = 0x1 | 0x4;

/// `CTA_TUPLE_ORIG` and `CTA_TUPLE_REPLY` of a connection.
const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
/// `CTA_TUPLE_IP` and `CTA_TUPLE_PROTO` of a tuple.
const TUPLE_ADDRESSES: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
/// `CTA_IP_V4_SRC` and the like.
const ADDRESS_SOURCES: [u16; 2] = [1, 3];
const ADDRESS_DESTINATIONS: [u16; 2] = [2, 4];
/// `CTA_PROTO_NUM`, `CTA_PROTO_SRC_PORT` and `CTA_PROTO_DST_PORT`.
const PROTOCOL_NUMBER: u16 = 1;
const SOURCE_PORT: u16 = 2;
const DESTINATION_PORT: u16 = 3;

/// Buffer of the socket, octets: some 20,000 events.
const SOCKET_BUFFER: usize = 8 << 20;
/// Buffers that are read before frames are.
const MAX_ROUND_READS: usize = 64;
/// The table is read at most once in this time.
const DUMP_INTERVAL_NS: u64 = 1_000_000_000;

/// A translated connection, as its initiator sends its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TranslatedConnection {
    /// Before all translations.
    pub original: FlowKey,
    /// After all translations.
    pub translated: FlowKey,
}

/// What the kernel reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConntrackEvent {
    /// A connection is there.
    Present(TranslatedConnection),
    /// A connection has ended.
    Ended(TranslatedConnection),
    /// All connections that are there were reported since this time, nanoseconds since the epoch.
    Complete {
        /// When the reading of the table began.
        began_ns: u64,
    },
}

/// When an event was read, and the time after which it happened. Nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTime {
    /// When it was read.
    pub read_ns: u64,
    /// All events before this time were read earlier; 0 if that is unknown.
    pub after_ns: u64,
}

/// Counts of a [`Conntrack`] since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConntrackCounters {
    /// Times that the kernel discarded events, because the buffer was full.
    pub overruns: u64,
    /// Times that the table was read.
    pub dumps: u64,
}

/// A socket that receives the translated connections.
#[derive(Debug)]
pub struct Conntrack {
    socket: OwnedFd,
    buffer: Vec<u8>,
    /// When the reading of the table began, if it is not complete.
    dump_began_ns: Option<u64>,
    is_dump_due: bool,
    /// The table is not read before this time.
    next_dump_ns: u64,
    /// All events before this time were read; 0 before the first read.
    read_ns: u64,
    counters: ConntrackCounters,
}

impl Conntrack {
    /// Opens the socket.
    ///
    /// # Errors
    /// The capability is missing, or the kernel has no connection table.
    pub fn open() -> anyhow::Result<Self> {
        let _raised = permission::raise_admin()?;
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::NetlinkNetFilter,
        )
        .context("conntrack: cannot open a netlink socket")?;
        // Events are lost if it stays small, which is counted.
        setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER).ok();
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))
            .context("conntrack: cannot receive events")?;
        let mut conntrack = Self {
            socket,
            buffer: vec![0; RECEIVE_BUFFER],
            dump_began_ns: None,
            is_dump_due: true,
            next_dump_ns: 0,
            read_ns: 0,
            counters: ConntrackCounters::default(),
        };
        // An answer shows that the kernel has a connection table. It is read by the first dispatch.
        conntrack
            .request_dump(0)
            .context("conntrack: cannot read the connection table")?;
        conntrack.check_support()?;
        Ok(conntrack)
    }

    /// Counts so far.
    #[must_use]
    pub const fn counters(&self) -> ConntrackCounters {
        self.counters
    }

    /// Hands out what the kernel has reported, up to a number of events. `now_ns`: nanoseconds since
    /// the epoch.
    ///
    /// # Errors
    /// The socket is not usable any more.
    pub fn dispatch(
        &mut self,
        now_ns: u64,
        mut each: impl FnMut(ConntrackEvent, EventTime),
    ) -> io::Result<()> {
        for _ in 0..MAX_ROUND_READS {
            let after_ns = self.read_ns;
            // The table has connections of any age.
            let time = |is_listed| EventTime {
                read_ns: now_ns,
                after_ns: if is_listed { 0 } else { after_ns },
            };
            let received = recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty());
            match received {
                Ok(octets) => self.read(octets, |event, is_listed| each(event, time(is_listed)))?,
                Err(Errno::ENOBUFS) => {
                    self.counters.overruns += 1;
                    self.is_dump_due = true;
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    self.read_ns = now_ns;
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let is_idle = self.dump_began_ns.is_none();
        if self.is_dump_due && is_idle && now_ns >= self.next_dump_ns {
            self.next_dump_ns = now_ns.saturating_add(DUMP_INTERVAL_NS);
            self.request_dump(now_ns)?;
        }
        Ok(())
    }

    /// Passes each event, and whether it comes from the table. Others arrive meanwhile.
    fn read(
        &mut self,
        octets: usize,
        mut each: impl FnMut(ConntrackEvent, bool),
    ) -> io::Result<()> {
        let mut rest = self.buffer.get(..octets).unwrap_or_default();
        while let Some((kind, body, next)) = next_message(rest) {
            let is_listed = is_part_of_dump(rest);
            rest = next;
            if i32::from(kind) == NLMSG_ERROR {
                match error_code(body) {
                    // Another program reads the table, or it has changed meanwhile: once more.
                    Some(Errno::EBUSY | Errno::EINTR) => self.is_dump_due = true,
                    Some(error) => return Err(error.into()),
                    None => continue,
                }
                self.dump_began_ns = None;
            } else if i32::from(kind) == NLMSG_DONE {
                if let Some(began_ns) = self.dump_began_ns.take() {
                    self.counters.dumps += 1;
                    each(ConntrackEvent::Complete { began_ns }, true);
                }
            } else if let Some(event) = event(kind, body) {
                each(event, is_listed);
            }
        }
        Ok(())
    }

    fn request_dump(&mut self, now_ns: u64) -> io::Result<()> {
        let _raised = permission::raise_admin().map_err(io::Error::other)?;
        request_dump(&self.socket, GET, HEADER)?;
        self.dump_began_ns = Some(now_ns);
        self.is_dump_due = false;
        Ok(())
    }

    /// Fails if the first answer of the kernel is an error. The answer stays in the socket.
    fn check_support(&mut self) -> anyhow::Result<()> {
        let peeked = recv(
            self.socket.as_raw_fd(),
            &mut self.buffer,
            MsgFlags::MSG_PEEK,
        );
        let answer = self.buffer.get(..peeked.unwrap_or_default());
        let first = answer.and_then(next_message);
        let Some((kind, body, _)) = first else {
            return Ok(());
        };
        match error_code(body) {
            Some(Errno::EBUSY | Errno::EINTR) | None => Ok(()),
            Some(_) if i32::from(kind) != NLMSG_ERROR => Ok(()),
            Some(error) => Err(anyhow!(
                "conntrack: the kernel does not list its connections: {error}; the module \
                 nf_conntrack_netlink must be loaded"
            )),
        }
    }
}

impl AsFd for Conntrack {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The event of a message; `None` if its connection is not translated, or is of a protocol without
/// ports.
#[must_use]
pub fn event(kind: u16, body: &[u8]) -> Option<ConntrackEvent> {
    if kind != NEW && kind != DELETE {
        return None;
    }
    let (mut original, mut reply) = (None, None);
    for (kind, value) in attributes(body.get(HEADER..)?) {
        match kind {
            TUPLE_ORIGINAL => original = tuple(value),
            TUPLE_REPLY => reply = tuple(value),
            _ => {}
        }
    }
    let connection = TranslatedConnection {
        original: original?,
        translated: reply?.reversed(),
    };
    if connection.original == connection.translated {
        return None;
    }
    Some(if kind == NEW {
        ConntrackEvent::Present(connection)
    } else {
        ConntrackEvent::Ended(connection)
    })
}

/// Addresses, ports and protocol of one direction; `None` if one of them is missing.
fn tuple(value: &[u8]) -> Option<FlowKey> {
    let mut key = FlowKey::default();
    let mut found = [false; 5];
    for (kind, value) in attributes(value) {
        match kind {
            TUPLE_ADDRESSES => {
                for (kind, value) in attributes(value) {
                    let Some(address) = address(value) else {
                        continue;
                    };
                    if ADDRESS_SOURCES.contains(&kind) {
                        (key.source_address, found[0]) = (address, true);
                    } else if ADDRESS_DESTINATIONS.contains(&kind) {
                        (key.destination_address, found[1]) = (address, true);
                    }
                }
            }
            TUPLE_PROTOCOL => {
                for (kind, value) in attributes(value) {
                    match (kind, value) {
                        (PROTOCOL_NUMBER, [number, ..]) => {
                            (key.protocol_identifier, found[2]) = (*number, true);
                        }
                        (SOURCE_PORT, [high, low, ..]) => {
                            (key.source_port, found[3]) = (u16::from_be_bytes([*high, *low]), true);
                        }
                        (DESTINATION_PORT, [high, low, ..]) => {
                            key.destination_port = u16::from_be_bytes([*high, *low]);
                            found[4] = true;
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    (found == [true; 5]).then_some(key)
}

fn address(value: &[u8]) -> Option<Address> {
    let v4 = || <[u8; 4]>::try_from(value).ok().map(std::net::IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(value).ok().map(std::net::IpAddr::from);
    v4().or_else(v6).map(Address::from)
}
