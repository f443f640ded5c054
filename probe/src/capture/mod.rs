//! Capture: frames with their time and their length on the wire. First stage of the path.
//!
//! * [`frame`]: a frame, and where it was observed; [`counters`]: counts of a capture;
//! * [`savefile`]: frames of a pcap or pcapng file;
//! * [`live`]: frames of the node's interfaces, by libpcap, one `interface` each;
//! * [`filter`]: the kernel filter;
//! * [`first_packets`]: first packets of all interfaces, for address translations;
//! * [`interfaces`]: selection of interfaces, from the links that [`netlink`] lists and
//!   `scanner` watches;
//! * [`permission`]: the capability for live capture.

pub(crate) mod clock;
pub mod counters;
pub mod filter;
pub mod first_packets;
pub mod frame;
mod interface;
pub mod interfaces;
mod libpcap;
pub mod live;
pub mod netlink;
pub mod permission;
pub mod savefile;
mod scanner;
