//! Checks the loss accounting of every stage from the self-metrics: in = out + losses.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, Result};

use kipfix_scrape::Scrape;

/// One stage: the sum of `inputs` equals the sum of all `outputs`.
struct Stage {
    /// Description of the input.
    description: &'static str,
    inputs: &'static [&'static str],
    outputs: &'static [Output],
}

/// A part of the output or of the losses.
enum Output {
    /// The value of one metric.
    Metric(&'static str, &'static str),
    /// A metric with a label `reason`.
    Reasons(&'static str, &'static str),
    /// The rest, which is in as many entries as a gauge shows: at least one in each.
    Held(&'static str, &'static str),
}

use Output::{Held, Metric, Reasons};

const STAGES: &[Stage] = &[
    Stage {
        description: "packets passed the nodes' eth0",
        inputs: &[
            "kipfix_probe_packets_captured_total",
            "kipfix_probe_packets_dropped_total",
        ],
        outputs: &[
            Metric(
                "metered by the probes",
                "kipfix_probe_packets_metered_total",
            ),
            Metric(
                "excluded: export of the probes",
                "kipfix_probe_packets_own_export_total",
            ),
            Metric(
                "excluded: observed on another interface",
                "kipfix_probe_packets_duplicate_total",
            ),
            Reasons("not decodable", "kipfix_probe_packets_undecodable_total"),
            Metric(
                "dropped by the kernel",
                "kipfix_probe_packets_dropped_total",
            ),
        ],
    },
    Stage {
        description: "packets metered, offloaded super-packets as segments",
        inputs: &[
            "kipfix_probe_packets_metered_total",
            "kipfix_probe_packets_corrected_total",
        ],
        outputs: &[
            Metric("in flow records", "kipfix_probe_record_packets_total"),
            Held(
                "in active conversations",
                "kipfix_probe_cache_conversations",
            ),
        ],
    },
    Stage {
        description: "flow records of the probes",
        inputs: &["kipfix_probe_records_total"],
        outputs: &[
            Metric("decoded by the collector", "kipfix_collector_records_total"),
            Metric(
                "lost: queue of the probe full",
                "kipfix_probe_queue_records_lost_total",
            ),
            Metric(
                "lost: gaps in sequence numbers",
                "kipfix_collector_sequence_lost_total",
            ),
        ],
    },
    Stage {
        description: "flow records decoded",
        inputs: &[
            "kipfix_collector_records_total",
            "kipfix_collector_biflow_reverse_total",
        ],
        outputs: &[
            Metric(
                "counted in the table above",
                "kipfix_collector_records_counted_total",
            ),
            Reasons("not counted", "kipfix_collector_records_not_counted_total"),
            Metric(
                "left out for an observer that may be lost",
                "kipfix_collector_records_unconfirmed",
            ),
            Metric("pending", "kipfix_collector_records_pending"),
        ],
    },
];

/// Writes the stages, summed over all daemons. Returns whether every stage adds up.
///
/// # Errors
/// If a metric is missing or stdout cannot be written.
pub(crate) fn write(scrape: &Scrape, out: &mut impl Write) -> Result<bool> {
    writeln!(
        out,
        "\nloss accounting: in = out + losses (from the self-metrics)\n"
    )?;
    let mut adds_up = true;
    for stage in STAGES {
        adds_up &= stage.write(scrape, out)?;
    }
    Ok(adds_up)
}

impl Stage {
    /// Outputs of 0 are not written, except for the first.
    fn write(&self, scrape: &Scrape, out: &mut impl Write) -> Result<bool> {
        let input = sum(self.inputs, scrape)?;
        writeln!(out, "  {:>9}  {}", grouped(input), self.description)?;
        let (mut all, mut sign) = (0, '=');
        for output in self.outputs {
            let (words, count) = output.count(scrape, input.saturating_sub(all))?;
            if count > 0 || sign == '=' {
                writeln!(out, "{sign:>5} {:>9}  {words}", grouped(count))?;
            }
            (all, sign) = (all + count, '+');
        }
        if all != input {
            writeln!(out, "      {:>9}  in total: does NOT add up", grouped(all))?;
        }
        Ok(all == input)
    }
}

impl Output {
    /// Description and value. `rest` is the part of the input without an output so far.
    fn count(&self, scrape: &Scrape, rest: u64) -> Result<(String, u64)> {
        match self {
            Metric(words, metric) => Ok(((*words).to_owned(), sum(&[metric], scrape)?)),
            Reasons(words, metric) => {
                let reasons = list(&scrape.by_label(metric, "reason"));
                Ok((format!("{words}: {reasons}"), sum(&[metric], scrape)?))
            }
            Held(words, gauge) => {
                let entries = sum(&[gauge], scrape)?;
                let held = if entries > 0 { rest.max(entries) } else { 0 };
                Ok((format!("{words} ({})", grouped(entries)), held))
            }
        }
    }
}

/// `arp 2, other 1`, without zeros.
fn list(reasons: &BTreeMap<&str, u64>) -> String {
    let reasons = reasons.iter().filter(|(_, count)| **count > 0);
    let reasons = reasons.map(|(reason, count)| format!("{reason} {}", grouped(*count)));
    reasons.collect::<Vec<_>>().join(", ")
}

fn sum(metrics: &[&str], scrape: &Scrape) -> Result<u64> {
    let sums = metrics.iter().map(|name| {
        scrape
            .sum(name)
            .with_context(|| format!("{name} is not in /metrics"))
    });
    sums.sum()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(grouped),
            ["0", "999", "1 000", "1 234 567"]
        );
    }
}
