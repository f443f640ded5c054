//! History in ClickHouse: edges, records and endpoints from the tables of `deploy/clickhouse/`, for
//! all collectors and as long as they are kept.
//!
//! A query for edges is answered by the smallest table that has its fields and its time (`tables`):
//! sums by minute or hour, else the records. Connection health is in rows of its own. Values that
//! clients send are parameters of the statement (`statement`). Time, rows and octets of an answer
//! are limited by settings of the statement.

mod client;
mod columns;
mod condition;
mod edge_plan;
mod edge_sums;
mod edges;
mod endpoints;
mod flows;
mod settings;
mod statement;
mod tables;

use std::time::Duration;

use crate::aggregate::expression::Expression;
use crate::aggregate::field::Field;
use client::Client;
use columns::FieldSql;
use condition::condition;
pub use endpoints::{EndpointsQuery, SeenEndpoint};
pub use flows::FlowsQuery;
pub use settings::ClickHouseSettings;
use statement::Statement;
use tables::{Table, TableKind};

use super::error::HistoryError;
use super::query::TimeBounds;

/// Rows of a table.
#[derive(Clone, Copy, Debug)]
struct Selection<'a> {
    table: Table,
    /// Begin and end, Unix milliseconds.
    range: (u64, u64),
    /// The rows that are included. `None` includes all.
    filter: Option<&'a Expression>,
    /// Without the records that the metrics do not count.
    only_counted: bool,
}

/// The server.
#[derive(Debug)]
pub struct ClickHouseHistory {
    client: Client,
    database: String,
    /// Only its records are read. Empty for all.
    cluster: String,
    timeout: Duration,
}

impl ClickHouseHistory {
    /// Creates the client. If `cluster` is not empty, only records of that cluster are read.
    ///
    /// # Errors
    /// A file of the settings cannot be used.
    pub fn new(settings: &ClickHouseSettings, cluster: &str) -> anyhow::Result<Self> {
        Ok(Self {
            client: Client::new(settings)?,
            database: settings.database.clone(),
            cluster: cluster.to_owned(),
            timeout: settings.client.timeout,
        })
    }

    /// The fields by which edges can be grouped and filtered.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        Field::all().filter(Self::has).collect()
    }

    /// True if the value of a field is in the records.
    #[must_use]
    pub fn has(field: &Field) -> bool {
        FieldSql::of(TableKind::Flows, field).is_some()
    }

    /// `FROM` and `WHERE` of the selected rows.
    fn rows(
        &self,
        selection: &Selection<'_>,
        statement: &mut Statement,
    ) -> Result<String, HistoryError> {
        let table = selection.table;
        let (from, to) = selection.range;
        let [from, to] = [from, to].map(|time| statement.add_number(time));
        let mut conditions = vec![table.in_range(&from, &to)];
        // Sums have no other rows.
        if selection.only_counted && table.kind == TableKind::Flows {
            conditions.push("counted".to_owned());
        }
        if !self.cluster.is_empty() {
            let cluster = statement.add_text(&self.cluster);
            conditions.push(format!("clusterId = {cluster}"));
        }
        if let Some(filter) = selection.filter {
            let condition = condition(table.kind, filter.predicate(), statement);
            conditions.push(condition.map_err(|field| not_kept("filter", &field))?);
        }
        Ok(format!(
            "FROM {}.{} WHERE {}",
            self.database,
            table.name(),
            conditions.join(" AND ")
        ))
    }

    /// The settings that limit a statement.
    fn limits(&self) -> String {
        format!(
            "SETTINGS max_execution_time = {}, max_result_rows = {MAX_ROWS}, \
             max_result_bytes = {MAX_OCTETS}, result_overflow_mode = 'throw', \
             max_rows_to_group_by = {MAX_GROUPS}, group_by_overflow_mode = 'throw', \
             output_format_json_quote_64bit_integers = 0 FORMAT JSONCompact",
            self.timeout.as_secs()
        )
    }
}

/// Maximum number of rows of an answer.
const MAX_ROWS: usize = 200_000;
/// Maximum octets of an answer, as the server counts them.
const MAX_OCTETS: usize = 64 << 20;
/// Maximum number of groups while a statement runs.
const MAX_GROUPS: usize = 1_000_000;
/// The latest time of a range, Unix milliseconds: a `DateTime` is at most in the year 2106.
const MAX_TIME: u64 = 4_294_967_295_000;

fn not_kept(parameter: &'static str, field: &Field) -> HistoryError {
    HistoryError::Unanswerable {
        parameter,
        reason: format!("{field} is not kept in this history"),
    }
}

/// The range of a query, as far as the tables can have it.
fn resolved(time: TimeBounds, now: u64) -> Result<(u64, u64), HistoryError> {
    let (from, to) = time.resolve(now).ok_or(HistoryError::EmptyRange)?;
    let (from, to) = (from.min(MAX_TIME), to.min(MAX_TIME));
    if from >= to {
        return Err(HistoryError::EmptyRange);
    }
    Ok((from, to))
}
