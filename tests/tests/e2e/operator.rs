//! The way of the Prometheus operator: the real one finds our monitors and makes a configuration of
//! them, with which a real Prometheus scrapes every pod.

use std::process::Stdio;
use std::time::Duration;

use flate2::read::GzDecoder;
use kipfix_tests::dashboards;
use kipfix_tests::nodes::{Nodes, OUTSIDE_ROUTED, within};
use kipfix_tests::program::{self, Running};
use kipfix_tests::prometheus::{Prometheus, TARGET_LABELS};

use crate::release::Release;
use crate::shop::{Shop, call, call_from_outside, pod_address, serve_outside, workload};

pub fn monitors(nodes: &Nodes) {
    for crd in [
        "podmonitors",
        "servicemonitors",
        "prometheusrules",
        "prometheuses",
        "probes",
        "scrapeconfigs",
        "alertmanagers",
        "alertmanagerconfigs",
        "thanosrulers",
        "prometheusagents",
    ] {
        let file = nodes
            .built("crds")
            .join(format!("monitoring.coreos.com_{crd}.yaml"));
        nodes.kubectl(&format!("apply --server-side -f {}", file.display()));
    }
    nodes.kubectl("wait --for=condition=Established crd --all --timeout=60s");
    let folder = tempfile::tempdir().unwrap();
    let log = std::fs::File::create(folder.path().join("operator.log")).unwrap();
    let mut operator = nodes.inside("cp", nodes.built("operator").to_str().unwrap());
    operator.arg("--apiserver=https://172.30.0.1:6443");
    for (flag, file) in [
        ("ca-file", "ca.crt"),
        ("cert-file", "to-kubelet.crt"),
        ("key-file", "to-kubelet.key"),
    ] {
        operator.arg(format!("--{flag}={}", nodes.credential(file).display()));
    }
    let _operator = Running::start(
        operator
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log),
    );

    let release = Release::install(
        nodes,
        "kipfix",
        &[
            "prometheus.interval=\"2s\"",
            "prometheus.labels={\"release\": \"it\"}",
            "collector.drainSeconds=0",
            "probe.settings={\"active_timeout\": \"5s\", \"idle_timeout\": \"2s\"}",
            "collector.settings={\"preset\": [\"workloads\", \"nodes\", \"zones\", \"external\", \"health\", \"pods\", \"services\", \"opencost\"], \"cidr\": [\"192.168.50.0/24=office\"]}",
        ],
    );
    let tokens = std::fs::read_to_string(nodes.credential("tokens.csv")).unwrap();
    let token = tokens
        .lines()
        .find(|line| line.contains(",admin,"))
        .unwrap()
        .split(',')
        .next()
        .unwrap();
    // No replicas, because there is no image. A Prometheus outside the cluster reads the same
    // configuration.
    nodes.apply(&format!(
        r#"
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {{name: it, namespace: {}}}
spec:
  replicas: 0
  version: v3.5.0
  evaluationInterval: 2s
  apiserverConfig: {{host: "https://172.30.0.1:6443", bearerToken: {token}, tlsConfig: {{insecureSkipVerify: true}}}}
  podMonitorSelector: {{matchLabels: {{release: it}}}}
  serviceMonitorSelector: {{matchLabels: {{release: it}}}}
  ruleSelector: {{matchLabels: {{release: it}}}}
"#,
        release.namespace
    ));
    let mut configuration = String::new();
    let made = within(Duration::from_secs(60), || {
        let secret = nodes.try_kubectl(&format!(
            "get secret prometheus-it --namespace {} --output jsonpath={{.data.prometheus\\.yaml\\.gz}}",
            release.namespace
        ));
        let packed = String::from_utf8_lossy(&secret.stdout).into_owned();
        let file = folder.path().join("packed");
        std::fs::write(&file, packed.trim()).unwrap();
        let octets = program::output(
            std::process::Command::new("base64")
                .arg("--decode")
                .arg(&file),
        )
        .stdout;
        configuration.clear();
        std::io::Read::read_to_string(&mut GzDecoder::new(octets.as_slice()), &mut configuration)
            .ok();
        configuration.contains("podMonitor") && configuration.contains("serviceMonitor")
    });
    let log = std::fs::read_to_string(folder.path().join("operator.log")).unwrap_or_default();
    assert!(
        made,
        "the operator made no configuration of the monitors\n{configuration}\n{log}"
    );
    // Both of our monitors, with the ports by the names that the pods have.
    for job in [
        format!("podMonitor/{}/kipfix-probe/0", release.namespace),
        format!("serviceMonitor/{}/kipfix-collector/0", release.namespace),
    ] {
        let config = configuration
            .split("- job_name: ")
            .find(|text| text.starts_with(&job));
        let config = config.unwrap_or_else(|| panic!("{job} is not in {configuration}"));
        let port = if job.starts_with("pod") {
            "admin"
        } else {
            "http"
        };
        assert!(config.contains(&format!("regex: {port}\n")), "{config}");
        assert!(config.contains("scrape_interval: 2s"), "{config}");
    }
    println!("  the operator made scrape configurations of the PodMonitor and the ServiceMonitor");
    // In a Prometheus of the operator, a reloader sets these.
    let configuration = configuration
        .replace("$(POD_NAME)", "prometheus-it-0")
        .replace("$(SHARD)", "0");
    // The rules are where it put them: in a ConfigMap, mounted.
    let rules = nodes.get(&format!(
        "configmap --namespace {} prometheus-it-rulefiles-0",
        release.namespace
    ));
    for (name, text) in rules["data"].as_object().unwrap() {
        std::fs::write(folder.path().join(name), text.as_str().unwrap()).unwrap();
    }
    let configuration = configuration.replace(
        "/etc/prometheus/rules/prometheus-it-rulefiles-0",
        &folder.path().to_string_lossy(),
    );
    let prometheus = Prometheus::start(nodes, &configuration);
    release.scraped_by(&prometheus, 4);
    panels(nodes, &prometheus);
    conserved(&prometheus);
    for (job, pods) in [("probe", 3), ("collector", 1)] {
        let up = format!("sum(up{{job=~\".*kipfix-{job}\"}})");
        prometheus.expect(&up, pods);
    }
    prometheus.expect_zero(
        "sum(kipfix_probe_target_records_sent_total) - sum(kipfix_collector_records_total)",
    );
    drop(prometheus);
    nodes.kubectl(&format!(
        "delete prometheus it --namespace {}",
        release.namespace
    ));
    release.uninstall();
}

/// Families of several presets have the same sums of the same traffic.
fn conserved(prometheus: &Prometheus<'_>) {
    for (one, other) in [
        (
            "kubecost_pod_network_egress_bytes_total",
            r#"kipfix_pod_bytes_total{src_pod!=""}"#,
        ),
        (
            "kubecost_pod_network_ingress_bytes_total",
            r#"kipfix_pod_bytes_total{dst_pod!=""}"#,
        ),
        (
            r#"kubecost_pod_network_egress_bytes_total{internet="true"}"#,
            r#"kipfix_pod_bytes_total{src_pod!="",class=~".+_to_external"}"#,
        ),
    ] {
        prometheus.expect_zero(&format!("sum({one}) - sum({other})"));
    }
    let connections =
        r#"kipfix_service_connections_total{dst_namespace="shop",dst_service="far",port="80"}"#;
    assert!(prometheus.sum(connections) >= 12.0, "{connections}");
}

/// Every panel of every dashboard has something to show, while pods talk to each other, to nodes
/// and to the outside.
fn panels(nodes: &Nodes, prometheus: &Prometheus<'_>) {
    let shop = [
        workload("client", 1, 7000, false),
        workload("far", 2, 7000, false),
        workload("host", 3, 7001, true),
        "---\n{apiVersion: v1, kind: Service, metadata: {name: far, namespace: shop}, \
         spec: {selector: {app: far}, ports: [{port: 80, targetPort: 7000}]}}\n"
            .to_owned(),
    ];
    let _shop = Shop::open(nodes, &shop.concat());
    let _outside = serve_outside(nodes);
    let far = pod_address(nodes, "far");
    let service = nodes.get("service --namespace shop far")["spec"]["clusterIP"].clone();
    let service = service.as_str().unwrap();
    let to_service = format!(
        "exec --namespace shop deployment/client -- /kipfix-traffic call tcp {service}:80 6 300 2000"
    );
    let is_served = || nodes.try_kubectl(&to_service).status.success();
    assert!(within(Duration::from_secs(60), is_served), "{to_service}");
    let talk = || {
        call(nodes, "client", &format!("tcp {far}:7000 10 400 3000"));
        call(nodes, "client", &format!("tcp {service}:80 6 300 2000"));
        call(
            nodes,
            "client",
            &format!("tcp {}:7001 5 500 1000", nodes.address(3)),
        );
        call(
            nodes,
            "client",
            &format!("tcp {OUTSIDE_ROUTED}:7002 4 250 9000"),
        );
        call_from_outside(nodes, &format!("tcp {far}:7000 3 300 700"));
    };
    let queries = dashboards::queries("1m", "5m");
    // A rate needs two scrapes of a series, and traffic between them.
    let mut empty = Vec::new();
    let full = within(Duration::from_secs(60), || {
        talk();
        let is_empty = |query: &&dashboards::Query| prometheus.query(&query.expr).is_empty();
        empty = queries.iter().filter(is_empty).cloned().collect();
        empty.is_empty()
    });
    println!(
        "  {} of {} queries of the dashboards find data",
        queries.len() - empty.len(),
        queries.len()
    );
    assert!(full, "no data: {empty:#?}");
    // Traffic metrics and target labels have no label in common.
    for label in TARGET_LABELS {
        let renamed = format!("{{__name__=~\"kipfix_.+\",exported_{label}!=\"\"}}");
        assert_eq!(prometheus.query(&renamed), [], "{label}");
    }
}
