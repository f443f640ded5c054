//! Checks that documents name existing metrics and flags.

use regex::Regex;
use std::collections::BTreeSet;

/// The names in the generated references.
#[derive(Debug, Default)]
pub struct References {
    metrics: BTreeSet<String>,
    flags: BTreeSet<String>,
}

impl References {
    /// Reads the names of metrics and flags from tables of the references.
    ///
    /// # Errors
    ///
    /// Never: the patterns are valid.
    pub fn new(metrics: &str, settings: &str) -> Result<Self, regex::Error> {
        let metric = Regex::new(r"(?m)^\| `(kipfix_[a-z0-9_]+)`")?;
        let flag = Regex::new(r"(?m)^\| `--([a-z][a-z0-9-]*)")?;
        let names = |pattern: &Regex, text: &str| {
            let names = pattern.captures_iter(text).filter_map(|found| found.get(1));
            names.map(|name| name.as_str().to_owned()).collect()
        };
        let mut flags: BTreeSet<String> = names(&flag, settings);
        flags.extend(["help".to_owned(), "version".to_owned()]);
        Ok(Self {
            metrics: names(&metric, metrics),
            flags,
        })
    }

    /// Whether a metric has this name, without or with suffixes of samples, or starts with it if
    /// the name ends in `_`.
    fn has_metric(&self, name: &str) -> bool {
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(name);
        self.metrics.contains(name)
            || self.metrics.contains(base)
            || name.ends_with('_') && self.metrics.iter().any(|metric| metric.starts_with(name))
    }

    /// Whether a metric ends in this part of a name, without or with `_total`.
    fn has_suffix(&self, part: &str) -> bool {
        self.metrics.iter().any(|metric| {
            let metric = metric.strip_suffix("_total").unwrap_or(metric);
            metric.ends_with(&format!("_{}", part.strip_suffix("_total").unwrap_or(part)))
        })
    }

    /// Returns the names in `text` that do not exist: metrics with their whole name, flags of
    /// kipfix in code spans, and, with `parts`, the parts of metric names in code spans of tables.
    ///
    /// # Errors
    ///
    /// Never: the patterns are valid.
    pub fn unknown(&self, text: &str, parts: bool) -> Result<BTreeSet<String>, regex::Error> {
        let metric = Regex::new(r"kipfix_(?:probe|collector)_[a-z0-9_]+")?;
        let span = Regex::new(r"`([^`\n]+)`")?;
        let flag = Regex::new(r"^--([a-z][a-z0-9-]*)")?;
        let part = Regex::new(r"^([a-z]+(?:_[a-z0-9]+)+)(?:\{.*\})?$")?;
        let mut unknown = BTreeSet::new();
        for found in metric.find_iter(text) {
            if !self.has_metric(found.as_str()) {
                unknown.insert(found.as_str().to_owned());
            }
        }
        for (line, content) in text.lines().map(|line| (line, span.captures_iter(line))) {
            for content in content.filter_map(|found| found.get(1)) {
                let content = content.as_str();
                let name = |pattern: &Regex| {
                    let found = pattern.captures(content)?.get(1)?;
                    Some(found.as_str().to_owned())
                };
                if let Some(flag) = name(&flag).filter(|flag| !self.flags.contains(flag)) {
                    unknown.insert(format!("--{flag}"));
                }
                let is_row = parts && line.starts_with('|');
                if let Some(part) = name(&part).filter(|part| is_row && !self.has_suffix(part)) {
                    unknown.insert(part);
                }
            }
        }
        Ok(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_do_not_exist_are_found() {
        let metrics = "| `kipfix_collector_records_total` | counter |\n\
                       | `kipfix_probe_wait_seconds` | histogram |\n";
        let references = References::new(metrics, "| `--max-flows N` | 5 |\n").unwrap();
        let text = "`kipfix_collector_records_total`, kipfix_probe_wait_seconds_bucket,\n\
                    `kipfix_probe_gone_total`, `--max-flows 7`, `--gone`, `--help`\n\
                    | `records` | `wait_seconds{le}` | `collector_records` | `not_there{reason}` |\n\
                    `not_in_a_table`\n";
        let unknown = |parts| Vec::from_iter(references.unknown(text, parts).unwrap());
        assert_eq!(unknown(false), ["--gone", "kipfix_probe_gone_total"]);
        assert_eq!(
            unknown(true),
            ["--gone", "kipfix_probe_gone_total", "not_there"]
        );
    }
}
