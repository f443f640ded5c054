//! [`State`] as octets: a header with version and time, the devices, a checksum.

use std::sync::Arc;

use enum_map::EnumMap;

use super::codec::{Writer, checksum};
use super::{
    DeviceState, LayoutState, OptionState, SessionId, SessionState, State, StateError,
    TemplateState, TrackState,
};
use crate::address::Address;
use crate::element::DataType;
use crate::field::FieldSpecifier;
use crate::options::{Content, ElementType, SamplerScope};
use crate::plan::Selection;
use crate::record::Sampling;
use crate::sessions::clock::{ClockState, MessageClock};
use crate::sessions::convention::{MessageSequence, RecordNumbers};
use crate::sessions::sequence::SequenceState;
use crate::template::{Template, TemplateKind};
use crate::wire::Version;
use crate::wire::cursor::Cursor;

/// Begin of the octets. The number is the version of the form.
const MAGIC: &[u8; 16] = b"kipfix state 1\r\n";
/// In place of the number of scope fields, for templates of flow records.
const NO_OPTIONS: u16 = u16::MAX;

impl State {
    /// The state as octets. `now_milliseconds`: the time since the epoch, or of another clock that
    /// runs on while no collector does.
    #[must_use]
    pub fn to_octets(&self, now_milliseconds: u64) -> Vec<u8> {
        let mut out = Writer::default();
        out.0.extend_from_slice(MAGIC);
        out.u64(now_milliseconds);
        out.count(self.devices.len());
        for ((address, version), device) in &self.devices {
            out.u128(address.bits());
            out.u16(version.number());
            write_device(device, &mut out);
        }
        let sum = checksum(&out.0);
        out.u64(sum);
        out.0
    }

    /// The state of [`Self::to_octets`].
    ///
    /// # Errors
    /// The octets cannot be used, or were written before `max_age_milliseconds`.
    pub fn from_octets(
        octets: &[u8],
        now_milliseconds: u64,
        max_age_milliseconds: u64,
    ) -> Result<Self, StateError> {
        let rest = octets.strip_prefix(MAGIC).ok_or(StateError::Format)?;
        let (content, sum) = octets.split_last_chunk().ok_or(StateError::Corrupt)?;
        let rest = rest.get(..rest.len().saturating_sub(8));
        if checksum(content) != u64::from_be_bytes(*sum) {
            return Err(StateError::Corrupt);
        }
        let mut input = Cursor(rest.ok_or(StateError::Corrupt)?);
        let written = input.u64().ok_or(StateError::Corrupt)?;
        let age = now_milliseconds.saturating_sub(written);
        if age > max_age_milliseconds {
            return Err(StateError::TooOld(age));
        }
        let devices = input.list(|input| {
            let address = Address::from_v6_bits(input.u128()?);
            let version = Version::from_repr(input.u16()?)?;
            Some(((address, version), read_device(input)?))
        });
        let devices = devices.filter(|_| input.0.is_empty());
        let devices = devices.ok_or(StateError::Corrupt)?.into_iter().collect();
        let mut state = Self { devices };
        state.grow_older(age);
        Ok(state)
    }
}

fn write_device(device: &DeviceState, out: &mut Writer) {
    out.count(device.sessions.len());
    for (id, session) in &device.sessions {
        write_session_id(*id, out);
        out.u8(session.has_decoded.into());
        out.u64(session.age);
        write_clock(&session.clock, out);
        out.option(session.latest, write_sequence);
        out.option(session.track, Writer::count);
        out.count(session.templates.len());
        for template in &session.templates {
            write_template(template, out);
        }
    }
    out.count(device.tracks.len());
    for track in &device.tracks {
        write_track(track, out);
    }
    out.count(device.options.len());
    for option in &device.options {
        write_option(option, out);
    }
    out.count(device.layouts.len());
    for layout in &device.layouts {
        out.u32(layout.domain);
        write_clock(&layout.clock, out);
        write_template(&layout.template, out);
    }
}

fn read_device(input: &mut Cursor<'_>) -> Option<DeviceState> {
    let sessions = input.list(|input| {
        let id = read_session_id(input)?;
        let session = SessionState {
            has_decoded: input.boolean()?,
            age: input.u64()?,
            clock: read_clock(input)?,
            latest: input.option(read_sequence)?,
            track: input.option(|input| usize::try_from(input.u32()?).ok())?,
            templates: input.list(read_template)?,
        };
        Some((id, session))
    })?;
    Some(DeviceState {
        sessions: sessions.into_iter().collect(),
        tracks: input.list(read_track)?,
        options: input.list(read_option)?,
        layouts: input.list(|input| {
            Some(LayoutState {
                domain: input.u32()?,
                clock: read_clock(input)?,
                template: read_template(input)?,
            })
        })?,
    })
}

fn write_session_id((domain, port): SessionId, out: &mut Writer) {
    out.u32(domain);
    out.u16(port);
}

fn read_session_id(input: &mut Cursor<'_>) -> Option<SessionId> {
    Some((input.u32()?, input.u16()?))
}

fn write_clock(clock: &ClockState, out: &mut Writer) {
    out.u8(clock.credit);
    out.option(clock.latest, |out, latest| {
        out.u32(latest.up_time);
        out.u64(latest.export_milliseconds);
        out.u64(latest.received_milliseconds);
    });
}

fn read_clock(input: &mut Cursor<'_>) -> Option<ClockState> {
    Some(ClockState {
        credit: input.u8()?,
        latest: input.option(|input| {
            Some(MessageClock {
                up_time: input.u32()?,
                export_milliseconds: input.u64()?,
                received_milliseconds: input.u64()?,
            })
        })?,
    })
}

fn write_sequence(out: &mut Writer, message: MessageSequence) {
    out.u32(message.sequence);
    out.option(message.records, |out, records| {
        out.u32(records.data);
        out.u32(records.options);
        out.u32(records.templates);
    });
}

fn read_sequence(input: &mut Cursor<'_>) -> Option<MessageSequence> {
    Some(MessageSequence {
        sequence: input.u32()?,
        records: input.option(|input| {
            Some(RecordNumbers {
                data: input.u32()?,
                options: input.u32()?,
                templates: input.u32()?,
            })
        })?,
    })
}

fn write_track(track: &TrackState, out: &mut Writer) {
    out.u32(track.domain);
    out.option(track.latest, |out, id| write_session_id(id, out));
    let sequence = &track.sequence;
    out.0.extend_from_slice(sequence.scores.as_slice());
    out.u8(sequence.confidence.to_be_bytes()[0]);
    out.option(sequence.latest, write_sequence);
    out.u32(sequence.max_advance);
    out.u64(sequence.advanced);
    out.u64(sequence.began_milliseconds);
    out.u64(sequence.latest_milliseconds);
}

fn read_track(input: &mut Cursor<'_>) -> Option<TrackState> {
    let domain = input.u32()?;
    let latest = input.option(read_session_id)?;
    let mut scores = EnumMap::default();
    for score in scores.values_mut() {
        *score = input.u8()?;
    }
    Some(TrackState {
        domain,
        latest,
        sequence: SequenceState {
            scores,
            confidence: i8::from_be_bytes([input.u8()?]),
            latest: input.option(read_sequence)?,
            max_advance: input.u32()?,
            advanced: input.u64()?,
            began_milliseconds: input.u64()?,
            latest_milliseconds: input.u64()?,
        },
    })
}

fn write_template(state: &TemplateState, out: &mut Writer) {
    out.u16(state.id);
    out.u64(state.stamp);
    out.u64(state.sent);
    out.u64(state.used);
    let scope = match state.template.kind() {
        TemplateKind::Data => NO_OPTIONS,
        TemplateKind::Options { scope_fields } => u16::try_from(scope_fields).unwrap_or_default(),
    };
    out.u16(scope);
    out.count(state.template.fields().len());
    for field in state.template.fields() {
        out.u32(field.specifier.enterprise);
        out.u16(field.specifier.id);
        out.u16(field.specifier.length);
    }
}

fn read_template(input: &mut Cursor<'_>) -> Option<TemplateState> {
    let id = input.u16()?;
    let stamp = input.u64()?;
    let (sent, used) = (input.u64()?, input.u64()?);
    let kind = match input.u16()? {
        NO_OPTIONS => TemplateKind::Data,
        scope => TemplateKind::Options {
            scope_fields: scope.into(),
        },
    };
    let fields = input.list(|input| {
        Some(FieldSpecifier {
            enterprise: input.u32()?,
            id: input.u16()?,
            length: input.u16()?,
        })
    })?;
    Some(TemplateState {
        id,
        template: Arc::new(Template::new(&fields, kind)?),
        stamp,
        sent,
        used,
    })
}

fn write_option(option: &OptionState, out: &mut Writer) {
    out.option(option.session, |out, id| write_session_id(id, out));
    out.u32(option.domain);
    out.u8(option.of_device.into());
    out.u8(option.is_superseded.into());
    match &option.content {
        Content::DomainName(name) => {
            out.u8(0);
            out.octets(name.as_bytes());
        }
        Content::ExporterAddress(address) => {
            out.u8(1);
            out.u128(address.bits());
        }
        Content::SystemInit(time) => {
            out.u8(2);
            out.u64(*time);
        }
        Content::Sampler(scope, selection) => {
            out.u8(3);
            let (kind, number) = match scope {
                SamplerScope::Selector(number) => (0, *number),
                SamplerScope::Sequence(number) => (1, *number),
                SamplerScope::Interface(number) => (2, u64::from(*number)),
                SamplerScope::LineCard(number) => (3, *number),
                SamplerScope::Port(number) => (4, *number),
                SamplerScope::ObservationPoint(number) => (5, *number),
                SamplerScope::Template(number) => (6, u64::from(*number)),
                SamplerScope::Domain => (7, 0),
            };
            out.u8(kind);
            out.u64(number);
            for sampling in [selection.packets, selection.flows] {
                out.u32(sampling.interval);
                out.u32(sampling.space);
            }
        }
        Content::Sequence(sequence, selectors) => {
            out.u8(4);
            out.u64(*sequence);
            out.count(selectors.len());
            for selector in selectors {
                out.u64(*selector);
            }
        }
        Content::Interface(interface, name) => {
            out.u8(5);
            out.u32(*interface);
            out.octets(name.as_bytes());
        }
        Content::Application(application, name) => {
            out.u8(6);
            out.octets(application);
            out.octets(name.as_bytes());
        }
        Content::Type((enterprise, id), element) => {
            out.u8(7);
            out.u32(*enterprise);
            out.u16(*id);
            out.u8(element.data_type.number());
            out.octets(element.name.as_bytes());
        }
    }
}

fn read_option(input: &mut Cursor<'_>) -> Option<OptionState> {
    Some(OptionState {
        session: input.option(read_session_id)?,
        domain: input.u32()?,
        of_device: input.boolean()?,
        is_superseded: input.boolean()?,
        content: match input.u8()? {
            0 => Content::DomainName(input.text()?),
            1 => Content::ExporterAddress(Address::from_v6_bits(input.u128()?)),
            2 => Content::SystemInit(input.u64()?),
            3 => Content::Sampler(read_scope(input)?, read_selection(input)?),
            4 => Content::Sequence(input.u64()?, input.list(Cursor::u64)?.into()),
            5 => Content::Interface(input.u32()?, input.text()?),
            6 => Content::Application(input.octets()?.into(), input.text()?),
            7 => Content::Type(
                (input.u32()?, input.u16()?),
                ElementType {
                    data_type: DataType::of_number(input.u8()?.into())?,
                    name: input.text()?,
                },
            ),
            _ => return None,
        },
    })
}

fn read_scope(input: &mut Cursor<'_>) -> Option<SamplerScope> {
    let (kind, number) = (input.u8()?, input.u64()?);
    Some(match kind {
        0 => SamplerScope::Selector(number),
        1 => SamplerScope::Sequence(number),
        2 => SamplerScope::Interface(u32::try_from(number).ok()?),
        3 => SamplerScope::LineCard(number),
        4 => SamplerScope::Port(number),
        5 => SamplerScope::ObservationPoint(number),
        6 => SamplerScope::Template(u16::try_from(number).ok()?),
        7 => SamplerScope::Domain,
        _ => return None,
    })
}

fn read_selection(input: &mut Cursor<'_>) -> Option<Selection> {
    let mut sampling = || {
        Some(Sampling {
            interval: input.u32()?,
            space: input.u32()?,
        })
    };
    Some(Selection {
        packets: sampling()?,
        flows: sampling()?,
    })
}
