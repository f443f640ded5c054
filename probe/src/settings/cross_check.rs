//! The rules between settings. What a single setting allows is the matter of its flag.

use flowproto::exporter::Version;
use flowproto::exporter::netflow5::MAX_SAMPLING_INTERVAL;
use kipfix_service::settings::BadSettings;

use super::{Learning, Settings};

impl Settings {
    /// Checks combinations. The error names the first value that contradicts another one.
    pub(super) fn cross_check(&self) -> Result<(), BadSettings> {
        let (capture, metering) = (&self.capture, &self.metering);
        let sampling = metering.sampling;
        BadSettings::when(
            metering.dns_metering && metering.names == Learning::Off,
            "invalid dns_metering true: needs names auto",
        )?;
        for (name, is_on) in [
            ("dns_metering", metering.dns_metering),
            ("http_metering", metering.http_metering),
        ] {
            BadSettings::when(
                is_on && sampling.selects_packets(),
                format!("invalid {name} true: needs sampling 1:1 or hash:N, not {sampling}"),
            )?;
        }
        BadSettings::when(
            metering.conntrack
                && (capture.read.is_some() || metering.translations == Learning::Off),
            "invalid conntrack true: needs translations auto, not read",
        )?;
        self.check_threads()?;
        let (idle, active) = (metering.idle_timeout, metering.active_timeout);
        BadSettings::when(
            idle > active,
            format!("invalid idle_timeout {idle}: must be at most active_timeout {active}"),
        )?;
        if let (Some(_), [pattern, ..]) = (&capture.read, &*capture.interface) {
            let sentence = format!("invalid interface \"{pattern}\": not allowed with read");
            return Err(BadSettings::new(sentence));
        }
        self.check_targets()?;
        self.admin.tls.files()?;
        self.decoder().map(drop)
    }

    fn check_threads(&self) -> Result<(), BadSettings> {
        let threads = self.metering.threads.get();
        let has_one_source = match &*self.capture.interface {
            [] => true,
            [pattern] => pattern.name().is_some(),
            _ => false,
        };
        // The sides of an address translation, and the packets inside and outside of a tunnel,
        // would be metered by different threads.
        BadSettings::when(
            threads > 1 && !has_one_source,
            format!(
                "invalid threads {threads}: needs the default interfaces or one interface by name"
            ),
        )?;
        // A relayed connection is recognized by both of its legs.
        BadSettings::when(
            threads > 1 && self.metering.conntrack,
            "invalid conntrack true: needs threads 1",
        )
    }

    fn check_targets(&self) -> Result<(), BadSettings> {
        let sampling = self.metering.sampling;
        let targets = &self.exporting.export;
        for (index, target) in targets.iter().enumerate() {
            BadSettings::when(
                target.version() == Version::Netflow5
                    && sampling.population() > MAX_SAMPLING_INTERVAL,
                format!(
                    "invalid sampling {sampling}: export {target} in NetFlow v5 must be at most \
                     1:{MAX_SAMPLING_INTERVAL}"
                ),
            )?;
            BadSettings::when(
                targets.iter().take(index).any(|other| other == target),
                format!("export {target} is given twice"),
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;
    use kipfix_service::settings::Daemon;

    use super::*;
    use crate::settings::Flags;

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
