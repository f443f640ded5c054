//! Writes settings as YAML. Scalars have their JSON form, so that a string such as `on` or `1e3`
//! stays a string when the file is read.

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;

/// Returns one line per setting and per list entry.
pub(super) fn text(settings: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut text = String::new();
    if let Value::Object(fields) = serde_json::to_value(settings)? {
        for (key, value) in &fields {
            write_setting(key, value, &mut text);
        }
    }
    Ok(text)
}

fn write_setting(key: &str, value: &Value, text: &mut String) {
    // Writing to a String cannot fail.
    match value {
        Value::Array(items) if !items.is_empty() => {
            writeln!(text, "{key}:").ok();
            for item in items {
                writeln!(text, "  - {}", scalar(item)).ok();
            }
        }
        value => {
            writeln!(text, "{key}: {}", scalar(value)).ok();
        }
    }
}

/// A value as JSON, with escapes for the characters that YAML does not allow (YAML 1.2 §5.1).
fn scalar(value: &Value) -> String {
    let mut text = String::new();
    for character in value.to_string().chars() {
        match character {
            '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' | '\u{feff}' => {
                write!(text, "\\u{:04x}", u32::from(character)).ok();
            }
            character => text.push(character),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_setting_and_every_list_entry_is_a_line() {
        let settings = json!({
            "admin": "127.0.0.1:9473",
            "biflow": false,
            "export": ["udp://c:4739", "stdout:"],
            "max_flows": 5,
            "node_name": null,
            "read": [],
        });
        let expected = "\
admin: \"127.0.0.1:9473\"
biflow: false
export:
  - \"udp://c:4739\"
  - \"stdout:\"
max_flows: 5
node_name: null
read: []
";
        assert_eq!(text(&settings).unwrap(), expected);
    }
}
