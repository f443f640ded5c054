use super::*;

#[test]
fn a_node_has_its_addresses_and_the_unreported_pods_of_its_pod_cidr() {
    let mut cluster = Scenario::new();
    let a = node(
        "a",
        &["10.9.0.1", "fd00:9::1"],
        &["10.1.0.0/24", "fd00:1::/64"],
    );
    cluster.at(100).list_nodes(&[&a]);
    cluster.list_pods(&[&pod("web", &["10.1.0.7"])]);
    cluster.assert_owners(&[
        ("10.9.0.1", 100, "a"),
        ("fd00:9::1", 100, "a"),
        ("10.1.0.7", 100, "web"),
        ("10.1.0.8", 100, "?a"),
        ("fd00:1::8", 100, "?a"),
        ("10.1.1.8", 100, ""),
    ]);
    // Both are changed.
    cluster
        .at(200)
        .changed(node("a", &["10.9.0.2"], &["10.1.1.0/24"]));
    let later = 201 + KEPT;
    cluster.assert_owners(&[
        ("10.9.0.1", 199, "a"),
        ("10.9.0.1", later, ""),
        ("10.9.0.2", later, "a"),
        ("10.1.0.8", later, ""),
        ("10.1.1.8", later, "?a"),
    ]);
}

#[test]
fn a_node_is_new_once_and_again_when_it_gets_the_id_of_one_that_is_gone() {
    let mut cluster = Scenario::within(Bounds {
        nodes: 2,
        kept_milliseconds: KEPT * 1000,
        id_reuse_delay_milliseconds: 10_000,
        ..Bounds::default()
    });
    let new = |cluster: &mut Scenario| {
        let nodes = cluster.state.writer().take_new_nodes();
        let name = |id: &NodeId| cluster.state.writer().node_of(*id).name.to_string();
        nodes.iter().map(name).collect::<Vec<_>>()
    };
    let (a, b, c) = (
        node("a", &[], &[]),
        node("b", &[], &[]),
        node("c", &[], &[]),
    );
    cluster.at(100).list_nodes(&[&a, &b]);
    cluster.changed(pod("web", &["10.1.0.1"])).changed(&a);
    assert_eq!(new(&mut cluster), ["a", "b"]);
    let id = cluster.index().node_named("b");
    cluster.at(200).deleted(&b).changed(&c);
    assert_eq!(new(&mut cluster), [""; 0]);
    cluster.at(201 + KEPT).at(212 + KEPT).changed(&c);
    assert_eq!(new(&mut cluster), ["c"]);
    assert_eq!(cluster.index().node_named("c"), id);
}

#[test]
fn a_heartbeat_of_a_node_changes_nothing() {
    let mut cluster = Scenario::new();
    let a = node("a", &["10.9.0.1"], &["10.1.0.0/24"]);
    cluster.at(100).list_nodes(&[&a]);
    cluster.index();
    for seconds in 101..110 {
        cluster.at(seconds).changed(&a);
    }
    assert!(cluster.state.writer().snapshot().is_none());
}

#[test]
fn a_node_that_is_created_again_under_its_name_is_the_same_node() {
    let mut cluster = Scenario::new();
    let a = node("a", &["10.9.0.1"], &["10.1.0.0/24"]);
    let again = NodeFields {
        uid: 99,
        ..a.clone()
    };
    cluster.at(100).list_nodes(&[&a]);
    let before = cluster.index().node_named("a");
    // The new object is received before the old one is known to be gone.
    cluster.at(200).list_nodes(&[&again]);
    assert_eq!(cluster.index().node_named("a"), before);
    cluster.assert_owners(&[("10.9.0.1", 210, "a"), ("10.1.0.8", 210, "?a")]);
    cluster.at(300).deleted(&again);
    cluster.assert_owners(&[("10.9.0.1", 301 + KEPT, ""), ("10.1.0.8", 310, "")]);
    cluster.at(302 + KEPT);
    assert_eq!(cluster.index().node_named("a"), None);
}

#[test]
fn two_nodes_behind_one_external_address_are_ambiguous_and_the_survivor_keeps_it() {
    let (a, b) = (
        node("a", &["10.9.0.1", "203.0.113.1"], &[]),
        node("b", &["10.9.0.2", "203.0.113.1"], &[]),
    );
    for by_list in [false, true] {
        let mut cluster = Scenario::new();
        cluster.at(100).list_nodes(&[&a, &b]);
        cluster.assert_owners(&[
            ("10.9.0.1", 100, "a"),
            ("10.9.0.2", 100, "b"),
            ("203.0.113.1", 100, "~ambiguous"),
        ]);
        let index = cluster.index();
        assert_eq!(index.node_at(address("203.0.113.1")), None);
        assert!(index.is_node_address(address("203.0.113.1")));
        cluster.at(200);
        if by_list {
            cluster.list_nodes(&[&a]);
        } else {
            cluster.deleted(&b);
        }
        cluster.assert_owners(&[("203.0.113.1", 210, "a")]);
        let index = cluster.index();
        assert_eq!(index.node_at(address("203.0.113.1")), index.node_named("a"));
        // It comes back.
        cluster.at(300).list_nodes(&[&b, &a]);
        cluster.assert_owners(&[("203.0.113.1", 310, "~ambiguous")]);
    }
}

#[test]
fn a_gateway_address_is_the_nodes_unless_a_pod_reports_it() {
    let mut cluster = Scenario::new();
    let with = |name: &str, cidr: &str, gateways: &[Gateway]| NodeFields {
        gateways: gateways.to_vec(),
        ..node(name, &[], &[cidr])
    };
    cluster.at(100).list_nodes(&[
        &with("antrea", "10.1.0.0/24", &[gateway("10.1.0.1", false)]),
        &with("bridge", "10.1.1.0/24", &[gateway("10.1.1.1", true)]),
        &with("pods", "10.1.2.0/24", &[gateway("10.1.2.1", true)]),
    ]);
    cluster.list_pods(&[&pod("web", &["10.1.2.1"])]);
    cluster.assert_owners(&[
        ("10.1.0.1", 100, "antrea"),
        // The plugin is not known: records wait for a pod that reports it.
        ("10.1.1.1", 100, "?bridge"),
        ("10.1.2.1", 100, "web"),
        ("10.1.1.2", 100, "?bridge"),
    ]);
    let (index, found) = cluster.found("10.1.1.1", 0, 100);
    assert_eq!(index.place(found.endpoint).kind, EndpointKind::Node);
}

#[test]
fn a_cilium_node_adds_its_addresses_whichever_object_comes_first() {
    let a = NodeFields {
        gateways: vec![gateway("10.80.2.1", true)],
        ..node("a", &["10.9.0.1"], &["10.80.2.0/24"])
    };
    let of_cilium = cilium(
        "a",
        &["10.9.0.1", "10.80.2.123", "fd00::123"],
        &["10.80.2.0/24"],
    );
    for cilium_first in [false, true] {
        let mut cluster = Scenario::new();
        cluster.at(100);
        if cilium_first {
            cluster.changed(&of_cilium).changed(&a);
        } else {
            cluster.changed(&a).changed(&of_cilium);
        }
        cluster.assert_owners(&[
            ("10.9.0.1", 110, "a"),
            ("10.80.2.123", 110, "a"),
            ("fd00::123", 110, "a"),
            // Cilium has no gateway besides its router.
            ("10.80.2.1", 110, "?a"),
        ]);
        let (index, found) = cluster.found("10.80.2.1", 0, 110);
        assert_eq!(index.place(found.endpoint).kind, EndpointKind::Pod);
        // A heartbeat of the node takes nothing away.
        cluster.at(150).changed(NodeFields {
            zone: "z1".into(),
            ..a.clone()
        });
        cluster.assert_owners(&[("10.80.2.123", 160, "a")]);
        // Cilium is removed: what both had stays.
        cluster.at(200).deleted(&of_cilium);
        cluster.assert_owners(&[
            ("10.9.0.1", 900, "a"),
            ("10.80.2.123", 190, "a"),
            ("10.80.2.123", 201 + KEPT, "?a"),
        ]);
    }
}

#[test]
fn the_pod_cidrs_of_cilium_replace_those_of_the_node() {
    let mut cluster = Scenario::new();
    let (a, b) = (
        node("a", &[], &["10.244.0.0/24"]),
        node("b", &[], &["10.244.1.0/24"]),
    );
    cluster.at(100).list_nodes(&[&a, &b]);
    cluster.assert_owners(&[("10.244.0.9", 100, "?a")]);
    // Its operator has numbered them the other way round.
    let all = vec![
        cilium("a", &[], &["10.244.1.0/24", "10.71.0.0/26"]).into(),
        cilium("b", &[], &["10.244.0.0/24"]).into(),
    ];
    cluster.at(110).list(ResourceKind::CiliumNodes, all);
    cluster.assert_owners(&[
        ("10.244.0.9", 110, "?b"),
        ("10.244.1.9", 110, "?a"),
        ("10.71.0.9", 110, "?a"),
    ]);
    // Missing in a list.
    cluster.at(200).list(ResourceKind::CiliumNodes, vec![]);
    cluster.assert_owners(&[("10.244.0.9", 210, "?a"), ("10.71.0.9", 210, "")]);
}

#[test]
fn a_pod_cidr_of_two_nodes_is_of_neither_until_one_is_gone() {
    let mut cluster = Scenario::new();
    let (a, b) = (
        node("a", &[], &["10.1.0.0/24"]),
        node("b", &[], &["10.1.0.0/24"]),
    );
    cluster.at(100).list_nodes(&[&a, &b]);
    cluster.assert_owners(&[("10.1.0.9", 100, "?")]);
    cluster.at(200).deleted(&a);
    cluster.assert_owners(&[("10.1.0.9", 200, "?b")]);
}

#[test]
fn a_malformed_annotation_is_counted() {
    let mut cluster = Scenario::new();
    let bad = NodeFields {
        malformed: Some("k8s.ovn.org/node-subnets"),
        ..node("a", &["10.9.0.1"], &[])
    };
    cluster.at(100).changed(&bad);
    // A heartbeat is not counted.
    cluster.at(110).changed(&bad);
    cluster.assert_owners(&[("10.9.0.1", 110, "a")]);
    let malformed = |cluster: &Scenario, kind| {
        let mut counts = cluster.health.counts();
        counts.find(|(one, _)| *one == kind).unwrap().1.malformed
    };
    assert_eq!(malformed(&cluster, ResourceKind::Nodes), 1);
    cluster.changed(PodFields {
        malformed: Some("k8s.v1.cni.cncf.io/network-status"),
        ..pod("web", &["10.1.0.1"])
    });
    assert_eq!(malformed(&cluster, ResourceKind::Pods), 1);
    cluster.assert_owners(&[("10.1.0.1", 110, "web")]);
}

#[test]
fn the_address_of_a_virtual_node_is_that_of_the_pod_or_node_behind_it() {
    let virtual_node = |name: &str, addresses: &[&str]| NodeFields {
        is_virtual: true,
        ..node(name, addresses, &[])
    };
    let connector = pod("connector", &["10.1.0.9"]);
    let (real, of_pod, of_host, lone) = (
        node("a", &["10.9.0.1"], &["10.1.0.0/24"]),
        virtual_node("aci", &["10.1.0.9"]),
        virtual_node("liqo", &["10.9.0.1"]),
        virtual_node("remote", &["10.7.0.1"]),
    );
    let nodes = [&real, &of_pod, &of_host, &lone];
    for virtual_first in [false, true] {
        let mut cluster = Scenario::new();
        cluster.at(100);
        if virtual_first {
            cluster.list_nodes(&nodes).list_pods(&[&connector]);
        } else {
            cluster.list_pods(&[&connector]).list_nodes(&nodes);
        }
        cluster.assert_owners(&[
            ("10.1.0.9", 100, "connector"),
            ("10.9.0.1", 100, "a"),
            // Nothing else has it.
            ("10.7.0.1", 100, "remote"),
        ]);
        let index = cluster.index();
        assert_eq!(index.node_at(address("10.9.0.1")), index.node_named("a"));
        assert!(!index.is_node_address(address("10.1.0.9")));
        // The connector moves to another node.
        cluster.at(200).deleted(&connector);
        cluster.changed(started(pod("next", &["10.1.0.10"]), 199));
        cluster.changed(virtual_node("aci", &["10.1.0.10"]));
        let later = 201 + KEPT;
        cluster.assert_owners(&[("10.1.0.10", later, "next"), ("10.1.0.9", later, "?a")]);
    }
}

#[test]
fn a_pod_cidr_that_the_network_plugin_does_not_use_implies_no_node() {
    let mut cluster = Scenario::new();
    let unused = |name: &str, cidr: &str| NodeFields {
        ignores_pod_cidrs: true,
        ..node(name, &[], &[cidr])
    };
    let (a, b) = (unused("a", "10.1.0.0/24"), unused("b", "10.1.1.0/24"));
    cluster.at(100).list_nodes(&[&a, &b]);
    cluster.list_pods(&[&pod("web", &["10.1.1.7"])]);
    cluster.assert_owners(&[("10.1.1.7", 100, "web"), ("10.1.1.8", 100, "?")]);
    let (index, found) = cluster.found("10.1.1.8", 0, 100);
    assert_eq!(index.place(found.endpoint).kind, EndpointKind::Pod);
    // The annotation appears or disappears.
    cluster.at(200).changed(node("b", &[], &["10.1.1.0/24"]));
    cluster.assert_owners(&[("10.1.1.8", 210, "?b"), ("10.1.0.8", 210, "?")]);
    cluster.at(300).changed(&b);
    cluster.assert_owners(&[("10.1.1.8", 310, "?")]);
    // Cilium replaces Calico, whose annotation stays, and is removed.
    cluster
        .at(400)
        .changed(cilium("b", &["10.80.2.123"], &["10.7.1.0/24"]));
    cluster.assert_owners(&[("10.7.1.8", 410, "?b"), ("10.1.1.8", 410, "")]);
    cluster.at(410).changed(NodeFields {
        zone: "z1".into(),
        ..b.clone()
    });
    cluster.assert_owners(&[("10.7.1.8", 420, "?b")]);
    cluster.at(500).deleted(cilium("b", &[], &[]));
    cluster.assert_owners(&[("10.7.1.8", 510, ""), ("10.1.1.8", 510, "?")]);
}

#[test]
fn an_exporter_with_the_address_of_a_gateway_is_on_the_node_unless_a_pod_has_it() {
    let mut cluster = Scenario::new();
    let exporter = |cluster: &mut Scenario, text: &str| {
        let index = cluster.index();
        let node = index.node_at(address(text));
        assert_eq!(node.is_some(), index.is_node_address(address(text)));
        node.map_or(String::new(), |node| index.node(node).name.to_string())
    };
    let flannel = NodeFields {
        gateways: vec![gateway("10.1.0.0", false), gateway("10.1.0.1", false)],
        ..node("a", &["10.9.0.1"], &["10.1.0.0/24"])
    };
    let unknown = NodeFields {
        gateways: vec![gateway("10.2.0.1", true)],
        ..node("b", &["10.9.0.2"], &["10.2.0.0/24"])
    };
    let revision = cluster.index().nodes_revision();
    cluster.at(100).list_nodes(&[&flannel, &unknown]);
    assert_ne!(cluster.index().nodes_revision(), revision);
    for (address, node) in [
        ("10.9.0.1", "a"),
        ("10.1.0.0", "a"),
        ("10.1.0.1", "a"),
        ("10.1.0.7", ""),
        ("10.2.0.1", "b"),
        ("192.0.2.1", ""),
    ] {
        assert_eq!(exporter(&mut cluster, address), node, "{address}");
    }
    let mut revision = cluster.index().nodes_revision();
    let mut has_changed = |cluster: &mut Scenario| {
        let before = std::mem::replace(&mut revision, cluster.index().nodes_revision());
        before != revision
    };
    let web = pod("web", &["10.2.0.1"]);
    cluster.changed(&web);
    assert_eq!(exporter(&mut cluster, "10.2.0.1"), "");
    assert!(has_changed(&mut cluster));
    cluster.at(200).deleted(&web);
    assert_eq!(exporter(&mut cluster, "10.2.0.1"), "b");
    assert!(has_changed(&mut cluster));
    cluster.at(300).deleted(&flannel);
    assert_eq!(exporter(&mut cluster, "10.1.0.1"), "");
    assert!(has_changed(&mut cluster));
}

#[test]
fn a_pod_has_an_address_that_a_node_has_by_an_old_annotation() {
    // The address of a tunnel of Calico, which another plugin has replaced.
    let machine = NodeFields {
        annotated: addresses(&["10.1.0.64", "10.1.0.65"]),
        ..node("a", &["10.9.0.1"], &[])
    };
    let reported = ["10.1.0.64", "10.9.0.1"];
    for pod_first in [false, true] {
        let mut cluster = Scenario::new();
        cluster.at(100);
        let web = PodFields {
            node: "b".into(),
            ..started(pod("web", &reported), 50)
        };
        if pod_first {
            cluster.list_pods(&[&web]).list_nodes(&[&machine]);
        } else {
            cluster.list_nodes(&[&machine]).list_pods(&[&web]);
        }
        let expected = [
            ("10.1.0.64", 110, "web"),
            ("10.1.0.65", 110, "a"),
            // What the status of a node has stays with it.
            ("10.9.0.1", 110, "a"),
        ];
        cluster.assert_owners(&expected);
        // Updates and lists of the node change nothing.
        let changed = NodeFields {
            zone: "z1".into(),
            ..machine.clone()
        };
        cluster.at(105).changed(&changed).list_nodes(&[&changed]);
        cluster.assert_owners(&expected);
    }
    // A pod that comes later has it from then on.
    let mut cluster = Scenario::new();
    cluster.at(100).changed(&machine);
    cluster.at(200).changed(PodFields {
        node: "b".into(),
        ..started(pod("web", &["10.1.0.64"]), 200)
    });
    cluster.assert_owners(&[("10.1.0.64", 150, "a"), ("10.1.0.64", 250, "web")]);
}
