//! The path of the records, stage by stage.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Result, ensure};
use kipfix_scrape::Scrape;

use crate::client::{ClientFiles, Daemons};

/// The daemons that are checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Targets {
    /// `HOST:PORT` of the collectors.
    pub(crate) collector: Option<String>,
    pub(crate) collector_files: ClientFiles,
    /// `HOST:PORT` of the probes.
    pub(crate) probe: Option<String>,
    pub(crate) probe_files: ClientFiles,
}

/// Checks the path once: one line for each daemon, or the first stage that fails.
pub(crate) fn check(targets: &Targets) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    if let Some(probe) = &targets.probe {
        let probes = Daemons::resolve(probe, &targets.probe_files)?;
        for address in probes.addresses() {
            lines.push(check_probe(&probes, address)?);
        }
    }
    let mut records = BTreeMap::new();
    if let Some(collector) = &targets.collector {
        let collectors = Daemons::resolve(collector, &targets.collector_files)?;
        for address in collectors.addresses() {
            collectors.get(address, "/readyz")?;
            let metrics = collectors.scrape(address)?;
            records.insert(address, sum(&metrics, "kipfix_collector_records_total"));
        }
    }
    // The records of a probe go to one of several collectors.
    ensure!(
        records.is_empty() || records.values().any(|&records| records > 0),
        "the collector is ready but has not received a record: check that UDP reaches it"
    );
    lines.extend(
        records.iter().map(|(collector, records)| {
            format!("collector {collector}: {records} records received")
        }),
    );
    Ok(lines)
}

fn check_probe(probes: &Daemons, probe: SocketAddr) -> Result<String> {
    probes.get(probe, "/readyz")?;
    let metrics = probes.scrape(probe)?;
    let metered = sum(&metrics, "kipfix_probe_packets_metered_total");
    let sent = sum(&metrics, "kipfix_probe_target_records_sent_total");
    let lost = sum(&metrics, "kipfix_probe_target_records_lost_total");
    ensure!(metered > 0, "probe {probe} has not metered a packet");
    ensure!(
        sent > 0,
        "probe {probe} has metered {metered} packets but not sent a record ({lost} lost)"
    );
    Ok(format!(
        "probe {probe}: {metered} packets metered, {sent} records sent, {lost} lost"
    ))
}

fn sum(metrics: &Scrape, name: &str) -> u64 {
    metrics.sum(name).unwrap_or_default()
}
