//! Parameters of a live capture.

use super::interfaces::Pattern;
use super::payload_filter::Payloads;

/// What to capture, and how.
#[derive(Clone, Debug)]
pub struct LiveSettings {
    /// Interfaces to capture. Default: those that lead out of the node.
    pub patterns: Vec<Pattern>,
    /// pcap-filter(7) expression. Default: all IP packets.
    pub filter: Option<String>,
    /// Octets captured of each frame.
    pub snaplen: i32,
    /// Kernel buffer of each interface, octets.
    pub buffer_octets: i32,
    /// Capture frames that are not addressed to the node, too.
    pub promiscuous: bool,
    /// Maximum number of interfaces captured at the same time.
    pub max_interfaces: usize,
    /// Capture the first packets of all interfaces, too, except datagrams to these ports of
    /// tunnels.
    pub first_packets: Option<Vec<u16>>,
    /// Payloads that are captured. With names, also DNS answers of all interfaces.
    pub payloads: Payloads,
    /// Receive translated connections from the kernel.
    pub conntrack: bool,
    /// Number of captures among which the packets are divided, at least 1. Each of them has all first
    /// packets and DNS answers.
    pub captures: usize,
}
