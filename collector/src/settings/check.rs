//! The rules of settings that their types do not express: ranges, and rules between settings.

use std::time::Duration;

use kipfix_service::settings::{BadSettings, Size, Span};

use super::Settings;
use crate::emit::flow_log::FlowLogFormat;
use crate::emit::forward;
use crate::history::RingSettings;

/// Maximum number of kept labels of pods, and of namespaces.
const MAX_LABELS: usize = 32;
/// Maximum length of a label's key in Kubernetes, octets.
const MAX_LABEL_KEY: usize = 317;

impl Settings {
    /// Checks all settings. The error names the first invalid setting, its value and what is allowed.
    pub(super) fn check(&self) -> Result<(), BadSettings> {
        let bad = |sentence: String| Err(BadSettings::new(sentence));
        for (name, value, most) in [
            ("max_endpoints", self.max_endpoints, 1 << 26),
            ("max_nodes", self.max_nodes, 1 << 20),
        ] {
            if !(16..=most).contains(&value) {
                return bad(format!("invalid {name} {value}: must be 16–{most}"));
            }
        }
        if self.probe_labels().is_none() {
            return bad(format!(
                "invalid probe_selector {:?}: must be LABEL=VALUE, several separated by commas",
                self.probe_selector
            ));
        }
        for (name, value, least, most) in [
            ("workers", self.workers, 1, 256),
            (
                "flow_log_sample",
                usize::try_from(self.flow_log_sample).unwrap_or(usize::MAX),
                1,
                1 << 24,
            ),
            ("forward_queue", self.forward_queue, 1, 1 << 24),
            ("max_series", self.max_series, 1, 1 << 26),
            ("max_edges", self.max_edges, 16, 1 << 24),
            (
                "max_open_connections",
                self.max_open_connections,
                1,
                1 << 24,
            ),
            ("max_external", self.max_external, 16, 1 << 24),
            ("max_domains", self.max_domains, 1, 1 << 24),
            ("max_templates", self.max_templates, 1, 1 << 16),
            (
                "max_template_fields",
                self.max_template_fields,
                1024,
                1 << 28,
            ),
            ("max_address_share", self.max_address_share.into(), 1, 100),
            ("max_metadata", self.max_metadata, 0, 1 << 24),
            ("max_running_totals", self.max_running_totals, 1, 1 << 24),
            ("max_connections", self.max_connections, 1, 1 << 20),
            (
                "max_connections_per_address",
                self.max_connections_per_address,
                1,
                1 << 20,
            ),
            ("max_exporter_series", self.max_exporter_series, 0, 1 << 16),
        ] {
            if !(least..=most).contains(&value) {
                return bad(format!("invalid {name} {value}: must be {least}–{most}"));
            }
        }
        for (name, value, most) in [
            ("receive_buffer", self.receive_buffer, 1 << 30),
            ("pending_queue", self.pending_queue, 1 << 36),
            ("flow_log_queue", self.flow_log_queue, 1 << 32),
            ("replicate_queue", self.replicate_queue, 1 << 32),
            ("template_wait_size", self.template_wait_size, 1 << 32),
        ] {
            if !(4096..=most).contains(&value.bytes()) {
                let most = Size::from_bytes(most);
                return bad(format!("invalid {name} {value}: must be 4K–{most}"));
            }
        }
        self.check_spans()?;
        self.check_history()?;
        self.check_flow_log()?;
        self.check_labels()?;
        if self.print_metrics && self.read.is_empty() {
            return bad("print_metrics: only allowed with read; live, scrape /metrics".into());
        }
        for target in &self.forward {
            forward::check(target).map_err(BadSettings::new)?;
        }
        if self.explain && self.read.is_empty() {
            return bad("explain: only allowed with read, which names the savefile".into());
        }
        if self.compare && !self.explain {
            return bad("compare: only allowed with explain".into());
        }
        if self.state.is_some() && !self.read.is_empty() {
            return bad("state: not allowed with read".into());
        }
        self.http_tls()?;
        let relays = !self.forward.is_empty() || !self.replicate.is_empty();
        if self.history_file.is_some() && !self.read.is_empty() {
            return bad("history_file: not allowed with read".into());
        }
        if self.history_file.is_some() && self.ring().is_none() {
            return bad(
                "history_file: not allowed with history_size 0 or history prometheus".into(),
            );
        }
        if self.explain && (self.print_metrics || self.flow_log.is_some() || relays) {
            return bad(
                "explain: not allowed with flow_log, print_metrics, forward or replicate".into(),
            );
        }
        if self.kubernetes.is_empty() {
            return bad("invalid kubernetes \"\": must be auto, off or a kubeconfig file".into());
        }
        if self.preset.is_empty() && self.metrics.is_empty() {
            return bad(
                "invalid preset []: must be some presets, or metrics must have some".into(),
            );
        }
        for family in self.families()? {
            let idle = Duration::from_millis(family.rows.idle_milliseconds);
            if self.series_birth.duration() >= idle {
                return bad(format!(
                    "metrics: {}: idle must be more than series_birth {}",
                    family.name, self.series_birth
                ));
            }
        }
        if self.listen.is_empty() && self.read.is_empty() {
            return bad(
                "invalid listen []: must be some of udp://, tcp:// and tls://ADDRESS:PORT".into(),
            );
        }
        Ok(())
    }

    fn check_labels(&self) -> Result<(), BadSettings> {
        let kept = self.kept_labels()?;
        for (name, keys) in [
            ("pod_labels", &kept.pods),
            ("namespace_labels", &kept.namespaces),
        ] {
            let is_key = |key: &&String| (1..=MAX_LABEL_KEY).contains(&key.len());
            if let Some(key) = keys.iter().find(|key| !is_key(key)) {
                return Err(BadSettings::new(format!(
                    "invalid {name} {key:?}: must be label keys of 1–{MAX_LABEL_KEY} octets"
                )));
            }
            if keys.len() > MAX_LABELS {
                let count = keys.len();
                return Err(BadSettings::new(format!(
                    "invalid {name}: {count} labels, with those that families read; at most \
                     {MAX_LABELS} are allowed"
                )));
            }
        }
        Ok(())
    }

    fn check_flow_log(&self) -> Result<(), BadSettings> {
        let bad = |sentence: String| Err(BadSettings::new(sentence));
        for (name, is_set) in [
            ("flow_log_fields", !self.flow_log_fields.is_empty()),
            ("flow_log_filter", self.flow_log_filter.is_some()),
        ] {
            if is_set && self.flow_log.is_none() {
                return bad(format!("{name}: only allowed with flow_log"));
            }
        }
        let is_sentence = self.flow_log_format == FlowLogFormat::Kubezonnet;
        if is_sentence && !self.flow_log_fields.is_empty() {
            return bad("flow_log_fields: not allowed with flow_log_format kubezonnet".into());
        }
        let is_name = |name: &&String| {
            let is_valid = |c: char| !c.is_control() && !matches!(c, ' ' | '"' | '\\');
            (1..=200).contains(&name.len()) && name.chars().all(is_valid)
        };
        if let Some(name) = self.flow_log_fields.iter().find(|name| !is_name(name)) {
            return bad(format!(
                "invalid flow_log_fields {name:?}: must be names of members, e.g. sourcePodName"
            ));
        }
        self.flow_log_lines().map(drop)
    }

    fn check_history(&self) -> Result<(), BadSettings> {
        let (size, least, most) = (self.history_size, 1 << 20, 1 << 36);
        if size.bytes() != 0 && !(least..=most).contains(&size.bytes()) {
            let [least, most] = [least, most].map(Size::from_bytes);
            let sentence = format!("invalid history_size {size}: must be 0 or {least}–{most}");
            return Err(BadSettings::new(sentence));
        }
        let (size, least, most) = (self.recent_records_size, 256 << 10, 1 << 32);
        if size.bytes() != 0 && !(least..=most).contains(&size.bytes()) {
            let [least, most] = [least, most].map(Size::from_bytes);
            let sentence =
                format!("invalid recent_records_size {size}: must be 0 or {least}–{most}");
            return Err(BadSettings::new(sentence));
        }
        RingSettings::check(&self.history_rings)
            .map_err(|error| BadSettings::new(format!("history_rings: {error}")))
    }

    /// Checks the time spans, each for itself and those that depend on each other.
    fn check_spans(&self) -> Result<(), BadSettings> {
        let [none, second, minute] = [0, 1, 60].map(Span::from_secs);
        let [hour, day, year] = [3600, 86_400, 365 * 86_400].map(Span::from_secs);
        for (name, value, least, most) in [
            ("series_idle", self.series_idle, Span::from_secs(300), year),
            (
                "open_connection_timeout",
                self.open_connection_timeout,
                minute,
                year,
            ),
            ("series_birth", self.series_birth, none, hour),
            ("read_timeout", self.read_timeout, second, hour),
            ("connection_idle", self.connection_idle, second, year),
            ("domain_idle", self.domain_idle, minute, year),
            ("template_wait", self.template_wait, none, hour),
            ("observer_wait", self.observer_wait, second, minute),
            ("observer_timeout", self.observer_timeout, second, hour),
            ("attribution_wait", self.attribution_wait, none, minute),
            (
                "inventory_wait",
                self.inventory_wait,
                none,
                Span::from_secs(600),
            ),
            ("deleted_pods_kept", self.deleted_pods_kept, none, day),
            ("max_clock_skew", self.max_clock_skew, none, year),
        ] {
            if !(least..=most).contains(&value) {
                let sentence = format!("invalid {name} {value}: must be {least}–{most}");
                return Err(BadSettings::new(sentence));
            }
        }
        // A series must show its value before it is removed.
        let (birth, idle) = (self.series_birth, self.series_idle);
        if birth >= idle {
            let sentence =
                format!("invalid series_birth {birth}: must be less than series_idle {idle}");
            return Err(BadSettings::new(sentence));
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
    fn an_invalid_setting_is_named_with_its_value_and_what_is_allowed() {
        type Case<'a> = (fn(&mut Settings), &'a [&'a str]);
        let cases: [Case<'_>; 21] = [
            (|s| s.flow_log_sample = 0, &["flow_log_sample", "0", "1–"]),
            (
                |s| s.flow_log_filter = "port == 53".parse().ok(),
                &["flow_log_filter", "flow_log"],
            ),
            (
                |s| {
                    s.flow_log = "stdout:".parse().ok();
                    s.flow_log_filter = "tcp_end == \"reset\"".parse().ok();
                },
                &["flow_log_filter", "tcp_end"],
            ),
            (
                |s| {
                    s.flow_log = "stdout:".parse().ok();
                    s.flow_log_fields = vec!["a b".into()];
                },
                &["flow_log_fields", "a b", "sourcePodName"],
            ),
            (
                |s| {
                    s.flow_log = "stdout:".parse().ok();
                    s.flow_log_fields = vec!["version".into()];
                    s.flow_log_format = FlowLogFormat::Kubezonnet;
                },
                &["flow_log_fields", "kubezonnet"],
            ),
            (|s| s.workers = 0, &["workers", "0", "1–256"]),
            (|s| s.max_edges = 1, &["max_edges", "1", "16–"]),
            (
                |s| s.receive_buffer = Size::from_bytes(1),
                &["receive_buffer", "1", "4K–1GiB"],
            ),
            (
                |s| s.history_size = Size::from_bytes(4096),
                &["history_size", "4KiB", "0 or 1MiB–"],
            ),
            (|s| s.history_rings.clear(), &["history_rings", "at least"]),
            (
                |s| s.http_tls_cert = Some("server.crt".into()),
                &["http_tls_cert", "needs", "http_tls_key"],
            ),
            (
                |s| s.http_client_ca = Some("people.crt".into()),
                &["http_client_ca", "needs", "http_tls_cert"],
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
            (|s| s.preset.clear(), &["preset", "metrics"]),
            (
                |s| s.series_idle = Span::from_secs(60),
                &["series_idle", "1m", "5m–"],
            ),
            (
                |s| {
                    s.series_idle = Span::from_secs(600);
                    s.series_birth = Span::from_secs(600);
                },
                &["series_birth", "10m", "series_idle"],
            ),
            (
                |s| s.observer_wait = Span::from_secs(0),
                &["observer_wait", "0s", "1s–1m"],
            ),
            (
                |s| s.attribution_wait = Span::from_secs(61),
                &["attribution_wait", "1m1s", "0s–1m"],
            ),
        ];
        for (change, words) in cases {
            let sentence = checked(change).unwrap_err();
            for word in words {
                assert!(sentence.contains(word), "{sentence} lacks {word}");
            }
        }
    }
}
