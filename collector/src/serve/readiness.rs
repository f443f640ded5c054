//! `/readyz`: what Kubernetes and files keep the collector from knowing.

use kipfix_service::admin::Readiness;

use super::Scrape;
use crate::live;

/// What Kubernetes keeps the collector from knowing. It carries on with what is known; only for the
/// first word it waits, as its records do.
pub(crate) fn readiness(scrape: &Scrape) -> Readiness {
    let mut readiness = Readiness::default();
    let broken = scrape.shared.outside.counts().broken_files;
    if broken > 0 {
        readiness.notes.push(format!(
            "outside: {broken} files changed and cannot be used: going on with what they said before"
        ));
    }
    let Some(health) = scrape.kubernetes.get() else {
        return readiness;
    };
    let now = live::now_milliseconds();
    for (kind, watch) in health.counts() {
        let kind = kind.as_str();
        let since = now.saturating_sub(watch.since_milliseconds) / 1000;
        if watch.forbidden {
            let note = format!("kubernetes: {kind} are forbidden, since {since} s: off");
            readiness.notes.push(note);
        } else if !watch.up && watch.since_milliseconds != 0 {
            readiness.notes.push(format!(
                "kubernetes: {kind} are not told of, since {since} s: going on with what is known"
            ));
        }
    }
    if !scrape.shared.index.load().is_complete() {
        let line = "kubernetes: not all nodes and pods are known yet".to_owned();
        if scrape.inventory_is_awaited(now) {
            readiness.missing.push(line);
        } else {
            readiness.notes.push(line);
        }
    }
    readiness
}
