//! The columns of the tables, and the rows of an answer.

use kipfix_service::terminal::{Cell, Column, Table, bytes, decimal};

use super::api::{Answer, EdgeJson};
use super::view::View;

/// The name of a column, and what it shows of an edge.
type TextColumn = (&'static str, fn(&EdgeJson) -> String);

impl View {
    /// The columns of text, with what they show of an edge.
    fn texts(self) -> Vec<TextColumn> {
        match self {
            Self::Workloads => vec![
                ("SOURCE", |edge| workload(edge, "src")),
                ("DESTINATION", |edge| workload(edge, "dst")),
                ("CLASS", |edge| label(edge, "class").into()),
            ],
            Self::External => vec![
                ("WORKLOAD", |edge| workload(edge, "internal")),
                ("DIRECTION", |edge| label(edge, "direction").into()),
                ("EXTERNAL", |edge| {
                    or(label(edge, "external.name"), "-").into()
                }),
                ("AS", |edge| or(label(edge, "external.as_name"), "-").into()),
                ("COUNTRY", |edge| {
                    or(label(edge, "external.country"), "-").into()
                }),
            ],
            Self::Zones => vec![
                ("SOURCE", |edge| workload(edge, "src")),
                ("ZONE", |edge| label(edge, "src.zone").into()),
                ("DESTINATION", |edge| workload(edge, "dst")),
                ("TO ZONE", |edge| label(edge, "dst.zone").into()),
            ],
        }
    }

    /// The column by which rows are ordered at first: bytes per second.
    pub(super) fn sorted_column(self) -> usize {
        self.texts().len()
    }

    /// The rows of an answer.
    pub(super) fn table(self, answer: &Answer) -> Table {
        let texts = self.texts();
        let text = |(name, _): &TextColumn| Column {
            name,
            is_number: false,
        };
        let numbers = ["BYTES/S", "PACKETS/S", "CONN/S", "BYTES", "CONN"];
        let numbers = numbers.map(|name| Column {
            name,
            is_number: true,
        });
        let milliseconds = answer.milliseconds();
        let rate = |value: u64, shown: fn(u64, u64) -> String| {
            Cell::number(value, shown(value, milliseconds))
        };
        let row = |edge: &EdgeJson| {
            let texts = texts.iter().map(|(_, text)| Cell::text(&text(edge)));
            let numbers = [
                rate(edge.bytes, |value, range| bytes(per_second(value, range))),
                rate(edge.packets, tenths),
                rate(edge.connections, tenths),
                Cell::number(edge.bytes, bytes(edge.bytes)),
                Cell::number(edge.connections, edge.connections.to_string()),
            ];
            texts.chain(numbers).collect()
        };
        Table {
            columns: texts.iter().map(text).chain(numbers).collect(),
            rows: answer.edges.edges.iter().map(row).collect(),
        }
    }
}

fn label<'a>(edge: &'a EdgeJson, name: &str) -> &'a str {
    edge.labels.get(name).map_or("", |text| text)
}

/// Namespace and name of the workload of a side; its kind, if it has no name.
fn workload(edge: &EdgeJson, side: &str) -> String {
    let field = |field: &str| label(edge, &format!("{side}.{field}"));
    let name = or(field("workload"), or(field("kind"), "-"));
    match field("namespace") {
        "" => name.to_owned(),
        namespace => format!("{namespace}/{name}"),
    }
}

const fn or<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}

/// A rate, rounded to whole numbers.
fn per_second(value: u64, milliseconds: u64) -> u64 {
    let rate = u128::from(value) * 1000 / u128::from(milliseconds.max(1));
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// A rate with one decimal place.
fn tenths(value: u64, milliseconds: u64) -> String {
    decimal(per_second(value.saturating_mul(10), milliseconds))
}
