//! Fields as SQL over the columns of a table.

use flowproto::protocol;

use super::tables::TableKind;
use crate::aggregate::field::{EndpointField, Field, FieldType, RecordField, Side};
use crate::emit::endpoint_member::{EndpointMember, EndpointSide};

/// Traffic that leaves the cluster.
const EGRESS: &str = "(trafficClass != 'link' AND sourceWorkloadKind != 'External' \
                      AND destinationWorkloadKind = 'External')";
/// Traffic that enters it.
const INGRESS: &str = "(trafficClass != 'link' AND sourceWorkloadKind = 'External' \
                       AND destinationWorkloadKind != 'External')";
/// The columns of both.
const OF_DIRECTION: [&str; 3] = [
    "trafficClass",
    "sourceWorkloadKind",
    "destinationWorkloadKind",
];
/// Protocols with ports, as in [`Flow::has_ports`](crate::pipeline::Flow::has_ports).
const HAS_PORTS: &str = "(protocolIdentifier IN (6, 17, 33, 132, 136))";

/// A field in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldSql {
    /// Its value, of the type of the field.
    pub(super) value: String,
    /// The condition that it has no value.
    pub(super) absent: String,
    kind: FieldType,
    columns: Vec<&'static str>,
}

impl FieldSql {
    /// A field of a table; `None` if the table does not have it.
    pub(super) fn of(table: TableKind, field: &Field) -> Option<Self> {
        let sql = match table {
            TableKind::Externals => of_external(field)?,
            _ => of_flow(table, field)?,
        };
        let has_all = sql.columns.iter().all(|column| table.has(column));
        has_all.then_some(sql)
    }

    fn new(
        kind: FieldType,
        value: impl Into<String>,
        absent: impl Into<String>,
        columns: &[&'static str],
    ) -> Self {
        Self {
            value: value.into(),
            absent: absent.into(),
            kind,
            columns: columns.to_vec(),
        }
    }

    /// A text, which is absent if it is empty.
    fn text(column: &'static str) -> Self {
        Self::new(FieldType::Text, column, format!("{column} = ''"), &[column])
    }

    /// A number, which is absent if it is 0.
    fn positive(column: &'static str) -> Self {
        Self::new(
            FieldType::Number,
            column,
            format!("{column} = 0"),
            &[column],
        )
    }

    fn address(column: &'static str) -> Self {
        let absent = format!("{column} = toIPv6('::')");
        Self::new(FieldType::Address, column, absent, &[column])
    }

    /// The text of the value; empty if it is absent.
    pub(super) fn label(&self) -> String {
        let Self { value, absent, .. } = self;
        match self.kind {
            FieldType::Text => value.clone(),
            _ => format!("if({absent}, '', {})", self.shown()),
        }
    }

    /// The text of a value that is not absent.
    fn shown(&self) -> String {
        let value = &self.value;
        match self.kind {
            FieldType::Text => value.clone(),
            FieldType::Number => format!("toString({value})"),
            FieldType::Protocol => {
                let names = (0..=u8::MAX).filter_map(|n| Some((n, protocol::name(n)?)));
                let (numbers, names): (Vec<String>, Vec<String>) = names
                    .map(|(n, name)| (n.to_string(), format!("'{name}'")))
                    .unzip();
                format!(
                    "transform({value}, [{}], [{}], toString({value}))",
                    numbers.join(", "),
                    names.join(", ")
                )
            }
            // An IPv4 address is stored as ::ffff:a.b.c.d.
            FieldType::Address => format!(
                "if({}, substring(toString({value}), 8), toString({value}))",
                is_ipv4(value)
            ),
        }
    }
}

/// The condition that an address is IPv4.
pub(super) fn is_ipv4(address: &str) -> String {
    format!("({address} BETWEEN toIPv6('::ffff:0.0.0.0') AND toIPv6('::ffff:255.255.255.255'))")
}

/// A field of one endpoint.
fn of_endpoint(side: EndpointSide, field: EndpointField) -> Option<FieldSql> {
    let column = |member: EndpointMember| member.name(side);
    Some(match field {
        EndpointField::Namespace => FieldSql::text(column(EndpointMember::Namespace)),
        EndpointField::Kind => FieldSql::text(column(EndpointMember::WorkloadKind)),
        EndpointField::Workload => FieldSql::text(column(EndpointMember::WorkloadName)),
        EndpointField::Pod => FieldSql::text(column(EndpointMember::PodName)),
        EndpointField::Node => FieldSql::text(column(EndpointMember::NodeName)),
        EndpointField::Zone => FieldSql::text(column(EndpointMember::Zone)),
        EndpointField::Region => FieldSql::text(column(EndpointMember::Region)),
        EndpointField::Pool => FieldSql::text(column(EndpointMember::NodePool)),
        EndpointField::Name => FieldSql::text(column(EndpointMember::Name)),
        EndpointField::AsName => FieldSql::text(column(EndpointMember::AsName)),
        EndpointField::Country => FieldSql::text(column(EndpointMember::Country)),
        EndpointField::CloudProvider => FieldSql::text(column(EndpointMember::CloudProvider)),
        EndpointField::CloudService => FieldSql::text(column(EndpointMember::CloudService)),
        EndpointField::CloudRegion => FieldSql::text(column(EndpointMember::CloudRegion)),
        EndpointField::AsNumber => FieldSql::positive(column(EndpointMember::AsNumber)),
        EndpointField::BgpAsNumber => FieldSql::positive(match side {
            EndpointSide::Source => "bgpSourceAsNumber",
            EndpointSide::Destination => "bgpDestinationAsNumber",
        }),
        EndpointField::Address => FieldSql::address(column(EndpointMember::Address)),
        EndpointField::Port => {
            let port = column(EndpointMember::TransportPort);
            let columns = [port, "protocolIdentifier"];
            FieldSql::new(
                FieldType::Number,
                port,
                format!("NOT {HAS_PORTS}"),
                &columns,
            )
        }
        EndpointField::Service => {
            let name = column(EndpointMember::ServiceName);
            let kind = column(EndpointMember::WorkloadKind);
            let workload = column(EndpointMember::WorkloadName);
            let value =
                format!("multiIf({name} != '', {name}, {kind} = 'Service', {workload}, '')");
            let absent = format!("{value} = ''");
            FieldSql::new(FieldType::Text, value, absent, &[name, kind, workload])
        }
        EndpointField::Class | EndpointField::Cidr | EndpointField::Host => return None,
    })
}

/// A field of the columns of a record.
fn of_flow(table: TableKind, field: &Field) -> Option<FieldSql> {
    match field {
        Field::Endpoint(Side::Source, field) => of_endpoint(EndpointSide::Source, *field),
        Field::Endpoint(Side::Destination, field) => of_endpoint(EndpointSide::Destination, *field),
        Field::Endpoint(Side::Internal, field) => of_border(*field, (EGRESS, INGRESS)),
        Field::Endpoint(Side::External, field) => of_border(*field, (INGRESS, EGRESS)),
        Field::Record(field) => of_record(table, *field),
        Field::Label(..) | Field::NamespaceLabel(..) => None,
    }
}

/// A field of the endpoint that is the source of traffic of one direction, and the destination of
/// traffic of the other one.
fn of_border(field: EndpointField, (source_if, destination_if): (&str, &str)) -> Option<FieldSql> {
    let (source, destination) = (
        of_endpoint(EndpointSide::Source, field)?,
        of_endpoint(EndpointSide::Destination, field)?,
    );
    let absent_value = match source.kind {
        FieldType::Text => "''",
        FieldType::Number | FieldType::Protocol => "0",
        FieldType::Address => "toIPv6('::')",
    };
    let choose = |source: &str, destination: &str, other: &str| {
        format!("multiIf({source_if}, {source}, {destination_if}, {destination}, {other})")
    };
    let mut columns = [source.columns, destination.columns].concat();
    columns.extend(OF_DIRECTION);
    Some(FieldSql::new(
        source.kind,
        choose(&source.value, &destination.value, absent_value),
        choose(&source.absent, &destination.absent, "true"),
        &columns,
    ))
}

fn of_record(table: TableKind, field: RecordField) -> Option<FieldSql> {
    Some(match field {
        RecordField::Class => FieldSql::text("trafficClass"),
        RecordField::Scope
            if matches!(table, TableKind::Workloads | TableKind::WorkloadsHealth) =>
        {
            let is_external = "trafficClass != 'link' AND \
                (sourceWorkloadKind = 'External' OR destinationWorkloadKind = 'External')";
            let value = format!("if({is_external}, 'external', 'internal')");
            FieldSql::new(FieldType::Text, value, "false", &OF_DIRECTION)
        }
        RecordField::Scope => FieldSql::text("trafficScope"),
        RecordField::Direction => {
            let is_transit = "trafficClass != 'link' AND sourceWorkloadKind = 'External' \
                              AND destinationWorkloadKind = 'External'";
            let value = format!(
                "multiIf({EGRESS}, 'egress', {INGRESS}, 'ingress', {is_transit}, 'transit', \
                 'internal')"
            );
            FieldSql::new(FieldType::Text, value, "false", &OF_DIRECTION)
        }
        RecordField::Port => {
            let value = "if(ifNull(biflowDirection, 0) = 2, sourceTransportPort, \
                         destinationTransportPort)";
            let absent = format!("(NOT {HAS_PORTS} OR ifNull(biflowDirection, 0) NOT IN (1, 2))");
            let columns = [
                "biflowDirection",
                "sourceTransportPort",
                "destinationTransportPort",
                "protocolIdentifier",
            ];
            FieldSql::new(FieldType::Number, value, absent, &columns)
        }
        RecordField::Initiator => {
            let value = "transform(ifNull(biflowDirection, 0), [1, 2], ['src', 'dst'], 'unknown')";
            FieldSql::new(FieldType::Text, value, "false", &["biflowDirection"])
        }
        RecordField::Protocol => {
            let column = "protocolIdentifier";
            FieldSql::new(FieldType::Protocol, column, "false", &[column])
        }
        RecordField::Dscp => {
            let value = "bitShiftRight(ipClassOfService, 2)";
            FieldSql::new(FieldType::Number, value, "false", &["ipClassOfService"])
        }
        RecordField::Exporter => FieldSql::address("exporterAddress"),
        RecordField::Encapsulation => FieldSql::text("tunnelEncapsulation"),
        RecordField::SecurityProtocol => FieldSql::text("securityProtocol"),
        RecordField::InputInterface
        | RecordField::OutputInterface
        | RecordField::TcpEnd
        | RecordField::ConnectionDuration
        | RecordField::FlowDuration => return None,
    })
}

/// A field of the sums by workload and external endpoint.
fn of_external(field: &Field) -> Option<FieldSql> {
    Some(match field {
        Field::Endpoint(Side::Internal, field) => FieldSql::text(match field {
            EndpointField::Namespace => "workloadNamespace",
            EndpointField::Kind => "workloadKind",
            EndpointField::Workload => "workloadName",
            _ => return None,
        }),
        Field::Endpoint(Side::External, EndpointField::AsNumber) => FieldSql::positive("asNumber"),
        Field::Endpoint(Side::External, field) => FieldSql::text(match field {
            EndpointField::Name => "name",
            EndpointField::AsName => "asName",
            EndpointField::Country => "country",
            EndpointField::CloudProvider => "cloudProvider",
            EndpointField::CloudService => "cloudService",
            EndpointField::CloudRegion => "cloudRegion",
            _ => return None,
        }),
        Field::Record(RecordField::Direction) => FieldSql::text("direction"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_the_fields_whose_columns_it_has() {
        let has = |table, field: &str| FieldSql::of(table, &field.parse().unwrap()).is_some();
        for (table, field, is_there) in [
            (TableKind::Workloads, "src.workload", true),
            (TableKind::Workloads, "external.workload", true),
            (TableKind::Workloads, "scope", true),
            (TableKind::Workloads, "src.zone", false),
            (TableKind::Workloads, "port", false),
            (TableKind::Zones, "scope", true),
            (TableKind::Zones, "src.zone", true),
            (TableKind::Zones, "class", false),
            (TableKind::Externals, "external.country", true),
            (TableKind::Externals, "internal.workload", true),
            (TableKind::Externals, "src.workload", false),
            (TableKind::Flows, "external.address", true),
            (TableKind::Flows, "port", true),
            (TableKind::Flows, "src.cidr", false),
            (TableKind::Flows, "src.label[\"a\"]", false),
        ] {
            assert_eq!(has(table, field), is_there, "{field} in {table:?}");
        }
    }
}
