//! The top-level controllers of pods.
//!
//! A ReplicaSet or Job stands between a pod and the Deployment, Rollout, CronJob, … that controls
//! it. Any other controller is the top-level one, whatever its kind. A pod without a controller is
//! named by a label, else by its own name. A static pod, which its node controls, is named without
//! the node's name.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::fields::{OwnerFields, PodFields};
use super::resource_kind::ResourceKind;
use super::uid::uid;
use crate::inventory::writer::IndexWriter;

/// Kind and name of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Workload {
    pub(super) kind: Arc<str>,
    pub(super) name: Arc<str>,
}

/// A ReplicaSet or Job.
#[derive(Debug)]
struct Owner {
    top: Workload,
    kind: ResourceKind,
    /// Number of the latest list with the owner.
    list: u32,
}

/// The ReplicaSets and Jobs between pods and their top-level controllers, by uid.
#[derive(Debug, Default)]
pub(super) struct Owners {
    known: HashMap<u128, Owner, RandomState>,
    /// Pods with an unknown owner, by the owner.
    waiting: HashMap<u128, Vec<u128>, RandomState>,
    /// The owner that each of these pods waits for.
    owner_of: HashMap<u128, u128, RandomState>,
}

impl Owners {
    /// Adds or changes a ReplicaSet or Job, of at most `bound`. Returns the pods that waited for
    /// it.
    pub(super) fn update(
        &mut self,
        kind: ResourceKind,
        fields: &OwnerFields,
        list: u32,
        bound: usize,
        writer: &mut IndexWriter,
    ) -> Vec<u128> {
        let own_kind = match kind {
            ResourceKind::Jobs => "Job",
            _ => "ReplicaSet",
        };
        let (top_kind, name) = match &fields.controller {
            Some(controller) => (controller.kind.as_str(), controller.name.as_str()),
            None => (own_kind, fields.name.as_str()),
        };
        if self.known.len() < bound || self.known.contains_key(&fields.uid) {
            let top = Workload {
                kind: writer.intern(top_kind),
                name: writer.intern(name),
            };
            self.known.insert(fields.uid, Owner { top, kind, list });
        }
        let waiting = self.waiting.remove(&fields.uid).unwrap_or_default();
        for pod in &waiting {
            self.owner_of.remove(pod);
        }
        waiting
    }

    /// Returns the top-level controller of an owner's pods.
    pub(super) fn top(&self, uid: u128) -> Option<Workload> {
        self.known.get(&uid).map(|owner| owner.top.clone())
    }

    /// Removes an owner.
    pub(super) fn remove(&mut self, uid: u128) {
        self.known.remove(&uid);
    }

    /// Removes the owners of this kind that are not in the latest list.
    pub(super) fn remove_unlisted(&mut self, kind: ResourceKind, list: u32) {
        self.known
            .retain(|_, owner| owner.kind != kind || owner.list == list);
    }

    /// Returns the number of owners.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Returns the workload of a pod. If its owner is not known, the pod waits for it.
    pub(super) fn workload(&mut self, pod: &PodFields, writer: &mut IndexWriter) -> Workload {
        let own_name = pod.label.as_deref().unwrap_or(&pod.name);
        let (kind, name) = match &pod.controller {
            None => ("Pod", own_name),
            Some(controller) => match controller.kind.as_str() {
                "Node" => {
                    let name = pod.label.as_deref().or_else(|| {
                        let name = pod.name.strip_suffix(&controller.name)?;
                        name.strip_suffix('-')
                    });
                    ("Pod", name.unwrap_or(&pod.name))
                }
                kind @ ("ReplicaSet" | "Job") => {
                    let owner = uid(&controller.uid);
                    if let Some(known) = self.known.get(&owner) {
                        return known.top.clone();
                    }
                    if self.owner_of.insert(pod.uid, owner).is_none() {
                        self.waiting.entry(owner).or_default().push(pod.uid);
                    }
                    by_name(pod, kind, &controller.name)
                }
                kind => (kind, controller.name.as_str()),
            },
        };
        Workload {
            kind: writer.intern(kind),
            name: writer.intern(name),
        }
    }

    /// A deleted pod does not wait for its owner any more.
    pub(super) fn cancel_wait(&mut self, pod: u128) {
        let Some(owner) = self.owner_of.remove(&pod) else {
            return;
        };
        if let hashbrown::hash_map::Entry::Occupied(mut entry) = self.waiting.entry(owner) {
            entry.get_mut().retain(|waiting| *waiting != pod);
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }
}

/// Returns the workload by the name of an owner that is not known: a Deployment's ReplicaSet has
/// its name and the hash of the template, a CronJob's Job has its name and the minute.
fn by_name<'a>(pod: &PodFields, kind: &'a str, name: &'a str) -> (&'a str, &'a str) {
    let without = |suffix: &Option<String>| {
        let name = name.strip_suffix(suffix.as_deref()?)?;
        name.strip_suffix('-')
    };
    if let Some(name) = without(&pod.rollout_hash) {
        return ("Rollout", name);
    }
    if let Some(name) = without(&pod.template_hash) {
        return ("Deployment", name);
    }
    match name.rsplit_once('-') {
        Some((cron_job, minute))
            if kind == "Job"
                && (8..=10).contains(&minute.len())
                && minute.bytes().all(|octet| octet.is_ascii_digit()) =>
        {
            ("CronJob", cron_job)
        }
        _ => (kind, name),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::Controller;
    use super::*;

    fn pod(controller: Option<(&str, &str)>) -> PodFields {
        PodFields {
            uid: 7,
            name: "web-7d4b9-x2".into(),
            controller: controller.map(|(kind, name)| Controller {
                kind: kind.into(),
                name: name.into(),
                uid: "1".into(),
            }),
            ..PodFields::default()
        }
    }

    fn workload(owners: &mut Owners, pod: &PodFields) -> (String, String) {
        let workload = owners.workload(pod, &mut IndexWriter::default());
        (workload.kind.to_string(), workload.name.to_string())
    }

    fn named(kind: &str, name: &str) -> (String, String) {
        (kind.into(), name.into())
    }

    fn update(
        owners: &mut Owners,
        kind: ResourceKind,
        name: &str,
        controller: Option<(&str, &str)>,
    ) -> Vec<u128> {
        let fields = OwnerFields {
            uid: 1,
            name: name.into(),
            controller: pod(controller).controller,
        };
        owners.update(kind, &fields, 1, 10, &mut IndexWriter::default())
    }

    #[test]
    fn a_replica_set_or_job_leads_to_its_controller_of_any_kind() {
        for (between, kind, top) in [
            ("ReplicaSet", ResourceKind::ReplicaSets, "Deployment"),
            ("ReplicaSet", ResourceKind::ReplicaSets, "Rollout"),
            ("Job", ResourceKind::Jobs, "CronJob"),
        ] {
            let mut owners = Owners::default();
            update(&mut owners, kind, "web-7d4b9", Some((top, "web")));
            let pod = pod(Some((between, "web-7d4b9")));
            assert_eq!(workload(&mut owners, &pod), named(top, "web"));
        }
        let mut owners = Owners::default();
        update(&mut owners, ResourceKind::Jobs, "once", None);
        assert_eq!(
            workload(&mut owners, &pod(Some(("Job", "once")))),
            named("Job", "once")
        );
    }

    #[test]
    fn any_other_controller_is_the_top_level_one() {
        for kind in ["StatefulSet", "DaemonSet", "Seldon"] {
            let pod = pod(Some((kind, "x")));
            assert_eq!(workload(&mut Owners::default(), &pod), named(kind, "x"));
        }
    }

    #[test]
    fn a_pod_without_controller_is_named_by_its_label_else_by_its_own_name() {
        let mut bare = pod(None);
        assert_eq!(
            workload(&mut Owners::default(), &bare),
            named("Pod", "web-7d4b9-x2")
        );
        bare.label = Some("web".into());
        assert_eq!(workload(&mut Owners::default(), &bare), named("Pod", "web"));
    }

    #[test]
    fn a_static_pod_is_named_without_its_node() {
        let mut pod = pod(Some(("Node", "node-a")));
        pod.name = "etcd-node-a".into();
        assert_eq!(workload(&mut Owners::default(), &pod), named("Pod", "etcd"));
    }

    #[test]
    fn an_unknown_owner_leads_to_a_workload_by_its_name() {
        let mut replica = pod(Some(("ReplicaSet", "web-7d4b9")));
        assert_eq!(
            workload(&mut Owners::default(), &replica),
            named("ReplicaSet", "web-7d4b9")
        );
        replica.template_hash = Some("7d4b9".into());
        assert_eq!(
            workload(&mut Owners::default(), &replica),
            named("Deployment", "web")
        );
        let job = pod(Some(("Job", "backup-28901234")));
        assert_eq!(
            workload(&mut Owners::default(), &job),
            named("CronJob", "backup")
        );
    }

    #[test]
    fn a_pod_waits_for_its_owner_until_it_is_known_or_the_pod_is_deleted() {
        let mut owners = Owners::default();
        let pod = pod(Some(("ReplicaSet", "web-7d4b9")));
        workload(&mut owners, &pod);
        assert_eq!(
            update(
                &mut owners,
                ResourceKind::ReplicaSets,
                "web-7d4b9",
                Some(("Deployment", "web"))
            ),
            [7]
        );

        let mut owners = Owners::default();
        workload(&mut owners, &pod);
        owners.cancel_wait(7);
        assert!(owners.waiting.is_empty());
    }
}
