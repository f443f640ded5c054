//! `docs/metrics.md`: the traffic metrics by preset, and the self-metrics of both daemons.

use clap::ValueEnum as _;
use kipfix_collector::aggregate::{FamilyDefinition, Preset};
use kipfix_collector::serve::info;
use kipfix_service::registry::Registry;
use kipfix_tests::prometheus::TARGET_LABELS;

use crate::generated::table;

const HEAD: &str = "\
# Metrics

Generated from the code by `make docs`. The formats are Prometheus text, OpenMetrics and Prometheus protobuf. Counters are exact integers.

## Traffic

Served by the collector, by preset (`--preset`, see [presets.md](presets.md)). Each record is counted once, by its authoritative
observer. A new series shows 0 for `--series-birth`, so that `increase()` includes its first value. Unknown labels are empty. A family
has `--max-series` series at most: beyond this limit, values are added to the label value `other`. A series is removed after
`--series-idle` without traffic, once a scrape has shown its final value. With `--cluster-name` all series have the label `cluster`.
";

const JOINED: &str = "
### Info metrics for joins

";

pub(crate) fn page() -> String {
    let mut text = HEAD.to_owned();
    for preset in Preset::value_variants() {
        let value = preset.to_possible_value().unwrap();
        let help = value.get_help().map(ToString::to_string);
        text += &format!("\n### Preset `{}`\n\n", value.get_name());
        text += &format!("{}.\n\n", help.unwrap_or_default().trim_end_matches('.'));
        let families = preset.definitions().into_iter();
        let rows: Vec<Vec<String>> = families
            .map(|family| {
                vec![
                    format!("`{}`", family.name),
                    <&str>::from(family.family_type).to_owned(),
                    family_labels(&family),
                    family.help,
                ]
            })
            .collect();
        text += &table(&["metric", "type", "labels", "description"], &rows);
    }
    text += JOINED;
    let rows: Vec<Vec<String>> = [
        (
            info::NODE_INFO,
            ["node_name", "zone", "region", "pool"].as_slice(),
        ),
        (info::NAMESPACE_INFO, &["workload_namespace", "group"]),
    ]
    .into_iter()
    .map(|((name, help), names)| {
        let names = labels(names.iter().copied());
        vec![format!("`{name}`"), names, help.to_owned()]
    })
    .collect();
    text += &table(&["gauge", "labels", "description"], &rows);
    let collector = kipfix_collector::settings::Settings::default();
    let collector = kipfix_collector::metrics::Metrics::new(&collector.limits()).unwrap();
    text += &section("Self-metrics of the collector", collector.registry());
    let probe = kipfix_probe::metrics::Metrics::new(Default::default(), 1).unwrap();
    text += &section("Self-metrics of the probe", probe.registry());
    text
}

fn section(title: &str, registry: &Registry) -> String {
    let rows: Vec<Vec<String>> = registry
        .families()
        .into_iter()
        .map(|family| {
            vec![
                format!("`{}`", family.name),
                family.kind.to_owned(),
                labels(family.labels.iter().map(String::as_str)),
                family.help,
            ]
        })
        .collect();
    let head = ["metric", "type", "labels", "description"];
    format!("\n## {title}\n\n{}", table(&head, &rows))
}

/// The labels of a family. Those of other programs' families may be target labels.
fn family_labels(family: &FamilyDefinition) -> String {
    let names = family.labels.iter().map(|label| label.name());
    if family.name.starts_with("kipfix_") {
        return labels(names);
    }
    let quoted: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    quoted.join(" ")
}

fn labels<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let quoted = |name: &str| {
        assert!(!TARGET_LABELS.contains(&name), "{name} is a target label");
        format!("`{name}`")
    };
    let names: Vec<String> = names.map(quoted).collect();
    names.join(" ")
}
