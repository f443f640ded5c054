//! A generated file, and the Markdown in it.

use std::path::Path;

/// Writes the file for `make docs`, otherwise compares it.
pub(crate) fn keep(path: &str, generated: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("KIPFIX_WRITE_DOCS").is_some() {
        std::fs::write(&file, generated).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    let mut lines = committed.lines().zip(generated.lines()).enumerate();
    let differs = lines.find(|(_, (committed, generated))| committed != generated);
    assert!(
        committed == generated,
        "{path} is out of date: run `make docs`\n{}",
        differs.map_or_else(
            || "the lengths differ".to_owned(),
            |(at, (committed, generated))| format!(
                "line {}:\n  committed: {committed}\n  generated: {generated}",
                at + 1
            )
        )
    );
}

/// A Markdown table.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head.iter().map(|cell| (*cell).to_owned()).collect());
    text += &format!("|{}\n", "---|".repeat(head.len()));
    for row in rows {
        text += &line(row.iter().map(|cell| cell.replace('|', "\\|")).collect());
    }
    text
}
