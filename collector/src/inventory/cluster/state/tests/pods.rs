use super::*;

//------------ One pod after another -------------------------------------------------------------

#[test]
fn a_deleted_pod_keeps_its_records_and_the_next_one_has_its_own() {
    let mut cluster = Scenario::new();
    let first = pod("first", &["10.1.0.1"]);
    cluster.at(100).list_pods(&[&first]);
    cluster.at(200).deleted(&first);
    cluster
        .at(210)
        .changed(started(pod("second", &["10.1.0.1"]), 205));
    cluster.assert_owners(&[
        ("10.1.0.1", 199, "first"),
        ("10.1.0.1", 203, "first"),
        ("10.1.0.1", 206, "second"),
        ("10.1.0.1", 210, "second"),
    ]);
    let index = cluster.index();
    let range = TimeRange {
        start_milliseconds: time(199),
        end_milliseconds: time(211),
    };
    let both = index.lookup(address("10.1.0.1"), range);
    assert_eq!(both.certainty, Certainty::Ambiguous);
}

#[test]
fn a_late_delete_takes_nothing_from_the_next_pod() {
    let mut cluster = Scenario::new();
    let old = pod("old", &["10.1.0.1", "fd00::1"]);
    cluster.at(100).list_pods(&[&old]);
    cluster.at(200).changed(in_deletion(&old, 230));
    cluster.assert_owners(&[("10.1.0.1", 205, "old")]);
    let new = started(pod("new", &["10.1.0.1", "fd00::1"]), 210);
    cluster.at(210).changed(&new);
    cluster.assert_owners(&[("10.1.0.1", 211, "new"), ("fd00::1", 211, "new")]);
    // The old pod is received again before it is gone.
    cluster.at(220).changed(in_deletion(&old, 230));
    cluster.assert_owners(&[("10.1.0.1", 221, "new")]);
    cluster.at(225).list_pods(&[&in_deletion(&old, 230), &new]);
    cluster.assert_owners(&[("10.1.0.1", 226, "new")]);
    cluster.at(240).deleted(&old);
    cluster.assert_owners(&[
        ("10.1.0.1", 199, "old"),
        ("10.1.0.1", 215, "new"),
        ("10.1.0.1", 900, "new"),
        ("fd00::1", 900, "new"),
    ]);
}

#[test]
fn a_pod_in_deletion_in_the_first_list_had_the_address_before_the_next_one() {
    let old = in_deletion(&pod("old", &["10.1.0.1"]), 130);
    let new = started(pod("new", &["10.1.0.1"]), 90);
    for order in [[&old, &new], [&new, &old]] {
        let mut cluster = Scenario::new();
        cluster.at(100).list_pods(&order);
        cluster.assert_owners(&[
            ("10.1.0.1", 50, "old"),
            ("10.1.0.1", 90, "new"),
            ("10.1.0.1", 100, "new"),
        ]);
        cluster.at(130).deleted(&old);
        cluster.assert_owners(&[("10.1.0.1", 140, "new")]);
    }
}

#[test]
fn a_terminated_pod_leaves_its_address_to_the_next_one() {
    let mut cluster = Scenario::new();
    let done = pod("done", &["10.1.0.1"]);
    cluster.at(100).list_pods(&[&done]);
    cluster.at(200).changed(terminated(&done, 199));
    cluster
        .at(210)
        .changed(started(pod("next", &["10.1.0.1"]), 205));
    // It is received again, as by every list, and takes nothing back.
    for seconds in [220, 230] {
        cluster.at(seconds).changed(terminated(&done, 199));
    }
    cluster.at(240).list_pods(&[
        &terminated(&done, 199),
        &started(pod("next", &["10.1.0.1"]), 205),
    ]);
    cluster.assert_owners(&[
        ("10.1.0.1", 150, "done"),
        ("10.1.0.1", 211, "next"),
        ("10.1.0.1", 900, "next"),
    ]);
}

#[test]
fn a_pod_that_had_terminated_before_the_first_list_had_its_address_until_then() {
    let mut cluster = Scenario::new();
    let done = terminated(&pod("done", &["10.1.0.1", "10.1.0.2"]), 60);
    let next = started(pod("next", &["10.1.0.2"]), 80);
    cluster.at(100).list_pods(&[&next, &done]);
    cluster.assert_owners(&[
        ("10.1.0.1", 50, "done"),
        ("10.1.0.1", 60 + KEPT, "done"),
        ("10.1.0.1", 61 + KEPT, ""),
        ("10.1.0.2", 90, "next"),
    ]);
    // Without the time, another pod may have had the address for long.
    let unknown = PodFields {
        terminated: None,
        ..terminated(&pod("unknown", &["10.1.0.3"]), 0)
    };
    cluster.changed(&unknown);
    cluster.assert_owners(&[("10.1.0.3", 50, ""), ("10.1.0.3", 100, "")]);
}

//------------ Several pods at the same time -----------------------------------------------------

/// A virtual machine and the pod that it is migrated to.
fn migration() -> (PodFields, PodFields) {
    let kind = "VirtualMachineInstance";
    let source = controlled(pod("launcher-source", &["10.1.0.1"]), kind, "vm");
    let target = controlled(pod("launcher-target", &["10.1.0.1"]), kind, "vm");
    let target = PodFields {
        node: "b".into(),
        ..started(target, 200)
    };
    (source, target)
}

#[test]
fn a_migrated_machine_is_its_workload_while_both_pods_run_and_then_the_pod_that_remains() {
    // What happens to one of the pods at 300 s, and the pod that remains.
    type Step = fn(&mut Scenario, &PodFields, &PodFields);
    let cases: [(Step, &str); 6] = [
        (
            |cluster, _, target| {
                cluster.deleted(target);
            },
            "launcher-source",
        ),
        (
            |cluster, source, _| {
                cluster.deleted(source);
            },
            "launcher-target",
        ),
        (
            |cluster, _, target| {
                cluster.changed(terminated(target, 300));
                cluster.at(301).deleted(terminated(target, 300));
            },
            "launcher-source",
        ),
        (
            |cluster, source, _| {
                cluster.changed(terminated(source, 300));
            },
            "launcher-target",
        ),
        // Deleted while the watch was down.
        (
            |cluster, source, _| {
                cluster.list_pods(&[source]);
            },
            "launcher-source",
        ),
        (
            |cluster, _, target| {
                cluster.list_pods(&[target]);
            },
            "launcher-target",
        ),
    ];
    for (step, (happens, remains)) in cases.into_iter().enumerate() {
        let (source, target) = migration();
        let mut cluster = Scenario::new();
        cluster.at(100).list_pods(&[&source]);
        cluster.at(200).changed(&target);
        cluster.assert_owners(&[
            ("10.1.0.1", 199, "launcher-source"),
            ("10.1.0.1", 201, "~vm"),
        ]);
        let (index, found) = cluster.found("10.1.0.1", 0, 201);
        assert_eq!(index.place(found.endpoint).node, None);
        // Updates of either pod change nothing.
        cluster.at(220).changed(&source).changed(&target);
        cluster.at(240).list_pods(&[&target, &source]);
        cluster.assert_owners(&[("10.1.0.1", 260, "~vm")]);
        cluster.at(300);
        happens(&mut cluster, &source, &target);
        let after = |seconds| ("10.1.0.1", seconds, remains);
        cluster.assert_owners(&[("10.1.0.1", 299, "~vm"), after(302), after(900)]);
        // The other one is forgotten.
        cluster.at(303 + KEPT);
        let (_, found) = cluster.found("10.1.0.1", 0, 900);
        assert_eq!(found.certainty, Certainty::Known, "case {step}");
        cluster.assert_owners(&[after(900)]);
        let remains = if remains.ends_with("source") {
            &source
        } else {
            &target
        };
        cluster.at(310 + KEPT).list_pods(&[remains]);
        cluster.assert_owners(&[after(900)]);
    }
}

#[test]
fn the_source_pod_of_a_migration_loses_the_address_when_its_deletion_starts() {
    let (source, target) = migration();
    let mut cluster = Scenario::new();
    cluster.at(100).list_pods(&[&source]);
    cluster.at(200).changed(&target);
    cluster.at(300).changed(in_deletion(&source, 330));
    cluster.assert_owners(&[
        ("10.1.0.1", 299, "~vm"),
        ("10.1.0.1", 301, "launcher-target"),
    ]);
    // A failed migration: the younger pod is deleted, and may use the address until it is gone.
    let mut cluster = Scenario::new();
    cluster.at(100).list_pods(&[&source]);
    cluster.at(200).changed(&target);
    cluster.at(300).changed(in_deletion(&target, 330));
    cluster.assert_owners(&[("10.1.0.1", 301, "~vm")]);
    cluster.at(330).deleted(&target);
    cluster.assert_owners(&[("10.1.0.1", 331, "launcher-source")]);
}

#[test]
fn pods_of_several_workloads_with_one_address_are_ambiguous() {
    let mut cluster = Scenario::new();
    let (one, two) = (pod("one", &["10.1.0.1"]), pod("two", &["10.1.0.1"]));
    cluster.at(100).list_pods(&[&one, &two]);
    cluster.assert_owners(&[("10.1.0.1", 100, "~ambiguous")]);
    cluster.at(200).changed(pod("two", &["10.1.0.2"]));
    cluster.assert_owners(&[("10.1.0.1", 201, "one"), ("10.1.0.2", 201, "two")]);
}

//------------ The host network ------------------------------------------------------------------

#[test]
fn a_pod_on_the_host_network_has_the_ports_that_it_declares() {
    let mut cluster = Scenario::new();
    cluster.at(100).list_nodes(&[
        &node("a", &["10.9.0.1"], &[]),
        &node("b", &["10.9.0.2"], &[]),
    ]);
    let agent = PodFields {
        host_network: true,
        ports: vec![(None, tcp(9100)), (Some(address("10.9.0.1")), tcp(9101))],
        ..controlled(pod("agent-1", &["10.9.0.1"]), "DaemonSet", "agent")
    };
    cluster.list_pods(&[&agent]);
    let owner = |cluster: &mut Scenario, ip, port| cluster.owner_of_port(ip, port, 150);
    assert_eq!(owner(&mut cluster, "10.9.0.1", 9100), "agent-1");
    assert_eq!(owner(&mut cluster, "10.9.0.1", 9101), "agent-1");
    assert_eq!(owner(&mut cluster, "10.9.0.1", 22), "a");
    assert_eq!(owner(&mut cluster, "10.9.0.2", 9100), "b");

    // A rolling update: both declare the port for a while.
    let next = PodFields {
        uid: 77,
        name: "agent-2".into(),
        ..agent.clone()
    };
    cluster.at(200).changed(started(next.clone(), 200));
    assert_eq!(cluster.owner_of_port("10.9.0.1", 9100, 210), "~agent");
    cluster.at(220).deleted(&agent);
    assert_eq!(cluster.owner_of_port("10.9.0.1", 9100, 230), "agent-2");

    // Another workload declares it, too: the port is the node's.
    let other = PodFields {
        name: "other".into(),
        uid: 78,
        controller: None,
        ..next.clone()
    };
    cluster.at(300).changed(started(other.clone(), 300));
    assert_eq!(cluster.owner_of_port("10.9.0.1", 9100, 310), "a");
    cluster.at(320).deleted(&other);
    assert_eq!(cluster.owner_of_port("10.9.0.1", 9100, 330), "agent-2");
    // A pod that has terminated does not listen any more.
    cluster.at(400).changed(terminated(&next, 400));
    assert_eq!(cluster.owner_of_port("10.9.0.1", 9100, 401 + KEPT), "a");
}

#[test]
fn a_port_of_a_pod_moves_when_it_declares_another() {
    let mut cluster = Scenario::new();
    cluster
        .at(100)
        .list_nodes(&[&node("a", &["10.9.0.1"], &[])]);
    let proxy = |port| PodFields {
        ports: vec![(None, tcp(port))],
        ..pod("proxy", &["10.1.0.1"])
    };
    cluster.list_pods(&[&proxy(80)]);
    cluster.at(200).changed(proxy(81));
    let at = 201 + KEPT;
    assert_eq!(cluster.owner_of_port("10.9.0.1", 81, at), "proxy");
    assert_eq!(cluster.owner_of_port("10.9.0.1", 80, at), "a");
    assert_eq!(cluster.owner_of_port("10.9.0.1", 80, 199), "proxy");
}

//------------ Topology and probes ---------------------------------------------------------------

#[test]
fn the_topology_labels_of_a_pod_are_used_where_it_has_them() {
    let mut cluster = Scenario::new();
    cluster.at(100).changed(NodeFields {
        zone: "z-node".into(),
        region: "r-node".into(),
        ..node("a", &["10.9.0.1"], &[])
    });
    let labelled = PodFields {
        zone: "z-pod".into(),
        region: "r-pod".into(),
        ..pod("labelled", &["10.1.0.1"])
    };
    // Without the right to read nodes, or before the node is known.
    let elsewhere = PodFields {
        node: "unknown".into(),
        ..labelled.clone()
    };
    let elsewhere = PodFields {
        uid: 5,
        addresses: addresses(&["10.1.0.3"]),
        ..elsewhere
    };
    cluster.list_pods(&[&labelled, &pod("plain", &["10.1.0.2"]), &elsewhere]);
    let topology = |cluster: &mut Scenario, ip| {
        let (index, found) = cluster.found(ip, 0, 210);
        let topology = index.endpoint(found.endpoint).topology?;
        let topology = index.topology(topology)?;
        Some((topology.zone.to_string(), topology.region.to_string()))
    };
    let of_pod = Some(("z-pod".to_owned(), "r-pod".to_owned()));
    assert_eq!(topology(&mut cluster, "10.1.0.1"), of_pod);
    assert_eq!(topology(&mut cluster, "10.1.0.2"), None);
    assert_eq!(topology(&mut cluster, "10.1.0.3"), of_pod);
    // Two pods of one workload in two zones have no zone in common.
    let (source, target) = migration();
    let source = PodFields {
        zone: "z1".into(),
        region: "r1".into(),
        ..source
    };
    let target = PodFields {
        zone: "z2".into(),
        region: "r1".into(),
        addresses: addresses(&["10.1.0.9"]),
        ..target
    };
    let source = PodFields {
        addresses: addresses(&["10.1.0.9"]),
        ..source
    };
    cluster.changed(&source).changed(&target);
    assert_eq!(cluster.owner("10.1.0.9", 210), "~vm");
    assert_eq!(topology(&mut cluster, "10.1.0.9"), None);
}

#[test]
fn the_status_of_a_nodes_probe_is_published_when_it_changes() {
    use ProbeStatus::{Absent, NotReady, Ready};
    let probe = |name: &str, ready| PodFields {
        probe_ready: Some(ready),
        host_network: true,
        ..pod(name, &[])
    };
    let mut cluster = Scenario::new();
    let expect = |cluster: &mut Scenario, expected: &[ProbeStatus]| {
        let changes: Vec<ProbeStatus> =
            cluster.probes.drain(..).map(|(_, status)| status).collect();
        assert_eq!(changes, expected);
    };
    cluster.at(100).list_pods(&[&pod("web", &["10.1.0.1"])]);
    expect(&mut cluster, &[]);
    cluster.changed(probe("one", false));
    expect(&mut cluster, &[NotReady]);
    cluster
        .changed(probe("one", true))
        .changed(probe("one", true));
    expect(&mut cluster, &[Ready]);
    // A second one during an update.
    cluster
        .changed(probe("two", false))
        .changed(probe("two", true));
    cluster.changed(probe("one", false));
    expect(&mut cluster, &[]);
    cluster.changed(probe("two", false));
    expect(&mut cluster, &[NotReady]);
    cluster.deleted(probe("two", false));
    expect(&mut cluster, &[]);
    cluster.changed(probe("one", true));
    // Missing in a list.
    cluster.at(200).list_pods(&[&pod("web", &["10.1.0.1"])]);
    expect(&mut cluster, &[Ready, Absent]);
    // A pod that loses its labels is not a probe any more.
    cluster.changed(probe("one", true));
    let plain = PodFields {
        probe_ready: None,
        ..probe("one", true)
    };
    cluster.changed(plain);
    expect(&mut cluster, &[Ready, Absent]);
}

//------------ Limits ----------------------------------------------------------------------------

#[test]
fn a_list_restores_what_had_no_room() {
    let mut cluster = Scenario::within(Bounds {
        // The external endpoint and one pod.
        endpoints: 2,
        id_reuse_delay_milliseconds: 0,
        kept_milliseconds: KEPT * 1000,
        ..Bounds::default()
    });
    let (one, two) = (pod("one", &["10.1.0.1"]), pod("two", &["10.1.0.2"]));
    cluster.at(100).list_pods(&[&one, &two]);
    cluster.assert_owners(&[("10.1.0.1", 110, "one"), ("10.1.0.2", 110, "")]);
    assert_eq!(cluster.index().sizes().overflow, 1);
    cluster.at(200).deleted(&one);
    cluster.at(202 + KEPT).list_pods(&[&two]);
    cluster.assert_owners(&[("10.1.0.2", 203 + KEPT, "two")]);
}

#[test]
fn nodes_that_only_pods_name_are_removed_with_their_pods() {
    let mut cluster = Scenario::within(Bounds {
        nodes: 2,
        kept_milliseconds: KEPT * 1000,
        id_reuse_delay_milliseconds: 0,
        ..Bounds::default()
    });
    for number in 0..20 {
        let name = format!("node-{number}");
        let seconds = 100 + number * (KEPT + 2);
        let machine = node(&name, &["10.9.0.1"], &[]);
        let web = PodFields {
            node: name,
            ..pod("web", &["10.1.0.1"])
        };
        cluster.at(seconds).changed(&machine).changed(&web);
        assert_eq!(cluster.owner("10.9.0.1", seconds), format!("node-{number}"));
        // The pod is updated after the node is gone, as when it is evicted.
        cluster.deleted(&machine);
        cluster.changed(in_deletion(&web, seconds)).deleted(&web);
    }
    assert_eq!(cluster.index().sizes().overflow, 0);
}

#[test]
fn a_pod_keeps_the_address_that_the_node_of_its_own_reports_too() {
    for is_node_first in [true, false] {
        let mut cluster = Scenario::new();
        let (node, web) = (node("a", &["10.1.0.7"], &[]), pod("web", &["10.1.0.7"]));
        cluster.at(100);
        if is_node_first {
            cluster.list_nodes(&[&node]).list_pods(&[&web]);
        } else {
            cluster.list_pods(&[&web]).list_nodes(&[&node]);
        }
        cluster.assert_owners(&[("10.1.0.7", 100, "web")]);
        // It keeps it until it is gone.
        cluster.at(200).changed(in_deletion(&web, 230));
        cluster.at(210).assert_owners(&[("10.1.0.7", 205, "web")]);
        cluster.deleted(&web);
        cluster.assert_owners(&[("10.1.0.7", 205, "web"), ("10.1.0.7", 211, "a")]);
        assert!(cluster.index().is_node_address(address("10.1.0.7")));
    }
}

#[test]
fn a_node_keeps_its_address_against_a_pod_of_another_node() {
    let mut cluster = Scenario::new();
    let nodes = [node("a", &[], &[]), node("b", &["10.1.0.7"], &[])];
    cluster.at(100).list_nodes(&[&nodes[0], &nodes[1]]);
    cluster.list_pods(&[&pod("web", &["10.1.0.7"])]);
    cluster.assert_owners(&[("10.1.0.7", 100, "b")]);
}
