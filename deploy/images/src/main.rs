//! `make images`: the images of probe and collector, and their SBOMs, from static binaries.

mod archives;
mod sources;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str =
    "kipfix-images BINARIES OUT: builds images from the static binaries in BINARIES into OUT";

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
