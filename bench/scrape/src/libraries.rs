//! The same counters in each library.

use anyhow::Result;

/// Renders all series as text.
pub(crate) type Render = Box<dyn Fn() -> Vec<u8>>;

const COUNTERS: [(&str, &str); 3] = [
    ("kipfix_bytes_total", "Bytes between workloads."),
    ("kipfix_packets_total", "Packets between workloads."),
    ("kipfix_connections_total", "Connections between workloads."),
];

const LABELS: [&str; 7] = [
    "src_namespace",
    "src_kind",
    "src_workload",
    "dst_namespace",
    "dst_kind",
    "dst_workload",
    "class",
];

/// Label values of a pair of workloads, and what the three counters count.
pub(crate) struct Pair {
    values: [String; 7],
    counts: [u64; 3],
}

impl Pair {
    pub(crate) fn new(source: u32, destination: u32) -> Self {
        let namespace = |workload: u32| format!("team-{:02}", workload % 100);
        let name = |workload: u32| format!("app-{workload:05}");
        let packets = u64::from((source * 31 + destination * 17) % 100 + 1);
        Self {
            values: [
                namespace(source),
                "Deployment".to_owned(),
                name(source),
                namespace(destination),
                "Deployment".to_owned(),
                name(destination),
                "pod_to_pod".to_owned(),
            ],
            counts: [packets * 571, packets, 1],
        }
    }
}

/// `prometheus`: a registry of counter vectors.
pub(crate) fn prometheus(pairs: impl Iterator<Item = Pair>) -> Result<Render> {
    use prometheus::{Encoder as _, IntCounterVec, Opts, Registry, TextEncoder};
    let registry = Registry::new();
    let mut counters = Vec::new();
    for (name, help) in COUNTERS {
        let counter = IntCounterVec::new(Opts::new(name, help), &LABELS)?;
        registry.register(Box::new(counter.clone()))?;
        counters.push(counter);
    }
    for pair in pairs {
        for (counter, count) in counters.iter().zip(pair.counts) {
            counter.with_label_values(&pair.values).inc_by(count);
        }
    }
    Ok(Box::new(move || {
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&registry.gather(), &mut text)
            .expect("a vector takes everything");
        text
    }))
}

/// `prometheus-client`: a registry of families.
pub(crate) fn prometheus_client(pairs: impl Iterator<Item = Pair>) -> Render {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::family::Family;
    use prometheus_client::registry::Registry;
    let mut registry = Registry::default();
    let mut families = Vec::new();
    for (name, help) in COUNTERS {
        let family = Family::<Vec<(&str, String)>, Counter>::default();
        // The registry adds the full stop and the suffix.
        let (name, help) = (name.trim_end_matches("_total"), help.trim_end_matches('.'));
        registry.register(name, help, family.clone());
        families.push(family);
    }
    for pair in pairs {
        let labels: Vec<(&str, String)> = LABELS.into_iter().zip(pair.values).collect();
        for (family, count) in families.iter().zip(pair.counts) {
            family.get_or_create(&labels).inc_by(count);
        }
    }
    Box::new(move || {
        let mut text = String::new();
        encode(&mut text, &registry).expect("a string takes everything");
        text.into_bytes()
    })
}

/// `metrics` with `metrics-exporter-prometheus`.
pub(crate) fn metrics(pairs: impl Iterator<Item = Pair>) -> Render {
    use metrics::{Key, Label, Level, Metadata, Recorder as _};
    use metrics_exporter_prometheus::PrometheusBuilder;
    let recorder = PrometheusBuilder::new().build_recorder();
    let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
    for (name, help) in COUNTERS {
        recorder.describe_counter(name.into(), None, help.into());
    }
    for pair in pairs {
        let labels: Vec<Label> = LABELS
            .into_iter()
            .zip(pair.values)
            .map(|(name, value)| Label::new(name, value))
            .collect();
        for ((name, _), count) in COUNTERS.into_iter().zip(pair.counts) {
            let key = Key::from_parts(name, labels.clone());
            recorder.register_counter(&key, &metadata).increment(count);
        }
    }
    Box::new(move || recorder.handle().render().into_bytes())
}
