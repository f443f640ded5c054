//! Decoding: a captured frame → [`PacketInfo`], or the reason why it has none. Second stage of the
//! path, between [`crate::capture`] and [`crate::cache`].
//!
//! The flow key is that of the *innermost* IP header. The header next outside it becomes the
//! tunnel. In the order of a frame: `link` finds the first IP header, `ip` reads one, `tunnel`
//! finds the next one inside, `transport` reads ports and flags, `security` recognizes encrypted
//! payloads, `contents` is what copies of the packet share, and [`fragment`] gives later fragments
//! the ports of their first one. [`decoder`] calls them.
//!
//! Octets come from the network: every length is checked, nothing is allocated, and every loop ends
//! with the data or at a constant. An inner packet that cannot be decoded leaves the outer one.
#![warn(clippy::arithmetic_side_effects)]

mod contents;
mod datagram_flow;
pub mod decoder;
pub mod fragment;
mod ip;
mod link;
pub mod packet;
mod security;
mod transport;
mod tunnel;
pub mod tunnel_ports;

pub(crate) use contents::mix;
pub use datagram_flow::datagram_flow;
pub use decoder::{Decoder, DecoderSettings};
pub use packet::{
    NetworkId, PacketContents, PacketInfo, Repetition, Signal, TcpOptions, Undecodable,
};
