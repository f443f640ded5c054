//! What came in is what went out and what was lost, stage by stage: read from self-metrics, checked.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, Result};

use crate::report::{Scrape, grouped};

/// One stage: the sum of `comes_in` equals the sum of all `goes`.
struct Stage {
    /// Up to the number.
    says: &'static str,
    /// What is counted.
    unit: &'static str,
    comes_in: &'static [&'static str],
    goes: &'static [Way],
}

/// Where a part of it went.
enum Way {
    /// Counted or measured by one metric.
    To(&'static str, &'static str),
    /// Left out or lost, with a metric that says so by the value of its label `reason`.
    Reasons(&'static str, &'static str),
}

use Way::{Reasons, To};

const PROBES: &[Stage] = &[
    Stage {
        says: "the probes captured",
        unit: "packets",
        comes_in: &["kipfix_probe_packets_captured_total"],
        goes: &[
            To("metered", "kipfix_probe_packets_metered_total"),
            To(
                "of the probes' own export",
                "kipfix_probe_packets_own_export_total",
            ),
            To(
                "seen before on another interface",
                "kipfix_probe_packets_second_sighting_total",
            ),
            Reasons(
                "no packet to meter",
                "kipfix_probe_packets_undecodable_total",
            ),
        ],
    },
    Stage {
        says: "the probes made",
        unit: "records",
        comes_in: &["kipfix_probe_records_total"],
        goes: &[
            To(
                "sent to the collector",
                "kipfix_probe_target_records_sent_total",
            ),
            To(
                "lost before the exporter",
                "kipfix_probe_queue_records_lost_total",
            ),
            Reasons("lost on export", "kipfix_probe_target_records_lost_total"),
        ],
    },
];

const COLLECTOR: &[Stage] = &[];

/// Writes the stages of the probes, taken together, and of the collector; gives whether all of them
/// add up.
///
/// # Errors
/// A metric that is not there, or stdout cannot be written.
pub(crate) fn write(collector: &Scrape, probes: &Scrape, out: &mut impl Write) -> Result<bool> {
    writeln!(out, "\nin = out + losses, for every stage:\n")?;
    let mut adds_up = true;
    for (stage, scrape) in PROBES
        .iter()
        .map(|stage| (stage, probes))
        .chain(COLLECTOR.iter().map(|stage| (stage, collector)))
    {
        adds_up &= stage.write(scrape, out)?;
    }
    Ok(adds_up)
}

impl Stage {
    fn write(&self, scrape: &Scrape, out: &mut impl Write) -> Result<bool> {
        let comes_in = sum(self.comes_in, scrape)?;
        writeln!(out, "  {} {} {}", self.says, grouped(comes_in), self.unit)?;
        let (mut all, mut sign) = (0, '=');
        for way in self.goes {
            let (words, count, reasons) = way.counted(scrape)?;
            writeln!(out, "    {sign} {} {words}{reasons}", grouped(count))?;
            (all, sign) = (all + count, '+');
        }
        if all != comes_in {
            writeln!(out, "    which is {} and does NOT add up", grouped(all))?;
        }
        Ok(all == comes_in)
    }
}

impl Way {
    /// In words, how many, and which reasons.
    fn counted(&self, scrape: &Scrape) -> Result<(&'static str, u64, String)> {
        match self {
            To(words, metric) => Ok((words, sum(&[metric], scrape)?, String::new())),
            Reasons(words, metric) => {
                let count = sum(&[metric], scrape)?;
                let reasons = scrape.by_label(metric, "reason");
                Ok((words, count, named(&reasons)))
            }
        }
    }
}

/// `: arp 2, other 1`, without what did not happen.
fn named(reasons: &BTreeMap<&str, u64>) -> String {
    let named = reasons
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(reason, count)| format!("{reason} {}", grouped(*count)))
        .collect::<Vec<_>>();
    if named.is_empty() {
        String::new()
    } else {
        format!(": {}", named.join(", "))
    }
}

fn sum(metrics: &[&str], scrape: &Scrape) -> Result<u64> {
    let sums = metrics.iter().map(|name| {
        scrape
            .sum(name)
            .with_context(|| format!("{name} is not in /metrics"))
    });
    sums.sum()
}
