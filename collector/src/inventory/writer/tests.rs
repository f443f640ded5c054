use std::sync::Arc;

use flowproto::Address;

use super::*;
use crate::inventory::address_key::TransportPort;
use crate::inventory::endpoint::EndpointKind;
use crate::inventory::snapshot::Certainty;
use crate::inventory::time_range::TimeRange;

const KEPT: u64 = 300_000;
const DELAY: u64 = 120_000;
const NOW: u64 = 1_700_000_000_000;

fn writer_with(bounds: Bounds) -> IndexWriter {
    let mut writer = IndexWriter::new(bounds);
    set_time(&mut writer, NOW);
    writer
}

/// Sets both clocks.
fn set_time(writer: &mut IndexWriter, milliseconds: u64) {
    writer.set_now(ClockReading {
        wall_milliseconds: milliseconds,
        monotonic_milliseconds: milliseconds,
    });
}

fn endpoint(kind: EndpointKind, name: &str) -> Endpoint {
    Endpoint {
        kind,
        name: Arc::from(name),
        workload_name: Arc::from(name),
        ..Endpoint::default()
    }
}

fn pod(writer: &mut IndexWriter, name: &str) -> EndpointId {
    writer.add_endpoint(endpoint(EndpointKind::Pod, name))
}

fn pod_of(writer: &mut IndexWriter, name: &str, workload: &str, node: &str) -> EndpointId {
    let node = writer.acquire_node(node);
    writer.add_endpoint(Endpoint {
        namespace: Arc::from("shop"),
        workload_kind: Arc::from("Deployment"),
        workload_name: Arc::from(workload),
        node,
        ..endpoint(EndpointKind::Pod, name)
    })
}

fn address(last: u32) -> Address {
    Address::from_v4_bits(0x0a01_0000 + last)
}

fn key(last: u32) -> AddressKey {
    AddressKey::address(address(last))
}

fn range(start: u64, end: u64) -> TimeRange {
    TimeRange {
        start_milliseconds: start,
        end_milliseconds: end,
    }
}

/// Namespace and name, or the workload of an endpoint without a name.
fn found(index: &IndexSnapshot, last: u32, start: u64, end: u64) -> (String, Certainty) {
    let found = index.lookup(address(last), range(start, end));
    let endpoint = index.endpoint(found.endpoint);
    let name = match &*endpoint.name {
        "" => format!("workload {}", endpoint.workload_name),
        name => name.to_owned(),
    };
    (name, found.certainty)
}

fn known(name: &str) -> (String, Certainty) {
    (name.to_owned(), Certainty::Known)
}

fn ambiguous(workload: &str) -> (String, Certainty) {
    (format!("workload {workload}"), Certainty::Ambiguous)
}

//------------ Assignments -----------------------------------------------------------------------

#[test]
fn a_late_delete_does_not_take_the_address_from_the_next_pod() {
    let mut writer = writer_with(Bounds::default());
    let (old, new) = (pod(&mut writer, "old"), pod(&mut writer, "new"));
    writer.assign(key(1), old, NOW, 0);
    writer.yield_to_next(key(1), old, NOW + 50);
    writer.assign(key(1), new, NOW + 100, 0);
    writer.unassign(key(1), old, NOW + 200);
    let index = writer.snapshot().unwrap();
    assert_eq!(found(&index, 1, NOW + 150, NOW + 900), known("new"));
    assert_eq!(found(&index, 1, NOW, NOW + 99), known("old"));
    assert_eq!(
        found(&index, 1, NOW + 50, NOW + 150),
        ambiguous("ambiguous")
    );
}

#[test]
fn a_pod_that_is_received_after_a_younger_one_had_the_address_before() {
    let mut writer = writer_with(Bounds::default());
    let (old, new) = (pod(&mut writer, "old"), pod(&mut writer, "new"));
    writer.assign(key(1), new, NOW, 0);
    writer.assign_yielding(key(1), old, NOW - 1000, 0);
    assert_eq!(writer.assignees(key(1)).collect::<Vec<_>>(), [new]);
    let index = writer.snapshot().unwrap();
    assert_eq!(found(&index, 1, NOW - 900, NOW - 800), known("old"));
    assert_eq!(found(&index, 1, NOW, NOW + 800), known("new"));
}

#[test]
fn pods_of_one_workload_with_one_address_are_ambiguous_but_their_workload_is_known() {
    let mut writer = writer_with(Bounds::default());
    let source = pod_of(&mut writer, "vm-source", "vm", "a");
    let target = pod_of(&mut writer, "vm-target", "vm", "b");
    writer.assign(key(1), source, NOW, 0);
    writer.assign(key(1), target, NOW + 100, 0);
    let index = writer.snapshot().unwrap();
    assert_eq!(found(&index, 1, NOW + 150, NOW + 160), ambiguous("vm"));
    let shared = index
        .lookup(address(1), range(NOW + 150, NOW + 160))
        .endpoint;
    let shared = index.endpoint(shared);
    assert_eq!(
        (&*shared.namespace, &*shared.workload_kind, shared.node),
        ("shop", "Deployment", None)
    );

    writer.unassign(key(1), target, NOW + 200);
    let index = writer.snapshot().unwrap();
    assert_eq!(found(&index, 1, NOW + 250, NOW + 260), known("vm-source"));
}

#[test]
fn pods_of_several_workloads_with_one_address_share_their_node() {
    let mut writer = writer_with(Bounds::default());
    let one = pod_of(&mut writer, "one-1", "one", "a");
    let two = pod_of(&mut writer, "two-1", "two", "a");
    let three = pod_of(&mut writer, "three-1", "three", "b");
    writer.assign(key(1), one, NOW, 0);
    writer.assign(key(1), two, NOW, 0);
    writer.assign(key(2), one, NOW, 0);
    writer.assign(key(2), three, NOW, 0);
    let index = writer.snapshot().unwrap();
    for (last, node) in [(1, index.node_named("a")), (2, None)] {
        assert_eq!(found(&index, last, NOW, NOW), ambiguous("ambiguous"));
        let endpoint = index.lookup(address(last), range(NOW, NOW)).endpoint;
        assert_eq!(index.place(endpoint).node, node);
        assert!(!index.endpoint(endpoint).has_known_workload());
    }
}

#[test]
fn a_shared_endpoint_follows_its_members_and_its_id_is_released() {
    let mut writer = writer_with(Bounds::default());
    let one = pod_of(&mut writer, "web-1", "web-5d4f", "a");
    let two = pod_of(&mut writer, "web-2", "web-5d4f", "a");
    for last in [1, 2] {
        writer.assign(key(last), one, NOW, 0);
        writer.assign(key(last), two, NOW, 0);
    }
    let before = writer.endpoint_ids.in_use();
    assert_eq!(found(&writer.current(), 1, NOW, NOW), ambiguous("web-5d4f"));
    for id in [one, two] {
        let endpoint = Endpoint {
            workload_name: Arc::from("web"),
            ..writer.endpoint(id).clone()
        };
        writer.set_endpoint(id, endpoint);
        writer.update_ambiguous(key(1));
        writer.update_ambiguous(key(2));
    }
    assert_eq!(found(&writer.current(), 1, NOW, NOW), ambiguous("web"));
    assert_eq!(found(&writer.current(), 2, NOW, NOW), ambiguous("web"));
    assert_eq!(writer.endpoint_ids.in_use(), before);

    writer.unassign(key(1), one, NOW);
    writer.unassign(key(2), one, NOW);
    set_time(&mut writer, NOW + KEPT + 1);
    writer.expire();
    assert_eq!(found(&writer.current(), 1, NOW, NOW), known("web-2"));
    assert!(writer.shared.is_empty());
    assert_eq!(writer.endpoint_ids.in_use(), before - 1);
}

#[test]
fn a_node_keeps_an_address_that_a_service_has_too_and_the_service_gets_it_back() {
    let mut writer = writer_with(Bounds::default());
    let service = writer.add_endpoint(endpoint(EndpointKind::Service, "service"));
    let node = writer.add_endpoint(endpoint(EndpointKind::Node, "node"));
    for (last, order) in [(1, [service, node]), (2, [node, service])] {
        for id in order {
            writer.assign(key(last), id, NOW, 0);
        }
        assert_eq!(found(&writer.current(), last, NOW, NOW), known("node"));
        writer.unassign(key(last), node, NOW + 10);
        let index = writer.current();
        assert_eq!(found(&index, last, NOW + 10, NOW + 20), known("service"));
    }
}

#[test]
fn an_address_of_two_nodes_belongs_to_no_single_node() {
    let mut writer = writer_with(Bounds::default());
    let ids = ["a", "b"].map(|name| {
        let node = writer.acquire_node(name);
        let endpoint = Endpoint {
            node,
            ..endpoint(EndpointKind::Node, name)
        };
        writer.add_endpoint(endpoint)
    });
    writer.assign(key(1), ids[0], NOW, 0);
    let index = writer.snapshot().unwrap();
    assert_eq!(index.node_at(address(1)), index.node_named("a"));
    writer.assign(key(1), ids[1], NOW, 0);
    let both = writer.snapshot().unwrap();
    assert_eq!(both.node_at(address(1)), None);
    assert!(both.is_node_address(address(1)) && !both.is_node_address(address(2)));
    assert_ne!(both.nodes_revision(), index.nodes_revision());
    writer.unassign(key(1), ids[0], NOW + 10);
    let index = writer.snapshot().unwrap();
    assert_eq!(index.node_at(address(1)), index.node_named("b"));
}

#[test]
fn kubernetes_replaces_the_assignments_of_the_file() {
    let mut writer = writer_with(Bounds::default());
    let of_file = pod(&mut writer, "of the file");
    writer.assign(key(1), of_file, 0, 0);
    writer.start_watch();
    let watched = pod(&mut writer, "watched");
    writer.assign(key(1), watched, NOW, 10);
    let index = writer.snapshot().unwrap();
    assert_eq!(found(&index, 1, NOW - 9, NOW - 5), known("watched"));
}

//------------ Ports and claimed addresses -------------------------------------------------------

#[test]
fn the_port_decides_between_services_with_one_address() {
    let mut writer = writer_with(Bounds::default());
    let ids =
        ["sql", "cache"].map(|name| writer.add_endpoint(endpoint(EndpointKind::External, name)));
    let port = |port| TransportPort::new(6, port).unwrap();
    for (id, number) in ids.into_iter().zip([5432, 6379]) {
        writer.assign(key(1), id, NOW, 0);
        writer.assign(AddressKey::port(address(1), port(number)), id, NOW, 0);
    }
    let index = writer.snapshot().unwrap();
    let lookup = |number| {
        let found = index.lookup_port(address(1), Some(port(number)), range(NOW, NOW));
        let endpoint = index.endpoint(found.endpoint);
        (endpoint.workload_name.to_string(), found.certainty)
    };
    assert_eq!(lookup(5432), known("sql"));
    assert_eq!(lookup(6379), known("cache"));
    assert_eq!(lookup(22), ("ambiguous".to_owned(), Certainty::Ambiguous));
}

#[test]
fn a_port_of_a_node_belongs_to_the_workload_that_alone_declares_it() {
    let mut writer = writer_with(Bounds::default());
    let node = writer.acquire_node("a");
    let id = Endpoint {
        node,
        ..endpoint(EndpointKind::Node, "node")
    };
    let id = writer.add_endpoint(id);
    writer.assign(key(1), id, NOW, 0);
    let port = |port| TransportPort::new(6, port).unwrap();
    let node_port = |number| AddressKey::node_port(node.unwrap(), port(number));
    let one = pod_of(&mut writer, "agent-1", "agent", "a");
    let next = pod_of(&mut writer, "agent-2", "agent", "a");
    let other = pod_of(&mut writer, "other-1", "other", "a");
    writer.assign(node_port(80), one, NOW, 0);
    for id in [one, next] {
        writer.assign(node_port(81), id, NOW, 0);
    }
    for id in [one, other] {
        writer.assign(node_port(82), id, NOW, 0);
    }
    let index = writer.snapshot().unwrap();
    let lookup = |number| {
        let found = index.lookup_port(address(1), Some(port(number)), range(NOW, NOW));
        index.endpoint(found.endpoint).workload_name.to_string()
    };
    assert_eq!(lookup(80), "agent");
    assert_eq!(lookup(81), "agent");
    assert_eq!(lookup(82), "node");
    assert_eq!(lookup(83), "node");
}

#[test]
fn a_claimed_address_belongs_to_its_pod_unless_it_is_assigned() {
    let mut writer = writer_with(Bounds::default());
    let cidr = "10.1.0.0/24".parse().unwrap();
    let unreported = pod(&mut writer, "unreported");
    writer.assign_prefix(cidr, unreported, true);
    let (owner, claimant) = (pod(&mut writer, "owner"), pod(&mut writer, "claimant"));
    let other = pod(&mut writer, "other");
    let claimed = |last| AddressKey::claimed(address(last));
    for last in [1, 2, 3] {
        writer.assign(claimed(last), claimant, NOW, 0);
    }
    writer.assign(claimed(3), other, NOW, 0);
    assert_eq!(found(&writer.current(), 1, NOW, NOW), known("claimant"));
    assert_eq!(
        found(&writer.current(), 3, NOW, NOW),
        ambiguous("ambiguous")
    );
    assert_eq!(
        found(&writer.current(), 4, NOW, NOW),
        ("unreported".to_owned(), Certainty::Unreported)
    );
    writer.assign(key(1), owner, NOW, 0);
    assert_eq!(found(&writer.current(), 1, NOW, NOW), known("owner"));
    writer.unassign(claimed(2), claimant, NOW);
    set_time(&mut writer, NOW + KEPT + 1);
    writer.expire();
    let index = writer.current();
    assert_eq!(
        found(&index, 2, NOW + 10, NOW + 10).1,
        Certainty::Unreported
    );
    // A claimed address must not be cached. One that nothing has ever had can be.
    let since = |last| {
        index
            .lookup(address(last), range(NOW, NOW))
            .since_milliseconds
    };
    assert_eq!((since(3), since(9)), (u64::MAX, 0));
}

#[test]
fn a_prefix_of_two_endpoints_is_ambiguous_and_the_survivor_keeps_it() {
    let mut writer = writer_with(Bounds::default());
    let cidr = "10.1.0.0/24".parse().unwrap();
    let ids = ["a", "b"].map(|node| {
        let node = writer.acquire_node(node);
        let pods = Endpoint {
            node,
            ..endpoint(EndpointKind::Pod, "")
        };
        writer.add_endpoint(pods)
    });
    for id in ids {
        writer.assign_prefix(cidr, id, true);
    }
    let node = |writer: &mut IndexWriter| {
        let index = writer.current();
        let found = index.lookup(address(1), range(NOW, NOW));
        assert_eq!(found.certainty, Certainty::Unreported);
        let node = index.place(found.endpoint).node?;
        Some(index.node(node).name.to_string())
    };
    assert_eq!(node(&mut writer), None);
    writer.unassign_prefix(cidr, ids[0]);
    assert_eq!(node(&mut writer).as_deref(), Some("b"));
    assert!(writer.shared.is_empty());
    writer.unassign_prefix(cidr, ids[1]);
    let index = writer.current();
    let found = index.lookup(address(1), range(NOW, NOW));
    assert_eq!(found.endpoint, EndpointId::EXTERNAL);
    assert_eq!(found.certainty, Certainty::Known);
}

//------------ Ids -------------------------------------------------------------------------------

#[test]
fn an_id_is_not_reused_while_a_record_can_name_it() {
    let mut writer = writer_with(Bounds {
        endpoints: 2,
        ..Bounds::default()
    });
    let deleted = pod(&mut writer, "deleted");
    writer.assign(key(1), deleted, NOW, 0);
    // The deletion is received late.
    set_time(&mut writer, NOW + KEPT);
    writer.unassign(key(1), deleted, NOW + 10);
    writer.retire_endpoint(deleted);
    writer.expire();
    let index = writer.snapshot().unwrap();
    assert_eq!(found(&index, 1, NOW + 20, NOW + 30), known("deleted"));

    assert_eq!(pod(&mut writer, "no room"), EndpointId::EXTERNAL);
    set_time(&mut writer, NOW + 11 + KEPT);
    writer.expire();
    let index = writer.snapshot().unwrap();
    assert_eq!(found(&index, 1, NOW + 20, NOW + 30), known("workload "));
    assert_eq!((index.sizes().addresses, index.sizes().overflow), (0, 1));

    let reuse = NOW + KEPT + KEPT + DELAY;
    set_time(&mut writer, reuse - 1);
    assert_eq!(pod(&mut writer, "no room"), EndpointId::EXTERNAL);
    // A wall clock that is set forward does not shorten the delay.
    writer.set_now(ClockReading {
        wall_milliseconds: reuse + 3_600_000,
        monotonic_milliseconds: reuse - 1,
    });
    assert_eq!(pod(&mut writer, "no room"), EndpointId::EXTERNAL);
    // Nor does one that is set back.
    writer.set_now(ClockReading {
        wall_milliseconds: reuse - 1,
        monotonic_milliseconds: reuse,
    });
    assert_eq!(pod(&mut writer, "no room"), EndpointId::EXTERNAL);
    set_time(&mut writer, reuse);
    assert_eq!(pod(&mut writer, "next"), deleted);
}

#[test]
fn a_node_is_kept_while_it_has_users() {
    let mut writer = writer_with(Bounds::default());
    let node = writer.acquire_node("a").unwrap();
    assert_eq!(writer.acquire_node("a"), Some(node));
    writer.release_node(node);
    set_time(&mut writer, NOW + 2 * KEPT);
    writer.expire();
    assert_eq!(writer.snapshot().unwrap().node_named("a"), Some(node));

    writer.release_node(node);
    set_time(&mut writer, NOW + 3 * KEPT);
    writer.expire();
    assert_eq!(writer.acquire_node("a"), Some(node));
    writer.release_node(node);
    set_time(&mut writer, NOW + 4 * KEPT + 1);
    writer.expire();
    assert_eq!(writer.snapshot().unwrap().node_named("a"), None);
    assert_ne!(writer.acquire_node("b"), Some(node));
    set_time(&mut writer, NOW + 4 * KEPT + 1 + DELAY);
    assert_eq!(writer.acquire_node("c"), Some(node));
}

//------------ Snapshots -------------------------------------------------------------------------

#[test]
fn a_snapshot_does_not_change_and_there_is_none_without_a_change() {
    let mut writer = writer_with(Bounds::default());
    let one = pod(&mut writer, "one");
    writer.assign(key(1), one, NOW, 0);
    let before = writer.snapshot().unwrap();
    assert!(writer.snapshot().is_none());
    let two = pod(&mut writer, "two");
    writer.unassign(key(1), one, NOW + 1);
    writer.assign(key(1), two, NOW + 1, 0);
    let after = writer.snapshot().unwrap();
    assert_eq!(found(&before, 1, NOW + 5, NOW + 6), known("one"));
    assert_eq!(found(&after, 1, NOW + 5, NOW + 6), known("two"));
    // Repeating an assignment changes nothing.
    writer.assign(key(1), two, NOW + 2, 0);
    assert!(writer.snapshot().is_none());
}

#[test]
fn a_change_copies_only_its_shard_and_chunk() {
    let mut writer = writer_with(Bounds::default());
    for number in 0..20_000 {
        let id = pod(&mut writer, "p");
        writer.assign(key(number), id, NOW, 0);
    }
    let before = writer.snapshot().unwrap();
    let id = pod(&mut writer, "one more");
    writer.assign(key(20_000), id, NOW, 0);
    let after = writer.snapshot().unwrap();
    let shards = before.shards.iter().zip(&after.shards);
    let copied = shards.filter(|(before, after)| !Arc::ptr_eq(before, after));
    assert_eq!(copied.count(), 1);
    let measured = allocation_counter::measure(|| {
        writer.assign(key(30_000), id, NOW, 0);
        drop(writer.snapshot());
    });
    assert!(measured.bytes_total < 32_768, "{measured:?}");
}

#[test]
fn names_are_pruned_and_the_number_of_topologies_is_limited() {
    let mut writer = writer_with(Bounds::default());
    let first = writer.topology("z1", "r1").unwrap();
    assert_eq!(writer.topology("z1", "r1"), Some(first));
    assert_eq!(writer.topology("", ""), None);
    for number in 0..2 * MAX_TOPOLOGIES {
        writer.topology(&format!("zone {number}"), "r1");
        writer.intern(&format!("name {number}"));
    }
    assert_eq!(writer.topology("z2", "r1"), None);
    let index = writer.current();
    let topology = index.topology(first).unwrap();
    assert_eq!((&*topology.zone, &*topology.region), ("z1", "r1"));
    assert_eq!(index.topologies.len(), MAX_TOPOLOGIES);
    writer.expire();
    assert!(writer.names.len() < MAX_TOPOLOGIES + 10);
}
