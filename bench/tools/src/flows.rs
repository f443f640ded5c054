//! Flows and their sums, and `compare`: the flows of a probe against the truth of the capture.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;

/// A flow in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FlowKey {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) protocol: u8,
}

/// Packets and octets of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FlowSums {
    pub(crate) packets: u64,
    pub(crate) octets: u64,
}

/// Sums by flow. ICMP has no ports here: exporters disagree on where type and code belong.
#[derive(Debug, Default)]
pub(crate) struct Flows(HashMap<FlowKey, FlowSums>);

impl Flows {
    /// Adds to a flow.
    pub(crate) fn add(&mut self, mut key: FlowKey, sums: FlowSums) {
        if matches!(key.protocol, 1 | 58) {
            (key.source_port, key.destination_port) = (0, 0);
        }
        let flow = self.0.entry(key).or_default();
        flow.packets += sums.packets;
        flow.octets += sums.octets;
    }

    /// Number of flows.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Writes a CSV line for each flow.
    pub(crate) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        for (key, sums) in &self.0 {
            writeln!(
                to,
                "{},{},{},{},{},{},{}",
                key.source,
                key.destination,
                key.source_port,
                key.destination_port,
                key.protocol,
                sums.packets,
                sums.octets
            )?;
        }
        Ok(())
    }

    /// Reads CSV lines; of those that begin with a name of a view, only `view`. Lines of another
    /// form, such as headings, are left out.
    fn read(from: impl BufRead, view: &str) -> io::Result<Self> {
        let mut flows = Self::default();
        for line in from.lines() {
            if let Some((key, sums)) = parse_line(&line?, view) {
                flows.add(key, sums);
            }
        }
        Ok(flows)
    }
}

fn parse_line(line: &str, view: &str) -> Option<(FlowKey, FlowSums)> {
    let mut cells = line.split(',').map(str::trim).peekable();
    if cells.next_if_eq(&view).is_none() && matches!(cells.peek(), Some(&"outer" | &"inner")) {
        return None;
    }
    let mut cell = || cells.next();
    // nfdump writes ICMP's type and code as `8.0`.
    let port = |text: &str| text.split('.').next()?.parse().ok();
    let key = FlowKey {
        source: cell()?.parse().ok()?,
        destination: cell()?.parse().ok()?,
        source_port: port(cell()?)?,
        destination_port: port(cell()?)?,
        protocol: cell()?.parse().ok()?,
    };
    let sums = FlowSums {
        packets: cell()?.parse().ok()?,
        octets: cell()?.parse().ok()?,
    };
    Some((key, sums))
}

/// Settings of `compare`.
#[derive(clap::Args, Debug)]
pub(crate) struct CompareSettings {
    /// CSV file that `generate` wrote
    #[arg(long, value_name = "FILE")]
    truth: PathBuf,
    /// View of the truth: outer or inner
    #[arg(long, default_value = "inner")]
    view: String,
    /// CSV file of flows: addresses, ports, protocol, packets, octets; `-` is standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    flows: PathBuf,
}

/// How far reported flows agree with the truth.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Comparison {
    truth_flows: usize,
    reported_flows: usize,
    /// Flows whose packets and octets are right.
    exact: usize,
    /// Flows that were reported and do not exist.
    invented: usize,
}

/// Prints the comparison as JSON.
pub(crate) fn compare(settings: &CompareSettings) -> Result<()> {
    let open = |path: &Path| {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        anyhow::Ok(BufReader::new(file))
    };
    let truth = Flows::read(open(&settings.truth)?, &settings.view)?;
    let reported = if settings.flows.as_os_str() == "-" {
        Flows::read(io::stdin().lock(), &settings.view)?
    } else {
        Flows::read(open(&settings.flows)?, &settings.view)?
    };
    let comparison = compare_flows(truth, &reported);
    serde_json::to_writer(io::stdout().lock(), &comparison)?;
    Ok(())
}

fn compare_flows(mut truth: Flows, reported: &Flows) -> Comparison {
    let mut comparison = Comparison {
        truth_flows: truth.len(),
        reported_flows: reported.len(),
        ..Comparison::default()
    };
    for (key, sums) in &reported.0 {
        match truth.0.entry(*key) {
            Entry::Occupied(flow) if flow.get() == sums => comparison.exact += 1,
            Entry::Occupied(_) => {}
            Entry::Vacant(_) => comparison.invented += 1,
        }
    }
    comparison
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUTH: &str = "view,src,dst,sport,dport,proto,packets,octets,first_us\n\
        outer,192.168.0.1,192.168.0.2,50000,4789,17,3,450,0\n\
        inner,10.0.0.1,10.0.0.2,1000,80,6,2,100,0\n\
        inner,10.0.0.1,10.0.0.2,0,2048,1,1,84,0\n\
        inner,fd00::1,fd00::2,1000,80,6,1,60,0\n";

    #[test]
    fn flows_are_exact_wrong_or_invented() {
        let truth = Flows::read(TRUTH.as_bytes(), "inner").unwrap();
        let nfdump = " 10.0.0.1, 10.0.0.2, 1000, 80, 6, 2, 100\n\
            10.0.0.1, 10.0.0.2, 0, 8.0, 1, 1, 84\n\
            fd00::1, fd00::2, 1000, 80, 6, 1, 66\n\
            10.0.0.9, 10.0.0.2, 1000, 80, 6, 1, 60\n\
            Summary: 4 flows\n";
        let reported = Flows::read(nfdump.as_bytes(), "inner").unwrap();
        let expected = Comparison {
            truth_flows: 3,
            reported_flows: 4,
            exact: 2,
            invented: 1,
        };
        assert_eq!(compare_flows(truth, &reported), expected);
    }

    #[test]
    fn views_of_the_truth_are_apart() {
        assert_eq!(Flows::read(TRUTH.as_bytes(), "outer").unwrap().len(), 1);
    }
}
