//! A real Prometheus: it scrapes, evaluates rules and answers PromQL.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use kipfix_tests::program::{PATIENCE, Running, eventually, free_tcp_port};
use kipfix_tests::prometheus::TARGET_LABELS;
use kipfix_tests::scrape::{body, encoded, get};

/// A running one, with its data in a folder that goes with it.
pub(crate) struct Prometheus {
    port: u16,
    #[allow(dead_code, reason = "ended when dropped, before its folder goes")]
    running: Running,
    #[allow(dead_code, reason = "removed when dropped")]
    folder: tempfile::TempDir,
}

/// Whether native histograms are scraped, and how a version is asked to.
#[derive(Clone, Copy)]
pub(crate) enum NativeHistograms {
    Off,
    /// A feature of older versions.
    ByFlag,
    /// A setting of newer versions.
    BySetting,
}

impl Prometheus {
    /// Starts the installed one. It scrapes each target (job, `ADDRESS:PORT`) and evaluates the
    /// rules in these files every second.
    pub(crate) fn start(targets: &[(&str, String)], rules: &[PathBuf]) -> Self {
        Self::start_program(Path::new("prometheus"), targets, rules)
    }

    /// Starts a program.
    pub(crate) fn start_program(
        program: &Path,
        targets: &[(&str, String)],
        rules: &[PathBuf],
    ) -> Self {
        Self::start_with(program, NativeHistograms::Off, targets, rules)
    }

    /// Starts a program that scrapes native histograms.
    pub(crate) fn start_with(
        program: &Path,
        native_histograms: NativeHistograms,
        targets: &[(&str, String)],
        rules: &[PathBuf],
    ) -> Self {
        let (flags, more): (&[&str], &str) = match native_histograms {
            NativeHistograms::Off => (&[], ""),
            NativeHistograms::ByFlag => (&["--enable-feature=native-histograms"], ""),
            NativeHistograms::BySetting => (&[], ", scrape_native_histograms: true"),
        };
        let mut settings = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s{more}}}\nrule_files:\n"
        );
        for file in rules {
            settings += &format!("  - {}\n", Value::from(file.display().to_string()));
        }
        settings += "scrape_configs:\n";
        // The labels of discovery in Kubernetes, except for job and instance.
        let labels = TARGET_LABELS
            .iter()
            .filter(|label| !["job", "instance"].contains(label));
        let labels: Vec<String> = labels.map(|label| format!("{label}: x")).collect();
        let labels = labels.join(", ");
        for (job, target) in targets {
            settings += &format!(
                "  - {{job_name: {job}, static_configs: [{{targets: ['{target}'], labels: {{{labels}}}}}]}}\n"
            );
        }
        let folder = tempfile::tempdir().expect("a folder");
        Self::start_configured(program, flags, &settings, folder)
    }

    /// Starts the installed one. It keeps the labels of the series that a target label has the name
    /// of.
    pub(crate) fn start_honoring_labels(job: &str, target: &str) -> Self {
        let settings = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - {{job_name: {job}, honor_labels: true, \
             static_configs: [{{targets: ['{target}'], labels: {{namespace: x, pod: x, service: x}}}}]}}\n"
        );
        let folder = tempfile::tempdir().expect("a folder");
        Self::start_configured(Path::new("prometheus"), &[], &settings, folder)
    }

    /// Starts the installed one with the blocks in the folder `data`.
    pub(crate) fn with_data(folder: tempfile::TempDir) -> Self {
        Self::start_configured(Path::new("prometheus"), &[], "global: {}\n", folder)
    }

    fn start_configured(
        program: &Path,
        flags: &[&str],
        settings: &str,
        folder: tempfile::TempDir,
    ) -> Self {
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, settings).expect("settings");
        let port = free_tcp_port();
        let mut command = Command::new(program);
        command
            .args(flags)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let running = Running::start(&mut command);
        let connects = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        assert!(eventually(PATIENCE, connects), "Prometheus does not start");
        let this = Self {
            port,
            running,
            folder,
        };
        let ready = || this.ask("/-/ready").contains("200 OK");
        assert!(
            eventually(PATIENCE, ready),
            "Prometheus does not become ready"
        );
        this
    }

    /// What an instant query gives now: a list of samples. Panics, with the answer, where it is
    /// refused.
    pub(crate) fn query(&self, expr: &str) -> Vec<Value> {
        let answer = self.api(&format!("/api/v1/query?query={}", encoded(expr)));
        let result = &answer["data"]["result"];
        result
            .as_array()
            .unwrap_or_else(|| panic!("{expr}: {answer}"))
            .clone()
    }

    /// The value of the first sample of a query.
    pub(crate) fn value(&self, expr: &str) -> Option<f64> {
        let samples = self.query(expr);
        let value = samples.first()?.get("value")?.get(1)?.as_str()?;
        value.parse().ok()
    }

    /// The names of the labels of the series that a selector matches.
    pub(crate) fn labels_of(&self, selector: &str) -> Vec<Value> {
        let answer = self.api(&format!("/api/v1/labels?match[]={}", encoded(selector)));
        answer["data"].as_array().expect("names").clone()
    }

    /// All rules, with their health.
    pub(crate) fn rules(&self) -> Vec<Value> {
        let answer = self.api("/api/v1/rules");
        let groups = answer["data"]["groups"].as_array().expect("groups");
        let rules = groups
            .iter()
            .filter_map(|group| group["rules"].as_array())
            .flatten();
        rules.cloned().collect()
    }

    fn api(&self, path: &str) -> Value {
        let answer = body(self.ask(path));
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{path}: {answer}"))
    }

    fn ask(&self, path: &str) -> String {
        let address = ([127, 0, 0, 1], self.port).into();
        String::from_utf8_lossy(&get(address, path, "")).into_owned()
    }
}
