//! 200 pods a second are created and deleted, and reuse addresses: no flow is attributed to a pod
//! that cannot have sent it.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::HashMap;
use std::net::IpAddr;
use std::thread::sleep;
use std::time::Duration;

use flowproto::FlowRecord;
use kipfix_tests::api_server::{ApiServer, User};
use kipfix_tests::churn::{Churn, Plan, Truth};
use kipfix_tests::collector::{Collector, flow, milliseconds, now};
use kipfix_tests::{objects, skip, take_turn};
use serde_json::Value;

/// Each belongs to one pod for ten seconds at full rate.
const ADDRESSES: u16 = 2000;
/// Time from the last packet of a flow to its export: a probe waits for as long after the end of a
/// connection. Watch events of a loaded machine arrive meanwhile.
const EXPORT_DELAY: Duration = Duration::from_secs(5);
/// Flows of one certain sender without which the test shows little.
const MIN_CERTAIN: u32 = 400;
/// Duration of each flow.
const FLOW_DURATION: Duration = Duration::from_millis(300);

fn address(number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    IpAddr::from([10, 200, high, low])
}

/// The attribution of flows that only one pod can have sent.
#[derive(Debug, Default)]
struct Verdicts {
    right: u32,
    ambiguous: u32,
    unknown: u32,
    wrong: Vec<String>,
}

#[test]
fn no_flow_is_attributed_to_another_pod_at_200_pods_a_second() {
    churned(false);
}

#[test]
fn no_flow_is_attributed_to_another_pod_with_late_deletes() {
    churned(true);
}

fn churned(late_deletes: bool) {
    let _turn = take_turn();
    let Some(server) = ApiServer::start() else {
        return;
    };
    let admin = server.admin();
    admin.create(objects::namespace("churn"));
    let ours = Collector::watching(&server.kubeconfig(User::Kipfix), &[]);
    let churn = Churn::start(
        admin,
        Plan {
            namespace: "churn".to_owned(),
            node: "elsewhere".to_owned(),
            addresses: (0..ADDRESSES).map(address).collect(),
            rate: 200,
            late_deletes,
        },
    );
    let (mut sent, mut next): (Vec<FlowRecord>, usize) = (Vec::new(), 0);
    for number in 0..6000_u16 {
        let mut record = flow(&address(number % ADDRESSES).to_string(), "198.51.100.7");
        record.key.source_port = number + 1;
        record.flow_start_milliseconds = record.flow_end_milliseconds - millis(FLOW_DURATION);
        sent.push(record);
        if number % 20 == 0 {
            sleep(Duration::from_millis(50));
            let due = now() - millis(EXPORT_DELAY);
            let ready = sent[next..]
                .iter()
                .take_while(|record| record.flow_end_milliseconds <= due)
                .count();
            ours.send_all(&sent[next..next + ready], now());
            next += ready;
        }
    }
    let truth = churn.finish();
    sleep(EXPORT_DELAY);
    ours.send_all(&sent[next..], now());
    for record in sent.iter().rev().take(20) {
        ours.line(record);
    }

    let verdicts = judge(&truth, &sent, &ours.lines());
    eprintln!(
        "{:.0} of 200 pods/s, {} pods; flows of one certain sender: {} right, {} ambiguous, \
         {} unknown, \
         {} wrong",
        truth.rate(),
        truth.holders.len(),
        verdicts.right,
        verdicts.ambiguous,
        verdicts.unknown,
        verdicts.wrong.len()
    );
    assert!(verdicts.wrong.is_empty(), "{:#?}", verdicts.wrong);
    // Events that arrive late leave few flows that only one pod can have sent.
    let certain = verdicts.right + verdicts.ambiguous + verdicts.unknown;
    if truth.rate() < 100.0 || certain < MIN_CERTAIN {
        let slow = format!(
            "this machine created {:.0} of 200 pods a second, and {certain} flows have one certain sender",
            truth.rate()
        );
        skip(&slow);
        return;
    }
    let (right, ambiguous) = (verdicts.right, verdicts.ambiguous);
    assert!(right > 200 && right > 4 * ambiguous, "{verdicts:?}");
    let counted = ours
        .scrape()
        .sum("kipfix_collector_records_ambiguous_total", &[]);
    assert!(
        counted >= u64::from(verdicts.ambiguous),
        "{counted} {verdicts:?}"
    );
}

fn judge(truth: &Truth, sent: &[FlowRecord], lines: &[Value]) -> Verdicts {
    let by_port: HashMap<u64, &Value> = lines
        .iter()
        .map(|line| (line["sourceTransportPort"].as_u64().unwrap(), line))
        .collect();
    let mut verdicts = Verdicts::default();
    for record in sent {
        let number = record.key.source_port - 1;
        let holder = truth.of(address(number % ADDRESSES)).find(|holder| {
            milliseconds(holder.reported.done) <= record.flow_start_milliseconds
                && holder
                    .deleted
                    .is_none_or(|deleted| record.flow_end_milliseconds < milliseconds(deleted.sent))
        });
        let Some(holder) = holder else { continue };
        let line = by_port[&u64::from(record.key.source_port)];
        match line["sourcePodName"].as_str() {
            Some(name) if name == holder.pod => verdicts.right += 1,
            None if line["trafficClass"] == "pod_to_external" => verdicts.ambiguous += 1,
            // The pod was reported later than its flows.
            None => verdicts.unknown += 1,
            Some(other) => verdicts.wrong.push(format!(
                "{other} instead of {}, which had {} from {} to {:?}: {line}",
                holder.pod,
                holder.address,
                milliseconds(holder.reported.done),
                holder.deleted.map(|deleted| milliseconds(deleted.sent)),
            )),
        }
    }
    verdicts
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}
