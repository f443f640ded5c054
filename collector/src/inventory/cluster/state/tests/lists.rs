use super::*;

const UNAVAILABLE: WatchFailure = WatchFailure::Unavailable;
const REFUSED: WatchFailure = WatchFailure::Refused;
const FORBIDDEN: WatchFailure = WatchFailure::Forbidden;

//------------ Since when an object has what it has ----------------------------------------------

#[test]
fn an_object_of_the_first_list_has_its_address_since_it_started() {
    let mut cluster = Scenario::new();
    let web = started(pod("web", &["10.1.0.1"]), 100);
    cluster.at(500).list_pods(&[&web]);
    cluster.assert_owners(&[
        ("10.1.0.1", 99, ""),
        ("10.1.0.1", 100, "web"),
        ("10.1.0.1", 400, "web"),
    ]);
}

#[test]
fn an_address_that_changes_is_the_pods_from_then_on_and_may_be_before() {
    let mut cluster = Scenario::new();
    cluster.at(100).list_pods(&[&pod("web", &["10.1.0.1"])]);
    cluster.at(200).changed(pod("web", &["10.1.0.2"]));
    cluster.assert_owners(&[
        ("10.1.0.1", 199, "web"),
        // Kept for a while.
        ("10.1.0.1", 200, "web"),
        ("10.1.0.1", 200 + KEPT + 1, ""),
        // The pod may have used it since it started.
        ("10.1.0.2", 150, "web"),
        ("10.1.0.2", 200, "web"),
    ]);
}

#[test]
fn a_change_during_an_outage_can_have_happened_at_any_time_since_the_failure() {
    let (old, new) = (
        pod("old", &["10.1.0.1"]),
        started(pod("new", &["10.1.0.1"]), 150),
    );
    let mut cluster = Scenario::new();
    cluster.at(100).list_pods(&[&old]);
    cluster.at(120).changed(pod("other", &["10.1.0.9"]));
    cluster.at(200).unavailable(ResourceKind::Pods);
    // Further failures do not matter.
    cluster.at(250).unavailable(ResourceKind::Pods);
    cluster.at(300).list_pods(&[&new]);
    cluster.assert_owners(&[
        ("10.1.0.1", 140, "old"),
        // Both had it since the failure, as far as known.
        ("10.1.0.1", 220, "~ambiguous"),
        ("10.1.0.1", 300, "new"),
        ("10.1.0.9", 299, "other"),
    ]);
}

#[test]
fn a_change_in_a_list_without_a_failure_happened_since_the_latest_event() {
    let mut cluster = Scenario::new();
    cluster.at(100).list_pods(&[&pod("old", &["10.1.0.1"])]);
    cluster.at(180).changed(pod("other", &["10.1.0.9"]));
    // The watch is too old, and is started again.
    let new = started(pod("new", &["10.1.0.2"]), 10);
    cluster
        .at(300)
        .list_pods(&[&pod("old", &["10.1.0.1"]), &new]);
    let (index, found) = cluster.found("10.1.0.2", 0, 200);
    assert_eq!(found.since_milliseconds, time(180));
    assert_eq!(&*index.endpoint(found.endpoint).name, "new");
}

#[test]
fn an_event_ends_an_outage() {
    let mut cluster = Scenario::new();
    cluster.at(100).list_pods(&[]);
    cluster.at(200).unavailable(ResourceKind::Pods);
    cluster.at(210).changed(pod("other", &["10.1.0.9"]));
    cluster
        .at(400)
        .list_pods(&[&pod("other", &["10.1.0.9"]), &pod("new", &["10.1.0.1"])]);
    let (_, found) = cluster.found("10.1.0.1", 0, 400);
    assert_eq!(found.since_milliseconds, time(210));
}

//------------ Objects that are missing in a list ------------------------------------------------

#[test]
fn an_object_that_is_missing_in_a_list_was_deleted() {
    let mut cluster = Scenario::new();
    let (stays, goes) = (pod("stays", &["10.1.0.1"]), pod("goes", &["10.1.0.2"]));
    cluster.at(100).list_pods(&[&stays, &goes]);
    cluster.at(200).unavailable(ResourceKind::Pods);
    cluster.at(300).list_pods(&[&stays]);
    cluster.assert_owners(&[
        ("10.1.0.1", 900, "stays"),
        ("10.1.0.2", 299, "goes"),
        ("10.1.0.2", 300 + KEPT, "goes"),
        ("10.1.0.2", 301 + KEPT, ""),
    ]);
    cluster.at(302 + KEPT);
    cluster.assert_owners(&[("10.1.0.2", 299, "")]);
}

#[test]
fn a_pod_in_deletion_that_is_missing_in_a_list_was_deleted_in_time() {
    for (deletion, end) in [(150, 150), (290, 290), (900, 300)] {
        let mut cluster = Scenario::new();
        let goes = pod("goes", &["10.1.0.1"]);
        cluster.at(100).list_pods(&[&in_deletion(&goes, deletion)]);
        cluster.at(110).unavailable(ResourceKind::Pods);
        cluster.at(300).list_pods(&[]);
        cluster.assert_owners(&[
            ("10.1.0.1", end + KEPT, "goes"),
            ("10.1.0.1", end + KEPT + 1, ""),
        ]);
    }
}

#[test]
fn a_list_that_breaks_off_deletes_nothing() {
    let mut cluster = Scenario::new();
    let (one, two) = (pod("one", &["10.1.0.1"]), pod("two", &["10.1.0.2"]));
    cluster.at(100).list_pods(&[&one, &two]);
    cluster.at(200).apply(marker(ResourceKind::Pods, true));
    cluster.initial(&one).unavailable(ResourceKind::Pods);
    cluster.assert_owners(&[("10.1.0.2", 900, "two")]);
    // The next one is complete.
    cluster.at(300).list_pods(&[&two]);
    cluster.assert_owners(&[("10.1.0.1", 301 + KEPT, ""), ("10.1.0.2", 900, "two")]);
}

#[test]
fn a_list_of_one_kind_deletes_no_object_of_another() {
    let mut cluster = Scenario::new();
    let objects: Vec<Object> = vec![
        node("a", &["10.9.0.1"], &[]).into(),
        service("front", &["10.96.0.1"]).into(),
        pod("web", &["10.1.0.1"]).into(),
    ];
    cluster.at(100);
    for object in objects {
        cluster.changed(object);
    }
    for kind in [
        ResourceKind::Jobs,
        ResourceKind::ReplicaSets,
        ResourceKind::CiliumNodes,
    ] {
        cluster.at(200).list(kind, vec![]);
    }
    let all = [
        ("10.9.0.1", 900, "a"),
        ("10.96.0.1", 900, "front"),
        ("10.1.0.1", 900, "web"),
    ];
    cluster.assert_owners(&all);
    for (kind, gone) in [
        (ResourceKind::Nodes, 0),
        (ResourceKind::Services, 1),
        (ResourceKind::Pods, 2),
    ] {
        cluster.at(300).list(kind, vec![]);
        cluster.assert_owners(&[(all[gone].0, 301 + KEPT, "")]);
        cluster.assert_owners(&all[gone + 1..]);
    }
}

//------------ The clock -------------------------------------------------------------------------

#[test]
fn a_clock_that_is_set_back_ends_no_assignment_before_its_begin() {
    let mut cluster = Scenario::new();
    let web = started(pod("web", &["10.1.0.1"]), 1000);
    cluster.at(1000).list_pods(&[]);
    cluster.at(1010).changed(&web);
    cluster.at(500).deleted(&web);
    cluster.at(510).changed(pod("next", &["10.1.0.1"]));
    cluster.assert_owners(&[("10.1.0.1", 700, "next"), ("10.1.0.1", 1020, "next")]);
}

#[test]
fn a_pod_that_starts_in_the_future_of_our_clock_has_its_address_now() {
    let mut cluster = Scenario::new();
    cluster.at(100).list_pods(&[]);
    cluster.changed(started(pod("web", &["10.1.0.1"]), 160));
    cluster.assert_owners(&[("10.1.0.1", 100, "web"), ("10.1.0.1", 99, "")]);
}

//------------ Completeness ----------------------------------------------------------------------

#[test]
fn the_index_is_complete_when_every_kind_is_listed_or_off() {
    use ResourceKind::{
        CiliumNodes, EndpointSlices, Jobs, Namespaces, Nodes, Pods, ReplicaSets, ResourceClaims,
        Services,
    };
    let required = [
        Nodes,
        Pods,
        Services,
        EndpointSlices,
        Namespaces,
        ReplicaSets,
        Jobs,
    ];
    type Failures = [(ResourceKind, WatchFailure)];
    // Kinds that are not listed, their failures, and whether the index is complete then.
    let cases: [(&[ResourceKind], &Failures, bool); 11] = [
        (&[], &[], true),
        (&[Pods], &[], false),
        (&[Pods], &[(Pods, UNAVAILABLE), (Pods, UNAVAILABLE)], false),
        (&[Pods], &[(Pods, REFUSED)], false),
        (&[Pods], &[(Pods, REFUSED), (Pods, FORBIDDEN)], true),
        (&[Services], &[(Services, REFUSED)], false),
        (
            &[Services],
            &[(Services, REFUSED), (Services, FORBIDDEN)],
            true,
        ),
        (&[Jobs], &[(Jobs, UNAVAILABLE), (Jobs, UNAVAILABLE)], true),
        (&[CiliumNodes], &[], false),
        (&[CiliumNodes], &[(CiliumNodes, REFUSED)], true),
        (&[ResourceClaims], &[(ResourceClaims, UNAVAILABLE)], false),
    ];
    for (missing, failures, complete) in cases {
        let mut cluster = Scenario::new();
        for &kind in ResourceKind::ALL {
            assert!(required.contains(&kind) != kind.is_optional());
            if !missing.contains(&kind) {
                assert!(!cluster.index().is_complete());
                cluster.list(kind, vec![]);
            }
        }
        for (kind, failure) in failures {
            cluster.failed(*kind, *failure);
        }
        assert_eq!(
            cluster.index().is_complete(),
            complete,
            "{missing:?} {failures:?}"
        );
        assert_eq!(cluster.state.is_complete(), complete);
    }
}

#[test]
fn an_optional_kind_is_reported_once_it_was_listed() {
    let mut cluster = Scenario::new();
    let kinds = |cluster: &Scenario| -> Vec<ResourceKind> {
        cluster.health.counts().map(|(kind, _)| kind).collect()
    };
    cluster.apply(WatchUpdate::Absent(ResourceKind::CiliumNodes));
    cluster.failed(ResourceKind::ResourceClaims, FORBIDDEN);
    assert_eq!(kinds(&cluster).len(), 7);
    // It is installed later.
    cluster.list(ResourceKind::CiliumNodes, vec![]);
    assert_eq!(kinds(&cluster).last(), Some(&ResourceKind::CiliumNodes));
    cluster.at(10).unavailable(ResourceKind::CiliumNodes);
    let (_, counts) = cluster.health.counts().last().unwrap();
    assert!(!counts.up && counts.listed && counts.errors == 1);
    assert_eq!(counts.since_milliseconds, time(10));
}

#[test]
fn a_watch_is_up_after_an_event_or_an_answer_of_the_server() {
    let mut cluster = Scenario::new();
    let up = |cluster: &Scenario| {
        let mut counts = cluster.health.counts();
        counts
            .find(|(kind, _)| *kind == ResourceKind::Pods)
            .unwrap()
            .1
            .up
    };
    cluster.apply(WatchUpdate::Idle(ResourceKind::Pods));
    assert!(!up(&cluster), "the list is pending");
    cluster.list_pods(&[]);
    assert!(up(&cluster));
    cluster.unavailable(ResourceKind::Pods);
    assert!(!up(&cluster));
    cluster.apply(WatchUpdate::Idle(ResourceKind::Pods));
    assert!(up(&cluster));
    cluster.unavailable(ResourceKind::Pods);
    cluster.changed(pod("web", &["10.1.0.1"]));
    assert!(up(&cluster));
}

//------------ Namespaces ------------------------------------------------------------------------

#[test]
fn namespaces_have_their_group_until_they_are_deleted() {
    let mut cluster = Scenario::new();
    let namespace = |name: &str, group: &str| NamespaceFields {
        labels: Vec::new(),
        name: name.into(),
        group: group.into(),
    };
    let group =
        |cluster: &mut Scenario, name: &str| cluster.index().namespace_group(name).to_owned();
    cluster.apply(marker(ResourceKind::Namespaces, true));
    for (name, team) in [("shop", "payments"), ("lab", "research"), ("bare", "")] {
        cluster.apply(WatchUpdate::Namespace(WatchEvent::Initial(namespace(
            name, team,
        ))));
    }
    cluster.apply(marker(ResourceKind::Namespaces, false));
    assert_eq!(group(&mut cluster, "shop"), "payments");
    let changed = WatchEvent::Changed(namespace("shop", "risk"));
    cluster.apply(WatchUpdate::Namespace(changed));
    assert_eq!(group(&mut cluster, "shop"), "risk");
    let deleted = WatchEvent::Deleted(namespace("lab", "research"));
    cluster.apply(WatchUpdate::Namespace(deleted));
    assert_eq!(group(&mut cluster, "lab"), "");
    cluster.list(ResourceKind::Namespaces, vec![]);
    assert_eq!(group(&mut cluster, "shop"), "");
}
