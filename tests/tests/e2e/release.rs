//! A release of the chart, in a namespace of its own, until the test is over.

use std::path::Path;
use std::time::Duration;

use kipfix_tests::nodes::{Nodes, within};
use kipfix_tests::prometheus::Prometheus;

/// An installed release.
pub struct Release<'a> {
    nodes: &'a Nodes,
    name: &'static str,
    pub namespace: &'static str,
}

/// Where releases are installed: it enforces Pod Security.
pub const NAMESPACE: &str = "kipfix-system";

/// The value with which new series show their values in the first scrape.
const SERIES_AT_ONCE: &str =
    r#"collector.extraEnv=[{"name": "KIPFIX_COLLECTOR__SERIES_BIRTH", "value": "0s"}]"#;

pub fn chart() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/helm/kipfix");
    path.to_str().unwrap().to_owned()
}

impl<'a> Release<'a> {
    /// Makes the namespace, for who needs it before the release.
    pub fn namespace(nodes: &Nodes) {
        nodes.apply(&format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}, labels: {{pod-security.kubernetes.io/enforce: privileged}}}}}}"
        ));
    }

    /// `helm install --wait`, with values `NAME=VALUE`. New series show their values in the first
    /// scrape.
    pub fn install(nodes: &'a Nodes, name: &'static str, values: &[&str]) -> Self {
        let values = [&[SERIES_AT_ONCE], values].concat();
        Self::namespace(nodes);
        let release = Self {
            nodes,
            name,
            namespace: NAMESPACE,
        };
        let notes = release.helm("install", &values);
        assert!(
            !notes.contains("kubectl label"),
            "the namespace is labelled: {notes}"
        );
        release
    }

    /// `helm upgrade --wait`, with only these values changed.
    pub fn upgrade(&self, values: &[&str]) {
        let values = [&["--reuse-values"], values].concat();
        self.helm("upgrade", &values);
    }

    /// `helm test`. Panics if it fails.
    pub fn test(&self) {
        let arguments = ["--namespace", self.namespace, "--timeout", "120s"];
        let arguments = [&["test", self.name], &arguments[..]].concat();
        let outcome = self.nodes.helm(&arguments);
        assert!(outcome.contains("Succeeded"), "{outcome}");
    }

    fn helm(&self, verb: &str, values: &[&str]) -> String {
        let chart = chart();
        let mut arguments = vec![verb, self.name, &chart, "--namespace", self.namespace];
        arguments.extend(["--wait", "--timeout", "180s"]);
        for value in values {
            if !value.starts_with("--") {
                arguments.push("--set-json");
            }
            arguments.push(value);
        }
        let outcome =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.nodes.helm(&arguments)));
        outcome.unwrap_or_else(|cause| {
            println!("{}", self.nodes.describe(self.namespace));
            std::panic::resume_unwind(cause)
        })
    }

    /// Names of the pods of a part that are not being deleted.
    pub fn pods(&self, part: &str) -> Vec<String> {
        let list = self.nodes.get(&format!(
            "pods --namespace {} --selector app.kubernetes.io/instance={},app.kubernetes.io/component={part}",
            self.namespace, self.name
        ));
        let pods = list["items"].as_array().unwrap().iter();
        let pods = pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        pods.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Waits until Prometheus scrapes exactly this number of pods.
    pub fn scraped_by(&self, prometheus: &Prometheus<'_>, count: usize) {
        let mut pods = Vec::new();
        let scraped = within(Duration::from_secs(60), || {
            pods = [self.pods("probe"), self.pods("collector")].concat();
            pods.sort();
            pods.len() == count && prometheus.up("pod") == pods
        });
        assert!(scraped, "{:?}, not {pods:?}", prometheus.up("pod"));
    }

    /// `helm uninstall --wait`; then nothing of it is left anywhere.
    pub fn uninstall(self) {
        self.nodes.helm(&[
            "uninstall",
            self.name,
            "--namespace",
            self.namespace,
            "--wait",
            "--timeout",
            "180s",
        ]);
        let label = format!("app.kubernetes.io/instance={}", self.name);
        let gone = within(Duration::from_secs(60), || {
            self.nodes.everything_labelled(&label).is_empty()
        });
        assert!(gone, "left: {:?}", self.nodes.everything_labelled(&label));
    }
}

impl Drop for Release<'_> {
    /// Also if a test fails: the next one installs it again.
    fn drop(&mut self) {
        let namespace = self.namespace;
        self.nodes
            .try_helm(&["uninstall", self.name, "--namespace", namespace]);
        self.nodes.try_kubectl(&format!(
            "delete pods --namespace {namespace} --all --grace-period=0 --force"
        ));
    }
}
