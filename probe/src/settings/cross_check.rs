//! The rules between settings. What a single setting allows is the matter of its flag.

use flowproto::exporter::Version;
use flowproto::exporter::netflow5::MAX_SAMPLING_INTERVAL;
use flowproto::record::Sampling;
use kipfix_export::target::Target;
use kipfix_service::settings::BadSettings;

use super::{Learning, Settings};
use crate::capture::interfaces::Pattern;

impl Settings {
    /// Checks combinations.
    ///
    /// # Errors
    /// A value contradicts another one.
    pub(super) fn cross_check(&self) -> Result<(), BadSettings> {
        let refuse = |message: String| Err(BadSettings::new(message));
        if self.metering.dns_metering && self.metering.names == Learning::Off {
            return refuse("invalid dns_metering true: needs names auto".to_owned());
        }
        let messages = [
            ("dns_metering", self.metering.dns_metering),
            ("http_metering", self.metering.http_metering),
        ];
        for (name, is_on) in messages {
            if is_on && self.metering.sampling.sampling() != Sampling::NONE {
                return refuse(format!(
                    "invalid {name} true: needs sampling 1:1 or hash:N, not {}",
                    self.metering.sampling
                ));
            }
        }
        if self.metering.conntrack
            && (self.capture.read.is_some() || self.metering.translations == Learning::Off)
        {
            return refuse("invalid conntrack true: needs translations auto, not read".to_owned());
        }
        let is_default_or_one_name = |patterns: &[Pattern]| match patterns {
            [] => true,
            [pattern] => pattern.name().is_some(),
            _ => false,
        };
        if self.metering.threads.get() > 1 && !is_default_or_one_name(&self.capture.interface) {
            // The sides of an address translation, and the packets inside and outside of a tunnel,
            // would be metered by different threads.
            return refuse(format!(
                "invalid threads {}: needs the default interfaces or one interface by name",
                self.metering.threads
            ));
        }
        if self.metering.threads.get() > 1 && self.metering.conntrack {
            // A relayed connection is recognized by both of its legs.
            return refuse("invalid conntrack true: needs threads 1".to_owned());
        }
        if self.metering.idle_timeout > self.metering.active_timeout {
            return refuse(format!(
                "invalid idle_timeout {}: must be at most active_timeout {}",
                self.metering.idle_timeout, self.metering.active_timeout
            ));
        }
        if self.capture.read.is_some() && !self.capture.interface.is_empty() {
            return refuse(
                "read and interface exclude each other: capture a file or interfaces".to_owned(),
            );
        }
        let v5 = |target: &&Target| target.version() == Version::Netflow5;
        if self.metering.sampling.population() > MAX_SAMPLING_INTERVAL
            && let Some(target) = self.exporting.export.iter().find(v5)
        {
            return refuse(format!(
                "invalid sampling {}: export {target} in NetFlow v5 must be at most \
                 1:{MAX_SAMPLING_INTERVAL}",
                self.metering.sampling
            ));
        }
        for (index, target) in self.exporting.export.iter().enumerate() {
            if self
                .exporting
                .export
                .iter()
                .take(index)
                .any(|other| other == target)
            {
                return refuse(format!("export {target} is given twice"));
            }
        }
        self.admin.tls.files()?;
        self.decoder().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;
    use kipfix_service::settings::Daemon;

    use super::super::Flags;
    use super::*;

    /// Checks the settings of a command line.
    fn check(flags: &[&str]) -> Result<(), String> {
        let command = Flags::whole_command().no_binary_name(true);
        let matches = command.try_get_matches_from(flags);
        let settings = matches.and_then(|matches| Settings::from_arg_matches(&matches));
        let settings = settings.map_err(|error| error.to_string())?;
        settings.cross_check().map_err(|bad| bad.to_string())
    }

    #[test]
    fn the_defaults_are_allowed() {
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(Settings::default().cross_check(), Ok(()));
    }

    #[test]
    fn contradicting_settings_are_refused_by_name() {
        let cases: [(&[&str], &str); 9] = [
            (&["--idle-timeout=61s"], "idle_timeout 1m1s"),
            (&["--snaplen=10"], "must be 64–65535"),
            (&["--buffer=1"], "must be 1MiB–1GiB"),
            (
                &["--export=stdout:", "--export=stdout:"],
                "export stdout: is given twice",
            ),
            (&["--threads=2", "--interface=eth*"], "threads 2"),
            (&["--threads=2", "-ieth0", "-ieth1"], "threads 2"),
            (&["--threads=2", "--conntrack"], "needs threads 1"),
            (
                &["--sampling=1:10", "--http-metering"],
                "http_metering true: needs sampling 1:1 or hash:N, not 1:10",
            ),
            (
                &["--sampling=1:16384", "--export=udp://c:1?version=5"],
                "sampling 1:16384: export udp://c:1?version=5",
            ),
        ];
        for (flags, named) in cases {
            let message = check(flags).unwrap_err();
            assert!(message.contains(named), "{message}");
        }
    }
}
