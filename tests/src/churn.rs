//! Creates and deletes pods, and records the pod to which each address was assigned at each time.
//!
//! Each address is assigned to one pod after another. A pod is created on its node without an
//! address, reports it in its status a moment later, gets a `deletionTimestamp`, and is deleted.
//! With [`Plan::late_deletes`] it is deleted after the next pod has reported the same address, as
//! with a slow kubelet.
//!
//! Every step has two times: before the request and after its response. The assignment is undefined
//! between them.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use kube::{Client, Error};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::cluster::{self, Cluster};
use crate::objects::{self, Object};

/// The parameters of the churn.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Namespace of the pods. It must exist.
    pub namespace: String,
    /// Name of their node. The node does not need to exist.
    pub node: String,
    /// The addresses.
    pub addresses: Vec<IpAddr>,
    /// Pods per second over all addresses.
    pub rate: u32,
    /// Whether a pod is deleted after the next one has its address.
    pub late_deletes: bool,
}

/// The times of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Before the request.
    pub sent: SystemTime,
    /// After the response.
    pub done: SystemTime,
}

/// A pod to which an address was assigned.
#[derive(Clone, Debug)]
pub struct Holder {
    /// The address.
    pub address: IpAddr,
    /// The pod's name.
    pub pod: String,
    /// The pod's uid.
    pub uid: String,
    /// Its status reports the address.
    pub reported: Step,
    /// Its deletion begins. `None` for the last pod of an address.
    pub deleted: Option<Step>,
}

/// All assignments.
#[derive(Clone, Debug)]
pub struct Truth {
    /// All pods, by address and time.
    pub holders: Vec<Holder>,
    /// Duration of the churn.
    pub took: Duration,
}

impl Holder {
    /// Whether the address was certainly assigned to this pod at a time.
    pub fn held_at(&self, time: SystemTime) -> bool {
        self.reported.done <= time && self.deleted.is_none_or(|deleted| time < deleted.sent)
    }
}

impl Truth {
    /// The pods of one address, by time.
    pub fn of(&self, address: IpAddr) -> impl Iterator<Item = &Holder> {
        self.holders
            .iter()
            .filter(move |holder| holder.address == address)
    }

    /// The pod to which an address was certainly assigned at a time. `None` between two pods.
    pub fn holder(&self, address: IpAddr, time: SystemTime) -> Option<&Holder> {
        self.of(address).find(|holder| holder.held_at(time))
    }

    /// Measured rate, in pods per second.
    pub fn rate(&self) -> f64 {
        f64::from(u32::try_from(self.holders.len()).expect("a count")) / self.took.as_secs_f64()
    }
}

/// Running churn. It continues in the background until [`finish`](Self::finish), which panics if a
/// request has failed.
pub struct Churn {
    slots: JoinSet<Result<Vec<Holder>, Error>>,
    // Closed at the end.
    goes_on: watch::Sender<()>,
    // Pods by address.
    counts: Arc<[AtomicU32]>,
    cluster: Cluster,
    began: Instant,
}

impl Churn {
    /// Starts. The first pods are spread over the life of one pod, so that the rate is constant
    /// from the start.
    pub fn start(cluster: &Cluster, plan: Plan) -> Self {
        let (goes_on, began) = (watch::Sender::new(()), Instant::now());
        let mut slots = JoinSet::new();
        let between = Duration::from_secs(1) / plan.rate;
        let count = u32::try_from(plan.addresses.len()).expect("a number of addresses");
        let plan = Arc::new(plan);
        let counts: Arc<[AtomicU32]> = (0..count).map(|_| AtomicU32::new(0)).collect();
        for number in 0..count {
            let slot = Slot {
                client: cluster.client().clone(),
                plan: Arc::clone(&plan),
                counts: Arc::clone(&counts),
                number,
                first: began + between * number,
                life: between * count,
                goes_on: goes_on.subscribe(),
            };
            slots.spawn_on(slot.run(), cluster.runtime().handle());
        }
        Self {
            slots,
            goes_on,
            counts,
            cluster: cluster.clone(),
            began,
        }
    }

    /// The number of pods that every address has been assigned to so far.
    pub fn pods_of_each(&self) -> u32 {
        let counts = self.counts.iter().map(|count| count.load(Relaxed));
        counts.min().unwrap_or_default()
    }

    /// Stops, without deleting the last pod of each address, and returns the assignments.
    pub fn finish(self) -> Truth {
        drop(self.goes_on);
        let took = self.began.elapsed();
        let slots = self.cluster.wait(self.slots.join_all());
        let mut holders = Vec::new();
        for slot in slots {
            holders.extend(slot.expect("the API server accepts the requests"));
        }
        holders.sort_by_key(|holder| (holder.address, holder.reported.sent));
        Truth { holders, took }
    }
}

/// One address and its pods.
struct Slot {
    client: Client,
    plan: Arc<Plan>,
    counts: Arc<[AtomicU32]>,
    number: u32,
    /// Time of the first pod.
    first: Instant,
    /// Time between two pods.
    life: Duration,
    goes_on: watch::Receiver<()>,
}

impl Slot {
    async fn run(mut self) -> Result<Vec<Holder>, Error> {
        let index = usize::try_from(self.number).expect("an index");
        let address = self.plan.addresses[index];
        let status = objects::running(&[&address.to_string()]);
        let mut holders: Vec<Holder> = Vec::new();
        let mut before: Option<Object> = None;
        let mut next = self.first;
        loop {
            // Nothing is sent on this channel: it either times out or is closed.
            if timeout_at(next.into(), self.goes_on.changed())
                .await
                .is_ok()
            {
                return Ok(holders);
            }
            if let Some(pod) = &before {
                let grace = Duration::from_secs(30);
                let deleted = step(cluster::delete(&self.client, pod, grace)).await?.0;
                holders.last_mut().expect("it is one").deleted = Some(deleted);
                if !self.plan.late_deletes {
                    cluster::delete(&self.client, pod, Duration::ZERO).await?;
                }
            }
            let name = format!("churn-{}-{}", self.number, holders.len());
            let pod = objects::pod(&self.plan.namespace, &name).on(&self.plan.node);
            let pod = cluster::create(&self.client, pod).await?;
            let (reported, pod) = step(cluster::set_status(&self.client, &pod, &status)).await?;
            // If the machine is too slow for the rate, a pod still has a minimum life.
            next = (next + self.life).max(Instant::now() + self.life / 2);
            let uid = pod.uid().to_owned();
            holders.push(Holder {
                address,
                pod: name,
                uid,
                reported,
                deleted: None,
            });
            self.counts[index].fetch_add(1, Relaxed);
            if let Some(late) = before.replace(pod)
                && self.plan.late_deletes
            {
                cluster::delete(&self.client, &late, Duration::ZERO).await?;
            }
        }
    }
}

/// Measures a request.
async fn step<T>(request: impl Future<Output = Result<T, Error>>) -> Result<(Step, T), Error> {
    let sent = SystemTime::now();
    let answer = request.await?;
    Ok((
        Step {
            sent,
            done: SystemTime::now(),
        },
        answer,
    ))
}
