//! Receive: flow export, live from sockets ([`udp`], [`tcp`], [`tls`]) or out of files ([`savefile`]).

pub mod connections;
mod frame;
pub mod framing;
pub mod listen;
pub mod savefile;
pub mod senders;
pub(crate) mod sockets;
pub mod tcp;
pub mod tls;
pub mod udp;
