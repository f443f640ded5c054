//! Messages of a session: restarts, and sequence numbers.

use super::clock::MessageClock;
use super::convention::MessageSequence;
use super::gaps::RESTART;
use super::key::Place;
use super::sequence::{MessageSender, SequenceOutcome};
use super::session::Suspect;
use super::store::Sessions;
use super::templates::TemplateChange;
use super::tracks::Arrival;
use crate::wire::{MessageHeader, Version};

/// A number that has fallen by more units is not that of a late Message.
const MAX_LATE_UNITS: u32 = 1000;
/// A late Message was exported less than this time after the latest one, milliseconds.
const MAX_LATE_MILLISECONDS: u64 = 2000;
/// Numbers that have fallen without meaning, after which they are ignored.
const MAX_ERRATIC: u8 = 3;

/// A Message as its session sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionMessage {
    pub(crate) place: Place,
    pub(super) clock: MessageClock,
    pub(super) sequence: u32,
    /// It continues a Message of another session of the same exporter.
    pub(super) is_of_shared_track: bool,
    /// Its number has fallen: templates defined before this stamp cannot be used until the next
    /// Message shows whether the exporter has restarted.
    pub(super) suspect_since: Option<u64>,
    /// The exporter has restarted since the Message with this `sysUpTime`; 0 if it has none.
    pub(super) restarted_after: Option<u32>,
    /// It was sent before the latest one.
    pub(super) is_late: bool,
    /// The same, or it was sent in the same second and has a lower number.
    is_older: bool,
}

impl SessionMessage {
    pub(super) const fn new(place: Place, clock: MessageClock, sequence: u32) -> Self {
        Self {
            place,
            clock,
            sequence,
            is_of_shared_track: false,
            suspect_since: None,
            restarted_after: None,
            is_late: false,
            is_older: false,
        }
    }

    /// Whether it was sent before a template of its session changed.
    pub(super) fn is_before(&self, change: &TemplateChange) -> bool {
        let behind = change.sequence.wrapping_sub(self.sequence);
        self.is_older
            && (1..1 << 31).contains(&behind)
            && !change.is_over(self.clock.received_milliseconds)
    }

    /// Whether its definition of a template was sent before that template changed. Templates do not
    /// advance the number of IPFIX Messages, so it can be that of the change.
    pub(super) fn defines_before(&self, change: &TemplateChange) -> bool {
        let is_first_of_number = self.sequence == change.sequence
            && self.clock.is_exported_before(&change.clock)
            && !change.is_over(self.clock.received_milliseconds);
        is_first_of_number || self.is_before(change)
    }

    /// Whether its Data Sets have to wait for the next Message.
    pub(crate) const fn is_suspect(&self) -> bool {
        self.suspect_since.is_some()
    }

    /// The same Message after the next one has answered the question.
    pub(crate) const fn cleared(self) -> Self {
        Self {
            suspect_since: None,
            ..self
        }
    }
}

/// What the begin of a Message shows about those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    None,
    /// The exporter has restarted: its templates are void, also for suspect Data Sets.
    Restarted,
    /// A suspect Message was in order: its Data Sets can be read.
    Cleared,
}

impl Sessions {
    /// Begins a Message of a session, before any of its Sets is read.
    pub(crate) fn begin(
        &mut self,
        place: Place,
        header: &MessageHeader,
        now_milliseconds: u64,
    ) -> (SessionMessage, Verdict) {
        let clock = MessageClock::new(header, now_milliseconds);
        let mut message = SessionMessage::new(place, clock, header.sequence);
        let Some(session) = self.slab.get_mut(place).and_then(Option::as_mut) else {
            return (message, Verdict::None);
        };
        let Some(Some(device)) = self.devices.get_mut(session.device) else {
            return (message, Verdict::None);
        };
        let latest = session.restarts.latest();
        if session.restarts.on_message(clock) {
            message.restarted_after = latest.map(|latest| latest.up_time);
            self.restart(place, u64::MAX);
            return (message, Verdict::Restarted);
        }
        if !header.version.has_sequence() {
            return (message, Verdict::None);
        }
        let arrival = Arrival {
            session: session.number,
            domain: session.key.domain.observation_domain_id,
            version: header.version,
            sequence: header.sequence,
        };
        message.is_of_shared_track = device.tracks.assign(&mut session.membership, &arrival);
        let own = session.membership.latest;
        let (Some(own), Some(latest)) = (own, latest) else {
            return (message, Verdict::None);
        };
        let before = session
            .suspect
            .map_or(own.sequence, |suspect| suspect.before);
        let fallen = before.wrapping_sub(header.sequence);
        let has_fallen = (1..1 << 31).contains(&fallen);
        // A restarted exporter counts from 0, so its numbers are far from those before.
        let is_near = fallen < header.sequence;
        message.is_older = has_fallen && is_near && clock.is_not_after(&latest);
        if has_fallen && is_near && clock.is_exported_before(&latest) {
            message.is_late = true;
            session.restarts.set_back(latest);
            return (message, Verdict::None);
        }
        let suspect = session.suspect.take();
        if let Some(suspect) = suspect {
            let ahead = header.sequence.wrapping_sub(suspect.sequence);
            if has_fallen && ahead <= MAX_LATE_UNITS {
                message.restarted_after = Some(0);
                self.restart(place, suspect.stamp);
                return (message, Verdict::Restarted);
            }
            if has_fallen {
                session.erratic = session.erratic.saturating_add(1);
            }
            return (message, Verdict::Cleared);
        }
        let is_later = clock.export_milliseconds
            >= latest
                .export_milliseconds
                .saturating_add(MAX_LATE_MILLISECONDS);
        // An up time that has not fallen proves that there was no restart.
        let is_suspect = has_fallen
            && clock.up_time == 0
            && (fallen > MAX_LATE_UNITS || is_later)
            && session.erratic < MAX_ERRATIC
            && !message.is_of_shared_track
            && matches!(header.version, Version::V9 | Version::Ipfix);
        if is_suspect {
            let stamp = self.stamp.saturating_add(1);
            session.suspect = Some(Suspect {
                before,
                sequence: header.sequence,
                stamp,
            });
            message.suspect_since = Some(stamp);
        }
        (message, Verdict::None)
    }

    /// The exporter of a session has restarted: forgets templates defined before `stamp`, changes
    /// of the others, and options data.
    fn restart(&mut self, place: Place, stamp: u64) {
        self.forget_templates(place, |entry| entry.stamp < stamp);
        self.drop_changes(place, |_| true);
        let Some(session) = self.get_mut(place) else {
            return;
        };
        session.suspect = None;
        let (announcer, sender) = (session.announcer(), session.sender);
        let device = session.device;
        if let Some(Some(device)) = self.devices.get_mut(device) {
            let entries = device.options.forget(|by| by == announcer);
            self.subtract_entries(sender, entries);
        }
    }

    /// Ends a Message: takes its sequence number, if its version has any.
    pub(crate) fn end(
        &mut self,
        message: &SessionMessage,
        sequence: Option<MessageSequence>,
    ) -> SequenceOutcome {
        let Some(session) = self.slab.get_mut(message.place).and_then(Option::as_mut) else {
            return SequenceOutcome::First;
        };
        let sender = MessageSender {
            session: session.number,
            exporter: session.exporter,
        };
        let exporters = &mut self.exporters;
        let mut report = |exporter, counts| exporters.add_sequence(exporter, counts);
        let Some(Some(device)) = self.devices.get_mut(session.device) else {
            return SequenceOutcome::First;
        };
        let Some(sequence) = sequence else {
            return message
                .restarted_after
                .map_or(SequenceOutcome::First, |up_time| {
                    report(sender.exporter, RESTART);
                    SequenceOutcome::Restarted { up_time }
                });
        };
        let now = message.clock.received_milliseconds;
        let member = &mut session.membership;
        if let Some(up_time) = message.restarted_after {
            device.tracks.restart(member, sequence, sender, &mut report);
            return SequenceOutcome::Restarted { up_time };
        }
        if message.is_late {
            let expected = device.tracks.on_late(member, sequence, sender, &mut report);
            return expected.map_or(SequenceOutcome::First, |expected| SequenceOutcome::Old {
                expected,
            });
        }
        let taken = device
            .tracks
            .on_message(member, sequence, sender, now, &mut report);
        let Some((outcome, sequence)) = taken else {
            return SequenceOutcome::First;
        };
        let (has_gaps, convention) = (sequence.has_gaps(), sequence.convention());
        if has_gaps && !std::mem::replace(&mut device.has_gaps, true) {
            self.with_gaps.push(session.device);
        }
        if let Some(exporter) = self.exporters.get_mut(session.exporter) {
            exporter.convention = convention;
        }
        outcome
    }

    /// Counts gaps that are not waited for any longer as losses.
    pub(crate) fn expire_gaps(&mut self, now_milliseconds: u64) {
        let exporters = &mut self.exporters;
        let mut report = |exporter, counts| exporters.add_sequence(exporter, counts);
        let devices = &mut self.devices;
        self.with_gaps.retain(|at| {
            let Some(Some(device)) = devices.get_mut(*at) else {
                return false;
            };
            device.has_gaps = device.tracks.expire(now_milliseconds, &mut report);
            device.has_gaps
        });
    }
}
