//! Conventions of Prometheus for names of metrics, as `promtool check metrics` checks them. A name
//! that breaks one is allowed, because presets have the names of other programs.

use super::{Column, Family, Samples};
use crate::aggregate::health::HealthCount;

/// Units that are not base units, and the base unit.
const OTHER_UNITS: [(&str, &str); 16] = [
    ("ms", "seconds"),
    ("s", "seconds"),
    ("sec", "seconds"),
    ("secs", "seconds"),
    ("milliseconds", "seconds"),
    ("microseconds", "seconds"),
    ("nanoseconds", "seconds"),
    ("minutes", "seconds"),
    ("hours", "seconds"),
    ("days", "seconds"),
    ("octets", "bytes"),
    ("bits", "bytes"),
    ("kb", "bytes"),
    ("kilobytes", "bytes"),
    ("megabytes", "bytes"),
    ("gigabytes", "bytes"),
];

impl Family {
    /// The conventions that its name breaks, as sentences.
    #[must_use]
    pub fn lint(&self) -> Vec<String> {
        let name = &*self.name;
        let mut found = Vec::new();
        let mut note = |is_broken: bool, sentence: String| {
            if is_broken {
                found.push(format!("{name}: {sentence}"));
            }
        };
        let (kind, suffixes): (_, &[&str]) = match self.samples {
            Samples::Counter(_) | Samples::GrpcCounter => ("counter", &[]),
            Samples::Gauge(_) => ("gauge", &["_total"]),
            Samples::Summary { .. } => ("summary", &["_total", "_sum", "_count", "_bucket"]),
            Samples::Histogram(_) => ("histogram", &["_total", "_sum", "_count", "_bucket"]),
        };
        if suffixes.is_empty() && !name.ends_with("_total") {
            note(true, "the name of a counter should end in _total".into());
        }
        for suffix in suffixes {
            let sentence = format!("the name of a {kind} should not end in {suffix}");
            note(name.ends_with(suffix), sentence);
        }
        if let Some(unit) = self.columns().next().and_then(unit) {
            let bare = name.strip_suffix("_total").unwrap_or(name);
            let has_unit = bare.rsplit('_').next() == Some(unit);
            note(!has_unit, format!("the name should have the unit _{unit}"));
        }
        for part in name.split('_') {
            if let Some((_, base)) = OTHER_UNITS.iter().find(|(other, _)| *other == part) {
                note(
                    true,
                    format!("the name should have {base} instead of {part}"),
                );
            }
        }
        let is_recording_rule = name.contains(':');
        note(is_recording_rule, "colons are for recording rules".into());
        let is_camel = name.contains(|c: char| c.is_ascii_uppercase());
        note(is_camel, "the name should be in snake_case".into());
        found
    }
}

/// The unit of a column as a part of names. `None` for numbers of things.
const fn unit(column: Column) -> Option<&'static str> {
    match column {
        Column::Bytes
        | Column::Health(
            HealthCount::RetransmittedBytes | HealthCount::SentBytes | HealthCount::ReceivedBytes,
        ) => Some("bytes"),
        Column::Sum(_) => Some("seconds"),
        Column::Packets
        | Column::Connections
        | Column::Flows
        | Column::OpenConnections
        | Column::Health(_)
        | Column::Count(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;
    use kipfix_service::settings::Span;

    use crate::aggregate::family::FamilyDefinition;
    use crate::aggregate::{Preset, families};

    fn lint(change: &str) -> Vec<String> {
        let base = [
            ("name", "x_bytes_total"),
            ("value", "bytes"),
            ("type", "counter"),
        ];
        let (key, value) = change.split_once(": ").unwrap();
        let mut yaml = String::from("help: x\nlabels: []\n");
        for (known, default) in base {
            let value = if known == key { value } else { default };
            yaml += &format!("{known}: {value}\n");
        }
        let definition: FamilyDefinition = serde_saphyr::from_str(&yaml).unwrap();
        definition
            .to_family(1, Span::from_secs(600))
            .unwrap()
            .lint()
    }

    #[test]
    fn a_name_of_the_convention_is_accepted() {
        assert_eq!(lint("name: shop_egress_bytes_total"), Vec::<String>::new());
    }

    #[test]
    fn a_broken_convention_is_named() {
        for (change, part) in [
            ("name: shop_bytes", "should end in _total"),
            ("name: shop_total", "unit _bytes"),
            ("name: shop_bytes_seen_total", "unit _bytes"),
            ("name: shop_kilobytes_total", "bytes instead of kilobytes"),
            ("name: shop:egress_bytes_total", "recording rules"),
            ("name: shopEgress_bytes_total", "snake_case"),
            ("type: summary", "should not end in _total"),
            ("value: connection_seconds", "unit _seconds"),
        ] {
            let found = lint(change);
            assert!(
                found.iter().any(|one| one.contains(part)),
                "{change}: {found:?}"
            );
        }
    }

    #[test]
    fn the_name_of_a_gauge_does_not_end_as_that_of_a_counter() {
        let yaml = "{name: open_total, help: x, value: open_connections, type: gauge, labels: []}";
        let definition: FamilyDefinition = serde_saphyr::from_str(yaml).unwrap();
        let family = definition.to_family(1, Span::from_secs(600)).unwrap();
        assert!(family.lint()[0].contains("should not end in _total"));
    }

    #[test]
    fn the_presets_follow_the_conventions_unless_they_have_names_of_others() {
        for preset in Preset::value_variants() {
            let families = families(&[*preset], &[], 1, Span::from_secs(600)).unwrap();
            let own = families.iter().filter(|f| f.name.starts_with("kipfix_"));
            for family in own {
                assert_eq!(family.lint(), Vec::<String>::new());
            }
        }
    }
}
