//! The components of a binary as a CycloneDX 1.5 document: the crates that `cargo metadata`
//! resolves for its target, and libpcap if it is linked.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// Creates the document for a package of the workspace. `metadata` is the output of `cargo metadata
/// --filter-platform`, `lock` the text of Cargo.lock, for the checksums of crates, and `libpcap`
/// its version, if it is linked.
///
/// # Errors
/// If the metadata is incomplete or does not contain the package.
pub fn cyclonedx(
    metadata: &Value,
    lock: &str,
    package: &str,
    libpcap: Option<&str>,
) -> Result<Value> {
    let packages = list(metadata, "packages")?;
    let by_id: BTreeMap<&str, &Value> = packages
        .iter()
        .filter_map(|package| Some((package.get("id")?.as_str()?, package)))
        .collect();
    let nodes = list(metadata.get("resolve").context("no resolve")?, "nodes")?;
    let uses: BTreeMap<&str, Vec<&str>> = nodes
        .iter()
        .filter_map(|node| Some((node.get("id")?.as_str()?, linked(node))))
        .collect();
    let root = packages
        .iter()
        .find(|candidate| text(candidate, "name") == package)
        .with_context(|| format!("no package {package}"))?;
    let mut reached = BTreeSet::new();
    let mut next = vec![text(root, "id")];
    while let Some(id) = next.pop() {
        if reached.insert(id) {
            next.extend(uses.get(id).into_iter().flatten());
        }
    }
    let checksums = checksums(lock);
    let mut components: Vec<Value> = reached
        .iter()
        .filter(|id| **id != text(root, "id"))
        .filter_map(|id| by_id.get(id))
        .map(|package| component(package, "library", &checksums))
        .collect();
    if let Some(version) = libpcap {
        components.push(json!({
            "type": "library",
            "bom-ref": "libpcap",
            "name": "libpcap",
            "version": version,
            "licenses": [{"expression": "BSD-3-Clause"}],
            "purl": format!("pkg:generic/libpcap@{version}"),
        }));
    }
    let dependencies: Vec<Value> = reached
        .iter()
        .filter_map(|id| Some((by_id.get(id)?, uses.get(id)?)))
        .map(|(package, used)| {
            let on: BTreeSet<String> = used
                .iter()
                .filter_map(|id| by_id.get(id))
                .map(|used| purl(used))
                .collect();
            json!({"ref": purl(package), "dependsOn": on})
        })
        .collect();
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(root, "application", &checksums)},
        "components": components,
        "dependencies": dependencies,
    }))
}

/// The linked dependencies of a node, without those of tests and build scripts.
fn linked(node: &Value) -> Vec<&str> {
    let links = |dependency: &&Value| {
        let kinds = dependency.get("dep_kinds").and_then(Value::as_array);
        kinds.is_some_and(|kinds| {
            kinds
                .iter()
                .any(|kind| kind.get("kind") == Some(&Value::Null))
        })
    };
    let dependencies = node.get("deps").and_then(Value::as_array);
    let dependencies = dependencies.into_iter().flatten().filter(links);
    dependencies
        .map(|dependency| text(dependency, "pkg"))
        .collect()
}

fn component(package: &Value, kind: &str, checksums: &BTreeMap<(&str, &str), &str>) -> Value {
    let (name, version) = (text(package, "name"), text(package, "version"));
    let mut component = json!({
        "type": kind,
        "bom-ref": purl(package),
        "name": name,
        "version": version,
        "purl": purl(package),
    });
    if let Some(component) = component.as_object_mut() {
        // Old crates separate licences by a slash instead of an SPDX expression.
        let license = text(package, "license").replace('/', " OR ");
        if !license.is_empty() {
            component.insert("licenses".to_owned(), json!([{"expression": license}]));
        }
        if let Some(checksum) = checksums.get(&(name, version)) {
            let hash = json!([{"alg": "SHA-256", "content": checksum}]);
            component.insert("hashes".to_owned(), hash);
        }
    }
    component
}

fn purl(package: &Value) -> String {
    format!(
        "pkg:cargo/{}@{}",
        text(package, "name"),
        text(package, "version")
    )
}

/// Checksums by name and version. The lock file has one line for each, in this order.
fn checksums(lock: &str) -> BTreeMap<(&str, &str), &str> {
    let mut found = BTreeMap::new();
    let (mut name, mut version) = ("", "");
    for line in lock.lines() {
        let Some((key, value)) = line.split_once(" = ") else {
            continue;
        };
        let value = value.trim_matches('"');
        match key {
            "name" => name = value,
            "version" => version = value,
            "checksum" => {
                found.insert((name, version), value);
            }
            _ => {}
        }
    }
    found
}

fn list<'a>(value: &'a Value, name: &str) -> Result<&'a Vec<Value>> {
    value
        .get(name)
        .and_then(Value::as_array)
        .with_context(|| format!("no list of {name}"))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linked_crates_are_listed_and_dev_dependencies_are_not() {
        let package = |name: &str| json!({"id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0"});
        let uses = |name: &str, kind: Value| json!({"pkg": name, "dep_kinds": [{"kind": kind}]});
        let metadata = json!({
            "packages": [package("ours"), package("linked"), package("deep"), package("tested"), package("other")],
            "resolve": {"nodes": [
                {"id": "ours", "deps": [uses("linked", Value::Null), uses("tested", json!("dev"))]},
                {"id": "linked", "deps": [uses("deep", Value::Null)]},
                {"id": "deep", "deps": []},
                {"id": "other", "deps": []},
            ]},
        });
        let lock = "[[package]]\nname = \"deep\"\nversion = \"1.0.0\"\nchecksum = \"abc\"\n";
        let sbom = cyclonedx(&metadata, lock, "ours", Some("1.10.3")).unwrap();
        let names: Vec<&str> = list(&sbom, "components")
            .unwrap()
            .iter()
            .map(|c| text(c, "name"))
            .collect();
        assert_eq!(names, ["deep", "linked", "libpcap"]);
        let deep = sbom.pointer("/components/0").unwrap();
        assert_eq!(deep.pointer("/hashes/0/content"), Some(&json!("abc")));
        assert_eq!(
            deep.pointer("/licenses/0/expression"),
            Some(&json!("MIT OR Apache-2.0"))
        );
        assert!(cyclonedx(&metadata, lock, "absent", None).is_err());
    }
}
