//! The path that records go, stage by stage.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use crate::admin::{self, Metrics, Party};

/// One look along the path: what is well, or the first thing that is not.
pub(crate) fn look(collector: Option<&str>, probe: Option<&str>) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for party in probe.map(admin::parties).transpose()?.into_iter().flatten() {
        lines.push(exporting(&party)?);
    }
    let collectors = collector
        .map(admin::parties)
        .transpose()?
        .unwrap_or_default();
    let mut records = BTreeMap::new();
    for party in &collectors {
        party.ready()?;
        let metrics = party.metrics()?;
        records.insert(
            party.to_string(),
            metrics.sum("kipfix_collector_records_total"),
        );
    }
    // A probe's records go to one of several collectors.
    ensure!(
        collectors.is_empty() || records.values().any(|&records| records > 0.0),
        "the collector is ready and has received no record yet: does UDP reach it?"
    );
    lines.extend(
        records.iter().map(|(collector, records)| {
            format!("collector {collector}: {records} records received")
        }),
    );
    Ok(lines)
}

fn exporting(probe: &Party) -> Result<String> {
    probe.ready()?;
    let metrics: Metrics = probe.metrics()?;
    let metered = metrics.sum("kipfix_probe_packets_metered_total");
    let sent = metrics.sum("kipfix_probe_target_records_sent_total");
    let lost = metrics.sum("kipfix_probe_target_records_lost_total");
    ensure!(metered > 0.0, "probe {probe} has metered no packet yet");
    ensure!(
        sent > 0.0,
        "probe {probe} has metered {metered} packets and sent no record yet ({lost} lost)"
    );
    Ok(format!(
        "probe {probe}: {metered} packets metered, {sent} records sent, {lost} lost"
    ))
}
