//! Every object that the chart can create, with the definitions of the projects that its kinds
//! belong to: Gateway API, Prometheus operator, cert-manager, OpenShift. A real API server
//! validates the objects.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kipfix_tests::api_server::{ApiServer, User};
use kipfix_tests::program::{self, eventually};
use kipfix_tests::skip;
use serde_json::{Map, Value};

/// Values that other values exclude, or that switch an object off.
const NOT_TRIED: [&str; 14] = [
    "probe.enabled",
    "probe.exportToCollector",
    // `loopback` leaves the Service and the monitor of the probes out.
    "probe.admin.address",
    // `OnDelete` has no number of pods.
    "probe.updateStrategy.type",
    // A class that exists is not created.
    "probe.priorityClass.create",
    "collector.enabled",
    "collector.exporters.enabled",
    "collector.podDisruptionBudget.enabled",
    // Without it, the chart has an issuer of its own.
    "tls.certManager.issuerRef",
    "rbac.create",
    "serviceAccount.create",
    "prometheus.rules",
    "dashboards.enabled",
    "collector.resources.limits.memory",
];

/// A namespace whose name is a number if it is not quoted.
const NAMESPACE: &str = "0755";

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/helm/kipfix")
}

fn yaml(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

fn tried() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chart_objects/values.yaml")
}

/// The values, by path.
fn leaves(values: &Value) -> Map<String, Value> {
    fn walk(path: &str, value: &Value, out: &mut Map<String, Value>) {
        match value {
            Value::Object(members) if !members.is_empty() => {
                for (name, member) in members {
                    walk(&format!("{path}.{name}"), member, out);
                }
            }
            leaf => {
                out.insert(path[1..].to_owned(), leaf.clone());
            }
        }
    }
    let mut out = Map::new();
    walk("", values, &mut out);
    out
}

/// The directory of helm and kubectl. Calls [`skip`] and returns `None` if they cannot be built.
fn tools() -> Option<PathBuf> {
    built("cluster/build.sh")
}

fn built(script: &'static str) -> Option<PathBuf> {
    program::built_by(script)
        .map_err(|reason| skip(&reason))
        .ok()
}

fn rendered(tools: &Path, release: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(tools.join("helm"));
    command.args(["template", release, "--namespace", NAMESPACE]);
    command.arg(chart());
    command.arg("--values").arg(tried()).args(arguments);
    program::text(&mut command)
}

fn kinds(manifests: &str) -> BTreeSet<&str> {
    let kinds = manifests
        .lines()
        .filter_map(|line| line.strip_prefix("kind: "));
    kinds.map(str::trim).collect()
}

/// A server with all definitions.
struct Server {
    server: ApiServer,
    tools: PathBuf,
}

impl Server {
    fn kubectl(&self, arguments: &[&str], input: &str) -> Output {
        let mut kubectl = Command::new(self.tools.join("kubectl"));
        kubectl
            .arg("--kubeconfig")
            .arg(self.server.kubeconfig(User::Admin))
            .args(arguments);
        program::feed(&mut kubectl, input)
    }

    /// Sends objects for validation. Returns what the server refuses.
    fn validate(&self, manifests: &str) -> Result<(), String> {
        let arguments = ["apply", "--dry-run=server", "--validate=strict", "-f", "-"];
        let output = self.kubectl(&arguments, manifests);
        let refused = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success().then_some(()).ok_or(refused)
    }
}

fn server() -> Option<Server> {
    let (tools, others) = (tools()?, built("cluster/definitions.sh")?);
    let definitions = [tools.join("crds"), others];
    let server = ApiServer::start()?;
    let server = Server { server, tools };
    for folder in &definitions {
        let folder = folder.to_str().unwrap();
        let output = server.kubectl(&["apply", "--server-side", "-f", folder], "");
        let refused = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{folder}: {refused}");
    }
    let wait = ["wait", "--for=condition=Established", "crd", "--all"];
    let are_served = || server.kubectl(&wait, "").status.success();
    assert!(eventually(program::PATIENCE, are_served));
    let created = server.kubectl(&["create", "namespace", NAMESPACE], "");
    assert!(created.status.success());
    Some(server)
}

#[test]
fn every_value_of_the_chart_is_tried_with_another_value_than_the_default() {
    let defaults = leaves(&yaml(&chart().join("values.yaml")));
    let tried = leaves(&yaml(&tried()));
    let has_another = |path: &str| {
        let below = format!("{path}.");
        tried.iter().any(|(name, value)| {
            name.starts_with(&below) || name == path && defaults.get(path) != Some(value)
        })
    };
    let same = defaults.keys().filter(|path| !has_another(path));
    let is_tried = |path: &String| !NOT_TRIED.iter().any(|name| path.starts_with(name));
    let missing: Vec<&String> = same.filter(|path| is_tried(path)).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn every_object_of_the_chart_is_valid_with_the_definitions_of_its_project() {
    let Some(server) = server() else {
        return;
    };
    let manifests = rendered(&server.tools, "1e3", &[]);
    let mut expected = BTreeSet::new();
    let templates = chart().join("templates");
    for folder in [templates.clone(), templates.join("tests")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "yaml")
            {
                let text = fs::read_to_string(&path).unwrap();
                let plain = kinds(&text).into_iter().filter(|kind| !kind.contains('{'));
                expected.extend(plain.map(str::to_owned));
            }
        }
    }
    // One line of the template has both.
    expected.extend(["PodMonitor", "ServiceMonitor"].map(str::to_owned));
    assert!(
        expected.contains("HTTPRoute") && expected.len() > 15,
        "{expected:?}"
    );
    let found = kinds(&manifests).into_iter().map(str::to_owned).collect();
    assert_eq!(expected, found);
    assert_eq!(server.validate(&manifests), Ok(()));
    // The issuer of the user, a class that exists, and probes on the loopback interface.
    let others = [
        "--set=tls.certManager.issuerRef.name=1e3",
        "--set=tls.certManager.issuerRef.kind=ClusterIssuer",
        "--set=probe.priorityClass.create=false",
        "--set=probe.admin.address=loopback",
        "--set=probe.affinity=null",
        "--set=collector.exporters.type=NodePort",
    ];
    let manifests = rendered(&server.tools, "007", &others);
    assert_eq!(server.validate(&manifests), Ok(()));
}

#[test]
fn the_server_refuses_what_the_definitions_exclude() {
    let Some(server) = server() else {
        return;
    };
    let manifests = rendered(&server.tools, "kipfix", &[]);
    for (kind, right, wrong, named) in [
        ("HTTPRoute", "type: Exact,", "type: Same,", "matches"),
        ("HTTPRoute", "value: /api}", "value: api}", "path"),
        ("HTTPRoute", "- maps.example", "- Maps.example", "hostnames"),
        ("HTTPRoute", "backendRefs:", "backends:", "backends"),
        ("PodMonitor", "path: /metrics", "paths: /metrics", "paths"),
        (
            "ServiceMonitor",
            "honorLabels:",
            "honourLabels:",
            "honourLabels",
        ),
        ("PrometheusRule", "groups:", "group:", "group"),
        (
            "Certificate",
            "rotationPolicy: Always",
            "rotationPolicy: Often",
            "rotationPolicy",
        ),
        (
            "SecurityContextConstraints",
            "allowHostIPC: false",
            "allowHostIPC: 7",
            "allowHostIPC",
        ),
        (
            "NetworkPolicy",
            "cidr: \"10.0.0.0/8\"",
            "cidr: \"10.0.0.0\"",
            "cidr",
        ),
        ("Ingress", "pathType: Exact", "pathType: Same", "pathType"),
    ] {
        let mut documents = manifests.split("\n---");
        let of_kind = format!("\nkind: {kind}\n");
        let object = documents.find(|text| text.contains(&of_kind) && text.contains(right));
        let object = object.unwrap_or_else(|| panic!("no {kind} with {right}"));
        assert_eq!(server.validate(object), Ok(()));
        let refused = server.validate(&object.replace(right, wrong));
        let is_refused = refused.as_ref().is_err_and(|text| text.contains(named));
        assert!(is_refused, "{kind}, {wrong}: {refused:?}");
    }
}

#[test]
fn values_that_do_not_fit_together_are_refused_by_name() {
    let Some(tools) = tools() else {
        return;
    };
    let template = |release: &str, value: &str| {
        let mut command = Command::new(tools.join("helm"));
        command.args(["template", release]).arg(chart());
        program::ended(command.args(["--set", value]))
    };
    for (release, value, named) in [
        ("kipfix", "tls.certManager.enabled=true", "tls.enabled"),
        (
            "kipfix",
            "collector.geoip.files={city.mmdb}",
            "collector.geoip.volume",
        ),
        ("kipfix", "fullnameOverride=Kipfix_1", "fullnameOverride"),
        ("1e3", "rbac.create=true", "fullnameOverride"),
    ] {
        let output = template(release, value);
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && printed.contains(named),
            "{release}, {value}: {printed}"
        );
    }
    assert!(template("1e3", "fullnameOverride=flows").status.success());
}
