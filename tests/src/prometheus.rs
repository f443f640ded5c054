//! A real Prometheus in the network of the control plane.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::nodes::{Nodes, within};
use crate::program::{self, Running};
use crate::scrape::encoded;

/// Pods reach it there, too.
pub const ADDRESS: &str = "172.30.0.1:9090";

/// Labels that Prometheus adds to the series of a target, with the operator and with most jobs for
/// annotations. It renames such a label of the series itself to `exported_...`.
pub const TARGET_LABELS: [&str; 8] = [
    "container",
    "endpoint",
    "instance",
    "job",
    "namespace",
    "node",
    "pod",
    "service",
];

/// A running Prometheus. Stopped and its data removed when dropped.
pub struct Prometheus<'a> {
    nodes: &'a Nodes,
    _running: Running,
    folder: TempDir,
}

impl<'a> Prometheus<'a> {
    /// The program (`tests/go_program.sh`).
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn program() -> Result<PathBuf, String> {
        program::built_by("go_program.sh prometheus")
    }

    /// Starts it with the job for annotations of `docs/quickstart.md`.
    pub fn by_annotations(nodes: &'a Nodes) -> Self {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/quickstart.md");
        let page = fs::read_to_string(page).expect("the page");
        let (_, job) = page
            .split_once("```yaml\nscrape_configs:\n")
            .expect("a job");
        let (job, _) = job.split_once("```").expect("its end");
        // A Prometheus inside the cluster needs no kubeconfig.
        let file = nodes.credential("admin.conf");
        let role = format!("{{role: pod, kubeconfig_file: {}}}", file.display());
        let job = job.replace("{role: pod}", &role);
        let global = "global: {scrape_interval: 2s}\nscrape_configs:\n";
        Self::start(nodes, &(global.to_owned() + &job))
    }

    /// Starts it with a configuration.
    pub fn start(nodes: &'a Nodes, configuration: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("prometheus.yaml");
        fs::write(&file, configuration).expect("a file");
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        let program = Self::program().expect("it is built before the cluster");
        let mut command = nodes.inside("cp", program.to_str().expect("a path"));
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={ADDRESS}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let prometheus = Self {
            nodes,
            _running: Running::start(&mut command),
            folder,
        };
        let ready = within(Duration::from_secs(30), || {
            nodes.ask(ADDRESS, "/-/ready").is_some()
        });
        let log = || fs::read_to_string(prometheus.folder.path().join("log")).unwrap_or_default();
        assert!(ready, "Prometheus is not ready: {}", log());
        prometheus
    }

    /// The series of a query: labels and value.
    pub fn query(&self, query: &str) -> Vec<(Value, f64)> {
        let path = format!("/api/v1/query?query={}", encoded(query));
        let answer = self.nodes.ask(ADDRESS, &path);
        let answer: Value = answer
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_else(|| panic!("Prometheus rejects {query}"));
        let series = answer["data"]["result"].as_array().expect("a vector");
        series
            .iter()
            .map(|series| {
                let value = series["value"][1].as_str().expect("a value");
                (series["metric"].clone(), value.parse().expect("a number"))
            })
            .collect()
    }

    /// The sum over the series of a query. 0 without series.
    pub fn sum(&self, query: &str) -> f64 {
        // An empty sum is -0.
        self.query(query)
            .iter()
            .fold(0.0, |sum, (_, value)| sum + value)
    }

    /// Waits until the sum of a query has a value, and prints it.
    pub fn expect(&self, query: &str, wanted: u64) {
        #[allow(clippy::cast_precision_loss, reason = "less than 2^53")]
        let reached = within(Duration::from_secs(90), || self.sum(query) == wanted as f64);
        println!("  {:>10} = {wanted:>10}   {query}", self.sum(query));
        assert!(reached, "{query} is {}, not {wanted}", self.sum(query));
    }

    /// Waits until the sum of a query is 0. The query must have a result.
    pub fn expect_zero(&self, query: &str) {
        self.expect(query, 0);
        assert!(!self.query(query).is_empty(), "{query} has no result");
    }

    /// The values of a label of all targets that are up.
    pub fn up(&self, label: &str) -> Vec<String> {
        let up = self.query("up == 1");
        let mut names: Vec<String> = up
            .iter()
            .map(|(labels, _)| labels[label].as_str().unwrap_or_default().to_owned())
            .collect();
        names.sort();
        names
    }
}
