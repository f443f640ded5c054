//! The program `kipfix-collector`. The library has the map of its modules.

use std::process::ExitCode;

use kipfix_service::exit;
use kipfix_service::settings::CommandLine;

fn main() -> ExitCode {
    exit::run(|| kipfix_collector::run(&CommandLine::parse()?))
}
