//! Capture: frames with their time and their length on the wire. First stage of the path.
//!
//! * [`frame`]: a frame, and where it was observed; [`counters`]: counts of a capture;
//! * [`savefile`]: frames of a pcap or pcapng file; [`offline_link`]: link types that only these
//!   have, of which `wireless` are those of 802.11;
//! * [`live`]: frames of the node's interfaces, by libpcap, one `interface` each, at the `pace`
//!   that their buffers allow;
//! * [`live_settings`]: its parameters; [`share`]: the part of the packets that a thread captures;
//! * [`filter`]: the kernel filter; [`payload_filter`]: which packets are captured as a whole;
//!   `bpf`: compiled filters;
//! * [`first_packets`]: first packets of all interfaces, for address translations; `dns_answers`:
//!   DNS answers of all interfaces, for names; both from a `cooked` socket;
//! * [`interfaces`]: selection of interfaces, from the links that [`netlink`] lists and
//!   `scanner` watches;
//! * [`conntrack`]: translated connections, from the connection table of the kernel;
//! * [`permission`]: the capabilities for both.

mod bpf;
pub(crate) mod clock;
pub mod conntrack;
mod cooked;
pub mod counters;
mod dns_answers;
pub mod filter;
pub mod first_packets;
pub mod frame;
mod interface;
pub mod interfaces;
mod libpcap;
pub mod live;
pub mod live_settings;
pub(crate) mod named_link;
pub mod netlink;
pub mod offline_link;
mod pace;
pub mod payload_filter;
pub mod permission;
pub mod savefile;
mod scanner;
pub mod share;
pub(crate) mod wireless;
