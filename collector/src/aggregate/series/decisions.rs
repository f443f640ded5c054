//! Remembers which edges a filter selects.
//!
//! Edges of the same values have the same decision. So a filter is evaluated once for all edges
//! between two zones, for example, and not for each of them. A filter that reads names of pods, for
//! example, has too many values for that: it is evaluated for each edge.

use std::fmt::Write as _;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::determinant::Determinant;
use crate::aggregate::edge::Edge;
use crate::aggregate::expression::Expression;
use crate::aggregate::field::{Field, FieldSource as _};
use crate::dense_map::DenseMap;

/// Different values of a part of a filter, with which its decisions are remembered.
const MAX_VALUES: usize = 1 << 8;
/// Decisions that are remembered.
const MAX_DECISIONS: usize = 1 << 14;

/// The decisions of a filter.
#[derive(Debug)]
pub(super) struct Decisions {
    /// `None` if the filter reads what only few edges have in common.
    parts: Option<Box<[Part]>>,
    decided: HashMap<Box<[u32]>, bool, RandomState>,
    numbers: Vec<u32>,
    text: String,
}

/// The fields of a filter that are determined alike.
#[derive(Debug)]
struct Part {
    determinant: Determinant,
    fields: Vec<Field>,
    /// Numbers of values by the key of their determinant: at most one for each endpoint of the
    /// snapshots.
    known: DenseMap,
    /// Numbers of values.
    values: HashMap<String, u32, RandomState>,
}

impl Decisions {
    pub(super) fn new(filter: Option<&Expression>) -> Self {
        let fields = filter.into_iter().flat_map(Expression::fields);
        Self {
            parts: parts(fields),
            decided: HashMap::default(),
            numbers: Vec::new(),
            text: String::new(),
        }
    }

    /// True if the filter, of which these are the decisions, selects the edge.
    pub(super) fn matches(&mut self, filter: &Expression, edge: &Edge<'_>) -> bool {
        if !self.find(edge) {
            return filter.matches(edge);
        }
        if let Some(decision) = self.decided.get(self.numbers.as_slice()) {
            return *decision;
        }
        let decision = filter.matches(edge);
        if self.decided.len() < MAX_DECISIONS {
            self.decided
                .insert(self.numbers.as_slice().into(), decision);
        } else {
            self.give_up();
        }
        decision
    }

    /// Finds the numbers of the values of the edge. False if decisions are not remembered.
    fn find(&mut self, edge: &Edge<'_>) -> bool {
        let Some(parts) = &mut self.parts else {
            return false;
        };
        self.numbers.clear();
        for part in parts {
            let Some(number) = part.number(edge, &mut self.text) else {
                self.give_up();
                return false;
            };
            self.numbers.push(number);
        }
        true
    }

    /// Evaluates the filter for each edge from now on: looking up all these values and decisions
    /// takes more time and memory than that.
    fn give_up(&mut self) {
        self.parts = None;
        self.decided = HashMap::default();
    }

    /// Forgets everything, because the snapshots are others.
    pub(super) fn forget(&mut self) {
        self.decided.clear();
        for part in self.parts.iter_mut().flatten() {
            part.known.clear();
            part.values.clear();
        }
    }
}

impl Part {
    /// The number of the values that the edge has. Different values have different numbers. `None`
    /// if there are too many.
    fn number(&mut self, edge: &Edge<'_>, text: &mut String) -> Option<u32> {
        let key = self.determinant.key(edge);
        if let Some(number) = self.known.get(key) {
            return Some(number);
        }
        text.clear();
        for field in &self.fields {
            // Texts are quoted, so that different lists of values differ.
            _ = write!(text, "{:?},", edge.value(field));
        }
        let next = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        let number = *self.values.entry_ref(text.as_str()).or_insert(next);
        self.known.insert(key, number);
        (self.values.len() <= MAX_VALUES).then_some(number)
    }
}

/// The fields by what determines them. `None` if few edges have that in common.
fn parts<'a>(fields: impl Iterator<Item = &'a Field>) -> Option<Box<[Part]>> {
    let mut parts: Vec<Part> = Vec::new();
    for field in fields {
        let determinant = Determinant::of(field)?;
        match parts
            .iter_mut()
            .find(|part| part.determinant == determinant)
        {
            Some(part) => part.fields.push(field.clone()),
            None => parts.push(Part {
                determinant,
                fields: vec![field.clone()],
                known: DenseMap::default(),
                values: HashMap::default(),
            }),
        }
    }
    Some(parts.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Endpoint, EndpointId, EndpointKind, IndexWriter, Node};
    use crate::snapshots::{SnapshotStore, Snapshots};

    /// Pods and an external endpoint. Which zone a node is in depends on `turn`.
    fn snapshots(turn: usize) -> (Snapshots, Vec<EndpointId>) {
        let mut writer = IndexWriter::default();
        let nodes = [0, 1, 2].map(|number| {
            let node = writer.add_node(Node {
                name: format!("node-{number}").into(),
                zone: ["a", "b", ""][(number + turn) % 3].into(),
                ..Node::default()
            });
            node.unwrap()
        });
        let mut ids = vec![EndpointId::EXTERNAL, EndpointId::LINK];
        for number in 0..6 {
            ids.push(writer.add_endpoint(Endpoint {
                kind: [EndpointKind::Pod, EndpointKind::Node][number % 2],
                namespace: ["shop", "data"][number / 3].into(),
                name: format!("pod-{number}").into(),
                node: Some(nodes[number % 3]),
                ..Endpoint::default()
            }));
        }
        let store = SnapshotStore::new(writer.current(), std::sync::Arc::default(), "");
        (store.load(), ids)
    }

    #[test]
    fn decisions_are_those_of_the_filter_and_end_with_the_snapshots() {
        for filter in [
            r#"src.zone != "" && dst.zone != "" && src.zone != dst.zone"#,
            r#"direction in ["egress", "ingress"]"#,
            r#"class == "intra_node" || scope == "external""#,
            r#"internal.namespace == "shop" || external.class == "external" && src.pod =~ "pod-[12]""#,
            r#"src.namespace == dst.namespace && !(class =~ "pod_to_.*")"#,
            r#"src.zone == "a" || port == 443"#,
        ] {
            let filter: Expression = filter.parse().unwrap();
            let mut decisions = Decisions::new(Some(&filter));
            for turn in 0..2 {
                let (snapshots, ids) = snapshots(turn);
                decisions.forget();
                for _ in 0..2 {
                    for (source, destination) in ids
                        .iter()
                        .flat_map(|source| ids.iter().map(|destination| (*source, *destination)))
                    {
                        let edge = Edge::between(&snapshots, source, destination);
                        assert_eq!(
                            decisions.matches(&filter, &edge),
                            filter.matches(&edge),
                            "{filter} {source:?} {destination:?}"
                        );
                    }
                }
            }
        }
    }

    /// The decisions on all edges from some of 400 pods to some of them, if they are those of the
    /// filter.
    fn decided(filter: &str, sources: usize, destinations: usize) -> Decisions {
        let filter: Expression = filter.parse().unwrap();
        let mut writer = IndexWriter::default();
        let ids: Vec<_> = (0..400)
            .map(|number| {
                writer.add_endpoint(Endpoint {
                    kind: EndpointKind::Pod,
                    namespace: ["shop", "data"][number % 2].into(),
                    name: format!("pod-{number}").into(),
                    ..Endpoint::default()
                })
            })
            .collect();
        let snapshots = SnapshotStore::new(writer.current(), std::sync::Arc::default(), "").load();
        let mut decisions = Decisions::new(Some(&filter));
        for source in &ids[..sources] {
            for destination in &ids[..destinations] {
                let edge = Edge::between(&snapshots, *source, *destination);
                assert_eq!(
                    decisions.matches(&filter, &edge),
                    filter.matches(&edge),
                    "{filter}"
                );
                assert!(decisions.decided.len() <= MAX_DECISIONS);
            }
        }
        decisions
    }

    #[test]
    fn few_decisions_on_many_edges_are_remembered() {
        let decisions = decided("src.namespace != dst.namespace", 400, 400);
        assert_eq!(decisions.decided.len(), 4);
        let decisions = decided("src.pod != dst.pod", MAX_VALUES, 64);
        assert_eq!(decisions.decided.len(), MAX_DECISIONS);
    }

    #[test]
    fn a_filter_of_many_values_or_decisions_is_evaluated_for_each_edge() {
        for (sources, destinations) in [(MAX_VALUES + 1, 1), (1, MAX_VALUES + 1), (200, 200)] {
            let mut decisions = decided("src.pod != dst.pod", sources, destinations);
            // Nothing is kept of what was remembered.
            decisions.forget();
            assert!(decisions.parts.is_none());
            assert_eq!(decisions.decided.capacity(), 0);
        }
    }
}
