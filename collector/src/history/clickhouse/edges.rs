//! Edges: sums of the rows of a table by fields.

use std::collections::HashMap;

use super::ClickHouseHistory;
use super::client::Row;
use super::edge_plan::Plan;
use super::edge_sums::{SUMS, edge_values};
use crate::history::error::HistoryError;
use crate::history::measures::EdgeValues;
use crate::history::query::{EdgesAnswer, EdgesQuery, GroupedEdge, TimePoint};

impl ClickHouseHistory {
    /// Answers a query at the wall-clock time `now`, milliseconds since the epoch.
    ///
    /// # Errors
    /// The tables cannot answer it, or the server does not.
    pub async fn edges(&self, query: &EdgesQuery, now: u64) -> Result<EdgesAnswer, HistoryError> {
        let plan = Plan::new(query, now)?;
        let rows = self.client.rows(self.sums(&plan, query)?).await?;
        let count = query.group_by.len();
        let first = rows.first();
        let total = count + SUMS;
        let mut answer = EdgesAnswer {
            from: plan.from,
            to: plan.to,
            step: plan.step,
            total_edges: first.map_or(0, |row| {
                usize::try_from(row.number(total)).unwrap_or(usize::MAX)
            }),
            total: first.map_or_else(EdgeValues::default, |row| edge_values(row, total + 1)),
            edges: rows.iter().map(|row| edge(row, count)).collect(),
            gaps: Vec::new(),
        };
        if query.points > 0 && !answer.edges.is_empty() {
            let rows = self.client.rows(self.points(&plan, query)?).await?;
            add_points(&mut answer, &rows, count);
        }
        Ok(answer)
    }
}

fn texts(row: &Row, count: usize) -> Vec<String> {
    (0..count).map(|at| row.text(at).to_owned()).collect()
}

fn edge(row: &Row, count: usize) -> GroupedEdge {
    GroupedEdge {
        labels: texts(row, count),
        sum: edge_values(row, count),
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
        let at = usize::try_from(row.number(count + SUMS)).unwrap_or(usize::MAX);
        let points = edges.get_mut(&texts(row, count));
        if let Some((_, sum)) = points.and_then(|points| points.get_mut(at)) {
            *sum = edge_values(row, count);
        }
    }
}
