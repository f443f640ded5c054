//! What the demo prints at its end, read from `/metrics` alone: who talked to whom, and for each stage
//! that what came in is what went out and what was lost.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::ledger;
use crate::scenario::CONVERSATIONS;

/// Between two looks at something that is not there yet.
const PAUSE: Duration = Duration::from_millis(250);
/// Looks at a daemon that starts.
const START_LOOKS: u32 = 40;
/// Looks at records that are under way.
const ARRIVAL_LOOKS: u32 = 50;
/// So many looks that find the same say that nothing is under way any more.
const STEADY_LOOKS: u32 = 12;
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits until `/readyz` at `address` answers 200.
///
/// # Errors
/// What it answered last.
pub(crate) fn wait_until_ready(address: &str) -> Result<()> {
    let mut last = anyhow::anyhow!("never asked");
    for _ in 0..START_LOOKS {
        match fetch(address, "/readyz") {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
        std::thread::sleep(PAUSE);
    }
    Err(last)
}

/// Waits until the records of the traffic have arrived, then prints the report on stdout.
///
/// # Errors
/// A daemon that does not answer, traffic that was not seen, or a sum that does not come out.
pub(crate) fn run(collector: &str, probes: &[&str]) -> Result<()> {
    let (mut before, mut steady) = (BTreeMap::new(), 0);
    for _ in 0..ARRIVAL_LOOKS {
        let scrape = Scrape::of(&[collector])?;
        let waiting = scrape.sum("kipfix_collector_records_pending");
        let now = conversations(&scrape);
        steady = if now == before && waiting == Some(0) {
            steady + 1
        } else {
            0
        };
        if steady >= STEADY_LOOKS && !now.is_empty() {
            break;
        }
        before = now;
        std::thread::sleep(PAUSE);
    }
    let scrape = Scrape::of(&[&[collector], probes].concat())?;
    let edges = conversations(&scrape);
    ensure!(!edges.is_empty(), "the collector counted no traffic");
    let mut out = std::io::stdout().lock();
    write_table(&edges, &mut out)?;
    ensure!(ledger::write(&scrape, &mut out)?, "a sum does not come out");
    Ok(())
}

/// The samples of one `/metrics`, or of several taken together.
#[derive(Default)]
pub(crate) struct Scrape(Vec<Sample>);

/// One line of it.
pub(crate) struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: u64,
}

impl Scrape {
    /// Of daemons by their address; of a probe that has ended, by the path of its log.
    fn of(sources: &[&str]) -> Result<Self> {
        let mut samples = Vec::new();
        for source in sources {
            let scrape = if source.contains('/') {
                let log = std::fs::read_to_string(source).with_context(|| (*source).to_owned())?;
                Self::of_log(&log)
            } else {
                Self::parsed(&fetch(source, "/metrics")?)
            };
            samples.extend(scrape.0);
        }
        Ok(Self(samples))
    }

    /// The sums that a probe logs at its end, in JSON, under the names that they have in `/metrics`.
    fn of_log(log: &str) -> Self {
        let names = [
            ("frames", "packets_captured_total"),
            ("metered", "packets_metered_total"),
            ("undecodable", "packets_undecodable_total"),
            ("own_export", "packets_own_export_total"),
            ("second_sightings", "packets_second_sighting_total"),
            ("packets_corrected", "packets_corrected_total"),
            ("record_packets", "record_packets_total"),
            ("records", "records_total"),
            ("queue_lost", "queue_records_lost_total"),
        ];
        let logged = names.iter().filter_map(|(field, name)| {
            let (_, after) = log.rsplit_once(&format!("\"{field}\":"))?;
            let digits = after.split(|c: char| !c.is_ascii_digit()).next()?;
            Some((*name, digits.parse().ok()?))
        });
        // A savefile has no kernel that drops, and at its end every conversation is reported.
        let none = [("packets_dropped_total", 0), ("cache_conversations", 0)];
        let sample = |(name, value)| Sample {
            name: format!("kipfix_probe_{name}"),
            labels: BTreeMap::new(),
            value,
        };
        Self(logged.chain(none).map(sample).collect())
    }

    /// Only whole numbers are kept: they are all that the report adds up.
    fn parsed(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self(lines.filter_map(Sample::parsed).collect())
    }

    /// Sum of the samples with that name, by the value of a label.
    pub(crate) fn by_label(&self, name: &str, label: &str) -> BTreeMap<&str, u64> {
        let mut sums = BTreeMap::new();
        for sample in self.0.iter().filter(|sample| sample.name == name) {
            *sums.entry(sample.label(label)).or_default() += sample.value;
        }
        sums
    }

    /// Sum of the samples with that name; `None` where there is none.
    pub(crate) fn sum(&self, name: &str) -> Option<u64> {
        self.0
            .iter()
            .filter(|sample| sample.name == name)
            .map(|sample| sample.value)
            .reduce(|sum, value| sum + value)
    }
}

impl Sample {
    /// `name{label="value",…} 1`, as our own encoder writes it.
    fn parsed(line: &str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels
            .strip_suffix('}')
            .unwrap_or(labels)
            .strip_suffix('"')
            .unwrap_or("");
        let labels = labels
            .split("\",")
            .filter_map(|label| label.split_once("=\""))
            .map(|(label, value)| (label.to_owned(), value.to_owned()))
            .collect();
        Some(Self {
            name: name.to_owned(),
            labels,
            value: value.parse().ok()?,
        })
    }

    fn label(&self, label: &str) -> &str {
        self.labels.get(label).map_or("", String::as_str)
    }

    /// `namespace/workload`, or what else is known.
    fn end(&self, side: &str) -> String {
        let label = |name| self.label(&format!("{side}_{name}"));
        match (label("namespace"), label("workload")) {
            ("", "") => "outside".to_owned(),
            ("", name) => name.to_owned(),
            (namespace, name) => format!("{namespace}/{name}"),
        }
    }
}

/// From, to, class.
type Edge = (String, String, String);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    bytes: u64,
    packets: u64,
    connections: u64,
}

fn conversations(scrape: &Scrape) -> BTreeMap<Edge, Counts> {
    let mut edges = BTreeMap::new();
    for sample in &scrape.0 {
        let column: fn(&mut Counts) -> &mut u64 = match sample.name.as_str() {
            "kipfix_bytes_total" => |counts| &mut counts.bytes,
            "kipfix_packets_total" => |counts| &mut counts.packets,
            "kipfix_connections_total" => |counts| &mut counts.connections,
            _ => continue,
        };
        let edge = (
            sample.end("src"),
            sample.end("dst"),
            sample.label("class").to_owned(),
        );
        *column(edges.entry(edge).or_default()) += sample.value;
    }
    edges
}

fn write_table(edges: &BTreeMap<Edge, Counts>, out: &mut impl Write) -> Result<()> {
    let mut rows = edges.iter().collect::<Vec<_>>();
    rows.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.bytes));
    writeln!(
        out,
        "\nwho talked to whom, each direction by itself (from the collector's /metrics):\n"
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
        // Whoever only answered began no connection.
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
        "\n  the demo made {} connections (over UDP: questions), the table has {}",
        grouped(made),
        grouped(begun)
    )?;
    Ok(())
}

/// `1234567` as `1 234 567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// The body of a GET that was answered with 200.
fn fetch(address: &str, path: &str) -> Result<String> {
    let get = || -> Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        if head.split(' ').nth(1) != Some("200") {
            bail!(
                "{}: {}",
                head.lines().next().unwrap_or_default(),
                body.trim()
            );
        }
        Ok(body.to_owned())
    };
    get().with_context(|| format!("http://{address}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_becomes_a_row_a_direction() {
        let scrape = Scrape::parsed(
            "# HELP kipfix_bytes_total x\n\
             kipfix_bytes_total{src_namespace=\"shop\",src_kind=\"Deployment\",src_workload=\"web\",\
             dst_namespace=\"\",dst_kind=\"Node\",dst_workload=\"node-a\",class=\"pod_to_node\"} 1500\n\
             kipfix_connections_total{src_namespace=\"shop\",src_kind=\"Deployment\",\
             src_workload=\"web\",dst_namespace=\"\",dst_kind=\"Node\",dst_workload=\"node-a\",\
             class=\"pod_to_node\"} 3\n\
             other 7\nratio 0.5\n",
        );
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
        assert_eq!((scrape.sum("other"), scrape.sum("ratio")), (Some(7), None));
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(grouped),
            ["0", "999", "1 000", "1 234 567"]
        );
    }
}
