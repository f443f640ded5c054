//! The exporters that may send: those in allowed networks, and the nodes of the cluster.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use flowproto::Address;
use ipnet::IpNet;

use crate::interval_map::{AddressRange, IntervalMap, parse_network};

/// Refusals between the first log entry and the second. The number doubles each time.
const LOG_INTERVAL: u64 = 1000;

/// Exporters that may send: a network, or the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowedExporters {
    /// `nodes`: all addresses of known nodes.
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
        parse_network(text).map(|network| Self::Network(network.trunc())).ok_or_else(|| {
            format!(
                "invalid exporters {text:?}: must be a CIDR, an address, or nodes, e.g. 10.0.0.0/8 or \
                 2001:db8::1"
            )
        })
    }
}

kipfix_service::text_setting!(AllowedExporters);

impl fmt::Display for AllowedExporters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes => f.write_str("nodes"),
            Self::Network(network) => network.fmt(f),
        }
    }
}

/// The allowed exporters, prepared for a check of every datagram.
#[derive(Debug, Default)]
pub struct Senders {
    everyone: bool,
    nodes: bool,
    /// True for the addresses of the networks.
    v4: IntervalMap<u32, bool>,
    v6: IntervalMap<u128, bool>,
    refused_datagrams: AtomicU64,
    refused: AtomicU64,
    log_at: AtomicU64,
}

impl Senders {
    /// Allows the exporters of a setting; all exporters if it is empty.
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

    /// True if an exporter at `address` may send. `is_node` returns whether a known node has the
    /// address. It is called only if that matters.
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

    /// Counts a refused datagram.
    pub fn refuse_datagram(&self, address: IpAddr) {
        self.refused_datagrams.fetch_add(1, Ordering::Relaxed);
        self.warn(address);
    }

    /// Logs a refused exporter: the first one, then at growing intervals.
    pub fn warn(&self, address: IpAddr) {
        let refused = self.refused.fetch_add(1, Ordering::Relaxed);
        let log_at = self.log_at.load(Ordering::Relaxed);
        if refused >= log_at {
            let next = refused.saturating_mul(2).max(LOG_INTERVAL);
            self.log_at.store(next, Ordering::Relaxed);
            tracing::warn!(
                exporter = %address,
                refused = refused.saturating_add(1),
                "exporter refused by allow_exporters (logged rarely; see datagrams_refused_total)"
            );
        }
    }

    /// Number of refused datagrams.
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
    fn without_the_setting_every_exporter_may_send() {
        assert!(allows(&senders(&[]), "192.0.2.1"));
        assert!(allows(&senders(&[]), "2001:db8::1"));
    }

    #[test]
    fn only_exporters_in_a_network_may_send_however_the_socket_spells_the_address() {
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
    fn nodes_may_send_if_the_setting_allows_them() {
        assert!(allows(&senders(&["nodes"]), "10.9.0.1"));
        assert!(!allows(&senders(&["nodes"]), "10.9.0.2"));
        assert!(!allows(&senders(&["192.0.2.0/24"]), "10.9.0.1"));
    }

    #[test]
    fn an_invalid_value_names_what_is_allowed() {
        for text in ["nodes", "10.0.0.0/8", "2001:db8::/32"] {
            assert_eq!(text.parse::<AllowedExporters>().unwrap().to_string(), text);
        }
        for text in ["10.0.0.0/33", "node", "", "example.org"] {
            let error = text.parse::<AllowedExporters>().unwrap_err();
            assert!(error.contains("CIDR") && error.contains("nodes"), "{error}");
        }
    }

    #[test]
    fn a_check_allocates_nothing() {
        let some = senders(&["10.0.0.0/8", "nodes"]);
        let info = allocation_counter::measure(|| {
            assert!(allows(&some, "10.0.0.1"));
            assert!(!allows(&some, "11.0.0.1"));
        });
        assert_eq!(info.count_total, 0);
    }
}
