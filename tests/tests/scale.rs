//! A cluster of 5,000 nodes and 100,000 pods, and 200 pods a second that are created and deleted:
//! the time until the collector is ready, its memory, and the delay of a change. Takes minutes the
//! first time: `make scale`.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test code; it measures real time"
)]

use std::net::IpAddr;
use std::time::{Duration, Instant};

use kipfix_tests::api_server::{ApiServer, User};
use kipfix_tests::churn::{self, Churn};
use kipfix_tests::collector::{Collector, flow, now};
use kipfix_tests::fill::Plan;
use kipfix_tests::program::eventually;
use kipfix_tests::{objects, skip, take_turn};

const EXTERNAL: &str = "198.51.100.7";

#[test]
fn a_large_cluster_and_its_changes_are_loaded_in_time() {
    if std::env::var_os("KIPFIX_SCALE").is_none() {
        skip("takes minutes the first time: make scale");
        return;
    }
    let _turn = take_turn();
    let plan = Plan {
        nodes: 5000,
        pods: 100_000,
    };
    let Some(server) = ApiServer::start_filled(plan) else {
        return;
    };
    let without = Collector::start(&["--kubernetes", "off"]);
    let resident_without = resident(without.pid());
    without.stop();

    let began = Instant::now();
    let ours = Collector::watching(
        &server.kubeconfig(User::Kipfix),
        &["--inventory-wait", "10m"],
    );
    let ready = || ours.readiness().starts_with("HTTP/1.1 200");
    assert!(eventually(Duration::from_secs(300), ready));
    let ready = began.elapsed();
    let octets = resident(ours.pid()) - resident_without;
    let a_pod = octets / u64::from(plan.pods);
    eprintln!(
        "{} pods on {} nodes: ready after {:.1} s, {} MiB more than without, {a_pod} octets a pod",
        plan.pods,
        plan.nodes,
        ready.as_secs_f64(),
        octets >> 20
    );
    assert!(a_pod <= 600, "{a_pod} octets a pod");
    for pod in [0, 4999, 50_000, 99_999] {
        let line = ours.attribute(&flow(&plan.pod_address(pod).to_string(), EXTERNAL));
        assert_eq!(line["sourcePodName"], plan.pod_name(pod));
        assert_eq!(line["sourceWorkloadName"], plan.deployment(pod));
        assert_eq!(line["sourceZone"], plan.zone(plan.node_of(pod)));
    }

    // The time from the report of a pod's address to the first flow that is attributed to it.
    let admin = server.admin();
    admin.create(objects::namespace("churn"));
    let mut delays = Vec::new();
    for number in 1..=20 {
        let ip = format!("10.201.0.{number}");
        let pod = admin.create(objects::pod("churn", &format!("new-{number}")).on("elsewhere"));
        admin.set_status(&pod, &objects::running(&[&ip]));
        let reported = now();
        let mut sent = Vec::new();
        for _ in 0..100 {
            let mut record = flow(&ip, EXTERNAL);
            record.flow_start_milliseconds = record.flow_end_milliseconds;
            ours.send(&record);
            sent.push(record);
            std::thread::sleep(Duration::from_millis(5));
        }
        let first = sent.iter().find(|record| {
            let line = ours.line(record);
            line["sourcePodName"].is_string()
        });
        delays.push(first.unwrap().flow_end_milliseconds - reported);
    }
    delays.sort_unstable();
    eprintln!(
        "from the report of a pod to the first correct attribution: median {} ms, maximum {} ms",
        delays[delays.len() / 2],
        delays[delays.len() - 1]
    );

    let events = || {
        ours.scrape()
            .sum("kipfix_collector_kubernetes_events_total", &["pods"])
    };
    let addresses: Vec<IpAddr> = (0..400u16)
        .map(|n| {
            let [high, low] = n.to_be_bytes();
            IpAddr::from([10, 200, high, low])
        })
        .collect();
    let (namespace, node) = ("churn".to_owned(), plan.node_name(0));
    let (before, began) = (events(), Instant::now());
    let churn = Churn::start(
        admin,
        churn::Plan {
            namespace,
            node,
            addresses,
            rate: 200,
            late_deletes: false,
        },
    );
    std::thread::sleep(Duration::from_secs(20));
    let truth = churn.finish();
    let all_attributed = || {
        let held = truth
            .holders
            .iter()
            .filter(|holder| holder.deleted.is_none());
        let mut held = held.map(|holder| &holder.address);
        held.all(|address| {
            let line = ours.attribute(&flow(&address.to_string(), EXTERNAL));
            line["sourcePodName"].is_string()
        })
    };
    assert!(eventually(Duration::from_secs(60), all_attributed));
    // The rate depends on the machine.
    eprintln!(
        "{:.0} of 200 pods/s, {:.0} events/s, all attributed; {} MiB more than without",
        truth.rate(),
        (events() - before) as f64 / began.elapsed().as_secs_f64(),
        (resident(ours.pid()) - resident_without) >> 20
    );
    ours.stop();
}

/// Resident memory of a process in octets.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.unwrap().parse::<u64>().unwrap() * 1024
}
