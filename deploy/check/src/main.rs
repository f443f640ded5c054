//! Checks a running kipfix through its admin ports: every probe captures and exports, and the
//! collectors receive. `helm test` runs it. The error names the first stage that fails.

mod path;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

const USAGE: &str = "kipfix-check [--collector HOST:PORT] [--probe HOST:PORT] [--wait SECONDS]\n\
     A host name stands for all of its addresses. --wait is the maximum time until records have \
     reached a collector [default: 60].";
/// Pause between two attempts.
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
    let (mut collector, mut probe, mut wait) = (None, None, 60);
    for pair in arguments.chunks(2) {
        match pair {
            [flag, value] if flag == "--collector" => collector = Some(value.as_str()),
            [flag, value] if flag == "--probe" => probe = Some(value.as_str()),
            [flag, value] if flag == "--wait" => {
                wait = value
                    .parse()
                    .with_context(|| format!("invalid --wait {value:?}: must be seconds"))?;
            }
            _ => bail!("usage: {USAGE}"),
        }
    }
    ensure!(collector.is_some() || probe.is_some(), "usage: {USAGE}");
    let mut attempts = 0;
    loop {
        match path::check(collector, probe) {
            Ok(lines) => {
                let mut out = std::io::stdout().lock();
                for line in lines {
                    writeln!(out, "ok: {line}")?;
                }
                return Ok(());
            }
            Err(error) if attempts >= wait => return Err(error),
            Err(_) => std::thread::sleep(PAUSE),
        }
        attempts += 1;
    }
}
