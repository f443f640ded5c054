//! What the kernel says of this network namespace's links and routes (rtnetlink(7)). Asked over a socket
//! rather than read from /proc, because /proc shows one routing table and /sys another namespace's links
//! when it was mounted there.

use std::io;
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// NLM_F_REQUEST | NLM_F_DUMP.
const REQUEST_DUMP: u16 = 0x301;
const MESSAGE_HEADER: usize = 16;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 8;

const RTA_OIF: u16 = 4;
const RTA_MULTIPATH: u16 = 9;
const RTN_UNICAST: u8 = 1;

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
    /// Ethernet address, where it has one.
    pub mac: Option<[u8; 6]>,
    /// The kernel's word for what it is, e.g. `veth`, `bridge`, `vxlan`; empty for a device.
    pub kind: String,
    /// Belongs to a bridge, a bond or another master.
    pub member: bool,
}

/// All links.
///
/// # Errors
/// The kernel does not answer.
pub fn links() -> io::Result<Vec<Link>> {
    let mut links = Vec::new();
    dump(RTM_GETLINK, 16, |kind, body| {
        if kind == RTM_NEWLINK
            && let Some(link) = link(body)
        {
            links.push(link);
        }
    })?;
    Ok(links)
}

/// ifIndex of every interface that a default route leads to, in any table, of IPv4 or IPv6.
///
/// # Errors
/// The kernel does not answer.
pub fn default_route_interfaces() -> io::Result<Vec<u32>> {
    let mut interfaces = Vec::new();
    dump(RTM_GETROUTE, 12, |kind, body| {
        if kind == RTM_NEWROUTE {
            default_route(body, &mut interfaces);
        }
    })?;
    interfaces.sort_unstable();
    interfaces.dedup();
    Ok(interfaces)
}

/// Sends a request for everything of a kind and hands out the messages of the answer.
fn dump(request: u16, body_octets: usize, mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    let length = MESSAGE_HEADER + body_octets;
    let mut message = Vec::with_capacity(length);
    message.extend(u32::try_from(length).unwrap_or_default().to_ne_bytes());
    message.extend(request.to_ne_bytes());
    message.extend(REQUEST_DUMP.to_ne_bytes());
    message.resize(length, 0);
    send(socket.as_raw_fd(), &message, MsgFlags::empty())?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let received = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = buffer.get(..received).unwrap_or_default();
        if rest.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while let Some((kind, body, next)) = next_message(rest) {
            match kind {
                NLMSG_DONE => return Ok(()),
                NLMSG_ERROR => {
                    let code = body.first_chunk().copied().map_or(0, i32::from_ne_bytes);
                    return Err(io::Error::from_raw_os_error(code.saturating_neg()));
                }
                _ => each(kind, body),
            }
            rest = next;
        }
    }
}

/// Type and body of the first message, and what follows it. `None` where there is no whole one.
#[must_use]
pub fn next_message(data: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let header = data.first_chunk::<MESSAGE_HEADER>()?;
    let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]);
    let length = usize::try_from(length).ok()?;
    let body = data.get(MESSAGE_HEADER..length)?;
    let next = data.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((u16::from_ne_bytes([header[4], header[5]]), body, next))
}

/// Type and value of every attribute.
fn attributes(mut data: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let header = data.first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let value = data.get(4..length)?;
        data = data.get(length.next_multiple_of(4)..).unwrap_or_default();
        // The two highest bits say how the value is written, not what it is.
        Some((u16::from_ne_bytes([header[2], header[3]]) & 0x3fff, value))
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

/// The link that the body of an `RTM_NEWLINK` tells of: struct ifinfomsg and its attributes.
#[must_use]
pub fn link(body: &[u8]) -> Option<Link> {
    let (fixed, rest) = body.split_first_chunk::<16>()?;
    let flags = u32::from_ne_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]);
    let mut link = Link {
        index: u32::from_ne_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
        up: flags & IFF_UP != 0,
        loopback: flags & IFF_LOOPBACK != 0,
        ..Link::default()
    };
    for (kind, value) in attributes(rest) {
        match kind {
            IFLA_IFNAME => link.name = text(value),
            IFLA_MTU => link.mtu = number(value),
            IFLA_MASTER => link.member = number(value) != 0,
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
    (!link.name.is_empty()).then_some(link)
}

/// Adds the interfaces that the body of an `RTM_NEWROUTE` leads to, if it is a default route: struct rtmsg
/// and its attributes, destination length at octet 1, type at octet 7.
pub fn default_route(body: &[u8], interfaces: &mut Vec<u32>) {
    let Some((fixed, rest)) = body.split_first_chunk::<12>() else {
        return;
    };
    if fixed[1] != 0 || fixed[7] != RTN_UNICAST {
        return;
    }
    for (kind, mut value) in attributes(rest) {
        match kind {
            RTA_OIF => interfaces.push(number(value)),
            RTA_MULTIPATH => {
                // struct rtnexthop: length, flags, hops, ifIndex, then attributes.
                while let Some(hop) = value.first_chunk::<8>() {
                    interfaces.push(u32::from_ne_bytes([hop[4], hop[5], hop[6], hop[7]]));
                    let length = usize::from(u16::from_ne_bytes([hop[0], hop[1]]));
                    if length < 8 {
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
    fn the_kernel_tells_of_the_loopback_interface() {
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
        let mut body = vec![0; 12];
        body[7] = RTN_UNICAST;
        body.extend(u16::try_from(hops.len() + 4).unwrap().to_ne_bytes());
        body.extend(RTA_MULTIPATH.to_ne_bytes());
        body.extend(hops);
        let mut interfaces = Vec::new();
        default_route(&body, &mut interfaces);
        assert_eq!(interfaces, [3, 7]);
    }

    #[test]
    fn cut_off_messages_end_the_walk() {
        for length in 0..40 {
            let body = vec![1; length];
            default_route(&body, &mut Vec::new());
            assert_eq!(link(&body), None);
            assert_eq!(next_message(&body), None);
            assert!(attributes(&body).count() < 40);
        }
    }
}
