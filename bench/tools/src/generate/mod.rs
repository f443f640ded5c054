//! `generate`: a capture file of mixed traffic, with its truth.
//!
//! Conversations have Zipf sizes: TCP that is complete, aborted or refused, DNS, QUIC-like UDP,
//! ICMP echo, unanswered SYNs and syslog. Some are IPv6, some are VXLAN between nodes. The truth
//! has two views: *outer*, where VXLAN is UDP between nodes, and *inner*, where it is removed.

mod conversation;
mod frame;
mod plan;
mod truth;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Serialize;

use self::frame::FrameBuilder;
use self::truth::{View, ViewTotals};
use crate::capture::{CaptureWriter, ETHERNET};
use crate::random::mix;

/// Time of the first packet, in seconds since the epoch.
const START: u64 = 1_700_000_000;

/// Settings of a capture.
#[derive(clap::Args, Debug)]
pub(crate) struct GenerateSettings {
    /// Capture file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// JSON file for the totals
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// CSV file for every flow
    #[arg(long, value_name = "FILE")]
    flows_csv: Option<PathBuf>,
    /// Seed of the pseudo-random numbers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One-way flows, with VXLAN removed
    #[arg(long, default_value_t = 1000)]
    flows: u64,
    /// Packets
    #[arg(long, default_value_t = 10_000)]
    packets: u64,
    /// Exponent of the conversations' sizes
    #[arg(long, default_value_t = 1.1)]
    zipf: f64,
    /// Share of conversations inside VXLAN
    #[arg(long, default_value_t = 0.3)]
    vxlan_share: f64,
    /// Share of IPv6 conversations
    #[arg(long, default_value_t = 0.15)]
    v6_share: f64,
    /// UDP port of VXLAN
    #[arg(long, default_value_t = 4789)]
    vxlan_port: u16,
    /// Packets per second of the capture's clock
    #[arg(long, default_value_t = 100_000)]
    pps: u64,
    /// Octets kept of each frame
    #[arg(long, default_value_t = 65_535)]
    snaplen: usize,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Totals {
    packets: u64,
    outer: ViewTotals,
    inner: ViewTotals,
}

/// Writes the capture and its truth.
pub(crate) fn run(settings: &GenerateSettings) -> Result<()> {
    let create = |path: &PathBuf| {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        anyhow::Ok(BufWriter::with_capacity(1 << 20, file))
    };
    let mut conversations = plan::conversations(settings)?;
    let order = plan::order(settings, &conversations);
    let mut capture = CaptureWriter::new(create(&settings.out)?, ETHERNET, settings.snaplen)?;
    let mut builder = FrameBuilder::new(settings.vxlan_port);
    let (mut outer, mut inner) = (View::default(), View::default());
    for (position, &number) in order.iter().enumerate() {
        let conversation = &mut conversations[number as usize];
        let random = mix(settings.seed
            ^ (u64::from(number) << 32)
            ^ conversation.written
            ^ 0xC2C2_0000_0000_0000);
        let time = position as u64 * 1_000_000 / settings.pps;
        let packet = builder.build(number, conversation, time, random);
        inner.add(packet.key, packet.octets, time, packet.tcp_flags);
        match packet.outer {
            Some((key, octets)) => outer.add(key, octets, time, 0),
            None => outer.add(packet.key, packet.octets, time, packet.tcp_flags),
        }
        capture.write(START * 1_000_000 + time, builder.frame())?;
    }
    capture.finish()?;
    if let Some(path) = &settings.truth {
        let totals = Totals {
            packets: settings.packets,
            outer: outer.totals(),
            inner: inner.totals(),
        };
        serde_json::to_writer_pretty(create(path)?, &totals)?;
    }
    if let Some(path) = &settings.flows_csv {
        let mut file = create(path)?;
        writeln!(file, "{}", truth::CSV_HEADER)?;
        outer.write("outer", &mut file)?;
        inner.write("inner", &mut file)?;
        file.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::IpAddr;

    use etherparse::{NetSlice, SlicedPacket, TransportSlice};

    use super::*;
    use crate::capture::Frames;

    type Recount = HashMap<(IpAddr, IpAddr, u16, u16), (u64, u64)>;

    fn settings(folder: &tempfile::TempDir) -> GenerateSettings {
        GenerateSettings {
            out: folder.path().join("out.pcap"),
            truth: Some(folder.path().join("truth.json")),
            flows_csv: Some(folder.path().join("flows.csv")),
            seed: 1,
            flows: 1000,
            packets: 10_000,
            zipf: 1.1,
            vxlan_share: 0.3,
            v6_share: 0.15,
            vxlan_port: 4789,
            pps: 100_000,
            snaplen: 65_535,
        }
    }

    /// Counts a frame by another decoder; returns the frame inside VXLAN, too.
    fn recount<'a>(frame: &'a [u8], flows: &mut Recount) -> Option<&'a [u8]> {
        let packet = SlicedPacket::from_ethernet(frame).unwrap();
        let (source, destination, octets): (IpAddr, IpAddr, u64) = match packet.net.unwrap() {
            NetSlice::Ipv4(ip) => {
                let header = ip.header();
                assert_eq!(
                    header.header_checksum(),
                    header.to_header().calc_header_checksum()
                );
                let octets = header.total_len().into();
                (
                    header.source_addr().into(),
                    header.destination_addr().into(),
                    octets,
                )
            }
            NetSlice::Ipv6(ip) => {
                let header = ip.header();
                let octets = u64::from(header.payload_length()) + 40;
                (
                    header.source_addr().into(),
                    header.destination_addr().into(),
                    octets,
                )
            }
            NetSlice::Arp(_) => panic!("ARP"),
        };
        let (ports, inner) = match packet.transport.unwrap() {
            TransportSlice::Tcp(tcp) => ((tcp.source_port(), tcp.destination_port()), None),
            TransportSlice::Udp(udp) => (
                (udp.source_port(), udp.destination_port()),
                (udp.destination_port() == 4789).then(|| &udp.payload()[8..]),
            ),
            TransportSlice::Icmpv4(icmp) => ((0, u16::from(icmp.type_u8()) << 8), None),
            TransportSlice::Icmpv6(icmp) => ((0, u16::from(icmp.type_u8()) << 8), None),
            TransportSlice::Igmp(_) => panic!("IGMP"),
        };
        let flow = flows
            .entry((source, destination, ports.0, ports.1))
            .or_default();
        flow.0 += 1;
        flow.1 += octets;
        inner
    }

    #[test]
    fn the_truth_is_what_another_decoder_counts() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&folder);
        run(&settings).unwrap();
        let file = std::fs::read(&settings.out).unwrap();
        let (mut outer, mut inner) = (Recount::default(), Recount::default());
        for frame in Frames::of(&file).unwrap() {
            match recount(frame, &mut outer) {
                Some(packet) => recount(packet, &mut inner),
                None => recount(frame, &mut inner),
            };
        }
        let totals = |flows: &Recount| ViewTotals {
            packets: flows.values().map(|flow| flow.0).sum(),
            octets: flows.values().map(|flow| flow.1).sum(),
            flows: flows.len() as u64,
        };
        let recounted = Totals {
            packets: 10_000,
            outer: totals(&outer),
            inner: totals(&inner),
        };
        let truth = std::fs::read_to_string(settings.truth.unwrap()).unwrap();
        assert_eq!(truth, serde_json::to_string_pretty(&recounted).unwrap());
        assert_eq!(recounted.inner.flows, 1000);
        let mut lines = 0;
        for line in std::fs::read_to_string(settings.flows_csv.unwrap())
            .unwrap()
            .lines()
            .skip(1)
        {
            let cells: Vec<&str> = line.split(',').collect();
            let flows = if cells[0] == "outer" { &outer } else { &inner };
            let address = |at: usize| cells[at].parse().unwrap();
            let number = |at: usize| cells[at].parse::<u64>().unwrap();
            let key = (address(1), address(2), number(3) as u16, number(4) as u16);
            assert_eq!(flows[&key], (number(6), number(7)), "{line}");
            lines += 1;
        }
        assert_eq!(lines, outer.len() + inner.len());
    }

    #[test]
    fn settings_that_cannot_be_met_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (flows, packets) in [(1000, 999), (1000, 1000), (6_000_000, 7_000_000)] {
            let settings = GenerateSettings {
                flows,
                packets,
                ..settings(&folder)
            };
            assert!(run(&settings).is_err(), "{flows} {packets}");
        }
    }
}
