//! What the user of a live table has chosen.

use super::keys::Key;
use super::table::Table;

/// What a program has to do after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Draw again.
    Draw,
    /// Another view was chosen: its rows are needed.
    View,
    /// End.
    Quit,
}

/// View, order, filter and position.
#[derive(Clone, Debug)]
pub struct Browser {
    views: usize,
    view: usize,
    /// Column by which each view is ordered.
    sorted: Vec<usize>,
    is_reversed: bool,
    filter: String,
    /// The filter is being typed.
    is_typing: bool,
    is_paused: bool,
    first_row: usize,
    /// Rows that were shown.
    page: usize,
}

/// Keys, for the last line.
const KEYS: &str = "q quit  Tab view  \u{2190}\u{2192} sort  r reverse  / filter  p pause";
/// Maximum number of characters of a filter.
const MAX_FILTER: usize = 100;

impl Browser {
    /// Begins with a view. `sorted` has the column by which each view is ordered.
    #[must_use]
    pub const fn new(view: usize, sorted: Vec<usize>) -> Self {
        Self {
            views: sorted.len(),
            view,
            sorted,
            is_reversed: false,
            filter: String::new(),
            is_typing: false,
            is_paused: false,
            first_row: 0,
            page: 1,
        }
    }

    /// The view.
    #[must_use]
    pub const fn view(&self) -> usize {
        self.view
    }

    /// The rows are not to be replaced.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Takes a key.
    pub fn press(&mut self, key: Key) -> Action {
        if key == Key::Interrupt {
            return Action::Quit;
        }
        if self.is_typing {
            self.type_filter(key);
            return Action::Draw;
        }
        match key {
            Key::Character('q') => return Action::Quit,
            Key::Escape if self.filter.is_empty() => return Action::Quit,
            Key::Escape => self.filter.clear(),
            Key::Tab => {
                self.view = (self.view + 1) % self.views.max(1);
                self.first_row = 0;
                return Action::View;
            }
            Key::Character('/') => self.is_typing = true,
            Key::Character('p' | ' ') => self.is_paused = !self.is_paused,
            Key::Character('r') => self.is_reversed = !self.is_reversed,
            Key::Right | Key::Character('>') => self.sort_by(|column| column.saturating_add(1)),
            Key::Left | Key::Character('<') => self.sort_by(|column| column.saturating_sub(1)),
            Key::Up => self.first_row = self.first_row.saturating_sub(1),
            Key::Down => self.first_row = self.first_row.saturating_add(1),
            Key::PageUp => self.first_row = self.first_row.saturating_sub(self.page),
            Key::PageDown => self.first_row = self.first_row.saturating_add(self.page),
            Key::Home => self.first_row = 0,
            Key::End => self.first_row = usize::MAX,
            _ => {}
        }
        Action::Draw
    }

    fn type_filter(&mut self, key: Key) {
        match key {
            Key::Enter => self.is_typing = false,
            Key::Escape => {
                self.is_typing = false;
                self.filter.clear();
            }
            Key::Backspace => drop(self.filter.pop()),
            Key::Character(c) if self.filter.chars().count() < MAX_FILTER => self.filter.push(c),
            _ => {}
        }
        self.first_row = 0;
    }

    fn sort_by(&mut self, change: impl Fn(usize) -> usize) {
        if let Some(column) = self.sorted.get_mut(self.view) {
            *column = change(*column);
        }
    }

    /// The lines of a screen: `title`, the table, and the keys.
    pub fn lines(
        &mut self,
        title: &str,
        mut table: Table,
        (width, height): (usize, usize),
    ) -> Vec<String> {
        table.filter(&self.filter);
        let last = table.columns.len().saturating_sub(1);
        let mut column = 0;
        if let Some(sorted) = self.sorted.get_mut(self.view) {
            *sorted = (*sorted).min(last);
            column = *sorted;
        }
        table.sort(column, self.is_reversed);
        // Title, heading, and keys.
        self.page = height.saturating_sub(3).max(1);
        let rows = table.rows.len();
        self.first_row = self.first_row.min(rows.saturating_sub(self.page));
        let mut lines = vec![title.to_owned()];
        let mut all = table.lines(Some(width), Some(column)).into_iter();
        lines.extend(all.next());
        lines.extend(all.skip(self.first_row).take(self.page));
        lines.resize(height.saturating_sub(1).max(2), String::new());
        lines.push(self.status(rows));
        lines
    }

    fn status(&self, rows: usize) -> String {
        if self.is_typing {
            return format!("filter: {}\u{2588}", self.filter);
        }
        let mut parts = vec![format!("{rows} rows")];
        if !self.filter.is_empty() {
            parts.push(format!("filter: {}", self.filter));
        }
        if self.is_paused {
            parts.push("paused".into());
        }
        parts.push(KEYS.into());
        parts.join("  |  ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::table::{Cell, Column};

    fn table(rows: u64) -> Table {
        let column = |name, is_number| Column { name, is_number };
        Table {
            columns: vec![column("NAME", false), column("BYTES", true)],
            rows: (0..rows)
                .map(|at| {
                    let name = Cell::text(&format!("row-{at}"));
                    vec![name, Cell::number(at, at.to_string())]
                })
                .collect(),
        }
    }

    fn press(browser: &mut Browser, keys: &str) {
        for key in keys.chars() {
            assert_eq!(browser.press(Key::Character(key)), Action::Draw);
        }
    }

    #[test]
    fn the_screen_has_the_largest_rows_between_title_and_keys() {
        let mut browser = Browser::new(0, vec![1]);
        let lines = browser.lines("title", table(10), (80, 6));
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[0], "title");
        assert!(lines[1].starts_with("NAME") && lines[1].contains("BYTES*"));
        assert!(lines[2].starts_with("row-9"), "{lines:?}");
        assert!(lines[5].starts_with("10 rows  |  q quit"), "{lines:?}");
        browser.press(Key::PageDown);
        assert!(browser.lines("", table(10), (80, 6))[2].starts_with("row-6"));
        browser.press(Key::End);
        assert!(browser.lines("", table(10), (80, 6))[4].starts_with("row-0"));
        browser.press(Key::Home);
        press(&mut browser, "r");
        assert!(browser.lines("", table(10), (80, 6))[2].starts_with("row-0"));
        press(&mut browser, "r<");
        assert!(browser.lines("", table(10), (80, 6))[1].starts_with("NAME*"));
        assert_eq!(browser.lines("", table(1), (5, 1)).len(), 3);
    }

    #[test]
    fn a_filter_is_typed_and_removed() {
        let mut browser = Browser::new(0, vec![1]);
        press(&mut browser, "/ro");
        assert!(browser.lines("", table(3), (80, 6))[5].starts_with("filter: ro"));
        press(&mut browser, "q");
        browser.press(Key::Backspace);
        press(&mut browser, "w-2");
        browser.press(Key::Enter);
        let lines = browser.lines("", table(3), (80, 6));
        assert!(
            lines[5].starts_with("1 rows  |  filter: row-2"),
            "{lines:?}"
        );
        assert_eq!(browser.press(Key::Escape), Action::Draw);
        assert!(browser.lines("", table(3), (80, 6))[5].starts_with("3 rows"));
        assert_eq!(browser.press(Key::Escape), Action::Quit);
    }

    #[test]
    fn views_have_their_own_order_and_pause_keeps_rows() {
        let mut browser = Browser::new(1, vec![0, 1]);
        assert_eq!(browser.press(Key::Tab), Action::View);
        assert_eq!(browser.view(), 0);
        browser.press(Key::Right);
        browser.press(Key::Right);
        assert!(browser.lines("", table(1), (80, 6))[1].contains("BYTES*"));
        press(&mut browser, "p");
        assert!(browser.is_paused());
        press(&mut browser, "/q");
        assert_eq!(browser.press(Key::Interrupt), Action::Quit);
    }
}
