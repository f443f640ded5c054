//! What settings must be, each and with each other, beyond what their types say.

use kipfix_service::settings::{BadSettings, Size, Span};

use super::Settings;
use crate::emit::forward;

impl Settings {
    /// A sentence that names the setting, the value and what is allowed, of the first that cannot be used.
    pub(super) fn check(&self) -> Result<(), BadSettings> {
        let bad = |sentence: String| Err(BadSettings::new(sentence));
        for (name, value, most) in [
            ("max_endpoints", self.max_endpoints, 1 << 26),
            ("max_nodes", self.max_nodes, 1 << 20),
        ] {
            if !(16..=most).contains(&value) {
                return bad(format!(
                    "{name}: {value} is out of range: allowed are 16 to {most}"
                ));
            }
        }
        if self.probe_labels().is_none() {
            return bad(format!(
                "probe_selector: {:?} cannot be used: allowed is LABEL=VALUE, several separated by \
                 commas",
                self.probe_selector
            ));
        }
        for (name, value, least, most) in [
            ("workers", self.workers, 1, 256),
            ("held_records", self.held_records, 0, 1 << 24),
            ("forward_queue", self.forward_queue, 1, 1 << 24),
            ("max_series", self.max_series, 1, 1 << 26),
            ("max_edges", self.max_edges, 16, 1 << 24),
            ("max_outside", self.max_outside, 16, 1 << 24),
            ("max_domains", self.max_domains, 1, 1 << 24),
            ("max_templates", self.max_templates, 1, 1 << 16),
            ("max_names", self.max_names, 0, 1 << 24),
            ("max_totals", self.max_totals, 1, 1 << 24),
            ("max_connections", self.max_connections, 1, 1 << 20),
            (
                "max_connections_of_address",
                self.max_connections_of_address,
                1,
                1 << 20,
            ),
            ("max_exporter_series", self.max_exporter_series, 0, 1 << 16),
        ] {
            if !(least..=most).contains(&value) {
                return bad(format!(
                    "{name}: {value} is out of range: allowed are {least} to {most}"
                ));
            }
        }
        for (name, value, most) in [
            ("receive_buffer", self.receive_buffer, 1 << 30),
            ("flow_log_queue", self.flow_log_queue, 1 << 32),
            ("replicate_queue", self.replicate_queue, 1 << 32),
            ("template_wait_size", self.template_wait_size, 1 << 32),
        ] {
            if !(4096..=most).contains(&value.bytes()) {
                let most = Size::from_bytes(most);
                return bad(format!(
                    "{name}: {value} is out of range: allowed are 4K to {most}"
                ));
            }
        }
        for (name, value, least) in [
            ("series_idle", self.series_idle, Span::from_secs(1)),
            ("read_timeout", self.read_timeout, Span::from_secs(1)),
            ("connection_idle", self.connection_idle, Span::from_secs(1)),
            ("domain_idle", self.domain_idle, Span::from_secs(60)),
        ] {
            if value < least {
                return bad(format!(
                    "{name}: {value} is too short: allowed is {least} and more"
                ));
            }
        }
        // The ids of deleted objects are reserved as long as a record can wait.
        for (name, value, most) in [
            ("observer_wait", self.observer_wait, Span::from_secs(60)),
            (
                "attribution_wait",
                self.attribution_wait,
                Span::from_secs(60),
            ),
            ("inventory_wait", self.inventory_wait, Span::from_secs(600)),
        ] {
            if value > most {
                return bad(format!("invalid {name} {value}: must be at most {most}"));
            }
        }
        if self.print_metrics && self.read.is_empty() {
            return bad("print_metrics: allowed only beside read; live, scrape /metrics".into());
        }
        for target in &self.forward {
            forward::check(target).map_err(BadSettings::new)?;
        }
        if self.explain && self.read.is_empty() {
            return bad("explain: allowed only beside read, the savefile that is explained".into());
        }
        let relays = !self.forward.is_empty() || !self.replicate.is_empty();
        if self.explain && (self.print_metrics || self.flow_log.is_some() || relays) {
            return bad(
                "explain: not allowed beside flow_log, print_metrics, forward and replicate: it only \
                 explains; run them one after the other"
                    .into(),
            );
        }
        if self.kubernetes.is_empty() {
            return bad(
                "kubernetes: the value is empty: allowed are auto, off and a kubeconfig file"
                    .into(),
            );
        }
        if self.preset.is_empty() {
            return bad(
                "preset: the list is empty: allowed are workloads, nodes, zones, external".into(),
            );
        }
        if self.listen.is_empty() && self.read.is_empty() {
            return bad(
                "listen: the list is empty: allowed are udp://, tcp:// and tls://ADDRESS:PORT"
                    .into(),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(change: impl FnOnce(&mut Settings)) -> Result<(), String> {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.check().map_err(|bad| bad.to_string())
    }

    #[test]
    fn the_defaults_are_allowed() {
        assert_eq!(checked(|_| ()), Ok(()));
    }

    #[test]
    fn what_cannot_be_names_the_setting_the_value_and_what_is_allowed() {
        type Case<'a> = (fn(&mut Settings), &'a [&'a str]);
        let cases: [Case<'_>; 11] = [
            (|s| s.workers = 0, &["workers", "0", "1 to 256"]),
            (|s| s.max_edges = 1, &["max_edges", "1", "16 to"]),
            (
                |s| s.receive_buffer = Size::from_bytes(1),
                &["receive_buffer", "1", "4K to 1GiB"],
            ),
            (|s| s.print_metrics = true, &["print_metrics", "read"]),
            (|s| s.explain = true, &["explain", "read"]),
            (
                |s| {
                    (s.explain, s.print_metrics) = (true, true);
                    s.read.push("-".into());
                },
                &["explain", "print_metrics", "flow_log"],
            ),
            (
                |s| s.probe_selector = "kipfix".into(),
                &["probe_selector", "kipfix", "LABEL=VALUE"],
            ),
            (
                |s| s.observer_wait = Span::from_secs(61),
                &["observer_wait", "1m1s", "at most 1m"],
            ),
            (
                |s| s.attribution_wait = Span::from_secs(3600),
                &["attribution_wait", "1h", "at most 1m"],
            ),
            (
                |s| s.inventory_wait = Span::from_secs(601),
                &["inventory_wait", "10m1s", "at most 10m"],
            ),
            (|s| s.preset.clear(), &["preset", "workloads, nodes, zones"]),
        ];
        for (change, said) in cases {
            let sentence = checked(change).unwrap_err();
            for word in said {
                assert!(sentence.contains(word), "{sentence} lacks {word}");
            }
        }
    }
}
