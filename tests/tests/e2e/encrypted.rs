//! TLS between probes and collectors, with certificates of one's own.

use std::time::Duration;

use kipfix_tests::certificates;
use kipfix_tests::nodes::{Meter, Nodes, within};
use kipfix_tests::prometheus::Prometheus;

use crate::release::{NAMESPACE, Release};
use crate::shop::{Shop, call, pod_address, workload};

/// Makes a secret of the kind that cert-manager makes.
fn secret(nodes: &Nodes, folder: &std::path::Path, name: &str) {
    let file = |file: &str| folder.join(file).display().to_string();
    nodes.kubectl(&format!(
        "create secret generic {name} --namespace {NAMESPACE} --from-file=ca.crt={} \
         --from-file=tls.crt={} --from-file=tls.key={}",
        file("ca.crt"),
        file(&format!("{name}.crt")),
        file(&format!("{name}.key")),
    ));
}

pub fn exported(nodes: &Nodes) {
    Release::namespace(nodes);
    let folder = tempfile::tempdir().unwrap();
    let host = format!("kipfix-collector.{NAMESPACE}.svc");
    let parts = [("for-collectors", host.as_str()), ("for-probes", "probe")];
    certificates::write(folder.path(), &parts);
    for (name, _) in parts {
        secret(nodes, folder.path(), name);
    }
    let shop = [
        workload("client", 1, 7000, false),
        workload("far", 2, 7000, false),
    ];
    let _shop = Shop::open(nodes, &shop.concat());
    let release = Release::install(
        nodes,
        "kipfix",
        &[
            "probe.settings={\"active_timeout\": \"5s\", \"idle_timeout\": \"2s\"}",
            "tls={\"enabled\": true, \"collectorSecret\": \"for-collectors\", \"probeSecret\": \"for-probes\"}",
            "collector.drainSeconds=0",
        ],
    );
    let prometheus = Prometheus::by_annotations(nodes);
    let scraped = || prometheus.up("pod").len() == 4;
    assert!(within(Duration::from_secs(60), scraped));
    let in_the_clear = Meter::leaving(nodes, 1, "--protocol udp --destination-port 4739");
    let far = pod_address(nodes, "far");
    let asked = Meter::leaving(nodes, 1, &format!("--protocol tcp --destination {far}"));
    call(nodes, "client", &format!("tcp {far}:7000 20 400 3000"));

    let of_client = "{src_workload=\"client\",dst_workload=\"far\"}";
    prometheus.expect(&format!("sum(kipfix_connections_total{of_client})"), 20);
    prometheus.expect(
        &format!("sum(kipfix_bytes_total{of_client})"),
        asked.read().0,
    );
    // One per probe, and no others.
    prometheus.expect("sum(kipfix_collector_connections)", 3);
    prometheus.expect("sum(kipfix_collector_connections_accepted_total)", 3);
    prometheus.expect_zero(
        "sum(kipfix_probe_target_records_sent_total{target=~\"tls:.*\"}) - sum(kipfix_collector_records_total)",
    );
    // Records from before a collector had an address are lost and counted.
    prometheus.expect_zero("sum(kipfix_probe_target_records_lost_total{reason!=\"unresolved\"})");
    assert_eq!(in_the_clear.read(), (0, 0));
    release.uninstall();
    nodes.kubectl(&format!(
        "delete secret --namespace {NAMESPACE} {} {}",
        parts[0].0, parts[1].0
    ));
}
