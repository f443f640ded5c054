//! The chart with its defaults, and with settings changed.

use std::time::Duration;

use kipfix_tests::nodes::{Meter, Nodes, OUTSIDE, OUTSIDE_ROUTED, within};
use kipfix_tests::prometheus::Prometheus;
use serde_json::Value;

use crate::map;
use crate::release::Release;
use crate::shop::{Shop, call, call_from_outside, pod_address, serve_outside, workload};

/// `--idle-timeout` of the probe, and a second.
const IDLE_TIMEOUT: Duration = Duration::from_secs(16);
/// IPv4 and UDP headers.
const HEADERS: u64 = 28;

pub fn installed(nodes: &Nodes) {
    let shop = [
        workload("client", 1, 7000, false),
        workload("near", 1, 7000, false),
        workload("far", 2, 7000, false),
        workload("dns", 2, 7000, false),
        workload("web", 2, 7000, false),
        workload("host", 3, 7001, true),
        "---\n{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, \
         spec: {selector: {app: web}, ports: [{port: 80, targetPort: 7000}]}}\n"
            .to_owned(),
    ];
    let shop = Shop::open(nodes, &shop.concat());
    let release = Release::install(nodes, "kipfix", &[]);
    let prometheus = Prometheus::by_annotations(nodes);
    release.scraped_by(&prometheus, 4);

    let _outside = serve_outside(nodes);
    let [client, far, web] = ["client", "far", "web"].map(|name| pod_address(nodes, name));
    // By its address: a question to the cluster's DNS, which is outside here, would be one more
    // connection.
    let service = nodes.get("service --namespace shop web")["spec"]["clusterIP"].clone();
    let service = service.as_str().unwrap();
    let meter = |node, from: &str, to: &str| {
        Meter::leaving(nodes, node, &format!("--source {from} --destination {to}"))
    };
    let far_asked = meter(1, &client, &far);
    let far_answered = meter(2, &far, &client);
    let web_asked = meter(1, &client, &web);
    let web_answered = meter(2, &web, &client);
    let host_asked = meter(1, &client, &nodes.address(3));
    let host_answered = meter(3, &nodes.address(3), &client);
    let out_asked = meter(1, &client, OUTSIDE_ROUTED);
    let out_answered = Meter::arriving(nodes, 1, &format!("--source {OUTSIDE_ROUTED}"));
    let in_asked = Meter::arriving(
        nodes,
        2,
        &format!("--protocol tcp --destination {far} --source 172.30.0.200"),
    );

    // A probe observes the starts of UDP conversations one idle timeout after its own start.
    std::thread::sleep(IDLE_TIMEOUT);
    call(nodes, "client", &format!("tcp {far}:7000 20 400 3000"));
    call(nodes, "client", &format!("tcp {service}:80 15 300 20000"));
    call(
        nodes,
        "client",
        &format!("udp {}:7000 30 200 600", pod_address(nodes, "dns")),
    );
    call(
        nodes,
        "client",
        &format!("tcp {}:7000 10 400 3000", pod_address(nodes, "near")),
    );
    call(
        nodes,
        "client",
        &format!("tcp {}:7001 5 500 1000", nodes.address(3)),
    );
    call(
        nodes,
        "client",
        &format!("tcp {OUTSIDE_ROUTED}:7002 4 250 90000"),
    );
    call_from_outside(nodes, &format!("tcp {far}:7000 3 300 700"));

    println!("  value in Prometheus = value sent");
    let sum = |family: &str, from: &str, to: &str, class: &str| {
        format!(
            "sum(kipfix_{family}_total{{src_workload=\"{from}\",dst_workload=\"{to}\",class=\"{class}\"}})"
        )
    };
    let expect = |from: &str, to: &str, class: &str, connections: u64, octets: u64| {
        prometheus.expect(&sum("connections", from, to, class), connections);
        prometheus.expect(&sum("bytes", from, to, class), octets);
    };
    expect("client", "far", "pod_to_pod", 20, far_asked.read().0);
    expect("far", "client", "pod_to_pod", 0, far_answered.read().0);
    expect("client", "web", "pod_to_pod", 15, web_asked.read().0);
    expect("web", "client", "pod_to_pod", 0, web_answered.read().0);
    expect("client", "dns", "pod_to_pod", 30, 30 * (200 + HEADERS));
    expect("dns", "client", "pod_to_pod", 0, 30 * (600 + HEADERS));
    expect("client", "node3", "pod_to_node", 5, host_asked.read().0);
    expect("node3", "client", "node_to_pod", 0, host_answered.read().0);
    expect("client", "", "pod_to_external", 4, out_asked.read().0);
    expect("", "client", "external_to_pod", 0, out_answered.read().0);
    expect("", "far", "external_to_pod", 3, in_asked.read().0);
    // What stays on a node does not pass its eth0.
    let near = "sum(kipfix_bytes_total{dst_workload=\"near\"} or kipfix_bytes_total{src_workload=\"near\"})";
    prometheus.expect(near, 0);
    let zones = "sum(kipfix_zone_bytes_total{src_zone=\"zone-1\",dst_zone=\"zone-2\",src_workload=\"client\",dst_workload=\"far\"})";
    prometheus.expect(zones, far_asked.read().0);

    for (from, to, connections, octets) in [
        ("client", "far", 20, far_asked.read().0),
        ("far", "client", 0, far_answered.read().0),
        ("client", "web", 15, web_asked.read().0),
        ("client", "dns", 30, 30 * (200 + HEADERS)),
        ("client", "node3", 5, host_asked.read().0),
    ] {
        map::expect(nodes, &release, from, to, (octets, connections));
    }

    println!("  in = out + losses");
    prometheus.expect_zero(
        "sum(kipfix_probe_packets_captured_total) - sum(kipfix_probe_packets_metered_total) \
         - sum(kipfix_probe_packets_undecodable_total) - sum(kipfix_probe_packets_own_export_total) \
         - sum(kipfix_probe_packets_duplicate_total)",
    );
    prometheus.expect_zero(
        "sum(kipfix_probe_target_records_sent_total) - sum(kipfix_collector_records_total)",
    );
    prometheus.expect_zero(
        "sum(kipfix_collector_sequence_lost_total) + sum(kipfix_probe_packets_dropped_total)",
    );

    release.test();

    // A change of settings rolls the pods.
    let before = [release.pods("probe"), release.pods("collector")];
    release.upgrade(&[
        "probe.settings={\"active_timeout\": \"5s\", \"idle_timeout\": \"2s\"}",
        "collector.settings={\"preset\": [\"workloads\"]}",
        "collector.drainSeconds=0",
    ]);
    let rolled = within(Duration::from_secs(120), || {
        let now = [release.pods("probe"), release.pods("collector")];
        before
            .iter()
            .zip(&now)
            .all(|(before, now)| before.iter().all(|pod| !now.contains(pod)))
    });
    assert!(rolled, "{before:?}");
    drop(shop);
    release.uninstall();
}

/// Lines of the collectors' flow log on stdout that match.
fn flows(nodes: &Nodes, release: &Release<'_>, matching: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut found = Vec::new();
    for pod in release.pods("collector") {
        let log = nodes.kubectl(&format!("logs --namespace {} {pod}", release.namespace));
        let records = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        found.extend(records.filter(|record| matching(record)));
    }
    found
}

/// Waits until the counted octets of matching records reach a value, and prints it.
fn expect_flows(
    nodes: &Nodes,
    release: &Release<'_>,
    what: &str,
    octets: u64,
    connections: u64,
    matching: impl Fn(&Value) -> bool,
) {
    let sums = || {
        let counted = flows(nodes, release, |r| r["counted"] != false && matching(r));
        let sum = |field: &str| {
            counted
                .iter()
                .filter_map(|r| r[field].as_u64())
                .sum::<u64>()
        };
        (sum("octetDeltaCount"), sum("newConnectionDeltaCount"))
    };
    let reached = within(Duration::from_secs(60), || sums() == (octets, connections));
    println!("  {:?} = {:?}   {what}", sums(), (octets, connections));
    assert!(reached, "{what}: {:#?}", flows(nodes, release, matching));
}

/// A Service without a selector that leads to the host outside.
fn outside_service() -> String {
    format!(
        r#"---
apiVersion: v1
kind: Service
metadata: {{name: legacy, namespace: shop}}
spec: {{ports: [{{port: 90, targetPort: 7002}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: legacy-1, namespace: shop, labels: {{kubernetes.io/service-name: legacy}}}}
addressType: IPv4
ports: [{{port: 7002}}]
endpoints: [{{addresses: [{OUTSIDE_ROUTED}]}}]
"#
    )
}

pub fn translated(nodes: &Nodes) {
    let shop = [
        workload("client", 1, 7000, false),
        workload("web", 2, 7000, false),
        "---\n{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, \
         spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 7000, nodePort: 30080}]}}\n"
            .to_owned(),
        outside_service(),
    ];
    let _shop = Shop::open(nodes, &shop.concat());
    let release = Release::install(
        nodes,
        "kipfix",
        &[
            "probe.settings={\"active_timeout\": \"5s\", \"idle_timeout\": \"2s\"}",
            "collector.settings={\"flow_log\": \"stdout:\"}",
            "collector.drainSeconds=0",
        ],
    );
    let _outside = serve_outside(nodes);
    let (client, web, entry) = (
        pod_address(nodes, "client"),
        pod_address(nodes, "web"),
        nodes.address(3),
    );
    let is = |record: &Value, from: &str, to: &str, class: &str| {
        record["sourceIPv4Address"] == from
            && record["destinationIPv4Address"] == to
            && record["trafficClass"] == class
    };

    println!("  (octets, connections) of the flow log = what was sent");
    // eth0 shows the address of the node. The records have the pod before the translation and the
    // node after it.
    let asked = Meter::leaving(
        nodes,
        1,
        &format!("--source {client} --destination {OUTSIDE}"),
    );
    let answered = Meter::arriving(nodes, 1, &format!("--source {OUTSIDE}"));
    call(nodes, "client", &format!("tcp {OUTSIDE}:7002 6 300 5000"));
    let node1 = nodes.address(1);
    let on_wire = |record: &Value, field: &str| record[field] == node1;
    expect_flows(
        nodes,
        &release,
        "masqueraded, out",
        asked.read().0,
        6,
        |r| is(r, &client, OUTSIDE, "pod_to_external") && on_wire(r, "postNATSourceIPv4Address"),
    );
    expect_flows(
        nodes,
        &release,
        "masqueraded, back",
        answered.read().0,
        0,
        |r| {
            is(r, OUTSIDE, &client, "external_to_pod")
                && on_wire(r, "postNATDestinationIPv4Address")
        },
    );

    // A Service whose endpoint is outside. eth0 shows the address of the endpoint.
    let service = nodes.get("service legacy --namespace shop");
    let service = service["spec"]["clusterIP"].as_str().unwrap().to_owned();
    let asked = Meter::leaving(nodes, 1, &format!("--destination {OUTSIDE_ROUTED}"));
    let answered = Meter::arriving(nodes, 1, &format!("--source {OUTSIDE_ROUTED}"));
    call(nodes, "client", &format!("tcp {service}:90 5 300 5000"));
    for (from, to, class, side, octets, connections) in [
        (
            &client,
            &service,
            "pod_to_external",
            "destination",
            asked.read().0,
            5,
        ),
        (
            &service,
            &client,
            "external_to_pod",
            "source",
            answered.read().0,
            0,
        ),
    ] {
        expect_flows(nodes, &release, class, octets, connections, |r| {
            is(r, from, to, class)
                && r[format!("{side}Name")] == "legacy.shop.svc"
                && r[format!("{side}ServiceName")] == "legacy"
        });
    }

    // A NodePort on a node without the pod has two legs: the client's connection to the Service on
    // that node, and the node's own to the pod, since the node puts its address in front.
    let client_leg = Meter::arriving(nodes, 3, "--protocol tcp --destination-port 30080");
    call_from_outside(nodes, &format!("tcp {entry}:30080 4 300 2000"));
    let from = "172.30.0.200";
    let asked = client_leg.read().0;
    expect_flows(
        nodes,
        &release,
        "NodePort, client to Service",
        asked,
        4,
        |r| is(r, from, &entry, "external_to_service") && r["destinationServiceName"] == "web",
    );
    expect_flows(nodes, &release, "NodePort, node to pod", asked, 4, |r| {
        is(r, &entry, &web, "node_to_pod")
    });
    release.uninstall();
}
