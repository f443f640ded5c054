//! Names of metrics and labels.

/// Labels that Prometheus adds to every target or gives a meaning of their own.
const RESERVED_LABELS: [&str; 5] = ["instance", "job", "le", "quantile", "cluster"];

/// Beginnings of the names of all metrics that are not families.
const OWN_METRICS: [&str; 4] = [
    "kipfix_collector_",
    "kipfix_node_info",
    "kipfix_namespace_info",
    "process_",
];

/// Checks the name of a metric.
pub(super) fn check_metric(name: &str) -> Result<(), String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let starts_well = !name.starts_with(|c: char| c.is_ascii_digit());
    if !name.is_empty() && starts_well && name.chars().all(is_allowed) {
        Ok(())
    } else {
        Err(format!(
            "invalid name {name:?}: must be letters, digits, _ and :, not beginning with a digit"
        ))
    }
}

/// Checks that no metric of the collector itself has the name.
pub(super) fn check_reserved(name: &str) -> Result<(), String> {
    let is_own = OWN_METRICS.iter().any(|prefix| name.starts_with(prefix));
    if is_own {
        return Err(format!(
            "invalid name {name:?}: metrics of the collector itself begin with {}",
            OWN_METRICS.join(", ")
        ));
    }
    Ok(())
}

/// Checks the name of a label.
pub(super) fn check_label(name: &str) -> Result<(), String> {
    if check_metric(name).is_err() || name.contains(':') {
        return Err(format!(
            "invalid label name {name:?}: must be letters, digits and _, not beginning with a digit"
        ));
    }
    if name.starts_with("__") || RESERVED_LABELS.contains(&name) {
        return Err(format!(
            "invalid label name {name:?}: Prometheus and kipfix use it themselves"
        ));
    }
    Ok(())
}
