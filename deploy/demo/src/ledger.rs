//! What came in is what went out and what was lost, stage by stage: read from self-metrics, checked.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, Result};

use crate::report::{Scrape, grouped};

/// One stage: the sum of `comes_in` equals the sum of all `goes`.
struct Stage {
    /// What it is that comes in.
    says: &'static str,
    comes_in: &'static [&'static str],
    goes: &'static [Way],
}

/// Where a part of it went.
enum Way {
    /// What one metric counts.
    To(&'static str, &'static str),
    /// Left out or lost: a metric that says why by its label `reason`.
    Reasons(&'static str, &'static str),
    /// The rest, which is in so many places as a gauge says, at least one in each.
    Held(&'static str, &'static str),
}

use Way::{Held, Reasons, To};

const STAGES: &[Stage] = &[
    Stage {
        says: "packets passed the nodes' eth0",
        comes_in: &[
            "kipfix_probe_packets_captured_total",
            "kipfix_probe_packets_dropped_total",
        ],
        goes: &[
            To(
                "metered by the probes",
                "kipfix_probe_packets_metered_total",
            ),
            To(
                "the probes' own export, left out",
                "kipfix_probe_packets_own_export_total",
            ),
            To(
                "seen on another interface already",
                "kipfix_probe_packets_second_sighting_total",
            ),
            Reasons("nothing to meter", "kipfix_probe_packets_undecodable_total"),
            To(
                "dropped by the kernel",
                "kipfix_probe_packets_dropped_total",
            ),
        ],
    },
    Stage {
        says: "packets metered, those that offloads had merged taken apart",
        comes_in: &[
            "kipfix_probe_packets_metered_total",
            "kipfix_probe_packets_corrected_total",
        ],
        goes: &[
            To("in flow records", "kipfix_probe_record_packets_total"),
            Held(
                "in conversations that go on",
                "kipfix_probe_cache_conversations",
            ),
        ],
    },
    Stage {
        says: "flow records made by the probes",
        comes_in: &["kipfix_probe_records_total"],
        goes: &[
            To("decoded by the collector", "kipfix_collector_records_total"),
            To(
                "lost, the probe's queue was full",
                "kipfix_probe_queue_records_lost_total",
            ),
            To(
                "missing by the sequence numbers",
                "kipfix_collector_sequence_lost_total",
            ),
        ],
    },
    Stage {
        says: "flow records decoded",
        comes_in: &[
            "kipfix_collector_records_total",
            "kipfix_collector_biflow_reverse_total",
        ],
        goes: &[
            To(
                "counted in the table above",
                "kipfix_collector_records_counted_total",
            ),
            Reasons("not counted", "kipfix_collector_records_not_counted_total"),
            To("waiting for a verdict", "kipfix_collector_records_pending"),
        ],
    },
];

/// Writes the stages, of all daemons taken together; gives whether all of them add up.
///
/// # Errors
/// A metric that is not there, or stdout cannot be written.
pub(crate) fn write(scrape: &Scrape, out: &mut impl Write) -> Result<bool> {
    writeln!(
        out,
        "\nnothing is lost in silence: in = out + losses, from the self-metrics\n"
    )?;
    let mut adds_up = true;
    for stage in STAGES {
        adds_up &= stage.write(scrape, out)?;
    }
    Ok(adds_up)
}

impl Stage {
    /// Ways that nothing went are left out, but for the first.
    fn write(&self, scrape: &Scrape, out: &mut impl Write) -> Result<bool> {
        let comes_in = sum(self.comes_in, scrape)?;
        writeln!(out, "  {:>9}  {}", grouped(comes_in), self.says)?;
        let (mut all, mut sign) = (0, '=');
        for way in self.goes {
            let (words, count) = way.counted(scrape, comes_in.saturating_sub(all))?;
            if count > 0 || sign == '=' {
                writeln!(out, "{sign:>5} {:>9}  {words}", grouped(count))?;
            }
            (all, sign) = (all + count, '+');
        }
        if all != comes_in {
            writeln!(
                out,
                "      {:>9}  in all: this does NOT add up",
                grouped(all)
            )?;
        }
        Ok(all == comes_in)
    }
}

impl Way {
    /// What happened, and to how many; `rest` is what no other way accounts for.
    fn counted(&self, scrape: &Scrape, rest: u64) -> Result<(String, u64)> {
        match self {
            To(words, metric) => Ok(((*words).to_owned(), sum(&[metric], scrape)?)),
            Reasons(words, metric) => {
                let reasons = named(&scrape.by_label(metric, "reason"));
                Ok((format!("{words}: {reasons}"), sum(&[metric], scrape)?))
            }
            Held(words, gauge) => {
                let places = sum(&[gauge], scrape)?;
                let held = if places > 0 { rest.max(places) } else { 0 };
                Ok((format!("{words} ({})", grouped(places)), held))
            }
        }
    }
}

/// `arp 2, other 1`, without what did not happen.
fn named(reasons: &BTreeMap<&str, u64>) -> String {
    let happened = reasons.iter().filter(|(_, count)| **count > 0);
    let named = happened.map(|(reason, count)| format!("{reason} {}", grouped(*count)));
    named.collect::<Vec<_>>().join(", ")
}

fn sum(metrics: &[&str], scrape: &Scrape) -> Result<u64> {
    let sums = metrics.iter().map(|name| {
        scrape
            .sum(name)
            .with_context(|| format!("{name} is not in /metrics"))
    });
    sums.sum()
}
