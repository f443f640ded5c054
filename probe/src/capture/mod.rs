//! Capture: frames with their time and their length on the wire. First stage of the path.
//!
//! * [`savefile`]: from a pcap or pcapng file;
//! * [`live`]: from the node's interfaces, with libpcap;
//! * [`filter`]: what the kernel lets through;
//! * [`interfaces`]: which interfaces those are, told by the kernel over [`netlink`];
//! * [`permission`]: the one capability that takes.

pub mod filter;
pub mod interfaces;
pub mod live;
pub mod netlink;
pub mod permission;
pub mod savefile;
