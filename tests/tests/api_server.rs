//! The API server of the tests is a real one: it stores objects, enforces rights and restarts.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::net::IpAddr;
use std::time::Duration;

use kipfix_tests::api_server::{ApiServer, StreamingLists, User};
use kipfix_tests::churn::{self, Churn};
use kipfix_tests::cluster::Cluster;
use kipfix_tests::fill::Plan;
use kipfix_tests::objects::{self, Object};
use kipfix_tests::program::{PATIENCE, eventually};
use serde_json::json;

/// Returns the names of all objects of a kind in a namespace, or of those without one.
fn names(cluster: &Cluster, api_version: &str, kind: &str, namespace: &str) -> Vec<String> {
    let all = cluster.list(api_version, kind).unwrap();
    let ours = all
        .iter()
        .filter(|o| o.text("metadata/namespace") == namespace);
    ours.map(|o| o.name().to_owned()).collect()
}

#[test]
fn objects_of_every_kind_are_stored_and_readable_by_the_restricted_user() {
    let Some(server) = ApiServer::shared() else {
        return;
    };
    let (admin, ns) = (server.admin(), "every-kind");
    admin.create(objects::namespace(ns));
    let node = admin.create(
        objects::node("every-kind-node")
            .place("r1", "z1")
            .node_address("InternalIP", "10.9.0.1")
            .node_address("InternalIP", "fd00:9::1")
            .node_address("ExternalIP", "192.0.2.1")
            .node_address("Hostname", "every-kind-node")
            .annotation("flannel.alpha.coreos.com/public-ip", "10.9.0.1")
            .pod_cidrs(&["10.1.1.0/24", "fd00:1:1::/64"]),
    );
    let deployment = admin.create(objects::workload("Deployment", ns, "web"));
    let set = admin.create(objects::workload("ReplicaSet", ns, "web-5d").owned_by(&deployment));
    let pod = admin.create(
        objects::pod(ns, "web-5d-x")
            .owned_by(&set)
            .on(node.name())
            .host_port(8080, 80, "TCP")
            .running(&["10.1.1.10", "fd00:1:1::10"]),
    );
    let host = admin.create(
        objects::pod(ns, "agent")
            .on(node.name())
            .host_network()
            .running(&["10.9.0.1"]),
    );
    let cron = admin.create(objects::cron_job(ns, "nightly"));
    let job = admin.create(objects::job(ns, "nightly-1").owned_by(&cron));
    let done = admin.create(
        objects::pod(ns, "nightly-1-x")
            .owned_by(&job)
            .on(node.name())
            .running(&["10.1.1.11"])
            .phase("Succeeded"),
    );
    for kind in ["StatefulSet", "DaemonSet"] {
        let workload = admin.create(objects::workload(kind, ns, &kind.to_lowercase()));
        admin.create(objects::pod(ns, &format!("{}-0", workload.name())).owned_by(&workload));
    }
    let rollout = objects::foreign_owner("argoproj.io/v1alpha1", "Rollout", "canary");
    let canary = admin.create(objects::workload("ReplicaSet", ns, "canary-1").owned_by(&rollout));
    admin.create(
        objects::service(ns, "web", &["10.96.7.10", "fd00:96::710"])
            .external_ips(&["203.0.113.7"])
            .load_balancer(&["203.0.113.8"]),
    );
    admin.create(objects::service(ns, "node-port", &["10.96.7.11"]).node_port(30_071));
    admin.create(objects::service(ns, "headless", &["None"]));
    admin.create(objects::endpoint_slice(ns, "web", &["10.1.1.10"]));
    admin.create(objects::endpoint_slice(ns, "web", &["fd00:1:1::10"]));

    let kipfix = Cluster::connect(&server.kubeconfig(User::Kipfix));
    assert_eq!(
        names(&kipfix, "v1", "Pod", ns),
        [
            "agent",
            "daemonset-0",
            "nightly-1-x",
            "statefulset-0",
            "web-5d-x"
        ]
    );
    assert_eq!(
        names(&kipfix, "v1", "Service", ns),
        ["headless", "node-port", "web"]
    );
    assert_eq!(
        names(&kipfix, "discovery.k8s.io/v1", "EndpointSlice", ns),
        ["web-ipv4", "web-ipv6"]
    );
    assert_eq!(
        names(&kipfix, "apps/v1", "ReplicaSet", ns),
        ["canary-1", "web-5d"]
    );
    assert_eq!(names(&kipfix, "batch/v1", "Job", ns), ["nightly-1"]);
    assert!(names(&kipfix, "v1", "Node", "").contains(&"every-kind-node".to_owned()));
    assert!(names(&kipfix, "v1", "Namespace", "").contains(&ns.to_owned()));
    assert_eq!(kipfix.list("apps/v1", "Deployment"), Err(403));
    assert_eq!(kipfix.list("v1", "Secret"), Err(403));
    assert!(kipfix.try_create(objects::pod(ns, "intruder")).is_err());

    let node = kipfix.read(&node).unwrap();
    assert_eq!(
        node.at("spec/podCIDRs"),
        &json!(["10.1.1.0/24", "fd00:1:1::/64"])
    );
    assert_eq!(node.at("status/addresses").as_array().unwrap().len(), 4);
    let pod = kipfix.read(&pod).unwrap();
    assert_eq!(
        pod.at("status/podIPs"),
        &json!([{"ip": "10.1.1.10"}, {"ip": "fd00:1:1::10"}])
    );
    assert_eq!(pod.at("metadata/ownerReferences")[0]["uid"], set.uid());
    assert_eq!(pod.at("spec/containers")[0]["ports"][0]["hostPort"], 8080);
    assert_eq!(
        kipfix.read(&host).unwrap().at("spec/hostNetwork"),
        &json!(true)
    );
    assert_eq!(
        kipfix.read(&done).unwrap().text("status/phase"),
        "Succeeded"
    );
    assert_eq!(
        kipfix.read(&canary).unwrap().at("metadata/ownerReferences")[0]["kind"],
        "Rollout"
    );
    let web = kipfix
        .read(&Object::new("v1", "Service", "web").within(ns))
        .unwrap();
    assert_eq!(
        web.at("spec/clusterIPs"),
        &json!(["10.96.7.10", "fd00:96::710"])
    );
    assert_eq!(
        web.at("status/loadBalancer/ingress")[0]["ip"],
        "203.0.113.8"
    );
}

#[test]
fn a_pod_in_deletion_stays_until_its_node_ends_it() {
    let Some(server) = ApiServer::shared() else {
        return;
    };
    let (admin, ns) = (server.admin(), "deletion");
    admin.create(objects::namespace(ns));
    let pod = admin.create(
        objects::pod(ns, "late")
            .on("deletion-node")
            .running(&["10.1.2.1"]),
    );

    admin.begin_delete(&pod, Duration::from_secs(30));
    let deleted = admin.read(&pod).unwrap();
    assert!(!deleted.text("metadata/deletionTimestamp").is_empty());
    assert_eq!(deleted.text("status/podIP"), "10.1.2.1");

    admin.delete(&pod);
    assert_eq!(admin.read(&pod), None);
}

#[test]
fn the_user_without_services_lacks_no_other_right() {
    let Some(server) = ApiServer::shared() else {
        return;
    };
    let user = Cluster::connect(&server.kubeconfig(User::WithoutServices));
    assert_eq!(user.list("v1", "Service"), Err(403));
    assert_eq!(user.list("discovery.k8s.io/v1", "EndpointSlice"), Err(403));
    assert!(user.list("v1", "Pod").is_ok());
    assert!(user.list("v1", "Node").is_ok());
    assert!(user.list("batch/v1", "Job").is_ok());
}

#[test]
fn a_restarted_server_has_all_objects_for_the_same_users() {
    let Some(mut server) = ApiServer::start() else {
        return;
    };
    let node = server
        .admin()
        .create(objects::node("survivor").pod_cidrs(&["10.1.3.0/24"]));
    let kipfix = Cluster::connect(&server.kubeconfig(User::Kipfix));

    server.stop_api();
    assert!(kipfix.text("/readyz").is_err());

    server.start_api();
    let uid = kipfix.read(&node).map(|node| node.uid().to_owned());
    assert_eq!(uid.as_deref(), Some(node.uid()));
}

#[test]
fn a_frozen_server_does_not_answer_until_it_is_thawed() {
    let Some(server) = ApiServer::start() else {
        return;
    };
    let pid = server.pid();
    let state = || {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .unwrap()
            .split(' ')
            .nth(2)
            .unwrap()
            .to_owned()
    };
    server.freeze();
    assert!(eventually(PATIENCE, || state() == "T"));
    server.thaw();
    assert!(eventually(PATIENCE, || server
        .admin()
        .text("/readyz")
        .is_ok()));
}

#[test]
fn streaming_lists_are_served_or_refused_or_break_off() {
    let list = "/api/v1/nodes?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
                &allowWatchBookmarks=true&timeoutSeconds=1";
    for (lists, expected) in [
        (StreamingLists::Served, "k8s.io/initial-events-end"),
        (StreamingLists::Refused, "sendInitialEvents is forbidden"),
        (StreamingLists::Failing, "InternalError"),
    ] {
        let Some(server) = ApiServer::start_with(lists) else {
            continue;
        };
        let answer = match server.admin().text(list) {
            Ok(text) => text,
            Err(error) => error.to_string(),
        };
        assert!(answer.contains(expected), "{lists:?}: {answer}");
    }
}

#[test]
fn a_server_ends_with_its_folder_when_dropped() {
    let Some(server) = ApiServer::start() else {
        return;
    };
    let (pid, kubeconfig) = (server.pid(), server.kubeconfig(User::Admin));
    drop(server);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(!kubeconfig.parent().unwrap().exists());
}

#[test]
fn a_filled_cluster_has_the_objects_of_its_plan_both_times() {
    let plan = Plan {
        nodes: 50,
        pods: 1000,
    };
    for _ in 0..2 {
        let Some(server) = ApiServer::start_filled(plan) else {
            return;
        };
        let kipfix = Cluster::connect(&server.kubeconfig(User::Kipfix));
        assert_eq!(kipfix.list("v1", "Node").unwrap().len(), 50);
        let pods = kipfix.list("v1", "Pod").unwrap();
        assert_eq!(pods.len(), 1000);
        let pod = pods
            .iter()
            .find(|pod| pod.name() == plan.pod_name(777))
            .unwrap();
        assert_eq!(pod.text("status/podIP"), plan.pod_address(777).to_string());
        assert_eq!(pod.text("spec/nodeName"), plan.node_name(plan.node_of(777)));
        assert_eq!(pod.text("metadata/namespace"), plan.namespace(777));
    }
}

#[test]
fn churn_records_the_owner_of_each_address_over_time() {
    let Some(server) = ApiServer::shared() else {
        return;
    };
    let admin = server.admin();
    for late_deletes in [false, true] {
        let namespace = format!("churn-{late_deletes}");
        admin.create(objects::namespace(&namespace));
        let addresses: Vec<IpAddr> = (1..=40).map(|n| IpAddr::from([10, 200, 0, n])).collect();
        let node = "churn-node".to_owned();
        let plan = churn::Plan {
            namespace: namespace.clone(),
            node,
            addresses,
            rate: 40,
            late_deletes,
        };
        let churn = Churn::start(admin, plan.clone());
        // At full rate, this takes three seconds. Other tests use this server too.
        assert!(eventually(PATIENCE, || churn.pods_of_each() >= 3));
        let truth = churn.finish();

        // Every address had several owners, one at a time, and the last ones still exist.
        let mut last = Vec::new();
        for address in plan.addresses {
            let holders: Vec<_> = truth.of(address).collect();
            assert!(holders.len() >= 3, "{address}: {}", holders.len());
            for pair in holders.windows(2) {
                assert!(pair[0].deleted.unwrap().done <= pair[1].reported.sent);
                let middle = pair[0].reported.done;
                assert_eq!(truth.holder(address, middle).unwrap().pod, pair[0].pod);
                assert!(truth.holder(address, pair[1].reported.sent).is_none());
            }
            last.push(holders.last().unwrap().uid.clone());
        }
        let pods = admin.list("v1", "Pod").unwrap();
        let ours = pods
            .iter()
            .filter(|pod| pod.text("metadata/namespace") == namespace);
        let mut there: Vec<String> = ours.map(|pod| pod.uid().to_owned()).collect();
        there.sort();
        last.sort();
        assert_eq!(there, last);
    }
}
