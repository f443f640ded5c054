//! The texts of the presets, and families of several sources together.

use clap::ValueEnum as _;

use super::*;

const IDLE: Span = Span::from_secs(3600);

#[test]
fn every_preset_is_valid_and_all_of_them_together() {
    for preset in Preset::value_variants() {
        assert!(!families(&[*preset], &[], 10, IDLE).unwrap().is_empty());
    }
    families(Preset::value_variants(), &[], 10, IDLE).unwrap();
}

#[test]
fn the_families_of_a_preset_share_their_rows() {
    for (preset, count) in [
        (Preset::Workloads, 3),
        (Preset::Nodes, 2),
        (Preset::External, 3),
        (Preset::Health, 11),
    ] {
        let families = families(&[preset], &[], 10, IDLE).unwrap();
        assert_eq!(families.len(), count);
        assert!(
            families
                .iter()
                .all(|family| family.rows == families[0].rows)
        );
    }
}

#[test]
fn a_preset_that_is_named_twice_is_used_once_and_a_name_twice_is_refused() {
    let twice = families(&[Preset::Zones, Preset::Zones], &[], 10, IDLE).unwrap();
    assert_eq!(twice.len(), 1);
    let definitions = Preset::Zones.definitions();
    let error = families(&[Preset::Zones], &definitions, 10, IDLE).unwrap_err();
    let expected = "metrics: kipfix_zone_bytes_total: name occurs twice";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_family_whose_samples_have_the_names_of_others_is_refused() {
    for (name, is_refused) in [
        ("kipfix_rtt_seconds_count", true),
        ("kipfix_rtt_seconds_bucket", true),
        ("kipfix_rtt_seconds_total", true),
        ("kipfix_closed_connections", true),
        ("kipfix_closed_connections_created", true),
        ("kipfix_rtt_seconds_max", false),
    ] {
        let yaml = format!("{{name: {name}, help: x, value: bytes, labels: []}}");
        let definition = serde_saphyr::from_str(&yaml).unwrap();
        let result = families(&[Preset::Health], &[definition], 10, IDLE);
        assert_eq!(result.is_err(), is_refused, "{name}: {result:?}");
    }
}
