//! The path of the records, stage by stage.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs as _};

use anyhow::{Context as _, Result, ensure};
use kipfix_scrape::{Scrape, get};

/// Checks the path once: one line for each daemon, or the first stage that fails.
pub(crate) fn check(collector: Option<&str>, probe: Option<&str>) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for address in resolve(probe)? {
        lines.push(check_probe(address)?);
    }
    let collectors = resolve(collector)?;
    let mut records = BTreeMap::new();
    for &address in &collectors {
        get(address, "/readyz")?;
        records.insert(
            address,
            sum(&Scrape::of(address)?, "kipfix_collector_records_total"),
        );
    }
    // The records of a probe go to one of several collectors.
    ensure!(
        collectors.is_empty() || records.values().any(|&records| records > 0),
        "the collector is ready but has not received a record: check that UDP reaches it"
    );
    lines.extend(
        records.iter().map(|(collector, records)| {
            format!("collector {collector}: {records} records received")
        }),
    );
    Ok(lines)
}

/// Resolves a host name to the addresses of all daemons behind it.
fn resolve(name: Option<&str>) -> Result<Vec<SocketAddr>> {
    let Some(name) = name else {
        return Ok(Vec::new());
    };
    let mut addresses: Vec<SocketAddr> = name
        .to_socket_addrs()
        .with_context(|| format!("cannot resolve {name}"))?
        .collect();
    addresses.sort();
    addresses.dedup();
    ensure!(!addresses.is_empty(), "{name} has no address");
    Ok(addresses)
}

fn check_probe(probe: SocketAddr) -> Result<String> {
    get(probe, "/readyz")?;
    let metrics = Scrape::of(probe)?;
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
