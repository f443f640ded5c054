//! Data Sets, and the records of NetFlow v5 and v7.

use super::message::{Counted, Header, Walk};
use super::page::Page;
use super::problem::Problem;
use super::session::{Known, Sessions};
use super::{templates, value};
use crate::element::{DataType, Element};
use crate::json::unsigned;
use crate::plan::{Samplers, Surroundings, Values, announced_sampling};
use crate::record::{FlowRecord, Sampling};
use crate::template::{FieldSpecifier, Span, Template, TemplateKind};

/// A flow may end so long after its record was exported, as clocks are.
const LATE_MILLISECONDS: u64 = 2000;

/// The form of the records of a version that has no templates.
pub(super) struct Form {
    fields: &'static [FieldSpecifier],
    /// Octets of a record.
    pub(super) octets: usize,
    /// Records of a datagram at the most.
    pub(super) most: usize,
}

const fn field(id: u16, length: u16) -> FieldSpecifier {
    FieldSpecifier {
        enterprise: 0,
        id,
        length,
    }
}

/// What a v5 record begins with; v7 the same.
const FIXED: [FieldSpecifier; 11] = [
    field(8, 4),
    field(12, 4),
    field(15, 4),
    field(10, 2),
    field(14, 2),
    field(2, 4),
    field(1, 4),
    field(22, 4),
    field(21, 4),
    field(7, 2),
    field(11, 2),
];

/// What follows in v5. 210 is `paddingOctets`, which also stands for v7's flags of what is invalid.
const REST: [FieldSpecifier; 9] = [
    field(210, 1),
    field(6, 1),
    field(4, 1),
    field(5, 1),
    field(16, 2),
    field(17, 2),
    field(9, 1),
    field(13, 1),
    field(210, 2),
];

const V5_FIELDS: [FieldSpecifier; 20] = joined();
/// v7 adds the router that the switch went around (130).
const V7_FIELDS: [FieldSpecifier; 21] = joined();

const fn joined<const N: usize>() -> [FieldSpecifier; N] {
    let mut all = [field(130, 4); N];
    let (mut rest, _) = all.split_at_mut(FIXED.len());
    rest.copy_from_slice(&FIXED);
    (_, rest) = all.split_at_mut(FIXED.len());
    let (rest, _) = rest.split_at_mut(REST.len());
    rest.copy_from_slice(&REST);
    all
}

pub(super) const V5: Form = Form {
    fields: &V5_FIELDS,
    octets: 48,
    most: 30,
};
pub(super) const V7: Form = Form {
    fields: &V7_FIELDS,
    octets: 52,
    most: 28,
};

/// The records of a v5 or v7 datagram.
pub(super) fn fixed(
    walk: &mut Walk<'_>,
    form: &Form,
    content: &[u8],
    header: &Header,
    counted: &mut Counted,
) {
    let Some(template) = Template::new(form.fields, TemplateKind::Data) else {
        return;
    };
    let samplers = Samplers::default();
    let around = surroundings(header, None, &samplers);
    for octets in content.chunks_exact(form.octets) {
        counted.records += 1;
        let number = counted.records;
        record(walk, &template, (octets, &[]), (number, 22), &around);
    }
}

fn surroundings<'a>(
    header: &Header,
    system_init_milliseconds: Option<u64>,
    samplers: &'a Samplers,
) -> Surroundings<'a> {
    Surroundings {
        export_time_milliseconds: header.export_time_milliseconds,
        sys_up_time: header.sys_up_time,
        system_init_milliseconds,
        samplers,
    }
}

/// The records of a Data Set.
pub(super) fn set(
    walk: &mut Walk<'_>,
    id: u16,
    content: &[u8],
    header: &Header,
    counted: &mut Counted,
    sessions: &mut Sessions,
) {
    sessions.get(header.key);
    let lender = sessions.lender(header.key);
    let Some((session, known)) = lender.and_then(|s| Some((s, s.template(id)?))) else {
        let offset = walk.offset(content);
        walk.problem(
            offset,
            Problem::NoTemplate,
            format_args!("nobody has sent template {id} before"),
        );
        walk.hexadecimal(content);
        counted.unread = true;
        return;
    };
    let Known {
        template,
        name_width,
        ..
    } = known;
    let around = surroundings(header, session.system_init_milliseconds, &session.samplers);
    let (mut announced, mut init) = (Vec::new(), None);
    let mut spans = Vec::new();
    let mut rest = content;
    let mut number = 0;
    let shortest = template.minimum_length();
    while rest.len() >= shortest {
        number += 1;
        let Some((octets, after)) = template.split(rest, &mut spans) else {
            overrun(walk, template, rest, (number, *name_width));
            counted.unread = true;
            rest = &[];
            break;
        };
        if octets.len() < 4 && after.is_empty() && number > 1 && octets.iter().all(|o| *o == 0) {
            let offset = walk.offset(octets);
            let length = octets.len();
            walk.problem(
                offset,
                Problem::PaddingTooLong,
                format_args!("the last record, {length} octets of 0, may be padding"),
            );
        }
        rest = after;
        record(
            walk,
            template,
            (octets, &spans),
            (number, *name_width),
            &around,
        );
        if template.is_options() {
            counted.options_records += 1;
            announced.extend(announced_sampling(template.values(octets)));
            let said = template
                .values(octets)
                .find(|(f, v)| (f.enterprise, f.id) == (0, 160) && v.len() <= 8);
            init = said.map(|(_, value)| unsigned(value)).or(init);
        } else {
            counted.records += 1;
        }
    }
    templates::padding(walk, rest, shortest);
    let session = sessions.get(header.key);
    session.system_init_milliseconds = init.or(session.system_init_milliseconds);
    for (selector, sampling) in announced {
        session.samplers.announce(selector, sampling);
    }
}

/// A record that runs over the end of its Set: the fields that there are.
fn overrun(walk: &mut Walk<'_>, template: &Template, rest: &[u8], (number, width): (u32, usize)) {
    let offset = walk.offset(rest);
    walk.page
        .line(offset, 1, format_args!("Record {number}, cut off"));
    let mut end = rest;
    for ((field, value), (_, element)) in template.values(rest).zip(template.fields()) {
        let offset = walk.offset(value);
        show(&mut walk.page, offset, (field, element, None), value, width);
        end = rest
            .get(offset_in(rest, value) + value.len()..)
            .unwrap_or_default();
    }
    let offset = walk.offset(end);
    let left = end.len();
    walk.problem(
        offset,
        Problem::FieldOverrun,
        format_args!("the next field has more than the {left} octets that are left"),
    );
}

fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr().saturating_sub(whole.as_ptr().addr())
}

/// One record: a line that says what it is, and a line for each field.
fn record(
    walk: &mut Walk<'_>,
    template: &Template,
    (octets, spans): (&[u8], &[Span]),
    (number, width): (u32, usize),
    around: &Surroundings<'_>,
) {
    let offset = walk.offset(octets);
    let mut flow = FlowRecord::default();
    if template.is_options() {
        walk.page
            .line(offset, 1, format_args!("Options Record {number}"));
    } else {
        let mut values = Values::default();
        template.plan().begin(&mut values, &mut flow);
        template
            .plan()
            .read(octets, spans, around, &mut values, &mut flow);
        let gist = gist(&flow);
        walk.page
            .line(offset, 1, format_args!("Record {number}: {gist}"));
    }
    let kind = template.kind();
    for (at, ((field, value), (_, element))) in
        template.values(octets).zip(template.fields()).enumerate()
    {
        let offset = walk.offset(value);
        let scope = templates::netflow9_scope(field.id)
            .filter(|_| templates::is_netflow9_scope(walk, kind, at));
        show(
            &mut walk.page,
            offset,
            (field, element, scope),
            value,
            width,
        );
        if scope.is_none() {
            judge(walk, offset, element, value);
        }
    }
    judge_times(walk, offset, &flow, around.export_time_milliseconds);
}

fn show(
    page: &mut Page<'_>,
    offset: usize,
    (field, element, scope): (FieldSpecifier, Option<&Element>, Option<&'static str>),
    value: &[u8],
    width: usize,
) {
    match scope {
        Some(name) => page.field(offset, 2, (name, width), |out| {
            if value.len() <= 8 {
                crate::json::write_number(unsigned(value), out);
            } else {
                value::octets(value, out);
            }
        }),
        None => {
            let name = templates::name(field, element);
            page.field(offset, 2, (&name, width), |out| {
                value::write(element, value, out);
            });
        }
    }
}

fn judge(walk: &mut Walk<'_>, offset: usize, element: Option<&Element>, value: &[u8]) {
    match (element.map(|e| e.data_type), value) {
        (Some(DataType::Boolean), [octet]) if !matches!(octet, 1 | 2) => {
            walk.problem(offset, Problem::Boolean, format_args!("{octet}"));
        }
        (Some(DataType::String), value) => {
            if let Err(error) = std::str::from_utf8(value) {
                walk.problem(
                    offset,
                    Problem::NotUtf8,
                    format_args!("at its octet {}", error.valid_up_to()),
                );
            }
        }
        _ => {}
    }
}

fn judge_times(walk: &mut Walk<'_>, offset: usize, flow: &FlowRecord, export_time: u64) {
    let (start, end) = (flow.flow_start_milliseconds, flow.flow_end_milliseconds);
    if start != 0 && end != 0 && end < start {
        walk.problem(
            offset,
            Problem::EndBeforeStart,
            format_args!("by {} ms", start - end),
        );
    }
    // Export times of a second's precision are up to a second early.
    if end > export_time.saturating_add(LATE_MILLISECONDS) && export_time != 0 {
        walk.problem(
            offset,
            Problem::EndAfterExport,
            format_args!("by {} ms", end - export_time),
        );
    }
}

/// A record at a glance: who to whom, how much, how long.
fn gist(flow: &FlowRecord) -> String {
    let mut text = String::new();
    let key = &flow.key;
    let has_ports = matches!(key.protocol_identifier, 6 | 17 | 132);
    if !key.source_address.is_unspecified() || !key.destination_address.is_unspecified() {
        let end = |address: crate::Address, port: u16| match (has_ports, address.is_ipv4()) {
            (false, _) => address.to_string(),
            (true, true) => format!("{address}:{port}"),
            (true, false) => format!("[{address}]:{port}"),
        };
        text.push_str(&format!(
            "{} → {}",
            end(key.source_address, key.source_port),
            end(key.destination_address, key.destination_port)
        ));
    }
    if key.protocol_identifier != 0 {
        match value::protocol(key.protocol_identifier.into()) {
            Some(name) => text.push_str(&format!(" {name}")),
            None => text.push_str(&format!(" protocol {}", key.protocol_identifier)),
        }
    }
    text.push_str(&format!(
        "  {} packets, {} octets",
        flow.packet_delta_count, flow.octet_delta_count
    ));
    if flow.reverse_packet_delta_count > 0 || flow.reverse_octet_delta_count > 0 {
        text.push_str(&format!(
            ", back {} packets, {} octets",
            flow.reverse_packet_delta_count, flow.reverse_octet_delta_count
        ));
    }
    let (start, end) = (flow.flow_start_milliseconds, flow.flow_end_milliseconds);
    if start != 0 && end >= start {
        let milliseconds = end - start;
        text.push_str(&format!(
            ", {}.{:03} s",
            milliseconds / 1000,
            milliseconds % 1000
        ));
    }
    if flow.sampling != Sampling::NONE {
        let Sampling { interval, space } = flow.sampling;
        let population = u64::from(interval) + u64::from(space);
        text.push_str(&format!(", {interval} in {population} sampled"));
    }
    text
}
