//! Attribution of objects as products create them: k3s, Spark, Volcano, JobSet, Multus, Flannel,
//! Calico. With a real API server; each test has its own namespace and addresses.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::net::UdpSocket;

use flowproto::FlowRecord;
use flowproto::exporter::{ExportSession, ExportSettings, OutgoingMessage};
use flowproto::record::Translation;
use kipfix_tests::api_server::ApiServer;
use kipfix_tests::collector::{
    Collector, EXTERNAL, address, assert_members, flow, now, to_external,
};
use kipfix_tests::objects::{self, Object};
use kipfix_tests::program::{PATIENCE, eventually};
use serde_json::{Value, json};

/// A pod that runs since a time in the past.
fn running(namespace: &str, name: &str, addresses: &[&str]) -> Object {
    objects::long_running_pod(namespace, name, "elsewhere", addresses)
}

fn to_port(from: &str, to: &str, port: u16) -> FlowRecord {
    let mut record = flow(from, to);
    record.key.destination_port = port;
    record
}

/// Asserts the workload of the pod at an address, which an update may change.
#[track_caller]
fn assert_workload(ours: &Collector, ip: &str, kind: &str, name: &str) {
    let mut found = String::new();
    let is_expected = || {
        let line = ours.attribute(&to_external(ip));
        found = format!(
            "{} {}",
            line["sourceWorkloadKind"], line["sourceWorkloadName"]
        );
        line["sourceWorkloadKind"] == kind && line["sourceWorkloadName"] == name
    };
    assert!(eventually(PATIENCE, is_expected), "{ip}: {found}");
}

#[test]
fn executors_of_spark_have_the_workload_of_their_driver() {
    let ns = "spark";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    let group = "sparkoperator.k8s.io/v1beta2";
    let application = objects::foreign_owner(group, "SparkApplication", "pi");
    let driver = running(ns, "pi-driver", &["10.50.0.1"]).owned_by(&application);
    let driver = admin.create(driver);
    admin.create(running(ns, "pi-a-exec-1", &["10.50.0.2"]).owned_by(&driver));
    // A client in a pod of a CronJob is the driver itself.
    let cron_job = admin.create(objects::cron_job(ns, "etl"));
    let job = admin.create(objects::job(ns, "etl-29384756").owned_by(&cron_job));
    let client = admin.create(running(ns, "etl-29384756-x", &["10.50.0.3"]).owned_by(&job));
    admin.create(running(ns, "etl-exec-1", &["10.50.0.4"]).owned_by(&client));
    let ours = server.watching(&[]);
    assert_workload(&ours, "10.50.0.1", "SparkApplication", "pi");
    assert_workload(&ours, "10.50.0.2", "SparkApplication", "pi");
    assert_workload(&ours, "10.50.0.3", "CronJob", "etl");
    assert_workload(&ours, "10.50.0.4", "CronJob", "etl");
    // An executor that starts later, and one that ends after its driver.
    admin.create(running(ns, "pi-a-exec-2", &["10.50.0.5"]).owned_by(&driver));
    assert_workload(&ours, "10.50.0.5", "SparkApplication", "pi");
    admin.delete(&driver);
    admin.create(running(ns, "later", &["10.50.0.6"]));
    assert_workload(&ours, "10.50.0.6", "Pod", "later");
    assert_workload(&ours, "10.50.0.2", "SparkApplication", "pi");
}

#[test]
fn owners_of_other_api_groups_and_owners_that_change() {
    let ns = "batch";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    let volcano = objects::foreign_owner("batch.volcano.sh/v1alpha1", "Job", "train-29384756");
    admin.create(running(ns, "train-29384756-worker-0", &["10.51.0.1"]).owned_by(&volcano));
    // Jobs that the server does not have any more: the name ends with a date, not with a schedule.
    let dated = objects::foreign_owner("batch/v1", "Job", "import-20240101");
    admin.create(running(ns, "import-20240101-x", &["10.51.0.2"]).owned_by(&dated));
    // 2024-01-01, in minutes since the epoch.
    let scheduled = objects::foreign_owner("batch/v1", "Job", "backup-28401120");
    admin.create(running(ns, "backup-28401120-x", &["10.51.0.3"]).owned_by(&scheduled));
    let of_job_set = objects::foreign_owner("jobset.x-k8s.io/v1alpha2", "JobSet", "sim");
    let job = admin.create(objects::job(ns, "sim-workers-0").owned_by(&of_job_set));
    let worker = running(ns, "sim-workers-0-0-x", &["10.51.0.4"]).owned_by(&job);
    let worker = admin.create(worker);
    let alone = admin.create(objects::workload("ReplicaSet", ns, "web-5d4f"));
    admin.create(running(ns, "web-5d4f-x", &["10.51.0.5"]).owned_by(&alone));
    let ours = server.watching(&[]);
    assert_workload(&ours, "10.51.0.1", "Job", "train-29384756");
    assert_workload(&ours, "10.51.0.2", "Job", "import-20240101");
    assert_workload(&ours, "10.51.0.3", "CronJob", "backup");
    assert_workload(&ours, "10.51.0.4", "JobSet", "sim");
    assert_workload(&ours, "10.51.0.5", "ReplicaSet", "web-5d4f");

    // A Deployment adopts the ReplicaSet. No pod changes.
    let web = admin.create(objects::workload("Deployment", ns, "web"));
    let adopted = alone.owned_by(&web);
    let owners = adopted.at("metadata/ownerReferences");
    admin.patch(&adopted, &json!({"metadata": {"ownerReferences": owners}}));
    assert_workload(&ours, "10.51.0.5", "Deployment", "web");

    // The Job is deleted before its pod, which changes afterwards.
    admin.delete(&job);
    let next = admin.create(objects::job(ns, "next"));
    admin.create(running(ns, "next-x", &["10.51.0.6"]).owned_by(&next));
    assert_workload(&ours, "10.51.0.6", "Job", "next");
    let label = json!({"metadata": {"labels": {"changed": "1"}}});
    admin.patch(&worker, &label);
    admin.create(running(ns, "later", &["10.51.0.7"]));
    assert_workload(&ours, "10.51.0.7", "Pod", "later");
    assert_workload(&ours, "10.51.0.4", "JobSet", "sim");
}

#[test]
fn the_load_balancer_of_k3s_has_the_ports_of_its_service() {
    let ns = "k3s";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    admin.create(objects::node("k3s-1").node_address("InternalIP", "10.52.9.1"));
    let daemon_set = admin.create(objects::workload("DaemonSet", ns, "svclb-traefik-0a1b"));
    let balancer = objects::pod(ns, "svclb-traefik-0a1b-x").on("k3s-1");
    let balancer = balancer
        .host_port(80, 80, "TCP")
        .host_port(9000, 9000, "TCP");
    admin.create(balancer.owned_by(&daemon_set).running(&["10.52.0.2"]));
    admin.create(running(ns, "traefik-x", &["10.52.0.3"]));
    let traefik = objects::service(ns, "traefik", &["10.96.52.1"]);
    admin.create(traefik.load_balancer(&["10.52.9.1"]));
    let ours = server.watching(&[]);
    let line = ours.attribute(&to_port(EXTERNAL, "10.52.9.1", 80));
    let expected = [
        ("destinationServiceName", "traefik"),
        ("destinationPodName", ""),
        ("trafficClass", "external_to_service"),
    ];
    assert_members(&line, &expected);
    let mut translated = to_port(EXTERNAL, "10.52.9.1", 80);
    translated.translation = Some(Translation {
        post_nat_destination_address: address("10.52.0.3"),
        post_napt_destination_port: 8000,
        ..Translation::default()
    });
    let expected = [
        ("destinationServiceName", "traefik"),
        ("destinationPodName", "traefik-x"),
        ("trafficClass", "external_to_pod"),
    ];
    assert_members(&ours.attribute(&translated), &expected);
    let line = ours.attribute(&to_port(EXTERNAL, "10.52.9.1", 9000));
    assert_members(&line, &[("destinationPodName", "svclb-traefik-0a1b-x")]);
}

#[test]
fn services_without_selector_lead_to_secondary_networks_and_shared_databases() {
    let ns = "manual";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    let annotation = "k8s.v1.cni.cncf.io/network-status";
    let networks = r#"[{"name": "manual/sriov", "interface": "net1", "ips": ["192.168.53.4"]}]"#;
    admin.create(running(ns, "upf-0", &["10.53.0.1"]).annotation(annotation, networks));
    admin.create(objects::endpoint_slice(ns, "upf", &["192.168.53.4"]));
    // Two teams have a Service for the same database, and one has two slices.
    for (name, service, port, ip) in [
        ("orders", "orders", 5432, "203.0.113.53"),
        ("billing", "billing", 5432, "203.0.113.53"),
        ("stocks-1", "stocks", 5432, "203.0.113.54"),
        ("stocks-2", "stocks", 5432, "203.0.113.54"),
    ] {
        let ports = json!([{"name": "sql", "port": port, "protocol": "TCP"}]);
        let slice = objects::endpoint_slice(ns, service, &[ip]);
        admin.create(slice.set("metadata/name", json!(name)).set("ports", ports));
    }
    let ours = server.watching(&["--cidr", "203.0.113.0/24=databases"]);
    let line = ours.attribute(&to_port("10.53.0.1", "192.168.53.4", 80));
    let expected = [
        ("destinationPodName", "upf-0"),
        ("trafficClass", "intra_node"),
    ];
    assert_members(&line, &expected);
    for (ip, name) in [
        ("203.0.113.53", "databases"),
        ("203.0.113.54", "stocks.manual.svc"),
    ] {
        let line = ours.attribute(&to_port("10.53.0.1", ip, 5432));
        let expected = [
            ("destinationName", name),
            ("trafficClass", "pod_to_external"),
        ];
        assert_members(&line, &expected);
    }
    let ambiguous = "kipfix_collector_records_ambiguous_total";
    assert_eq!(ours.scrape().sum(ambiguous, &[]), 0);
}

#[test]
fn an_annotation_that_calico_has_left_takes_no_address_from_a_pod() {
    let ns = "migrated";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    let annotation = "projectcalico.org/IPv4IPIPTunnelAddr";
    for (name, ip, tunnel) in [
        ("was-calico", "10.55.9.1", "10.55.1.64"),
        ("is-calico", "10.55.9.2", "10.55.2.64"),
    ] {
        let node = objects::node(name).node_address("InternalIP", ip);
        admin.create(node.annotation(annotation, tunnel));
    }
    admin.create(running(ns, "web", &["10.55.1.64"]));
    let ours = server.watching(&[]);
    for (ip, pod, node) in [
        ("10.55.1.64", "web", "elsewhere"),
        ("10.55.2.64", "", "is-calico"),
    ] {
        let line = ours.attribute(&to_external(ip));
        assert_members(&line, &[("sourcePodName", pod), ("sourceNodeName", node)]);
    }
}

/// Sends a record from a source address.
fn send_from(ours: &Collector, source: &str, record: &FlowRecord) {
    let socket = UdpSocket::bind((source, 0)).unwrap();
    let mut session = ExportSession::new(ExportSettings::default());
    let mut send = |message: OutgoingMessage<'_>| {
        let collector = ("127.0.0.1", ours.port());
        socket.send_to(message.octets, collector).unwrap();
    };
    session.add(record, now(), &mut send).unwrap();
    session.flush(now(), &mut send);
}

#[test]
fn an_exporter_on_a_node_of_flannel_sends_from_the_gateway_of_the_pod_cidr() {
    let ns = "flannel";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    let node = objects::node("flannel-1").pod_cidrs(&["127.54.0.0/24"]);
    let backend = "flannel.alpha.coreos.com/backend-type";
    admin.create(node.annotation(backend, "vxlan"));
    let ours = server.watching(&["--allow-exporters", "nodes"]);
    // The address of its tunnel, to pods of other nodes, and that of its bridge.
    for source in ["127.54.0.0", "127.54.0.1"] {
        let mut line = None;
        // Refused until the node is known.
        let is_accepted = || {
            let record = flow("10.54.0.1", EXTERNAL);
            send_from(&ours, source, &record);
            let port = json!(record.key.source_port);
            let is_its = |line: &Value| line["sourceTransportPort"] == port;
            line = ours.lines().into_iter().find(is_its);
            line.is_some()
        };
        assert!(eventually(PATIENCE, is_accepted), "{source}");
        // It is not an external exporter.
        assert_members(&line.unwrap(), &[("observer", "")]);
    }
    let (accepted, before) = (ours.lines().len(), refused(&ours));
    // A pod.
    send_from(&ours, "127.54.0.9", &flow("10.54.0.1", EXTERNAL));
    assert!(eventually(PATIENCE, || refused(&ours) > before));
    assert_eq!(ours.lines().len(), accepted);
}

fn refused(ours: &Collector) -> u64 {
    let metric = "kipfix_collector_datagrams_refused_total";
    ours.scrape().sum(metric, &["not_allowed"])
}
