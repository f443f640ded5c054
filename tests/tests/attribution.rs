//! Attribution of flow records to pods, nodes, Services and external addresses, with a real API
//! server. Each test has its own namespace and addresses. Rules about time have event tables of
//! their own in `collector/src/inventory/cluster/state/tests`.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::thread::sleep;
use std::time::Duration;

use flowproto::FlowRecord;
use flowproto::record::Translation;
use kipfix_tests::api_server::ApiServer;
use kipfix_tests::collector::{
    Collector, EXTERNAL, address, assert_members, flow, now, to_external,
};
use kipfix_tests::objects::{self, Object};
use kipfix_tests::program::{PATIENCE, eventually};
use serde_json::{Value, json};

/// The same record with packets at a single time.
fn at(record: &FlowRecord, milliseconds: u64) -> FlowRecord {
    FlowRecord {
        flow_start_milliseconds: milliseconds,
        flow_end_milliseconds: milliseconds,
        ..record.clone()
    }
}

/// A pod that runs on a node of another test, since a time in the past.
fn running(namespace: &str, name: &str, addresses: &[&str]) -> Object {
    objects::long_running_pod(namespace, name, "elsewhere", addresses)
}

/// Waits until a new flow has a value in its line, and returns the line.
#[track_caller]
fn wait_for(ours: &Collector, new_flow: impl Fn() -> FlowRecord, key: &str, value: &str) -> Value {
    let mut line = Value::Null;
    let has_value = || {
        line = ours.attribute(&new_flow());
        line[key].as_str().unwrap_or_default() == value
    };
    assert!(
        eventually(PATIENCE, has_value),
        "{key} is not {value}: {line}"
    );
    line
}

//------------ Owners ----------------------------------------------------------------------------

#[test]
fn the_workload_of_a_pod_is_its_top_level_controller_of_any_kind_else_a_label() {
    let ns = "owners";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    let of = |kind: &str, name: &str| objects::workload(kind, ns, name);
    let deployment = admin.create(of("Deployment", "web"));
    let replica_set = admin.create(of("ReplicaSet", "web-5d4f").owned_by(&deployment));
    let rollout = objects::foreign_owner("argoproj.io/v1alpha1", "Rollout", "canary");
    let of_rollout = admin.create(of("ReplicaSet", "canary-77f9").owned_by(&rollout));
    let lone = admin.create(of("ReplicaSet", "lone"));
    let stateful_set = admin.create(of("StatefulSet", "db"));
    let daemon_set = admin.create(of("DaemonSet", "agent"));
    let cron_job = admin.create(objects::cron_job(ns, "backup"));
    let of_cron_job = objects::job(ns, "backup-29384756").owned_by(&cron_job);
    let of_cron_job = admin.create(of_cron_job);
    let job = admin.create(objects::job(ns, "once"));
    let database = objects::foreign_owner("example.com/v1", "Database", "pg");
    let cases = [
        ("web-5d4f-a", Some(&replica_set), "Deployment", "web"),
        ("canary-77f9-a", Some(&of_rollout), "Rollout", "canary"),
        ("lone-a", Some(&lone), "ReplicaSet", "lone"),
        ("db-0", Some(&stateful_set), "StatefulSet", "db"),
        ("agent-a", Some(&daemon_set), "DaemonSet", "agent"),
        ("backup-a", Some(&of_cron_job), "CronJob", "backup"),
        ("once-a", Some(&job), "Job", "once"),
        ("pg-0", Some(&database), "Database", "pg"),
        ("bare", None, "Pod", "bare"),
        ("labelled", None, "Pod", "the-team"),
    ];
    let ip = |number: usize| format!("10.20.0.{number}");
    for (number, (pod, owner, ..)) in cases.iter().enumerate() {
        let mut object = running(ns, pod, &[&ip(number)]);
        if *pod != "bare" {
            object = object.label("app", "an-app");
        }
        if *pod == "labelled" {
            object = object.label("team", "the-team");
        }
        if let Some(owner) = owner {
            object = object.owned_by(owner);
        }
        admin.create(object);
    }
    let labels = ["--workload-labels", "team", "--workload-labels", "app"];
    let ours = server.watching(&labels);
    for (number, (pod, _, kind, workload)) in cases.iter().enumerate() {
        let line = ours.attribute(&to_external(&ip(number)));
        assert_members(
            &line,
            &[
                ("sourcePodName", pod),
                ("sourceWorkloadKind", kind),
                ("sourceWorkloadName", workload),
            ],
        );
    }
}

//------------ Time ------------------------------------------------------------------------------

#[test]
fn a_record_across_the_reuse_of_an_address_is_ambiguous() {
    let ns = "reuse";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    let first = admin.create(running(ns, "first", &["10.21.0.1"]));
    let ours = server.watching(&[]);
    let record = || to_external("10.21.0.1");
    wait_for(&ours, record, "sourcePodName", "first");
    let before = now() - 10_000;
    admin.delete(&first);
    let second = objects::pod(ns, "second").on("elsewhere");
    admin.create(second.running(&["10.21.0.1"]));
    wait_for(&ours, || at(&record(), now()), "sourcePodName", "second");

    // Received only now, but its packets are from before.
    let line = ours.attribute(&at(&record(), before));
    assert_members(&line, &[("sourcePodName", "first")]);
    let ambiguous = || {
        let metric = "kipfix_collector_records_ambiguous_total";
        ours.scrape().sum(metric, &[])
    };
    let counted = ambiguous();
    let mut of_both = record();
    of_both.flow_start_milliseconds = before;
    assert_members(&ours.attribute(&of_both), &[("sourcePodName", "")]);
    assert_eq!(ambiguous(), counted + 1);
    let labels = ["src_namespace=\"ambiguous\"", "src_workload=\"ambiguous\""];
    let octets = ours.scrape().sum("kipfix_bytes_total", &labels);
    assert_eq!(octets, 1000 * (counted + 1));
}

#[test]
fn a_late_delete_takes_nothing_from_the_next_pod() {
    let ns = "late-delete";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    let old = admin.create(running(ns, "old", &["10.22.0.1"]));
    let ours = server.watching(&[]);
    let record = || at(&to_external("10.22.0.1"), now());
    wait_for(&ours, record, "sourcePodName", "old");
    admin.begin_delete(&old, Duration::from_secs(30));
    let new = objects::pod(ns, "new").on("elsewhere");
    admin.create(new.running(&["10.22.0.1"]));
    wait_for(&ours, record, "sourcePodName", "new");
    admin.delete(&old);
    // Events of one kind arrive in order.
    admin.create(running(ns, "later", &["10.22.0.2"]));
    wait_for(&ours, || to_external("10.22.0.2"), "sourcePodName", "later");
    assert_members(&ours.attribute(&record()), &[("sourcePodName", "new")]);
}

#[test]
fn a_migrated_machine_is_its_workload_until_one_pod_remains() {
    let ns = "migration";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    let machine = objects::foreign_owner("kubevirt.io/v1", "VirtualMachineInstance", "vm");
    let launcher = |name: &str| running(ns, name, &["10.36.0.1"]).owned_by(&machine);
    admin.create(launcher("launcher-source"));
    let ours = server.watching(&[]);
    let record = || at(&to_external("10.36.0.1"), now());
    wait_for(&ours, record, "sourcePodName", "launcher-source");
    let target = admin.create(launcher("launcher-target"));
    let line = wait_for(&ours, record, "sourcePodName", "");
    assert_members(
        &line,
        &[
            ("sourcePodNamespace", ns),
            ("sourceWorkloadKind", "VirtualMachineInstance"),
            ("sourceWorkloadName", "vm"),
            ("trafficClass", "pod_to_external"),
        ],
    );
    // The migration fails.
    admin.delete(&target);
    wait_for(&ours, record, "sourcePodName", "launcher-source");
}

#[test]
fn a_terminated_pod_leaves_its_address_to_the_next_one() {
    let ns = "completed";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    let done = admin.create(running(ns, "done", &["10.23.0.1"]).phase("Succeeded"));
    assert_eq!(done.text("status/podIP"), "10.23.0.1");
    admin.create(running(ns, "next", &["10.23.0.1"]));
    let ours = server.watching(&[]);
    let record = || at(&to_external("10.23.0.1"), now());
    assert_members(&ours.attribute(&record()), &[("sourcePodName", "next")]);
    // Another update of the terminated pod takes nothing back.
    let label = json!({"metadata": {"labels": {"again": "1"}}});
    admin.patch(&done, &label);
    admin.create(running(ns, "later", &["10.23.0.2"]));
    wait_for(&ours, || to_external("10.23.0.2"), "sourcePodName", "later");
    assert_members(&ours.attribute(&record()), &[("sourcePodName", "next")]);
}

#[test]
fn a_pod_that_sends_before_its_address_is_reported_is_attributed_later() {
    let ns = "early";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    admin.create(objects::node("early-node").pod_cidrs(&["10.24.0.0/24"]));
    let pod = admin.create(objects::pod(ns, "early").on("early-node"));
    let ours = server.watching(&["--attribution-wait", "15s"]);
    let record = at(&to_external("10.24.0.7"), now());
    ours.send(&record);
    ours.counts("kipfix_collector_records_pending", &[], 1);
    admin.set_status(&pod, &objects::running(&["10.24.0.7"]));
    let expected = [("sourcePodName", "early"), ("sourceNodeName", "early-node")];
    assert_members(&ours.line(&record), &expected);
}

#[test]
fn a_deleted_pod_is_kept_for_the_configured_time() {
    let ns = "kept";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    let pod = admin.create(running(ns, "deleted", &["10.25.0.1"]));
    let ours = server.watching(&["--deleted-pods-kept", "4s"]);
    let record = || at(&to_external("10.25.0.1"), now());
    wait_for(&ours, record, "sourcePodName", "deleted");
    admin.delete(&pod);
    assert_members(&ours.attribute(&record()), &[("sourcePodName", "deleted")]);
    let line = wait_for(&ours, record, "sourcePodName", "");
    assert_members(&line, &[("trafficClass", "external_to_external")]);
}

#[test]
fn a_first_message_that_arrives_late_is_not_attributed_to_the_next_pod() {
    let ns = "late-message";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    let first = admin.create(running(ns, "first", &["10.47.0.1"]));
    let ours = server.watching(&[]);
    let has_address = |name: &str| {
        let path = "/api/v1/endpoints?address=10.47.0.1";
        eventually(PATIENCE, || ours.answer(path).1.contains(name))
    };
    assert!(has_address("\"first\""));
    let before = now();
    // Creation times are whole seconds: the next pod did not exist yet.
    sleep(Duration::from_secs(1));
    admin.delete(&first);
    let second = objects::pod(ns, "second").on("elsewhere");
    admin.create(second.running(&["10.47.0.1"]));
    assert!(has_address("\"second\""));
    sleep(Duration::from_secs(2));

    // It waited for some seconds, such as in a full queue. A clock that is behind looks the same.
    let record = at(&to_external("10.47.0.1"), before);
    ours.send_all(std::slice::from_ref(&record), before);
    assert_members(&ours.line(&record), &[("sourcePodName", "")]);
    // The next one shows that the clock is right.
    let record = at(&to_external("10.47.0.1"), before);
    assert_members(&ours.attribute(&record), &[("sourcePodName", "first")]);
}

#[test]
fn an_exporter_with_a_wrong_clock_is_corrected() {
    let ns = "skew";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    let pod = objects::pod(ns, "recent").on("elsewhere");
    admin.create(pod.running(&["10.26.0.1"]));
    let ours = server.watching(&[]);
    // By the exporter's clock, the pod did not exist.
    let behind = 300_000;
    let record = at(&to_external("10.26.0.1"), now() - behind);
    ours.send_all(std::slice::from_ref(&record), now() - behind);
    assert_members(&ours.line(&record), &[("sourcePodName", "recent")]);
    let skew = ours.scrape().sum(
        "kipfix_collector_exporter_clock_skew_seconds",
        &["exporter=\"127.0.0.1\""],
    );
    assert!((299..=302).contains(&skew), "{skew}");
}

//------------ Addresses and ports of nodes ------------------------------------------------------

#[test]
fn pods_on_the_host_network_are_the_node_except_for_the_ports_that_they_declare() {
    let ns = "host-network";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    admin.create(objects::node("host-node").node_address("InternalIP", "10.27.9.1"));
    let exporter = objects::pod(ns, "exporter").on("host-node").host_network();
    let exporter = exporter.host_port(9100, 9100, "TCP");
    admin.create(exporter.running(&["10.27.9.1"]));
    let proxy = objects::pod(ns, "proxy").on("host-node");
    let proxy = proxy.host_port(8080, 80, "TCP");
    admin.create(proxy.running(&["10.27.0.2"]));
    let ours = server.watching(&[]);
    for (port, pod, class) in [
        (9100, "exporter", "external_to_pod"),
        (8080, "proxy", "external_to_pod"),
        (22, "", "external_to_node"),
    ] {
        let mut record = at(&flow(EXTERNAL, "10.27.9.1"), now());
        record.key.destination_port = port;
        let expected = [
            ("destinationPodName", pod),
            ("destinationNodeName", "host-node"),
            ("trafficClass", class),
        ];
        assert_members(&ours.attribute(&record), &expected);
    }
    let line = ours.attribute(&flow(EXTERNAL, "10.27.0.2"));
    assert_members(&line, &[("destinationPodName", "proxy")]);
}

#[test]
fn every_address_of_a_node_and_its_tunnels_is_the_nodes() {
    let Some((server, admin)) = ApiServer::with_namespace("node-addresses") else {
        return;
    };
    let node = objects::node("many-addresses")
        .node_address("Hostname", "many-addresses")
        .node_address("InternalIP", "10.28.9.1")
        .node_address("InternalIP", "fd00:28::1")
        .node_address("ExternalIP", "203.0.113.28")
        .pod_cidrs(&["10.28.1.0/24"])
        .annotation("projectcalico.org/IPv4IPIPTunnelAddr", "10.28.1.200")
        .annotation("projectcalico.org/IPv4VXLANTunnelAddr", "10.28.7.1")
        .annotation("flannel.alpha.coreos.com/backend-type", "vxlan")
        .annotation("network.cilium.io/ipv4-cilium-host", "10.28.1.130");
    admin.create(node);
    let ovn = objects::node("ovn-node")
        .node_address("InternalIP", "10.28.9.2")
        .annotation(
            "k8s.ovn.org/node-subnets",
            r#"{"default":["10.28.2.0/24","fd00:28:2::/64"]}"#,
        )
        .annotation(
            "k8s.ovn.org/node-gateway-router-lrp-ifaddrs",
            r#"{"default":{"ipv4":"100.64.28.2/16"}}"#,
        );
    admin.create(ovn);
    let antrea = objects::node("antrea-node")
        .pod_cidrs(&["10.28.3.0/24"])
        .annotation("node.antrea.io/mac-address", "02:00:00:00:28:03");
    admin.create(antrea);
    let kube_ovn = objects::node("kube-ovn-node")
        .annotation("ovn.kubernetes.io/ip_address", "100.65.28.2")
        .annotation("ovn.kubernetes.io/allocated", "true");
    admin.create(kube_ovn);
    // No plugin is known: the first host of the pod CIDR is the node's if no pod reports it.
    admin.create(objects::node("bridge-node").pod_cidrs(&["10.28.4.0/24"]));
    let ours = server.watching(&[]);
    for (ip, node) in [
        ("10.28.9.1", "many-addresses"),
        ("fd00:28::1", "many-addresses"),
        ("203.0.113.28", "many-addresses"),
        ("10.28.1.200", "many-addresses"),
        ("10.28.7.1", "many-addresses"),
        ("10.28.1.130", "many-addresses"),
        // The first addresses of the pod CIDR are those of Flannel's tunnel and bridge.
        ("10.28.1.0", "many-addresses"),
        ("10.28.1.1", "many-addresses"),
        ("10.28.2.1", "ovn-node"),
        ("10.28.2.2", "ovn-node"),
        ("fd00:28:2::2", "ovn-node"),
        ("100.64.28.2", "ovn-node"),
        ("10.28.3.1", "antrea-node"),
        ("100.65.28.2", "kube-ovn-node"),
        ("10.28.4.1", "bridge-node"),
    ] {
        let expected = [
            ("sourceNodeName", node),
            ("trafficClass", "node_to_external"),
        ];
        assert_members(&ours.attribute(&to_external(ip)), &expected);
    }
}

#[test]
fn an_unreported_address_in_a_pod_cidr_is_an_unknown_pod_of_that_node() {
    let Some((server, admin)) = ApiServer::with_namespace("cidr-only") else {
        return;
    };
    let node = objects::node("cidr-only").place("r1", "z7");
    admin.create(node.pod_cidrs(&["10.29.1.0/24", "fd00:29:1::/64"]));
    let ours = server.watching(&[]);
    for ip in ["10.29.1.77", "fd00:29:1::77"] {
        let expected = [
            ("sourcePodName", ""),
            ("sourceNodeName", "cidr-only"),
            ("sourceZone", "z7"),
            ("trafficClass", "pod_to_external"),
        ];
        assert_members(&ours.attribute(&to_external(ip)), &expected);
    }
    let unreported = "kipfix_collector_records_unattributed_total";
    assert_eq!(ours.scrape().sum(unreported, &[]), 2);
    let labels = ["src_namespace=\"unknown\"", "src_workload=\"unknown\""];
    ours.counts("kipfix_bytes_total", &labels, 2000);
}

//------------ Addresses of pods -----------------------------------------------------------------

#[test]
fn every_address_of_a_pod_in_both_families_is_the_pods() {
    let ns = "dual-stack";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    let pod = admin.create(running(ns, "both", &["10.30.0.1", "fd00:30::1"]));
    let ours = server.watching(&[]);
    for ip in ["10.30.0.1", "fd00:30::1"] {
        let line = ours.attribute(&to_external(ip));
        assert_members(&line, &[("sourcePodName", "both")]);
    }
    // It gets another address in one family.
    admin.set_status(&pod, &objects::running(&["10.30.0.2", "fd00:30::1"]));
    for ip in ["10.30.0.2", "fd00:30::1"] {
        wait_for(
            &ours,
            || at(&to_external(ip), now()),
            "sourcePodName",
            "both",
        );
    }
}

#[test]
fn an_address_on_a_secondary_network_is_the_pods() {
    let ns = "secondary";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    let status = r#"[{"name": "cbr0", "interface": "eth0", "ips": ["10.37.0.1"], "default": true},
        {"name": "secondary/sriov", "interface": "net1", "ips": ["192.168.37.4", "fd00:37::4"]}]"#;
    let networks = r#"{"default": {"ip_addresses": ["10.37.0.2/24"]},
        "secondary/overlay": {"ip_addresses": ["172.31.37.5/16"], "role": "primary"}}"#;
    let multus = running(ns, "multus", &["10.37.0.1"]);
    admin.create(multus.annotation("k8s.v1.cni.cncf.io/network-status", status));
    let ovn = running(ns, "ovn", &["10.37.0.2"]);
    admin.create(ovn.annotation("k8s.ovn.org/pod-networks", networks));
    let broken = running(ns, "broken", &["10.37.0.3"]);
    admin.create(broken.annotation("k8s.v1.cni.cncf.io/network-status", "[{"));
    // A claim on an address of another pod has no effect.
    let greedy = running(ns, "greedy", &["10.37.0.4"]);
    let claim = r#"[{"ips": ["10.37.0.1"]}]"#;
    admin.create(greedy.annotation("k8s.v1.cni.cncf.io/network-status", claim));
    let ours = server.watching(&[]);
    for (ip, pod) in [
        ("10.37.0.1", "multus"),
        ("192.168.37.4", "multus"),
        ("fd00:37::4", "multus"),
        ("172.31.37.5", "ovn"),
        ("10.37.0.3", "broken"),
    ] {
        let line = ours.attribute(&to_external(ip));
        assert_members(&line, &[("sourcePodName", pod)]);
    }
    let malformed = "kipfix_collector_kubernetes_malformed_total";
    ours.counts(malformed, &["kind=\"pods\""], 1);
}

//------------ Services --------------------------------------------------------------------------

#[test]
fn a_flow_to_an_address_or_node_port_of_a_service_goes_to_the_service() {
    let ns = "services";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    admin.create(objects::node("service-node").node_address("InternalIP", "10.31.9.1"));
    admin.create(running(ns, "client", &["10.31.0.1", "fd00:31::1"]));
    let both = &["10.96.31.1", "fd00:96::31"];
    admin.create(objects::service(ns, "cluster", both));
    let external = objects::service(ns, "external", &["10.96.31.2"]);
    admin.create(external.external_ips(&["203.0.113.31"]));
    let balanced = objects::service(ns, "balanced", &["10.96.31.3"]);
    admin.create(balanced.load_balancer(&["203.0.113.32"]));
    let open = objects::service(ns, "open", &["10.96.31.4"]);
    admin.create(open.node_port(30_331));
    // Two Services share a load balancer address.
    let ports = json!([{"name": "mail", "port": 25, "protocol": "TCP"}]);
    let mail = objects::service(ns, "mail", &["10.96.31.5"]);
    let mail = mail.load_balancer(&["203.0.113.32"]);
    admin.create(mail.set("spec/ports", ports));
    let ours = server.watching(&[]);
    for (ip, port, service) in [
        ("10.96.31.1", 80, "cluster"),
        ("fd00:96::31", 80, "cluster"),
        ("10.96.31.2", 80, "external"),
        ("203.0.113.31", 80, "external"),
        ("203.0.113.32", 80, "balanced"),
        ("203.0.113.32", 25, "mail"),
        ("10.31.9.1", 30_331, "open"),
    ] {
        let client = if ip.contains(':') {
            "fd00:31::1"
        } else {
            "10.31.0.1"
        };
        let mut record = at(&flow(client, ip), now());
        record.key.destination_port = port;
        let expected = [
            ("sourcePodName", "client"),
            ("destinationServiceName", service),
            ("destinationServiceNamespace", ns),
            ("trafficClass", "pod_to_service"),
            ("trafficScope", "internal"),
        ];
        assert_members(&ours.attribute(&record), &expected);
    }
    let labels = ["dst_kind=\"Service\"", "dst_workload=\"cluster\""];
    ours.counts("kipfix_bytes_total", &labels, 2000);
}

#[test]
fn a_translated_flow_goes_to_the_pod_and_names_the_service() {
    let ns = "translated";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    admin.create(objects::node("translating").node_address("InternalIP", "10.32.9.1"));
    for (name, ip, node) in [
        ("client", "10.32.0.1", "translating"),
        ("server", "10.32.0.2", "elsewhere"),
    ] {
        let pod = objects::pod(ns, name).on(node);
        admin.create(pod.running(&[ip]));
    }
    admin.create(objects::service(ns, "front", &["10.96.32.1"]));
    let ours = server.watching(&[]);
    let mut record = flow("10.32.0.1", "10.96.32.1");
    record.translation = Some(Translation {
        post_nat_destination_address: address("10.32.0.2"),
        post_napt_destination_port: 8080,
        ..Translation::default()
    });
    let expected = [
        ("sourcePodName", "client"),
        ("destinationPodName", "server"),
        ("destinationServiceName", "front"),
        ("trafficClass", "pod_to_pod"),
    ];
    assert_members(&ours.attribute(&at(&record, now())), &expected);
    // A masqueraded pod: the packet on the wire has the node's address.
    let mut record = flow("10.32.9.1", EXTERNAL);
    record.translation = Some(Translation {
        post_nat_source_address: address("10.32.0.1"),
        ..Translation::default()
    });
    let expected = [
        ("sourcePodName", "client"),
        ("trafficClass", "pod_to_external"),
    ];
    assert_members(&ours.attribute(&at(&record, now())), &expected);
}

//------------ Topology and groups ---------------------------------------------------------------

#[test]
fn zone_region_pool_group_and_cluster_are_in_lines_and_series() {
    let ns = "places";
    let Some(server) = ApiServer::shared() else {
        return;
    };
    let admin = server.admin();
    admin.create(objects::namespace(ns).label("team", "payments"));
    let node = objects::node("placed").place("r3", "r3-b");
    admin.create(node.label("pool", "spot").pod_cidrs(&["10.33.0.0/24"]));
    let pod = objects::pod(ns, "placed").on("placed");
    admin.create(pod.running(&["10.33.0.1"]));
    // A pod with the labels that Kubernetes copies from its node, which is not known here.
    let labelled = running(ns, "labelled", &["10.33.1.1"]);
    admin.create(labelled.place("r4", "r4-c"));
    let ours = server.watching(&[
        "--cluster-name",
        "prod-1",
        "--node-pool-labels",
        "pool",
        "--namespace-label",
        "team",
        "--preset",
        "workloads",
        "--preset",
        "zones",
    ]);
    let record = || at(&to_external("10.33.0.1"), now());
    let expected = [
        ("sourceNodeName", "placed"),
        ("sourceZone", "r3-b"),
        ("sourceRegion", "r3"),
        ("sourceNodePool", "spot"),
        ("sourceNamespaceGroup", "payments"),
        ("clusterId", "prod-1"),
    ];
    assert_members(&ours.attribute(&record()), &expected);
    let line = ours.attribute(&flow("10.33.1.1", "10.33.0.1"));
    assert_members(&line, &[("sourceZone", "r4-c"), ("sourceRegion", "r4")]);
    let zones = ["src_zone=\"r4-c\"", "dst_zone=\"r3-b\""];
    ours.counts("kipfix_zone_bytes_total", &zones, 1000);
    let scrape = ours.scrape();
    let placed = [
        "cluster=\"prod-1\"",
        "node_name=\"placed\"",
        "zone=\"r3-b\"",
        "region=\"r3\"",
        "pool=\"spot\"",
    ];
    assert_eq!(scrape.sum("kipfix_node_info", &placed), 1);
    let group = ["workload_namespace=\"places\"", "group=\"payments\""];
    assert_eq!(scrape.sum("kipfix_namespace_info", &group), 1);
    let counted = [
        "cluster=\"prod-1\"",
        "src_namespace=\"places\"",
        "src_workload=\"placed\"",
    ];
    assert_eq!(scrape.sum("kipfix_bytes_total", &counted), 1000);

    // The namespace moves to another group.
    let changed = admin.read(&objects::namespace(ns)).unwrap();
    let label = json!({"metadata": {"labels": {"team": "risk"}}});
    admin.patch(&changed, &label);
    wait_for(&ours, record, "sourceNamespaceGroup", "risk");
}

//------------ External addresses ----------------------------------------------------------------

#[test]
fn external_addresses_have_names_from_settings_clouds_and_services_without_pods() {
    let ns = "outside";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let clouds = folder.path().join("ip-ranges.json");
    let publish = |region: &str| {
        let ranges = json!({
            "syncToken": "1", "createDate": "2026-01-01-00-00-00", "ipv6_prefixes": [],
            "prefixes": [{"ip_prefix": "192.0.2.0/24", "region": region, "service": "S3"}],
        });
        std::fs::write(&clouds, ranges.to_string()).unwrap();
    };
    publish("eu-central-1");
    admin.create(running(ns, "client", &["10.34.0.1"]));
    // External databases behind Services without pods.
    admin.create(objects::service(ns, "database", &["10.96.34.1"]));
    admin.create(objects::endpoint_slice(ns, "database", &["203.0.113.34"]));
    let ports = json!([{"name": "cache", "port": 6379, "protocol": "TCP"}]);
    let cache = objects::endpoint_slice(ns, "cache", &["203.0.113.34"]);
    admin.create(cache.set("ports", ports));
    admin.create(objects::endpoint_slice(ns, "bucket", &["192.0.2.9"]));
    for service in ["orders", "invoices"] {
        admin.create(objects::endpoint_slice(ns, service, &["203.0.113.35"]));
    }
    let ours = server.watching(&[
        "--cidr",
        "198.51.100.0/24=partners",
        "--cidr",
        "198.51.100.64/26=bank",
        "--cloud-ranges",
        clouds.to_str().unwrap(),
        "--preset",
        "external",
        "--preset",
        "workloads",
    ]);
    for (ip, port, name) in [
        ("198.51.100.7", 80, "partners"),
        ("198.51.100.77", 80, "bank"),
        ("203.0.113.34", 80, "database.outside.svc"),
        ("203.0.113.34", 6379, "cache.outside.svc"),
        ("203.0.113.99", 80, ""),
    ] {
        let mut record = at(&flow("10.34.0.1", ip), now());
        record.key.destination_port = port;
        let expected = [
            ("destinationName", name),
            ("trafficClass", "pod_to_external"),
        ];
        assert_members(&ours.attribute(&record), &expected);
    }
    // Clients that use the address of a Service. Two lead to the same port of one address.
    for (ip, name) in [
        ("203.0.113.34", "database.outside.svc"),
        ("203.0.113.35", ""),
    ] {
        let mut through = at(&flow("10.34.0.1", "10.96.34.1"), now());
        through.translation = Some(Translation {
            post_nat_destination_address: address(ip),
            post_napt_destination_port: 80,
            ..Translation::default()
        });
        let expected = [
            ("destinationName", name),
            ("destinationServiceName", "database"),
            ("trafficClass", "pod_to_external"),
            ("trafficScope", "external"),
        ];
        assert_members(&ours.attribute(&through), &expected);
    }
    let cloud = || at(&flow("10.34.0.1", "192.0.2.1"), now());
    let expected = [
        ("destinationCloudProvider", "aws"),
        ("destinationCloudService", "S3"),
        ("destinationCloudRegion", "eu-central-1"),
    ];
    assert_members(&ours.attribute(&cloud()), &expected);
    let external = [
        "workload=\"client\"",
        "direction=\"egress\"",
        "cloud_service=\"S3\"",
    ];
    ours.counts("kipfix_external_bytes_total", &external, 1000);
    ours.counts("kipfix_external_connections_total", &external, 1);
    let labels = ["dst_kind=\"External\"", "dst_workload=\"bank\""];
    ours.counts("kipfix_bytes_total", &labels, 1000);

    // The name of a Service does not hide the cloud.
    let named = at(&flow("10.34.0.1", "192.0.2.9"), now());
    let expected = [("destinationName", "bucket.outside.svc"), expected[0]];
    assert_members(&ours.attribute(&named), &expected);

    // A changed file is reloaded, and a broken one is not used.
    publish("eu-west-1");
    wait_for(&ours, cloud, "destinationCloudRegion", "eu-west-1");
    std::fs::write(&clouds, "{").unwrap();
    ours.counts("kipfix_collector_external_broken_files", &[], 1);
    let line = ours.attribute(&cloud());
    assert_members(&line, &[("destinationCloudRegion", "eu-west-1")]);
}

//------------ Classes ---------------------------------------------------------------------------

#[test]
fn the_traffic_class_follows_from_both_endpoints() {
    let ns = "classes";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    for (name, ip, pod) in [
        ("class-a", "10.35.9.1", "10.35.1.1"),
        ("class-b", "10.35.9.2", "10.35.2.1"),
    ] {
        admin.create(objects::node(name).node_address("InternalIP", ip));
        let pod_object = objects::pod(ns, &format!("on-{name}")).on(name);
        admin.create(pod_object.running(&[pod]));
    }
    admin.create(objects::service(ns, "virtual", &["10.96.35.1"]));
    let ours = server.watching(&[]);
    let (node_a, node_b) = ("10.35.9.1", "10.35.9.2");
    let (pod_a, pod_b) = ("10.35.1.1", "10.35.2.1");
    let virtual_ip = "10.96.35.1";
    for (from, to, class, scope) in [
        (node_a, node_b, "node_to_node", "internal"),
        (pod_a, pod_b, "pod_to_pod", "internal"),
        (pod_a, node_b, "pod_to_node", "internal"),
        (node_a, pod_b, "node_to_pod", "internal"),
        (pod_a, EXTERNAL, "pod_to_external", "external"),
        (node_a, EXTERNAL, "node_to_external", "external"),
        (EXTERNAL, pod_a, "external_to_pod", "external"),
        (EXTERNAL, node_a, "external_to_node", "external"),
        (pod_a, virtual_ip, "pod_to_service", "internal"),
        (node_a, virtual_ip, "node_to_service", "internal"),
        (EXTERNAL, "203.0.113.1", "external_to_external", "external"),
        (pod_a, node_a, "intra_node", "internal"),
    ] {
        let line = ours.attribute(&at(&flow(from, to), now()));
        assert_members(&line, &[("trafficClass", class), ("trafficScope", scope)]);
        let counted = if class == "intra_node" { 0 } else { 1000 };
        let label = format!("class=\"{class}\"");
        ours.counts("kipfix_bytes_total", &[&label], counted);
    }
    let reason = ["reason=\"intra_node\""];
    ours.counts("kipfix_collector_records_not_counted_total", &reason, 1);
}
