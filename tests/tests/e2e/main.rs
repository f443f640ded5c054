//! kipfix on a real cluster of three nodes, installed by its chart: what pods send to each other, to nodes, to
//! the outside and from it is what Prometheus has in the end.
//!
//! One cluster for all tests, which take turns; it goes when they are done, however they end. Other test files
//! can run in parallel: these tests mostly wait and do not measure time.
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
mod operator;
mod privileges;
mod release;
mod shop;

use std::process::ExitCode;
use std::sync::Arc;

use cluster::{Cluster, Test};
use libtest_mimic::{Arguments, Trial};

const TESTS: [(&str, Test); 9] = [
    ("who_may_capture_is_as_documented", privileges::table),
    (
        "what_is_installed_by_default_counts_what_was_sent",
        defaults::story,
    ),
    (
        "both_legs_of_a_node_port_and_what_a_node_masquerades_are_seen",
        defaults::translated,
    ),
    (
        "exporters_that_exist_are_counted_by_the_node_port",
        exporters::into_ours,
    ),
    (
        "a_collector_that_exists_takes_what_the_probes_send",
        exporters::into_theirs,
    ),
    (
        "what_probes_tell_collectors_is_encrypted_where_it_is_to_be",
        encrypted::story,
    ),
    (
        "a_collector_that_is_deleted_under_load_loses_nothing",
        failure::deleted,
    ),
    ("a_drained_node_loses_nothing", failure::drained),
    (
        "the_prometheus_operator_finds_all_of_it",
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
