//! A cluster of 5,000 nodes and 100,000 pods, and 200 pods a second that come and go: what the API server
//! of the tests itself does with them. Minutes the first time: `make scale`.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::net::IpAddr;
use std::time::Duration;

use kipfix_tests::api_server::{ApiServer, User};
use kipfix_tests::churn::{self, Churn};
use kipfix_tests::cluster::Cluster;
use kipfix_tests::fill::Plan;
use kipfix_tests::{objects, skip, take_turn};

#[test]
fn a_large_cluster_is_there_and_200_pods_a_second_come_and_go_in_it() {
    let test = "a_large_cluster_is_there_and_200_pods_a_second_come_and_go_in_it";
    if std::env::var_os("KIPFIX_SCALE").is_none() {
        skip(test, "takes minutes the first time: make scale");
        return;
    }
    let _turn = take_turn();
    let plan = Plan {
        nodes: 5000,
        pods: 100_000,
    };
    let Some(server) = ApiServer::start_filled(test, plan) else {
        return;
    };
    let kipfix = Cluster::connect(&server.kubeconfig(User::Kipfix));
    assert_eq!(kipfix.list("v1", "Node").unwrap().len(), 5000);

    let admin = server.admin();
    admin.create(objects::namespace("churn"));
    let addresses: Vec<IpAddr> = (0..400u16)
        .map(|n| {
            let [high, low] = n.to_be_bytes();
            IpAddr::from([10, 200, high, low])
        })
        .collect();
    let (namespace, node) = ("churn".to_owned(), plan.node_name(0));
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
    // How much of the rate is reached is the machine's affair; the truth holds at any.
    eprintln!("{:.0} of 200 pods/s", truth.rate());
    let pods = admin.list("v1", "Pod").unwrap();
    let held = truth
        .holders
        .iter()
        .filter(|holder| holder.deleted.is_none())
        .count();
    assert_eq!(pods.len(), 100_000 + held);
}
