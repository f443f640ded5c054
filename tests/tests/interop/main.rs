//! The export of the probe with other readers, and the collector with other exporters, in every
//! version and over every transport that both have. The records that are read equal those that were
//! sent. `docs/interop.md` has the results.
#![allow(clippy::unwrap_used, reason = "test code")]

mod collect;
mod export;
mod judge;
mod live;
mod page;
mod readers;
mod switch;

use std::path::Path;

const IPFIX: &str = "IPFIX";
const NETFLOW_9: &str = "NetFlow v9";
const NETFLOW_5: &str = "NetFlow v5";
const NETFLOW_1: &str = "NetFlow v1";

/// Runs a function for all items in parallel. Most of the time is spent on waiting for other
/// processes.
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

/// The payloads to a UDP port in a capture.
fn udp_payloads(path: &Path, port: u16) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).unwrap();
    let mut reader = pcap_file::pcap::PcapReader::new(&bytes[..]).unwrap();
    let mut payloads = Vec::new();
    while let Some(Ok(packet)) = reader.next_packet() {
        let sliced = etherparse::SlicedPacket::from_ethernet(&packet.data).unwrap();
        if let Some(etherparse::TransportSlice::Udp(udp)) = sliced.transport
            && udp.destination_port() == port
        {
            payloads.push(udp.payload().to_vec());
        }
    }
    payloads
}
