//! JSON schemas for kubeconform from the `/openapi/v2` of an API server, including custom
//! resources. Unknown fields are not allowed. Optional fields can be null, as in the server.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

const MACHINERY: &str = "io.k8s.apimachinery.pkg.";

/// Writes a schema for each kind into a directory, for `kubeconform -schema-location
/// FOLDER/{{.ResourceKind}}{{.KindSuffix}}.json`. Returns their number.
pub fn write(openapi: &str, folder: &Path) -> usize {
    let openapi: Value = serde_json::from_str(openapi).expect("JSON");
    let definitions = openapi["definitions"].as_object().expect("definitions");
    let mut strict = Map::new();
    for (name, definition) in definitions {
        let schema = match name.strip_prefix(MACHINERY) {
            Some("util.intstr.IntOrString") => {
                json!({"oneOf": [{"type": "string"}, {"type": "integer"}]})
            }
            Some("api.resource.Quantity") => {
                json!({"oneOf": [{"type": "string"}, {"type": "number"}]})
            }
            _ => strictly(definition),
        };
        strict.insert(name.clone(), schema);
    }
    let store = |name: &str, schema: &Value| {
        fs::write(folder.join(name), schema.to_string()).expect("a schema can be written");
    };
    store("_definitions.json", &json!({"definitions": strict}));
    let mut count = 0;
    for (name, definition) in definitions {
        let kinds = definition["x-kubernetes-group-version-kind"].as_array();
        for kind in kinds.into_iter().flatten() {
            let text = |field: &str| kind[field].as_str().unwrap_or_default();
            let (group, version, kind) = (text("group"), text("version"), text("kind"));
            let mut schema = elsewhere(&strict[name]);
            let Some(properties) = schema["properties"].as_object_mut() else {
                continue;
            };
            if !properties.contains_key("kind") {
                continue;
            }
            let api_version = match group {
                "" => version.to_owned(),
                _ => format!("{group}/{version}"),
            };
            properties.insert("kind".to_owned(), json!({"enum": [kind]}));
            properties.insert("apiVersion".to_owned(), json!({"enum": [api_version]}));
            let group = group.split('.').next().unwrap_or_default();
            let suffix = [group, version].into_iter().filter(|part| !part.is_empty());
            let suffix = suffix.collect::<Vec<_>>().join("-");
            store(&format!("{}-{suffix}.json", kind.to_lowercase()), &schema);
            count += 1;
        }
    }
    count
}

/// Removes server-side members from a schema and disallows unknown fields.
fn strictly(schema: &Value) -> Value {
    let members = match schema {
        Value::Array(items) => return items.iter().map(strictly).collect(),
        Value::Object(members) => members,
        other => return other.clone(),
    };
    let keeps_unknown = members.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
    if members.get("x-kubernetes-int-or-string") == Some(&json!(true)) {
        return json!({"oneOf": [{"type": "string"}, {"type": "integer"}]});
    }
    let mut out = Map::new();
    for (name, member) in members {
        if name.starts_with("x-kubernetes")
            || matches!(name.as_str(), "description" | "default" | "format")
        {
            continue;
        }
        let member = match (name.as_str(), member) {
            ("properties", Value::Object(properties)) => properties
                .iter()
                .map(|(name, property)| (name.clone(), strictly(property)))
                .collect(),
            _ => strictly(member),
        };
        out.insert(name.clone(), member);
    }
    let required = out.get("required").cloned().unwrap_or(json!([]));
    if let Some(Value::Object(properties)) = out.get_mut("properties") {
        for (name, property) in properties {
            let is_required = required
                .as_array()
                .is_some_and(|all| all.contains(&json!(name)));
            if !is_required && let Some(Value::String(kind)) = property.get("type") {
                property["type"] = json!([kind, "null"]);
            }
        }
        if !keeps_unknown && !out.contains_key("additionalProperties") {
            out.insert("additionalProperties".to_owned(), json!(false));
        }
    }
    Value::Object(out)
}

/// Replaces references by references to the file of definitions.
fn elsewhere(schema: &Value) -> Value {
    match schema {
        Value::Array(items) => items.iter().map(elsewhere).collect(),
        Value::Object(members) => {
            let member = |(name, member): (&String, &Value)| match (name.as_str(), member) {
                ("$ref", Value::String(to)) => {
                    (name.clone(), json!(format!("_definitions.json{to}")))
                }
                _ => (name.clone(), elsewhere(member)),
            };
            members.iter().map(member).collect()
        }
        other => other.clone(),
    }
}
