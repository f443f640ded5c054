use super::*;

fn claiming(name: &str, status: &[&str], claimed: &[&str]) -> PodFields {
    PodFields {
        claimed_addresses: addresses(claimed),
        ..pod(name, status)
    }
}

fn claim(name: &str, pods: &[&PodFields], claimed: &[&str]) -> ResourceClaimFields {
    ResourceClaimFields {
        uid: uid(&format!("claim {name}")),
        pods: pods.iter().map(|pod| pod.uid).collect(),
        addresses: addresses(claimed),
        created: time(0),
    }
}

//------------ Annotations -----------------------------------------------------------------------

#[test]
fn an_address_on_a_secondary_network_is_the_pods() {
    let mut cluster = Scenario::new();
    let cnf = claiming("cnf", &["10.1.0.1"], &["192.168.77.4", "fd00:77::4"]);
    cluster.at(100).list_pods(&[&cnf]);
    cluster.assert_owners(&[
        ("10.1.0.1", 110, "cnf"),
        ("192.168.77.4", 110, "cnf"),
        ("fd00:77::4", 110, "cnf"),
    ]);
    cluster
        .at(200)
        .changed(claiming("cnf", &["10.1.0.1"], &["192.168.77.5"]));
    let later = 201 + KEPT;
    cluster.assert_owners(&[("192.168.77.4", later, ""), ("192.168.77.5", later, "cnf")]);
    cluster.at(300).deleted(&cnf);
    cluster.assert_owners(&[
        ("192.168.77.5", 299, "cnf"),
        ("192.168.77.5", 301 + KEPT, ""),
    ]);
}

#[test]
fn isolated_networks_with_the_same_addresses_are_ambiguous() {
    let mut cluster = Scenario::new();
    let (blue, red) = (
        claiming("blue", &["10.1.0.1"], &["172.31.0.5"]),
        claiming("red", &["10.1.0.2"], &["172.31.0.5"]),
    );
    cluster.at(100).list_pods(&[&blue, &red]);
    cluster.assert_owners(&[("172.31.0.5", 110, "~ambiguous")]);
    cluster.at(200).list_pods(&[&red]);
    cluster.assert_owners(&[("172.31.0.5", 210, "red")]);
}

#[test]
fn a_pod_cannot_claim_an_address_of_another_object() {
    let mut cluster = Scenario::new();
    let claimed = ["10.1.0.1", "10.9.0.1", "10.96.0.1", "203.0.113.7"];
    let greedy = claiming("greedy", &["10.1.0.66"], &claimed);
    cluster
        .at(100)
        .list_nodes(&[&node("a", &["10.9.0.1"], &[])]);
    cluster.changed(&greedy);
    cluster.changed(service("front", &["10.96.0.1"]));
    cluster.changed(pod("web", &["10.1.0.1"]));
    cluster.assert_owners(&[
        ("10.1.0.1", 110, "web"),
        ("10.9.0.1", 110, "a"),
        ("10.96.0.1", 110, "front"),
        ("203.0.113.7", 110, "greedy"),
    ]);
}

#[test]
fn a_terminated_pod_does_not_claim_addresses() {
    let mut cluster = Scenario::new();
    let job = claiming("job", &["10.1.0.1"], &["192.168.77.4"]);
    cluster.at(100).list_pods(&[&job]);
    cluster.at(200).changed(terminated(&job, 200));
    cluster.assert_owners(&[
        ("192.168.77.4", 199, "job"),
        ("192.168.77.4", 201 + KEPT, ""),
    ]);
    let next = claiming("next", &["10.1.0.2"], &["192.168.77.4"]);
    cluster.at(210).changed(started(next, 205));
    cluster.at(220).changed(terminated(&job, 200));
    cluster.assert_owners(&[("192.168.77.4", 230, "next")]);
}

#[test]
fn a_pod_in_deletion_gives_a_claimed_address_to_the_next_one() {
    let mut cluster = Scenario::new();
    let old = claiming("old", &["10.1.0.1"], &["192.168.77.4"]);
    cluster.at(100).list_pods(&[&old]);
    cluster.at(200).changed(in_deletion(&old, 230));
    let next = claiming("next", &["10.1.0.2"], &["192.168.77.4"]);
    cluster.at(210).changed(started(next, 205));
    cluster.assert_owners(&[("192.168.77.4", 215, "next")]);
    cluster.at(230).deleted(&old);
    cluster.assert_owners(&[("192.168.77.4", 240, "next")]);
}

#[test]
fn a_pod_keeps_a_claimed_address_that_a_service_without_selector_leads_to() {
    // Services cannot select the secondary networks of pods.
    let mut cluster = Scenario::new();
    let slice = EndpointSliceFields {
        uid: uid("slice"),
        dns_name: "cnf.shop.svc".into(),
        addresses: addresses(&["192.168.77.4", "192.168.77.5"]),
        ..EndpointSliceFields::default()
    };
    cluster.at(100).changed(&slice);
    cluster.changed(claiming("cnf", &["10.1.0.1"], &["192.168.77.4"]));
    cluster.assert_owners(&[
        ("192.168.77.4", 110, "cnf"),
        ("192.168.77.5", 110, "cnf.shop.svc"),
    ]);
    cluster.at(200).changed(claiming("cnf", &["10.1.0.1"], &[]));
    cluster.assert_owners(&[("192.168.77.4", 201 + KEPT, "cnf.shop.svc")]);
}

#[test]
fn a_pod_cannot_claim_the_gateway_of_a_pod_cidr() {
    let mut cluster = Scenario::new();
    let flannel = NodeFields {
        gateways: vec![gateway("10.1.0.0", false), gateway("10.1.0.1", false)],
        ..node("a", &[], &["10.1.0.0/24"])
    };
    let unknown = NodeFields {
        gateways: vec![gateway("10.2.0.1", true)],
        ..node("b", &[], &["10.2.0.0/24"])
    };
    let claimed = ["10.1.0.0", "10.1.0.1", "10.1.0.7", "10.2.0.1"];
    cluster.at(100).list_nodes(&[&flannel, &unknown]);
    cluster.changed(claiming("greedy", &["10.1.0.66"], &claimed));
    cluster.assert_owners(&[
        ("10.1.0.0", 110, "a"),
        ("10.1.0.1", 110, "a"),
        // The plugin reports the address of a pod in an annotation before the status has it.
        ("10.1.0.7", 110, "greedy"),
        ("10.2.0.1", 110, "greedy"),
    ]);
}

//------------ ResourceClaims --------------------------------------------------------------------

#[test]
fn the_addresses_of_a_resource_claim_are_its_pods_whichever_object_comes_first() {
    let train = pod("train", &["10.1.0.1"]);
    let rdma = claim("rdma", &[&train], &["192.0.2.77", "2001:db8::77"]);
    for claim_first in [false, true] {
        let mut cluster = Scenario::new();
        cluster.at(100);
        if claim_first {
            cluster.changed(&rdma).at(110).changed(&train);
        } else {
            cluster.changed(&train).at(110).changed(&rdma);
        }
        cluster.assert_owners(&[("192.0.2.77", 120, "train"), ("2001:db8::77", 120, "train")]);
        // An update of the pod changes nothing.
        cluster.at(130).changed(&train);
        cluster.assert_owners(&[("192.0.2.77", 140, "train")]);
        // The device gets another address.
        cluster
            .at(200)
            .changed(claim("rdma", &[&train], &["192.0.2.78"]));
        let later = 201 + KEPT;
        cluster.assert_owners(&[("192.0.2.77", later, ""), ("192.0.2.78", later, "train")]);
        // The pod is deleted, and the claim later.
        cluster.at(300).deleted(&train);
        cluster.assert_owners(&[("192.0.2.78", 301 + KEPT, "")]);
        cluster.at(310).deleted(&rdma);
        assert!(cluster.state.pod_keys.is_empty() && cluster.state.claims.is_empty());
    }
}

#[test]
fn a_pod_does_not_have_the_address_of_its_claim_before_the_claim_exists() {
    let train = pod("train", &["10.1.0.1"]);
    let rdma = ResourceClaimFields {
        created: time(200),
        ..claim("rdma", &[&train], &["192.0.2.77"])
    };
    let mut cluster = Scenario::new();
    cluster.at(300).list_pods(&[&train]);
    cluster.list(ResourceKind::ResourceClaims, vec![rdma.into()]);
    cluster.assert_owners(&[("192.0.2.77", 199, ""), ("192.0.2.77", 200, "train")]);
}

#[test]
fn a_claim_of_two_pods_is_ambiguous_and_missing_in_a_list_it_is_gone() {
    let mut cluster = Scenario::new();
    let (one, two) = (pod("one", &["10.1.0.1"]), pod("two", &["10.1.0.2"]));
    let shared = claim("shared", &[&one, &two], &["192.0.2.77"]);
    cluster.at(100).list_pods(&[&one, &two]);
    cluster.list(ResourceKind::ResourceClaims, vec![shared.into()]);
    cluster.assert_owners(&[("192.0.2.77", 110, "~ambiguous")]);
    let of_one = claim("shared", &[&one], &["192.0.2.77"]);
    cluster.at(200).changed(&of_one);
    cluster.assert_owners(&[("192.0.2.77", 210, "one")]);
    cluster.at(300).list(ResourceKind::ResourceClaims, vec![]);
    cluster.assert_owners(&[("192.0.2.77", 301 + KEPT, "")]);
    assert!(cluster.state.pod_keys.is_empty());
}

#[test]
fn a_pod_in_deletion_gives_the_address_of_its_claim_to_the_next_pod() {
    let mut cluster = Scenario::new();
    let (old, next) = (pod("old", &["10.1.0.1"]), pod("next", &["10.1.0.2"]));
    let rdma = claim("rdma", &[&old, &next], &["192.0.2.77"]);
    cluster.at(100).list_pods(&[&old]);
    cluster.changed(&rdma);
    cluster.at(200).changed(in_deletion(&old, 230));
    cluster.at(210).changed(started(next, 205));
    cluster.assert_owners(&[("192.0.2.77", 150, "old"), ("192.0.2.77", 215, "next")]);
    cluster.at(230).deleted(&old);
    cluster.assert_owners(&[("192.0.2.77", 240, "next")]);
}

#[test]
fn an_address_that_an_annotation_and_a_claim_have_stays_until_both_are_gone() {
    let mut cluster = Scenario::new();
    let both = claiming("train", &["10.1.0.1"], &["192.0.2.77"]);
    let rdma = claim("rdma", &[&both], &["192.0.2.77"]);
    cluster.at(100).list_pods(&[&both]);
    cluster.changed(&rdma);
    cluster.at(200).deleted(&rdma);
    cluster.assert_owners(&[("192.0.2.77", 900, "train")]);
    cluster.at(300).changed(&rdma);
    cluster
        .at(310)
        .changed(claiming("train", &["10.1.0.1"], &[]));
    cluster.assert_owners(&[("192.0.2.77", 900, "train")]);
    cluster.at(320).deleted(&rdma);
    cluster.assert_owners(&[("192.0.2.77", 321 + KEPT, "")]);
}
