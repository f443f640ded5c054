//! kipfix on a real cluster of three nodes, installed by its chart: what pods send to each other,
//! to nodes, to the outside and from it is what Prometheus has in the end.
//!
//! One cluster for all tests, which take turns; it goes when they are done, however they end. Other
//! test files can run in parallel: these tests mostly wait and do not measure time.
#![allow(
    clippy::disallowed_methods,
    reason = "tests wait for real processes in real time"
)]
#![allow(clippy::unwrap_used, reason = "test code")]

mod cluster;
mod defaults;
mod encrypted;
mod exporters;
mod failure;
mod map;
mod operator;
mod privileges;
mod release;
mod shop;

use std::process::ExitCode;
use std::sync::Arc;

use cluster::{Cluster, Test};
use libtest_mimic::{Arguments, Trial};

const TESTS: [(&str, Test); 10] = [
    ("capture_privileges_are_as_documented", privileges::table),
    (
        "the_default_installation_counts_what_was_sent",
        defaults::installed,
    ),
    (
        "node_ports_and_masqueraded_traffic_are_attributed",
        defaults::translated,
    ),
    (
        "third_party_exporters_are_counted_through_the_node_port",
        exporters::third_parties_export_to_kipfix,
    ),
    (
        "a_third_party_collector_receives_what_the_probes_send",
        exporters::kipfix_exports_to_third_parties,
    ),
    (
        "export_to_the_collector_is_encrypted_as_configured",
        encrypted::exported,
    ),
    (
        "a_collector_that_is_deleted_under_load_loses_nothing",
        failure::deleted,
    ),
    ("a_drained_node_loses_nothing", failure::drained),
    (
        "the_map_of_one_of_two_collectors_is_that_of_the_cluster",
        map::of_two_collectors,
    ),
    (
        "the_prometheus_operator_discovers_probes_and_collector",
        operator::monitors,
    ),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let cluster = Arc::<Cluster>::default();
    let trials = TESTS.map(|(name, test)| {
        let cluster = Arc::clone(&cluster);
        Trial::test(name, move || cluster.run(name, test))
    });
    let conclusion = libtest_mimic::run(&arguments, trials.into());
    cluster.remove();
    conclusion.exit_code()
}
