//! Our export under other people's decoders, and other people's exporters into our collector, in every version
//! and over every transport that both have: what is read is what was sent. `docs/interop.md` has the result.
#![allow(clippy::unwrap_used, reason = "test code")]

mod collect;
mod export;
mod judge;
mod page;

use std::net::UdpSocket;
use std::time::Duration;

const IPFIX: &str = "IPFIX";
const NETFLOW_9: &str = "NetFlow v9";
const NETFLOW_5: &str = "NetFlow v5";

/// Sends datagrams slowly enough for everybody's socket buffer.
fn send(datagrams: &[Vec<u8>], port: u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in datagrams {
        socket.send_to(datagram, ("127.0.0.1", port)).unwrap();
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Does the same with all of them at the same time: most of it is to wait for somebody.
fn at_once<T: Send, R: Send>(
    all: impl IntoIterator<Item = T>,
    act: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    std::thread::scope(|scope| {
        let act = &act;
        let each = all.into_iter().map(|one| scope.spawn(move || act(one)));
        let threads: Vec<_> = each.collect();
        let done = threads.into_iter().map(|thread| thread.join());
        done.map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}
