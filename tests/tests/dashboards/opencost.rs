//! OpenCost's queries of network traffic, in a real Prometheus, give what was sent.
//!
//! The queries have the names, labels and functions that OpenCost uses: `increase` over a subquery
//! in current versions, over a range and with the older spelling of labels in earlier ones.

use std::collections::BTreeMap;
use std::process::Command;

use kipfix_tests::collector::{self, Collector, flow};
use kipfix_tests::program::{self, eventually};
use kipfix_tests::{skip, take_turn};

use crate::prometheus::Prometheus;

const INVENTORY: &str = "
nodes:
- {name: a, addresses: [10.9.0.1], zone: z1, region: r1}
- {name: b, addresses: [10.9.0.2], zone: z2, region: r1}
- {name: c, addresses: [10.9.0.3], zone: z9, region: r2}
- {name: d, addresses: [10.9.0.4], zone: z1, region: r1}
pods:
- {name: web-1, namespace: shop, addresses: [10.1.1.10], node: a}
- {name: log-1, namespace: ops, addresses: [10.1.1.11], node: d}
- {name: db-0, namespace: shop, addresses: [10.1.2.10], node: b}
- {name: far-0, namespace: shop, addresses: [10.1.3.10], node: c}
cidrs:
- {cidr: 192.0.2.0/24, name: storage}
";

const WEB: &str = "10.1.1.10";
const LOG: &str = "10.1.1.11";
const DB: &str = "10.1.2.10";
const FAR: &str = "10.1.3.10";
const STORAGE: &str = "192.0.2.7";
const UNNAMED: &str = "198.51.100.7";

const GIB: u64 = 1 << 30;

/// Packets that were sent: from, to, GiB.
const SENT: [(&str, &str, u64); 8] = [
    (WEB, LOG, 1),
    (WEB, DB, 2),
    (WEB, FAR, 4),
    (WEB, STORAGE, 8),
    (WEB, UNNAMED, 16),
    (DB, WEB, 32),
    (STORAGE, DB, 64),
    (FAR, DB, 128),
];

/// Conditions and grouping of a query, and the GiB that it gives by pod (and service).
type Expected = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, u64)],
);

const EXPECTED: [Expected; 8] = [
    (
        "egress",
        r#"internet="false", same_zone="false", same_region="true""#,
        "pod_name, namespace, uid",
        &[("shop/web-1", 2), ("shop/db-0", 32)],
    ),
    (
        "egress",
        r#"internet="false", same_zone="false", same_region="false""#,
        "pod_name, namespace, uid",
        &[("shop/web-1", 4), ("shop/far-0", 128)],
    ),
    (
        "egress",
        r#"internet="true""#,
        "pod_name, namespace, uid",
        &[("shop/web-1", 24)],
    ),
    (
        "egress",
        r#"internet="true""#,
        "pod_name, namespace, service, uid",
        &[("shop/web-1", 16), ("shop/web-1/storage", 8)],
    ),
    (
        "ingress",
        r#"internet="false", same_zone="false", same_region="true""#,
        "pod_name, namespace, uid",
        &[("shop/web-1", 32), ("shop/db-0", 2)],
    ),
    (
        "ingress",
        r#"internet="false", same_zone="false", same_region="false""#,
        "pod_name, namespace, uid",
        &[("shop/db-0", 128), ("shop/far-0", 4)],
    ),
    (
        "ingress",
        r#"internet="true""#,
        "pod_name, namespace, uid",
        &[("shop/db-0", 64)],
    ),
    (
        "ingress",
        r#"internet="true""#,
        "pod_name, namespace, service, uid",
        &[("shop/db-0/storage", 64)],
    ),
];

/// Queries of versions with the older spelling, and the GiB that they give by pod.
const EARLIER: [(&str, &[(&str, u64)]); 3] = [
    (
        r#"internet="false", sameZone="false", sameRegion="true""#,
        &[("shop/web-1", 2), ("shop/db-0", 32)],
    ),
    (
        r#"internet="false", sameZone="false", sameRegion="false""#,
        &[("shop/web-1", 4), ("shop/far-0", 128)],
    ),
    (r#"internet="true""#, &[("shop/web-1", 24)]),
];

/// The value of each pod, or of each pod and service.
fn by_pod(prometheus: &Prometheus, query: &str) -> BTreeMap<String, f64> {
    let samples = prometheus.query(query);
    let of = |sample: &serde_json::Value| {
        let label = |name: &str| sample["metric"][name].as_str().unwrap_or("").to_owned();
        let mut name = format!("{}/{}", label("namespace"), label("pod_name"));
        if !label("service").is_empty() {
            name += &format!("/{}", label("service"));
        }
        let value = sample["value"][1].as_str().unwrap().parse().unwrap();
        (name, value)
    };
    let all = samples.iter().map(of);
    all.filter(|(_, value)| *value != 0.0).collect()
}

fn expected(values: &[(&str, u64)]) -> BTreeMap<String, f64> {
    let values = values.iter();
    values
        .map(|(pod, gib)| (pod.to_string(), f64::from(u32::try_from(*gib).unwrap())))
        .collect()
}

/// A collector that has received nothing yet.
fn started(birth: &str) -> Collector {
    let arguments = [
        "--preset",
        "opencost",
        "--cluster-name",
        "one",
        "--series-birth",
        birth,
    ];
    Collector::with_inventory(INVENTORY, &arguments)
}

fn send(collector: &Collector) {
    for (from, to, gib) in SENT {
        let mut record = flow(from, to);
        record.octet_delta_count = gib * GIB;
        collector.send(&record);
    }
}

#[test]
fn what_prometheus_scrapes_answers_the_queries_of_earlier_versions() {
    if !program::is_installed("prometheus") {
        return skip("prometheus is not installed");
    }
    let _turn = take_turn();
    let collector = started("3s");
    let target = collector.http().to_string();
    let prometheus = Prometheus::start_honoring_labels("collector", &target);
    // Series are there from their beginning.
    let is_up = || !prometheus.query("up == 1").is_empty();
    assert!(eventually(program::PATIENCE, is_up));
    send(&collector);
    for (conditions, values) in EARLIER {
        let metric = format!("kubecost_pod_network_egress_bytes_total{{{conditions}}}");
        let group = "by (namespace, pod_name, cluster) / 1024 / 1024 / 1024";
        let total = format!("sum({metric}) {group}");
        let wanted = expected(values);
        let is_scraped = || by_pod(&prometheus, &total) == wanted;
        assert!(eventually(program::PATIENCE, is_scraped), "{total}");
        let increase = format!("sum(increase({metric}[1h])) {group}");
        let increase = by_pod(&prometheus, &increase);
        assert_eq!(
            increase.keys().collect::<Vec<_>>(),
            wanted.keys().collect::<Vec<_>>()
        );
        for (pod, gib) in wanted {
            // `increase` extrapolates to the next sample.
            let ratio = increase[&pod] / gib;
            assert!((0.99..1.6).contains(&ratio), "{conditions} {pod}: {ratio}");
        }
    }
}

/// The traffic series of a scrape as OpenMetrics with a time.
fn at(collector: &Collector, seconds: u64) -> Vec<String> {
    let text = collector.metrics_text();
    let lines = text.lines().filter(|line| line.starts_with("kubecost_"));
    lines.map(|line| format!("{line} {seconds}")).collect()
}

#[test]
fn an_hour_of_samples_answers_the_queries_of_the_current_version() {
    if !program::is_installed("prometheus") || !program::is_installed("promtool") {
        return skip("prometheus is not installed");
    }
    let _turn = take_turn();
    let collector = started("0s");
    send(&collector);
    let bytes = SENT.iter().map(|(_, _, gib)| gib * GIB).sum::<u64>();
    // Of the last two, one is not sent by a pod.
    let sent = bytes - 64 * GIB;
    collector.counts("kubecost_pod_network_egress_bytes_total", &[], sent);

    // The same samples as if they had been scraped for an hour: 0 in the first half.
    let now = collector::now() / 1000;
    let end = (now - 3600) / 300 * 300;
    let mut samples = Vec::new();
    for line in at(&collector, 0) {
        let series = line.rsplitn(3, ' ').nth(2).unwrap();
        let value = line.rsplit(' ').nth(1).unwrap();
        for minute in 0..=60 {
            let value = if minute < 30 { "0" } else { value };
            samples.push(format!("{series} {value} {}", end - 3600 + minute * 60));
        }
    }
    let mut text = String::new();
    for family in ["egress", "ingress"] {
        let family = format!("kubecost_pod_network_{family}_bytes");
        text += &format!("# TYPE {family} counter\n");
        for sample in samples.iter().filter(|sample| sample.starts_with(&family)) {
            text += &format!("{sample}\n");
        }
    }
    text += "# EOF\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("samples");
    std::fs::write(&file, text).unwrap();
    let data = folder.path().join("data");
    program::output(
        Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .args([&file, &data]),
    );
    let prometheus = Prometheus::with_data(folder);
    for (direction, conditions, group, values) in EXPECTED {
        let query = format!(
            "sum(increase(kubecost_pod_network_{direction}_bytes_total{{{conditions}, }}[1h:5m] @ {end})) \
             by ({group}, cluster) / 1024 / 1024 / 1024"
        );
        let rounded = by_pod(&prometheus, &query)
            .into_iter()
            .map(|(pod, gib)| (pod, gib.round()))
            .collect::<BTreeMap<_, _>>();
        assert_eq!(rounded, expected(values), "{query}");
    }
}
