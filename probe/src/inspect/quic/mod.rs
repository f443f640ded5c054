//! The `ClientHello` in Initial packets of QUIC versions 1 and 2 (RFC 9000, RFC 9001, RFC 9369).
//!
//! The keys of Initial packets follow from the Destination Connection ID, so that any observer can
//! read them. A hello may be in several packets and datagrams, in any order: post-quantum keys do
//! not fit in one datagram, and clients mix its parts on purpose.
//!
//! * `packet`: long headers, and the packets of a datagram;
//! * `keys`: secrets of the client, header protection and decryption;
//! * `crypto_stream`: frames of a packet, and the stream that their `CRYPTO` data form;
//! * [`handshakes`]: the streams of connections.

mod crypto_stream;
pub mod handshakes;
mod keys;
mod packet;

pub use handshakes::{Handshakes, UnreadHandshake};
pub use packet::begins;
