//! Random events against a simple model of who has an address.

use std::collections::BTreeMap;

use super::*;

const PODS: u64 = 6;
const ADDRESSES: [&str; 3] = ["10.1.0.1", "10.1.0.2", "fd00::1"];

/// The same numbers for the same seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A pod of the model and the time when it got its address.
#[derive(Clone)]
struct ModelPod {
    fields: PodFields,
    since: u64,
    /// Another pod has got the address during the deletion of this one.
    lost_address: bool,
}

impl ModelPod {
    fn has(&self, ip: &str) -> bool {
        !self.lost_address
            && !self.fields.is_terminated
            && self.fields.addresses == addresses(&[ip])
    }
}

#[derive(Default)]
struct Model {
    pods: BTreeMap<u64, ModelPod>,
}

impl Model {
    /// Applies the rule for pods in deletion: each loses its address to a pod that got the address
    /// later.
    fn settle(&mut self) {
        let others: Vec<ModelPod> = self.pods.values().cloned().collect();
        for pod in self.pods.values_mut() {
            let is_later = |other: &ModelPod| {
                other.since > pod.since
                    && !other.fields.is_terminated
                    && !other.lost_address
                    && other.fields.addresses == pod.fields.addresses
            };
            pod.lost_address |= pod.fields.deletion.is_some() && others.iter().any(is_later);
        }
    }

    fn owner(&self, ip: &str) -> String {
        let mut owners = self.pods.values().filter(|pod| pod.has(ip));
        match (owners.next(), owners.next()) {
            (None, _) => String::new(),
            (Some(pod), None) => pod.fields.name.clone(),
            (Some(_), Some(_)) => "~ambiguous".into(),
        }
    }
}

#[test]
fn random_events_lead_to_the_owners_that_a_simple_model_has() {
    for seed in 1..60 {
        let mut random = Random(seed * 0x9e37_79b9);
        let (mut cluster, mut model) = (Scenario::new(), Model::default());
        cluster.at(10).list_pods(&[]);
        let mut names = 0;
        for step in 1..80 {
            // Far enough apart that deleted pods are forgotten in between.
            let now = 10 + step * 2 * KEPT;
            cluster.at(now);
            let number = random.below(PODS);
            let ip = ADDRESSES[usize::try_from(random.below(3)).unwrap()];
            match (random.below(6), model.pods.contains_key(&number)) {
                (_, false) => {
                    names += 1;
                    let fields = started(pod(&format!("pod-{names}"), &[ip]), now);
                    cluster.changed(&fields);
                    let pod = ModelPod {
                        fields,
                        since: now,
                        lost_address: false,
                    };
                    model.pods.insert(number, pod);
                }
                (0, true) => {
                    let pod = model.pods.remove(&number).unwrap();
                    cluster.deleted(&pod.fields);
                }
                (1, true) => {
                    let pod = model.pods.get_mut(&number).unwrap();
                    pod.fields = in_deletion(&pod.fields, now);
                    cluster.changed(&pod.fields);
                }
                (2, true) => {
                    let pod = model.pods.get_mut(&number).unwrap();
                    pod.fields = terminated(&pod.fields, now);
                    cluster.changed(&pod.fields);
                }
                (3, true) => {
                    let pod = model.pods.get_mut(&number).unwrap();
                    if pod.fields.deletion.is_none() && pod.fields.addresses != addresses(&[ip]) {
                        pod.fields.addresses = addresses(&[ip]);
                        pod.since = now;
                    }
                    cluster.changed(&pod.fields);
                }
                // Received again.
                (4, true) => {
                    cluster.changed(&model.pods[&number].fields);
                }
                // The watch fails, a pod is deleted meanwhile, and a list follows.
                _ => {
                    cluster.unavailable(ResourceKind::Pods);
                    model.pods.remove(&number);
                    let mut pods: Vec<&PodFields> =
                        model.pods.values().map(|pod| &pod.fields).collect();
                    if random.below(2) == 0 {
                        pods.reverse();
                    }
                    cluster.list_pods(&pods);
                }
            }
            model.settle();
            for ip in ADDRESSES {
                let expected = model.owner(ip);
                // Without an owner, a deleted one may still be kept.
                let at = if expected.is_empty() {
                    now + KEPT + 1
                } else {
                    now
                };
                let found = cluster.owner(ip, at);
                assert_eq!(found, expected, "seed {seed}, step {step}, {ip}");
            }
        }
    }
}
