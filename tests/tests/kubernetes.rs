//! Who a packet was, as a real API server tells it.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test code; records are of now, because attribution is by time"
)]

use std::net::{IpAddr, UdpSocket};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flowproto::exporter::{ExportSession, ExportSettings};
use flowproto::record::{BiflowDirection, FlowKey};
use flowproto::{Address, FlowRecord};
use kipfix_tests::api_server::{ApiServer, StreamingLists, User};
use kipfix_tests::objects;
use kipfix_tests::program::{self, Running, collector, free_tcp_port, free_udp_port};
use kipfix_tests::scrape::Scrape;

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

struct Collector {
    running: Running,
    port: u16,
    http: u16,
}

impl Collector {
    fn start(server: &ApiServer, user: User) -> Self {
        let (port, http) = (free_udp_port(), free_tcp_port());
        let running = Running::start(
            collector()
                .args(["--listen", &format!("udp://127.0.0.1:{port}")])
                .args(["--http", &format!("127.0.0.1:{http}"), "--kubernetes"])
                .arg(server.kubeconfig(user))
                .args(["--attribution-wait", "1s", "--observer-wait", "1s"])
                .stderr(Stdio::null()),
        );
        program::wait_for_udp(running.pid(), port);
        Self {
            running,
            port,
            http,
        }
    }

    fn scrape(&self) -> Scrape {
        Scrape::of(format!("127.0.0.1:{}", self.http).parse().unwrap())
    }

    /// Sends a flow of 1000 octets that ran in the last second, from an exporter that is no node.
    fn send(&self, from: &str, to: &str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = u64::try_from(now.as_millis()).unwrap();
        let address = |text: &str| Address::from(text.parse::<IpAddr>().unwrap());
        let record = FlowRecord {
            key: FlowKey {
                source_address: address(from),
                destination_address: address(to),
                source_port: 40_000,
                destination_port: 80,
                protocol_identifier: 6,
            },
            octet_delta_count: 1000,
            packet_delta_count: 2,
            flow_start_milliseconds: now - 1000,
            flow_end_milliseconds: now,
            biflow_direction: Some(BiflowDirection::Initiator),
            new_connection_delta_count: Some(1),
            ..FlowRecord::default()
        };
        let mut session = ExportSession::new(ExportSettings::default());
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut send = |message: flowproto::exporter::OutgoingMessage<'_>| {
            socket
                .send_to(message.octets, ("127.0.0.1", self.port))
                .unwrap();
        };
        session.add(&record, now, &mut send);
        session.flush(now, &mut send);
    }

    /// Waits until so many octets are counted in the series with these labels.
    fn counts(&self, labels: &[&str], octets: u64) {
        let counted = || self.scrape().sum("kipfix_bytes_total", labels) == octets;
        assert!(
            program::eventually(Duration::from_secs(15), counted),
            "{labels:?}: {:?}",
            self.scrape().series("kipfix_bytes_total")
        );
    }
}

const CART_TO_WEB: [&str; 5] = [
    "src_kind=\"StatefulSet\"",
    "src_workload=\"cart\"",
    "dst_kind=\"Deployment\"",
    "dst_workload=\"web\"",
    "class=\"pod_to_pod\"",
];

fn attributed(test: &str, lists: StreamingLists) {
    let Some(server) = ApiServer::start_with(test, lists) else {
        return;
    };
    fill(&server);
    let ours = Collector::start(&server, User::Kipfix);
    // One flow to warm up: what comes before the inventory waits for it.
    ours.send("10.1.1.10", "10.1.2.10");
    ours.counts(&CART_TO_WEB, 1000);
    ours.send("fd00:1:1::10", "fd00:1:2::10");
    ours.counts(&CART_TO_WEB, 2000);
    let zones = [
        "src_zone=\"z1\"",
        "dst_zone=\"z2\"",
        "src_workload=\"cart\"",
    ];
    assert_eq!(ours.scrape().sum("kipfix_zone_bytes_total", &zones), 2000);
    ours.send("10.1.1.10", "10.96.7.7");
    ours.counts(
        &[
            "src_workload=\"cart\"",
            "dst_kind=\"Service\"",
            "class=\"pod_to_service\"",
        ],
        1000,
    );
    ours.send("10.9.0.1", "10.1.2.10");
    ours.counts(
        &[
            "src_kind=\"Node\"",
            "src_workload=\"node-a\"",
            "class=\"node_to_pod\"",
        ],
        1000,
    );
    ours.send("10.1.2.10", "198.51.100.7");
    ours.counts(
        &[
            "src_workload=\"web\"",
            "dst_kind=\"External\"",
            "class=\"pod_to_external\"",
        ],
        1000,
    );

    // A pod that comes while we run.
    let admin = server.admin();
    let late = objects::pod(NS, "late")
        .on("node-a")
        .running(&["10.1.1.11"]);
    admin.create(late);
    std::thread::sleep(Duration::from_millis(1500));
    ours.send("10.1.1.11", "10.1.2.10");
    ours.counts(&["src_kind=\"Pod\"", "src_workload=\"late\""], 1000);
    let (code, _) = ours.running.terminate();
    assert_eq!(code, Some(0));
}

#[test]
fn a_flow_is_attributed_to_workloads_services_nodes_and_zones() {
    attributed(
        "a_flow_is_attributed_to_workloads_services_nodes_and_zones",
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
fn what_is_known_stays_known_while_the_api_server_is_away() {
    let test = "what_is_known_stays_known_while_the_api_server_is_away";
    let Some(mut server) = ApiServer::start(test) else {
        return;
    };
    fill(&server);
    let ours = Collector::start(&server, User::Kipfix);
    ours.send("10.1.1.10", "10.1.2.10");
    ours.counts(&CART_TO_WEB, 1000);
    server.stop_api();
    ours.send("10.1.1.10", "10.1.2.10");
    ours.counts(&CART_TO_WEB, 2000);
    let down = || {
        ours.scrape()
            .sum("kipfix_collector_kubernetes_up", &["pods"])
            == 0
    };
    assert!(
        program::eventually(Duration::from_secs(20), down),
        "{:?}",
        ours.scrape()
    );
    server.start_api();
    let up = || {
        ours.scrape()
            .sum("kipfix_collector_kubernetes_up", &["pods"])
            == 1
    };
    assert!(
        program::eventually(Duration::from_secs(60), up),
        "{:?}",
        ours.scrape()
    );
}

#[test]
fn a_forbidden_kind_is_off_and_the_others_go_on() {
    let test = "a_forbidden_kind_is_off_and_the_others_go_on";
    let Some(server) = ApiServer::start(test) else {
        return;
    };
    fill(&server);
    let ours = Collector::start(&server, User::WithoutServices);
    ours.send("10.1.1.10", "10.1.2.10");
    ours.counts(&CART_TO_WEB, 1000);
    let scrape = ours.scrape();
    assert_eq!(
        scrape.sum("kipfix_collector_kubernetes_up", &["services"]),
        0
    );
    assert_eq!(scrape.sum("kipfix_collector_kubernetes_up", &["pods"]), 1);
}
