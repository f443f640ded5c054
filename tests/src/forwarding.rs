//! A collector that forwards records to an engine that keeps history.

use flowproto::FlowRecord;

use crate::collector::{Collector, flow};
use crate::program::{PATIENCE, eventually};
use crate::scrape::Scrape;

const INVENTORY: &str = "
nodes: [{name: node-a, addresses: [192.0.2.1], podCIDRs: [10.1.1.0/24], zone: z1, region: r1}]
pods: [{name: web-1, namespace: shop, addresses: [10.1.1.1], node: node-a, workload: {kind: Deployment, name: web}}]
";

/// A collector with a forward target and one pod, 10.1.1.1.
pub struct Forwarding {
    /// The collector.
    pub collector: Collector,
    target: String,
}

impl Forwarding {
    /// Starts a collector. `parameters` are those of the URL of the target.
    pub fn start(target: &str, parameters: &str) -> Self {
        let forward = format!("{target}?{parameters}");
        let collector = Collector::with_inventory(INVENTORY, &["--forward", &forward]);
        Self {
            collector,
            target: target.to_owned(),
        }
    }

    /// The value of a metric of the target, such as `sent_total`.
    pub fn count(&self, name: &str, labels: &[&str]) -> u64 {
        self.count_of(&self.collector.scrape(), name, labels)
    }

    fn count_of(&self, scrape: &Scrape, name: &str, labels: &[&str]) -> u64 {
        let target = format!("target=\"{}\"", self.target);
        let mut all = vec![target.as_str()];
        all.extend(labels);
        scrape.sum(&format!("kipfix_collector_target_records_{name}"), &all)
    }

    /// Waits until the value of a metric of the target is `value`.
    pub fn wait_for(&self, name: &str, value: u64) {
        let reached = eventually(PATIENCE, || self.count(name, &[]) == value);
        assert!(reached, "{name} is {}, not {value}", self.count(name, &[]));
    }

    /// Waits until a record was lost for a reason.
    pub fn wait_for_lost(&self, reason: &str) {
        let label = format!("reason=\"{reason}\"");
        let lost = eventually(PATIENCE, || self.count("lost_total", &[&label]) > 0);
        assert!(lost, "no record is lost for the reason {reason}");
    }

    /// Waits until the target has refused the password.
    pub fn wait_for_refused(&self) {
        let name = "kipfix_collector_target_connection_failures_total";
        let reason = "reason=\"authentication_failed\"";
        let refused = || self.collector.scrape().sum(name, &[reason]) > 0;
        assert!(eventually(PATIENCE, refused), "no password is refused");
    }

    /// Checks the loss accounting of the target and returns sent and lost records.
    pub fn totals(&self) -> (u64, u64) {
        let scrape = self.collector.scrape();
        let count = |name| self.count_of(&scrape, name, &[]);
        let [received, sent] = [count("received_total"), count("sent_total")];
        let lost = count("lost_total");
        assert_eq!(count("waiting"), 0);
        assert_eq!(received, sent + lost);
        (sent, lost)
    }
}

/// Records of the pod to an external address, each of another flow.
pub fn flows(count: usize) -> Vec<FlowRecord> {
    (0..count)
        .map(|_| flow("10.1.1.1", "198.51.100.7"))
        .collect()
}
