//! The parts of `make demo` in addition to the two daemons: traffic, a capture of it, port
//! forwarding into network namespaces, and the report. `demo.sh` runs them.

mod accounting;
mod capture;
mod forward;
mod report;
mod scenario;
mod traffic;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use forward::Forwarding;

const USAGE: &str = "kipfix-demo serve HOST | call HOST | capture NODE | \
                     forward NETNS=ADDRESS:PORT=HOST_PORT... | \
                     port tcp|udp PREFERRED | ready ADDRESS:PORT | \
                     report COLLECTOR PROBE_OR_LOG_FILE...";

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let arguments = arguments.iter().map(String::as_str).collect::<Vec<_>>();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(std::io::stderr(), "kipfix-demo: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["serve", host] => traffic::serve(host),
        ["call", host] => traffic::call(host),
        ["capture", node] => capture::write(node, &mut std::io::stdout().lock()),
        ["forward", ports @ ..] => {
            let ports = ports.iter().map(|text| forwarding(text));
            forward::run(ports.collect::<Result<_>>()?)
        }
        ["port", transport, preferred] => {
            let port = forward::free_port(transport, preferred.parse()?)?;
            Ok(writeln!(std::io::stdout(), "{port}")?)
        }
        ["ready", address] => report::wait_until_ready(address),
        ["report", collector, probes @ ..] => report::run(collector, probes),
        _ => bail!("usage: {USAGE}"),
    }
}

fn forwarding(text: &str) -> Result<Forwarding> {
    let mut parts = text.split('=');
    let mut part = || {
        parts
            .next()
            .with_context(|| format!("{text:?}: usage: {USAGE}"))
    };
    Ok(Forwarding {
        namespace: part()?.to_owned(),
        to: part()?.parse()?,
        port: part()?.parse()?,
    })
}
