//! Pods that come and go, and the truth about who held which address when.
//!
//! Each address is held by one pod after another. A pod's life: it is created on its node without an
//! address, reports it in its status a moment later, begins to be deleted (`deletionTimestamp`), and is gone;
//! with [`Plan::late_deletes`] it is gone only after the next holder has reported the same address, as
//! happens when a node's agent is slow.
//!
//! Every step is written down with two times of this machine's clock, before the request and after its
//! answer: what happens between the two is open, everything else is certain.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use kube::{Client, Error};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::cluster::{self, Cluster};
use crate::objects::{self, Object};

/// What shall come and go.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the pods live; it must exist.
    pub namespace: String,
    /// The node on which they run; none of that name needs to exist.
    pub node: String,
    /// The addresses, each always held by the next pod.
    pub addresses: Vec<IpAddr>,
    /// Pods a second over all addresses.
    pub rate: u32,
    /// Whether a pod goes only after the next one has its address.
    pub late_deletes: bool,
}

/// A step as this machine saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Before the request.
    pub sent: SystemTime,
    /// After the answer.
    pub done: SystemTime,
}

/// A pod that held an address.
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
    /// Its deletion begins; `None` while it holds the address.
    pub deleted: Option<Step>,
}

/// Who held which address when.
#[derive(Clone, Debug)]
pub struct Truth {
    /// All holders, by address and then in time's order.
    pub holders: Vec<Holder>,
    /// How long it went on.
    pub took: Duration,
}

impl Holder {
    /// True where this pod held the address at this time without any doubt.
    pub fn held_at(&self, time: SystemTime) -> bool {
        self.reported.done <= time && self.deleted.is_none_or(|deleted| time < deleted.sent)
    }
}

impl Truth {
    /// The holders of one address, in time's order.
    pub fn of(&self, address: IpAddr) -> impl Iterator<Item = &Holder> {
        self.holders
            .iter()
            .filter(move |holder| holder.address == address)
    }

    /// Who held an address at this time without any doubt; `None` between two holders.
    pub fn holder(&self, address: IpAddr, time: SystemTime) -> Option<&Holder> {
        self.of(address).find(|holder| holder.held_at(time))
    }

    /// Pods a second, as it went.
    pub fn rate(&self) -> f64 {
        f64::from(u32::try_from(self.holders.len()).expect("a count")) / self.took.as_secs_f64()
    }
}

/// Churn under way. It goes on beside the test until [`finish`](Self::finish); a request that fails ends the
/// test there.
pub struct Churn {
    slots: JoinSet<Result<Vec<Holder>, Error>>,
    // Closed when it shall end.
    goes_on: watch::Sender<()>,
    cluster: Cluster,
    began: Instant,
}

impl Churn {
    /// Begins. The first holders come one after another over the time of one life, so that the rate holds
    /// from the start.
    pub fn start(cluster: &Cluster, plan: Plan) -> Self {
        let (goes_on, began) = (watch::Sender::new(()), Instant::now());
        let mut slots = JoinSet::new();
        let between = Duration::from_secs(1) / plan.rate;
        let count = u32::try_from(plan.addresses.len()).expect("a number of addresses");
        let plan = Arc::new(plan);
        for number in 0..count {
            let slot = Slot {
                client: cluster.client().clone(),
                plan: Arc::clone(&plan),
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
            cluster: cluster.clone(),
            began,
        }
    }

    /// Lets every address's last holder stand, and tells the truth.
    pub fn finish(self) -> Truth {
        drop(self.goes_on);
        let took = self.began.elapsed();
        let slots = self.cluster.wait(self.slots.join_all());
        let mut holders = Vec::new();
        for slot in slots {
            holders.extend(slot.expect("the API server takes what the churn sends"));
        }
        holders.sort_by_key(|holder| (holder.address, holder.reported.sent));
        Truth { holders, took }
    }
}

/// One address and its holders.
struct Slot {
    client: Client,
    plan: Arc<Plan>,
    number: u32,
    /// When the first holder comes.
    first: Instant,
    /// From one holder to the next.
    life: Duration,
    goes_on: watch::Receiver<()>,
}

impl Slot {
    async fn run(mut self) -> Result<Vec<Holder>, Error> {
        let address = self.plan.addresses[usize::try_from(self.number).expect("an index")];
        let status = objects::running(&[&address.to_string()]);
        let mut holders: Vec<Holder> = Vec::new();
        let mut before: Option<Object> = None;
        let mut next = self.first;
        loop {
            // Nothing is ever sent: it is time, or it has ended.
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
            // On a machine that cannot keep the rate, a pod lives for a while all the same.
            next = (next + self.life).max(Instant::now() + self.life / 2);
            let uid = pod.uid().to_owned();
            holders.push(Holder {
                address,
                pod: name,
                uid,
                reported,
                deleted: None,
            });
            if let Some(late) = before.replace(pod)
                && self.plan.late_deletes
            {
                cluster::delete(&self.client, &late, Duration::ZERO).await?;
            }
        }
    }
}

/// Times a request.
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
