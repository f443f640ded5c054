//! `kipfix-probe`: see `kipfix-probe --help`, and the library for the map.

use std::process::ExitCode;

use kipfix_probe::settings::{Flags, Settings, Task};
use kipfix_service::settings::CommandLine;
use kipfix_service::{exit, logs, settings};

fn main() -> ExitCode {
    exit::run(|| {
        let command_line = CommandLine::<Flags>::parse()?;
        if let Some(Task::Top(flags)) = &command_line.flags.task {
            return kipfix_probe::top(flags);
        }
        let effective = Settings::load(&command_line)?;
        if command_line.flags.check {
            return settings::print(&effective);
        }
        logs::init(effective.log_format, "info", &[]);
        kipfix_probe::run(&effective)
    })
}
