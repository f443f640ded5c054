//! `make images`: the probe's and the collector's image, and an SBOM of each, from static binaries.

mod archives;
mod sources;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "kipfix-images BINARIES OUT: makes images of the static binaries in one folder, \
                     in the other";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let made = match arguments.as_slice() {
        [binaries, out] => archives::make(Path::new(binaries), Path::new(out)),
        _ => Err(anyhow::anyhow!("usage: {USAGE}")),
    };
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(std::io::stderr(), "kipfix-images: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}
