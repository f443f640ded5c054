use super::*;

fn external(name: &str, shared: &[&str], port: u16) -> ServiceFields {
    ServiceFields {
        shared_addresses: addresses(shared),
        ports: vec![tcp(port)],
        ..service(name, shared)
    }
}

fn slice(service: &str, slice_addresses: &[&str], ports: &[u16]) -> EndpointSliceFields {
    EndpointSliceFields {
        uid: uid(&format!("slice {service}")),
        dns_name: format!("{service}.shop.svc"),
        addresses: addresses(slice_addresses),
        ports: ports.iter().map(|port| tcp(*port)).collect(),
        created: 0,
    }
}

#[test]
fn a_service_has_its_addresses_and_node_ports_until_it_is_deleted() {
    let mut cluster = Scenario::new();
    let front = ServiceFields {
        node_ports: vec![tcp(30_080)],
        ..service("front", &["10.96.0.1", "fd00:96::1"])
    };
    cluster
        .at(100)
        .list_nodes(&[&node("a", &["10.9.0.1"], &[])]);
    cluster.list(ResourceKind::Services, vec![front.clone().into()]);
    cluster.assert_owners(&[("10.96.0.1", 100, "front"), ("fd00:96::1", 100, "front")]);
    assert_eq!(cluster.owner_of_port("10.9.0.1", 30_080, 100), "front");
    assert_eq!(cluster.owner_of_port("10.9.0.1", 30_081, 100), "a");
    // Another node port.
    let changed = ServiceFields {
        node_ports: vec![tcp(30_081)],
        ..front.clone()
    };
    cluster.at(200).changed(&changed);
    let later = 201 + KEPT;
    assert_eq!(cluster.owner_of_port("10.9.0.1", 30_081, later), "front");
    assert_eq!(cluster.owner_of_port("10.9.0.1", 30_080, later), "a");
    cluster.at(300).deleted(&changed);
    cluster.assert_owners(&[("10.96.0.1", 299, "front"), ("10.96.0.1", 301 + KEPT, "")]);
    // A ClusterIP that is used again.
    cluster.at(400).changed(service("next", &["10.96.0.1"]));
    cluster.assert_owners(&[("10.96.0.1", 290, "front"), ("10.96.0.1", 410, "next")]);
}

#[test]
fn the_port_decides_between_services_with_one_load_balancer_address() {
    let mut cluster = Scenario::new();
    let (web, mail) = (
        external("web", &["203.0.113.5"], 443),
        external("mail", &["203.0.113.5"], 25),
    );
    let all = vec![web.clone().into(), mail.clone().into()];
    cluster.at(100).list(ResourceKind::Services, all);
    let owner = |cluster: &mut Scenario, port, at| cluster.owner_of_port("203.0.113.5", port, at);
    assert_eq!(owner(&mut cluster, 443, 110), "web");
    assert_eq!(owner(&mut cluster, 25, 110), "mail");
    assert_eq!(owner(&mut cluster, 22, 110), "~ambiguous");
    cluster
        .at(200)
        .list(ResourceKind::Services, vec![web.clone().into()]);
    assert_eq!(owner(&mut cluster, 22, 210), "web");
    assert_eq!(owner(&mut cluster, 25, 201 + KEPT), "web");
}

#[test]
fn a_node_keeps_an_external_address_of_a_service_and_the_service_its_ports() {
    let mut cluster = Scenario::new();
    let (a, web) = (
        node("a", &["10.9.0.1"], &[]),
        external("web", &["10.9.0.1"], 443),
    );
    cluster.at(100).changed(&web).changed(&a);
    assert_eq!(cluster.owner_of_port("10.9.0.1", 443, 110), "web");
    assert_eq!(cluster.owner_of_port("10.9.0.1", 22, 110), "a");
    // Without the node, the address is the Service's.
    cluster.at(200).deleted(&a);
    assert_eq!(cluster.owner_of_port("10.9.0.1", 22, 210), "web");
    cluster.at(300).changed(&a);
    assert_eq!(cluster.owner_of_port("10.9.0.1", 22, 310), "a");
}

#[test]
fn an_external_address_has_the_name_of_the_service_that_leads_there() {
    let mut cluster = Scenario::new();
    let database = slice("database", &["203.0.113.7"], &[5432]);
    cluster
        .at(100)
        .list(ResourceKind::EndpointSlices, vec![database.clone().into()]);
    cluster.assert_owners(&[("203.0.113.7", 110, "database.shop.svc")]);
    // It moves.
    cluster
        .at(200)
        .changed(slice("database", &["203.0.113.8"], &[5432]));
    cluster.assert_owners(&[
        ("203.0.113.7", 201 + KEPT, ""),
        ("203.0.113.8", 210, "database.shop.svc"),
    ]);
    // All endpoints are pods now.
    cluster.at(300).changed(slice("database", &[], &[5432]));
    cluster.assert_owners(&[("203.0.113.8", 301 + KEPT, "")]);
}

#[test]
fn each_external_address_of_a_service_is_an_endpoint_with_that_address() {
    let mut cluster = Scenario::new();
    let both = ["203.0.113.7", "2001:db8::7"];
    cluster.at(100).changed(slice("database", &both, &[5432]));
    let own_address = |cluster: &mut Scenario, address: &str| {
        let (index, found) = cluster.found(address, 5432, 110);
        let own = index.endpoint(found.endpoint).external_address.as_deref();
        (found.endpoint, own.copied())
    };
    let found = both.map(|address| own_address(&mut cluster, address));
    assert_eq!(
        found.map(|(_, address)| address.unwrap()).to_vec(),
        addresses(&both)
    );
    // The endpoint of an address that stays is the same one.
    cluster
        .at(105)
        .changed(slice("database", &["2001:db8::7", "2001:db8::8"], &[5432]));
    assert_eq!(own_address(&mut cluster, "2001:db8::7"), found[1]);
    assert_ne!(own_address(&mut cluster, "2001:db8::8").0, found[1].0);
}

#[test]
fn the_port_decides_between_services_that_lead_to_one_external_address() {
    let mut cluster = Scenario::new();
    let all = vec![
        slice("sql", &["203.0.113.7"], &[5432]).into(),
        slice("cache", &["203.0.113.7"], &[6379, 6380]).into(),
    ];
    cluster.at(100).list(ResourceKind::EndpointSlices, all);
    let owner = |cluster: &mut Scenario, port| cluster.owner_of_port("203.0.113.7", port, 110);
    assert_eq!(owner(&mut cluster, 5432), "sql.shop.svc");
    assert_eq!(owner(&mut cluster, 6380), "cache.shop.svc");
    assert_eq!(owner(&mut cluster, 22), "~ambiguous");
    cluster
        .at(105)
        .deleted(slice("cache", &["203.0.113.7"], &[6379, 6380]));
    assert_eq!(owner(&mut cluster, 22), "sql.shop.svc");
}

#[test]
fn a_control_plane_node_keeps_the_port_of_its_api_server() {
    let mut cluster = Scenario::new();
    // The Service `kubernetes` leads to the nodes themselves.
    cluster
        .at(100)
        .changed(node("control-plane", &["10.9.0.1"], &[]));
    cluster.changed(slice("kubernetes", &["10.9.0.1"], &[6443]));
    for port in [6443, 22] {
        assert_eq!(
            cluster.owner_of_port("10.9.0.1", port, 110),
            "control-plane"
        );
    }
    // A Service with the node's address as its external IP has its port.
    cluster.changed(external("ingress", &["10.9.0.1"], 443));
    assert_eq!(cluster.owner_of_port("10.9.0.1", 443, 110), "ingress");
    assert_eq!(
        cluster.owner_of_port("10.9.0.1", 6443, 110),
        "control-plane"
    );
}

#[test]
fn a_pod_keeps_an_address_that_a_service_without_selector_leads_to() {
    let mut cluster = Scenario::new();
    cluster
        .at(100)
        .changed(slice("manual", &["10.1.0.1"], &[80]));
    cluster.changed(pod("web", &["10.1.0.1"]));
    cluster.assert_owners(&[("10.1.0.1", 110, "web")]);
}

#[test]
fn an_address_of_a_node_has_the_ports_of_its_service_before_those_of_pods() {
    // ServiceLB of k3s: the load balancer has the addresses of the nodes, and a pod with the port
    // on each of them. Packets reach the Service before that pod.
    let mut cluster = Scenario::new();
    let balancer = PodFields {
        ports: vec![(None, tcp(443)), (None, tcp(8443))],
        ..pod("svclb-web", &["10.1.0.9"])
    };
    cluster
        .at(100)
        .changed(node("a", &["10.9.0.1", "10.9.1.1"], &[]));
    cluster
        .changed(external("web", &["10.9.0.1"], 443))
        .changed(&balancer);
    for (address, port, owner) in [
        ("10.9.0.1", 443, "web"),
        ("10.9.0.1", 8443, "svclb-web"),
        // An address that the Service does not use.
        ("10.9.1.1", 443, "svclb-web"),
        ("10.9.1.1", 22, "a"),
    ] {
        assert_eq!(cluster.owner_of_port(address, port, 110), owner);
    }
}
