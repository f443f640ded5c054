//! Records, as lines of JSON with the members of the flow log.

use flowproto::{Address, json};
use serde_json::Value;

use super::client::{Row, number};
use super::statement::Statement;
use super::tables::Table;
use super::{ClickHouseHistory, Selection, resolved};
use crate::aggregate::expression::Expression;
use crate::emit::enriched::{Column, ColumnType, columns};
use crate::history::error::HistoryError;
use crate::history::query::TimeBounds;

/// A query for records.
#[derive(Clone, Debug)]
pub struct FlowsQuery {
    /// The time of collection.
    pub time: TimeBounds,
    /// The records that are included. `None` includes all.
    pub filter: Option<Expression>,
    /// Maximum number of records. The newest are selected.
    pub limit: usize,
}

impl ClickHouseHistory {
    /// Lines of the selected records, the oldest first, at the wall-clock time `now`, milliseconds
    /// since the epoch.
    ///
    /// # Errors
    /// The table cannot answer it, or the server does not.
    pub async fn flows(&self, query: &FlowsQuery, now: u64) -> Result<Vec<u8>, HistoryError> {
        let range = resolved(query.time, now)?;
        let rows = self.client.rows(self.records(query, range)?).await?;
        let mut lines = Vec::new();
        for row in rows.iter().rev() {
            write_line(row, &mut lines);
        }
        Ok(lines)
    }

    fn records(&self, query: &FlowsQuery, range: (u64, u64)) -> Result<Statement, HistoryError> {
        let mut statement = Statement::default();
        // With the records that the other observer has, as in the flow log.
        let selection = Selection {
            table: Table::FLOWS,
            range,
            filter: query.filter.as_ref(),
            only_counted: false,
        };
        let rows = self.rows(&selection, &mut statement)?;
        let limit = u64::try_from(query.limit).unwrap_or(u64::MAX);
        let limit = statement.add_number(limit);
        let selected: Vec<String> = columns().map(selected).collect();
        statement.text = format!(
            "SELECT {} {rows} ORDER BY collectionTimeMilliseconds DESC LIMIT {limit} {}",
            selected.join(", "),
            self.limits()
        );
        Ok(statement)
    }
}

/// How a column is read.
fn selected(column: &Column) -> String {
    match column.kind {
        ColumnType::Milliseconds => format!("toUnixTimestamp64Milli({})", column.name),
        _ => column.name.to_owned(),
    }
}

/// The member of the flow log with the value of a column. Addresses have a member for each family.
fn member(name: &'static str, address: Option<Address>) -> &'static str {
    let is_ipv4 = address.is_some_and(Address::is_ipv4);
    match (name, is_ipv4) {
        ("sourceAddress", true) => "sourceIPv4Address",
        ("sourceAddress", false) => "sourceIPv6Address",
        ("destinationAddress", true) => "destinationIPv4Address",
        ("destinationAddress", false) => "destinationIPv6Address",
        ("ipNextHopAddress", true) => "ipNextHopIPv4Address",
        ("ipNextHopAddress", false) => "ipNextHopIPv6Address",
        ("postNATSourceAddress", true) => "postNATSourceIPv4Address",
        ("postNATSourceAddress", false) => "postNATSourceIPv6Address",
        ("postNATDestinationAddress", true) => "postNATDestinationIPv4Address",
        ("postNATDestinationAddress", false) => "postNATDestinationIPv6Address",
        ("exporterAddress", _) => "exporter",
        ("observationDomainName", _) => "observer",
        ("exportVersion", _) => "version",
        ("sourceNamespace", _) => "sourcePodNamespace",
        ("destinationNamespace", _) => "destinationPodNamespace",
        (name, _) => name,
    }
}

/// Appends the line of a record. Values of 0 and empty texts are left out, unless they are
/// optional.
fn write_line(row: &Row, out: &mut Vec<u8>) {
    out.push(b'{');
    let begin = out.len();
    for (at, column) in columns().enumerate() {
        let value = row.value(at);
        let address = match column.kind {
            ColumnType::Address => parse_address(value),
            _ => None,
        };
        let is_absent = match column.kind {
            ColumnType::Bool => false,
            ColumnType::Address => address.is_none(),
            ColumnType::Name | ColumnType::Text => value.as_str().is_none_or(str::is_empty),
            _ if column.is_optional => value.is_null(),
            _ => number(value) == 0,
        };
        if is_absent {
            continue;
        }
        if out.len() > begin {
            out.push(b',');
        }
        json::write_string(member(column.name, address), out);
        out.push(b':');
        match (column.kind, address) {
            (_, Some(address)) => json::write_address(address, out),
            (ColumnType::Bool, _) => {
                let is_true = value.as_bool().unwrap_or_default();
                out.extend_from_slice(if is_true { b"true" } else { b"false" });
            }
            (ColumnType::Name | ColumnType::Text, _) => {
                json::write_string(value.as_str().unwrap_or_default(), out);
            }
            _ => json::write_number(number(value), out),
        }
    }
    out.extend_from_slice(b"}\n");
}

/// An address; `None` if it is unspecified. IPv4 addresses are mapped in the tables.
pub(super) fn parse_address(value: &Value) -> Option<Address> {
    let address: std::net::Ipv6Addr = value.as_str()?.parse().ok()?;
    let address = Address::from(address.to_canonical());
    (!address.is_unspecified()).then_some(address)
}
