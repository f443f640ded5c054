//! `/readyz`: whether the inventory is complete, and what is out of date or not used.

use kipfix_service::admin::Readiness;

use super::Scrape;

/// The readiness of the collector. It serves from what it has, and is not ready only while records
/// wait for the initial Kubernetes list.
#[must_use]
pub fn readiness(scrape: &Scrape) -> Readiness {
    let mut readiness = Readiness {
        notes: scrape.settings.notes(),
        ..Readiness::default()
    };
    let broken = scrape.store.external_counts().broken_files;
    if broken > 0 {
        readiness.notes.push(format!(
            "external: {broken} changed files cannot be read; their previous content is in use"
        ));
    }
    let Some(health) = scrape.kubernetes.get() else {
        return readiness;
    };
    let now = crate::clock::now();
    for (kind, watch) in health.counts() {
        let since = now.wall_milliseconds;
        let seconds = since.saturating_sub(watch.since_milliseconds) / 1000;
        if watch.forbidden {
            let note = format!("kubernetes: {kind} watch forbidden for {seconds}s; not used");
            readiness.notes.push(note);
        } else if !watch.up && watch.since_milliseconds != 0 {
            let objects = watch.objects_in_use();
            let note = format!("kubernetes: {kind} watch down for {seconds}s; {objects}");
            readiness.notes.push(note);
        }
    }
    if !scrape.store.load().index.is_complete() {
        let line = "kubernetes: initial list of nodes and pods not complete".to_owned();
        if scrape.pipeline_settings.is_waiting_for_inventory(now) {
            readiness.missing.push(line);
        } else {
            readiness.notes.push(line);
        }
    }
    readiness
}
