//! Names of metrics and labels.

/// Labels that Prometheus adds to every target or gives a meaning of their own.
const RESERVED_LABELS: [&str; 5] = ["instance", "job", "le", "quantile", "cluster"];

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
