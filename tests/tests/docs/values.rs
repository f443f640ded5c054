//! The comments in the values of the chart, from the schema.

use serde_json::Value;

/// Maximum number of characters of a line.
const WIDTH: usize = 100;

/// The values with the description of each key above it. Other comments than those at the start of
/// the file are replaced.
pub(crate) fn commented(values: &str, schema: &str) -> String {
    let schema: Value = serde_json::from_str(schema).unwrap();
    let (head, body) = values.split_once("\n\n").expect("a comment at the start");
    let mut text = format!("{head}\n");
    // The schemas of the maps that a line is in.
    let mut parents = vec![&schema];
    for line in body.lines() {
        let key = line.trim_start();
        if key.is_empty() || key.starts_with('#') {
            continue;
        }
        let indent = line.len() - key.len();
        let depth = indent / 2;
        let name = key.split_once(':').map_or(key, |(name, _)| name);
        // Deeper maps are those of Kubernetes, such as tolerations.
        if depth < parents.len() {
            parents.truncate(depth + 1);
            let of_key = &parents.last().expect("the schema of all values")["properties"][name];
            if depth == 0 {
                text.push('\n');
            }
            if let Some(description) = of_key["description"].as_str() {
                text += &comment(description, indent);
                parents.push(of_key);
            }
        }
        text += &format!("{line}\n");
    }
    text
}

/// A comment of lines that are not too long.
fn comment(text: &str, indent: usize) -> String {
    let start = format!("{:indent$}#", "");
    let mut lines = vec![start.clone()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("the first line");
        if last.chars().count() + 1 + word.chars().count() > WIDTH && *last != start {
            lines.push(format!("{start} {word}"));
        } else {
            *last += &format!(" {word}");
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}
