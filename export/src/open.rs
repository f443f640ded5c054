//! Opens targets: selects the transport, a thread for those that can block, and one address or all.

use std::io;
use std::sync::Arc;

use flowproto::exporter::{Profile, Version};
use kipfix_service::signals::Stop;

use crate::clock::wall_clock_milliseconds;
use crate::counters::{TargetCounters, TargetFamilies};
use crate::destination::Destination;
use crate::exporter::Exporter;
use crate::file::FileExporter;
use crate::identity::stable_hash;
use crate::names::TargetName;
use crate::own_endpoints::OwnEndpoints;
use crate::queued::{OverflowPolicy, QueuedExporter};
use crate::session::{Encoding, RecordOf};
use crate::shutdown::ShutdownDeadline;
use crate::spread::{OpenDestination, SpreadExporter};
use crate::stream::{StreamExporter, StreamSettings};
use crate::target::{Remote, Target, TargetKind, Transport};
use crate::udp::{UdpExporter, UdpSettings};

/// Range of source ports: below the ephemeral ports, and below those of NodePort Services.
const SOURCE_PORTS: std::ops::Range<u16> = 20_000..30_000;

/// What is the same for all targets.
#[derive(Clone, Debug)]
pub struct TargetContext {
    /// Set when the process stops.
    pub stop: Stop,
    /// Records come from a file: they wait for a target instead of being lost.
    pub offline: bool,
    /// There is no other target that this one could delay.
    pub is_only_target: bool,
    /// Maximum number of records in the queue of a target with a thread of its own.
    pub queue_records: usize,
    /// Default rate of UDP targets, records per second; 0 is unlimited.
    pub records_per_second: u32,
    /// Receives the local endpoint of every session.
    pub own_endpoints: Arc<OwnEndpoints>,
    /// Identity of the exporter, from which UDP source ports are derived: they stay the same over
    /// restarts.
    pub identity: String,
}

/// A target that is not open yet, because its name may have to be resolved first.
#[derive(Clone, Debug)]
pub struct PreparedTarget {
    target: Target,
    name: Option<TargetName>,
    counters: TargetCounters,
}

impl PreparedTarget {
    /// Creates the series of a target. Opens nothing.
    #[must_use]
    pub fn new(target: &Target, families: &TargetFamilies) -> Self {
        Self {
            name: target
                .remote()
                .map(|remote| TargetName::new(&remote.host, remote.port)),
            counters: families.target(&target.to_string()),
            target: target.clone(),
        }
    }

    /// The name to resolve, if the target has one.
    #[must_use]
    pub const fn name(&self) -> Option<&TargetName> {
        self.name.as_ref()
    }

    /// The counters of the target.
    #[must_use]
    pub const fn counters(&self) -> &TargetCounters {
        &self.counters
    }

    /// The version of the protocol.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.target.version()
    }

    /// The elements of IPFIX.
    #[must_use]
    pub const fn profile(&self) -> Profile {
        self.target.profile
    }

    /// Opens the target. `None` for stdout, which the caller implements.
    ///
    /// # Errors
    /// A file or a thread cannot be created. An unreachable host is not an error: it is retried.
    pub fn open<E: Encoding>(
        &self,
        encoding: &E,
        context: &TargetContext,
    ) -> io::Result<Option<Box<dyn Exporter<RecordOf<E>>>>>
    where
        RecordOf<E>: std::fmt::Debug,
    {
        let counters = self.counters.clone();
        if let TargetKind::File { path, rotation } = &self.target.kind {
            let now = wall_clock_milliseconds();
            let (path, encoding) = (path.clone(), encoding.clone());
            let file = FileExporter::new(path, *rotation, encoding, counters.clone(), now)?;
            return queued(file, ShutdownDeadline::default(), context, counters).map(Some);
        }
        let (Some(name), TargetKind::Remote(remote, transport)) = (&self.name, &self.target.kind)
        else {
            return Ok(None);
        };
        if !remote.spread {
            let opened = self.open_one(name.clone(), remote, transport, encoding, context);
            return opened.map(Some);
        }
        let (this, encoding, context) = (self.clone(), encoding.clone(), context.clone());
        let (remote, transport) = (remote.clone(), transport.clone());
        let open: OpenDestination<RecordOf<E>> = Box::new(move |address| {
            let name = TargetName::fixed(&remote.host, address);
            this.open_one(name, &remote, &transport, &encoding, &context)
        });
        Ok(Some(Box::new(SpreadExporter::<E>::new(
            name.clone(),
            open,
            counters,
        ))))
    }

    fn open_one<E: Encoding>(
        &self,
        name: TargetName,
        remote: &Remote,
        transport: &Transport,
        encoding: &E,
        context: &TargetContext,
    ) -> io::Result<Box<dyn Exporter<RecordOf<E>>>>
    where
        RecordOf<E>: std::fmt::Debug,
    {
        let (counters, deadline) = (self.counters.clone(), ShutdownDeadline::default());
        let destination = Destination {
            name,
            deadline: deadline.clone(),
            own_endpoints: Arc::clone(&context.own_endpoints),
            counters: counters.clone(),
        };
        let rate = remote.records_per_second;
        let credentials = match transport {
            Transport::Udp {
                max_message_octets, ..
            } => {
                let settings = UdpSettings {
                    max_message_octets: *max_message_octets,
                    records_per_second: rate.unwrap_or(context.records_per_second),
                    wait: context.offline,
                    source_port: context.source_port(&self.target, &destination.name),
                };
                let udp = UdpExporter::new(destination, encoding.clone(), settings);
                let waits = settings.wait || settings.records_per_second != 0;
                let is_alone = context.is_only_target && !remote.spread;
                // The only target of a savefile delays nothing else.
                if waits && !(context.offline && is_alone) {
                    return queued(udp, deadline, context, counters);
                }
                return Ok(Box::new(udp));
            }
            Transport::Tcp => None,
            Transport::Tls(credentials) => Some(credentials.clone()),
        };
        let settings = StreamSettings {
            credentials,
            // TCP has flow control.
            records_per_second: rate.unwrap_or(0),
            offline: context.offline,
        };
        let stream = StreamExporter::new(destination, encoding.clone(), settings);
        queued(stream, deadline, context, counters)
    }
}

impl TargetContext {
    /// What happens to records that do not fit into the queue of a target.
    #[must_use]
    pub fn overflow_policy(&self) -> OverflowPolicy {
        if self.offline {
            OverflowPolicy::Block(self.stop.clone())
        } else {
            OverflowPolicy::Drop
        }
    }

    /// The source port of a UDP target: the same after a restart. A run from a file is a session of
    /// its own and has any port.
    fn source_port(&self, target: &Target, name: &TargetName) -> u16 {
        if self.offline {
            return 0;
        }
        let address = name.address().map(|address| address.ip().to_string());
        let spread = target.remote().is_some_and(|remote| remote.spread);
        let parts = [
            self.identity.as_str(),
            &target.to_string(),
            address.as_deref().filter(|_| spread).unwrap_or_default(),
        ];
        let hash = stable_hash(&parts.join("\n"));
        let count = u32::try_from(SOURCE_PORTS.len()).unwrap_or(1);
        let at = u16::try_from(hash % count).unwrap_or_default();
        SOURCE_PORTS.start.saturating_add(at)
    }
}

fn queued<R: Clone + Send + std::fmt::Debug + 'static>(
    exporter: impl Exporter<R> + 'static,
    deadline: ShutdownDeadline,
    context: &TargetContext,
    counters: TargetCounters,
) -> io::Result<Box<dyn Exporter<R>>> {
    let (capacity, policy) = (context.queue_records, context.overflow_policy());
    let queued = QueuedExporter::start(exporter, deadline, capacity, policy, counters)?;
    Ok(Box::new(queued))
}
