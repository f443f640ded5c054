//! The rules between settings. What a single setting allows is the matter of its flag.

use kipfix_service::settings::BadSettings;

use super::Settings;
use crate::emit::flow_log::FlowLogFormat;
use crate::history::RingSettings;

/// Maximum number of kept labels of pods, and of namespaces.
const MAX_LABELS: usize = 32;

impl Settings {
    /// Checks all settings. The error names the first invalid setting, its value and what is allowed.
    pub(super) fn check(&self) -> Result<(), BadSettings> {
        self.check_series()?;
        RingSettings::check(&self.history.history_rings)
            .map_err(|error| BadSettings::new(format!("history_rings: {error}")))?;
        self.check_flow_log()?;
        self.check_labels()?;
        self.http.tls.files()?;
        self.check_files()?;
        BadSettings::when(
            self.input.listen.is_empty() && self.input.read.is_empty(),
            "invalid listen []: must be some of udp://, tcp:// and tls://ADDRESS:PORT",
        )
    }

    /// The rules of what reads or keeps files.
    fn check_files(&self) -> Result<(), BadSettings> {
        let (is_reading, explains) = (!self.input.read.is_empty(), self.input.explain);
        let has_output = self.output.print_metrics
            || self.output.flow_log.is_some()
            || !self.output.forward.is_empty()
            || !self.output.replicate.is_empty();
        BadSettings::when(
            self.output.print_metrics && !is_reading,
            "invalid print_metrics true: only allowed with read; live, scrape /metrics",
        )?;
        BadSettings::when(
            explains && !is_reading,
            "invalid explain true: only allowed with read, which names the savefile",
        )?;
        BadSettings::when(
            self.input.compare && !explains,
            "invalid compare true: only allowed with explain",
        )?;
        let history_file = self.history.history_file.as_ref();
        let kept = [
            ("state", self.input.state.as_ref()),
            ("history_file", history_file),
        ];
        for (name, path) in kept {
            let Some(path) = path.filter(|_| is_reading) else {
                continue;
            };
            let path = path.display();
            return Err(BadSettings::new(format!(
                "invalid {name} \"{path}\": not allowed with read"
            )));
        }
        if let Some(path) = history_file.filter(|_| self.ring().is_none()) {
            let path = path.display();
            return Err(BadSettings::new(format!(
                "invalid history_file \"{path}\": only allowed with history ring, and history_size above 0"
            )));
        }
        BadSettings::when(
            explains && has_output,
            "invalid explain true: not allowed with flow_log, print_metrics, forward or replicate",
        )
    }

    /// A series must show its value before it is removed.
    fn check_series(&self) -> Result<(), BadSettings> {
        let (birth, idle) = (self.metrics.series_birth, self.metrics.series_idle);
        BadSettings::when(
            birth >= idle,
            format!("invalid series_birth {birth}: must be less than series_idle {idle}"),
        )?;
        BadSettings::when(
            self.metrics.preset.is_empty() && self.metrics.metrics.is_empty(),
            "invalid preset []: must be some presets, or metrics must have some",
        )?;
        for family in self.families()? {
            let name = &family.name;
            BadSettings::when(
                birth.milliseconds() >= family.rows.idle_milliseconds,
                format!("metrics: {name}: idle must be more than series_birth {birth}"),
            )?;
        }
        Ok(())
    }

    fn check_labels(&self) -> Result<(), BadSettings> {
        let kept = self.kept_labels()?;
        for (name, keys) in [
            ("pod_labels", &kept.pods),
            ("namespace_labels", &kept.namespaces),
        ] {
            let count = keys.len();
            BadSettings::when(
                count > MAX_LABELS,
                format!(
                    "invalid {name}: {count} labels, with those that families read; at most \
                     {MAX_LABELS} are allowed"
                ),
            )?;
        }
        Ok(())
    }

    fn check_flow_log(&self) -> Result<(), BadSettings> {
        let has_fields = !self.output.flow_log_fields.is_empty();
        for (name, is_set) in [
            ("flow_log_fields", has_fields),
            ("flow_log_filter", self.output.flow_log_filter.is_some()),
        ] {
            BadSettings::when(
                is_set && self.output.flow_log.is_none(),
                format!("{name}: only allowed with flow_log"),
            )?;
        }
        BadSettings::when(
            has_fields && self.output.flow_log_format == FlowLogFormat::Kubezonnet,
            "flow_log_fields: not allowed with flow_log_format kubezonnet",
        )
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
        settings.check().map_err(|bad| bad.to_string())
    }

    #[test]
    fn the_defaults_are_allowed() {
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(Settings::default().check(), Ok(()));
    }

    #[test]
    fn an_invalid_setting_is_named_with_its_value_and_what_is_allowed() {
        let cases: [(&[&str], &[&str]); 24] = [
            (&["--flow-log-sample=0"], &["flow-log-sample", "0", "1–"]),
            (
                &["--flow-log-filter=port == 53"],
                &["flow_log_filter", "flow_log"],
            ),
            (
                &["--flow-log=stdout:", "--flow-log-fields=a b"],
                &["flow-log-fields", "a b", "sourcePodName"],
            ),
            (
                &[
                    "--flow-log=stdout:",
                    "--flow-log-fields=version",
                    "--flow-log-format=kubezonnet",
                ],
                &["flow_log_fields", "kubezonnet"],
            ),
            (&["--workers=0"], &["workers", "0", "1–256"]),
            (&["--max-edges=1"], &["max-edges", "1", "16–"]),
            (
                &["--receive-buffer=1"],
                &["receive-buffer", "1", "4KiB–1GiB"],
            ),
            (
                &["--history-size=4096"],
                &["history-size", "4096", "0 or 1MiB–"],
            ),
            (
                &["--history-rings=10s/15m", "--history-rings=10s/1h"],
                &["history_rings", "multiple"],
            ),
            (
                &["--http-tls-cert=server.crt"],
                &["http_tls_cert", "needs", "http_tls_key"],
            ),
            (
                &["--http-client-ca=people.crt"],
                &["http_client_ca", "needs", "http_tls_cert"],
            ),
            (
                &["--tunnel-cidr=10.0.0.0"],
                &["tunnel-cidr", "10.0.0.0", "CIDR"],
            ),
            (&["--metrics=x"], &["metrics", "JSON object"]),
            (
                &["--forward=stdout:"],
                &["forward", "stdout:", "flow_log", "kafka://"],
            ),
            (&["--history=prometheus=x"], &["history", "http://"]),
            (&["--print-metrics"], &["print_metrics", "read"]),
            (&["--explain"], &["explain", "read"]),
            (
                &["--explain", "--print-metrics", "--read=-"],
                &["explain", "print_metrics", "flow_log"],
            ),
            (
                &["--probe-selector=kipfix"],
                &["probe-selector", "kipfix", "LABEL=VALUE"],
            ),
            (&["--kubernetes="], &["kubernetes"]),
            (&["--series-idle=1m"], &["series-idle", "1m", "5m–"]),
            (
                &["--series-idle=10m", "--series-birth=10m"],
                &["series_birth", "10m", "series_idle"],
            ),
            (&["--observer-wait=0s"], &["observer-wait", "0s", "1s–1m"]),
            (
                &["--attribution-wait=61s"],
                &["attribution-wait", "61s", "0s–1m"],
            ),
        ];
        for (flags, words) in cases {
            let sentence = check(flags).unwrap_err();
            for word in words {
                assert!(sentence.contains(word), "{sentence} lacks {word}");
            }
        }
    }

    #[test]
    fn a_collector_without_families_is_refused() {
        let mut settings = Settings::default();
        settings.metrics.preset.clear();
        let sentence = settings.check().unwrap_err().to_string();
        assert!(sentence.contains("preset"), "{sentence}");
    }
}
