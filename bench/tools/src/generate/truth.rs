//! What a capture contains: its totals and every flow, as a probe must report them.

use std::collections::HashMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::flows::FlowKey;

#[derive(Clone, Copy, Default)]
struct PacketSums {
    packets: u64,
    octets: u64,
    first: u64,
    last: u64,
    tcp_flags: u8,
}

/// One way to look at the capture: the flows outside or inside the tunnels.
#[derive(Default)]
pub(crate) struct View {
    flows: HashMap<FlowKey, PacketSums>,
}

/// Totals of a view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ViewTotals {
    pub(crate) packets: u64,
    /// Octets from the IP header on; Ethernet headers and padding do not count.
    pub(crate) octets: u64,
    pub(crate) flows: u64,
}

impl View {
    /// Adds a packet; `time` is in microseconds since the start of the capture.
    pub(crate) fn add(&mut self, key: FlowKey, octets: u64, time: u64, tcp_flags: u8) {
        let sums = self.flows.entry(key).or_insert(PacketSums {
            first: time,
            ..PacketSums::default()
        });
        sums.packets += 1;
        sums.octets += octets;
        sums.last = time;
        sums.tcp_flags |= tcp_flags;
    }

    pub(crate) fn totals(&self) -> ViewTotals {
        let mut totals = ViewTotals {
            flows: self.flows.len() as u64,
            ..ViewTotals::default()
        };
        for sums in self.flows.values() {
            totals.packets += sums.packets;
            totals.octets += sums.octets;
        }
        totals
    }

    /// Writes the flows as CSV lines in the order of their first packets.
    pub(crate) fn write(&self, view: &str, to: &mut impl Write) -> io::Result<()> {
        let mut flows: Vec<_> = self.flows.iter().collect();
        flows.sort_unstable_by_key(|(_, sums)| sums.first);
        for (key, sums) in flows {
            writeln!(
                to,
                "{view},{},{},{},{},{},{},{},{},{},{}",
                key.source,
                key.destination,
                key.source_port,
                key.destination_port,
                key.protocol,
                sums.packets,
                sums.octets,
                sums.first,
                sums.last,
                sums.tcp_flags
            )?;
        }
        Ok(())
    }
}

/// First line of the CSV file.
pub(crate) const CSV_HEADER: &str =
    "view,src,dst,sport,dport,proto,packets,octets,first_us,last_us,tcpflags";
