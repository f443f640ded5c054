//! The cluster of all tests.

use std::sync::{Mutex, PoisonError};

use kipfix_tests::nodes::Nodes;
use kipfix_tests::skip_test;
use libtest_mimic::Failed;

/// How many nodes there are.
const NODES: usize = 3;

pub type Test = fn(&Nodes);

/// The cluster once a test has started it, or why it cannot be started.
#[derive(Default)]
pub struct Cluster(Mutex<Option<Result<Nodes, String>>>);

impl Cluster {
    /// Runs a test on the cluster. The first test starts it.
    pub fn run(&self, name: &str, test: Test) -> Result<(), Failed> {
        let mut nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match nodes.get_or_insert_with(|| Nodes::start(NODES)) {
            Ok(nodes) => test(nodes),
            Err(reason) => skip_test(name, reason),
        }
        Ok(())
    }

    pub fn remove(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
