//! The tables and the intervals that answer a query for edges.

use super::columns::FieldSql;
use super::tables::{Table, TableKind};
use super::{Selection, not_kept, resolved};
use crate::aggregate::expression::{Expression, Matcher};
use crate::aggregate::field::Field;
use crate::history::error::HistoryError;
use crate::history::query::EdgesQuery;

/// Intervals of points begin at multiples of this, milliseconds, unless the table has longer ones.
const SECOND: u64 = 1000;

/// How a query is answered.
pub(super) struct Plan {
    /// The table with the traffic.
    pub(super) table: Table,
    /// That with the connection health.
    pub(super) health: Option<Table>,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) step: u64,
}

impl Plan {
    pub(super) fn new(query: &EdgesQuery, now: u64) -> Result<Self, HistoryError> {
        let (from, to) = resolved(query.time, now)?;
        let mut kinds = TableKind::TRAFFIC.into_iter();
        let table = kinds.find_map(|kind| {
            let table = Table::of(kind, (from, to), now)?;
            has_all(kind, query).then_some(table)
        });
        let table = table.unwrap_or(Table::FLOWS);
        labels(table, query)?;
        let health = table.health();
        if query.order.is_health() && health.is_none() {
            return Err(HistoryError::no_health());
        }
        let (from, to, step) = intervals((from, to), table, query.points);
        Ok(Self {
            table,
            health,
            from,
            to,
            step,
        })
    }

    /// The rows of one of its tables.
    pub(super) fn selection<'a>(&self, table: Table, query: &'a EdgesQuery) -> Selection<'a> {
        Selection {
            table,
            range: (self.from, self.to),
            filter: query.filter.as_ref(),
            only_counted: true,
        }
    }
}

/// The fields of the edges as texts of a table.
pub(super) fn labels(table: Table, query: &EdgesQuery) -> Result<Vec<String>, HistoryError> {
    let label = |field: &Field| {
        let sql = FieldSql::of(table.kind, field);
        sql.map(|sql| sql.label())
            .ok_or_else(|| not_kept("group_by", field))
    };
    query.group_by.iter().map(label).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Order, TimeBounds};

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
