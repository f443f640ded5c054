//! Checks a running kipfix through its admin ports: every probe captures and exports, and the
//! collectors receive. `helm test` runs it. The error names the first stage that fails.

mod arguments;
mod client;
mod path;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

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
    let (targets, wait) = arguments::parse(arguments)?;
    let mut attempts = 0;
    loop {
        match path::check(&targets) {
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
