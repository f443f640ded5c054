//! Egress addresses of nodes.

use super::*;

#[test]
fn an_egress_address_is_that_of_the_node_that_has_it_at_the_time() {
    let (a, b) = (node("a", &["10.9.0.1"], &[]), node("b", &["10.9.0.2"], &[]));
    for egress_first in [false, true] {
        let mut cluster = Scenario::new();
        cluster.at(100);
        let shop = egress("shop", &[("a", "192.0.2.90"), ("b", "192.0.2.91")]);
        if egress_first {
            cluster.changed(&shop).list_nodes(&[&a, &b]);
        } else {
            cluster.list_nodes(&[&a, &b]).changed(&shop);
        }
        cluster.assert_owners(&[("192.0.2.90", 110, "a"), ("192.0.2.91", 110, "b")]);
        // Another update of a node takes nothing away.
        cluster.at(150).changed(NodeFields {
            zone: "z1".into(),
            ..a.clone()
        });
        cluster.assert_owners(&[("192.0.2.90", 160, "a")]);
        // The node fails, and the other one takes the address.
        cluster.at(200);
        cluster.changed(egress("shop", &[("b", "192.0.2.90"), ("b", "192.0.2.91")]));
        cluster.assert_owners(&[
            ("192.0.2.90", 190, "a"),
            ("192.0.2.90", 210, "b"),
            ("192.0.2.91", 210, "b"),
            ("10.9.0.1", 210, "a"),
        ]);
        cluster.at(300).deleted(egress("shop", &[]));
        cluster.assert_owners(&[("192.0.2.90", 301 + KEPT, ""), ("10.9.0.2", 310, "b")]);
    }
}

#[test]
fn a_list_removes_the_egress_addresses_of_its_kind_alone() {
    let mut cluster = Scenario::new();
    cluster
        .at(100)
        .list_nodes(&[&node("a", &["10.9.0.1"], &[])]);
    let (ovn, other) = (
        egress("shop", &[("a", "192.0.2.90")]),
        egress("mail", &[("a", "192.0.2.90"), ("a", "192.0.2.92")]),
    );
    cluster.changed(&ovn);
    let event = WatchEvent::Changed(other);
    cluster.apply(WatchUpdate::Egress(ResourceKind::Egresses, event));
    cluster.at(200).list(ResourceKind::EgressIps, vec![]);
    let later = 201 + KEPT;
    cluster.assert_owners(&[("192.0.2.90", later, "a"), ("192.0.2.92", later, "a")]);
    cluster.at(later).list(ResourceKind::Egresses, vec![]);
    let later = later + 1 + KEPT;
    cluster.assert_owners(&[("192.0.2.90", later, ""), ("192.0.2.92", later, "")]);
}

#[test]
fn an_egress_address_that_several_objects_give_to_a_node_is_the_nodes_until_all_are_gone() {
    let mut cluster = Scenario::new();
    let a = node("a", &["10.9.0.1"], &[]);
    cluster.at(100).list_nodes(&[&a]);
    let shop = egress("shop", &[("a", "192.0.2.90"), ("a", "10.9.0.1")]);
    let mail = egress("mail", &[("a", "192.0.2.90")]);
    cluster.changed(&shop).changed(&mail);
    cluster.changed(cilium("a", &["10.80.2.123"], &[]));
    cluster.changed(egress("third", &[("a", "10.80.2.123")]));
    cluster.at(200).deleted(&shop);
    cluster.deleted(egress("third", &[]));
    let later = 201 + KEPT;
    cluster.assert_owners(&[
        ("192.0.2.90", later, "a"),
        // The other objects of the node have them.
        ("10.9.0.1", later, "a"),
        ("10.80.2.123", later, "a"),
    ]);
    cluster.at(later).deleted(&mail);
    cluster.assert_owners(&[("192.0.2.90", later + 1 + KEPT, "")]);
}

#[test]
fn many_egress_addresses_of_one_node_are_assigned_and_removed() {
    // Each costs the same. Otherwise, the test takes minutes.
    const ADDRESSES: u32 = 20_000;
    let mut cluster = Scenario::new();
    cluster
        .at(100)
        .list_nodes(&[&node("a", &["10.9.0.1"], &[])]);
    let objects = (0..ADDRESSES).map(|number| {
        let text = format!("10.200.{}.{}", number / 256, number % 256);
        EgressFields {
            uid: u128::from(number),
            ..egress("", &[("a", &text)])
        }
    });
    let objects = objects.map(Object::from).collect();
    cluster.at(110).list(ResourceKind::EgressIps, objects);
    cluster.assert_owners(&[("10.200.0.0", 120, "a"), ("10.200.78.31", 120, "a")]);
    cluster.at(200).list(ResourceKind::EgressIps, vec![]);
    cluster.assert_owners(&[("10.200.78.31", 190, "a"), ("10.200.78.31", 201 + KEPT, "")]);
}
