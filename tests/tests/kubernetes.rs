//! The watches of Kubernetes, with a real API server that serves, refuses, delays and forbids them.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use kipfix_tests::api_server::{ApiServer, StreamingLists, User};
use kipfix_tests::cluster::Cluster;
use kipfix_tests::collector::{Collector, assert_members, flow};
use kipfix_tests::objects::{self, Object};
use kipfix_tests::program::{PATIENCE, eventually};
use serde_json::json;

const NS: &str = "shop";

/// Creates two nodes in two zones, a pod of a Deployment on one and of a StatefulSet on the other,
/// and a Service.
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

fn attributed(lists: StreamingLists) {
    let Some(server) = ApiServer::start_with(lists) else {
        return;
    };
    fill(&server);
    let ours = Collector::watching(&server.kubeconfig(User::Kipfix), &[]);
    // A record that arrives before the inventory waits for it.
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

    // A pod that is created later.
    let late = objects::pod(NS, "late").on("node-a");
    server.admin().create(late.running(&["10.1.1.11"]));
    let known = || {
        let line = ours.attribute(&flow("10.1.1.11", "10.1.2.10"));
        line["sourcePodName"] == "late"
    };
    assert!(eventually(PATIENCE, known));
    ours.stop();
}

#[test]
fn a_flow_is_attributed_to_workloads_and_zones() {
    attributed(StreamingLists::Served);
}

#[test]
fn a_server_without_streaming_lists_leads_to_the_same_result() {
    attributed(StreamingLists::Refused);
}

#[test]
fn a_server_that_breaks_off_streaming_lists_leads_to_the_same_result() {
    attributed(StreamingLists::Failing);
}

#[test]
fn attribution_continues_while_the_api_server_is_down() {
    let Some(mut server) = ApiServer::start() else {
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
    assert!(since > 0, "a metric has the time of the failure");
    let readiness = ours.readiness();
    assert!(
        readiness.starts_with("HTTP/1.1 200") && readiness.contains("pods watch down for"),
        "{readiness}"
    );

    // A pod that is created during the outage.
    server.start_api();
    let late = objects::pod(NS, "late").on("node-a");
    server.admin().create(late.running(&["10.1.1.11"]));
    ours.counts("kipfix_collector_kubernetes_up", &["pods"], 1);
    let known = || {
        let line = ours.attribute(&flow("10.1.1.11", "10.1.2.10"));
        line["sourcePodName"] == "late"
    };
    assert!(eventually(PATIENCE, known));
    // The watch of a kind without events is up again, too.
    ours.counts("kipfix_collector_kubernetes_up", &["services"], 1);

    // Open connections to a server that does not answer do not count as up.
    server.freeze();
    ours.counts("kipfix_collector_kubernetes_up", &[], 0);
    server.thaw();
    // Six required kinds, and ResourceClaims, which this server has.
    ours.counts("kipfix_collector_kubernetes_up", &[], 7);
}

#[test]
fn a_forbidden_kind_is_off_and_the_others_are_used() {
    let Some(server) = ApiServer::start() else {
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
    assert_members(&line, &[("destinationServiceName", "")]);
    // A server that has not loaded its roles yet refuses the first request.
    let mut readiness = String::new();
    let is_off = || {
        readiness = ours.readiness();
        readiness.starts_with("HTTP/1.1 200") && readiness.contains("services watch forbidden")
    };
    assert!(eventually(PATIENCE, is_off), "{readiness}");
    // Without the right to watch an optional kind, it is not reported.
    for kind in ["ciliumnodes", "egressips", "egresses", "resourceclaims"] {
        assert!(!readiness.contains(kind), "{readiness}");
    }
    let scrape = ours.scrape();
    assert_eq!(scrape.series(up).len(), 6, "{scrape:?}");
}

#[test]
fn a_role_that_permits_only_to_watch_is_enough() {
    let Some(server) = ApiServer::start() else {
        return;
    };
    fill(&server);
    let role = Object::new("rbac.authorization.k8s.io/v1", "ClusterRole", "kipfix");
    let mut rules = server.admin().read(&role).unwrap().at("rules").clone();
    for rule in rules.as_array_mut().unwrap() {
        rule["verbs"] = json!(["watch"]);
    }
    server.admin().patch(&role, &json!({"rules": rules}));
    let user = Cluster::connect(&server.kubeconfig(User::Kipfix));
    assert!(eventually(PATIENCE, || user.list("v1", "Pod") == Err(403)));
    let ours = Collector::watching(&server.kubeconfig(User::Kipfix), &[]);
    ours.send(&flow("10.1.1.10", "10.1.2.10"));
    ours.counts(BYTES, &CART_TO_WEB, 1000);
    // After ten seconds without an event the server is asked for a list, which it refuses.
    std::thread::sleep(Duration::from_secs(13));
    let scrape = ours.scrape();
    assert_eq!(scrape.sum("kipfix_collector_kubernetes_up", &[]), 7);
    let errors = "kipfix_collector_kubernetes_errors_total";
    assert!(scrape.has(errors) && scrape.sum(errors, &[]) == 0);
}

/// Creates the definition of a kind without a namespace, and waits until the server has the kind.
fn install(server: &ApiServer, group: &str, version: &str, kind: &str, plural: &str) {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definition = Object::new(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        &format!("{plural}.{group}"),
    );
    let definition = definition.set(
        "spec",
        json!({
            "group": group,
            "scope": "Cluster",
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
            "versions": [{"name": version, "served": true, "storage": true,
                          "schema": {"openAPIV3Schema": open},
                          "subresources": {"status": {}}}],
        }),
    );
    server.admin().create(definition);
    let api_version = format!("{group}/{version}");
    let is_served = || server.admin().list(&api_version, kind).is_ok();
    assert!(eventually(PATIENCE, is_served));
}

#[test]
fn optional_kinds_are_used_if_the_cluster_has_them() {
    let Some(server) = ApiServer::start() else {
        return;
    };
    fill(&server);
    for (group, version, kind, plural) in [
        ("cilium.io", "v2", "CiliumNode", "ciliumnodes"),
        ("k8s.ovn.org", "v1", "EgressIP", "egressips"),
        // An older version than the newest that is read.
        ("crd.antrea.io", "v1alpha2", "Egress", "egresses"),
    ] {
        install(&server, group, version, kind, plural);
    }
    let admin = server.admin();
    let egress_ip = Object::new("k8s.ovn.org/v1", "EgressIP", "billing");
    let egress_ip = egress_ip.set("spec/egressIPs", json!(["192.0.2.90"]));
    let items = json!([{"node": "node-a", "egressIP": "192.0.2.90"}]);
    let egress_ip = admin.create(egress_ip.set("status/items", items));
    let egress = Object::new("crd.antrea.io/v1alpha2", "Egress", "mail");
    let egress = egress.set("spec/egressIP", json!("192.0.2.91"));
    admin.create(egress.set("status/egressNode", json!("node-b")));
    let cilium = Object::new("cilium.io/v2", "CiliumNode", "node-a").set(
        "spec",
        json!({
            "addresses": [{"type": "InternalIP", "ip": "10.9.0.1"},
                          {"type": "CiliumInternalIP", "ip": "10.1.1.200"}],
            "health": {"ipv4": "10.1.1.201"},
            "ipam": {"podCIDRs": ["10.1.1.0/24"]},
        }),
    );
    let cilium = admin.create(cilium);
    let pod = objects::pod(NS, "train").on("node-a");
    let pod = admin.create(pod.running(&["10.1.1.12"]));
    let device = json!({"request": "nic", "driver": "nic.example.com", "pool": "a", "device": "0"});
    let request = json!([{"name": "nic", "exactly": {"deviceClassName": "nic.example.com"}}]);
    let claim = Object::new("resource.k8s.io/v1", "ResourceClaim", "rdma").within(NS);
    let claim = admin.create(claim.set("spec/devices/requests", request));
    let network = json!({"interfaceName": "net1", "ips": ["192.0.2.77/24", "2001:db8:77::7/64"]});
    let status = json!({
        "allocation": {"devices": {"results": [device]}},
        "reservedFor": [{"resource": "pods", "name": "train", "uid": pod.uid()}],
        "devices": [{"driver": "nic.example.com", "pool": "a", "device": "0",
                     "networkData": network}],
    });
    admin.set_status(&claim, &status);
    let arguments = ["--deleted-pods-kept", "1s"];
    let ours = Collector::watching(&server.kubeconfig(User::Kipfix), &arguments);
    for (ip, class) in [
        ("10.1.1.200", "node_to_pod"),
        ("10.1.1.201", "node_to_pod"),
        ("10.1.1.202", "pod_to_pod"),
    ] {
        let line = ours.attribute(&flow(ip, "10.1.2.10"));
        let expected = [("sourceNodeName", "node-a"), ("trafficClass", class)];
        assert_members(&line, &expected);
    }
    for (ip, other) in [
        ("192.0.2.77", "10.1.2.10"),
        ("2001:db8:77::7", "fd00:1:2::10"),
    ] {
        let line = ours.attribute(&flow(ip, other));
        assert_members(&line, &[("sourcePodName", "train")]);
    }
    for (ip, node) in [("192.0.2.90", "node-a"), ("192.0.2.91", "node-b")] {
        let line = ours.attribute(&flow(ip, "198.51.100.7"));
        let expected = [
            ("sourceNodeName", node),
            ("trafficClass", "node_to_external"),
        ];
        assert_members(&line, &expected);
    }
    for kind in ["ciliumnodes", "egressips", "egresses", "resourceclaims"] {
        ours.counts("kipfix_collector_kubernetes_up", &[kind], 1);
    }
    // Another node takes the address.
    let items = json!([{"node": "node-b", "egressIP": "192.0.2.90"}]);
    admin.set_status(&egress_ip, &json!({"items": items}));
    let has_moved = || {
        let line = ours.attribute(&flow("192.0.2.90", "198.51.100.7"));
        line["sourceNodeName"] == "node-b"
    };
    assert!(eventually(PATIENCE, has_moved));

    // Without the CiliumNode, the address is one of the pod CIDR.
    admin.delete(&cilium);
    let is_unassigned = || {
        let line = ours.attribute(&flow("10.1.1.200", "10.1.2.10"));
        line["trafficClass"] == "pod_to_pod"
    };
    assert!(eventually(PATIENCE, is_unassigned));
    ours.stop();
}

#[test]
fn without_an_api_server_records_are_counted_by_address() {
    let Some(mut server) = ApiServer::start() else {
        return;
    };
    fill(&server);
    server.stop_api();
    let kubeconfig = server.kubeconfig(User::Kipfix);
    let arguments = ["--inventory-wait", "2s", "--cidr", "10.1.0.0/16=pods"];
    let ours = Collector::watching(&kubeconfig, &arguments);
    let line = ours.attribute(&flow("10.1.1.10", "10.1.2.10"));
    assert_members(&line, &[("sourcePodName", ""), ("sourceName", "pods")]);
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
    assert!(eventually(PATIENCE, known));
}

#[test]
fn records_wait_for_the_initial_lists_of_a_slow_server() {
    let Some(server) = ApiServer::start() else {
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
    // However early the first record arrives.
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
