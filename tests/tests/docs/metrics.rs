//! `docs/metrics.md`: the families that count traffic, by preset, and the self-metrics of both daemons.

use clap::ValueEnum as _;
use kipfix_collector::aggregate::Preset;
use kipfix_collector::serve::info;
use kipfix_service::registry::Registry;
use kipfix_tests::prometheus::TARGET_LABELS;

use crate::table;

const HEAD: &str = "\
# Metrics

Generated from the code by `make docs`. Prometheus text and OpenMetrics; every counter is exact and an integer.

## Traffic

Served by the collector, a preset (`--preset`) at a time. Each record is counted once, by its authoritative observer. A counter
appears with the first record that belongs to it, so `increase()` over a window in which it was born misses that first value. Labels that
are not known are empty. A family has at most `--max-series` series; what is new then counts under the label value `other`, and a series to which
nothing was added for `--series-idle` goes. With `--cluster-name` each series also has the label `cluster`.
";

const JOINED: &str = "
### What can be joined with it

";

pub(crate) fn page() -> String {
    let mut text = HEAD.to_owned();
    for preset in Preset::value_variants() {
        let value = preset.to_possible_value().unwrap();
        let help = value.get_help().map(ToString::to_string);
        text += &format!("\n### Preset `{}`\n\n", value.get_name());
        text += &format!("{}.\n\n", help.unwrap_or_default().trim_end_matches('.'));
        let families = preset.families().iter();
        let rows: Vec<Vec<String>> = families
            .map(|family| {
                vec![
                    format!("`{}`", family.name),
                    labels(family.labels.iter().map(|label| label.name)),
                    family.help.to_owned(),
                ]
            })
            .collect();
        text += &table(&["counter", "labels", "what it counts"], &rows);
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
    text += &table(&["gauge", "labels", "what it tells"], &rows);
    let collector = kipfix_collector::settings::Settings::default();
    let collector = kipfix_collector::metrics::Metrics::new(&collector.limits()).unwrap();
    text += &section("The collector, of itself", collector.registry());
    let probe = kipfix_probe::metrics::Metrics::new(Default::default()).unwrap();
    text += &section("The probe, of itself", probe.registry());
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
    let head = ["metric", "type", "labels", "what it tells"];
    format!("\n## {title}\n\n{}", table(&head, &rows))
}

fn labels<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let quoted = |name: &str| {
        assert!(!TARGET_LABELS.contains(&name), "{name} is the target's");
        format!("`{name}`")
    };
    let names: Vec<String> = names.map(quoted).collect();
    names.join(" ")
}
