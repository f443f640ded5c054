//! The conversations of the demo, for both variants: real traffic between network namespaces, and a
//! capture. The addresses are those of `inventory.yaml` and `demo.sh`.

use std::net::Ipv4Addr;

/// A host that sends requests and answers them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// Its network namespace in `demo.sh`.
    pub(crate) name: &'static str,
    pub(crate) address: Ipv4Addr,
    /// The node whose eth0 its traffic passes. `None` for an external host.
    pub(crate) node: Option<&'static str>,
}

const fn host(name: &'static str, address: [u8; 4], node: Option<&'static str>) -> Host {
    let [a, b, c, d] = address;
    Host {
        name,
        address: Ipv4Addr::new(a, b, c, d),
        node,
    }
}

const NODE_A: Host = host("node-a", [10, 9, 0, 1], Some("node-a"));
const NODE_B: Host = host("node-b", [10, 9, 0, 2], Some("node-b"));
const WEB: Host = host("web", [10, 1, 1, 10], Some("node-a"));
const CART: Host = host("cart", [10, 1, 1, 11], Some("node-a"));
const DB: Host = host("db", [10, 1, 2, 10], Some("node-b"));
const DNS: Host = host("dns", [10, 1, 2, 11], Some("node-b"));
/// A client in the office and an external backup service, in one network namespace.
const OFFICE: Host = host("outside", [192, 0, 2, 10], None);
const BACKUP: Host = host("outside", [203, 0, 113, 5], None);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Udp,
}

/// `source` sends `count` requests of `request_octets` to `destination` and receives responses of
/// `answer_octets`. Every request has its own TCP connection or its own UDP source port.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) source: Host,
    pub(crate) destination: Host,
    pub(crate) transport: Transport,
    pub(crate) port: u16,
    pub(crate) count: u16,
    pub(crate) request_octets: usize,
    pub(crate) answer_octets: usize,
}

use Transport::{Tcp, Udp};

const fn conversation(
    (source, destination): (Host, Host),
    (transport, port): (Transport, u16),
    count: u16,
    (request_octets, answer_octets): (usize, usize),
) -> Conversation {
    Conversation {
        source,
        destination,
        transport,
        port,
        count,
        request_octets,
        answer_octets,
    }
}

pub(crate) const CONVERSATIONS: [Conversation; 7] = [
    conversation((OFFICE, WEB), (Tcp, 8080), 40, (400, 30_000)),
    conversation((WEB, DB), (Tcp, 5432), 30, (200, 20_000)),
    conversation((CART, DB), (Tcp, 5432), 10, (60_000, 100)),
    conversation((WEB, DNS), (Udp, 53), 40, (60, 200)),
    conversation((CART, DNS), (Udp, 53), 20, (60, 200)),
    conversation((DB, BACKUP), (Tcp, 443), 2, (1_000_000, 500)),
    conversation((NODE_A, NODE_B), (Tcp, 10250), 5, (300, 5000)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inventory_lists_every_host_of_the_cluster() {
        let inventory = include_str!("../inventory.yaml");
        for conversation in &CONVERSATIONS {
            for host in [&conversation.source, &conversation.destination] {
                let listed = inventory.contains(&format!("[{}]", host.address));
                assert_eq!(listed, host.node.is_some(), "{host:?}");
            }
        }
    }
}
