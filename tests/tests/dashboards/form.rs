//! Dashboards as Grafana wants them, each of its own and explained.

use std::path::PathBuf;
use std::process::Command;

use kipfix_tests::{program, skip};
use serde_json::Value;

use crate::page;

fn dashboards() -> Vec<PathBuf> {
    let files = std::fs::read_dir(page("grafana")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    paths
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect()
}

/// Grafana's own schema (`schema.go`) knows every field, and misses none.
#[test]
fn every_dashboard_is_as_grafana_would_have_saved_it() {
    let schema = match program::built_by("go_program.sh schema") {
        Ok(schema) => schema,
        Err(reason) => {
            return skip(&reason);
        }
    };
    program::output(Command::new(&schema).args(dashboards()));
    // It would say so.
    let folder = tempfile::tempdir().unwrap();
    let misspelt = folder.path().join("misspelt.json");
    let text = std::fs::read_to_string(page("grafana/kipfix-overview.json")).unwrap();
    std::fs::write(&misspelt, text.replacen("\"legend\"", "\"legends\"", 1)).unwrap();
    let refused = Command::new(schema).arg(misspelt).output().unwrap();
    assert!(!refused.status.success());
    let printed = String::from_utf8(refused.stderr).unwrap();
    assert!(printed.contains("unexpected field"), "{printed}");
}

#[test]
fn every_dashboard_has_its_own_id_and_a_description() {
    let mut uids = Vec::new();
    for path in dashboards() {
        let text = std::fs::read_to_string(&path).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        uids.push(dashboard["uid"].as_str().unwrap().to_owned());
        assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 39);
        for panel in dashboard["panels"].as_array().unwrap() {
            if panel["type"] == "row" {
                continue;
            }
            let description = panel["description"].as_str().unwrap_or_default();
            assert!(
                !description.is_empty(),
                "{}: {}",
                path.display(),
                panel["title"]
            );
            assert_eq!(panel["datasource"]["type"], "prometheus");
        }
    }
    let count = uids.len();
    uids.sort();
    uids.dedup();
    assert_eq!(uids.len(), count);
    assert!(count >= 6);
}
