//! The program `kipfix-collector`. The library has the map of its modules.

use std::process::ExitCode;

use kipfix_collector::settings::Flags;
use kipfix_service::exit;

fn main() -> ExitCode {
    exit::run(|| kipfix_collector::run(&exit::parse::<Flags>()?))
}
