//! Labels of pods and namespaces in metric families and in the flow log.

use kipfix_collector::aggregate::RecordFilter;
use kipfix_collector::emit::flow_log::LineSettings;

use super::harness::*;

/// What a collector leaves after a record in each direction.
fn end(setup: Setup) -> End {
    let mut collector = setup.start();
    for (node, address, record) in [
        ("node-a", NODE_A, record(WEB, DB, 1000)),
        ("node-b", NODE_B, record(DB, WEB, 300)),
    ] {
        let mut exporter = Exporter::new(node, address);
        exporter.export(&mut collector.pipeline, &[record], START);
    }
    collector.end()
}

#[test]
fn families_count_by_labels_of_pods_and_namespaces() {
    let end = end(Setup {
        metrics: "
- name: tier_bytes_total
  help: x
  value: bytes
  labels:
  - src.label[\"tier\"]
  - to=dst.label[\"app\"] ?? \"none\"
  - src.namespace_label[\"team\"]
  filter: src.label[\"tier\"] in [\"front\", \"back\"]
",
        ..Setup::new(offline())
    });
    let series: Vec<&str> = end
        .scrape
        .lines()
        .filter(|line| line.starts_with("tier_bytes_total{"))
        .collect();
    let expected = [
        r#"tier_bytes_total{src_label_tier="back",to="storefront",src_namespace_label_team="sales"} 300"#,
        r#"tier_bytes_total{src_label_tier="front",to="none",src_namespace_label_team="sales"} 1000"#,
    ];
    assert_eq!(series, expected);
}

#[test]
fn the_flow_log_has_the_labels_that_are_kept() {
    let lines = LineSettings {
        filter: Some(RecordFilter::new(
            r#"dst.label["tier"] == "back""#.parse().unwrap(),
        )),
        ..LineSettings::default()
    };
    let end = end(Setup {
        lines,
        pod_labels: &["tier", "name"],
        ..Setup::new(offline())
    });
    assert_eq!(end.lines.len(), 1);
    let line = &end.lines[0];
    let labels = serde_json::json!({"tier": "front", "name": "unused"});
    assert_eq!(line["sourceLabels"], labels);
    assert_eq!(
        line["destinationLabels"],
        serde_json::json!({"tier": "back"})
    );
    assert_eq!(line.get("sourceNamespaceLabels"), None);
}

#[test]
fn labels_that_are_not_kept_are_not_stored() {
    let end = end(Setup::new(offline()));
    for line in end.lines {
        assert_eq!(line.get("sourceLabels"), None);
        assert_eq!(line.get("sourceNamespaceLabels"), None);
    }
}
