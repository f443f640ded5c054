//! A table as lines of text.

use std::cmp::{Ordering, Reverse};

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its heading.
    pub name: &'static str,
    /// Numbers are aligned to the right, and the largest come first.
    pub is_number: bool,
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// As it is shown.
    pub text: String,
    /// By what numbers are ordered.
    pub value: u64,
}

impl Cell {
    /// A text. Control characters become `?`, so that no name changes the terminal.
    #[must_use]
    pub fn text(text: &str) -> Self {
        let shown = |c: char| if c.is_control() { '?' } else { c };
        Self {
            text: text.chars().map(shown).collect(),
            value: 0,
        }
    }

    /// A number, with what is shown for it.
    #[must_use]
    pub const fn number(value: u64, text: String) -> Self {
        Self { text, value }
    }
}

/// Rows with the same columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows. Each has a cell for each column.
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Orders the rows by a column: numbers from the largest to the smallest, texts by the
    /// alphabet. `is_reversed` turns that round.
    pub fn sort(&mut self, column: usize, is_reversed: bool) {
        let is_number = self
            .columns
            .get(column)
            .is_some_and(|column| column.is_number);
        let compare = |a: &Vec<Cell>, b: &Vec<Cell>| -> Ordering {
            let (a, b) = (a.get(column), b.get(column));
            let order = if is_number {
                let value = |cell: Option<&Cell>| Reverse(cell.map_or(0, |cell| cell.value));
                value(a).cmp(&value(b))
            } else {
                let text = |cell: Option<&Cell>| cell.map_or(String::new(), |c| c.text.clone());
                text(a).cmp(&text(b))
            };
            if is_reversed { order.reverse() } else { order }
        };
        self.rows.sort_by(compare);
    }

    /// Removes the rows of which no text contains `filter`, in any case.
    pub fn filter(&mut self, filter: &str) {
        let filter = filter.to_lowercase();
        self.rows.retain(|row| {
            row.iter()
                .any(|cell| cell.text.to_lowercase().contains(&filter))
        });
    }

    /// The heading and the rows. With `width`, lines fit: columns of numbers are left out, from the
    /// right, but not the one at `sorted` and not the only one. Then columns of text are cut.
    #[must_use]
    pub fn lines(&self, width: Option<usize>, sorted: Option<usize>) -> Vec<String> {
        let mut widths = self.natural_widths();
        if let Some(width) = width {
            self.leave_out(&mut widths, width, sorted);
            self.shrink(&mut widths, width);
        }
        let heading = self.columns.iter().enumerate().map(|(at, column)| {
            let mark = if sorted == Some(at) { "*" } else { "" };
            Cell::text(&format!("{}{mark}", column.name))
        });
        let heading: Vec<Cell> = heading.collect();
        let rows = std::iter::once(&heading).chain(&self.rows);
        rows.map(|row| self.line(row, &widths)).collect()
    }

    fn line(&self, row: &[Cell], widths: &[Option<usize>]) -> String {
        let mut line = String::new();
        let cells = row.iter().zip(widths).zip(&self.columns);
        for ((cell, width), column) in cells {
            let Some(width) = *width else { continue };
            if !line.is_empty() {
                line.push_str("  ");
            }
            let text = cut(&cell.text, width);
            line.push_str(&if column.is_number {
                format!("{text:>width$}")
            } else {
                format!("{text:<width$}")
            });
        }
        line.truncate(line.trim_end().len());
        line
    }

    /// The widths at which nothing is cut.
    fn natural_widths(&self) -> Vec<Option<usize>> {
        let columns = self.columns.iter().enumerate();
        let width = |(at, column): (usize, &Column)| {
            let cells = self.rows.iter().filter_map(|row| row.get(at));
            let texts = cells.map(|cell| cell.text.chars().count());
            // One more for the mark of the order.
            let heading = column.name.chars().count() + 1;
            Some(texts.max().unwrap_or(0).max(heading))
        };
        columns.map(width).collect()
    }

    /// Leaves out columns of numbers (`None`) until the texts have room for an IPv4 address with
    /// port.
    fn leave_out(&self, widths: &mut [Option<usize>], width: usize, sorted: Option<usize>) {
        const READABLE: usize = "192.168.100.100:65535".len();
        let needed = |(width, column): (Option<usize>, &Column)| {
            width.map(|width| {
                if column.is_number {
                    width
                } else {
                    width.min(READABLE)
                }
            })
        };
        let numbers = self.columns.iter().enumerate();
        let numbers: Vec<usize> = numbers
            .filter_map(|(at, column)| column.is_number.then_some(at))
            .collect();
        let kept = sorted
            .filter(|at| numbers.contains(at))
            .or(numbers.first().copied());
        for at in numbers.into_iter().rev().filter(|at| Some(*at) != kept) {
            let columns = widths.iter().copied().zip(&self.columns);
            if line_width(columns.filter_map(needed)) <= width {
                break;
            }
            if let Some(left_out) = widths.get_mut(at) {
                *left_out = None;
            }
        }
    }

    /// Makes the widest columns of text narrower.
    fn shrink(&self, widths: &mut [Option<usize>], width: usize) {
        /// Columns of text are not made narrower.
        const LEAST: usize = 8;
        while line_width(widths.iter().copied().flatten()) > width {
            let texts = widths.iter_mut().zip(&self.columns);
            let texts = texts.filter(|(_, column)| !column.is_number);
            let widest = texts.filter_map(|(width, _)| width.as_mut()).max();
            match widest {
                Some(widest) if *widest > LEAST => *widest -= 1,
                _ => break,
            }
        }
    }
}

/// The characters of a line whose columns have these widths.
fn line_width(widths: impl Iterator<Item = usize>) -> usize {
    widths
        .map(|width| width + 2)
        .sum::<usize>()
        .saturating_sub(2)
}

/// At most `width` characters. `…` replaces those in the middle: names differ in their start or
/// their end, and an address ends with the port.
fn cut(text: &str, width: usize) -> String {
    let count = text.chars().count();
    if count <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    let end = kept / 2;
    let start = text.chars().take(kept - end);
    start
        .chain(['…'])
        .chain(text.chars().skip(count - end))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let column = |name, is_number| Column { name, is_number };
        let row = |name: &str, value: u64| {
            vec![Cell::text(name), Cell::number(value, format!("{value} B"))]
        };
        Table {
            columns: vec![column("NAME", false), column("BYTES", true)],
            rows: vec![row("web", 7), row("database\n", 1000), row("cache", 20)],
        }
    }

    #[test]
    fn columns_are_aligned_and_the_order_is_marked() {
        let mut table = table();
        table.sort(1, false);
        assert_eq!(
            table.lines(None, Some(1)),
            [
                "NAME       BYTES*",
                "database?  1000 B",
                "cache        20 B",
                "web           7 B",
            ]
        );
        table.sort(0, true);
        assert!(table.lines(None, Some(0))[0].starts_with("NAME* "));
        assert!(table.lines(None, None)[1].starts_with("web"));
    }

    #[test]
    fn texts_are_cut_and_numbers_are_not() {
        let mut table = table();
        table.rows.truncate(2);
        let lines = table.lines(Some(16), None);
        assert_eq!(lines[2], "data…se?  1000 B");
        // A line that cannot fit is cut by the terminal.
        assert_eq!(table.lines(Some(5), None), lines);
    }

    #[test]
    fn a_narrow_terminal_shows_fewer_numbers_and_whole_addresses() {
        let column = |name, is_number| Column { name, is_number };
        let address = "192.168.100.100:65535";
        let number = Cell::number(1, "1".into());
        let table = Table {
            columns: vec![
                column("SOURCE", false),
                column("BYTES/S", true),
                column("SENT", true),
                column("RTT", true),
            ],
            rows: vec![vec![
                Cell::text(address),
                number.clone(),
                number.clone(),
                number,
            ]],
        };
        let heading = |width, sorted| {
            let lines = table.lines(Some(width), sorted);
            assert!(lines[1].starts_with(address), "{lines:?}");
            lines[0]
                .split_whitespace()
                .skip(1)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(heading(44, None), "BYTES/S SENT RTT");
        assert_eq!(heading(43, None), "BYTES/S SENT");
        // The column of the order stays, and so does one column of numbers.
        assert_eq!(heading(37, Some(3)), "BYTES/S RTT*");
        assert_eq!(heading(36, Some(3)), "RTT*");
        assert_eq!(heading(21 + 2 + 8, Some(0)), "BYTES/S");
        assert!(table.lines(Some(20), None)[1].starts_with("192.1…5535  "));
    }

    #[test]
    fn a_filter_ignores_case() {
        let mut table = table();
        table.filter("WE");
        assert_eq!(table.rows.len(), 1);
        table.filter("");
        assert_eq!(table.rows.len(), 1);
        table.filter("x");
        assert_eq!(table.lines(None, None), ["NAME    BYTES"]);
    }
}
