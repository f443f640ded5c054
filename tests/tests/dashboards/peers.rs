//! Dashboards of other programs find data under the names of the presets `k8spacket` and `palark`.
//!
//! The queries are stated here as the panels and variables of these programs ask them: those of
//! k8spacket's dashboard of metrics, and that of the node graph of Palark's collector.

use flowproto::FlowRecord;
use flowproto::record::BiflowDirection;
use flowproto::tcp::ConnectionState;
use kipfix_tests::collector::{Collector, flow};
use kipfix_tests::program::{self, eventually};
use kipfix_tests::{skip, take_turn};

use crate::prometheus::Prometheus;

const INVENTORY: &str = "
nodes:
- {name: a, addresses: [10.9.0.1]}
pods:
- {name: web-1, namespace: shop, addresses: [10.1.1.10], node: a, labels: {app: web}}
- {name: db-0, namespace: data, addresses: [10.1.1.11], node: a, labels: {app: db}}
";
const WEB: &str = "10.1.1.10";
const DB: &str = "10.1.1.11";

/// Both directions of a connection of 1.5 s.
fn connection() -> [FlowRecord; 2] {
    let mut request = flow(WEB, DB);
    request.octet_delta_count = 400;
    request.tcp_connection_state = ConnectionState::Closed;
    request.connection_sum_duration_milliseconds = 1500;
    let mut answer = flow(DB, WEB);
    answer.key = request.key.reversed();
    answer.octet_delta_count = 6000;
    answer.biflow_direction = Some(BiflowDirection::ReverseInitiator);
    answer.new_connection_delta_count = Some(0);
    [request, answer]
}

/// The values of a label, as a variable of a dashboard that has all of them.
fn all_of(prometheus: &Prometheus, series: &str, label: &str) -> String {
    let found = prometheus.query(&format!("group by ({label}) ({series})"));
    let values = found.iter().map(|sample| sample["metric"][label].as_str());
    let values: Vec<&str> = values.map(|value| value.unwrap()).collect();
    assert!(!values.is_empty(), "{label} of {series}");
    format!("({})", values.join("|"))
}

fn value(samples: &[serde_json::Value]) -> f64 {
    let [sample] = samples else {
        panic!("not one sample: {samples:?}");
    };
    sample["value"][1].as_str().unwrap().parse().unwrap()
}

#[test]
fn panels_of_other_programs_find_data_under_their_names() {
    if !program::is_installed("prometheus") {
        return skip("prometheus is not installed");
    }
    let _turn = take_turn();
    let arguments = [
        "--preset",
        "k8spacket,palark",
        "--intra-node",
        "--series-birth",
        "3s",
    ];
    let collector = Collector::with_inventory(INVENTORY, &arguments);
    let prometheus = Prometheus::start_honoring_labels("collector", &collector.http().to_string());
    let is_up = || !prometheus.query("up == 1").is_empty();
    assert!(eventually(program::PATIENCE, is_up));
    for record in [connection(), connection()].concat() {
        collector.send(&record);
    }
    let is_scraped = || {
        !prometheus
            .query("increase(k8s_packet_bytes_sent_sum[1m]) > 0")
            .is_empty()
    };
    assert!(eventually(program::PATIENCE, is_scraped));
    let ns = all_of(&prometheus, "k8s_packet_bytes_sent_sum", "ns");
    let of_ns = format!("k8s_packet_bytes_sent_sum{{ns=~\"{ns}\"}}");
    let workload = all_of(&prometheus, &of_ns, "src_name");
    assert_eq!(workload, "(pod.web-1)");
    let selected = format!("{{ns=~\"{ns}\", src_name=~\"{workload}\"}}[1m]");
    for (metric, mean) in [
        ("k8s_packet_bytes_sent", 400.0),
        ("k8s_packet_bytes_received", 6000.0),
        ("k8s_packet_duration_seconds", 1.5),
    ] {
        let part =
            |suffix: &str| format!("sum(increase({metric}{suffix}{selected})) by (src_name)");
        let query = format!("{}/{}", part("_sum"), part("_count"));
        let found = value(&prometheus.query(&query));
        assert!((found - mean).abs() < mean * 1e-6, "{query}: {found}");
    }
    for (filter, source, target) in [
        (r#"srcnamespace="shop""#, "web", "db"),
        (r#"srcnamespace="data",dstnamespace="shop""#, "db", "web"),
    ] {
        let query =
            format!("sum by (dsthost,srchost) (rate(netflow_connection_bytes{{{filter}}}[60s]))");
        let found = prometheus.query(&query);
        assert!(value(&found) > 0.0, "{query}: {found:?}");
        let ends = &found[0]["metric"];
        assert_eq!(
            (&ends["srchost"], &ends["dsthost"]),
            (&source.into(), &target.into())
        );
    }
    collector.stop();
}
