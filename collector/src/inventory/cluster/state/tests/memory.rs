use super::*;

const NODES: u32 = 500;
const PODS: u32 = 10_000;

/// Octets per pod in a large cluster, with its node, ReplicaSet and address.
const MAX_OCTETS_PER_POD: u64 = 550;

#[test]
fn a_pod_takes_a_few_hundred_octets() {
    let mut cluster = Scenario::new();
    cluster.at(100);
    let measured = allocation_counter::measure(|| {
        for number in 0..NODES {
            let address = format!("10.9.{}.{}", number / 250, number % 250 + 1);
            let cidr = format!("10.{}.{}.0/24", 100 + (number >> 8), number & 0xff);
            let first_host = cidr.replace("0/24", "1");
            let machine = NodeFields {
                gateways: vec![gateway(&first_host, true)],
                ..node(&format!("node-{number}"), &[&address], &[&cidr])
            };
            cluster.changed(machine);
        }
        for number in 0..PODS {
            let workload = number / 5;
            let replica_set = format!("web-{workload}-5d4f");
            if number % 5 == 0 {
                let owner = OwnerFields {
                    uid: uid(&format!("owner {replica_set}")),
                    namespace: "shop".into(),
                    name: replica_set.clone(),
                    controller: Some(Controller::new(
                        "Deployment",
                        &format!("web-{workload}"),
                        "",
                    )),
                };
                let event = WatchEvent::Changed(owner);
                cluster.apply(WatchUpdate::Owner(ResourceKind::ReplicaSets, event));
            }
            let address = format!(
                "10.{}.{}.{}",
                100 + (number >> 16),
                number >> 8 & 0xff,
                number & 0xff
            );
            let name = format!("{replica_set}-{number:05}");
            let mut web = controlled(pod(&name, &[&address]), "ReplicaSet", &replica_set);
            web.node = format!("node-{}", number % NODES);
            cluster.changed(web);
        }
        drop(cluster.index());
    });
    let octets = u64::try_from(measured.bytes_current).unwrap() / u64::from(PODS);
    assert!(octets <= MAX_OCTETS_PER_POD, "{octets} octets per pod");
    assert_eq!(cluster.index().sizes().addresses, 10_500);
}
