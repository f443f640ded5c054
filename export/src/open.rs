//! Target → exporter: which transport it is, whether it needs a thread, and whether it is one address or all.

use std::io;
use std::sync::Arc;

use flowproto::exporter::Version;
use kipfix_service::signals::Stop;

use crate::counters::{TargetCounters, TargetFamilies};
use crate::file::FileExporter;
use crate::names::Name;
use crate::own_export::OwnExport;
use crate::queued::{Ending, Patience, Queued};
use crate::spread::{OpenOne, Spread};
use crate::stream::{StreamExporter, StreamSettings};
use crate::target::{Target, TargetKind};
use crate::udp::{UdpExporter, UdpSettings};
use crate::{Encoding, Exporter, RecordOf, wall_clock_milliseconds};

/// Ports that a source port is chosen from: below the ephemeral ones, and below those of NodePort Services.
const SOURCE_PORTS: std::ops::Range<u16> = 20_000..30_000;

/// What is the same for all targets.
#[derive(Clone, Debug)]
pub struct Opener {
    /// Set when the process is asked to stop.
    pub stop: Stop,
    /// Records wait for a target instead of being lost, since they come from a file.
    pub offline: bool,
    /// Records in the queue of a target that has a thread of its own, at the most.
    pub queue_records: usize,
    /// Records a second to a target that does not say; 0 unpaced.
    pub records_per_second: u32,
    /// Told of every session, so that a probe leaves it out.
    pub own_export: Arc<OwnExport>,
    /// Who exports: the same exporter has the same source port after a restart, if it is free.
    pub identity: String,
}

/// A target whose name can be looked up, to be opened once that is known.
#[derive(Clone, Debug)]
pub struct Prepared {
    target: Target,
    name: Option<Name>,
    counters: TargetCounters,
}

impl Prepared {
    /// Nothing is opened yet; the target's series are there.
    #[must_use]
    pub fn new(target: &Target, families: &TargetFamilies) -> Self {
        let connects = matches!(target.kind, TargetKind::Tcp { .. } | TargetKind::Tls { .. });
        Self {
            name: target
                .remote()
                .map(|remote| Name::new(&remote.host, remote.port)),
            counters: families.target(&target.to_string(), connects),
            target: target.clone(),
        }
    }

    /// The name to be looked up, where the target has one.
    #[must_use]
    pub const fn name(&self) -> Option<&Name> {
        self.name.as_ref()
    }

    /// What becomes of its records.
    #[must_use]
    pub const fn counters(&self) -> &TargetCounters {
        &self.counters
    }

    /// The version of the protocol that it gets.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.target.version()
    }

    /// Opens the target. `None` for stdout, which is the caller's.
    ///
    /// # Errors
    /// A file or a thread cannot be made. A host that is away is no error: it is tried again.
    pub fn open<E: Encoding>(
        &self,
        encoding: &E,
        opener: &Opener,
    ) -> io::Result<Option<Box<dyn Exporter<RecordOf<E>>>>>
    where
        RecordOf<E>: std::fmt::Debug,
    {
        let counters = self.counters.clone();
        if let TargetKind::File { path, rotation } = &self.target.kind {
            let now = wall_clock_milliseconds();
            let (path, encoding) = (path.clone(), encoding.clone());
            let file = FileExporter::new(path, *rotation, encoding, counters.clone(), now)?;
            return queued(file, Ending::default(), opener, counters).map(Some);
        }
        let (Some(name), Some(remote)) = (&self.name, self.target.remote()) else {
            return Ok(None);
        };
        if !remote.spread {
            return self.open_one(name.clone(), encoding, opener).map(Some);
        }
        let (this, encoding, opener) = (self.clone(), encoding.clone(), opener.clone());
        let host = remote.host.clone();
        let open: OpenOne<RecordOf<E>> =
            Box::new(move |address| this.open_one(Name::fixed(&host, address), &encoding, &opener));
        Ok(Some(Box::new(Spread::<E>::new(
            name.clone(),
            open,
            counters,
        ))))
    }

    fn open_one<E: Encoding>(
        &self,
        name: Name,
        encoding: &E,
        opener: &Opener,
    ) -> io::Result<Box<dyn Exporter<RecordOf<E>>>>
    where
        RecordOf<E>: std::fmt::Debug,
    {
        let (counters, own_export) = (self.counters.clone(), Arc::clone(&opener.own_export));
        let rate = |rate: Option<u32>| rate.unwrap_or(opener.records_per_second);
        let (credentials, records_per_second) = match &self.target.kind {
            TargetKind::Udp {
                remote,
                max_message_octets,
                ..
            } => {
                let settings = UdpSettings {
                    max_message_octets: *max_message_octets,
                    records_per_second: rate(remote.records_per_second),
                    wait: opener.offline,
                    source_port: opener.source_port(&self.target, &name),
                };
                let encoding = encoding.clone();
                let udp = UdpExporter::new(name, encoding, settings, own_export, counters);
                return Ok(Box::new(udp));
            }
            TargetKind::Tcp { remote } => (None, remote.records_per_second),
            TargetKind::Tls {
                remote,
                credentials,
            } => (Some(credentials.clone()), remote.records_per_second),
            TargetKind::File { .. } | TargetKind::Stdout => {
                return Err(io::Error::from(io::ErrorKind::InvalidInput));
            }
        };
        let settings = StreamSettings {
            credentials,
            // The receiver slows a stream down by itself.
            records_per_second: records_per_second.unwrap_or(0),
            offline: opener.offline,
        };
        let ending = Ending::default();
        let stream = StreamExporter::new(
            name,
            encoding.clone(),
            settings,
            ending.clone(),
            own_export,
            counters.clone(),
        );
        queued(stream, ending, opener, counters)
    }
}

impl Opener {
    /// Live, a source port that is the same after a restart; one run from a file is one session.
    fn source_port(&self, target: &Target, name: &Name) -> u16 {
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
        // FNV-1a.
        let hash = parts
            .join("\n")
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, octet| {
                (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193)
            });
        let count = u32::try_from(SOURCE_PORTS.len()).unwrap_or(1);
        let at = u16::try_from(hash % count).unwrap_or_default();
        SOURCE_PORTS.start.saturating_add(at)
    }
}

fn queued<R: Clone + Send + std::fmt::Debug + 'static>(
    exporter: impl Exporter<R> + 'static,
    ending: Ending,
    opener: &Opener,
    counters: TargetCounters,
) -> io::Result<Box<dyn Exporter<R>>> {
    let patience = if opener.offline {
        Patience::WaitUntil(opener.stop.clone())
    } else {
        Patience::Lose
    };
    let queued = Queued::start(exporter, ending, opener.queue_records, patience, counters)?;
    Ok(Box::new(queued))
}
