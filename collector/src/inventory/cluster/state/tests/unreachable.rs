//! Nodes whose machine may be gone.

use super::*;

#[test]
fn an_unreachable_node_and_its_pods_leave_their_addresses_to_the_next_ones() {
    let (a, b) = (node("a", &["10.9.0.1"], &[]), node("b", &["10.9.0.1"], &[]));
    let lost = NodeFields {
        is_unreachable: true,
        ..a.clone()
    };
    let old = pod("old", &["10.1.0.5"]);
    let new = PodFields {
        node: "b".into(),
        ..started(pod("new", &["10.1.0.5"]), 190)
    };
    for lost_first in [false, true] {
        let mut cluster = Scenario::new();
        cluster.at(100).list_pods(&[&old]).list_nodes(&[&a]);
        if lost_first {
            cluster.at(150).changed(&lost);
            // Nothing else has them yet.
            cluster.assert_owners(&[("10.9.0.1", 160, "a"), ("10.1.0.5", 160, "old")]);
            // An update of the pod changes nothing.
            cluster.changed(&old);
            cluster.at(200).changed(&b).changed(&new);
        } else {
            cluster.at(200).changed(&b).changed(&new);
            cluster.assert_owners(&[
                ("10.9.0.1", 210, "~ambiguous"),
                ("10.1.0.5", 210, "~ambiguous"),
            ]);
            cluster.at(250).changed(&lost);
        }
        cluster.assert_owners(&[
            ("10.9.0.1", 110, "a"),
            ("10.1.0.5", 110, "old"),
            ("10.9.0.1", 260, "b"),
            ("10.1.0.5", 260, "new"),
        ]);
        // The old objects are deleted late.
        cluster.at(600).deleted(&old).deleted(&lost);
        cluster.assert_owners(&[("10.9.0.1", 610, "b"), ("10.1.0.5", 610, "new")]);
    }
}

#[test]
fn a_node_that_is_reachable_again_keeps_its_addresses_and_those_of_its_pods() {
    let a = node("a", &["10.9.0.1", "203.0.113.1"], &[]);
    let lost = NodeFields {
        is_unreachable: true,
        ..a.clone()
    };
    let mut cluster = Scenario::new();
    cluster.at(100).list_nodes(&[&a]);
    cluster.list_pods(&[&pod("machine", &["10.1.0.5"])]);
    cluster.at(150).changed(&lost);
    cluster.at(200).changed(&a);
    // Two nodes behind one address, and a migration.
    cluster.at(300).changed(node("b", &["203.0.113.1"], &[]));
    cluster.changed(started(pod("target", &["10.1.0.5"]), 290));
    cluster.assert_owners(&[
        ("10.9.0.1", 310, "a"),
        ("203.0.113.1", 310, "~ambiguous"),
        ("10.1.0.5", 310, "~ambiguous"),
    ]);
}

#[test]
fn an_unreachable_node_does_not_get_back_what_the_next_one_has() {
    let (a, b) = (node("a", &["10.9.0.1"], &[]), node("b", &["10.9.0.1"], &[]));
    let lost = NodeFields {
        is_unreachable: true,
        ..a.clone()
    };
    let on_a = egress("shop", &[("a", "192.0.2.90"), ("a", "192.0.2.91")]);
    let on_both = egress("shop", &[("b", "192.0.2.90"), ("a", "192.0.2.91")]);
    type Change = fn(&mut Scenario, &NodeFields, &NodeFields, &EgressFields);
    let changes: [(&str, Change); 6] = [
        ("a list", |cluster, lost, b, _| {
            cluster.list_nodes(&[lost, b]);
        }),
        ("a list in the other order", |cluster, lost, b, _| {
            cluster.list_nodes(&[b, lost]);
        }),
        ("another field", |cluster, lost, _, _| {
            cluster.changed(NodeFields {
                zone: "z1".into(),
                ..lost.clone()
            });
        }),
        ("another address", |cluster, lost, _, _| {
            cluster.changed(NodeFields {
                addresses: addresses(&["10.9.0.1", "10.9.0.7"]),
                ..lost.clone()
            });
        }),
        ("an egress address", |cluster, _, _, egress| {
            cluster.changed(egress);
        }),
        ("an object of Cilium", |cluster, _, _, _| {
            cluster.changed(cilium("a", &["10.9.0.1", "10.80.2.123"], &[]));
        }),
    ];
    for (name, change) in changes {
        let mut cluster = Scenario::new();
        cluster.at(100).list_nodes(&[&a]).changed(&on_a);
        cluster.at(150).changed(&lost);
        cluster.at(200).changed(&b);
        cluster.at(300);
        change(&mut cluster, &lost, &b, &on_both);
        for seconds in [210, 310] {
            assert_eq!(cluster.owner("10.9.0.1", seconds), "b", "{name}");
        }
        assert_eq!(cluster.owner("192.0.2.91", 310), "a", "{name}");
        // The rest still goes to the next node that has it.
        cluster.at(400).changed(node("c", &["192.0.2.91"], &[]));
        cluster.changed(node("d", &["10.9.0.7", "10.80.2.123"], &[]));
        assert_eq!(cluster.owner("192.0.2.91", 410), "c", "{name}");
        cluster.assert_owners(&[("10.9.0.7", 410, "d"), ("10.80.2.123", 410, "d")]);
    }
}

#[test]
fn an_unreachable_node_and_its_pods_had_their_addresses_until_the_next_ones_in_a_first_list() {
    let created = |node: NodeFields, seconds| NodeFields {
        created: time(seconds),
        ..node
    };
    let lost = NodeFields {
        is_unreachable: true,
        ..created(node("a", &["10.9.0.1"], &[]), 10)
    };
    let b = created(node("b", &["10.9.0.1"], &[]), 90);
    let old = pod("old", &["10.1.0.5"]);
    let new = PodFields {
        node: "b".into(),
        ..started(pod("new", &["10.1.0.5"]), 92)
    };
    for nodes in [[&lost, &b], [&b, &lost]] {
        for pods_first in [false, true] {
            let mut cluster = Scenario::new();
            cluster.at(100);
            if pods_first {
                cluster.list_pods(&[&new, &old]).list_nodes(&nodes);
            } else {
                cluster.list_nodes(&nodes).list_pods(&[&new, &old]);
            }
            cluster.assert_owners(&[
                ("10.9.0.1", 80, "a"),
                ("10.1.0.5", 80, "old"),
                ("10.9.0.1", 95, "b"),
                ("10.1.0.5", 95, "new"),
                ("10.9.0.1", 101, "b"),
                ("10.1.0.5", 101, "new"),
            ]);
        }
    }
}

#[test]
fn a_node_that_is_reachable_again_has_its_addresses_and_those_of_its_pods_again() {
    let (a, b) = (node("a", &["10.9.0.1"], &[]), node("b", &["10.9.0.1"], &[]));
    let lost = NodeFields {
        is_unreachable: true,
        ..a.clone()
    };
    let source = PodFields {
        claimed_addresses: addresses(&["172.20.0.5"]),
        ..pod("source", &["10.1.0.5"])
    };
    let target = PodFields {
        node: "b".into(),
        claimed_addresses: addresses(&["172.20.0.5"]),
        ..started(pod("target", &["10.1.0.5"]), 190)
    };
    let done = terminated(&pod("done", &["10.1.0.9"]), 120);
    let mut cluster = Scenario::new();
    cluster
        .at(100)
        .list_nodes(&[&a])
        .list_pods(&[&source, &done]);
    cluster.at(150).changed(&lost);
    cluster.at(200).changed(&b).changed(&target);
    cluster.assert_owners(&[
        ("10.9.0.1", 210, "b"),
        ("10.1.0.5", 210, "target"),
        ("172.20.0.5", 210, "target"),
    ]);
    cluster.at(300).changed(&a);
    cluster.assert_owners(&[
        ("10.9.0.1", 299, "b"),
        ("10.9.0.1", 310, "~ambiguous"),
        ("10.1.0.5", 310, "~ambiguous"),
        ("172.20.0.5", 310, "~ambiguous"),
        ("10.1.0.9", 310 + KEPT, ""),
    ]);
    cluster.at(400).deleted(&b).deleted(&target);
    cluster.assert_owners(&[
        ("10.9.0.1", 410, "a"),
        ("10.1.0.5", 410, "source"),
        ("172.20.0.5", 410, "source"),
    ]);
}

#[test]
fn a_new_claim_of_a_pod_on_an_unreachable_node_leaves_its_address_to_the_next_pod() {
    let claim = |name: &str, pod: &PodFields| ResourceClaimFields {
        uid: uid(&format!("claim {name}")),
        pods: vec![pod.uid],
        addresses: addresses(&["172.20.0.5"]),
        ..ResourceClaimFields::default()
    };
    let old = pod("old", &["10.1.0.5"]);
    let new = PodFields {
        node: "b".into(),
        ..started(pod("new", &["10.1.0.6"]), 190)
    };
    let mut cluster = Scenario::new();
    let lost = NodeFields {
        is_unreachable: true,
        ..node("a", &["10.9.0.1"], &[])
    };
    cluster.at(100).list_nodes(&[&lost]).list_pods(&[&old]);
    cluster.at(150).changed(claim("old", &old));
    cluster.assert_owners(&[("172.20.0.5", 160, "old")]);
    cluster.at(200).changed(&new).changed(claim("new", &new));
    cluster.assert_owners(&[("172.20.0.5", 190, "old"), ("172.20.0.5", 210, "new")]);
}
