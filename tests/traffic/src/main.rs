//! Real traffic of known size between the pods of the cluster tests: `serve` answers on a port, by TCP and UDP,
//! `call` asks.

mod answers;
mod protocol;
mod questions;

use std::io::Write as _;
use std::net::ToSocketAddrs as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

const USAGE: &str = "kipfix-traffic serve PORT | \
                     call tcp|udp HOST:PORT COUNT QUESTION_OCTETS ANSWER_OCTETS [PAUSE_MILLISECONDS] | \
                     resolve NAME";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(std::io::stderr(), "kipfix-traffic: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["serve", port] => answers::serve(port.parse().context("a port")?),
        ["call", transport, to, count, question, answer] => {
            questions::call(transport, to, &[count, question, answer, "0"])
        }
        ["call", transport, to, count, question, answer, pause] => {
            questions::call(transport, to, &[count, question, answer, pause])
        }
        ["resolve", name] => {
            for address in (*name, 0).to_socket_addrs()? {
                writeln!(std::io::stdout(), "{}", address.ip())?;
            }
            Ok(())
        }
        _ => bail!("usage: {USAGE}"),
    }
}
