//! `kipfix-probe`: see `kipfix-probe --help`, and the library for the map.

use std::process::ExitCode;

use kipfix_probe::settings::{Flags, Settings};
use kipfix_service::{exit, logs, settings};

fn main() -> ExitCode {
    exit::run(|| {
        let flags: Flags = exit::parse()?;
        let effective = Settings::load(&flags)?;
        if flags.check {
            return settings::print(&effective);
        }
        logs::init(effective.log_format, "info");
        kipfix_probe::run(&effective)
    })
}
