//! Whose pod it is: its top controller.
//!
//! A ReplicaSet or a Job stands between a pod and the Deployment, Rollout, CronJob, … that made it; any
//! other controller is the top one, whatever its kind. A pod without a controller is named by a label,
//! else by its own name; so is a static pod, which its node controls, without the node's name.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::super::writer::IndexWriter;
use super::fields::{OwnerFields, PodFields};

/// ResourceKind and name of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Workload {
    pub(super) kind: Arc<str>,
    pub(super) name: Arc<str>,
}

#[derive(Debug)]
struct Owner {
    top: Workload,
    /// Of the list that it was last told in.
    list: u32,
}

/// What stands between pods and their top controllers, by uid.
#[derive(Debug, Default)]
pub(super) struct Owners {
    known: HashMap<u128, Owner, RandomState>,
    /// Pods whose owner was not told of yet, by the owner.
    waiting: HashMap<u128, Vec<u128>, RandomState>,
    /// The owner that each of those waits for.
    owner_of: HashMap<u128, u128, RandomState>,
}

impl Owners {
    /// An owner was told of; the pods that waited for it.
    pub(super) fn tell(
        &mut self,
        kind: &str,
        fields: &OwnerFields,
        list: u32,
        bound: usize,
        writer: &mut IndexWriter,
    ) -> Vec<u128> {
        let uid = super::uid(&fields.uid);
        let (kind, name) = match &fields.controller {
            Some(controller) => (controller.kind.as_str(), controller.name.as_str()),
            None => (kind, fields.name.as_str()),
        };
        if self.known.len() < bound || self.known.contains_key(&uid) {
            let top = Workload {
                kind: writer.intern(kind),
                name: writer.intern(name),
            };
            self.known.insert(uid, Owner { top, list });
        }
        let waiting = self.waiting.remove(&uid).unwrap_or_default();
        for pod in &waiting {
            self.owner_of.remove(pod);
        }
        waiting
    }

    /// The top controller of the pods of an owner.
    pub(super) fn top(&self, uid: u128) -> Option<Workload> {
        self.known.get(&uid).map(|owner| owner.top.clone())
    }

    pub(super) fn forget(&mut self, uid: u128) {
        self.known.remove(&uid);
    }

    /// Forgets what the last list of this kind did not tell of. ListState of both kinds have numbers of
    /// their own.
    pub(super) fn forget_unlisted(&mut self, is_of_list: impl Fn(u32) -> bool, list: u32) {
        self.known
            .retain(|_, owner| !is_of_list(owner.list) || owner.list == list);
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// The workload of a pod. `waits`: its owner may be told of later.
    pub(super) fn workload(
        &mut self,
        pod: &PodFields,
        waits: u128,
        writer: &mut IndexWriter,
    ) -> Workload {
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
                    let owner = super::uid(&controller.uid);
                    if let Some(known) = self.known.get(&owner) {
                        return known.top.clone();
                    }
                    if self.owner_of.insert(waits, owner).is_none() {
                        self.waiting.entry(owner).or_default().push(waits);
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

    /// A pod has gone: it waits no longer.
    pub(super) fn wait_no_longer(&mut self, pod: u128) {
        let Some(owner) = self.owner_of.remove(&pod) else {
            return;
        };
        if let hashbrown::hash_map::Entry::Occupied(mut entry) = self.waiting.entry(owner) {
            entry.get_mut().retain(|waits| *waits != pod);
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }
}

/// What the names say, where the owner itself is not told of: a Deployment's ReplicaSet is named after
/// it and the template's hash, a CronJob's Job after it and the minute.
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
        let workload = owners.workload(pod, 7, &mut IndexWriter::default());
        (workload.kind.to_string(), workload.name.to_string())
    }

    fn said(kind: &str, name: &str) -> (String, String) {
        (kind.into(), name.into())
    }

    fn tell(
        owners: &mut Owners,
        kind: &str,
        name: &str,
        controller: Option<(&str, &str)>,
    ) -> Vec<u128> {
        let fields = OwnerFields {
            uid: "1".into(),
            name: name.into(),
            controller: pod(controller).controller,
        };
        owners.tell(kind, &fields, 1, 10, &mut IndexWriter::default())
    }

    #[test]
    fn a_replica_set_or_job_leads_to_what_controls_it_whatever_that_is() {
        for (between, top) in [
            ("ReplicaSet", "Deployment"),
            ("ReplicaSet", "Rollout"),
            ("Job", "CronJob"),
        ] {
            let mut owners = Owners::default();
            tell(&mut owners, between, "web-7d4b9", Some((top, "web")));
            let pod = pod(Some((between, "web-7d4b9")));
            assert_eq!(workload(&mut owners, &pod), said(top, "web"));
        }
        let mut owners = Owners::default();
        tell(&mut owners, "Job", "once", None);
        assert_eq!(
            workload(&mut owners, &pod(Some(("Job", "once")))),
            said("Job", "once")
        );
    }

    #[test]
    fn any_other_controller_is_the_top_one() {
        for kind in ["StatefulSet", "DaemonSet", "Seldon"] {
            let pod = pod(Some((kind, "x")));
            assert_eq!(workload(&mut Owners::default(), &pod), said(kind, "x"));
        }
    }

    #[test]
    fn a_pod_without_controller_is_named_by_its_label_else_by_its_own_name() {
        let mut bare = pod(None);
        assert_eq!(
            workload(&mut Owners::default(), &bare),
            said("Pod", "web-7d4b9-x2")
        );
        bare.label = Some("web".into());
        assert_eq!(workload(&mut Owners::default(), &bare), said("Pod", "web"));
    }

    #[test]
    fn a_static_pod_is_named_without_its_node() {
        let mut pod = pod(Some(("Node", "node-a")));
        pod.name = "etcd-node-a".into();
        assert_eq!(workload(&mut Owners::default(), &pod), said("Pod", "etcd"));
    }

    #[test]
    fn where_owners_are_not_told_of_their_names_say_whose_they_are() {
        let mut replica = pod(Some(("ReplicaSet", "web-7d4b9")));
        assert_eq!(
            workload(&mut Owners::default(), &replica),
            said("ReplicaSet", "web-7d4b9")
        );
        replica.template_hash = Some("7d4b9".into());
        assert_eq!(
            workload(&mut Owners::default(), &replica),
            said("Deployment", "web")
        );
        let job = pod(Some(("Job", "backup-28901234")));
        assert_eq!(
            workload(&mut Owners::default(), &job),
            said("CronJob", "backup")
        );
    }

    #[test]
    fn a_pod_waits_for_its_owner_until_it_is_told_of_or_the_pod_has_gone() {
        let mut owners = Owners::default();
        let pod = pod(Some(("ReplicaSet", "web-7d4b9")));
        workload(&mut owners, &pod);
        assert_eq!(
            tell(
                &mut owners,
                "ReplicaSet",
                "web-7d4b9",
                Some(("Deployment", "web"))
            ),
            [7]
        );

        let mut owners = Owners::default();
        workload(&mut owners, &pod);
        owners.wait_no_longer(7);
        assert!(owners.waiting.is_empty());
    }
}
