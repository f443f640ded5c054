//! The history as octets, to be kept over a restart.
//!
//! A magic line, the layout of edges and endpoints, the time, the endpoints, the intervals, and a
//! checksum. Intervals are stored as they are in memory. A program with another layout does not
//! read them.

use std::io::{self, Write};
use std::sync::Arc;

use kipfix_service::exposition::protobuf::write_varint;

use super::endpoint::StoredEndpoint;
use super::endpoints::EndpointList;
use super::interval::Interval;
use super::measures::Health;
use super::ring_settings::RingSettings;
use super::varint;
use crate::pipeline::Measures;

/// First line.
const MAGIC: &[u8] = b"kipfix history 2\n";
/// How far the clock of the writer may have been ahead, milliseconds.
const MAX_AHEAD: u64 = 60_000;

/// Why a stored history cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SavedError {
    /// It is something else, or of another version.
    #[error("not a history file of this version")]
    Format,
    /// It is incomplete, or has changed since it was written.
    #[error("incomplete or corrupt")]
    Corrupt,
    /// It was written longer ago than the history reaches: its age, milliseconds.
    #[error("too old: {} s", .0 / 1000)]
    TooOld(u64),
    /// It was written in the future.
    #[error("its time is in the future")]
    Future,
    /// It was written with other rings.
    #[error("history_rings have changed")]
    OtherRings,
    /// Its endpoints have no room.
    #[error("history_size is too small for it")]
    TooLarge,
}

/// All parts of a history.
#[derive(Debug)]
pub(super) struct SavedHistory {
    /// Time of the last drain, milliseconds since the epoch.
    pub(super) drained: u64,
    pub(super) endpoints: EndpointList,
    pub(super) rings: Vec<SavedRing>,
    pub(super) current: Interval,
    /// Times in which no collector ran: begin and end.
    pub(super) gaps: Vec<(u64, u64)>,
}

/// A ring.
#[derive(Debug)]
pub(super) struct SavedRing {
    pub(super) settings: RingSettings,
    /// No earlier interval is complete.
    pub(super) complete_from: u64,
    pub(super) intervals: Vec<Arc<Interval>>,
    /// The current interval.
    pub(super) open: Option<Arc<Interval>>,
}

impl SavedHistory {
    /// Writes the octets.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut out = Checksummed { out, checksum: 0 };
        out.put(MAGIC)?;
        out.octets(&layout())?;
        out.number(self.drained)?;
        out.count(self.rings.len())?;
        for ring in &self.rings {
            out.number(ring.settings.step)?;
            out.number(ring.settings.length)?;
        }
        out.count(self.endpoints.len())?;
        let mut scratch = Vec::new();
        for endpoint in self.endpoints.iter() {
            scratch.clear();
            if let Some(endpoint) = endpoint {
                endpoint.write(&mut scratch);
            }
            out.octets(&scratch)?;
        }
        for ring in &self.rings {
            out.number(ring.complete_from)?;
            out.count(ring.intervals.len())?;
            for interval in &ring.intervals {
                out.interval(interval)?;
            }
            out.count(usize::from(ring.open.is_some()))?;
            if let Some(interval) = &ring.open {
                out.interval(interval)?;
            }
        }
        out.interval(&self.current)?;
        out.count(self.gaps.len())?;
        for (begin, end) in &self.gaps {
            out.number(*begin)?;
            out.number(*end)?;
        }
        let checksum = out.checksum;
        out.put(&checksum.to_be_bytes())
    }

    /// Begin of the last interval that refers to each endpoint.
    pub(super) fn last_used(&self) -> Vec<u64> {
        let mut last_used = vec![0; self.endpoints.len()];
        let mut mark = |slot, begin: u64| {
            let at = usize::try_from(slot).unwrap_or(usize::MAX);
            if let Some(last) = last_used.get_mut(at) {
                *last = begin.max(*last);
            }
        };
        let rings = self.rings.iter();
        let closed = rings.flat_map(|ring| ring.intervals.iter().chain(&ring.open));
        for interval in closed.map(|interval| &**interval).chain([&self.current]) {
            for (source, destination) in interval.keys() {
                mark(source, interval.begin);
                mark(destination, interval.begin);
            }
        }
        last_used
    }

    /// Reads octets that were written for the same rings.
    pub(super) fn read(
        octets: &[u8],
        rings: &[RingSettings],
        now: u64,
    ) -> Result<Self, SavedError> {
        let rest = octets.strip_prefix(MAGIC).ok_or(SavedError::Format)?;
        let (content, checksum) = octets.split_last_chunk().ok_or(SavedError::Corrupt)?;
        if crc32c::crc32c(content) != u32::from_be_bytes(*checksum) {
            return Err(SavedError::Corrupt);
        }
        let mut input = Input(
            rest.get(..rest.len().saturating_sub(checksum.len()))
                .unwrap_or_default(),
        );
        if input.octets().ok_or(SavedError::Corrupt)? != layout() {
            return Err(SavedError::Format);
        }
        let drained = input.number().ok_or(SavedError::Corrupt)?;
        if drained > now.saturating_add(MAX_AHEAD) {
            return Err(SavedError::Future);
        }
        let age = now.saturating_sub(drained);
        if rings.iter().all(|ring| ring.length < age) {
            return Err(SavedError::TooOld(age));
        }
        let settings = input.list(Input::ring_settings);
        if settings.ok_or(SavedError::Corrupt)? != rings {
            return Err(SavedError::OtherRings);
        }
        input.history(drained, rings).ok_or(SavedError::Corrupt)
    }
}

/// What decides about the form of edges and endpoints: a sample of each.
fn layout() -> Vec<u8> {
    let sample = Measures {
        bytes: 3000,
        packets: 20,
        connections: 1,
    };
    let mut octets = Vec::new();
    StoredEndpoint::write_layout(&mut octets);
    StoredEndpoint::other().write(&mut octets);
    let health = Health {
        retransmitted_packets: 1,
        refused_connections: 2,
        unanswered_connections: 3,
        reset_connections: 4,
        rtt_count: 5,
        rtt_sum_microseconds: 6,
        rtt_min_microseconds: 7,
        duration_count: 8,
        duration_sum_milliseconds: 9,
    };
    let interval = Interval::new(0, [((1, 2), sample)], [((1, 2), health)]);
    octets.extend(interval.encoded().concat());
    octets
}

/// Writes values, and sums them up.
struct Checksummed<'a> {
    out: &'a mut dyn Write,
    checksum: u32,
}

impl Checksummed<'_> {
    fn put(&mut self, octets: &[u8]) -> io::Result<()> {
        self.checksum = crc32c::crc32c_append(self.checksum, octets);
        self.out.write_all(octets)
    }

    fn number(&mut self, number: u64) -> io::Result<()> {
        let mut octets = Vec::with_capacity(10);
        write_varint(number, &mut octets);
        self.put(&octets)
    }

    fn count(&mut self, count: usize) -> io::Result<()> {
        self.number(u64::try_from(count).unwrap_or(u64::MAX))
    }

    fn octets(&mut self, octets: &[u8]) -> io::Result<()> {
        self.count(octets.len())?;
        self.put(octets)
    }

    fn interval(&mut self, interval: &Interval) -> io::Result<()> {
        self.number(interval.begin)?;
        let lists = interval.encoded();
        lists.into_iter().try_for_each(|list| self.octets(list))
    }
}

/// Reads values. `None` at the end of the octets, or if a value is not allowed.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn number(&mut self) -> Option<u64> {
        varint::read(&mut self.0)
    }

    fn octets(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (octets, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(octets)
    }

    /// A number of values, each read by `read`. A wrong number reserves nothing.
    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        (0..self.number()?).map(|_| read(self)).collect()
    }

    fn ring_settings(&mut self) -> Option<RingSettings> {
        Some(RingSettings {
            step: self.number()?,
            length: self.number()?,
        })
    }

    fn endpoint(&mut self) -> Option<Option<Arc<StoredEndpoint>>> {
        match self.octets()? {
            [] => Some(None),
            mut octets => {
                let endpoint = StoredEndpoint::read(&mut octets)?;
                octets.is_empty().then(|| Some(Arc::new(endpoint)))
            }
        }
    }

    fn interval(&mut self, endpoints: &EndpointList) -> Option<Arc<Interval>> {
        let begin = self.number()?;
        let interval = Interval::of_encoded(begin, [self.octets()?, self.octets()?])?;
        let is_known = |slot| super::endpoints::get(endpoints, slot).is_some();
        let mut edges = interval.keys();
        let are_known =
            edges.all(|(source, destination)| is_known(source) && is_known(destination));
        drop(edges);
        are_known.then(|| Arc::new(interval))
    }

    fn history(&mut self, drained: u64, rings: &[RingSettings]) -> Option<SavedHistory> {
        let endpoints: EndpointList = Arc::new(self.list(Self::endpoint)?);
        let ring = |input: &mut Self, settings: &RingSettings| {
            Some(SavedRing {
                settings: *settings,
                complete_from: input.number()?,
                intervals: input.list(|input| input.interval(&endpoints))?,
                open: input.list(|input| input.interval(&endpoints))?.pop(),
            })
        };
        let rings = rings.iter().map(|settings| ring(self, settings));
        let rings = rings.collect::<Option<Vec<_>>>()?;
        let current = self.interval(&endpoints)?;
        let gaps = self.list(|input| Some((input.number()?, input.number()?)))?;
        self.0.is_empty().then(|| SavedHistory {
            drained,
            endpoints,
            rings,
            current: Arc::unwrap_or_clone(current),
            gaps,
        })
    }
}
