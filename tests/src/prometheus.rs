//! A real Prometheus beside the cluster's control plane, and PromQL.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::nodes::{Nodes, Scripts, within};
use crate::program::Running;

const ADDRESS: &str = "127.0.0.1:9090";

/// What finds pods by their annotations, as most installations have it. `PODS` stands for a file of all
/// pods with the labels that Prometheus' own discovery gives them: Debian's is built without it.
pub const ANNOTATIONS: &str = r#"
global: {scrape_interval: 2s}
scrape_configs:
  - job_name: pods
    file_sd_configs: [{files: [PODS], refresh_interval: 1s}]
    relabel_configs:
      - {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape], regex: "true", action: keep}
      - {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_path], regex: (.+), target_label: __metrics_path__}
      - source_labels: [__address__, __meta_kubernetes_pod_annotation_prometheus_io_port]
        regex: ([^:]+)(?::\d+)?;(\d+)
        replacement: $1:$2
        target_label: __address__
      - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}
      - {source_labels: [__meta_kubernetes_pod_node_name], target_label: node}
"#;

/// A running Prometheus; ended, and its data removed, when dropped.
pub struct Prometheus<'a> {
    nodes: &'a Nodes,
    _running: Running,
    // Dropping the sender ends the discovery.
    _discovery: Sender<()>,
    folder: TempDir,
}

/// Writes all pods with an address into a file, again and again, until the sender is gone.
fn discover(scripts: &Scripts, file: &Path, end: &Receiver<()>) {
    let label = |name: &str| -> String {
        let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        name.chars().map(letter).collect()
    };
    loop {
        let mut kubectl = scripts.command("kubectl");
        let pods = kubectl
            .args(["get", "pods", "--all-namespaces", "--output=json"])
            .output();
        let pods = pods
            .ok()
            .and_then(|out| serde_json::from_slice::<Value>(&out.stdout).ok());
        if let Some(pods) = pods {
            let pods = pods["items"].as_array().cloned().unwrap_or_default();
            let target = |pod: &Value| {
                let address = pod["status"]["podIP"].as_str()?;
                let mut labels = json!({
                    "__meta_kubernetes_namespace": pod["metadata"]["namespace"],
                    "__meta_kubernetes_pod_name": pod["metadata"]["name"],
                    "__meta_kubernetes_pod_node_name": pod["spec"]["nodeName"],
                });
                for (name, value) in pod["metadata"]["annotations"]
                    .as_object()
                    .into_iter()
                    .flatten()
                {
                    labels[format!("__meta_kubernetes_pod_annotation_{}", label(name))] =
                        value.clone();
                }
                Some(json!({"targets": [address], "labels": labels}))
            };
            let targets: Value = pods.iter().filter_map(target).collect();
            let begun = file.with_extension("begun");
            if fs::write(&begun, targets.to_string()).is_ok() {
                fs::rename(&begun, file).ok();
            }
        }
        if end.recv_timeout(Duration::from_secs(1)) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

impl<'a> Prometheus<'a> {
    /// Starts one with a configuration, in which `PODS` stands for the file of all pods.
    pub fn start(nodes: &'a Nodes, configuration: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("prometheus.yaml");
        let pods = folder.path().join("pods.json");
        let text = configuration.replace("PODS", &pods.to_string_lossy());
        fs::write(&file, text).expect("a file");
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        let mut command = nodes.inside("cp", "prometheus");
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
        let (discovery, end) = channel();
        let scripts = nodes.scripts();
        std::thread::spawn(move || discover(&scripts, &pods, &end));
        let prometheus = Self {
            nodes,
            _discovery: discovery,
            _running: Running::start(&mut command),
            folder,
        };
        let ready = within(Duration::from_secs(30), || {
            prometheus.ask("/-/ready", &[]).is_some()
        });
        let log = || fs::read_to_string(prometheus.folder.path().join("log")).unwrap_or_default();
        assert!(ready, "Prometheus is not ready: {}", log());
        prometheus
    }

    fn ask(&self, path: &str, form: &[(&str, &str)]) -> Option<String> {
        let mut curl = self.nodes.inside("cp", "curl");
        curl.args(["--silent", "--fail-with-body", "--max-time", "10"]);
        for (name, value) in form {
            curl.arg("--data-urlencode").arg(format!("{name}={value}"));
        }
        let output = curl
            .arg(format!("http://{ADDRESS}{path}"))
            .output()
            .expect("curl runs");
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The series of a query: labels and value.
    pub fn query(&self, query: &str) -> Vec<(Value, f64)> {
        let answer = self.ask("/api/v1/query", &[("query", query)]);
        let answer: Value = answer
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_else(|| panic!("Prometheus refuses {query}"));
        let series = answer["data"]["result"].as_array().expect("a vector");
        series
            .iter()
            .map(|series| {
                let value = series["value"][1].as_str().expect("a value");
                (series["metric"].clone(), value.parse().expect("a number"))
            })
            .collect()
    }

    /// The sum of a query's series; 0 where there is none.
    pub fn sum(&self, query: &str) -> f64 {
        // An empty sum would be -0.
        self.query(query)
            .iter()
            .fold(0.0, |sum, (_, value)| sum + value)
    }

    /// Waits until a query has this sum, and says how it came out.
    pub fn expect(&self, query: &str, wanted: u64) {
        #[allow(clippy::cast_precision_loss, reason = "less than 2^53")]
        let reached = within(Duration::from_secs(90), || self.sum(query) == wanted as f64);
        println!("  {:>10} = {wanted:>10}   {query}", self.sum(query));
        assert!(reached, "{query} is {}, not {wanted}", self.sum(query));
    }

    /// Waits until a query, which has a result, is 0, and says so: a balance.
    pub fn expect_zero(&self, query: &str) {
        self.expect(query, 0);
        assert!(!self.query(query).is_empty(), "{query} has no result");
    }

    /// Targets that are scraped without an error, by the value of a label.
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
