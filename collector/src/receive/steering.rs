//! The worker of each exporter, if the sockets of several workers share a port.
//!
//! The kernel's own selection is a hash of both addresses and ports. A few exporters may then all
//! have one worker, and one exporter that sends from several ports has several, which do not share
//! its options data. Therefore a filter of classic BPF, which needs no capability, selects the
//! socket by the exporter's address: for the first exporters that of the worker with the fewest,
//! for the others by a hash.
//!
//! Each new exporter of the first ones changes the filter. What another socket received before that
//! is passed on.

mod filter;

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};

use foldhash::fast::RandomState;
use kipfix_service::sync::lock;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};

use super::udp::UdpReceiver;

/// Exporters that are distributed evenly. A hash is fair enough for more, and the filter stays
/// short.
const MAX_DISTRIBUTED: usize = 64;

/// Distributes exporters over workers.
#[derive(Debug)]
pub struct Steering {
    workers: usize,
    /// For each address that is listened on, the socket of the first worker.
    groups: Vec<Arc<UdpReceiver>>,
    distributed: Mutex<Vec<(IpAddr, usize)>>,
}

impl Steering {
    /// Installs the filter. `sockets` are those of all `workers`, worker after worker. None if
    /// there is nothing to distribute, or if the kernel refuses the filter and keeps its own
    /// selection.
    #[must_use]
    pub fn new(sockets: &[Arc<UdpReceiver>], workers: usize) -> Option<Self> {
        if workers < 2 || sockets.is_empty() {
            return None;
        }
        let groups = sockets.get(..sockets.len() / workers)?.to_vec();
        let steering = Self {
            workers,
            groups,
            distributed: Mutex::default(),
        };
        match steering.install(&[]) {
            Ok(()) => Some(steering),
            Err(error) => {
                tracing::warn!(%error, "exporters are spread over workers by a hash of the kernel");
                None
            }
        }
    }

    /// The worker of an exporter. A new one gets the worker with the fewest exporters. None: the
    /// one whose socket has received the datagram.
    fn assign(&self, exporter: IpAddr) -> Option<usize> {
        let mut distributed = lock(&self.distributed);
        if let Some((_, worker)) = distributed.iter().find(|(known, _)| *known == exporter) {
            return Some(*worker);
        }
        if distributed.len() == MAX_DISTRIBUTED {
            return None;
        }
        let exporters_of = |worker| distributed.iter().filter(|(_, of)| *of == worker).count();
        let worker = (0..self.workers).min_by_key(|worker| exporters_of(*worker))?;
        distributed.push((exporter, worker));
        if let Err(error) = self.install(&distributed) {
            tracing::warn!(%error, %exporter, "exporter not assigned to a worker in the kernel");
        }
        Some(worker)
    }

    fn install(&self, distributed: &[(IpAddr, usize)]) -> nix::Result<()> {
        let mut filter = filter::select_worker(distributed, self.workers);
        let program = libc::sock_fprog {
            len: u16::try_from(filter.len()).map_err(|_| Errno::E2BIG)?,
            filter: filter.as_mut_ptr(),
        };
        self.groups.iter().try_for_each(|socket| {
            setsockopt(&socket.as_fd(), sockopt::AttachReusePortCbpf, &program)
        })
    }
}

/// The workers that process the datagrams of exporters which a worker's sockets receive, except
/// this worker.
#[derive(Debug)]
pub struct OtherWorkers<I> {
    own: usize,
    workers: Vec<Arc<Mutex<I>>>,
    steering: Option<Arc<Steering>>,
    /// The worker of each exporter that was seen and is distributed.
    known: HashMap<IpAddr, usize, RandomState>,
}

impl<I> OtherWorkers<I> {
    /// For worker number `own` of `workers`. Without `steering`, there are no others.
    #[must_use]
    pub fn new(own: usize, workers: Vec<Arc<Mutex<I>>>, steering: Option<Arc<Steering>>) -> Self {
        Self {
            own,
            workers,
            steering,
            known: HashMap::default(),
        }
    }

    /// The worker of an exporter from which a datagram was received. None if it is the own one.
    pub fn of(&mut self, exporter: IpAddr) -> Option<Arc<Mutex<I>>> {
        let steering = self.steering.as_ref()?;
        let worker = match self.known.get(&exporter) {
            Some(worker) => *worker,
            None if self.known.len() == MAX_DISTRIBUTED => return None,
            None => {
                let worker = steering.assign(exporter)?;
                self.known.insert(exporter, worker);
                worker
            }
        };
        let is_other = worker != self.own;
        self.workers.get(worker).filter(|_| is_other).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

    use super::super::udp::Batch;
    use super::*;

    const WORKERS: usize = 4;

    /// Workers with a socket each, which do not process datagrams.
    struct Group {
        sockets: Vec<Arc<UdpReceiver>>,
        workers: Vec<OtherWorkers<()>>,
        batch: Batch,
    }

    impl Group {
        fn listening_on(address: IpAddr) -> Self {
            let mut address = SocketAddr::new(address, 0);
            let sockets = Vec::from_iter((0..WORKERS).map(|worker| {
                let socket = UdpReceiver::bind(address, 1 << 20, worker, true).unwrap();
                address = socket.local_address();
                Arc::new(socket)
            }));
            let steering = Steering::new(&sockets, WORKERS).map(Arc::new);
            assert!(steering.is_some());
            let all: Vec<_> = (0..WORKERS).map(|_| Arc::default()).collect();
            let workers = (0..WORKERS)
                .map(|own| OtherWorkers::new(own, all.clone(), steering.clone()))
                .collect();
            Self {
                sockets,
                workers,
                batch: Batch::default(),
            }
        }

        /// Sends a datagram from a new port. Returns the worker whose socket received it, and the
        /// one that processes it.
        fn send_from(&mut self, exporter: IpAddr) -> (usize, usize) {
            let port = self.sockets[0].local_address().port();
            let to = match exporter {
                IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
                IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
            };
            let socket = UdpSocket::bind((exporter, 0)).unwrap();
            socket.send_to(b"datagram", to).unwrap();
            let mut received = Vec::new();
            for (worker, socket) in self.sockets.iter().enumerate() {
                let take = |from: SocketAddr, _: &[u8]| received.push((worker, from.ip()));
                self.batch.receive(socket, take).unwrap();
            }
            let [(worker, from)] = received[..] else {
                panic!("one datagram of {exporter}: {received:?}");
            };
            assert_eq!(from, exporter);
            let other = self.workers[worker].of(exporter);
            let all = &self.workers[worker].workers;
            let is = |other: &Arc<_>| all.iter().position(|one| Arc::ptr_eq(one, other)).unwrap();
            (worker, other.as_ref().map_or(worker, is))
        }
    }

    fn v4(number: usize) -> IpAddr {
        Ipv4Addr::from(0x7f00_0101 + u32::try_from(number).unwrap()).into()
    }

    #[test]
    fn each_worker_has_the_same_number_of_a_few_exporters() {
        for address in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::UNSPECIFIED.into()] {
            let mut group = Group::listening_on(address);
            let mut exporters_of = [0; WORKERS];
            for exporter in (0..3 * WORKERS).map(v4) {
                let (_, worker) = group.send_from(exporter);
                exporters_of[worker] += 1;
                for _ in 0..5 {
                    assert_eq!(group.send_from(exporter), (worker, worker));
                }
            }
            assert_eq!(exporters_of, [3; WORKERS]);
        }
    }

    #[test]
    fn all_ports_of_an_exporter_have_one_worker_also_if_there_are_many_exporters() {
        let mut group = Group::listening_on(Ipv6Addr::UNSPECIFIED.into());
        let distributed = (0..MAX_DISTRIBUTED).map(v4);
        let homes: Vec<usize> = distributed.map(|one| group.send_from(one).1).collect();
        let ipv6 = IpAddr::from(Ipv6Addr::LOCALHOST);
        let mut by_hash = [0; WORKERS];
        for exporter in (MAX_DISTRIBUTED..2 * MAX_DISTRIBUTED).map(v4).chain([ipv6]) {
            let (worker, processes) = group.send_from(exporter);
            assert_eq!(worker, processes);
            for _ in 0..3 {
                assert_eq!(group.send_from(exporter), (worker, worker));
            }
            by_hash[worker] += 1;
        }
        assert!(
            by_hash.iter().all(|count| (8..=24).contains(count)),
            "{by_hash:?}"
        );
        for (number, home) in homes.into_iter().enumerate() {
            assert_eq!(group.send_from(v4(number)), (home, home));
        }
    }

    #[test]
    fn an_exporter_with_ipv6_is_distributed_as_well() {
        let mut group = Group::listening_on(Ipv6Addr::UNSPECIFIED.into());
        for exporter in (0..WORKERS - 1).map(v4) {
            group.send_from(exporter);
        }
        let ipv6 = Ipv6Addr::LOCALHOST.into();
        // Only the last worker has no exporter.
        assert_eq!(group.send_from(ipv6).1, WORKERS - 1);
        assert_eq!(group.send_from(ipv6), (WORKERS - 1, WORKERS - 1));
    }

    #[test]
    fn one_worker_needs_no_steering() {
        let socket = UdpReceiver::bind((Ipv4Addr::LOCALHOST, 0).into(), 1 << 16, 0, false);
        assert!(Steering::new(&[Arc::new(socket.unwrap())], 1).is_none());
        assert!(Steering::new(&[], WORKERS).is_none());
    }
}
