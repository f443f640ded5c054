//! The tests of the page in Chromium, with a running collector behind it instead of made-up data.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test code, in real time"
)]

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flowproto::{Address, FlowRecord};
use kipfix_tests::collector::{Collector, now};
use kipfix_tests::{program, skip};

const INVENTORY: &str = "
nodes:
  - {name: node-a, addresses: [192.0.2.1], podCIDRs: [10.1.1.0/24], zone: z1, region: r1}
  - {name: node-b, addresses: [192.0.2.2], podCIDRs: [10.1.2.0/24], zone: z2, region: r1}
pods:
  - {name: web-1, namespace: shop, addresses: [10.1.1.1], node: node-a, workload: {kind: Deployment, name: web}}
  - {name: web-2, namespace: shop, addresses: [10.1.1.2], node: node-a, workload: {kind: Deployment, name: web}}
  - {name: cart-1, namespace: shop, addresses: [10.1.1.3], node: node-a, workload: {kind: Deployment, name: cart}}
  - {name: db-0, namespace: data, addresses: [10.1.2.1], node: node-b, workload: {kind: StatefulSet, name: db}}
  - {name: cache-0, namespace: data, addresses: [10.1.2.2], node: node-b, workload: {kind: StatefulSet, name: cache}}
  - {name: dns-1, namespace: kube-system, addresses: [10.1.2.3], node: node-b, workload: {kind: Deployment, name: coredns}}
cidrs:
  - {cidr: 198.51.100.0/24, name: office}
  - {cidr: 203.0.113.0/24, name: payments}
";

/// Client, server, server port, and octets per second in both directions.
type Conversation = ([u8; 4], [u8; 4], u16, u64, u64);

const CONVERSATIONS: [Conversation; 8] = [
    ([10, 1, 1, 1], [10, 1, 2, 1], 5432, 40_000, 900_000),
    ([10, 1, 1, 2], [10, 1, 2, 1], 5432, 30_000, 700_000),
    ([10, 1, 1, 3], [10, 1, 2, 2], 6379, 20_000, 200_000),
    ([10, 1, 1, 1], [10, 1, 2, 3], 53, 2000, 4000),
    ([10, 1, 1, 3], [10, 1, 2, 3], 53, 1000, 2000),
    ([198, 51, 100, 7], [10, 1, 1, 1], 443, 60_000, 2_000_000),
    ([198, 51, 100, 8], [10, 1, 1, 2], 443, 50_000, 1_500_000),
    ([10, 1, 1, 3], [203, 0, 113, 5], 443, 80_000, 90_000),
];

/// The records of one second.
fn records() -> Vec<FlowRecord> {
    let end = now();
    let direction =
        |client: [u8; 4], server: [u8; 4], ports: (u16, u16), octets: u64, opens: bool| {
            let mut record = FlowRecord {
                octet_delta_count: octets,
                packet_delta_count: octets / 800 + 1,
                flow_start_milliseconds: end - 1000,
                flow_end_milliseconds: end,
                new_connection_delta_count: Some(opens.into()),
                ..FlowRecord::default()
            };
            record.key.source_address = Address::from(Ipv4Addr::from(client));
            record.key.destination_address = Address::from(Ipv4Addr::from(server));
            (record.key.source_port, record.key.destination_port) = ports;
            record.key.protocol_identifier = 6;
            record
        };
    let both = |(client, server, port, sent, received): Conversation| {
        let mut request = direction(client, server, (40_000, port), sent, true);
        request.tcp_round_trip_time.add(400);
        if port == 6379 {
            // One packet in ten.
            let packets = u32::try_from(request.packet_delta_count / 10 + 1).unwrap();
            request.tcp_health.retransmitted_packets = packets;
        }
        [
            request,
            direction(server, client, (port, 40_000), received, false),
        ]
    };
    CONVERSATIONS.into_iter().flat_map(both).collect()
}

#[test]
fn the_page_shows_the_traffic_of_a_running_collector() {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web");
    if !program::is_installed("chromium") || !program::is_installed("npm") {
        return skip("npm or chromium is not installed");
    }
    if !web.join("node_modules").exists() {
        return skip("web/test.sh has not installed the packages of the page");
    }
    let presets = [
        "--preset",
        "workloads",
        "--preset",
        "external",
        "--cluster-name",
        "test",
    ];
    let collector = Collector::with_inventory(INVENTORY, &presets);
    let url = format!("http://{}/", collector.http());
    let is_done = AtomicBool::new(false);
    let status = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                let began = Instant::now();
                collector.send_all(&records(), now());
                std::thread::sleep(Duration::from_secs(1).saturating_sub(began.elapsed()));
            }
        });
        // Until the history has several intervals.
        let count = u64::try_from(2 * CONVERSATIONS.len()).unwrap() * 25;
        let enough = || {
            collector
                .scrape()
                .sum("kipfix_collector_records_counted_total", &[])
                >= count
        };
        let is_ready = program::eventually(Duration::from_secs(90), enough);
        // Frame rates are measured with made-up data, and pictures are not tests.
        let status = Command::new("npx")
            .current_dir(&web)
            .args([
                "vitest",
                "run",
                "--project",
                "e2e",
                "--exclude",
                "**/performance.test.ts",
                "--exclude",
                "**/screenshots.test.ts",
                "--retry",
                "2",
            ])
            .env("KIPFIX_WEB_URL", &url)
            .status();
        is_done.store(true, Ordering::Relaxed);
        assert!(
            is_ready,
            "the traffic is not counted: {:?}",
            collector.scrape()
        );
        status.unwrap()
    });
    assert!(status.success(), "the tests of the page failed: {status}");
    collector.stop();
}
