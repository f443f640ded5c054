//! Which fields of a template are read: one for each slot, and one family for each counter.

use super::slot::{ALTERNATIVES, CLIENT_PORT_RANK, CLIENT_RANK, ENDS, REVERSE_TIMES, STARTS, Slot};
use super::{CounterKind, Step, layers};
use crate::field::{FieldSpan, FieldSpecifier};

/// The family of deltas.
const DELTAS: u8 = 1;

/// The fields of a template that are read.
pub(super) struct Choice {
    /// In the order of the template, with the ranks of their elements.
    steps: Vec<(Step, u8)>,
    /// Those that are read if the one of the same slot is 0.
    alternatives: Vec<Step>,
    octets: Families,
    packets: Families,
    /// The slots whose unit start and end of the reverse direction have.
    reverse_times: [Slot; 2],
}

/// The families of counters that a template's octets, or packets, are taken from.
#[derive(Clone, Copy)]
struct Families {
    forward: Option<u8>,
    reverse: Option<u8>,
}

impl Families {
    fn of(steps: &[(Step, u8)], forward: Slot, reverse: Slot) -> Self {
        let ranks = |wanted: Slot| {
            let steps = steps.iter().filter(move |(step, _)| step.slot == wanted);
            steps.map(|(_, rank)| *rank)
        };
        let best = ranks(forward).min();
        let fits = |rank: &u8| best == Some(*rank) || ranks(forward).all(|other| other != *rank);
        let by_preference = |rank: &u8| (Some(*rank) != best, *rank);
        Self {
            forward: best,
            reverse: ranks(reverse).filter(fits).min_by_key(by_preference),
        }
    }

    /// Totals if one direction has them: its counters must not be added up.
    fn kind(self) -> CounterKind {
        let mut kinds = [self.forward, self.reverse]
            .into_iter()
            .flatten()
            .map(CounterKind::of_family);
        let first = kinds.next().unwrap_or(CounterKind::Delta);
        kinds.find(|k| *k == CounterKind::Total).unwrap_or(first)
    }
}

impl Choice {
    /// Chooses among the fields of a template. `spans`: the positions of their values.
    pub(super) fn of(specifiers: &[FieldSpecifier], spans: &[FieldSpan]) -> Self {
        let fields = specifiers.iter().zip(spans).enumerate();
        let mut all: Vec<(Step, u8)> = fields
            .filter_map(|(field, (specifier, span))| {
                let (slot, rank) = Slot::filled_by(specifier)?;
                let span = *span;
                Some((Step { field, span, slot }, rank))
            })
            .collect();
        layers::separate(&mut all);
        let octets = Families::of(&all, Slot::Octets, Slot::ReverseOctets);
        let packets = Families::of(&all, Slot::Packets, Slot::ReversePackets);
        let mut steps: Vec<(Step, u8)> = Vec::new();
        let mut alternatives: Vec<Step> = Vec::new();
        for (step, rank) in all {
            let counts = match step.slot {
                Slot::Octets => Some(rank) == octets.forward,
                Slot::ReverseOctets => Some(rank) == octets.reverse,
                Slot::Packets => Some(rank) == packets.forward,
                Slot::ReversePackets => Some(rank) == packets.reverse,
                _ => true,
            };
            if !counts {
                continue;
            }
            let (other, other_rank) = match steps.iter_mut().find(|(s, _)| s.slot == step.slot) {
                // The first occurrence of an element counts; a preferred element replaces others.
                Some((_, taken)) if *taken == rank => continue,
                Some((_, taken)) if *taken < rank => (step, rank),
                Some(entry) => std::mem::replace(entry, (step, rank)),
                None => {
                    steps.push((step, rank));
                    continue;
                }
            };
            if other.slot.bit() & ALTERNATIVES != 0 && other_rank < CLIENT_PORT_RANK {
                alternatives.push(other);
            }
        }
        for times in [STARTS, ENDS] {
            let has = |slot: &&Slot| steps.iter().any(|(step, _)| step.slot == **slot);
            let best = times.iter().find(has).copied();
            steps.retain(|(step, _)| Some(step.slot) == best || !times.contains(&step.slot));
        }
        let reverse_times = REVERSE_TIMES.map(|slot| {
            let step = steps.iter().find(|(step, _)| step.slot == slot);
            let specifier = step.and_then(|(step, _)| specifiers.get(step.field));
            specifier.map_or(slot, |specifier| slot.unit(specifier))
        });
        Self {
            steps,
            alternatives,
            octets,
            packets,
            reverse_times,
        }
    }

    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> + Clone {
        self.steps.iter().map(|(step, _)| step)
    }

    /// The fields, and those that are read instead of one that is 0.
    pub(super) fn into_steps(self) -> (impl Iterator<Item = Step>, Vec<Step>) {
        (
            self.steps.into_iter().map(|(step, _)| step),
            self.alternatives,
        )
    }

    /// The slots that are filled, as [`Slot::bit`]s.
    pub(super) fn filled(&self) -> u128 {
        self.steps()
            .fold(0, |filled, step| filled | step.slot.bit())
    }

    /// The slots whose unit start and end of the reverse direction have.
    pub(super) const fn reverse_times(&self) -> [Slot; 2] {
        self.reverse_times
    }

    /// What octets and packets mean from record to record of a flow.
    pub(super) fn counter_kinds(&self) -> [CounterKind; 2] {
        [
            (self.octets, [Slot::Octets, Slot::ReverseOctets]),
            (self.packets, [Slot::Packets, Slot::ReversePackets]),
        ]
        .map(|(families, slots)| {
            let step = self.steps().find(|step| slots.contains(&step.slot));
            families.kind().of_length(step.map(|step| step.span.length))
        })
    }

    /// Whether octets, and packets, are deltas of the forward direction.
    pub(super) fn have_deltas(&self) -> [bool; 2] {
        [self.octets, self.packets].map(|families| families.forward == Some(DELTAS))
    }

    /// Whether a counter is that of the initiator, which is the source or the destination according
    /// to 239 `biflowDirection`. A client is the initiator, whatever the direction of the flow.
    pub(super) fn has_initiator(&self) -> bool {
        let has_source = self.steps.iter().any(|(step, rank)| {
            *rank < CLIENT_RANK && matches!(step.slot, Slot::SourceV4 | Slot::SourceV6)
        });
        has_source
            && self.filled() & Slot::BiflowDirection.bit() != 0
            && [self.octets, self.packets]
                .map(Families::kind)
                .contains(&CounterKind::Connection)
    }
}
