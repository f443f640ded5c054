//! Series of sequence numbers of one device, and which sessions share one.
//!
//! A series may run over several UDP ports (NAT, a load balancer, a pool of sockets) and over
//! several Source IDs. It may also be that of one of several exporters that share an address. The
//! numbers decide: a Message belongs to the series that it continues.

use super::convention::MessageSequence;
use super::gaps::Report;
use super::sequence::{MessageSender, Sequence, SequenceOutcome};
use crate::wire::Version;

/// Series searched for one that a Message continues.
const SEARCH: usize = 16;
/// A new port belongs to the series of its Source ID if its number is this close.
const NEAR: std::ops::RangeInclusive<i64> = -64..=1000;
/// A number in IPFIX is proof of a common series from here on: lower ones coincide.
const PROOF: u32 = 1000;

/// A series: its place, and a number that is never reused within its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TrackId {
    place: usize,
    number: u64,
}

#[derive(Clone, Debug)]
struct Track {
    number: u64,
    /// Domain of its first Message.
    domain: u32,
    sequence: Sequence,
    /// Sessions in it.
    members: usize,
    /// How often a session has left it that did not belong to it.
    splits: u32,
}

/// What a session remembers of its series.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Membership {
    pub(super) track: Option<TrackId>,
    /// The session's own latest Message.
    pub(super) latest: Option<MessageSequence>,
    /// Number of splits of the series when a Message of the session continued that of another one.
    shared_since: Option<u32>,
}

/// The Message at hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) session: u64,
    pub(super) domain: u32,
    pub(super) version: Version,
    pub(super) sequence: u32,
}

/// All series of one device.
#[derive(Debug, Default)]
pub(super) struct Tracks {
    tracks: Vec<Option<Track>>,
    vacant: Vec<usize>,
    /// Places of the series used last, the last one in front.
    recent: Vec<usize>,
    next_number: u64,
}

impl Tracks {
    /// Puts a Message into a series. Returns whether its session and the others of the series are
    /// of one exporter: this Message or an earlier one continues a Message of another session, and
    /// not the session's own, and since then no session has turned out to be of another exporter.
    pub(super) fn assign(&mut self, member: &mut Membership, arrival: &Arrival) -> bool {
        let is_proof = self.place(member, arrival);
        let Some(track) = member.track.and_then(|id| self.get(id)) else {
            return false;
        };
        if is_proof {
            member.shared_since = Some(track.splits);
        }
        member.shared_since == Some(track.splits)
    }

    /// Puts a Message into a series. Returns whether it proves that its session and another one are
    /// of one exporter.
    fn place(&mut self, member: &mut Membership, arrival: &Arrival) -> bool {
        let Some(track) = member.track.and_then(|id| self.get(id)) else {
            let (id, is_next) = self.of_new_session(arrival);
            self.join(member, id);
            return is_next && is_proof(arrival);
        };
        let is_own = track.sequence.latest_session() == arrival.session;
        let is_next = track.sequence.is_next_number(arrival.sequence);
        if is_own && is_next {
            return false;
        }
        let own = member.latest;
        let own = own.filter(|own| track.sequence.continues(*own, arrival.sequence));
        if is_next {
            return own.is_none() && is_proof(arrival);
        }
        if let Some(own) = own.filter(|_| !is_own) {
            self.split(member, own, arrival);
            return false;
        }
        let Some(other) = self.find_next(arrival) else {
            return false;
        };
        self.leave(member);
        self.join(member, other);
        is_proof(arrival)
    }

    /// Takes the sequence number of a Message, of which the records are known now.
    pub(super) fn on_message(
        &mut self,
        member: &mut Membership,
        message: MessageSequence,
        sender: MessageSender,
        now_milliseconds: u64,
        report: Report<'_>,
    ) -> Option<(SequenceOutcome, &Sequence)> {
        let id = member.track?;
        self.touch(id.place);
        let track = self.get_mut(id)?;
        let is_new = member.latest.is_none();
        let outcome =
            track
                .sequence
                .on_message(message, (sender, is_new), now_milliseconds, report);
        let is_behind = |latest: MessageSequence| {
            let behind = latest.sequence.wrapping_sub(message.sequence);
            (1..1 << 31).contains(&behind)
        };
        let is_latest = match outcome {
            // It may have a wrong number.
            SequenceOutcome::Stray { .. } => false,
            SequenceOutcome::Old { .. } => !member.latest.is_some_and(is_behind),
            _ => true,
        };
        if is_latest {
            member.latest = Some(message);
        }
        Some((outcome, &track.sequence))
    }

    /// Takes the sequence number of a Message that was sent before the latest one. Returns the
    /// number that the next one must have.
    pub(super) fn on_late(
        &mut self,
        member: &Membership,
        message: MessageSequence,
        sender: MessageSender,
        report: Report<'_>,
    ) -> Option<u32> {
        let track = self.get_mut(member.track?)?;
        track.sequence.on_late(message, sender, report);
        track.sequence.expected()
    }

    /// The exporter has restarted with this Message.
    pub(super) fn restart(
        &mut self,
        member: &mut Membership,
        message: MessageSequence,
        sender: MessageSender,
        report: Report<'_>,
    ) {
        member.latest = Some(message);
        if let Some(track) = member.track.and_then(|id| self.get_mut(id)) {
            track.sequence.restart(message, sender, report);
        }
    }

    /// Closes gaps that are not waited for any longer. Returns whether there are any left.
    pub(super) fn expire(&mut self, now_milliseconds: u64, report: Report<'_>) -> bool {
        let mut has_gaps = false;
        for track in self.tracks.iter_mut().flatten() {
            if now_milliseconds == u64::MAX {
                track.sequence.finish(report);
            } else {
                track.sequence.expire(now_milliseconds, report);
            }
            has_gaps |= track.sequence.has_gaps();
        }
        has_gaps
    }

    /// A session has ended.
    pub(super) fn end(&mut self, member: &mut Membership, report: Report<'_>) {
        if let Some(track) = member.track.and_then(|id| self.get_mut(id))
            && track.members <= 1
        {
            track.sequence.finish(report);
        }
        self.leave(member);
    }

    /// All series: identity, domain of the first Message, numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TrackId, u32, &Sequence)> {
        let tracks = self.tracks.iter().enumerate();
        tracks.filter_map(|(place, track)| {
            let track = track.as_ref()?;
            let number = track.number;
            Some((TrackId { place, number }, track.domain, &track.sequence))
        })
    }

    /// Adds a restored series.
    pub(super) fn restore(&mut self, domain: u32, sequence: Sequence) -> TrackId {
        self.push(domain, sequence)
    }

    /// Puts a session into a restored series. `number`: its number, if the latest Message is its.
    pub(super) fn join_restored(
        &mut self,
        member: &mut Membership,
        id: TrackId,
        number: Option<u64>,
    ) {
        self.join(member, id);
        if let (Some(number), Some(track)) = (number, self.get_mut(id)) {
            track.sequence.set_latest_session(number);
        }
    }

    //------------ Series ------------------------------------------------------------------------

    fn get(&self, id: TrackId) -> Option<&Track> {
        let track = self.tracks.get(id.place)?.as_ref()?;
        (track.number == id.number).then_some(track)
    }

    fn get_mut(&mut self, id: TrackId) -> Option<&mut Track> {
        let track = self.tracks.get_mut(id.place)?.as_mut()?;
        (track.number == id.number).then_some(track)
    }

    fn touch(&mut self, place: usize) {
        if self.recent.first() == Some(&place) {
            return;
        }
        self.recent.retain(|other| *other != place);
        self.recent.truncate(SEARCH.saturating_sub(1));
        self.recent.insert(0, place);
    }

    /// The series used lately, with their identities.
    fn recent(&self) -> impl Iterator<Item = (TrackId, &Track)> {
        self.recent.iter().filter_map(|place| {
            let track = self.tracks.get(*place)?.as_ref()?;
            let id = TrackId {
                place: *place,
                number: track.number,
            };
            Some((id, track))
        })
    }

    /// The series that a Message continues.
    fn find_next(&self, arrival: &Arrival) -> Option<TrackId> {
        let mut recent = self.recent();
        recent.find_map(|(id, track)| {
            let is_next = track.sequence.is_next_number(arrival.sequence);
            is_next.then_some(id)
        })
    }

    /// The series of a session that has sent nothing before, and whether its Message is the next
    /// one of it.
    fn of_new_session(&mut self, arrival: &Arrival) -> (TrackId, bool) {
        if let Some(id) = self.find_next(arrival) {
            return (id, true);
        }
        let is_near = |(_, track): &(TrackId, &Track)| {
            let distance = track.sequence.distance(arrival.sequence);
            track.domain == arrival.domain
                && distance.is_some_and(|distance| NEAR.contains(&distance))
        };
        // In IPFIX, a port is a Transport Session with numbers of its own.
        let near = match arrival.version {
            Version::Ipfix => None,
            _ => self.recent().find(is_near).map(|(id, _)| id),
        };
        match near {
            Some(id) => (id, false),
            None => {
                let sequence = Sequence::new(arrival.version);
                (self.push(arrival.domain, sequence), false)
            }
        }
    }

    fn push(&mut self, domain: u32, sequence: Sequence) -> TrackId {
        self.next_number = self.next_number.saturating_add(1);
        let track = Some(Track {
            number: self.next_number,
            domain,
            sequence,
            members: 0,
            splits: 0,
        });
        let place = self.vacant.pop().unwrap_or(self.tracks.len());
        match self.tracks.get_mut(place) {
            Some(vacant) => *vacant = track,
            None => self.tracks.push(track),
        }
        TrackId {
            place,
            number: self.next_number,
        }
    }

    fn join(&mut self, member: &mut Membership, id: TrackId) {
        member.track = Some(id);
        member.shared_since = None;
        if let Some(track) = self.get_mut(id) {
            track.members = track.members.saturating_add(1);
        }
        self.touch(id.place);
    }

    fn leave(&mut self, member: &mut Membership) {
        let Some(id) = member.track.take() else {
            return;
        };
        let Some(track) = self.get_mut(id) else {
            return;
        };
        track.members = track.members.saturating_sub(1);
        if track.members == 0
            && let Some(place) = self.tracks.get_mut(id.place)
        {
            *place = None;
            self.vacant.push(id.place);
            self.recent.retain(|other| *other != id.place);
        }
    }

    /// Gives a session a series of its own, which continues its own numbers.
    fn split(&mut self, member: &mut Membership, own: MessageSequence, arrival: &Arrival) {
        let Some(track) = member.track.and_then(|id| self.get_mut(id)) else {
            return;
        };
        track.splits = track.splits.wrapping_add(1);
        let sequence = track.sequence.split_off(own, arrival.session);
        let other = track.sequence.latest_session();
        track.sequence.drop_tentative(other);
        track.sequence.drop_tentative(arrival.session);
        self.leave(member);
        let id = self.push(arrival.domain, sequence);
        self.join(member, id);
    }
}

/// Whether a number that continues another session's proves that both are of one exporter.
const fn is_proof(arrival: &Arrival) -> bool {
    !matches!(arrival.version, Version::Ipfix) || arrival.sequence >= PROOF
}
