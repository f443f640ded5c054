//! Compares answers of the API with its OpenAPI document. Members that are not described are
//! mismatches.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// An OpenAPI document.
#[derive(Debug)]
pub struct Document(Value);

/// The members that an object may and must have.
#[derive(Default)]
struct Members<'a> {
    described: BTreeMap<&'a str, &'a Value>,
    required: BTreeSet<&'a str>,
    /// The schema of all other members.
    others: Option<&'a Value>,
}

impl Document {
    /// The document of a collector.
    #[must_use]
    pub const fn new(document: Value) -> Self {
        Self(document)
    }

    /// All paths with their operations.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let paths = self.0["paths"].as_object().expect("paths");
        paths.keys().map(String::as_str)
    }

    /// The names of the parameters of a path.
    #[must_use]
    pub fn parameters(&self, path: &str) -> Vec<&str> {
        let parameters = self.0["paths"][path]["get"]["parameters"].as_array();
        let all = parameters.into_iter().flatten();
        all.map(|parameter| parameter["name"].as_str().expect("a name"))
            .collect()
    }

    /// What of an answer the document does not describe, or describes differently. Empty if
    /// nothing.
    #[must_use]
    pub fn mismatches(
        &self,
        path: &str,
        status: u16,
        media_type: &str,
        body: &Value,
    ) -> Vec<String> {
        let response = &self.0["paths"][path]["get"]["responses"][status.to_string()];
        let content = &response["content"][media_type];
        if content.is_null() {
            return vec![format!("{path}: {status} {media_type} is not described")];
        }
        let mut found = Vec::new();
        self.compare(&content["schema"], body, path, &mut found);
        found
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(target) => {
                let target = self.0.pointer(target.trim_start_matches('#'));
                self.resolve(target.expect("a reference to a schema"))
            }
            None => schema,
        }
    }

    fn compare(&self, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
        let schema = self.resolve(schema);
        if let Some(choices) = schema["oneOf"].as_array() {
            let matches = |choice: &&Value| {
                let mut mismatches = Vec::new();
                self.compare(choice, value, at, &mut mismatches);
                mismatches.is_empty()
            };
            let count = choices.iter().filter(matches).count();
            if count != 1 {
                found.push(format!("{at}: {count} of the alternatives match {value}"));
            }
            return;
        }
        if !has_type(&schema["type"], value) {
            found.push(format!("{at}: {value} is not of type {}", schema["type"]));
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            found.push(format!("{at}: {value} is not one of {allowed:?}"));
        }
        match value {
            Value::Array(items) => {
                let first = schema["prefixItems"].as_array();
                for (index, item) in items.iter().enumerate() {
                    let of_item = first.and_then(|first| first.get(index));
                    let of_item = of_item.unwrap_or(&schema["items"]);
                    self.compare(of_item, item, &format!("{at}[{index}]"), found);
                }
                if schema["allOf"].is_array() {
                    found.push(format!("{at}: {value} is not an object"));
                }
            }
            Value::Object(object) => {
                let mut members = Members::default();
                self.gather(schema, &mut members);
                for (name, member) in object {
                    let at = format!("{at}.{name}");
                    match members.described.get(&**name).copied().or(members.others) {
                        Some(schema) => self.compare(schema, member, &at, found),
                        None => found.push(format!("{at} is not described")),
                    }
                }
                let missing = members
                    .required
                    .iter()
                    .filter(|name| !object.contains_key(**name));
                found.extend(missing.map(|name| format!("{at}.{name} is missing")));
            }
            _ => {
                let parts = schema["allOf"].as_array().into_iter().flatten();
                parts.for_each(|part| self.compare(part, value, at, found));
            }
        }
    }

    fn gather<'a>(&'a self, schema: &'a Value, members: &mut Members<'a>) {
        static ANYTHING: Value = Value::Bool(true);
        let schema = self.resolve(schema);
        let parts = schema["allOf"].as_array().into_iter().flatten();
        parts.for_each(|part| self.gather(part, members));
        let described = schema["properties"].as_object().into_iter().flatten();
        members
            .described
            .extend(described.map(|(name, schema)| (&**name, schema)));
        let required = schema["required"].as_array().into_iter().flatten();
        members.required.extend(required.filter_map(Value::as_str));
        match &schema["additionalProperties"] {
            Value::Null | Value::Bool(false) => {}
            Value::Bool(true) => members.others = Some(&ANYTHING),
            schema => members.others = Some(schema),
        }
    }
}

/// Whether a value has the type, or one of the types, of a schema. A schema without a type allows
/// any.
fn has_type(types: &Value, value: &Value) -> bool {
    let one = |name: &str| match value {
        Value::Null => name == "null",
        Value::Bool(_) => name == "boolean",
        Value::Number(number) => name == "number" || (name == "integer" && !number.is_f64()),
        Value::String(_) => name == "string",
        Value::Array(_) => name == "array",
        Value::Object(_) => name == "object",
    };
    match types {
        Value::String(name) => one(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(one),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mismatches(body: &Value) -> Vec<String> {
        let document = json!({
            "paths": {"/a": {"get": {"responses": {"200": {"content": {"application/json": {
                "schema": {"$ref": "#/components/schemas/A"}
            }}}}}}},
            "components": {"schemas": {
                "A": {"allOf": [
                    {"$ref": "#/components/schemas/B"},
                    {"type": "object", "required": ["n"], "properties": {
                        "n": {"type": ["integer", "null"]},
                        "l": {"type": "array", "items": {"type": "string"}},
                    }},
                ]},
                "B": {"type": "object", "properties": {"b": {"type": "boolean"}}},
            }}
        });
        Document::new(document).mismatches("/a", 200, "application/json", body)
    }

    #[test]
    fn an_answer_that_the_document_describes_matches() {
        for body in [json!({"n": 1}), json!({"n": null, "b": true, "l": ["x"]})] {
            assert_eq!(mismatches(&body), Vec::<String>::new(), "{body}");
        }
    }

    #[test]
    fn every_difference_is_found() {
        for body in [
            json!({}),
            json!({"n": "1"}),
            json!({"n": 1.5}),
            json!({"n": 1, "more": 1}),
            json!({"n": 1, "l": [1]}),
            json!({"n": 1, "b": null}),
            json!([]),
        ] {
            assert!(!mismatches(&body).is_empty(), "{body}");
        }
    }
}
