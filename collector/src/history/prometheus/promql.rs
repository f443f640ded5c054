//! The text of queries.

use std::fmt::Write as _;

use super::families::{EdgeMeasure, Plan};
use crate::aggregate::expression::{MatchedValues, Matcher};

/// Milliseconds as seconds.
pub(super) fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

/// The growth of a measure over `milliseconds`, grouped as the plan has it.
pub(super) fn growth(
    plan: &Plan<'_>,
    (measure, name): (EdgeMeasure, &str),
    cluster: &str,
    milliseconds: u64,
) -> String {
    let alternatives = plan.alternatives().iter().map(|alternative| {
        let mut matchers: Vec<String> = alternative
            .iter()
            .filter_map(|matcher| Some(matcher_text(plan.label(&matcher.field)?, matcher)))
            .collect();
        if !cluster.is_empty() {
            matchers.push(format!("cluster={}", quoted(cluster)));
        }
        format!(
            "increase({name}{{{}}}[{milliseconds}ms])",
            matchers.join(",")
        )
    });
    let alternatives: Vec<String> = alternatives.collect();
    let labels = plan.labels().join(",");
    let factor = measure.factor();
    format!("sum by ({labels}) ({}){factor}", alternatives.join(" or "))
}

fn matcher_text(label: &str, matcher: &Matcher) -> String {
    let (operator, value) = match &matcher.values {
        MatchedValues::Regex(regex) => ("=~", regex.clone()),
        MatchedValues::OneOf(texts) if texts.len() == 1 => {
            let operator = if matcher.is_negative { "!=" } else { "=" };
            let text = texts.first().map_or("", |text| text);
            return format!("{label}{operator}{}", quoted(text));
        }
        MatchedValues::OneOf(texts) => {
            let texts: Vec<String> = texts.iter().map(|text| regex::escape(text)).collect();
            ("=~", texts.join("|"))
        }
    };
    let operator = if matcher.is_negative { "!~" } else { operator };
    format!("{label}{operator}{}", quoted(&value))
}

/// A text as a string of PromQL.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            '\n' => quoted.push_str("\\n"),
            // Writing to a String cannot fail.
            c if c.is_control() => drop(write!(quoted, "\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::{Preset, families};
    use crate::history::prometheus::families::{FamilySet, HEALTH, TRAFFIC};
    use crate::history::{EdgesQuery, Order, TimeBounds};
    use kipfix_service::settings::Span;

    fn text(group_by: &str, filter: &str) -> Result<String, String> {
        let presets = [Preset::Workloads, Preset::Zones, Preset::External];
        let families = families(&presets, &[], 1000, Span::from_secs(3600)).unwrap();
        let sets = FamilySet::of(&families);
        let group_by = group_by.split(',').map(|field| field.parse().unwrap());
        let query = EdgesQuery {
            time: TimeBounds {
                from: -1000,
                to: None,
            },
            group_by: group_by.collect(),
            filter: (!filter.is_empty()).then(|| filter.parse().unwrap()),
            order: Order::Bytes,
            limit: 10,
            points: 0,
        };
        let traffic = sets.iter().filter(|set| set.has_traffic());
        let plan = Plan::new(traffic, &query).map_err(|error| error.to_string())?;
        let measure = plan.measures(&TRAFFIC).next().unwrap();
        Ok(growth(&plan, measure, "c1", 90_000))
    }

    #[test]
    fn a_query_is_the_growth_of_the_family_with_its_labels() {
        assert_eq!(
            text("src.namespace,class", "").unwrap(),
            "sum by (src_namespace,class) (increase(kipfix_bytes_total{cluster=\"c1\"}[90000ms]))"
        );
        let filter = r#"src.namespace in ["a.b", "c"] && src.workload !~ "x\"y" || class == """#;
        assert_eq!(
            text("dst.workload", filter).unwrap(),
            "sum by (dst_workload) (\
             increase(kipfix_bytes_total{src_namespace=~\"a\\\\.b|c\",\
             src_workload!~\"x\\\"y\",cluster=\"c1\"}[90000ms]) or \
             increase(kipfix_bytes_total{class=\"\",cluster=\"c1\"}[90000ms]))"
        );
        assert_eq!(
            text(
                "internal.workload,external.name",
                r#"direction == "egress""#
            )
            .unwrap(),
            "sum by (workload,name) (increase(kipfix_external_bytes_total\
             {direction=\"egress\",cluster=\"c1\"}[90000ms]))"
        );
    }

    #[test]
    fn connection_health_is_read_from_the_families_that_have_it() {
        let text = |presets: &[Preset]| {
            let families = families(presets, &[], 1000, Span::from_secs(3600)).unwrap();
            let sets = FamilySet::of(&families);
            let query = EdgesQuery {
                time: TimeBounds {
                    from: -1000,
                    to: None,
                },
                group_by: vec!["src.namespace".parse().unwrap()],
                filter: None,
                order: Order::Bytes,
                limit: 10,
                points: 0,
            };
            let plan = Plan::new(sets.iter().filter(|set| set.has_health()), &query).ok()?;
            let measures = plan.measures(&HEALTH);
            let texts = measures.map(|measure| growth(&plan, measure, "", 1000));
            Some(texts.collect::<Vec<String>>())
        };
        assert_eq!(text(&[Preset::Workloads, Preset::External]), None);
        let texts = text(&[Preset::Workloads, Preset::Health]).unwrap();
        assert_eq!(texts.len(), HEALTH.len());
        assert_eq!(
            texts.first().unwrap(),
            "sum by (src_namespace) (increase(kipfix_retransmitted_packets_total{}[1000ms]))"
        );
        assert_eq!(
            texts.last().unwrap(),
            "sum by (src_namespace) (increase(kipfix_connection_duration_seconds_sum{}[1000ms])) * 1e3"
        );
    }

    #[test]
    fn a_query_that_no_family_answers_names_its_parameter() {
        for (group_by, filter, start) in [
            (
                "src.pod",
                "",
                "invalid group_by: no active preset has all of src.pod",
            ),
            ("src.namespace,external.name", "", "invalid group_by"),
            // The families of zones have octets only.
            ("src.zone", "", "invalid group_by"),
            (
                "class",
                r#"src.pod == "a""#,
                "invalid filter: no active preset",
            ),
            (
                "class",
                "src.kind == dst.kind",
                "invalid filter: two fields",
            ),
            (
                "external.name",
                "",
                "invalid filter: the active presets have a part",
            ),
            (
                "external.name",
                r#"direction == "internal""#,
                "invalid filter: the active",
            ),
        ] {
            let error = text(group_by, filter).unwrap_err();
            assert!(error.starts_with(start), "{error}");
        }
    }

    #[test]
    fn a_time_has_milliseconds() {
        assert_eq!(seconds(1_700_000_000_042), "1700000000.042");
        assert_eq!(quoted("a\tb\\\""), "\"a\\u0009b\\\\\\\"\"");
    }
}
