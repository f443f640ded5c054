//! What dashboards, rules and pages ask is served, and is answered.

use std::time::Duration;

use kipfix_tests::{dashboards, program, skip, take_turn};

use crate::pair::{Pair, served};
use crate::prometheus::Prometheus;
use crate::{page, questions, rules};

/// The metrics of ours that a query names, without what a histogram adds to its name.
fn metrics(expr: &str) -> impl Iterator<Item = &str> {
    expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':')
        .filter(|word| word.starts_with("kipfix_"))
        .map(|word| {
            let mut suffixes = ["_bucket", "_sum", "_count"].into_iter();
            suffixes
                .find_map(|suffix| word.strip_suffix(suffix))
                .unwrap_or(word)
        })
}

#[test]
fn every_query_of_dashboards_and_rules_finds_data() {
    if !program::is_installed("prometheus") {
        return skip("prometheus is not installed");
    }
    let _turn = take_turn();
    let mut pair = Pair::start();
    let targets = [
        ("probe", format!("127.0.0.1:{}", pair.admin)),
        ("collector", format!("127.0.0.1:{}", pair.http)),
    ];
    let prometheus = Prometheus::start(&targets, &rules());
    pair.play();
    let counted = || !prometheus.query("kipfix_zone_bytes_total").is_empty();
    assert!(
        program::eventually(program::PATIENCE, counted),
        "nothing was counted"
    );
    // A rate needs two scrapes of a series, and what divides by one needs traffic between them.
    for _ in 0..5 {
        pair.play();
        std::thread::sleep(Duration::from_secs(1));
    }

    // This rule leaves out what sends few packets.
    let has_share = || {
        pair.play();
        let share = "workloads:kipfix_retransmitted_packets:share_rate5m";
        !prometheus.query(share).is_empty()
    };
    assert!(program::eventually(Duration::from_secs(90), has_share));

    let queries = dashboards::queries("1m", "5m");
    assert!(queries.len() > 80, "{}", queries.len());
    let listed = std::fs::read_to_string(page("docs/metrics.md")).unwrap();
    let is_there =
        |pair: &Pair, metric: &str| pair.serves(metric) && listed.contains(&format!("`{metric}`"));
    for query in &queries {
        for metric in metrics(&query.expr) {
            assert!(
                is_there(&pair, metric),
                "{query:?}: {metric} is not served, or not in docs/metrics.md"
            );
        }
    }
    let mut open: Vec<_> = queries.iter().collect();
    let are_answered = || {
        pair.play();
        open.retain(|query| prometheus.query(&query.expr).is_empty());
        open.is_empty()
    };
    let are_answered = program::eventually(program::PATIENCE, are_answered);
    assert!(are_answered, "no data: {open:#?}");

    let renamed = |label: &serde_json::Value| label.as_str().unwrap().starts_with("exported_");
    // The labels of the preset opencost are those of other programs.
    let ours = prometheus.labels_of(r#"{__name__=~"kipfix_.+"}"#);
    let renamed: Vec<_> = ours.into_iter().filter(renamed).collect();
    assert!(renamed.is_empty(), "targets have these, too: {renamed:?}");

    for question in questions::documented() {
        let is_answered = questions::is_answered(&question, &prometheus);
        assert!(
            is_answered,
            "{}: no data: {}",
            question.source, question.expr
        );
    }
    // The series are there, but one node observes nothing of the packets between two.
    let of_loss = questions::of_presets()
        .into_iter()
        .filter(questions::is_of_loss);
    for question in of_loss {
        let is_served = !prometheus.query(&question.expr).is_empty();
        assert!(
            is_served,
            "{}: no series: {}",
            question.source, question.expr
        );
    }

    for (port, pattern) in greps(&pair) {
        let regex = regex::Regex::new(&pattern).unwrap();
        let found = served(port).lines().any(|line| regex.is_match(line));
        assert!(found, "nothing to see of {pattern}");
    }

    for rule in prometheus.rules() {
        assert_eq!(rule["health"], "ok", "{rule}");
        let expr = rule["query"].as_str().unwrap();
        for metric in metrics(expr) {
            assert!(
                is_there(&pair, metric),
                "{rule}: {metric} is not served, or not in docs/metrics.md"
            );
        }
        if rule["type"] == "recording" {
            let name = rule["name"].as_str().unwrap();
            assert!(!prometheus.query(name).is_empty(), "no data: {name}");
        }
    }
    // The API server is away.
    let away = r#"ALERTS{alertname="KipfixKubernetesWatchDown"}"#;
    assert!(!prometheus.query(away).is_empty());
}

/// The patterns of `docs/troubleshooting.md`, one per alternative, and the port of the daemon.
fn greps(pair: &Pair) -> Vec<(u16, String)> {
    let page = std::fs::read_to_string(page("docs/troubleshooting.md")).unwrap();
    let mut patterns = Vec::new();
    for (ask, port) in [
        ("$ probe | grep -E '", pair.admin),
        ("$ collector | grep -E '", pair.http),
    ] {
        for line in page.lines().filter_map(|line| line.strip_prefix(ask)) {
            let pattern = line.trim_end_matches('\'');
            // `^prefix_(one|two(three|four))…` is as many as its outer alternatives.
            let Some((prefix, rest)) = pattern.split_once('(') else {
                patterns.push((port, pattern.to_owned()));
                continue;
            };
            let (alternatives, suffix) = rest.rsplit_once(')').unwrap();
            patterns.extend(
                outer(alternatives)
                    .iter()
                    .map(|one| (port, format!("{prefix}{one}{suffix}"))),
            );
        }
    }
    assert!(patterns.len() > 20);
    patterns
}

/// Splits at `|` outside of parentheses.
fn outer(alternatives: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for character in alternatives.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        match parts.last_mut() {
            Some(last) if character != '|' || depth > 0 => last.push(character),
            _ => parts.push(String::new()),
        }
    }
    parts
}
