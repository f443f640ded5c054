//! Asks a running kipfix, over its admin ports, whether every probe captures and exports and whether the
//! collectors receive: what `helm test` runs. It follows the path and names the first stage that fails.

mod admin;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use admin::{Metrics, Party};
use anyhow::{Context as _, Result, bail, ensure};

const USAGE: &str = "kipfix-check [--collector HOST:PORT] [--probe HOST:PORT] [--wait SECONDS]\n\
    A host name stands for all of its addresses. Waits [default: 60 s] until records have gone the whole way.";
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(std::io::stderr(), "kipfix-check: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let (mut collector, mut probe, mut wait) = (None, None, Duration::from_secs(60));
    for pair in arguments.chunks(2) {
        match pair {
            [flag, value] if flag == "--collector" => collector = Some(value.as_str()),
            [flag, value] if flag == "--probe" => probe = Some(value.as_str()),
            [flag, value] if flag == "--wait" => {
                wait = Duration::from_secs(value.parse().context("--wait: seconds")?);
            }
            _ => bail!("usage: {USAGE}"),
        }
    }
    ensure!(collector.is_some() || probe.is_some(), "usage: {USAGE}");
    let mut looks = 0;
    loop {
        match look(collector, probe) {
            Ok(lines) => {
                let mut out = std::io::stdout().lock();
                for line in lines {
                    writeln!(out, "ok: {line}")?;
                }
                return Ok(());
            }
            Err(error) if looks >= wait.as_secs() => return Err(error),
            Err(_) => std::thread::sleep(PAUSE),
        }
        looks += 1;
    }
}

/// One look along the path: what is well, or the first thing that is not.
fn look(collector: Option<&str>, probe: Option<&str>) -> Result<Vec<String>> {
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
