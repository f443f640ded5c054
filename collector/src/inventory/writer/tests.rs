use flowproto::Address;

use super::super::address_history::TimeRange;
use super::super::snapshot::Certainty;
use super::*;

const KEPT: u64 = 300_000;
const NOW: u64 = 1_700_000_000_000;

fn pod(writer: &mut IndexWriter, name: &str) -> EndpointId {
    let endpoint = Endpoint {
        kind: EndpointKind::Pod,
        name: Arc::from(name),
        ..Endpoint::default()
    };
    writer.add_endpoint(endpoint, NOW)
}

fn key(last: u32) -> AddressKey {
    AddressKey::address(address(last))
}

fn address(last: u32) -> Address {
    Address::from_v4_bits(0x0a01_0000 + last)
}

fn found(index: &IndexSnapshot, last: u32, start: u64, end: u64) -> (String, Certainty) {
    let span = TimeRange {
        start_milliseconds: start,
        end_milliseconds: end,
    };
    let found = index.lookup(address(last), span);
    let endpoint = index.endpoint(found.endpoint);
    (
        format!("{}{}", endpoint.namespace, endpoint.name),
        found.certainty,
    )
}

#[test]
fn a_late_delete_does_not_erase_the_new_holder() {
    let mut writer = IndexWriter::default();
    let (old, new) = (pod(&mut writer, "old"), pod(&mut writer, "new"));
    writer.assign(key(1), old, NOW, 0);
    writer.assign(key(1), new, NOW + 100, 0);
    writer.unassign(key(1), old, NOW + 200);
    let index = writer.snapshot().unwrap();
    assert_eq!(
        found(&index, 1, NOW + 150, NOW + 900),
        ("new".into(), Certainty::Known)
    );
    assert_eq!(
        found(&index, 1, NOW, NOW + 99),
        ("old".into(), Certainty::Known)
    );
    assert_eq!(
        found(&index, 1, NOW + 50, NOW + 150),
        ("ambiguous".into(), Certainty::Ambiguous)
    );
}

#[test]
fn who_has_gone_is_kept_and_then_forgotten_and_its_id_is_not_used_anew_before() {
    let mut writer = IndexWriter::new(Bounds {
        endpoints: 2,
        ..Bounds::default()
    });
    let gone = pod(&mut writer, "gone");
    writer.assign(key(1), gone, NOW, 0);
    writer.unassign(key(1), gone, NOW + 10);
    writer.retire_endpoint(gone, NOW + 10);
    writer.expire(NOW + 10 + KEPT);
    let index = writer.snapshot().unwrap();
    assert_eq!(found(&index, 1, NOW + 20, NOW + 30).0, "gone");

    assert_eq!(pod(&mut writer, "no room"), EndpointId::EXTERNAL);
    writer.expire(NOW + 11 + KEPT);
    let index = writer.snapshot().unwrap();
    assert_eq!(found(&index, 1, NOW + 20, NOW + 30).0, "");
    assert_eq!((index.sizes().held, index.sizes().overflow), (0, 1));

    let later = NOW + 10 + KEPT + ID_REUSE_DELAY_MILLISECONDS;
    assert_eq!(writer.add_endpoint(Endpoint::default(), later), gone);
}

#[test]
fn a_snapshot_does_not_change_and_nothing_new_is_no_snapshot() {
    let mut writer = IndexWriter::default();
    let one = pod(&mut writer, "one");
    writer.assign(key(1), one, NOW, 0);
    let before = writer.snapshot().unwrap();
    assert!(writer.snapshot().is_none());
    let two = pod(&mut writer, "two");
    writer.assign(key(1), two, NOW + 1, 0);
    let after = writer.snapshot().unwrap();
    assert_eq!(found(&before, 1, NOW + 5, NOW + 6).0, "one");
    assert_eq!(found(&after, 1, NOW + 5, NOW + 6).0, "two");
}

#[test]
fn a_change_copies_its_shard_and_chunk_and_nothing_else() {
    let mut writer = IndexWriter::default();
    for number in 0..20_000 {
        let id = pod(&mut writer, "p");
        writer.assign(key(number), id, NOW, 0);
    }
    let before = writer.snapshot().unwrap();
    let id = pod(&mut writer, "one more");
    writer.assign(key(20_000), id, NOW, 0);
    let after = writer.snapshot().unwrap();
    let copied = before
        .shards
        .iter()
        .zip(&after.shards)
        .filter(|(before, after)| !Arc::ptr_eq(before, after))
        .count();
    assert_eq!(copied, 1);
    let measured = allocation_counter::measure(|| {
        writer.assign(key(30_000), id, NOW, 0);
        drop(writer.snapshot());
    });
    assert!(measured.bytes_total < 32_768, "{measured:?}");
}

#[test]
fn a_node_keeps_its_address_and_kubernetes_takes_the_place_of_the_file() {
    let mut writer = IndexWriter::default();
    let filed = pod(&mut writer, "of the file");
    writer.assign(key(1), filed, 0, 0);
    writer.start_watch();
    let node = writer.add_endpoint(
        Endpoint {
            kind: EndpointKind::Node,
            name: Arc::from("node"),
            ..Endpoint::default()
        },
        NOW,
    );
    let one = pod(&mut writer, "pod");
    writer.assign(key(2), node, NOW, 0);
    writer.assign(key(2), one, NOW, 0);
    writer.assign(key(1), one, NOW, 10);
    let index = writer.snapshot().unwrap();
    assert_eq!(found(&index, 1, NOW - 9, NOW - 5).0, "pod");
    assert_eq!(found(&index, 2, NOW, NOW).0, "node");
}

#[test]
fn a_node_that_comes_back_within_the_time_is_the_same_node() {
    let mut writer = IndexWriter::default();
    let node = writer.node("a", NOW);
    writer.retire_node(node.unwrap(), NOW);
    writer.expire(NOW + KEPT);
    assert_eq!(writer.node("a", NOW + KEPT), node);
    writer.expire(NOW + 3 * KEPT);
    assert_eq!(writer.snapshot().unwrap().node_named("a"), node);
    writer.retire_node(node.unwrap(), NOW + 3 * KEPT);
    writer.expire(NOW + 5 * KEPT);
    assert_eq!(writer.snapshot().unwrap().node_named("a"), None);
    assert_ne!(writer.node("b", NOW + 5 * KEPT), node);
}

#[test]
fn a_holder_that_is_told_of_after_a_younger_one_had_ended_by_its_begin() {
    let mut writer = IndexWriter::default();
    let (old, new) = (pod(&mut writer, "old"), pod(&mut writer, "new"));
    writer.assign(key(1), new, NOW, 0);
    writer.assign(key(1), old, NOW - 1000, 0);
    assert_eq!(writer.assignee(key(1)), Some(new));
    let index = writer.snapshot().unwrap();
    assert_eq!(found(&index, 1, NOW - 900, NOW - 800).0, "old");
    assert_eq!(found(&index, 1, NOW, NOW + 800).0, "new");
}
