//! Who may send: exporters of the networks that a setting names, and the cluster's nodes.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use flowproto::Address;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::interval_map::{AddressRange, IntervalMap};

/// Refusals are said again after so many more of them, doubled each time.
const SAID_AGAIN: u64 = 1000;

/// A network whose exporters may send, or the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum AllowedExporters {
    /// `nodes`: whoever has an address of a known node.
    Nodes,
    /// A CIDR.
    Network(IpNet),
}

impl FromStr for AllowedExporters {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "nodes" {
            return Ok(Self::Nodes);
        }
        let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
        let network = text.parse::<IpNet>().ok().or_else(address);
        network.map(|network| Self::Network(network.trunc())).ok_or_else(|| {
            format!(
                "{text:?} names no exporters: allowed are a CIDR or an address, e.g. 10.0.0.0/8 or \
                 2001:db8::1, and nodes"
            )
        })
    }
}

impl TryFrom<String> for AllowedExporters {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<AllowedExporters> for String {
    fn from(allowed: AllowedExporters) -> Self {
        allowed.to_string()
    }
}

impl fmt::Display for AllowedExporters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes => f.write_str("nodes"),
            Self::Network(network) => network.fmt(f),
        }
    }
}

/// Who may send, ready to be asked for every datagram.
#[derive(Debug, Default)]
pub struct Senders {
    everyone: bool,
    nodes: bool,
    /// True for the addresses of the networks.
    v4: IntervalMap<u32, bool>,
    v6: IntervalMap<u128, bool>,
    refused_datagrams: AtomicU64,
    refused: AtomicU64,
    say_at: AtomicU64,
}

impl Senders {
    /// Those of a setting; of an empty one, everyone.
    #[must_use]
    pub fn new(allowed: &[AllowedExporters]) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for one in allowed {
            let AllowedExporters::Network(network) = one else {
                continue;
            };
            match AddressRange::of_v4(*network, true) {
                Some(range) => v4.push(range),
                None => v6.push(AddressRange::of(*network, true)),
            }
        }
        Self {
            everyone: allowed.is_empty(),
            nodes: allowed.contains(&AllowedExporters::Nodes),
            v4: IntervalMap::from_nested(v4),
            v6: IntervalMap::from_nested(v6),
            ..Self::default()
        }
    }

    /// Whether an exporter at `address` may send. `is_node` says whether that is a known node's; it is
    /// asked only where that matters.
    #[inline]
    pub fn allow(&self, address: IpAddr, is_node: impl FnOnce(Address) -> bool) -> bool {
        self.everyone || self.lists(address.into(), is_node)
    }

    fn lists(&self, address: Address, is_node: impl FnOnce(Address) -> bool) -> bool {
        let listed = if address.is_ipv4() {
            self.v4.get(address.v4_bits())
        } else {
            self.v6.get(address.bits())
        };
        listed || self.nodes && is_node(address)
    }

    /// A datagram was refused.
    pub fn refuse_datagram(&self, address: IpAddr) {
        self.refused_datagrams.fetch_add(1, Ordering::Relaxed);
        self.say(address);
    }

    /// Says who was refused: the first, and then ever more seldom.
    pub fn say(&self, address: IpAddr) {
        let refused = self.refused.fetch_add(1, Ordering::Relaxed);
        let say_at = self.say_at.load(Ordering::Relaxed);
        if refused >= say_at {
            let next = refused.saturating_mul(2).max(SAID_AGAIN);
            self.say_at.store(next, Ordering::Relaxed);
            tracing::warn!(
                exporter = %address,
                refused = refused.saturating_add(1),
                "allow_exporters does not name this exporter: refused, and others are counted"
            );
        }
    }

    /// Datagrams refused so far.
    #[must_use]
    pub fn refused_datagrams(&self) -> u64 {
        self.refused_datagrams.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn senders(allowed: &[&str]) -> Senders {
        let allowed: Vec<AllowedExporters> = allowed.iter().map(|t| t.parse().unwrap()).collect();
        Senders::new(&allowed)
    }

    fn allows(senders: &Senders, address: &str) -> bool {
        senders.allow(address.parse().unwrap(), |node| {
            node == Address::from_v4_bits(0x0a09_0001)
        })
    }

    #[test]
    fn without_the_setting_everyone_may_send() {
        assert!(allows(&senders(&[]), "192.0.2.1"));
        assert!(allows(&senders(&[]), "2001:db8::1"));
    }

    #[test]
    fn only_who_is_in_a_network_may_send_however_the_socket_spells_the_address() {
        let some = senders(&["10.1.0.0/16", "10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]);
        for address in [
            "10.1.2.3",
            "10.255.255.255",
            "::ffff:10.0.0.1",
            "192.0.2.7",
            "2001:db8::9",
        ] {
            assert!(allows(&some, address), "{address}");
        }
        for address in [
            "11.0.0.0",
            "9.255.255.255",
            "192.0.2.8",
            "::ffff:192.0.2.6",
            "2001:db9::",
        ] {
            assert!(!allows(&some, address), "{address}");
        }
        assert!(allows(&senders(&["::ffff:10.0.0.0/104"]), "10.1.2.3"));
        // All of IPv6 is not IPv4.
        assert!(!allows(&senders(&["::/0"]), "10.1.2.3"));
        assert!(allows(&senders(&["0.0.0.0/0"]), "10.1.2.3"));
    }

    #[test]
    fn nodes_may_send_where_the_setting_says_so() {
        assert!(allows(&senders(&["nodes"]), "10.9.0.1"));
        assert!(!allows(&senders(&["nodes"]), "10.9.0.2"));
        assert!(!allows(&senders(&["192.0.2.0/24"]), "10.9.0.1"));
    }

    #[test]
    fn a_value_names_what_is_allowed() {
        for text in ["nodes", "10.0.0.0/8", "2001:db8::/32"] {
            assert_eq!(text.parse::<AllowedExporters>().unwrap().to_string(), text);
        }
        for text in ["10.0.0.0/33", "node", "", "example.org"] {
            let said = text.parse::<AllowedExporters>().unwrap_err();
            assert!(said.contains("CIDR") && said.contains("nodes"), "{said}");
        }
    }

    #[test]
    fn asking_allocates_nothing() {
        let some = senders(&["10.0.0.0/8", "nodes"]);
        let info = allocation_counter::measure(|| {
            assert!(allows(&some, "10.0.0.1"));
            assert!(!allows(&some, "11.0.0.1"));
        });
        assert_eq!(info.count_total, 0);
    }
}
