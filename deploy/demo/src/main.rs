//! What `make demo` needs beside the two daemons, so that it needs no more than a Rust toolchain:
//! traffic, a capture of it, a door into network namespaces, and a reader of the metrics.
//! `demo.sh` puts the parts together.

mod capture;
mod ledger;
mod relay;
mod report;
mod scenario;
mod traffic;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use relay::Door;

const USAGE: &str = "kipfix-demo serve HOST | call HOST | capture NODE | \
                     relay NETNS=ADDRESS:PORT=HOST_PORT... | \
                     port tcp|udp PREFERRED | ready ADDRESS:PORT | \
                     report COLLECTOR PROBE_OR_ITS_LOG...";

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
        ["relay", doors @ ..] => relay::run(
            doors
                .iter()
                .map(|door| parsed_door(door))
                .collect::<Result<_>>()?,
        ),
        ["port", transport, preferred] => {
            let port = relay::free_port(transport, preferred.parse()?)?;
            Ok(writeln!(std::io::stdout(), "{port}")?)
        }
        ["ready", address] => report::wait_until_ready(address),
        ["report", collector, probes @ ..] => report::run(collector, probes),
        _ => bail!("usage: {USAGE}"),
    }
}

fn parsed_door(text: &str) -> Result<Door> {
    let mut parts = text.split('=');
    let mut part = || {
        parts
            .next()
            .with_context(|| format!("{text:?}: usage: {USAGE}"))
    };
    Ok(Door {
        namespace: part()?.to_owned(),
        to: part()?.parse()?,
        port: part()?.parse()?,
    })
}
