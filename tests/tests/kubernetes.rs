//! The watches of Kubernetes, as a real API server serves, refuses, delays and forbids them.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use kipfix_tests::api_server::{ApiServer, StreamingLists, User};
use kipfix_tests::collector::{Collector, assert_says, flow};
use kipfix_tests::objects;
use kipfix_tests::program::eventually;

const NS: &str = "shop";

/// Two nodes in two zones, a pod of a Deployment on one, of a StatefulSet on the other, a Service.
fn fill(server: &ApiServer) {
    let admin = server.admin();
    admin.create(objects::namespace(NS));
    for (name, zone, address, cidr) in [
        ("node-a", "z1", "10.9.0.1", "10.1.1.0/24"),
        ("node-b", "z2", "10.9.0.2", "10.1.2.0/24"),
    ] {
        let node = objects::node(name).place("r1", zone);
        admin.create(node.node_address("InternalIP", address).pod_cidrs(&[cidr]));
    }
    let deployment = admin.create(objects::workload("Deployment", NS, "web"));
    let set = objects::workload("ReplicaSet", NS, "web-5d").owned_by(&deployment);
    let set = admin.create(set);
    let web = objects::pod(NS, "web-5d-x").owned_by(&set).on("node-b");
    admin.create(web.running(&["10.1.2.10", "fd00:1:2::10"]));
    let cart = admin.create(objects::workload("StatefulSet", NS, "cart"));
    let pod = objects::pod(NS, "cart-0").owned_by(&cart).on("node-a");
    admin.create(pod.running(&["10.1.1.10", "fd00:1:1::10"]));
    admin.create(objects::service(NS, "web", &["10.96.7.7"]));
}

const CART_TO_WEB: [&str; 5] = [
    "src_kind=\"StatefulSet\"",
    "src_workload=\"cart\"",
    "dst_kind=\"Deployment\"",
    "dst_workload=\"web\"",
    "class=\"pod_to_pod\"",
];
const BYTES: &str = "kipfix_bytes_total";

fn attributed(test: &str, lists: StreamingLists) {
    let Some(server) = ApiServer::start_with(test, lists) else {
        return;
    };
    fill(&server);
    let ours = Collector::watching(&server.kubeconfig(User::Kipfix), &[]);
    // What comes before the inventory waits for it.
    ours.send(&flow("10.1.1.10", "10.1.2.10"));
    ours.counts(BYTES, &CART_TO_WEB, 1000);
    ours.send(&flow("fd00:1:1::10", "fd00:1:2::10"));
    ours.counts(BYTES, &CART_TO_WEB, 2000);
    let zones = [
        "src_zone=\"z1\"",
        "dst_zone=\"z2\"",
        "src_workload=\"cart\"",
    ];
    ours.counts("kipfix_zone_bytes_total", &zones, 2000);

    // A pod that comes while we run.
    let late = objects::pod(NS, "late").on("node-a");
    server.admin().create(late.running(&["10.1.1.11"]));
    let known = || {
        let line = ours.attribute(&flow("10.1.1.11", "10.1.2.10"));
        line["sourcePodName"] == "late"
    };
    assert!(eventually(Duration::from_secs(10), known));
    ours.stop();
}

#[test]
fn a_flow_is_attributed_to_workloads_and_zones() {
    attributed(
        "a_flow_is_attributed_to_workloads_and_zones",
        StreamingLists::Served,
    );
}

#[test]
fn a_server_without_streaming_lists_tells_the_same() {
    attributed(
        "a_server_without_streaming_lists_tells_the_same",
        StreamingLists::Refused,
    );
}

#[test]
fn a_server_that_breaks_streaming_lists_off_tells_the_same() {
    attributed(
        "a_server_that_breaks_streaming_lists_off_tells_the_same",
        StreamingLists::Failing,
    );
}

#[test]
fn what_is_known_stays_known_while_the_api_server_is_away() {
    let test = "what_is_known_stays_known_while_the_api_server_is_away";
    let Some(mut server) = ApiServer::start(test) else {
        return;
    };
    fill(&server);
    let ours = Collector::watching(&server.kubeconfig(User::Kipfix), &[]);
    ours.send(&flow("10.1.1.10", "10.1.2.10"));
    ours.counts(BYTES, &CART_TO_WEB, 1000);
    server.stop_api();
    ours.send(&flow("10.1.1.10", "10.1.2.10"));
    ours.counts(BYTES, &CART_TO_WEB, 2000);
    ours.counts("kipfix_collector_kubernetes_up", &["pods"], 0);
    let since = ours.scrape();
    let since = since.sum(
        "kipfix_collector_kubernetes_up_changed_timestamp_seconds",
        &["pods"],
    );
    assert!(since > 0, "a metric has the time");
    let readiness = ours.readiness();
    assert!(
        readiness.starts_with("HTTP/1.1 200") && readiness.contains("pods watch down for"),
        "{readiness}"
    );

    // A pod that was deleted and one that was created during the outage.
    server.start_api();
    let late = objects::pod(NS, "late").on("node-a");
    server.admin().create(late.running(&["10.1.1.11"]));
    ours.counts("kipfix_collector_kubernetes_up", &["pods"], 1);
    let known = || {
        let line = ours.attribute(&flow("10.1.1.11", "10.1.2.10"));
        line["sourcePodName"] == "late"
    };
    assert!(eventually(Duration::from_secs(30), known));
    // The watch of a kind without objects is established again, too.
    ours.counts("kipfix_collector_kubernetes_up", &["services"], 1);

    // Idle open connections do not indicate a working server.
    server.freeze();
    ours.counts("kipfix_collector_kubernetes_up", &[], 0);
    server.thaw();
    ours.counts("kipfix_collector_kubernetes_up", &[], 6);
}

#[test]
fn a_forbidden_kind_is_off_and_the_others_go_on() {
    let test = "a_forbidden_kind_is_off_and_the_others_go_on";
    let Some(server) = ApiServer::start(test) else {
        return;
    };
    fill(&server);
    let ours = Collector::watching(&server.kubeconfig(User::WithoutServices), &[]);
    ours.send(&flow("10.1.1.10", "10.1.2.10"));
    ours.counts(BYTES, &CART_TO_WEB, 1000);
    let up = "kipfix_collector_kubernetes_up";
    assert_eq!(ours.scrape().sum(up, &["services"]), 0);
    assert_eq!(ours.scrape().sum(up, &["pods"]), 1);
    let line = ours.attribute(&flow("10.1.1.10", "10.96.7.7"));
    assert_says(&line, &[("destinationServiceName", "")]);
    // Once could be a server that has not read its roles yet.
    let mut readiness = String::new();
    let is_off = || {
        readiness = ours.readiness();
        readiness.starts_with("HTTP/1.1 200") && readiness.contains("services watch forbidden")
    };
    assert!(eventually(Duration::from_secs(20), is_off), "{readiness}");
}

#[test]
fn without_an_api_server_it_starts_counts_by_address_and_says_so() {
    let test = "without_an_api_server_it_starts_counts_by_address_and_says_so";
    let Some(mut server) = ApiServer::start(test) else {
        return;
    };
    fill(&server);
    server.stop_api();
    let kubeconfig = server.kubeconfig(User::Kipfix);
    let arguments = ["--inventory-wait", "2s", "--cidr", "10.1.0.0/16=pods"];
    let ours = Collector::watching(&kubeconfig, &arguments);
    let line = ours.attribute(&flow("10.1.1.10", "10.1.2.10"));
    assert_says(&line, &[("sourcePodName", ""), ("sourceName", "pods")]);
    ours.counts(BYTES, &["class=\"external_to_external\""], 1000);
    ours.counts("kipfix_collector_records_before_inventory_total", &[], 1);
    let readiness = ours.readiness();
    assert!(
        readiness.contains("initial list of nodes and pods not complete"),
        "{readiness}"
    );
    server.start_api();
    let known = || {
        let line = ours.attribute(&flow("10.1.1.10", "10.1.2.10"));
        line["sourcePodName"] == "cart-0"
    };
    assert!(eventually(Duration::from_secs(60), known));
}

#[test]
fn records_wait_for_a_server_that_is_slow_to_tell_of_all_nodes_and_pods() {
    let test = "records_wait_for_a_server_that_is_slow_to_tell_of_all_nodes_and_pods";
    let Some(server) = ApiServer::start(test) else {
        return;
    };
    fill(&server);
    server.freeze();
    let first = || {
        let ours = Collector::watching(&server.kubeconfig(User::Kipfix), &[]);
        ours.send(&flow("10.1.1.10", "10.1.2.10"));
        ours.counts("kipfix_collector_records_pending", &[], 1);
        ours
    };
    // However soon it comes.
    for _ in 0..20 {
        first();
    }
    let ours = first();
    assert!(
        ours.readiness().starts_with("HTTP/1.1 503"),
        "{}",
        ours.readiness()
    );
    server.thaw();
    ours.counts(BYTES, &CART_TO_WEB, 1000);
    assert_eq!(
        ours.scrape()
            .sum("kipfix_collector_records_before_inventory_total", &[]),
        0
    );
}
