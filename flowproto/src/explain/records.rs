//! Prints Data Records, and checks their values.

use super::printer::Printer;
use super::summary::sampling;
use super::templates::{self, Scope};
use super::value;
use crate::Address;
use crate::element::{DataType, Element};
use crate::json;
use crate::record::{FlowRecord, Sampling};
use crate::rule::Rule;
use crate::template::{Field, Template};
use crate::value::{ntp_to_unix, unsigned};
use crate::wire::Violation;

/// Tolerated time from the export of a record to the end of its flow, milliseconds: clocks differ,
/// and export times are whole seconds.
const MAX_END_AFTER_EXPORT: u64 = 2000;

/// Prints a record: a summary, and a line for each field. `flow`: what the decoder has made of it,
/// if it is not options data.
pub(super) fn record(
    printer: &mut Printer<'_>,
    number: u32,
    octets: &[u8],
    template: &Template,
    flow: Option<&FlowRecord>,
) {
    let offset = printer.offset(octets);
    match flow {
        Some(flow) => {
            let line = format!("Record {number}: {}", summary(flow));
            printer.page.line(offset, 1, format_args!("{line}"));
        }
        None => {
            let line = format_args!("Options Record {number}");
            printer.page.line(offset, 1, line);
        }
    }
    for (at, (field, value)) in template.values(octets).enumerate() {
        let offset = printer.offset(value);
        let scope = templates::netflow9_scope(printer, template.kind(), at, field.specifier);
        print_field(printer, offset, field, scope, value);
        if scope.is_none() {
            check_value(printer, offset, field.element, value);
        }
    }
    if let Some(flow) = flow {
        check_times(printer, offset, flow, reported_end(template, octets));
    }
}

/// Prints the fields of a record that runs past the end of its Set.
pub(super) fn cut_record(printer: &mut Printer<'_>, number: u32, rest: &[u8], template: &Template) {
    let offset = printer.offset(rest);
    let line = format_args!("Record {number}, cut off");
    printer.page.line(offset, 1, line);
    let mut end = offset;
    for (field, value) in template.values(rest) {
        let offset = printer.offset(value);
        print_field(printer, offset, field, None, value);
        end = offset + value.len();
    }
    let left = (offset + rest.len()).saturating_sub(end);
    let left = u32::try_from(left).unwrap_or(u32::MAX);
    let violation = Violation::FieldOverrun { left };
    printer.broken(end, violation.rule(), format_args!("{violation}"));
}

fn print_field(
    printer: &mut Printer<'_>,
    offset: usize,
    field: &Field,
    scope: Option<Scope>,
    value: &[u8],
) {
    let width = printer.name_width;
    let Some(scope) = scope else {
        let name = templates::name(field.specifier, field.element);
        return printer.page.field(offset, 2, (&name, width), |out| {
            value::write(field.element, value, out);
        });
    };
    printer.page.field(offset, 2, (scope.name, width), |out| {
        if value.len() <= 8 {
            json::write_number(unsigned(value), out);
        } else {
            value::octets(value, out);
        }
    });
}

fn check_value(printer: &mut Printer<'_>, offset: usize, element: Option<&Element>, value: &[u8]) {
    match (element.map(|e| e.data_type), value) {
        (Some(DataType::Boolean), [octet]) if !matches!(octet, 1 | 2) => {
            printer.broken(offset, Rule::Boolean, format_args!("{octet}"));
        }
        (Some(DataType::String), value) => {
            if let Err(error) = std::str::from_utf8(value) {
                let detail = format_args!("at its octet {}", error.valid_up_to());
                printer.broken(offset, Rule::NotUtf8, detail);
            }
        }
        _ => {}
    }
}

/// The end of a flow as the record has it, milliseconds since the epoch; 0 without one. The flow
/// has none if it is much later than the export.
fn reported_end(template: &Template, octets: &[u8]) -> u64 {
    let mut values = template.values(octets);
    let end = values.find_map(|(field, value)| {
        let number = unsigned(value);
        match field.read_as.element() {
            (0, 151) => Some(number.saturating_mul(1000)),
            (0, 153) => Some(number),
            (0, 155 | 157) => Some(ntp_to_unix(number, 1000)),
            _ => None,
        }
    });
    end.unwrap_or_default()
}

fn check_times(printer: &mut Printer<'_>, offset: usize, flow: &FlowRecord, reported_end: u64) {
    let (start, mut end) = (flow.flow_start_milliseconds, flow.flow_end_milliseconds);
    if end == 0 {
        end = reported_end;
    }
    if end != 0 && end < start {
        let detail = format_args!("by {} ms", start - end);
        printer.broken(offset, Rule::EndBeforeStart, detail);
    }
    let exported = printer.export_time();
    if end > exported.saturating_add(MAX_END_AFTER_EXPORT) && exported != 0 {
        let detail = format_args!("by {} ms", end - exported);
        printer.broken(offset, Rule::EndAfterExport, detail);
    }
}

/// A record in one line: endpoints, counts, duration, sampling.
fn summary(flow: &FlowRecord) -> String {
    let mut text = String::new();
    let key = &flow.key;
    let has_ports = matches!(key.protocol_identifier, 6 | 17 | 132);
    if !key.source_address.is_unspecified() || !key.destination_address.is_unspecified() {
        let endpoint = |address: Address, port: u16| match (has_ports, address.is_ipv4()) {
            (false, _) => address.to_string(),
            (true, true) => format!("{address}:{port}"),
            (true, false) => format!("[{address}]:{port}"),
        };
        text.push_str(&format!(
            "{} → {}",
            endpoint(key.source_address, key.source_port),
            endpoint(key.destination_address, key.destination_port)
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
            ", reverse {} packets, {} octets",
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
        text.push_str(&format!(", {} sampled", sampling(flow.sampling)));
    }
    text
}
