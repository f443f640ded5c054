//! Attribution to pods, nodes, Services and external addresses with a real API server. Each test has its own
//! namespace and addresses.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test code; attribution is by time, so some tests wait for it"
)]

use std::net::IpAddr;
use std::thread::sleep;
use std::time::Duration;

use flowproto::Address;
use flowproto::record::Translation;
use kipfix_tests::api_server::{ApiServer, User};
use kipfix_tests::cluster::Cluster;
use kipfix_tests::collector::{Collector, assert_says, flow, now};
use kipfix_tests::objects;
use kipfix_tests::program::eventually;

/// An external address without a name.
const OUTSIDE: &str = "198.51.100.7";

/// Longer than the latency of a watch event.
const TOLD: Duration = Duration::from_millis(1500);

/// The shared server, a namespace of the test's own in it, and a collector that watches it.
fn watched(
    test: &str,
    namespace: &str,
    arguments: &[&str],
) -> Option<(&'static Cluster, Collector)> {
    let server = ApiServer::shared(test)?;
    let admin = server.admin();
    admin.create(objects::namespace(namespace));
    let ours = Collector::watching(&server.kubeconfig(User::Kipfix), arguments);
    Some((admin, ours))
}

fn address(text: &str) -> Address {
    Address::from(text.parse::<IpAddr>().unwrap())
}

//------------ Owners ----------------------------------------------------------------------------

#[test]
fn the_workload_of_a_pod_is_its_top_controller_of_any_kind_else_a_label() {
    let test = "the_workload_of_a_pod_is_its_top_controller_of_any_kind_else_a_label";
    let ns = "owners";
    let labels = ["--workload-labels", "team", "--workload-labels", "app"];
    let Some((admin, ours)) = watched(test, ns, &labels) else {
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
    for (number, pod, owner, kind, workload) in [
        (1, "web-5d4f-a", Some(&replica_set), "Deployment", "web"),
        (2, "canary-77f9-a", Some(&of_rollout), "Rollout", "canary"),
        (3, "lone-a", Some(&lone), "ReplicaSet", "lone"),
        (4, "db-0", Some(&stateful_set), "StatefulSet", "db"),
        (5, "agent-a", Some(&daemon_set), "DaemonSet", "agent"),
        (6, "backup-a", Some(&of_cron_job), "CronJob", "backup"),
        (7, "once-a", Some(&job), "Job", "once"),
        (8, "pg-0", Some(&database), "Database", "pg"),
        (9, "bare", None, "Pod", "bare"),
        (10, "labelled", None, "Pod", "the-team"),
    ] {
        let ip = format!("10.20.0.{number}");
        let mut object = objects::pod(ns, pod).on("elsewhere").label("app", "an-app");
        if pod == "bare" {
            object = objects::pod(ns, pod).on("elsewhere");
        }
        if pod == "labelled" {
            object = object.label("team", "the-team");
        }
        if let Some(owner) = owner {
            object = object.owned_by(owner);
        }
        admin.create(object.running(&[&ip]));
        let known = || {
            let line = ours.attribute(&flow(&ip, OUTSIDE));
            line["sourceWorkloadKind"] == kind && line["sourceWorkloadName"] == workload
        };
        assert!(
            eventually(Duration::from_secs(10), known),
            "{pod} is not of {kind} {workload}: {}",
            ours.attribute(&flow(&ip, OUTSIDE))
        );
    }
}

//------------ Time ------------------------------------------------------------------------------

#[test]
fn an_address_that_changed_hands_within_a_flows_life_is_ambiguous_and_never_guessed() {
    let test = "an_address_that_changed_hands_within_a_flows_life_is_ambiguous_and_never_guessed";
    let ns = "reuse";
    let Some((admin, ours)) = watched(test, ns, &[]) else {
        return;
    };
    let pod = |name: &str| {
        let pod = objects::pod(ns, name).on("elsewhere");
        pod.running(&["10.21.0.1"])
    };
    let first = admin.create(pod("first"));
    sleep(TOLD);
    let of_first = flow("10.21.0.1", OUTSIDE);
    sleep(TOLD);
    admin.delete(&first);
    sleep(TOLD);
    admin.create(pod("second"));
    sleep(TOLD + Duration::from_secs(1));

    // Reported now, but the address was assigned to the first one at the time of the packets.
    assert_says(&ours.attribute(&of_first), &[("sourcePodName", "first")]);
    let of_second = flow("10.21.0.1", OUTSIDE);
    assert_says(&ours.attribute(&of_second), &[("sourcePodName", "second")]);
    let ambiguous = "kipfix_collector_records_ambiguous_total";
    assert_eq!(ours.scrape().sum(ambiguous, &[]), 0);
    let mut of_both = flow("10.21.0.1", OUTSIDE);
    of_both.flow_start_milliseconds = of_first.flow_start_milliseconds;
    let line = ours.attribute(&of_both);
    assert_says(&line, &[("sourcePodName", "")]);
    assert_eq!(ours.scrape().sum(ambiguous, &[]), 1);
    ours.counts(
        "kipfix_bytes_total",
        &["src_namespace=\"ambiguous\"", "src_workload=\"ambiguous\""],
        1000,
    );
}

#[test]
fn a_late_delete_takes_nothing_from_the_pod_that_has_the_address_now() {
    let test = "a_late_delete_takes_nothing_from_the_pod_that_has_the_address_now";
    let ns = "late-delete";
    let Some((admin, ours)) = watched(test, ns, &[]) else {
        return;
    };
    let pod = |name: &str| {
        let pod = objects::pod(ns, name).on("elsewhere");
        pod.running(&["10.22.0.1"])
    };
    let old = admin.create(pod("old"));
    admin.begin_delete(&old, Duration::from_secs(30));
    sleep(TOLD);
    admin.create(pod("new"));
    sleep(TOLD);
    admin.delete(&old);
    sleep(TOLD);
    let line = ours.attribute(&flow("10.22.0.1", OUTSIDE));
    assert_says(&line, &[("sourcePodName", "new")]);
}

#[test]
fn a_pod_that_has_run_to_its_end_leaves_its_addresses_to_the_next_one() {
    let test = "a_pod_that_has_run_to_its_end_leaves_its_addresses_to_the_next_one";
    let ns = "completed";
    let Some((admin, ours)) = watched(test, ns, &[]) else {
        return;
    };
    let pod = |name: &str| {
        let pod = objects::pod(ns, name).on("elsewhere");
        pod.running(&["10.23.0.1"])
    };
    let done = admin.create(pod("done").phase("Succeeded"));
    assert_eq!(done.text("status/podIP"), "10.23.0.1");
    sleep(TOLD);
    admin.create(pod("next"));
    sleep(TOLD + Duration::from_secs(1));
    let line = ours.attribute(&flow("10.23.0.1", OUTSIDE));
    assert_says(&line, &[("sourcePodName", "next")]);
    // Reported again, as by every resync, it does not take the address back.
    admin.patch(
        &done,
        &serde_json::json!({"metadata": {"labels": {"again": "1"}}}),
    );
    sleep(TOLD);
    let line = ours.attribute(&flow("10.23.0.1", OUTSIDE));
    assert_says(&line, &[("sourcePodName", "next")]);
}

#[test]
fn a_pod_that_talks_before_its_address_is_reported_is_attributed_once_it_is() {
    let test = "a_pod_that_talks_before_its_address_is_reported_is_attributed_once_it_is";
    let ns = "early";
    let arguments = ["--attribution-wait", "8s"];
    let Some((admin, ours)) = watched(test, ns, &arguments) else {
        return;
    };
    let node = objects::node("early-node").pod_cidrs(&["10.24.0.0/24"]);
    admin.create(node);
    let pod = admin.create(objects::pod(ns, "early").on("early-node"));
    // Its creation is known to the second only.
    sleep(Duration::from_millis(2500));
    let record = flow("10.24.0.7", OUTSIDE);
    ours.send(&record);
    ours.counts("kipfix_collector_records_pending", &[], 1);
    admin.set_status(&pod, &objects::running(&["10.24.0.7"]));
    let line = ours.line(&record);
    assert_says(
        &line,
        &[("sourcePodName", "early"), ("sourceNodeName", "early-node")],
    );
}

#[test]
fn a_pod_is_remembered_for_as_long_as_asked_after_it_went() {
    let test = "a_pod_is_remembered_for_as_long_as_asked_after_it_went";
    let ns = "remembered";
    let arguments = ["--deleted-pods-kept", "4s", "--observer-timeout", "1s"];
    let Some((admin, ours)) = watched(test, ns, &arguments) else {
        return;
    };
    let pod = objects::pod(ns, "gone").on("elsewhere");
    let pod = admin.create(pod.running(&["10.25.0.1"]));
    sleep(TOLD);
    admin.delete(&pod);
    sleep(TOLD);
    let line = ours.attribute(&flow("10.25.0.1", OUTSIDE));
    assert_says(&line, &[("sourcePodName", "gone")]);
    sleep(Duration::from_secs(6));
    let line = ours.attribute(&flow("10.25.0.1", OUTSIDE));
    assert_says(
        &line,
        &[
            ("sourcePodName", ""),
            ("trafficClass", "external_to_external"),
        ],
    );
}

#[test]
fn an_exporter_whose_clock_is_off_is_believed_but_for_that() {
    let test = "an_exporter_whose_clock_is_off_is_believed_but_for_that";
    let ns = "skew";
    let Some((admin, ours)) = watched(test, ns, &[]) else {
        return;
    };
    let pod = objects::pod(ns, "young").on("elsewhere");
    admin.create(pod.running(&["10.26.0.1"]));
    sleep(TOLD + Duration::from_secs(1));
    // By this exporter's clock, which is ten minutes behind the limit, the pod did not exist.
    let behind = 300_000;
    let mut record = flow("10.26.0.1", OUTSIDE);
    record.flow_start_milliseconds = record.flow_end_milliseconds - 200;
    record.flow_start_milliseconds -= behind;
    record.flow_end_milliseconds -= behind;
    ours.send_all(&[record.clone()], now() - behind);
    assert_says(&ours.line(&record), &[("sourcePodName", "young")]);
    let skew = ours.scrape().sum(
        "kipfix_collector_exporter_clock_skew_seconds",
        &["exporter=\"127.0.0.1\""],
    );
    assert!((299..=302).contains(&skew), "{skew}");
}

//------------ Addresses and ports of nodes ------------------------------------------------------

#[test]
fn pods_on_the_nodes_network_are_the_node_but_for_the_ports_that_they_declare() {
    let test = "pods_on_the_nodes_network_are_the_node_but_for_the_ports_that_they_declare";
    let ns = "host-network";
    let Some((admin, ours)) = watched(test, ns, &[]) else {
        return;
    };
    let node = objects::node("host-node").node_address("InternalIP", "10.27.9.1");
    admin.create(node);
    let exporter = objects::pod(ns, "exporter").on("host-node").host_network();
    let exporter = exporter.host_port(9100, 9100, "TCP");
    admin.create(exporter.running(&["10.27.9.1"]));
    let proxy = objects::pod(ns, "proxy").on("host-node");
    let proxy = proxy.host_port(8080, 80, "TCP");
    admin.create(proxy.running(&["10.27.0.2"]));
    sleep(TOLD);
    for (port, pod, class) in [
        (9100, "exporter", "external_to_pod"),
        (8080, "proxy", "external_to_pod"),
        (22, "", "external_to_node"),
    ] {
        let mut record = flow(OUTSIDE, "10.27.9.1");
        record.key.destination_port = port;
        let line = ours.attribute(&record);
        let said = [
            ("destinationPodName", pod),
            ("destinationNodeName", "host-node"),
            ("trafficClass", class),
        ];
        assert_says(&line, &said);
    }
    let line = ours.attribute(&flow(OUTSIDE, "10.27.0.2"));
    assert_says(&line, &[("destinationPodName", "proxy")]);
}

#[test]
fn every_address_of_a_node_and_of_its_tunnels_is_the_nodes() {
    let test = "every_address_of_a_node_and_of_its_tunnels_is_the_nodes";
    let Some((admin, ours)) = watched(test, "node-addresses", &[]) else {
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
    sleep(TOLD);
    for ip in [
        "10.28.9.1",
        "fd00:28::1",
        "203.0.113.28",
        "10.28.1.200",
        "10.28.7.1",
        // The first address of the pod CIDR is Flannel's tunnel, the next one its bridge.
        "10.28.1.0",
        "10.28.1.1",
        "10.28.1.130",
    ] {
        let outside = if ip.contains(':') {
            "2001:db8::7"
        } else {
            OUTSIDE
        };
        let line = ours.attribute(&flow(ip, outside));
        let said = [
            ("sourceNodeName", "many-addresses"),
            ("trafficClass", "node_to_external"),
        ];
        assert_says(&line, &said);
    }
}

#[test]
fn a_pod_that_only_its_nodes_cidr_tells_of_is_an_unknown_pod_of_that_node() {
    let test = "a_pod_that_only_its_nodes_cidr_tells_of_is_an_unknown_pod_of_that_node";
    let Some((admin, ours)) = watched(test, "cidr-only", &[]) else {
        return;
    };
    let node = objects::node("cidr-only").place("r1", "z7");
    admin.create(node.pod_cidrs(&["10.29.1.0/24", "fd00:29:1::/64"]));
    sleep(TOLD);
    for (ip, outside) in [("10.29.1.77", OUTSIDE), ("fd00:29:1::77", "2001:db8::7")] {
        let line = ours.attribute(&flow(ip, outside));
        let said = [
            ("sourcePodName", ""),
            ("sourceNodeName", "cidr-only"),
            ("sourceZone", "z7"),
            ("trafficClass", "pod_to_external"),
        ];
        assert_says(&line, &said);
    }
    let unreported = "kipfix_collector_records_unattributed_total";
    assert_eq!(ours.scrape().sum(unreported, &[]), 2);
    ours.counts(
        "kipfix_bytes_total",
        &["src_namespace=\"unknown\"", "src_workload=\"unknown\""],
        2000,
    );
}

#[test]
fn every_address_of_a_pod_in_both_families_is_the_pods() {
    let test = "every_address_of_a_pod_in_both_families_is_the_pods";
    let ns = "dual-stack";
    let Some((admin, ours)) = watched(test, ns, &[]) else {
        return;
    };
    let pod = objects::pod(ns, "both").on("elsewhere");
    let pod = admin.create(pod.running(&["10.30.0.1", "fd00:30::1"]));
    sleep(TOLD);
    for (ip, outside) in [("10.30.0.1", OUTSIDE), ("fd00:30::1", "2001:db8::7")] {
        let line = ours.attribute(&flow(ip, outside));
        assert_says(&line, &[("sourcePodName", "both")]);
    }
    // It is restarted and has another address in one family.
    admin.set_status(&pod, &objects::running(&["10.30.0.2", "fd00:30::1"]));
    sleep(TOLD + Duration::from_secs(1));
    for (ip, outside) in [("10.30.0.2", OUTSIDE), ("fd00:30::1", "2001:db8::7")] {
        let line = ours.attribute(&flow(ip, outside));
        assert_says(&line, &[("sourcePodName", "both")]);
    }
}

//------------ Services --------------------------------------------------------------------------

#[test]
fn a_flow_that_shows_an_address_or_node_port_of_a_service_goes_to_the_service() {
    let test = "a_flow_that_shows_an_address_or_node_port_of_a_service_goes_to_the_service";
    let ns = "services";
    let Some((admin, ours)) = watched(test, ns, &[]) else {
        return;
    };
    let node = objects::node("service-node").node_address("InternalIP", "10.31.9.1");
    admin.create(node);
    let pod = objects::pod(ns, "client").on("elsewhere");
    admin.create(pod.running(&["10.31.0.1", "fd00:31::1"]));
    let both = &["10.96.31.1", "fd00:96::31"];
    admin.create(objects::service(ns, "cluster", both));
    let external = objects::service(ns, "external", &["10.96.31.2"]);
    admin.create(external.external_ips(&["203.0.113.31"]));
    let balanced = objects::service(ns, "balanced", &["10.96.31.3"]);
    admin.create(balanced.load_balancer(&["203.0.113.32"]));
    let open = objects::service(ns, "open", &["10.96.31.4"]);
    admin.create(open.node_port(30_331));
    sleep(TOLD);
    for (ip, port, service) in [
        ("10.96.31.1", 80, "cluster"),
        ("fd00:96::31", 80, "cluster"),
        ("10.96.31.2", 80, "external"),
        ("203.0.113.31", 80, "external"),
        ("203.0.113.32", 80, "balanced"),
        ("10.31.9.1", 30_331, "open"),
    ] {
        let client = if ip.contains(':') {
            "fd00:31::1"
        } else {
            "10.31.0.1"
        };
        let mut record = flow(client, ip);
        record.key.destination_port = port;
        let line = ours.attribute(&record);
        let said = [
            ("sourcePodName", "client"),
            ("destinationServiceName", service),
            ("destinationServiceNamespace", ns),
            ("trafficClass", "pod_to_service"),
            ("trafficScope", "internal"),
        ];
        assert_says(&line, &said);
    }
    ours.counts(
        "kipfix_bytes_total",
        &["dst_kind=\"Service\"", "dst_workload=\"cluster\""],
        2000,
    );
}

#[test]
fn a_flow_that_was_translated_goes_to_the_pod_and_names_the_service() {
    let test = "a_flow_that_was_translated_goes_to_the_pod_and_names_the_service";
    let ns = "translated";
    let Some((admin, ours)) = watched(test, ns, &[]) else {
        return;
    };
    let node = objects::node("translating").node_address("InternalIP", "10.32.9.1");
    admin.create(node);
    for (name, ip, node) in [
        ("client", "10.32.0.1", "translating"),
        ("server", "10.32.0.2", "elsewhere"),
    ] {
        let pod = objects::pod(ns, name).on(node);
        admin.create(pod.running(&[ip]));
    }
    admin.create(objects::service(ns, "front", &["10.96.32.1"]));
    sleep(TOLD);
    let mut record = flow("10.32.0.1", "10.96.32.1");
    record.translation = Some(Translation {
        post_nat_destination_address: address("10.32.0.2"),
        post_napt_destination_port: 8080,
        ..Translation::default()
    });
    let said = [
        ("sourcePodName", "client"),
        ("destinationPodName", "server"),
        ("destinationServiceName", "front"),
        ("trafficClass", "pod_to_pod"),
    ];
    assert_says(&ours.attribute(&record), &said);
    // A masqueraded pod: what is on the wire is the node's address.
    let mut record = flow("10.32.9.1", OUTSIDE);
    record.translation = Some(Translation {
        post_nat_source_address: address("10.32.0.1"),
        ..Translation::default()
    });
    let said = [
        ("sourcePodName", "client"),
        ("trafficClass", "pod_to_external"),
    ];
    assert_says(&ours.attribute(&record), &said);
}

//------------ Places and groups -----------------------------------------------------------------

#[test]
fn zone_region_pool_group_and_cluster_are_told_in_lines_and_in_series() {
    let test = "zone_region_pool_group_and_cluster_are_told_in_lines_and_in_series";
    let ns = "places";
    let arguments = [
        "--cluster-name",
        "prod-1",
        "--node-pool-label",
        "pool",
        "--namespace-label",
        "team",
    ];
    let Some(server) = ApiServer::shared(test) else {
        return;
    };
    let admin = server.admin();
    admin.create(objects::namespace(ns).label("team", "payments"));
    let node = objects::node("placed").place("r3", "r3-b");
    admin.create(node.label("pool", "spot").pod_cidrs(&["10.33.0.0/24"]));
    let pod = objects::pod(ns, "placed").on("placed");
    admin.create(pod.running(&["10.33.0.1"]));
    let ours = Collector::watching(&server.kubeconfig(User::Kipfix), &arguments);
    let said = [
        ("sourceNodeName", "placed"),
        ("sourceZone", "r3-b"),
        ("sourceRegion", "r3"),
        ("sourceNodePool", "spot"),
        ("sourceNamespaceGroup", "payments"),
        ("clusterId", "prod-1"),
    ];
    assert_says(&ours.attribute(&flow("10.33.0.1", OUTSIDE)), &said);
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
    let counted = ["cluster=\"prod-1\"", "src_namespace=\"places\""];
    assert_eq!(scrape.sum("kipfix_bytes_total", &counted), 1000);

    // The namespace is somebody else's from now on.
    let changed = admin.read(&objects::namespace(ns)).unwrap();
    admin.patch(
        &changed,
        &serde_json::json!({"metadata": {"labels": {"team": "risk"}}}),
    );
    sleep(TOLD);
    let line = ours.attribute(&flow("10.33.0.1", OUTSIDE));
    assert_says(&line, &[("sourceNamespaceGroup", "risk")]);
}

//------------ Outside ---------------------------------------------------------------------------

#[test]
fn the_outside_has_names_from_settings_clouds_and_services_without_pods() {
    let test = "the_outside_has_names_from_settings_clouds_and_services_without_pods";
    let ns = "outside";
    let folder = tempfile::tempdir().unwrap();
    let clouds = folder.path().join("ip-ranges.json");
    let publish = |region: &str| {
        let text = format!(
            r#"{{"syncToken": "1", "createDate": "2026-01-01-00-00-00", "ipv6_prefixes": [], "prefixes": [{{"ip_prefix": "192.0.2.0/24", "region": "{region}", "service": "S3", "network_border_group": "{region}"}}]}}"#
        );
        std::fs::write(&clouds, text).unwrap();
    };
    publish("eu-central-1");
    let arguments = [
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
    ];
    let Some((admin, ours)) = watched(test, ns, &arguments) else {
        return;
    };
    let pod = objects::pod(ns, "client").on("elsewhere");
    admin.create(pod.running(&["10.34.0.1"]));
    // A database outside, behind a Service without pods.
    admin.create(objects::service(ns, "database", &["10.96.34.1"]));
    admin.create(objects::endpoint_slice(ns, "database", &["203.0.113.34"]));
    sleep(TOLD);
    for (ip, name) in [
        ("198.51.100.7", "partners"),
        ("198.51.100.77", "bank"),
        ("203.0.113.34", "database.outside.svc"),
        ("203.0.113.99", ""),
    ] {
        let line = ours.attribute(&flow("10.34.0.1", ip));
        let said = [
            ("destinationName", name),
            ("trafficClass", "pod_to_external"),
        ];
        assert_says(&line, &said);
    }
    let line = ours.attribute(&flow("10.34.0.1", "192.0.2.1"));
    let said = [
        ("destinationCloudProvider", "aws"),
        ("destinationCloudService", "S3"),
        ("destinationCloudRegion", "eu-central-1"),
    ];
    assert_says(&line, &said);
    let external = [
        "workload=\"client\"",
        "direction=\"egress\"",
        "cloud_service=\"S3\"",
    ];
    ours.counts("kipfix_external_bytes_total", &external, 1000);
    ours.counts("kipfix_external_connections_total", &external, 1);
    ours.counts(
        "kipfix_bytes_total",
        &["dst_kind=\"External\"", "dst_workload=\"bank\""],
        1000,
    );

    // The file is another one: it is read again while we run.
    publish("eu-west-1");
    let again = || {
        let line = ours.attribute(&flow("10.34.0.1", "192.0.2.1"));
        line["destinationCloudRegion"] == "eu-west-1"
    };
    assert!(eventually(Duration::from_secs(30), again));
    std::fs::write(&clouds, "{").unwrap();
    ours.counts("kipfix_collector_external_broken_files", &[], 1);
    let line = ours.attribute(&flow("10.34.0.1", "192.0.2.1"));
    assert_says(&line, &[("destinationCloudRegion", "eu-west-1")]);
}

//------------ Classes ---------------------------------------------------------------------------

#[test]
fn every_class_of_traffic_is_told_by_its_two_ends() {
    let test = "every_class_of_traffic_is_told_by_its_two_ends";
    let ns = "classes";
    let Some((admin, ours)) = watched(test, ns, &[]) else {
        return;
    };
    for (name, ip, pod) in [
        ("class-a", "10.35.9.1", "10.35.1.1"),
        ("class-b", "10.35.9.2", "10.35.2.1"),
    ] {
        let node = objects::node(name).node_address("InternalIP", ip);
        admin.create(node);
        let pod_object = objects::pod(ns, &format!("on-{name}")).on(name);
        admin.create(pod_object.running(&[pod]));
    }
    admin.create(objects::service(ns, "virtual", &["10.96.35.1"]));
    sleep(TOLD);
    let (node_a, node_b) = ("10.35.9.1", "10.35.9.2");
    let (pod_a, pod_b) = ("10.35.1.1", "10.35.2.1");
    let virtual_ip = "10.96.35.1";
    for (from, to, class, scope) in [
        (node_a, node_b, "node_to_node", "internal"),
        (pod_a, pod_b, "pod_to_pod", "internal"),
        (pod_a, node_b, "pod_to_node", "internal"),
        (node_a, pod_b, "node_to_pod", "internal"),
        (pod_a, OUTSIDE, "pod_to_external", "external"),
        (node_a, OUTSIDE, "node_to_external", "external"),
        (OUTSIDE, pod_a, "external_to_pod", "external"),
        (OUTSIDE, node_a, "external_to_node", "external"),
        (pod_a, virtual_ip, "pod_to_service", "internal"),
        (node_a, virtual_ip, "node_to_service", "internal"),
        (OUTSIDE, "203.0.113.1", "external_to_external", "external"),
        (pod_a, node_a, "intra_node", "internal"),
    ] {
        let line = ours.attribute(&flow(from, to));
        assert_says(&line, &[("trafficClass", class), ("trafficScope", scope)]);
        let counted = if class == "intra_node" { 0 } else { 1000 };
        let label = format!("class=\"{class}\"");
        ours.counts("kipfix_bytes_total", &[&label], counted);
    }
    ours.counts(
        "kipfix_collector_records_not_counted_total",
        &["reason=\"intra_node\""],
        1,
    );
}
