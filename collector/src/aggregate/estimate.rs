//! The maximum number of series of a family, as far as the inventory and the fields bound it.
//!
//! The labels of each side are counted together: the number of distinct combinations that the
//! endpoints of the inventory have. The maximum is the product over the sides, if every endpoint
//! exchanges traffic with every other one, times the values of fields of the traffic. The filter of
//! a family is not considered.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use super::edge::Edge;
use super::expression::LabelValue;
use super::family::{Label, RowLayout};
use super::field::{EndpointField, Field, FieldSource, RecordField, Side, Value};
use super::field_values;
use crate::inventory::EndpointKind;
use crate::snapshots::Snapshots;

/// The cluster by which series are estimated.
#[derive(Debug)]
pub struct KnownCluster<'a> {
    /// Its endpoints.
    pub snapshots: &'a Snapshots,
    /// Number of named CIDRs.
    pub named_cidrs: u64,
}

/// What the number of series is a product of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Factor {
    /// The side, or the name of the label.
    pub name: String,
    /// Number of values; `None` if only the traffic decides it.
    pub values: Option<u64>,
}

/// The estimate for the rows of families.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesEstimate {
    /// Its factors.
    pub factors: Vec<Factor>,
}

/// A part of the labels whose values depend on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Side(Side),
    /// Position of the label.
    Label(usize),
}

impl SeriesEstimate {
    /// The estimate for a layout. Without a cluster, labels of endpoints have an unknown number of
    /// values.
    #[must_use]
    pub fn of(layout: &RowLayout, cluster: Option<&KnownCluster<'_>>) -> Self {
        let mut parts: BTreeMap<Part, Vec<&Label>> = BTreeMap::new();
        for (at, label) in layout.labels.iter().enumerate() {
            let part = match side_of(&label.value) {
                Some(side) => Part::Side(side),
                None => Part::Label(at),
            };
            parts.entry(part).or_default().push(label);
        }
        let sides = parts.keys().filter(|part| matches!(part, Part::Side(_)));
        let has_both_sides = sides.count() > 1;
        let factor = |(part, labels): (&Part, &Vec<&Label>)| {
            let label = labels.first()?;
            Some(match part {
                Part::Side(side) => Factor {
                    name: side.to_string(),
                    values: cluster.and_then(|cluster| values_of_side(*side, labels, cluster)),
                },
                Part::Label(_) => Factor {
                    name: label.name.to_string(),
                    values: values_of_record(&label.value, has_both_sides),
                },
            })
        };
        let factors = parts.iter().filter_map(factor);
        Self {
            factors: factors.filter(|factor| factor.values != Some(1)).collect(),
        }
    }

    /// The maximum number of rows; `None` if it is not bounded. It saturates.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        let mut values = self.factors.iter().map(|factor| factor.values);
        values.try_fold(1_u64, |rows, values| Some(rows.saturating_mul(values?)))
    }
}

impl fmt::Display for SeriesEstimate {
    /// As in `src 120 × dst 120 × protocol 256`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let factors = self.factors.iter().map(|factor| match factor.values {
            Some(values) => format!("{} {values}", factor.name),
            None => format!("{} unknown", factor.name),
        });
        f.write_str(&factors.collect::<Vec<String>>().join(" × "))
    }
}

/// The only side whose fields a label reads.
fn side_of(value: &LabelValue) -> Option<Side> {
    let mut sides = value.fields().map(Field::side);
    let first = sides.next()??;
    sides.all(|side| side == Some(first)).then_some(first)
}

/// The values of a label of the traffic.
fn values_of_record(value: &LabelValue, has_both_sides: bool) -> Option<u64> {
    if value.is_condition() {
        return Some(2);
    }
    let mut product = 1_u64;
    for field in value.fields() {
        let Field::Record(record_field) = field else {
            return None;
        };
        let known = || u64::try_from(field_values::all(field)?.len()).ok();
        product = product.saturating_mul(match record_field {
            // The kinds of both endpoints decide it, except whether they are on one node.
            RecordField::Class if has_both_sides => 2,
            RecordField::Scope | RecordField::Direction if has_both_sides => 1,
            RecordField::Class
            | RecordField::Scope
            | RecordField::Direction
            | RecordField::Initiator => known()?,
            // Or none of them.
            RecordField::TcpEnd | RecordField::SecurityProtocol => known()?.saturating_add(1),
            RecordField::Dscp => 64,
            RecordField::Protocol => 256,
            RecordField::Encapsulation
            | RecordField::Port
            | RecordField::ConnectionDuration
            | RecordField::FlowDuration
            | RecordField::Exporter
            | RecordField::InputInterface
            | RecordField::OutputInterface => return None,
        });
    }
    Some(product)
}

/// True if the inventory has all values that a field has for endpoints of the cluster.
const fn is_of_inventory(field: &Field, has_external: bool) -> bool {
    match field {
        Field::Label(..) | Field::NamespaceLabel(..) => true,
        Field::Record(_) => false,
        Field::Endpoint(_, field) => match field {
            EndpointField::Address
            | EndpointField::Port
            | EndpointField::Host
            | EndpointField::BgpAsNumber => false,
            EndpointField::Name
            | EndpointField::AsNumber
            | EndpointField::AsName
            | EndpointField::Country
            | EndpointField::CloudProvider
            | EndpointField::CloudService
            | EndpointField::CloudRegion => !has_external,
            _ => true,
        },
    }
}

/// The number of combinations of the labels of a side.
fn values_of_side(side: Side, labels: &[&Label], cluster: &KnownCluster<'_>) -> Option<u64> {
    let has_external = side != Side::Internal;
    let mut fields = labels.iter().flat_map(|label| label.value.fields());
    if !fields.all(|field| is_of_inventory(field, has_external)) {
        return None;
    }
    let snapshots = cluster.snapshots;
    let mut combinations: HashSet<Vec<String>> = HashSet::new();
    for id in snapshots.index.find_endpoints(|_| true) {
        let is_external = snapshots.place(id).kind == EndpointKind::External;
        if is_external != (side == Side::External)
            && matches!(side, Side::Internal | Side::External)
        {
            continue;
        }
        let endpoint = LoneEndpoint(Edge::between(snapshots, id, id));
        let texts = labels.iter().map(|label| {
            let mut text = String::new();
            label.value.write(&endpoint, &mut text);
            text
        });
        combinations.insert(texts.collect());
    }
    let named = if has_external { cluster.named_cidrs } else { 0 };
    Some(
        u64::try_from(combinations.len())
            .unwrap_or(u64::MAX)
            .saturating_add(named),
    )
}

/// An endpoint whose fields are those of every side.
struct LoneEndpoint<'a>(Edge<'a>);

impl FieldSource for LoneEndpoint<'_> {
    fn value(&self, field: &Field) -> Value<'_> {
        match field {
            Field::Record(_) => Value::Absent,
            field => self.0.endpoint_field(Side::Source, field),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::{FamilyDefinition, Preset, families};
    use crate::inventory::{self, Bounds};
    use crate::snapshots::SnapshotStore;
    use kipfix_service::settings::Span;

    const INVENTORY: &str = "
nodes:
  - {name: node-a, addresses: [192.0.2.1], podCIDRs: [10.1.1.0/24], zone: z1}
  - {name: node-b, addresses: [192.0.2.2], podCIDRs: [10.1.2.0/24], zone: z2}
pods:
  - {name: web-1, namespace: shop, addresses: [10.1.1.1], node: node-a, workload: {kind: Deployment, name: web}}
  - {name: web-2, namespace: shop, addresses: [10.1.2.2], node: node-b, workload: {kind: Deployment, name: web}}
  - {name: db-0, namespace: data, addresses: [10.1.2.1], node: node-b, workload: {kind: StatefulSet, name: db}}
";

    fn snapshots() -> Snapshots {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inventory.yaml");
        std::fs::write(&path, INVENTORY).unwrap();
        let mut inventory = inventory::file::read(&path, Bounds::default()).unwrap();
        SnapshotStore::new(inventory.writer.current(), Default::default(), "").load()
    }

    fn layouts(presets: &[Preset], yaml: &str) -> Vec<std::sync::Arc<RowLayout>> {
        let definitions: Vec<FamilyDefinition> = serde_saphyr::from_str(yaml).unwrap();
        let families = families(presets, &definitions, 10, Span::from_secs(1)).unwrap();
        families.into_iter().map(|family| family.rows).collect()
    }

    #[test]
    fn combinations_of_the_labels_of_a_side_are_counted_together() {
        let snapshots = snapshots();
        let cluster = KnownCluster {
            snapshots: &snapshots,
            named_cidrs: 2,
        };
        let estimate = |yaml: &str| {
            let layouts = layouts(
                &[],
                &format!("[{{name: x, help: x, value: bytes, labels: {yaml}}}]"),
            );
            SeriesEstimate::of(&layouts[0], Some(&cluster))
        };
        let workloads = estimate("[src.namespace, src.workload, class]");
        // web and db, both nodes, unknown endpoints, and those of CIDRs.
        let sides = estimate("[src.namespace, src.workload]").rows().unwrap();
        assert!((6..=12).contains(&sides), "{sides}");
        let pods = estimate("[src.pod, src.namespace, src.workload]")
            .rows()
            .unwrap();
        assert_eq!(pods, sides + 1, "web has two pods");
        let classes = workloads
            .factors
            .iter()
            .find(|factor| factor.name == "class");
        // Pairs of `pod`, `node`, `service` and `external`; `intra_node` and `link`.
        assert_eq!(classes.unwrap().values, Some(4 * 4 + 2));
        let pairs =
            estimate("[src.namespace, src.workload, dst.namespace, dst.workload, class, scope]");
        assert_eq!(pairs.rows(), Some(sides * sides * 2));
        assert_eq!(
            pairs.to_string(),
            format!("src {sides} × dst {sides} × class 2")
        );
        let internal = estimate("[internal.namespace, internal.workload]")
            .rows()
            .unwrap();
        assert!(internal < sides - 2, "{internal}");
        assert_eq!(estimate("[protocol, dscp]").rows(), Some(256 * 64));
        for unbounded in [
            "[src.address]",
            "[port]",
            "[external.name]",
            "[src.country]",
        ] {
            assert_eq!(estimate(unbounded).rows(), None, "{unbounded}");
        }
    }

    #[test]
    fn without_a_cluster_only_fields_of_the_traffic_are_known() {
        let layouts = layouts(&[Preset::Workloads], "[]");
        let estimate = SeriesEstimate::of(&layouts[0], None);
        assert_eq!(estimate.rows(), None);
        assert_eq!(estimate.to_string(), "src unknown × dst unknown × class 2");
    }
}
