//! Edges: sums of the rows of a table by fields.

use std::collections::HashMap;

use super::client::Row;
use super::columns::FieldSql;
use super::statement::Statement;
use super::tables::{Table, TableKind};
use super::{ClickHouseHistory, Selection, not_kept, resolved};
use crate::aggregate::expression::{Expression, Matcher};
use crate::aggregate::field::Field;
use crate::history::engine_error::EngineError;
use crate::history::measures::EdgeValues;
use crate::history::query::{EdgesAnswer, EdgesQuery, GroupedEdge, Order, TimePoint};
use crate::pipeline::Measures;

/// The columns of [`Measures`].
const MEASURES: [&str; 3] = ["octets", "packets", "connections"];
/// Intervals of points begin at multiples of this, milliseconds, unless the table has longer ones.
const SECOND: u64 = 1000;

/// How a query is answered.
struct Plan {
    table: Table,
    /// The fields of the edges, as texts.
    labels: Vec<String>,
    from: u64,
    to: u64,
    step: u64,
}

impl Plan {
    fn new(query: &EdgesQuery, now: u64) -> Result<Self, EngineError> {
        let (from, to) = resolved(query.time, now)?;
        let mut kinds = TableKind::ALL.into_iter();
        let table = kinds.find_map(|kind| {
            let table = Table::of(kind, (from, to), now)?;
            has_all(kind, query).then_some(table)
        });
        let table = table.unwrap_or(Table::FLOWS);
        let label = |field: &Field| {
            let sql = FieldSql::of(table.kind, field);
            sql.map(|sql| sql.label())
                .ok_or_else(|| not_kept("group_by", field))
        };
        let labels = query.group_by.iter().map(label);
        let labels = labels.collect::<Result<Vec<String>, EngineError>>()?;
        let (from, to, step) = intervals((from, to), table, query.points);
        Ok(Self {
            table,
            labels,
            from,
            to,
            step,
        })
    }

    fn selection<'a>(&self, query: &'a EdgesQuery) -> Selection<'a> {
        Selection {
            table: self.table,
            range: (self.from, self.to),
            filter: query.filter.as_ref(),
            only_counted: true,
        }
    }

    /// The names of the labels.
    fn names(&self) -> Vec<String> {
        (0..self.labels.len()).map(|at| format!("g{at}")).collect()
    }

    /// The labels with their names.
    fn named_labels(&self) -> String {
        let names = self.names();
        let pairs = self.labels.iter().zip(&names);
        let pairs: Vec<String> = pairs
            .map(|(label, name)| format!("{label} AS {name}"))
            .collect();
        pairs.join(", ")
    }
}

/// The interval that a table can distinguish, milliseconds.
fn unit_of(table: Table) -> u64 {
    table.interval.unwrap_or(SECOND)
}

/// The length of an interval of the points; at least the unit.
fn step_of((from, to): (u64, u64), unit: u64, points: usize) -> u64 {
    let points = u64::try_from(points).unwrap_or(u64::MAX).max(1);
    // The first interval begins before the range, so one less covers it.
    let step = (to - from).div_ceil(points.saturating_sub(1).max(1));
    step.div_ceil(unit).saturating_mul(unit)
}

/// The range in whole intervals of the table and of the points.
fn intervals((from, to): (u64, u64), table: Table, points: usize) -> (u64, u64, u64) {
    if points == 0 {
        let unit = table.interval.unwrap_or(1);
        let (from, to) = (from / unit * unit, to.div_ceil(unit) * unit);
        return (from, to, to - from);
    }
    let step = step_of((from, to), unit_of(table), points);
    (from / step * step, to.div_ceil(step) * step, step)
}

/// True if a table has the fields of a query, and all rows that it selects.
fn has_all(kind: TableKind, query: &EdgesQuery) -> bool {
    let has = |field: &Field| FieldSql::of(kind, field).is_some();
    let filter = query.filter.as_ref();
    let has_fields =
        query.group_by.iter().all(has) && filter.is_none_or(|filter| filter.fields().all(has));
    has_fields && (kind != TableKind::Externals || filter.is_some_and(selects_border))
}

/// True if an expression selects traffic that crosses the border of the cluster only.
fn selects_border(filter: &Expression) -> bool {
    let border: Result<Expression, _> = r#"direction in ["egress", "ingress"]"#.parse();
    let border = border.ok().and_then(|border| border.to_alternatives().ok());
    let border = border.and_then(|all| all.into_iter().flatten().next());
    let (Some(border), Ok(alternatives)) = (border, filter.to_alternatives()) else {
        return false;
    };
    let is_border = |matcher: &Matcher| matcher.implies(&border);
    alternatives.iter().all(|all| all.iter().any(is_border))
}

impl ClickHouseHistory {
    /// Answers a query at the wall-clock time `now`, milliseconds since the epoch.
    ///
    /// # Errors
    /// The tables cannot answer it, or the server does not.
    pub async fn edges(&self, query: &EdgesQuery, now: u64) -> Result<EdgesAnswer, EngineError> {
        let plan = Plan::new(query, now)?;
        let rows = self.client.rows(self.sums(&plan, query)?).await?;
        let count = plan.labels.len();
        let first = rows.first();
        let total = |at| first.map_or(0, |row| row.number(count + MEASURES.len() + at));
        let mut answer = EdgesAnswer {
            from: plan.from,
            to: plan.to,
            step: plan.step,
            total_edges: usize::try_from(total(0)).unwrap_or(usize::MAX),
            total: measures([total(1), total(2), total(3)]),
            edges: rows.iter().map(|row| edge(row, count)).collect(),
            gaps: Vec::new(),
        };
        if query.points > 0 && !answer.edges.is_empty() {
            let rows = self.client.rows(self.points(&plan, query)?).await?;
            add_points(&mut answer, &rows, count);
        }
        Ok(answer)
    }

    /// The statement for the sums of the largest edges, the number of all edges and their sum.
    fn sums(&self, plan: &Plan, query: &EdgesQuery) -> Result<Statement, EngineError> {
        let mut statement = Statement::default();
        let groups = self.groups(plan, query, &mut statement)?;
        let limit = self.largest(plan, query, &mut statement)?;
        let limits = self.limits();
        statement.text = format!(
            "SELECT *, count() OVER (), sum(s0) OVER (), sum(s1) OVER (), sum(s2) OVER () \
             FROM ({groups}) {limit} {limits}"
        );
        Ok(statement)
    }

    /// The statement for the points of the largest edges.
    fn points(&self, plan: &Plan, query: &EdgesQuery) -> Result<Statement, EngineError> {
        let mut statement = Statement::default();
        let groups = self.groups(plan, query, &mut statement)?;
        let limit = self.largest(plan, query, &mut statement)?;
        let rows = self.rows(&plan.selection(query), &mut statement)?;
        let [from, step] = [plan.from, plan.step].map(|time| statement.add_number(time));
        let names = plan.names().join(", ");
        statement.text = format!(
            "SELECT {}, {}, intDiv({} - toInt64({from}), toInt64({step})) AS at {rows} \
             AND ({names}) IN (SELECT {names} FROM ({groups}) {limit}) \
             GROUP BY {names}, at {}",
            plan.named_labels(),
            sums(),
            plan.table.milliseconds(),
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
    ) -> Result<String, EngineError> {
        let rows = self.rows(&plan.selection(query), statement)?;
        Ok(format!(
            "SELECT {}, {} {rows} GROUP BY {}",
            plan.named_labels(),
            sums(),
            plan.names().join(", ")
        ))
    }

    /// The part of a statement that selects the largest edges.
    fn largest(
        &self,
        plan: &Plan,
        query: &EdgesQuery,
        statement: &mut Statement,
    ) -> Result<String, EngineError> {
        let order = match query.order {
            Order::Bytes => "s0",
            Order::Packets => "s1",
            Order::Connections => "s2",
            Order::RetransmittedPackets | Order::FailedConnections | Order::ConnectionDuration => {
                return Err(EngineError::no_health());
            }
        };
        let limit = statement.add_number(u64::try_from(query.limit).unwrap_or(u64::MAX));
        let names = plan.names().join(", ");
        Ok(format!("ORDER BY {order} DESC, {names} LIMIT {limit}"))
    }
}

/// The sums of the measures with their names.
fn sums() -> String {
    let columns = MEASURES.iter().enumerate();
    let sums: Vec<String> = columns
        .map(|(at, column)| format!("sum({column}) AS s{at}"))
        .collect();
    sums.join(", ")
}

fn measures([bytes, packets, connections]: [u64; 3]) -> EdgeValues {
    let measures = Measures {
        bytes,
        packets,
        connections,
    };
    measures.into()
}

fn labels(row: &Row, count: usize) -> Vec<String> {
    (0..count).map(|at| row.text(at).to_owned()).collect()
}

fn edge(row: &Row, count: usize) -> GroupedEdge {
    GroupedEdge {
        labels: labels(row, count),
        sum: measures([0, 1, 2].map(|at| row.number(count + at))),
        points: Vec::new(),
    }
}

fn add_points(answer: &mut EdgesAnswer, rows: &[Row], count: usize) {
    let begins =
        (0..(answer.to - answer.from) / answer.step).map(|at| answer.from + at * answer.step);
    let zeros: Vec<TimePoint> = begins.map(|begin| (begin, EdgeValues::default())).collect();
    let mut edges: HashMap<Vec<String>, &mut Vec<TimePoint>> = HashMap::new();
    for edge in &mut answer.edges {
        edge.points.clone_from(&zeros);
        edges.insert(edge.labels.clone(), &mut edge.points);
    }
    for row in rows {
        let at = usize::try_from(row.number(count + MEASURES.len())).unwrap_or(usize::MAX);
        let points = edges.get_mut(&labels(row, count));
        if let Some((_, sum)) = points.and_then(|points| points.get_mut(at)) {
            *sum = measures([0, 1, 2].map(|at| row.number(count + at)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::TimeBounds;

    const NOW: u64 = 1_700_000_000_000;

    fn plan(minutes: i64, group_by: &str, filter: &str, points: usize) -> Result<Plan, String> {
        let group_by = group_by.split(',').map(|field| field.parse().unwrap());
        let query = EdgesQuery {
            time: TimeBounds {
                from: -minutes * 60_000,
                to: None,
            },
            group_by: group_by.collect(),
            filter: (!filter.is_empty()).then(|| filter.parse().unwrap()),
            order: Order::Bytes,
            limit: 10,
            points,
        };
        Plan::new(&query, NOW).map_err(|error| error.to_string())
    }

    #[test]
    fn the_smallest_table_that_has_all_fields_answers() {
        let border = r#"direction == "egress""#;
        for (minutes, group_by, filter, points, table) in [
            (15, "src.workload", "", 0, "flows"),
            (60, "src.workload", "", 0, "workloads_1m"),
            (60, "src.workload", "port == 5", 0, "flows"),
            (60, "src.pod", "", 0, "flows"),
            (7 * 1440, "src.workload,class", "", 100, "workloads_1h"),
            (7 * 1440, "src.zone,scope", "", 0, "zones_1h"),
            (7 * 1440, "src.zone,class", "", 0, "flows"),
            (7 * 1440, "external.country", "", 0, "flows"),
            (7 * 1440, "external.country", border, 0, "externals_1h"),
            (
                7 * 1440,
                "external.country",
                r#"direction == "egress" || external.name == "a""#,
                0,
                "flows",
            ),
        ] {
            let plan = plan(minutes, group_by, filter, points).unwrap();
            assert_eq!(plan.table.name(), table, "{group_by} {filter}");
        }
        let error = plan(15, "src.class", "", 0).map(|_| ()).unwrap_err();
        assert_eq!(
            error,
            "invalid group_by: src.class is not kept in this history"
        );
    }

    #[test]
    fn points_are_whole_intervals_and_not_more_than_requested() {
        for minutes in [1, 7, 59, 60, 1000, 100_000] {
            for points in [2, 3, 60, 499] {
                let plan = plan(minutes, "src.workload", "", points).unwrap();
                let count = (plan.to - plan.from) / plan.step;
                let wanted = u64::try_from(points).unwrap();
                assert!(count <= wanted, "{count} for {wanted} in {minutes}");
                assert_eq!(plan.from % plan.step, 0);
                assert_eq!(plan.step % unit_of(plan.table), 0);
                assert!(plan.from <= NOW - u64::try_from(minutes).unwrap() * 60_000);
                assert!(plan.to >= NOW);
            }
        }
    }
}
