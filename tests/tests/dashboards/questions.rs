//! The questions that docs and library panels answer, and a collector that has data for those of
//! all presets.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum as _;
use flowproto::FlowRecord;
use flowproto::dns::DnsHealth;
use flowproto::http::{GrpcStatus, HttpHealth};
use flowproto::record::Interfaces;
use flowproto::tcp::{ConnectionState, Handshake, TcpHealth};
use kipfix_collector::aggregate::Preset;
use kipfix_tests::collector::{Collector, flow};
use kipfix_tests::{dashboards, program, skip, take_turn};

use crate::page;
use crate::prometheus::Prometheus;

const INVENTORY: &str = "
nodes:
- {name: a, addresses: [10.9.0.1], zone: z1, region: r1}
- {name: b, addresses: [10.9.0.2], zone: z2, region: r1}
pods:
- {name: web-1, namespace: shop, addresses: [10.1.1.10], node: a, labels: {app: web}, workload: {kind: Deployment, name: web}}
- {name: db-0, namespace: data, addresses: [10.1.2.11], node: b, labels: {app: db}, workload: {kind: StatefulSet, name: db}}
services:
- {name: shop, namespace: shop, addresses: [10.96.0.10]}
cidrs:
- {cidr: 198.51.100.0/24, name: office}
";

/// A line of PromQL and where it is stated.
pub(crate) struct Question {
    pub(crate) source: String,
    pub(crate) expr: String,
}

/// The PromQL in README and the pages of `docs/` without those of presets.
pub(crate) fn documented() -> Vec<Question> {
    let pages = std::fs::read_dir(page("docs")).unwrap();
    let mut pages: Vec<PathBuf> = pages
        .map(|page| page.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .filter(|path| !path.ends_with("presets.md"))
        .collect();
    pages.push(page("README.md"));
    let questions: Vec<Question> = pages.into_iter().flat_map(promql_of).collect();
    assert!(questions.len() >= 5);
    questions
}

/// The PromQL of presets: their questions in the docs, and the library panels.
pub(crate) fn of_presets() -> Vec<Question> {
    let mut questions = promql_of(page("docs/presets.md"));
    let documented = questions.len();
    assert!(documented >= 15, "{documented}");
    let panels = dashboards::queries_of("grafana/library", "1m", "5m");
    assert!(panels.len() >= 14, "{}", panels.len());
    questions.extend(panels.into_iter().map(|query| Question {
        source: query.dashboard,
        expr: query.expr,
    }));
    questions
}

/// Whether it is about losses between nodes, which need the records of two nodes.
pub(crate) fn is_of_loss(question: &Question) -> bool {
    question.expr.contains("kipfix_loss_")
}

/// Whether the answer has a number. The quotient of two rates of 0 is NaN.
pub(crate) fn is_answered(question: &Question, prometheus: &Prometheus) -> bool {
    let samples = prometheus.query(&question.expr);
    samples.iter().any(|sample| sample["value"][1] != "NaN")
}

/// The statements in the blocks of PromQL of a page. A line that is indented more than the first
/// one of its block continues a statement.
fn promql_of(page: PathBuf) -> Vec<Question> {
    let text = std::fs::read_to_string(&page).unwrap();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut questions: Vec<Question> = Vec::new();
    for block in text.split("```promql\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        let lines = || block.lines().filter(|line| !line.trim().is_empty());
        let margin = lines().map(indent).min().unwrap_or_default();
        for line in lines().filter(|line| !line.trim().starts_with('#')) {
            match questions.last_mut() {
                Some(last) if indent(line) > margin => last.expr += line,
                _ => questions.push(Question {
                    source: page.display().to_string(),
                    expr: line.trim().to_owned(),
                }),
            }
        }
    }
    questions
}

/// Records that have everything that the presets count.
fn records() -> Vec<FlowRecord> {
    let mut connection = flow("10.1.1.10", "10.1.2.11");
    connection.tcp_connection_state = ConnectionState::Open;
    connection.tcp_handshake = Handshake {
        client_microseconds: 300,
        server_microseconds: 500,
    };
    connection.tcp_health = TcpHealth {
        retransmitted_packets: 1,
        retransmitted_octets: 100,
        ..TcpHealth::default()
    };
    connection.http = HttpHealth {
        requests: 2,
        responses: [0, 1, 0, 0, 1],
        ..HttpHealth::default()
    };
    connection.http.grpc.count(GrpcStatus::Unavailable);
    let mut resolution = flow("10.1.1.10", "10.1.2.11");
    resolution.dns = DnsHealth {
        queries: 3,
        unanswered_queries: 1,
        no_error_responses: 1,
        name_error_responses: 1,
        ..DnsHealth::default()
    };
    resolution.dns.response_time.add(2000);
    let mut closed = flow("10.1.1.10", "10.1.2.11");
    closed.tcp_connection_state = ConnectionState::Closed;
    closed.connection_sum_duration_milliseconds = 1500;
    let mut refused = flow("10.1.1.10", "10.1.2.11");
    refused.tcp_connection_state = ConnectionState::Refused;
    let mut unanswered = flow("10.1.1.10", "10.1.2.11");
    unanswered.tcp_connection_state = ConnectionState::Unanswered;
    let to_service = flow("10.1.1.10", "10.96.0.10");
    let mut external = flow("10.1.1.10", "198.51.100.7");
    external.interfaces = Some(Interfaces {
        ingress_interface: 3,
        egress_interface: 4,
        flow_direction: None,
    });
    vec![
        connection, resolution, closed, refused, unanswered, to_service, external,
    ]
}

#[test]
fn every_question_of_a_preset_finds_data() {
    if !program::is_installed("prometheus") {
        return skip("prometheus is not installed");
    }
    let _turn = take_turn();
    let names = Preset::value_variants()
        .iter()
        .map(|preset| preset.to_possible_value().unwrap().get_name().to_owned());
    let presets = names.collect::<Vec<_>>().join(",");
    let arguments = ["--preset", &presets, "--intra-node", "--series-birth", "1s"];
    let collector = Collector::with_inventory(INVENTORY, &arguments);
    let prometheus = Prometheus::start_honoring_labels("collector", &collector.http().to_string());
    let mut open: Vec<Question> = of_presets();
    open.retain(|question| !is_of_loss(question));
    // A rate needs two scrapes of a series.
    let are_answered = || {
        for record in records() {
            collector.send(&record);
        }
        std::thread::sleep(Duration::from_secs(1));
        open.retain(|question| !is_answered(question, &prometheus));
        open.is_empty()
    };
    let is_complete = program::eventually(program::PATIENCE, are_answered);
    let open = open
        .iter()
        .map(|question| (&question.source, &question.expr));
    assert!(is_complete, "no data: {:#?}", open.collect::<Vec<_>>());
    collector.stop();
}
