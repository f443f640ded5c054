//! Settings as YAML. Scalars are written as JSON has them, which YAML 1.2 reads as they are meant: no
//! word such as `on` or `1e3` changes its type on the way back.

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;

/// One line a setting, one line an entry of a list.
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
                writeln!(text, "  - {item}").ok();
            }
        }
        value => {
            writeln!(text, "{key}: {value}").ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_setting_is_a_line_and_every_entry_of_a_list_too() {
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
