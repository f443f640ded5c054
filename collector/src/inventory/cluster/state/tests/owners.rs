//! The workloads of pods by their owners, in any order of the events.

use super::*;

fn owner(kind: ResourceKind, name: &str, controller: Option<(&str, &str)>) -> WatchUpdate {
    WatchUpdate::Owner(kind, WatchEvent::Initial(owner_fields(name, controller)))
}

fn owner_fields(name: &str, controller: Option<(&str, &str)>) -> OwnerFields {
    OwnerFields {
        uid: uid(&format!("owner {name}")),
        namespace: "shop".into(),
        name: name.into(),
        controller: controller.map(|(kind, name)| Controller::new(kind, name, "")),
    }
}

#[test]
fn a_pod_gets_its_workload_when_its_owner_is_listed_later() {
    let mut cluster = Scenario::new();
    let web = controlled(pod("web-1", &["10.1.0.1"]), "ReplicaSet", "web-5d4f");
    let twin = controlled(pod("web-2", &["10.1.0.1"]), "ReplicaSet", "web-5d4f");
    cluster.list_pods(&[&web, &twin]);
    assert_eq!(cluster.workload("10.1.0.1", 10), "ReplicaSet web-5d4f");
    let rollout = Some(("Rollout", "web"));
    cluster.apply(owner(ResourceKind::ReplicaSets, "web-5d4f", rollout));
    // What two pods have in common is updated, too.
    assert_eq!(cluster.workload("10.1.0.1", 10), "Rollout web");
    assert_eq!(cluster.owner("10.1.0.1", 10), "~web");
}

#[test]
fn lists_of_replica_sets_and_jobs_are_independent() {
    let mut cluster = Scenario::new();
    cluster.apply(marker(ResourceKind::ReplicaSets, true));
    cluster.apply(owner(
        ResourceKind::ReplicaSets,
        "web-5d4f",
        Some(("Deployment", "web")),
    ));
    cluster.apply(marker(ResourceKind::ReplicaSets, false));
    for _ in 0..3 {
        cluster.list(ResourceKind::Jobs, vec![]);
    }
    cluster.changed(controlled(
        pod("web-1", &["10.1.0.1"]),
        "ReplicaSet",
        "web-5d4f",
    ));
    assert_eq!(cluster.workload("10.1.0.1", 10), "Deployment web");
    // A ReplicaSet that is not listed any more is forgotten.
    cluster.list(ResourceKind::ReplicaSets, vec![]);
    cluster.changed(controlled(
        pod("web-2", &["10.1.0.2"]),
        "ReplicaSet",
        "web-5d4f",
    ));
    assert_eq!(cluster.workload("10.1.0.2", 10), "ReplicaSet web-5d4f");
}

/// The same pod, controlled by another pod.
fn controlled_by_pod(one: PodFields, owner: &str) -> PodFields {
    PodFields {
        controller: Some(Controller::new("Pod", owner, &format!("pod {owner}"))),
        ..one
    }
}

#[test]
fn a_pod_has_the_workload_of_the_pod_that_controls_it() {
    let driver = pod("pi-driver", &["10.1.0.1"]);
    let driver = controlled(driver, "SparkApplication", "pi");
    let executor = controlled_by_pod(pod("pi-exec-1", &["10.1.0.2"]), "pi-driver");
    let helper = controlled_by_pod(pod("pi-helper", &["10.1.0.3"]), "pi-exec-1");
    let all = [&driver, &executor, &helper];
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let mut cluster = Scenario::new();
        for number in order {
            cluster.changed(all[number]);
        }
        for address in ["10.1.0.1", "10.1.0.2", "10.1.0.3"] {
            assert_eq!(cluster.workload(address, 10), "SparkApplication pi");
        }
        // Executors end after the driver.
        cluster.at(20).deleted(&driver).changed(&executor);
        assert_eq!(cluster.workload("10.1.0.2", 30), "SparkApplication pi");
        cluster.at(40).deleted(&executor).deleted(&helper);
        cluster.changed(pod("next", &["10.1.0.4"]));
        assert_eq!(cluster.workload("10.1.0.4", 50), "Pod next");
    }
    // Until the driver is known.
    let mut cluster = Scenario::new();
    cluster.changed(&executor);
    assert_eq!(cluster.workload("10.1.0.2", 10), "Pod pi-driver");
    // Of another namespace, it is not the owner.
    cluster.changed(PodFields {
        namespace: "lab".into(),
        ..driver.clone()
    });
    assert_eq!(cluster.workload("10.1.0.2", 10), "Pod pi-driver");
}

#[test]
fn pods_that_a_pod_controls_follow_its_owner() {
    let mut cluster = Scenario::new();
    let driver = controlled(pod("etl-x", &["10.1.0.1"]), "Job", "etl-29384756");
    let executor = controlled_by_pod(pod("etl-exec-1", &["10.1.0.2"]), "etl-x");
    cluster.list_pods(&[&executor, &driver]);
    assert_eq!(cluster.workload("10.1.0.2", 10), "Job etl-29384756");
    let cron_job = Some(("CronJob", "etl"));
    cluster.apply(owner(ResourceKind::Jobs, "etl-29384756", cron_job));
    for address in ["10.1.0.1", "10.1.0.2"] {
        assert_eq!(cluster.workload(address, 10), "CronJob etl");
    }
    // Pods that name each other as their controller.
    let one = controlled_by_pod(pod("one", &["10.1.0.8"]), "other");
    let other = controlled_by_pod(pod("other", &["10.1.0.9"]), "one");
    cluster.changed(&one).changed(&other).changed(&one);
    assert_eq!(cluster.workload("10.1.0.8", 10), "Pod other");
}

#[test]
fn pods_follow_a_replica_set_that_is_released_and_adopted() {
    let mut cluster = Scenario::new();
    let long = "a-name-of-a-replica-set-that-is-longer-than-names-of-pods-can-be-5d4f";
    let in_set =
        |name: &str, address: &str, set: &str| controlled(pod(name, &[address]), "ReplicaSet", set);
    let cut = format!("{}x7k2p", &long[..58]);
    let mut changed = |controller| {
        for set in ["web-5d4f", long] {
            let set = owner_fields(set, controller);
            let update = WatchEvent::Changed(set);
            cluster.apply(WatchUpdate::Owner(ResourceKind::ReplicaSets, update));
        }
        if controller == Some(("Deployment", "web")) {
            cluster.changed(in_set("web-5d4f-a", "10.1.0.1", "web-5d4f"));
            cluster.changed(in_set(&cut, "10.1.0.2", long));
            // Its ReplicaSet does not change.
            cluster.changed(controlled(
                pod("web-77f9-a", &["10.1.0.3"]),
                "Deployment",
                "web",
            ));
        }
        ["10.1.0.1", "10.1.0.2", "10.1.0.3"].map(|address| cluster.workload(address, 10))
    };
    let web = "Deployment web";
    assert_eq!(changed(Some(("Deployment", "web"))), [web, web, web]);
    let alone = [
        "ReplicaSet web-5d4f".to_owned(),
        format!("ReplicaSet {long}"),
    ];
    let [one, other] = alone.each_ref().map(|text| &**text);
    assert_eq!(changed(None), [one, other, web]);
    let shop = "Deployment shop";
    assert_eq!(changed(Some(("Deployment", "shop"))), [shop, shop, web]);
}

#[test]
fn a_pod_that_outlives_its_job_keeps_its_workload() {
    let mut cluster = Scenario::new();
    let worker = controlled(pod("sim-0-x", &["10.1.0.1"]), "Job", "sim-0");
    cluster.apply(owner(ResourceKind::Jobs, "sim-0", Some(("JobSet", "sim"))));
    cluster.changed(&worker);
    let job = owner_fields("sim-0", Some(("JobSet", "sim")));
    cluster.apply(WatchUpdate::Owner(
        ResourceKind::Jobs,
        WatchEvent::Deleted(job),
    ));
    cluster.at(10).changed(in_deletion(&worker, 40));
    assert_eq!(cluster.workload("10.1.0.1", 20), "JobSet sim");
}

#[test]
fn a_pod_that_is_released_does_not_wait_for_its_former_owner() {
    let mut cluster = Scenario::new();
    let web = controlled(pod("web-x", &["10.1.0.1"]), "ReplicaSet", "web-5d4f");
    cluster.changed(&web).changed(pod("web-x", &["10.1.0.1"]));
    let deployment = Some(("Deployment", "web"));
    cluster.apply(owner(ResourceKind::ReplicaSets, "web-5d4f", deployment));
    assert_eq!(cluster.workload("10.1.0.1", 10), "Pod web-x");
    // Another pod, and not the one that it was controlled by.
    let executor = |driver| controlled_by_pod(pod("exec", &["10.1.0.2"]), driver);
    cluster.changed(executor("one")).changed(executor("other"));
    let driver = |name, app| controlled(pod(name, &[]), "SparkApplication", app);
    cluster
        .changed(driver("other", "b"))
        .changed(driver("one", "a"));
    assert_eq!(cluster.workload("10.1.0.2", 10), "SparkApplication b");
}
