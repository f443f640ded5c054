//! The top-level controllers of pods.
//!
//! A ReplicaSet or Job stands between a pod and the Deployment, Rollout, CronJob, … that controls
//! it. A pod that another pod controls has the workload of that one: an executor of Spark that of
//! its driver. Any other controller is the top-level one, whatever its kind. A pod without a
//! controller is named by a label, else by its own name. A static pod, which its node controls, is
//! named without the node's name.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::fields::{OwnerFields, PodFields};
use super::resource_kind::ResourceKind;
use crate::inventory::endpoint::Endpoint;
use crate::inventory::writer::IndexWriter;

/// Kind and name of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Workload {
    pub(super) kind: Arc<str>,
    pub(super) name: Arc<str>,
}

impl Workload {
    /// Returns the workload of an endpoint.
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        Self {
            kind: Arc::clone(&endpoint.workload_kind),
            name: Arc::clone(&endpoint.workload_name),
        }
    }
}

/// What is known of a pod's workload before its owners are looked up.
#[derive(Debug, Default)]
pub(super) struct KnownWorkload {
    /// That of the pod that controls this one.
    pub(super) of_owner: Option<Workload>,
    /// That of the pod before its update.
    pub(super) before: Option<Workload>,
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
    /// Pods with an unknown owner, and all that a pod controls, by the owner.
    waiting: HashMap<u128, Vec<u128>, RandomState>,
    /// The owner of each of these pods.
    owner_of: HashMap<u128, u128, RandomState>,
}

/// The pods that an update of an owner changes.
#[derive(Debug)]
pub(super) struct OwnerUpdate {
    /// Pods that waited for the owner.
    pub(super) waiting: Vec<u128>,
    /// The top-level controller that the owner's other pods had before, if it has another one now.
    pub(super) replaced: Option<Workload>,
}

impl Owners {
    /// Adds or changes a ReplicaSet or Job, of at most `bound`.
    pub(super) fn update(
        &mut self,
        kind: ResourceKind,
        fields: &OwnerFields,
        list: u32,
        bound: usize,
        writer: &mut IndexWriter,
    ) -> OwnerUpdate {
        let own_kind = match kind {
            ResourceKind::Jobs => "Job",
            _ => "ReplicaSet",
        };
        let (top_kind, name) = match &fields.controller {
            Some(controller) => (controller.kind.as_str(), controller.name.as_str()),
            None => (own_kind, fields.name.as_str()),
        };
        let top = Workload {
            kind: writer.intern(top_kind),
            name: writer.intern(name),
        };
        let before = self.known.get(&fields.uid).map(|owner| owner.top.clone());
        if self.known.len() < bound || before.is_some() {
            let top = top.clone();
            self.known.insert(fields.uid, Owner { top, kind, list });
        }
        let waiting = self.waiting.remove(&fields.uid).unwrap_or_default();
        for pod in &waiting {
            self.owner_of.remove(pod);
        }
        let replaced = before.filter(|before| *before != top);
        OwnerUpdate { waiting, replaced }
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
    pub(super) fn workload(
        &mut self,
        pod: &PodFields,
        known: KnownWorkload,
        writer: &mut IndexWriter,
    ) -> Workload {
        let owner = pod.controller.as_ref().map(|one| one.uid);
        let awaited = self.owner_of.get(&pod.uid);
        if awaited.is_some_and(|awaited| Some(*awaited) != owner) {
            self.cancel_wait(pod.uid);
        }
        let own_name = pod.label.as_deref().unwrap_or(&pod.name);
        let (Some(controller), Some(owner)) = (&pod.controller, owner) else {
            return Workload {
                kind: writer.intern("Pod"),
                name: writer.intern(own_name),
            };
        };
        let (kind, name) = match (&*controller.group, &*controller.kind) {
            ("", "Node") => {
                let name = pod.label.as_deref().or_else(|| {
                    let name = pod.name.strip_suffix(&controller.name)?;
                    name.strip_suffix('-')
                });
                ("Pod", name.unwrap_or(&pod.name))
            }
            ("", "Pod") => {
                self.wait(pod.uid, owner);
                // Pods outlive the one that controls them.
                if let Some(workload) = known.of_owner.or(known.before) {
                    return workload;
                }
                ("Pod", controller.name.as_str())
            }
            ("apps" | "extensions", kind @ "ReplicaSet") | ("batch", kind @ "Job") => {
                if let Some(known) = self.known.get(&owner) {
                    return known.top.clone();
                }
                // A Deployment, Job, … that is deleted is gone before its pods.
                let had_owner = |before: &Workload| &*before.kind != "Pod";
                let before = known.before.filter(had_owner);
                if let Some(before) = before.filter(|_| !self.owner_of.contains_key(&pod.uid)) {
                    return before;
                }
                self.wait(pod.uid, owner);
                by_name(pod, kind, &controller.name)
            }
            (_, kind) => (kind, controller.name.as_str()),
        };
        Workload {
            kind: writer.intern(kind),
            name: writer.intern(name),
        }
    }

    fn wait(&mut self, pod: u128, owner: u128) {
        if self.owner_of.insert(pod, owner).is_none() {
            self.waiting.entry(owner).or_default().push(pod);
        }
    }

    /// Returns the pods that a pod controls.
    pub(super) fn controlled_by(&self, pod: u128) -> &[u128] {
        self.waiting.get(&pod).map_or(&[], Vec::as_slice)
    }

    /// A pod that is deleted or has another owner does not wait for its owner any more.
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
        Some((cron_job, time)) if kind == "Job" && is_schedule(time, pod.started) => {
            ("CronJob", cron_job)
        }
        _ => (kind, name),
    }
}

/// Maximum time between the schedule of a CronJob and the start of a pod, milliseconds. A queue of
/// Jobs can take days.
const MAX_SCHEDULE_DISTANCE: u64 = 100 * 86_400_000;

/// Returns whether the end of a Job's name is the time for which a CronJob has created it: minutes
/// since the epoch, before Kubernetes 1.21 seconds. A date, such as 20260131, is not.
fn is_schedule(digits: &str, started: u64) -> bool {
    let unit = match digits.len() {
        8 | 9 => 60_000,
        10 => 1000,
        _ => return false,
    };
    let time = digits.parse::<u64>().map(|number| number * unit);
    time.is_ok_and(|time| time.abs_diff(started) <= MAX_SCHEDULE_DISTANCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::cluster::fields::Controller;

    /// A pod that started at minute 28901240 since the epoch.
    fn pod(controller: Option<(&str, &str)>) -> PodFields {
        PodFields {
            uid: 7,
            name: "web-7d4b9-x2".into(),
            started: 28_901_240 * 60_000,
            controller: controller.map(|(kind, name)| Controller::new(kind, name, "1")),
            ..PodFields::default()
        }
    }

    fn workload(owners: &mut Owners, pod: &PodFields) -> (String, String) {
        updated(owners, pod, KnownWorkload::default())
    }

    fn updated(owners: &mut Owners, pod: &PodFields, known: KnownWorkload) -> (String, String) {
        let workload = owners.workload(pod, known, &mut IndexWriter::default());
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
    ) -> OwnerUpdate {
        let fields = OwnerFields {
            uid: 1,
            namespace: "shop".into(),
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
    fn the_end_of_a_jobs_name_is_a_schedule_only_if_it_is_near_the_start_of_the_pod() {
        for (name, expected) in [
            ("backup-28901234", named("CronJob", "backup")),
            ("backup-1734074040", named("CronJob", "backup")),
            // Dates, and other numbers.
            ("import-20241213", named("Job", "import-20241213")),
            ("import-2024121306", named("Job", "import-2024121306")),
            ("batch-29901234", named("Job", "batch-29901234")),
            ("batch-0289012", named("Job", "batch-0289012")),
        ] {
            let pod = pod(Some(("Job", name)));
            assert_eq!(workload(&mut Owners::default(), &pod), expected, "{name}");
        }
    }

    #[test]
    fn a_kind_of_another_api_group_is_a_top_level_controller() {
        for kind in ["Job", "ReplicaSet", "Node", "Pod"] {
            let mut pod = pod(Some((kind, "train-28901234")));
            pod.controller.as_mut().unwrap().group = "batch.volcano.sh".into();
            let mut owners = Owners::default();
            assert_eq!(workload(&mut owners, &pod), named(kind, "train-28901234"));
            assert!(owners.waiting.is_empty());
        }
    }

    #[test]
    fn a_pod_keeps_its_workload_when_its_owner_is_deleted_first() {
        let known = |kind: &str, name: &str| KnownWorkload {
            before: Some(Workload {
                kind: kind.into(),
                name: name.into(),
            }),
            of_owner: None,
        };
        let mut owners = Owners::default();
        let pod = pod(Some(("Job", "sim-workers-0")));
        update(
            &mut owners,
            ResourceKind::Jobs,
            "sim-workers-0",
            Some(("JobSet", "sim")),
        );
        assert_eq!(workload(&mut owners, &pod), named("JobSet", "sim"));
        owners.remove(1);
        let kept = updated(&mut owners, &pod, known("JobSet", "sim"));
        assert_eq!(kept, named("JobSet", "sim"));
        // A bare pod that an unknown Job adopts.
        let adopted = updated(&mut owners, &pod, known("Pod", "sim"));
        assert_eq!(adopted, named("Job", "sim-workers-0"));
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
            )
            .waiting,
            [7]
        );

        let mut owners = Owners::default();
        workload(&mut owners, &pod);
        owners.cancel_wait(7);
        assert!(owners.waiting.is_empty());
    }
}
