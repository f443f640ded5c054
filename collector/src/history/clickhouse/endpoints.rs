//! Endpoints that occur in records.

use flowproto::Address;

use super::client::Row;
use super::flows::parse_address;
use super::statement::Statement;
use super::tables::Table;
use super::{ClickHouseHistory, Selection, resolved};
use crate::history::error::HistoryError;
use crate::history::query::TimeBounds;

/// Maximum number of addresses of an endpoint.
const MAX_ADDRESSES: usize = 100;

/// A query for endpoints.
#[derive(Clone, Debug)]
pub struct EndpointsQuery {
    /// The time of the records.
    pub time: TimeBounds,
    /// Part of `NAMESPACE/NAME` of an endpoint or of its workload, in any case. Empty for all.
    pub search: String,
    /// Only endpoints with this address.
    pub address: Option<Address>,
    /// Maximum number of endpoints.
    pub limit: usize,
}

/// An endpoint of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenEndpoint {
    /// Namespace; empty if it has none.
    pub namespace: String,
    /// Kind of its workload, such as `Deployment`, `Node`, `Service` or `External`.
    pub workload_kind: String,
    /// Name of its workload.
    pub workload_name: String,
    /// Name of the pod; empty for other endpoints.
    pub pod: String,
    /// Its node in the last record.
    pub node: String,
    /// Its zone in the last record.
    pub zone: String,
    /// Its region in the last record.
    pub region: String,
    /// Its addresses, and the time of the first record of each, Unix milliseconds.
    pub addresses: Vec<(Address, u64)>,
    /// Time of its first record, Unix milliseconds.
    pub first: u64,
    /// Time of its last record, Unix milliseconds.
    pub last: u64,
}

/// The columns of an endpoint, without `source` or `destination`.
const COLUMNS: [&str; 8] = [
    "Namespace",
    "WorkloadKind",
    "WorkloadName",
    "PodName",
    "NodeName",
    "Zone",
    "Region",
    "Address",
];

impl ClickHouseHistory {
    /// The endpoints of records, by namespace and name, at the wall-clock time `now`, milliseconds
    /// since the epoch.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn endpoints(
        &self,
        query: &EndpointsQuery,
        now: u64,
    ) -> Result<Vec<SeenEndpoint>, HistoryError> {
        let range = resolved(query.time, now)?;
        let rows = self.client.rows(self.seen(query, range)?).await?;
        Ok(rows.iter().map(endpoint).collect())
    }

    fn seen(&self, query: &EndpointsQuery, range: (u64, u64)) -> Result<Statement, HistoryError> {
        let mut statement = Statement::default();
        let selection = Selection {
            table: Table::FLOWS,
            range,
            filter: None,
            only_counted: false,
        };
        let rows = self.rows(&selection, &mut statement)?;
        let mut condition = "e.3 != ''".to_owned();
        if !query.search.is_empty() {
            let search = statement.add_text(&query.search);
            condition.push_str(&format!(
                " AND (positionCaseInsensitiveUTF8(concat(e.1, '/', e.3), {search}) > 0 \
                 OR positionCaseInsensitiveUTF8(concat(e.1, '/', e.4), {search}) > 0)"
            ));
        }
        let mut of_address = String::new();
        if let Some(address) = query.address {
            let address = statement.add_address(address);
            condition.push_str(&format!(" AND e.8 = {address}"));
            // The table has indexes of its addresses.
            of_address =
                format!(" AND (sourceAddress = {address} OR destinationAddress = {address})");
        }
        let limit = u64::try_from(query.limit).unwrap_or(u64::MAX);
        let limit = statement.add_number(limit);
        let side = |side: &str| {
            let columns = COLUMNS.map(|column| match column {
                "Address" => format!("{side}{column}"),
                _ => format!("toString({side}{column})"),
            });
            format!("({})", columns.join(", "))
        };
        statement.text = format!(
            "SELECT e.1, e.2, e.3, e.4, argMax(e.5, last), argMax(e.6, last), argMax(e.7, last), \
             arraySlice(arraySort(p -> p.2, groupArray({MAX_ADDRESSES})((toString(e.8), first))), \
             1, {MAX_ADDRESSES}), min(first), max(last) \
             FROM (SELECT e, min(time) AS first, max(time) AS last FROM \
             (SELECT [{}, {}] AS ends, toUnixTimestamp64Milli(collectionTimeMilliseconds) AS time \
             {rows}{of_address}) ARRAY JOIN ends AS e WHERE {condition} GROUP BY e) \
             GROUP BY e.1, e.2, e.3, e.4 ORDER BY e.1, e.4, e.3, e.2 LIMIT {limit} {}",
            side("source"),
            side("destination"),
            self.limits()
        );
        Ok(statement)
    }
}

fn endpoint(row: &Row) -> SeenEndpoint {
    let text = |at| row.text(at).to_owned();
    let pairs = row.value(7).as_array();
    let addresses = pairs.into_iter().flatten().filter_map(|pair| {
        let first = super::client::number(pair.get(1)?);
        Some((parse_address(pair.get(0)?)?, first))
    });
    SeenEndpoint {
        namespace: text(0),
        workload_kind: text(1),
        workload_name: text(2),
        pod: text(3),
        node: text(4),
        zone: text(5),
        region: text(6),
        addresses: addresses.collect(),
        first: row.number(8),
        last: row.number(9),
    }
}
