//! The map: what the API behind it answers is what was sent, for one collector and for several.

use std::time::Duration;

use kipfix_tests::nodes::{Meter, Nodes, within};
use kipfix_tests::prometheus::{ADDRESS, Prometheus};
use serde_json::Value;

use crate::release::Release;
use crate::shop::{Shop, call, pod_address, workload};

const TIMEOUT: Duration = Duration::from_secs(90);

/// Sums of a link of the map: octets and connections.
type Sums = (u64, u64);

/// Each collector's answer to `/api/v1/edges`, by workload.
fn answers(nodes: &Nodes, release: &Release<'_>) -> Vec<Value> {
    let pods = release.pods("collector");
    let ask = |pod: &String| {
        let pod = nodes.get(&format!("pod --namespace {} {pod}", release.namespace));
        let address = pod["status"]["podIP"].as_str().unwrap();
        let path = "/api/v1/edges?from=-600000&limit=1000&group_by=src.workload,dst.workload";
        let answer = nodes.ask(&format!("{address}:8080"), path);
        serde_json::from_str(&answer.expect("the edges")).unwrap()
    };
    pods.iter().map(ask).collect()
}

/// The sums of the link between two workloads.
fn link(answer: &Value, from: &str, to: &str) -> Sums {
    let edges = answer["edges"].as_array().unwrap();
    let edge = edges.iter().find(|edge| {
        let labels = &edge["labels"];
        labels["src.workload"] == from && labels["dst.workload"] == to
    });
    let sum = |name: &str| edge.and_then(|edge| edge[name].as_u64()).unwrap_or(0);
    (sum("bytes"), sum("connections"))
}

/// Waits until the only collector's map has a link with these sums, and prints them.
pub fn expect(nodes: &Nodes, release: &Release<'_>, from: &str, to: &str, wanted: Sums) {
    let mut seen = Sums::default();
    let reached = within(TIMEOUT, || {
        seen = link(&answers(nodes, release)[0], from, to);
        seen == wanted
    });
    println!("  {seen:?} = {wanted:?}   {from} → {to} on the map");
    assert!(reached, "{from} → {to}: {seen:?}, not {wanted:?}");
}

pub fn of_two_collectors(nodes: &Nodes) {
    let shop = [
        workload("client", 1, 7000, false),
        workload("far", 2, 7000, false),
    ];
    let _shop = Shop::open(nodes, &shop.concat());
    let prometheus = Prometheus::by_annotations(nodes);
    let release = Release::install(
        nodes,
        "kipfix",
        &[
            "collector.replicas=2",
            "collector.drainSeconds=0",
            &format!("collector.settings={{\"history\": \"prometheus=http://{ADDRESS}\"}}"),
            "probe.settings={\"active_timeout\": \"5s\", \"idle_timeout\": \"2s\"}",
        ],
    );
    release.scraped_by(&prometheus, 5);
    let far = pod_address(nodes, "far");
    let answered = Meter::leaving(nodes, 2, &format!("--source {far}"));
    let bytes = "kipfix_bytes_total{src_workload=\"far\",dst_workload=\"client\"}";
    call(nodes, "client", &format!("tcp {far}:7000 40 400 3000"));
    let before = answered.read().0;
    prometheus.expect(&format!("sum({bytes})"), before);
    prometheus.expect(&format!("count({bytes})"), 2);
    // The growth of a series is known from its second scrape on.
    let scraped = format!("min(count_over_time({bytes}[1m])) >= bool 2");
    prometheus.expect(&scraped, 1);
    call(nodes, "client", &format!("tcp {far}:7000 40 400 300000"));
    let after = answered.read().0;
    prometheus.expect(&format!("sum({bytes})"), after);

    // Prometheus extrapolates growth to the ends of a range.
    let (wanted, tolerance) = (after - before, (after - before) / 5);
    let mut seen = Vec::new();
    let reached = within(TIMEOUT, || {
        let all = answers(nodes, &release);
        assert!(all.iter().all(|answer| answer["source"] == "prometheus"));
        seen = all.iter().map(|one| link(one, "far", "client").0).collect();
        seen.len() == 2 && seen.iter().all(|sum| sum.abs_diff(wanted) < tolerance)
    });
    println!("  {seen:?} = about {wanted}   far → client on the maps of both collectors");
    assert!(reached, "{seen:?}, not about {wanted}");
    release.uninstall();
}
