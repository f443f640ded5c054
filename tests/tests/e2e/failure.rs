//! Loss accounting when a collector is stopped or killed under load.

use std::time::{Duration, Instant};

use kipfix_tests::nodes::Nodes;
use kipfix_tests::prometheus::Prometheus;

use crate::release::Release;
use crate::shop::{Shop, call, pod_address, workload};

const VALUES: &str = "probe.settings={\"active_timeout\": \"5s\", \"idle_timeout\": \"2s\"}";

/// Sends questions all the while, and compares in the end what probes sent with what collectors
/// counted, those that are gone included.
fn under_load(nodes: &Nodes, collectors: usize, disturb: impl FnOnce(&Release<'_>)) {
    let shop = [
        workload("client", 1, 7000, false),
        workload("far", 3, 7000, false),
    ];
    let _shop = Shop::open(nodes, &shop.concat());
    let release = Release::install(
        nodes,
        "kipfix",
        &[VALUES, &format!("collector.replicas={collectors}")],
    );
    let prometheus = Prometheus::by_annotations(nodes);
    release.scraped_by(&prometheus, 3 + collectors);
    let far = pod_address(nodes, "far");
    // Longer than the shutdown of a collector, and than probes cache a name.
    let questions = 5000;
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            call(
                nodes,
                "client",
                &format!("udp {far}:7000 {questions} 200 400 10"),
            );
        });
        std::thread::sleep(Duration::from_secs(5));
        disturb(&release);
        load.join().unwrap();
    });
    println!("  load for {:?}", begun.elapsed());
    // A pod that is gone keeps its last value for the time of the range.
    let total = |metric: &str| format!("sum(max_over_time({metric}[15m]))");
    let sent = total("kipfix_probe_target_records_sent_total");
    let collected = total("kipfix_collector_records_total");
    let lost = total("kipfix_collector_sequence_lost_total");
    prometheus.expect_zero(&format!("{sent} - {collected} - {lost}"));
    prometheus.expect_zero(&lost);
    let bytes = total("kipfix_bytes_total{src_workload=\"client\",dst_workload=\"far\"}");
    prometheus.expect(&bytes, questions * 228);
}

pub fn deleted(nodes: &Nodes) {
    under_load(nodes, 1, |release| {
        let pod = release.pods("collector").remove(0);
        nodes.kubectl(&format!(
            "delete pod --namespace {} {pod} --wait=false",
            release.namespace
        ));
    });
}

pub fn drained(nodes: &Nodes) {
    under_load(nodes, 2, |release| {
        let pod = release.pods("collector").remove(0);
        let node = nodes.get(&format!("pod --namespace {} {pod}", release.namespace));
        let node = node["spec"]["nodeName"].as_str().unwrap().to_owned();
        // The generator's own pods tolerate everything, and stay.
        nodes.kubectl(&format!(
            "drain {node} --ignore-daemonsets --delete-emptydir-data --timeout=180s \
             --pod-selector app.kubernetes.io/component=collector"
        ));
        nodes.kubectl(&format!("uncordon {node}"));
    });
}
