use flowproto::Address;

use super::*;
use crate::inventory::endpoint::EndpointKind;

const A: EndpointId = EndpointId(10);
const B: EndpointId = EndpointId(11);
const C: EndpointId = EndpointId(12);
/// An endpoint of a higher rank.
const NODE: EndpointId = EndpointId(20);
const SEVERAL_PODS: EndpointId = EndpointId(30);
const SEVERAL_NODES: EndpointId = EndpointId(31);
const MIXED: EndpointId = EndpointId(32);
const KEPT: u64 = 1000;
const OPEN: u64 = Assignment::OPEN;

fn place(endpoint: EndpointId) -> Place {
    let kind = if endpoint.0 >= NODE.0 {
        EndpointKind::Node
    } else {
        EndpointKind::Pod
    };
    Place { kind, node: None }
}

fn assignment(endpoint: EndpointId, from: u64, until: u64) -> Assignment {
    Assignment {
        endpoint,
        lead_milliseconds: 50,
        from_milliseconds: from,
        until_milliseconds: until,
    }
}

fn history(assignments: &[Assignment]) -> AddressHistory {
    let key = AddressKey::address(Address::from_v4_bits(1));
    let mut history = AddressHistory::new(key, assignments[0]);
    for assignment in &assignments[1..] {
        history.add(*assignment, place);
    }
    history.set_ambiguous(AmbiguousEndpoints {
        by_rank: [
            EndpointId::EXTERNAL,
            EndpointId::EXTERNAL,
            SEVERAL_PODS,
            SEVERAL_NODES,
        ],
        mixed: MIXED,
    });
    history
}

fn at(history: &AddressHistory, start: u64, end: u64) -> Option<Assignee> {
    let range = TimeRange {
        start_milliseconds: start,
        end_milliseconds: end,
    };
    history.at(range, KEPT, place)
}

const fn certain(endpoint: EndpointId) -> Option<Assignee> {
    Some(Assignee::Certain(endpoint))
}

const fn ambiguous(endpoint: EndpointId) -> Option<Assignee> {
    Some(Assignee::Ambiguous(endpoint))
}

//------------ One endpoint after another --------------------------------------------------------

#[test]
fn a_record_belongs_to_the_endpoint_that_had_the_address_while_its_packets_were_observed() {
    let both = history(&[assignment(A, 1000, 2000), assignment(B, 3000, OPEN)]);
    assert_eq!(at(&both, 1000, 1999), certain(A));
    assert_eq!(at(&both, 3000, 9999), certain(B));
}

#[test]
fn a_record_that_two_assignments_match_is_ambiguous() {
    let both = history(&[assignment(A, 1000, 2000), assignment(B, 3000, OPEN)]);
    assert_eq!(at(&both, 1500, 3500), ambiguous(SEVERAL_PODS));
}

#[test]
fn between_two_assignments_the_last_one_counts() {
    let both = history(&[assignment(A, 1000, 2000), assignment(B, 3000, OPEN)]);
    assert_eq!(at(&both, 2500, 2600), certain(A));
    // The first endpoint had been deleted before the record started.
    assert_eq!(at(&both, 2500, 3600), certain(B));
}

#[test]
fn a_record_before_a_late_report_belongs_to_the_next_endpoint_unless_the_end_was_late_too() {
    let next = Assignment {
        lead_milliseconds: 5000,
        ..assignment(B, 20_000, OPEN)
    };
    // The first endpoint had been deleted.
    let gap = history(&[assignment(A, 1000, 16_000), next]);
    assert_eq!(at(&gap, 17_000, 18_000), certain(B));
    // The first endpoint had the address until the next one reported it.
    let none = history(&[assignment(A, 1000, 20_000), next]);
    assert_eq!(at(&none, 18_500, 19_000), ambiguous(SEVERAL_PODS));
    assert_eq!(at(&none, 16_000, 17_000), certain(A));
    assert_eq!(at(&none, 13_000, 14_000), certain(A));
}

#[test]
fn an_assignment_that_has_ended_is_kept_for_a_while() {
    let ended = history(&[assignment(A, 1000, 2000)]);
    assert_eq!(at(&ended, 3000, 3001), certain(A));
    assert_eq!(at(&ended, 3001, 3002), None);
}

#[test]
fn a_pod_may_use_its_address_before_it_is_reported_but_not_before_the_pod_started() {
    let new = history(&[assignment(A, 1000, OPEN)]);
    assert_eq!(at(&new, 940, 950), certain(A));
    assert_eq!(at(&new, 900, 949), None);
    assert_eq!(at(&new, 900, 1000), certain(A));
}

#[test]
fn an_endpoint_that_gets_its_address_again_is_not_ambiguous() {
    let again = history(&[assignment(A, 1000, 2000), assignment(A, 3000, OPEN)]);
    assert_eq!(at(&again, 1500, 3500), certain(A));
}

//------------ Several endpoints at the same time ------------------------------------------------

#[test]
fn two_endpoints_at_the_same_time_are_ambiguous_and_the_survivor_keeps_the_address() {
    let mut both = history(&[assignment(A, 1000, OPEN), assignment(B, 3000, OPEN)]);
    assert_eq!(at(&both, 2000, 2500), certain(A));
    assert_eq!(at(&both, 3500, 3600), ambiguous(SEVERAL_PODS));
    assert_eq!(both.end(B, 5000), Some(5000));
    assert_eq!(at(&both, 3500, 3600), ambiguous(SEVERAL_PODS));
    assert_eq!(at(&both, 5000, 9000), certain(A));
    assert!(both.forget(6000));
    assert_eq!(at(&both, 3500, 9000), certain(A));
    assert_eq!(both.sole_since(), 1000);

    let mut both = history(&[assignment(A, 1000, OPEN), assignment(B, 3000, OPEN)]);
    assert_eq!(both.end(A, 4000), Some(4000));
    assert_eq!(at(&both, 3500, 3600), ambiguous(SEVERAL_PODS));
    assert_eq!(at(&both, 4000, 4500), certain(B));
}

#[test]
fn the_order_in_which_assignments_are_added_does_not_matter() {
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let all = [
            assignment(A, 1000, OPEN),
            assignment(B, 2000, OPEN),
            assignment(C, 3000, OPEN),
        ];
        let mut history = history(&order.map(|at| all[at]));
        assert_eq!(at(&history, 1000, 1999), certain(A), "{order:?}");
        assert_eq!(
            at(&history, 2000, 2100),
            ambiguous(SEVERAL_PODS),
            "{order:?}"
        );
        history.end(A, 4000);
        history.end(C, 5000);
        assert_eq!(at(&history, 5000, 5100), certain(B), "{order:?}");
    }
}

#[test]
fn a_higher_rank_hides_the_others_while_it_lasts() {
    let mut both = history(&[assignment(A, 1000, OPEN), assignment(NODE, 3000, OPEN)]);
    assert_eq!(at(&both, 2000, 2999), certain(A));
    assert_eq!(at(&both, 3000, 9000), certain(NODE));
    // The address belonged to both during the record.
    assert_eq!(at(&both, 2000, 3000), ambiguous(MIXED));
    both.end(NODE, 5000);
    assert_eq!(at(&both, 4000, 4999), certain(NODE));
    assert_eq!(at(&both, 4000, 5000), ambiguous(MIXED));
    assert_eq!(at(&both, 5000, 5001), certain(A));
}

#[test]
fn two_nodes_with_one_address_are_ambiguous_and_hide_a_service() {
    let other = EndpointId(21);
    let all = [
        assignment(A, 0, OPEN),
        assignment(NODE, 0, OPEN),
        assignment(other, 1000, OPEN),
    ];
    let mut all = history(&all);
    assert_eq!(at(&all, 500, 600), certain(NODE));
    assert_eq!(at(&all, 1500, 1600), ambiguous(SEVERAL_NODES));
    all.end(NODE, 2000);
    assert_eq!(at(&all, 2500, 2600), certain(other));
}

//------------ Pods in deletion ------------------------------------------------------------------

#[test]
fn a_pod_in_deletion_loses_its_address_to_a_later_one() {
    let mut both = history(&[assignment(A, 1000, OPEN)]);
    assert_eq!(both.yield_to_next(A, 2000, place), None);
    assert_eq!(at(&both, 9000, 9001), certain(A));
    assert_eq!(both.add(assignment(B, 3000, OPEN), place), Some(3000));
    assert_eq!(at(&both, 3000, 3001), certain(B));
    // Its deletion is complete later, and takes nothing from the later pod.
    assert_eq!(both.end(A, 4000), None);
    assert_eq!(at(&both, 3500, 4500), certain(B));
}

#[test]
fn a_later_pod_has_the_address_alone_when_the_deletion_of_the_earlier_one_starts() {
    let mut both = history(&[assignment(A, 1000, OPEN), assignment(B, 3000, OPEN)]);
    assert_eq!(both.yield_to_next(A, 5000, place), Some(5000));
    assert_eq!(at(&both, 4000, 4500), ambiguous(SEVERAL_PODS));
    assert_eq!(at(&both, 5000, 5500), certain(B));
}

#[test]
fn a_pod_in_deletion_keeps_its_address_against_an_earlier_one() {
    let mut both = history(&[assignment(A, 1000, OPEN), assignment(B, 3000, OPEN)]);
    assert_eq!(both.yield_to_next(B, 5000, place), None);
    assert_eq!(at(&both, 5000, 5500), ambiguous(SEVERAL_PODS));
    assert_eq!(both.end(B, 6000), Some(6000));
    assert_eq!(at(&both, 6000, 6500), certain(A));
}

#[test]
fn a_pod_in_deletion_keeps_its_address_against_a_lower_rank() {
    let mut both = history(&[assignment(NODE, 1000, OPEN)]);
    both.yield_to_next(NODE, 2000, place);
    both.add(assignment(A, 3000, OPEN), place);
    assert_eq!(at(&both, 4000, 4500), certain(NODE));
}

#[test]
fn a_pod_in_deletion_that_is_received_late_had_the_address_until_the_next_one() {
    let yielding = Assignment::YIELDING;
    for order in [[0, 1], [1, 0]] {
        let all = [assignment(A, 1000, yielding), assignment(B, 3000, OPEN)];
        let both = history(&order.map(|at| all[at]));
        assert_eq!(at(&both, 2000, 2900), certain(A), "{order:?}");
        assert_eq!(at(&both, 3000, 4000), certain(B), "{order:?}");
    }
    for order in [[0, 1], [1, 0]] {
        let all = [assignment(A, 1000, yielding), assignment(B, 3000, yielding)];
        let both = history(&order.map(|at| all[at]));
        assert_eq!(at(&both, 2000, 2900), certain(A), "{order:?}");
        assert_eq!(at(&both, 3000, 4000), certain(B), "{order:?}");
    }
}

//------------ Limits ----------------------------------------------------------------------------

#[test]
fn assignments_that_ended_too_long_ago_are_removed() {
    let mut both = history(&[assignment(A, 1000, 2000), assignment(B, 3000, 4000)]);
    assert!(both.forget(2001));
    assert_eq!(both.assignments().count(), 1);
    assert!(!both.forget(4001));
}

#[test]
fn the_number_of_assignments_is_limited_and_those_that_last_are_kept() {
    let mut many = history(&[assignment(A, 0, OPEN)]);
    for number in 1..1000 {
        many.add(assignment(B, number, number + 1), place);
    }
    assert_eq!(many.assignments().count(), MAX_EARLIER + 1);
    assert_eq!(at(&many, 5000, 5001), certain(A));
    for number in 1..1000 {
        many.add(assignment(EndpointId(1000 + number), 5000, OPEN), place);
    }
    assert_eq!(many.assignments().count(), MAX_EARLIER + 1);
}
