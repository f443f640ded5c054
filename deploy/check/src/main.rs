//! Asks a running kipfix, over its admin ports, whether every probe captures and exports and whether the
//! collectors receive: what `helm test` runs. It follows the path and names the first stage that fails.

mod admin;
mod path;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

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
        match path::look(collector, probe) {
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
