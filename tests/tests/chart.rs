//! The chart, its recipes and the plain manifests: rendered, validated with a real API server, and
//! consistent.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use kipfix_collector::inventory::cluster::ResourceKind;
use kipfix_tests::api_server::{ApiServer, User};
use kipfix_tests::program::{self, eventually};
use kipfix_tests::{schemas, skip};
use serde_json::Value;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The directory of helm, kubectl and kubeconform. Calls [`skip`] and returns `None` if they cannot
/// be built.
fn tools() -> Option<PathBuf> {
    let built = program::built_by("cluster/build.sh");
    built.map_err(|reason| skip(&reason)).ok()
}

/// Values files that are tried: none, each recipe, and all that can be switched on at once.
fn all_values() -> Vec<Vec<String>> {
    let mut recipes: Vec<String> = fs::read_dir(repository().join("deploy/helm/recipes"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .map(|path| format!("--values={}", path.display()))
        .collect();
    recipes.sort();
    assert!(recipes.len() > 10, "{recipes:?}");
    let everything = [
        "tls.enabled=true",
        "tls.certManager.enabled=true",
        "collector.replicas=3",
        "networkPolicy.enabled=true",
        "prometheus.operator=true",
        "prometheus.trafficRules.enabled=true",
        "collector.exporters.type=LoadBalancer",
        "openshift.enabled=true",
        "collector.geoip.volume.emptyDir.sizeLimit=1Gi",
        "collector.apiTokenSecret.name=kipfix-api",
        "collector.httpTls.secretName=kipfix-http",
        "collector.httpTls.clientCa=true",
        "collector.ingress.enabled=true",
        "collector.ingress.host=kipfix.example",
        "collector.ingress.tlsSecretName=kipfix-example",
        "probe.admin.tls.secretName=kipfix-admin",
        "prometheus.clientSecret=kipfix-client",
        "probe.admin.address=loopback",
    ];
    let mut all = vec![Vec::new()];
    all.extend(recipes.into_iter().map(|recipe| vec![recipe]));
    all.push(everything.map(|value| format!("--set={value}")).to_vec());
    all
}

fn helm(tools: &Path, verb: &[&str], values: &[String]) -> Output {
    let mut command = Command::new(tools.join("helm"));
    command
        .args(verb)
        .arg(repository().join("deploy/helm/kipfix"));
    command.args(values).stdin(Stdio::null()).output().unwrap()
}

fn succeeded(what: &str, output: &Output) -> String {
    assert!(
        output.status.success(),
        "{what}\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn rendered(tools: &Path, values: &[String]) -> String {
    succeeded(
        &format!("{values:?}"),
        &helm(tools, &["template", "kipfix"], values),
    )
}

/// The manifests without custom resources.
fn without(manifests: &str, kind: &str) -> String {
    let documents = manifests
        .split("\n---")
        .filter(|text| !text.contains(&format!("kind: {kind}\n")));
    documents.collect::<Vec<_>>().join("\n---")
}

#[test]
fn the_chart_has_no_lint_with_any_recipe() {
    let Some(tools) = tools() else {
        return;
    };
    for values in all_values() {
        succeeded(
            &format!("{values:?}"),
            &helm(&tools, &["lint", "--strict"], &values),
        );
    }
}

#[test]
fn a_value_that_is_not_one_is_refused_by_name() {
    let Some(tools) = tools() else {
        return;
    };
    for (value, named) in [
        ("probe.enabld=true", "enabld"),
        ("collector.replicas=-1", "replicas"),
        ("collector.exporters.type=NodePorts", "type"),
        ("collector.apiTokenSecret.key=../token", "key"),
        ("probe.admin.address=all", "address"),
        ("probe.settings.interfaces=eth0", "interfaces"),
        ("collector.settings.presets=pods", "presets"),
        ("collector.settings.preset={pods,podz}", "workloads"),
        ("collector.settings.preset=pods", "preset"),
        ("collector.settings.flow_log_format=xml", "json"),
        ("collector.settings.read={export.pcap}", "read"),
    ] {
        let output = helm(&tools, &["template", "kipfix"], &[format!("--set={value}")]);
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && printed.contains(named),
            "{value}: {printed}"
        );
    }
    let nowhere = ["--set=collector.enabled=false".to_owned()];
    let output = helm(&tools, &["template", "kipfix"], &nowhere);
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(printed.contains("nowhere to export to"), "{printed}");
}

#[test]
fn every_recipe_is_valid_for_a_real_api_server() {
    let (Some(tools), Some(server)) = (tools(), ApiServer::start()) else {
        return;
    };
    let kubeconfig = server.kubeconfig(User::Admin);
    let kubectl = || {
        let mut command = Command::new(tools.join("kubectl"));
        command.arg("--kubeconfig").arg(&kubeconfig);
        command
    };
    let crds = tools.join("crds");
    let crds = kubectl()
        .args(["apply", "--server-side", "-f"])
        .arg(&crds)
        .output()
        .unwrap();
    succeeded("definitions of others' resources", &crds);
    let folder = tempfile::tempdir().unwrap();
    let published = || {
        let openapi = server.admin().text("/openapi/v2").unwrap();
        schemas::write(&openapi, folder.path());
        [
            "servicemonitor-monitoring-v1.json",
            "certificate-cert-manager-v1.json",
        ]
        .iter()
        .all(|file| folder.path().join(file).exists())
    };
    assert!(eventually(program::PATIENCE, published));
    let conform = |manifests: &str| {
        let location = format!(
            "{}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json",
            folder.path().display()
        );
        let mut command = Command::new(tools.join("kubeconform"));
        command.args(["-strict", "-summary", "-schema-location", &location]);
        program::feed(&mut command, manifests)
    };
    let try_on = |manifests: &str| {
        let mut command = kubectl();
        command.args(["apply", "--dry-run=server", "--validate=strict", "-f", "-"]);
        program::feed(&mut command, manifests)
    };
    // All at once: nothing is kept of a dry run, so the same names do no harm.
    let manifests = all_values().into_iter().map(|values| {
        let manifests = rendered(&tools, &values);
        without(&manifests, "SecurityContextConstraints")
    });
    let manifests = manifests.collect::<Vec<_>>().join("\n---\n");
    succeeded("kubeconform", &conform(&manifests));
    succeeded("dry run", &try_on(&manifests));
    // Both can refuse.
    let right = rendered(&tools, &[]);
    let typo = right.replace("hostNetwork:", "hostNetwrk:");
    assert!(typo != right && !conform(&typo).status.success() && !try_on(&typo).status.success());
}

/// The objects of manifests. A key that a map has twice is an error, as it is for kustomize, for the
/// post-renderers of Flux and for kubeconform.
fn objects(manifests: &str) -> Vec<Value> {
    let documents = manifests.split("\n---").map(|text| {
        serde_saphyr::from_str::<Value>(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
    });
    documents.filter(Value::is_object).collect()
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects
        .iter()
        .find(|one| one["kind"] == kind && one["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("{kind} {name}"))
}

#[test]
fn a_key_that_the_chart_sets_too_has_the_value_of_the_user_and_is_there_once() {
    let Some(tools) = tools() else {
        return;
    };
    let mut values = vec![
        "--set-json=prometheus.labels={\"app.kubernetes.io/part-of\": \"monitoring\"}".to_owned(),
        "--set-json=dashboards.labels={\"app.kubernetes.io/part-of\": \"grafana\"}".to_owned(),
    ];
    for part in ["probe", "collector"] {
        values.extend([
            format!("--set-json={part}.nodeSelector={{\"kubernetes.io/os\": \"linux\", \"pool\": \"a\"}}"),
            format!("--set-json={part}.podLabels={{\"app.kubernetes.io/part-of\": \"observability\", \"app.kubernetes.io/name\": \"mine\"}}"),
            format!("--set-json={part}.podAnnotations={{\"prometheus.io/scrape\": \"false\"}}"),
        ]);
    }
    for operator in ["true", "false"] {
        let operator = format!("--set=prometheus.operator={operator}");
        let objects = objects(&rendered(&tools, &[&values[..], &[operator]].concat()));
        let pods = [
            &find(&objects, "DaemonSet", "kipfix-probe")["spec"]["template"],
            &find(&objects, "Deployment", "kipfix-collector")["spec"]["template"],
            find(&objects, "Pod", "kipfix-check"),
        ];
        for pod in pods {
            let metadata = &pod["metadata"];
            assert_eq!(metadata["annotations"]["prometheus.io/scrape"], "false");
            let part_of = &metadata["labels"]["app.kubernetes.io/part-of"];
            assert_eq!(part_of, "observability");
            // What selects the pod is not the user's.
            assert_eq!(metadata["labels"]["app.kubernetes.io/name"], "kipfix");
            let nodes = serde_json::json!({"kubernetes.io/os": "linux", "pool": "a"});
            assert_eq!(pod["spec"]["nodeSelector"], nodes);
        }
    }
}

#[test]
fn the_check_runs_where_collectors_run_and_may_ask_them() {
    let Some(tools) = tools() else {
        return;
    };
    let values = [
        "--set-json=collector.tolerations=[{\"key\": \"infra\", \"operator\": \"Exists\"}]",
        "--set-json=collector.podLabels={\"sidecar.istio.io/inject\": \"false\"}",
        "--set=collector.nodeSelector.pool=infra",
        "--set=check.resources.limits.cpu=100m",
        "--set=networkPolicy.enabled=true",
        "--set-json=networkPolicy.scrapers=[{\"podSelector\": {}}]",
    ];
    let objects = objects(&rendered(&tools, &values.map(str::to_owned)));
    let check = find(&objects, "Pod", "kipfix-check");
    assert_eq!(check["spec"]["tolerations"][0]["key"], "infra");
    assert_eq!(check["spec"]["nodeSelector"]["pool"], "infra");
    let labels = &check["metadata"]["labels"];
    assert_eq!(labels["sidecar.istio.io/inject"], "false");
    let limits = &check["spec"]["containers"][0]["resources"]["limits"];
    assert_eq!(limits["cpu"], "100m");
    let policy = find(&objects, "NetworkPolicy", "kipfix-collector");
    let peers = policy["spec"]["ingress"][1]["from"].as_array().unwrap();
    let is_check = |peer: &Value| {
        let selected = peer["podSelector"]["matchLabels"].as_object();
        selected.is_some_and(|selected| selected.iter().all(|(key, value)| labels[key] == *value))
    };
    assert!(peers.iter().any(is_check), "{peers:?}");
}

#[test]
fn a_chart_with_build_metadata_in_its_version_has_valid_labels() {
    let Some(tools) = tools() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let package = Command::new(tools.join("helm"))
        .args(["package", "--version", "0.1.0+b7cf21c2a.1"])
        .args(["--app-version", "0.1.0+b7cf21c2a", "--destination"])
        .arg(folder.path())
        .arg(repository().join("deploy/helm/kipfix"))
        .output()
        .unwrap();
    succeeded("package", &package);
    let chart = folder.path().join("kipfix-0.1.0+b7cf21c2a.1.tgz");
    let output = Command::new(tools.join("helm"))
        .args(["template", "kipfix"])
        .arg(chart)
        .output()
        .unwrap();
    let valid = regex::Regex::new("^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$").unwrap();
    for object in objects(&succeeded("template", &output)) {
        let pod = &object["spec"]["template"]["metadata"]["labels"];
        for labels in [&object["metadata"]["labels"], pod] {
            for (label, value) in labels.as_object().into_iter().flatten() {
                assert!(valid.is_match(value.as_str().unwrap()), "{label}: {value}");
            }
        }
    }
}

#[test]
fn a_parent_chart_can_have_it_on_a_condition() {
    let Some(tools) = tools() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let parent = "{apiVersion: v2, name: parent, version: 1.0.0, dependencies: \
                  [{name: kipfix, version: 0.1.0, condition: kipfix.enabled}]}";
    fs::write(folder.path().join("Chart.yaml"), parent).unwrap();
    fs::create_dir(folder.path().join("charts")).unwrap();
    let chart = repository().join("deploy/helm/kipfix").canonicalize();
    std::os::unix::fs::symlink(chart.unwrap(), folder.path().join("charts/kipfix")).unwrap();
    for (enabled, expected) in [("true", true), ("false", false)] {
        let output = Command::new(tools.join("helm"))
            .args(["template", "stack"])
            .arg(folder.path())
            .arg(format!("--set=kipfix.enabled={enabled}"))
            .output()
            .unwrap();
        let manifests = succeeded(enabled, &output);
        assert_eq!(manifests.contains("kind: DaemonSet"), expected);
    }
}

#[test]
fn the_plain_manifests_are_the_chart() {
    let Some(tools) = tools() else {
        return;
    };
    let script = repository().join("deploy/helm/manifest.sh");
    let made = Command::new(script)
        .arg(tools.join("helm"))
        .output()
        .unwrap();
    assert!(
        succeeded("manifest.sh", &made) == read("deploy/kipfix.yaml"),
        "deploy/kipfix.yaml is out of date: run `make manifest`"
    );
}

#[test]
fn the_token_of_the_api_is_mounted_where_the_collector_reads_it() {
    let Some(tools) = tools() else {
        return;
    };
    let set = ["name=api-access", "key=bearer"];
    let set = set.map(|value| format!("--set=collector.apiTokenSecret.{value}"));
    let manifests = rendered(&tools, &set);
    for part in [
        "http_token_file: /etc/kipfix/api-token/bearer\n",
        "mountPath: /etc/kipfix/api-token, readOnly: true",
        "secretName: \"api-access\"\n",
        "items: [{key: \"bearer\", path: \"bearer\"}]\n",
    ] {
        assert!(manifests.contains(part), "{part}");
    }
    assert!(!rendered(&tools, &[]).contains("token_file"));
}

#[test]
fn a_setting_that_is_off_without_quotes_is_off() {
    let Some(tools) = tools() else {
        return;
    };
    let manifests = rendered(
        &tools,
        &["--set-json=probe.settings={\"names\": false}".to_owned()],
    );
    let line = manifests.lines().find(|line| line.contains(" names:"));
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), line.unwrap().trim()).unwrap();
    let mut probe = Command::new(program::binary("kipfix-probe"));
    probe.args([
        "--check",
        "--read",
        "none.pcap",
        "--export",
        "udp://127.0.0.1:1",
        "--config",
    ]);
    let output = probe.arg(file.path()).output().unwrap();
    let settings = succeeded("--check", &output);
    assert!(settings.contains("\nnames: \"off\"\n"), "{settings}");
}

#[test]
fn a_probe_that_reads_the_connection_table_may_do_so() {
    let Some(tools) = tools() else {
        return;
    };
    let set = ["probe.conntrack=true", "openshift.enabled=true"];
    let manifests = rendered(&tools, &set.map(|value| format!("--set={value}")));
    // The pod, and the SecurityContextConstraints that allow it.
    assert_eq!(manifests.matches("- NET_ADMIN\n").count(), 2);
    assert!(manifests.contains("    conntrack: true\n"));
    let default = rendered(&tools, &["--set=openshift.enabled=true".to_owned()]);
    assert!(!default.contains("NET_ADMIN") && !default.contains("conntrack: "));
}

#[test]
fn values_switch_the_metering_of_messages_on() {
    let Some(tools) = tools() else {
        return;
    };
    let set = ["probe.dnsMetering=true", "probe.httpMetering=true"];
    let manifests = rendered(&tools, &set.map(|value| format!("--set={value}")));
    for setting in ["dns_metering", "http_metering"] {
        assert!(
            manifests.contains(&format!("    {setting}: true\n")),
            "{setting}"
        );
    }
    assert!(!rendered(&tools, &[]).contains("_metering"));
}

#[test]
fn a_port_with_tls_is_read_with_tls_by_everything_that_the_chart_creates() {
    let Some(tools) = tools() else {
        return;
    };
    let set = [
        "collector.httpTls.secretName=web",
        "collector.httpTls.clientCa=true",
        "probe.admin.tls.secretName=node",
        "prometheus.clientSecret=scraper",
    ];
    let mut values = set.map(|value| format!("--set={value}")).to_vec();
    let annotated = rendered(&tools, &values);
    assert_eq!(annotated.matches("prometheus.io/scheme: https").count(), 2);
    values.push("--set=prometheus.operator=true".into());
    let manifests = rendered(&tools, &values);
    for (part, count) in [
        ("http_tls_cert: /etc/kipfix/http-tls/tls.crt\n", 1),
        ("http_client_ca: /etc/kipfix/http-tls/ca.crt\n", 1),
        ("admin_tls_key: /etc/kipfix/admin-tls/tls.key\n", 1),
        ("admin_client_ca", 0),
        // Startup, liveness and readiness, of both.
        ("scheme: HTTPS}", 6),
        ("      scheme: https\n", 2),
        ("ca: {secret: {name: \"web\", key: ca.crt}}", 1),
        ("ca: {secret: {name: \"node\", key: ca.crt}}", 1),
        // Only the collector requires it.
        ("keySecret: {name: \"scraper\", key: tls.key}", 1),
        (
            "- --collector-ca\n        - /etc/kipfix/http-tls/ca.crt\n",
            1,
        ),
        ("- --probe-ca\n        - /etc/kipfix/admin-tls/ca.crt\n", 1),
        ("- --cert\n        - /etc/kipfix/client/tls.crt\n", 1),
    ] {
        assert_eq!(manifests.matches(part).count(), count, "{part}");
    }
    let plain = rendered(&tools, &["--set=prometheus.operator=true".to_owned()]);
    for part in ["_tls_cert", "HTTPS", "scheme: https", "--collector-ca"] {
        assert!(!plain.contains(part), "{part}");
    }
    let alone = ["--set=collector.httpTls.clientCa=true".to_owned()];
    let output = helm(&tools, &["template", "kipfix"], &alone);
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(printed.contains("needs secretName"), "{printed}");
}

#[test]
fn the_page_is_exposed_on_request_and_metrics_never() {
    let Some(tools) = tools() else {
        return;
    };
    let set = [
        "collector.ingress.enabled=true",
        "collector.ingress.host=map.example",
        "collector.httpRoute.enabled=true",
        "collector.httpRoute.parentRefs[0].name=public",
        "collector.httpRoute.hostnames[0]=map.example",
    ];
    let values = set.map(|value| format!("--set={value}")).to_vec();
    let manifests = rendered(&tools, &values);
    let of_kind = |kind: &str| {
        let mut documents = manifests.split("\n---");
        let document = documents.find(|text| text.contains(&format!("kind: {kind}\n")));
        document.unwrap().to_owned()
    };
    let ingress = of_kind("Ingress");
    let lines = ingress.lines().map(str::trim);
    let paths: Vec<&str> = lines.filter(|line| line.starts_with("- path:")).collect();
    assert_eq!(paths, ["- path: /", "- path: /api", "- path: /assets"]);
    assert!(ingress.contains("path: /\n            pathType: Exact\n"));
    let route = of_kind("HTTPRoute");
    let lines = route.lines().map(str::trim);
    let paths: Vec<&str> = lines.filter(|line| line.starts_with("- path:")).collect();
    let expected = [
        "- path: {type: Exact, value: /}",
        "- path: {type: PathPrefix, value: /api}",
        "- path: {type: PathPrefix, value: /assets}",
    ];
    assert_eq!(paths, expected);
    assert!(route.contains("backendRefs:\n        - {name: kipfix-page, port: 8080}"));
    let usual = rendered(&tools, &[]);
    assert!(!usual.contains("kind: Ingress\n") && !usual.contains("kipfix-page"));
    for (value, named) in [
        ("collector.ingress.enabled=true", "collector.ingress.host"),
        ("collector.httpRoute.enabled=true", "parentRefs"),
    ] {
        let output = helm(&tools, &["template", "kipfix"], &[format!("--set={value}")]);
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(printed.contains(named), "{printed}");
    }
}

#[test]
fn settings_that_are_reloaded_do_not_replace_the_pods() {
    let Some(tools) = tools() else {
        return;
    };
    let checksum = |set: &str| {
        let values = match set {
            "" => Vec::new(),
            set => vec![format!("--set-json=collector.settings={set}")],
        };
        let manifests = rendered(&tools, &values);
        let collector = manifests
            .split("\n---")
            .find(|text| text.contains("kind: Deployment\n"))
            .unwrap();
        // Not a subPath, which is never updated.
        assert!(!collector.contains("subPath:"));
        let line = collector
            .lines()
            .find(|line| line.contains("checksum/settings"));
        line.unwrap().to_owned()
    };
    let unchanged = checksum("");
    let text = |key: &str| match key {
        "max_series" | "flow_log_sample" => "7".to_owned(),
        "preset" => r#"["pods"]"#.to_owned(),
        "metrics" | "flow_log_fields" => "[]".to_owned(),
        "flow_log_format" => r#""logfmt""#.to_owned(),
        "flow_log_records" => r#""all""#.to_owned(),
        _ => r#""x""#.to_owned(),
    };
    for key in kipfix_collector::settings::RELOADED {
        let set = format!("{{\"{key}\": {}}}", text(key));
        assert_eq!(checksum(&set), unchanged, "{key}");
    }
    assert_ne!(checksum(r#"{"workers": 2}"#), unchanged);
}

#[test]
fn the_collector_may_read_what_it_watches_and_nothing_else() {
    let kinds = ResourceKind::ALL.iter();
    let watched: BTreeSet<&str> = kinds.map(Into::into).collect();
    assert!(watched.contains("pods"), "{watched:?}");
    let manifests = read("deploy/kipfix.yaml");
    let role = manifests
        .split("\n---")
        .find(|text| text.contains("kind: ClusterRole\n"))
        .unwrap();
    let lists = |field: &str| -> Vec<BTreeSet<String>> {
        let lines = role
            .lines()
            .filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix(field));
        let list = |line: &str| {
            line.trim_matches([':', ' ', '[', ']'])
                .split(", ")
                .map(str::to_owned)
                .collect()
        };
        lines.map(list).collect()
    };
    let granted: BTreeSet<String> = lists("resources").into_iter().flatten().collect();
    let granted: BTreeSet<&str> = granted.iter().map(String::as_str).collect();
    assert_eq!(granted, watched);
    let reading: BTreeSet<String> = ["get", "list", "watch"].map(str::to_owned).into();
    assert!(lists("verbs").iter().all(|verbs| *verbs == reading));
}

#[test]
fn every_value_is_described() {
    fn walk(path: &str, schema: &Value, missing: &mut Vec<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            if property["description"].as_str().is_none_or(str::is_empty) {
                missing.push(path.clone());
            }
            walk(&path, property, missing);
        }
        if schema["items"].is_object() {
            walk(path, &schema["items"], missing);
        }
    }
    let schema = serde_json::from_str(&read("deploy/helm/kipfix/values.schema.json")).unwrap();
    let mut missing = Vec::new();
    walk("", &schema, &mut missing);
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn what_is_installed_is_of_one_version() {
    let version = env!("CARGO_PKG_VERSION");
    let chart = read("deploy/helm/kipfix/Chart.yaml");
    assert!(
        chart.contains(&format!("\nversion: {version}\n")),
        "{chart}"
    );
    assert!(
        chart.contains(&format!("\nappVersion: {version}\n")),
        "{chart}"
    );
    let dockerfile = read("deploy/images/Dockerfile");
    let label = format!("org.opencontainers.image.version=\"{version}\"");
    assert_eq!(dockerfile.matches(&label).count(), 2);
}

#[test]
fn the_dockerfile_makes_what_make_images_makes() {
    let dockerfile = read("deploy/images/Dockerfile");
    let script = read("deploy/images/src/archives.rs");
    let chart = read("deploy/helm/kipfix/templates/probe.yaml");
    for part in ["probe", "collector"] {
        let stage = dockerfile
            .split(&format!("FROM scratch AS {part}\n"))
            .nth(1)
            .unwrap();
        let stage = stage.split("\nFROM ").next().unwrap();
        let has = |line: &str| assert!(stage.contains(line), "{part}: {line}");
        has("USER 65532:65532");
        has(&format!("ENTRYPOINT [\"/kipfix-{part}\"]"));
        has(&format!("org.opencontainers.image.title=\"kipfix-{part}\""));
        for copied in [
            "/usr/share/kipfix/LICENSE",
            "/usr/share/kipfix/sbom.cdx.json",
        ] {
            has(copied);
            assert!(script.contains(copied));
        }
        for line in stage
            .lines()
            .filter_map(|line| line.strip_prefix("EXPOSE "))
        {
            for port in line.split(' ') {
                assert!(script.contains(&format!(".port(\"{port}\")")), "{port}");
            }
        }
    }
    assert!(dockerfile.contains("setcap cap_net_raw,cap_net_admin+p /images/kipfix-probe"));
    assert!(chart.contains("command: [/kipfix-probe]") && chart.contains("runAsUser: 65532"));
}
