//! Links and routes of this network namespace, from the kernel (rtnetlink(7)).
//!
//! A socket is used instead of /proc and /sys: /proc shows one routing table only, and /sys shows
//! the links of another namespace if it was mounted there. The attributes are read here and not by
//! a crate, because five of some sixty are needed: a reader of all of them fails with the first one
//! whose length a newer kernel has changed.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::libc::{
    IFF_LOOPBACK, IFF_UP, IFLA_ADDRESS, IFLA_IFNAME, IFLA_INFO_KIND, IFLA_LINK, IFLA_LINK_NETNSID,
    IFLA_LINKINFO, IFLA_MASTER, IFLA_MTU, NLM_F_DUMP, NLM_F_MULTI, NLM_F_REQUEST, NLMSG_DONE,
    NLMSG_ERROR, RTA_MULTIPATH, RTA_OIF, RTM_GETLINK, RTM_GETROUTE, RTM_NEWLINK, RTM_NEWROUTE,
    RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_ROUTE, RTMGRP_LINK, RTN_UNICAST,
};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    socket,
};

/// Octets of `struct nlmsghdr`.
const MESSAGE_HEADER: usize = 16;
/// Octets of `struct ifinfomsg`.
const LINK_HEADER: usize = 16;
/// Octets of `struct rtmsg`.
const ROUTE_HEADER: usize = 12;
/// Octets of `struct rtnexthop`.
const NEXT_HOP_HEADER: usize = 8;
/// Octets read at once. The kernel fills at most 32 KiB for a dump.
pub(super) const RECEIVE_BUFFER: usize = 64 << 10;

/// Changes that one scan covers. If there are more, another scan follows.
const MAX_CLEARED: usize = 100_000;

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// ifIndex.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Administratively up.
    pub up: bool,
    /// The loopback interface.
    pub loopback: bool,
    /// MTU, octets.
    pub mtu: u32,
    /// Ethernet address, if it has one.
    pub mac: Option<[u8; 6]>,
    /// The kernel's name for its kind, e.g. `veth`, `bridge`, `vxlan`; empty for a device.
    pub kind: String,
    /// ifIndex of the bridge, the bond or another master that it belongs to; 0 if none.
    pub master: u32,
    /// ifIndex of the link below it, e.g. of the device of a VLAN; 0 if none.
    pub lower: u32,
}

impl Link {
    /// True if it belongs to a bridge, a bond or another master.
    #[must_use]
    pub const fn is_member(&self) -> bool {
        self.master != 0
    }
}

/// Lists all links.
///
/// # Errors
/// The kernel does not answer.
pub fn links() -> io::Result<Vec<Link>> {
    let mut links = Vec::new();
    dump(RTM_GETLINK, LINK_HEADER, |kind, body| {
        if kind == RTM_NEWLINK
            && let Some(link) = link(body)
        {
            links.push(link);
        }
    })?;
    Ok(links)
}

/// Lists the ifIndex of every interface of a default route, in any table, of IPv4 and IPv6.
///
/// # Errors
/// The kernel does not answer.
pub fn default_route_interfaces() -> io::Result<Vec<u32>> {
    let mut interfaces = Vec::new();
    dump(RTM_GETROUTE, ROUTE_HEADER, |kind, body| {
        if kind == RTM_NEWROUTE {
            default_route(body, &mut interfaces);
        }
    })?;
    interfaces.sort_unstable();
    interfaces.dedup();
    Ok(interfaces)
}

/// Reports that links or routes have changed.
#[derive(Debug)]
pub(super) struct LinkEvents(OwnedFd);

impl LinkEvents {
    /// Opens a socket that becomes readable with the next change.
    pub(super) fn open() -> io::Result<Self> {
        let groups = RTMGRP_LINK | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::NetlinkRoute,
        )?;
        let groups = u32::try_from(groups).unwrap_or_default();
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(Self(socket))
    }

    /// Discards the changes so far. An overrun of the socket is a change like others.
    pub(super) fn clear(&self) {
        let mut octet = [0];
        for _ in 0..MAX_CLEARED {
            match recv(self.0.as_raw_fd(), &mut octet, MsgFlags::empty()) {
                Ok(_) | Err(Errno::ENOBUFS | Errno::EINTR) => {}
                Err(_) => break,
            }
        }
    }
}

impl AsFd for LinkEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Requests all objects of a kind and hands out the messages of the answer.
fn dump(request: u16, body_octets: usize, mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    request_dump(&socket, request, body_octets)?;
    let mut buffer = vec![0; RECEIVE_BUFFER];
    loop {
        let received = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = buffer.get(..received).unwrap_or_default();
        if rest.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while let Some((kind, body, next)) = next_message(rest) {
            match i32::from(kind) {
                NLMSG_DONE => return Ok(()),
                NLMSG_ERROR => {
                    return Err(error_code(body).unwrap_or(Errno::UnknownErrno).into());
                }
                _ => each(kind, body),
            }
            rest = next;
        }
    }
}

/// Requests all objects of a kind, of all address families. The body of the request has
/// `body_octets` zeros.
pub(super) fn request_dump(
    socket: &impl AsRawFd,
    request: u16,
    body_octets: usize,
) -> io::Result<()> {
    let flags = u16::try_from(NLM_F_REQUEST | NLM_F_DUMP).unwrap_or_default();
    let length = MESSAGE_HEADER + body_octets;
    let mut message = Vec::with_capacity(length);
    message.extend(u32::try_from(length).unwrap_or_default().to_ne_bytes());
    message.extend(request.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.resize(length, 0);
    send(socket.as_raw_fd(), &message, MsgFlags::empty())?;
    Ok(())
}

/// The error in the body of an `NLMSG_ERROR`; `None` if it is an acknowledgment.
pub(super) fn error_code(body: &[u8]) -> Option<Errno> {
    let code = body.first_chunk().copied().map_or(0, i32::from_ne_bytes);
    (code != 0).then(|| Errno::from_raw(code.saturating_neg()))
}

/// The type and body of the first message, and the octets after it. `None` if it is not complete.
#[must_use]
pub fn next_message(data: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let header = data.first_chunk::<MESSAGE_HEADER>()?;
    let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]);
    let length = usize::try_from(length).ok()?;
    let body = data.get(MESSAGE_HEADER..length)?;
    let next = data.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((u16::from_ne_bytes([header[4], header[5]]), body, next))
}

/// True if the first message is one of several that answer a request.
pub(super) fn is_part_of_dump(data: &[u8]) -> bool {
    let flags = data.get(6..).and_then(<[u8]>::first_chunk).copied();
    let flags = flags.map_or(0, u16::from_ne_bytes);
    i32::from(flags) & NLM_F_MULTI != 0
}

/// The type and value of every attribute.
pub(super) fn attributes(mut data: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// The two highest bits describe the encoding of the value.
    const TYPE_MASK: u16 = 0x3fff;
    std::iter::from_fn(move || {
        let header = data.first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let value = data.get(4..length)?;
        data = data.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((
            u16::from_ne_bytes([header[2], header[3]]) & TYPE_MASK,
            value,
        ))
    })
}

fn number(value: &[u8]) -> u32 {
    value.first_chunk().copied().map_or(0, u32::from_ne_bytes)
}

fn text(value: &[u8]) -> String {
    let end = value.iter().position(|octet| *octet == 0);
    String::from_utf8_lossy(value.get(..end.unwrap_or(value.len())).unwrap_or_default())
        .into_owned()
}

/// The link in the body of an `RTM_NEWLINK`: `struct ifinfomsg`, then attributes.
#[must_use]
pub fn link(body: &[u8]) -> Option<Link> {
    let (header, rest) = body.split_first_chunk::<LINK_HEADER>()?;
    let flags = i32::from_ne_bytes([header[8], header[9], header[10], header[11]]);
    let mut link = Link {
        index: u32::from_ne_bytes([header[4], header[5], header[6], header[7]]),
        up: flags & IFF_UP != 0,
        loopback: flags & IFF_LOOPBACK != 0,
        ..Link::default()
    };
    let mut is_lower_elsewhere = false;
    for (kind, value) in attributes(rest) {
        match kind {
            IFLA_IFNAME => link.name = text(value),
            IFLA_MTU => link.mtu = number(value),
            IFLA_MASTER => link.master = number(value),
            IFLA_LINK => link.lower = number(value),
            IFLA_LINK_NETNSID => is_lower_elsewhere = true,
            IFLA_ADDRESS => link.mac = value.try_into().ok(),
            IFLA_LINKINFO => {
                for (kind, value) in attributes(value) {
                    if kind == IFLA_INFO_KIND {
                        link.kind = text(value);
                    }
                }
            }
            _ => {}
        }
    }
    if is_lower_elsewhere {
        // Its index is one of another namespace.
        link.lower = 0;
    }
    (!link.name.is_empty()).then_some(link)
}

/// Adds the interfaces of the route in the body of an `RTM_NEWROUTE`, if it is a default route:
/// `struct rtmsg` (destination length at octet 1, type at octet 7), then attributes.
pub fn default_route(body: &[u8], interfaces: &mut Vec<u32>) {
    let Some((header, rest)) = body.split_first_chunk::<ROUTE_HEADER>() else {
        return;
    };
    if header[1] != 0 || header[7] != RTN_UNICAST {
        return;
    }
    for (kind, mut value) in attributes(rest) {
        match kind {
            RTA_OIF => interfaces.push(number(value)),
            RTA_MULTIPATH => {
                // struct rtnexthop: length, flags, hops, ifIndex, then attributes.
                while let Some(hop) = value.first_chunk::<NEXT_HOP_HEADER>() {
                    interfaces.push(u32::from_ne_bytes([hop[4], hop[5], hop[6], hop[7]]));
                    let length = usize::from(u16::from_ne_bytes([hop[0], hop[1]]));
                    if length < NEXT_HOP_HEADER {
                        break;
                    }
                    value = value.get(length.next_multiple_of(4)..).unwrap_or_default();
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_lists_the_loopback_interface() {
        let links = links().unwrap();
        let loopback = links.iter().find(|link| link.loopback).unwrap();
        assert_eq!((loopback.name.as_str(), loopback.index), ("lo", 1));
        assert!(loopback.mtu > 0);
        default_route_interfaces().unwrap();
    }

    #[test]
    fn a_multipath_default_route_leads_to_every_next_hop() {
        let hop = |index: u32| {
            let mut hop = 8_u16.to_ne_bytes().to_vec();
            hop.extend([0, 0]);
            hop.extend(index.to_ne_bytes());
            hop
        };
        let hops = [hop(3), hop(7)].concat();
        let mut body = vec![0; ROUTE_HEADER];
        body[7] = RTN_UNICAST;
        body.extend(u16::try_from(hops.len() + 4).unwrap().to_ne_bytes());
        body.extend(RTA_MULTIPATH.to_ne_bytes());
        body.extend(hops);
        let mut interfaces = Vec::new();
        default_route(&body, &mut interfaces);
        assert_eq!(interfaces, [3, 7]);
    }

    #[test]
    fn truncated_messages_end_the_iteration() {
        for length in 0..40 {
            let body = vec![1; length];
            default_route(&body, &mut Vec::new());
            assert_eq!(link(&body), None);
            assert_eq!(next_message(&body), None);
            assert!(attributes(&body).count() < 40);
        }
    }
}
