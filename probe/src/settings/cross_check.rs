//! Checks of the effective settings.

use flowproto::exporter::Version;
use flowproto::exporter::netflow5::MAX_SAMPLING_INTERVAL;
use flowproto::record::Sampling;
use kipfix_export::target::Target;
use kipfix_service::settings::{BadSettings, Span};

use super::{Learning, Settings};
use crate::capture::filter;

impl Settings {
    /// Checks ranges and combinations.
    ///
    /// # Errors
    /// A value is invalid, or contradicts another one.
    pub(super) fn cross_check(&self) -> Result<(), BadSettings> {
        let refuse = |message: String| Err(BadSettings::new(message));
        if self.dns_metering && self.names == Learning::Off {
            return refuse("invalid dns_metering true: needs names auto".to_owned());
        }
        let messages = [
            ("dns_metering", self.dns_metering),
            ("http_metering", self.http_metering),
        ];
        for (name, is_on) in messages {
            if is_on && self.sampling.sampling() != Sampling::NONE {
                return refuse(format!(
                    "invalid {name} true: needs sampling 1:1 or hash:N, not {}",
                    self.sampling
                ));
            }
        }
        if self.conntrack && (self.read.is_some() || self.translations == Learning::Off) {
            return refuse("invalid conntrack true: needs translations auto, not read".to_owned());
        }
        if self.idle_timeout > self.active_timeout {
            return refuse(format!(
                "invalid idle_timeout {}: must be at most active_timeout {}",
                self.idle_timeout, self.active_timeout
            ));
        }
        for (name, span) in [
            ("idle_timeout", self.idle_timeout),
            ("connection_timeout", self.connection_timeout),
        ] {
            if span < Span::from_millis(100) {
                return refuse(format!("invalid {name} {span}: must be at least 100ms"));
            }
        }
        if !(64..=65_535).contains(&self.snaplen) {
            return refuse(format!(
                "invalid snaplen {}: must be 64–65535 octets",
                self.snaplen
            ));
        }
        if !(1 << 20..=1 << 30).contains(&self.buffer.bytes()) {
            return refuse(format!("invalid buffer {}: must be 1MiB–1GiB", self.buffer));
        }
        if self.read.is_some() && !self.interface.is_empty() {
            return refuse(
                "read and interface exclude each other: capture a file or interfaces".to_owned(),
            );
        }
        if let Some(name) = &self.node_name
            && (name.is_empty() || name.len() > 253)
        {
            return refuse(format!("invalid node_name {name:?}: must be 1–253 octets"));
        }
        let v5 = |target: &&Target| target.version() == Version::Netflow5;
        if self.sampling.population() > MAX_SAMPLING_INTERVAL
            && let Some(target) = self.export.iter().find(v5)
        {
            return refuse(format!(
                "invalid sampling {}: export {target} in NetFlow v5 must be at most \
                 1:{MAX_SAMPLING_INTERVAL}",
                self.sampling
            ));
        }
        for (index, target) in self.export.iter().enumerate() {
            if self.export.iter().take(index).any(|other| other == target) {
                return refuse(format!("export {target} is given twice"));
            }
        }
        if let Some(expression) = &self.filter {
            filter::check(expression)?;
        }
        self.admin_tls()?;
        self.decoder().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use kipfix_service::settings::Size;

    use super::*;

    #[test]
    fn the_defaults_are_allowed() {
        assert_eq!(Settings::default().cross_check(), Ok(()));
    }

    #[test]
    fn contradicting_settings_are_refused_by_name() {
        type Case = (fn(&mut Settings), &'static str);
        let cases: [Case; 6] = [
            (
                |s| s.idle_timeout = Span::from_secs(61),
                "idle_timeout 1m1s",
            ),
            (|s| s.snaplen = 10, "snaplen 10"),
            (|s| s.buffer = Size::from_bytes(1), "buffer 1"),
            (
                |s| s.export = vec!["stdout:".parse().unwrap(), "stdout:".parse().unwrap()],
                "export stdout: is given twice",
            ),
            (
                |s| {
                    s.sampling = "1:10".parse().unwrap();
                    s.http_metering = true;
                },
                "http_metering true: needs sampling 1:1 or hash:N, not 1:10",
            ),
            (
                |s| {
                    s.sampling = "1:16384".parse().unwrap();
                    s.export = vec!["udp://c:1?version=5".parse().unwrap()];
                },
                "sampling 1:16384: export udp://c:1?version=5",
            ),
        ];
        for (change, named) in cases {
            let mut settings = Settings::default();
            change(&mut settings);
            let message = settings.cross_check().unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
        }
    }
}
