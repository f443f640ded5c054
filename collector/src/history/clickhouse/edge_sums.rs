//! Statements for the sums of edges.

use super::ClickHouseHistory;
use super::client::Row;
use super::edge_plan::{Plan, labels};
use super::statement::Statement;
use super::tables::Table;
use crate::history::error::HistoryError;
use crate::history::measures::{EdgeValues, Health};
use crate::history::query::{EdgesQuery, Order};
use crate::pipeline::Measures;

/// The columns of [`Measures`].
const TRAFFIC: [&str; 3] = ["octets", "packets", "connections"];
/// The columns of [`Health`].
const HEALTH: [&str; 8] = [
    "retransmittedPackets",
    "roundTripTimeCount",
    "roundTripTimeSumMicroseconds",
    "refusedConnections",
    "unansweredConnections",
    "resetConnections",
    "connectionDurationCount",
    "connectionDurationSumMilliseconds",
];
/// Number of the sums of an edge: those of traffic, those of health, and the number of rows with
/// health.
pub(super) const SUMS: usize = TRAFFIC.len() + HEALTH.len() + 1;

/// The values of an edge, from the sums that begin at a column.
pub(super) fn edge_values(row: &Row, first: usize) -> EdgeValues {
    let sum = |at: usize| row.number(first + at);
    let traffic = Measures {
        bytes: sum(0),
        packets: sum(1),
        connections: sum(2),
    };
    let health = Health {
        retransmitted_packets: sum(3),
        rtt_count: sum(4),
        rtt_sum_microseconds: sum(5),
        refused_connections: sum(6),
        unanswered_connections: sum(7),
        reset_connections: sum(8),
        duration_count: sum(9),
        duration_sum_milliseconds: sum(10),
        // Sums do not have it.
        rtt_min_microseconds: 0,
    };
    EdgeValues {
        traffic,
        health: (sum(11) > 0).then_some(health),
    }
}

/// The value by which edges are ordered, of the sums.
const fn order_of(order: Order) -> &'static str {
    match order {
        Order::Bytes => "s0",
        Order::Packets => "s1",
        Order::Connections => "s2",
        Order::RetransmittedPackets => "s3",
        Order::FailedConnections => "s6 + s7",
        Order::ConnectionDuration => "s10",
    }
}

/// The names of the labels.
fn names(query: &EdgesQuery) -> String {
    let names = (0..query.group_by.len()).map(|at| format!("g{at}"));
    names.collect::<Vec<String>>().join(", ")
}

/// The sums with their names. Without a table of health, its sums are 0.
fn sums(plan: &Plan) -> String {
    let known = if plan.health.is_some() {
        SUMS
    } else {
        TRAFFIC.len()
    };
    let sum = |at: usize| {
        if at < known {
            format!("sum(m{at}) AS s{at}")
        } else {
            format!("toUInt64(0) AS s{at}")
        }
    };
    (0..SUMS).map(sum).collect::<Vec<String>>().join(", ")
}

/// The measures of the rows of a table with their names: those that it does not have are 0.
fn measures(plan: &Plan, is_health: bool) -> String {
    let zero = |at: usize| format!("toUInt64(0) AS m{at}");
    let named = |(at, column): (usize, &&str)| format!("{column} AS m{at}");
    let health = TRAFFIC.len()..SUMS - 1;
    let parts: Vec<String> = if is_health {
        let zeros = (0..TRAFFIC.len()).map(zero);
        let values = health.zip(&HEALTH).map(named);
        zeros
            .chain(values)
            .chain([format!("toUInt64(1) AS m{}", SUMS - 1)])
            .collect()
    } else {
        let zeros = plan.health.map(|_| (TRAFFIC.len()..SUMS).map(zero));
        let values = TRAFFIC.iter().enumerate().map(named);
        values.chain(zeros.into_iter().flatten()).collect()
    };
    parts.join(", ")
}

impl ClickHouseHistory {
    /// The statement for the sums of the largest edges, the number of all edges and their sum.
    pub(super) fn sums(&self, plan: &Plan, query: &EdgesQuery) -> Result<Statement, HistoryError> {
        let mut statement = Statement::default();
        let groups = self.groups(plan, query, &mut statement)?;
        let limit = largest(query, &mut statement);
        let totals: Vec<String> = (0..SUMS).map(|at| format!("sum(s{at}) OVER ()")).collect();
        statement.text = format!(
            "SELECT *, count() OVER (), {} FROM ({groups}) {limit} {}",
            totals.join(", "),
            self.limits()
        );
        Ok(statement)
    }

    /// The statement for the points of the largest edges.
    pub(super) fn points(
        &self,
        plan: &Plan,
        query: &EdgesQuery,
    ) -> Result<Statement, HistoryError> {
        let mut statement = Statement::default();
        let groups = self.groups(plan, query, &mut statement)?;
        let limit = largest(query, &mut statement);
        let rows = self.all_rows(plan, query, &mut statement)?;
        let [from, step] = [plan.from, plan.step].map(|time| statement.add_number(time));
        let names = names(query);
        statement.text = format!(
            "SELECT {names}, {}, intDiv(milliseconds - toInt64({from}), toInt64({step})) AS at \
             FROM ({rows}) WHERE ({names}) IN (SELECT {names} FROM ({groups}) {limit}) \
             GROUP BY {names}, at {}",
            sums(plan),
            self.limits()
        );
        Ok(statement)
    }

    /// The part of a statement that has the sums of all edges.
    fn groups(
        &self,
        plan: &Plan,
        query: &EdgesQuery,
        statement: &mut Statement,
    ) -> Result<String, HistoryError> {
        let rows = self.all_rows(plan, query, statement)?;
        let (names, sums) = (names(query), sums(plan));
        Ok(format!(
            "SELECT {names}, {sums} FROM ({rows}) GROUP BY {names}"
        ))
    }

    /// The part of a statement that has the rows of all edges: those with traffic, and those with
    /// connection health.
    fn all_rows(
        &self,
        plan: &Plan,
        query: &EdgesQuery,
        statement: &mut Statement,
    ) -> Result<String, HistoryError> {
        let mut rows = |table: Table, is_health: bool| {
            let labels = labels(table, query)?;
            let labels = labels.iter().enumerate();
            let labels: Vec<String> = labels
                .map(|(at, label)| format!("{label} AS g{at}"))
                .collect();
            Ok(format!(
                "SELECT {}, {}, {} AS milliseconds {}",
                labels.join(", "),
                measures(plan, is_health),
                table.milliseconds(),
                self.rows(&plan.selection(table, query), statement)?
            ))
        };
        let traffic = rows(plan.table, false)?;
        Ok(match plan.health {
            Some(table) => format!("{traffic} UNION ALL {}", rows(table, true)?),
            None => traffic,
        })
    }
}

/// The part of a statement that selects the largest edges.
fn largest(query: &EdgesQuery, statement: &mut Statement) -> String {
    let limit = statement.add_number(u64::try_from(query.limit).unwrap_or(u64::MAX));
    let order = order_of(query.order);
    format!("ORDER BY {order} DESC, {} LIMIT {limit}", names(query))
}
