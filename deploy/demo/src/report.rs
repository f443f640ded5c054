//! The report of the demo, read from `/metrics`: traffic between workloads, and the loss
//! accounting.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kipfix_scrape::{Sample, Scrape, get};

use crate::accounting::{self, grouped};
use crate::scenario::CONVERSATIONS;

/// Polling interval.
const PAUSE: Duration = Duration::from_millis(250);
/// Maximum number of polls until a daemon is ready.
const START_POLLS: u32 = 240;
/// Maximum number of polls until all records have arrived.
const ARRIVAL_POLLS: u32 = 240;
/// Polls without a change after which all records have arrived.
const STEADY_POLLS: u32 = 12;

/// Waits until `/readyz` at `address` answers 200.
///
/// # Errors
/// The last answer, if it is not ready in time.
pub(crate) fn wait_until_ready(address: &str) -> Result<()> {
    let mut last = anyhow::anyhow!("no answer");
    for _ in 0..START_POLLS {
        match get(address.parse()?, "/readyz") {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
        std::thread::sleep(PAUSE);
    }
    Err(last)
}

/// Waits until all records have arrived, then prints the report on stdout.
///
/// # Errors
/// If a daemon does not answer, there is no traffic, or the loss accounting does not add up.
pub(crate) fn run(collector: &str, probes: &[&str]) -> Result<()> {
    let (mut before, mut steady) = (BTreeMap::new(), 0);
    for _ in 0..ARRIVAL_POLLS {
        let scrape = scrape(&[collector])?;
        let waiting = scrape.sum("kipfix_collector_records_pending");
        let now = conversations(&scrape);
        steady = if now == before && waiting == Some(0) {
            steady + 1
        } else {
            0
        };
        if steady >= STEADY_POLLS && !now.is_empty() {
            break;
        }
        before = now;
        std::thread::sleep(PAUSE);
    }
    let scrape = scrape(&[&[collector], probes].concat())?;
    let edges = conversations(&scrape);
    ensure!(!edges.is_empty(), "the collector counted no traffic");
    let mut out = std::io::stdout().lock();
    write_table(&edges, &mut out)?;
    ensure!(
        accounting::write(&scrape, &mut out)?,
        "the loss accounting does not add up"
    );
    Ok(())
}

/// Reads the metrics of daemons by their address, and of a probe that has ended by its log file.
fn scrape(sources: &[&str]) -> Result<Scrape> {
    let mut all = Scrape::default();
    for source in sources {
        if source.contains('/') {
            let log = std::fs::read_to_string(source).with_context(|| (*source).to_owned())?;
            all.extend(samples_of_log(&log));
        } else {
            all.extend(Scrape::of(source.parse()?)?);
        }
    }
    Ok(all)
}

/// The totals that a probe logs at its end, in JSON, under their names in `/metrics`.
fn samples_of_log(log: &str) -> impl Iterator<Item = Sample> {
    let names = [
        ("frames", "packets_captured_total"),
        ("metered", "packets_metered_total"),
        ("undecodable", "packets_undecodable_total"),
        ("own_export", "packets_own_export_total"),
        ("duplicates", "packets_duplicate_total"),
        ("packets_corrected", "packets_corrected_total"),
        ("record_packets", "record_packets_total"),
        ("records", "records_total"),
        ("queue_lost", "queue_records_lost_total"),
    ];
    let logged = names.into_iter().filter_map(|(field, name)| {
        let (_, after) = log.rsplit_once(&format!("\"{field}\":"))?;
        let digits = after.split(|c: char| !c.is_ascii_digit()).next()?;
        Some((name, digits.parse().ok()?))
    });
    // With a savefile there is no kernel that drops, and at its end every conversation is reported.
    let none = [("packets_dropped_total", 0), ("cache_conversations", 0)];
    let samples = logged.chain(none);
    samples.map(|(name, value)| Sample::new(&format!("kipfix_probe_{name}"), value))
}

/// The endpoint of one side: `namespace/workload`, a name, or `external`.
fn endpoint(sample: &Sample, side: &str) -> String {
    let label = |name| sample.label(&format!("{side}_{name}"));
    match (label("namespace"), label("workload")) {
        ("", "") => "external".to_owned(),
        ("", name) => name.to_owned(),
        (namespace, name) => format!("{namespace}/{name}"),
    }
}

/// Source, destination, class.
type Edge = (String, String, String);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    bytes: u64,
    packets: u64,
    connections: u64,
}

fn conversations(scrape: &Scrape) -> BTreeMap<Edge, Counts> {
    let mut edges = BTreeMap::new();
    for sample in scrape.samples() {
        let column: fn(&mut Counts) -> &mut u64 = match sample.name.as_str() {
            "kipfix_bytes_total" => |counts| &mut counts.bytes,
            "kipfix_packets_total" => |counts| &mut counts.packets,
            "kipfix_connections_total" => |counts| &mut counts.connections,
            _ => continue,
        };
        let edge = (
            endpoint(sample, "src"),
            endpoint(sample, "dst"),
            sample.label("class").to_owned(),
        );
        *column(edges.entry(edge).or_default()) += sample.count().unwrap_or_default();
    }
    edges
}

fn write_table(edges: &BTreeMap<Edge, Counts>, out: &mut impl Write) -> Result<()> {
    let mut rows = edges.iter().collect::<Vec<_>>();
    rows.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.bytes));
    writeln!(
        out,
        "\ntraffic between workloads, one row per direction (from the collector's /metrics):\n"
    )?;
    let heads = ("FROM", "TO", "CLASS", "BYTES", "PACKETS", "CONNECTIONS");
    let (from, to, class, bytes, packets, connections) = heads;
    writeln!(
        out,
        "  {from:<20} {to:<20} {class:<16} {bytes:>12} {packets:>8} {connections:>12}"
    )?;
    for ((from, to, class), counts) in rows {
        let bytes = grouped(counts.bytes);
        let packets = grouped(counts.packets);
        // A row of responses has no connections.
        let connections = Some(counts.connections)
            .filter(|&count| count > 0)
            .map(grouped);
        let connections = connections.as_deref().unwrap_or("-");
        writeln!(
            out,
            "  {from:<20} {to:<20} {class:<16} {bytes:>12} {packets:>8} {connections:>12}"
        )?;
    }
    let begun = edges.values().map(|counts| counts.connections).sum();
    let made = CONVERSATIONS
        .iter()
        .map(|conversation| u64::from(conversation.count))
        .sum();
    writeln!(
        out,
        "\n  the demo opened {} connections (UDP: requests), the table has {}",
        grouped(made),
        grouped(begun)
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_direction_is_a_row() {
        let scrape = Scrape::parse(
            "# HELP kipfix_bytes_total x\n\
             kipfix_bytes_total{src_namespace=\"shop\",src_kind=\"Deployment\",src_workload=\"web\",\
             dst_namespace=\"\",dst_kind=\"Node\",dst_workload=\"node-a\",class=\"pod_to_node\"} 1500\n\
             kipfix_connections_total{src_namespace=\"shop\",src_kind=\"Deployment\",\
             src_workload=\"web\",dst_namespace=\"\",dst_kind=\"Node\",dst_workload=\"node-a\",\
             class=\"pod_to_node\"} 3\n\
",
        )
        .unwrap();
        let edge = (
            "shop/web".to_owned(),
            "node-a".to_owned(),
            "pod_to_node".to_owned(),
        );
        let counts = Counts {
            bytes: 1500,
            packets: 0,
            connections: 3,
        };
        assert_eq!(conversations(&scrape), BTreeMap::from([(edge, counts)]));
    }
}
