//! Receive: datagrams of flow export, live from sockets ([`udp`]) or out of files ([`savefile`]).

mod frame;
pub mod savefile;
pub mod udp;
