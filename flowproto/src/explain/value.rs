//! Values for reading: units, names of code points, calendar times.

use std::io::Write as _;

use crate::element::{DataType, Element};
use crate::json;
use crate::record::FlowEndReason;
use crate::value::{ntp_to_unix, trim_zeros, unsigned};

/// Maximum number of octets that are shown of a value.
const SHOWN_OCTETS: usize = 64;

/// Appends a value with its unit or the name of its code point, on one line.
pub(super) fn write(element: Option<&Element>, value: &[u8], out: &mut Vec<u8>) {
    let Some(element) = element else {
        return octets(value, out);
    };
    match (element.data_type, value.len()) {
        (_, 0) => out.extend_from_slice(b"(empty)"),
        (DataType::String, _) => text(value, out),
        (DataType::OctetArray, _) => octets(value, out),
        (DataType::DateTimeSeconds, 1..=8) => {
            time(unsigned(value).saturating_mul(1000), 0, out);
        }
        (DataType::DateTimeMilliseconds, 1..=8) => time(unsigned(value), 3, out),
        (DataType::DateTimeMicroseconds, 8) => {
            fine_time(ntp_to_unix(unsigned(value), 1_000_000), 1_000_000, 6, out);
        }
        (DataType::DateTimeNanoseconds, 8) => {
            fine_time(
                ntp_to_unix(unsigned(value), 1_000_000_000),
                1_000_000_000,
                9,
                out,
            );
        }
        (DataType::Ipv4Address | DataType::Ipv6Address | DataType::MacAddress, _) => {
            // JSON has addresses in quotes.
            let mut quoted = Vec::with_capacity(48);
            json::write_value(Some(element.data_type), value, &mut quoted);
            out.extend(quoted.into_iter().filter(|octet| *octet != b'"'));
        }
        (DataType::Unsigned, 1..=8) if element.enterprise == 0 => {
            iana_number(element, unsigned(value), value.len(), out);
        }
        _ => {
            json::write_value(Some(element.data_type), value, out);
            unit(element, out);
        }
    }
}

fn unit(element: &Element, out: &mut Vec<u8>) {
    if !element.units.is_empty() {
        out.push(b' ');
        out.extend_from_slice(element.units.as_bytes());
    }
}

/// A number of an IANA element, with the name of its code point.
fn iana_number(element: &Element, number: u64, octets: usize, out: &mut Vec<u8>) {
    match element.id {
        6 => {
            drop(write!(out, "0x{number:0width$x}", width = octets * 2));
            let mut separator = " (";
            for (bit, name) in [
                (2, "SYN"),
                (16, "ACK"),
                (8, "PSH"),
                (1, "FIN"),
                (4, "RST"),
                (32, "URG"),
                (64, "ECE"),
                (128, "CWR"),
            ] {
                if number & bit != 0 {
                    drop(write!(out, "{separator}{name}"));
                    separator = " ";
                }
            }
            if separator == " " {
                out.push(b')');
            }
        }
        32 | 139 => drop(write!(
            out,
            "{number} (type {}, code {})",
            number >> 8,
            number & 0xff
        )),
        _ => {
            json::write_number(number, out);
            match meaning(element.id, number) {
                Some(name) => drop(write!(out, " ({name})")),
                None => unit(element, out),
            }
        }
    }
}

fn meaning(id: u16, number: u64) -> Option<&'static str> {
    Some(match (id, number) {
        (4, _) => return protocol(number),
        (61, 0) => "ingress",
        (61, 1) => "egress",
        (136, 1..=5) => match FlowEndReason::from(u8::try_from(number).unwrap_or_default()) {
            FlowEndReason::IdleTimeout => "idle timeout",
            FlowEndReason::ActiveTimeout => "active timeout",
            FlowEndReason::EndOfFlowDetected => "end of flow detected",
            FlowEndReason::ForcedEnd => "forced end",
            FlowEndReason::LackOfResources | FlowEndReason::Unknown => "lack of resources",
        },
        (239, 0) => "arbitrary",
        (239, 1) => "initiator",
        (239, 2) => "reverse initiator",
        (239, 3) => "perimeter",
        (10 | 14, 0) => "none",
        (233, 1) => "flow created",
        (233, 2) => "flow deleted",
        (233, 3) => "flow denied",
        (304, 1) => "systematic count-based sampling",
        (304, 2) => "systematic time-based sampling",
        (304, 3) => "random n-out-of-N sampling",
        (304, 4) => "uniform probabilistic sampling",
        _ => return None,
    })
}

/// The name of an IP protocol that is common in flows.
pub(super) fn protocol(number: u64) -> Option<&'static str> {
    Some(match number {
        1 => "ICMP",
        2 => "IGMP",
        4 => "IPIP",
        6 => "TCP",
        17 => "UDP",
        41 => "IPv6",
        47 => "GRE",
        50 => "ESP",
        51 => "AH",
        58 => "ICMPv6",
        89 => "OSPF",
        103 => "PIM",
        112 => "VRRP",
        132 => "SCTP",
        _ => return None,
    })
}

/// A string in quotes, with escapes for control characters.
fn text(value: &[u8], out: &mut Vec<u8>) {
    let text = trim_zeros(value);
    let shown = text.get(..SHOWN_OCTETS * 4).unwrap_or(text);
    out.push(b'"');
    for letter in String::from_utf8_lossy(shown).chars() {
        if letter.is_control() || letter == '"' || letter == '\\' {
            drop(write!(out, "{}", letter.escape_default()));
        } else {
            drop(write!(out, "{letter}"));
        }
    }
    out.push(b'"');
    if shown.len() < text.len() {
        drop(write!(out, " … {} octets in all", value.len()));
    }
}

/// Octets in hexadecimal, two by two.
pub(super) fn octets(value: &[u8], out: &mut Vec<u8>) {
    if value.is_empty() {
        out.extend_from_slice(b"(empty)");
        return;
    }
    for (at, octet) in value.iter().take(SHOWN_OCTETS).enumerate() {
        let gap = if at > 0 && at % 2 == 0 { " " } else { "" };
        drop(write!(out, "{gap}{octet:02x}"));
    }
    if value.len() > SHOWN_OCTETS {
        drop(write!(out, " … {} octets in all", value.len()));
    }
}

/// Appends milliseconds since the epoch as date and time (UTC). `digits`: those of the fraction.
pub(super) fn time(milliseconds: u64, digits: usize, out: &mut Vec<u8>) {
    fine_time(milliseconds, 1000, digits, out);
}

fn fine_time(ticks: u64, per_second: u64, digits: usize, out: &mut Vec<u8>) {
    let (seconds, fraction) = (ticks / per_second.max(1), ticks % per_second.max(1));
    let (year, month, day) = date(seconds / 86_400);
    let second = seconds % 86_400;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    drop(write!(
        out,
        "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"
    ));
    if digits > 0 {
        drop(write!(out, ".{fraction:0digits$}"));
    }
    if ticks == 0 {
        out.extend_from_slice(b" (not set)");
    }
}

/// Days since 1970-01-01 as year, month and day of the Gregorian calendar. Counted in eras of 400
/// years that begin in March, so that the leap day is the last of its year.
const fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let january_or_february = if month <= 2 { 1 } else { 0 };
    (era * 400 + year_of_era + january_or_february, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::find;

    fn shown(id: u16, value: &[u8]) -> String {
        let mut out = Vec::new();
        write(find(0, id), value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_have_units_or_names() {
        assert_eq!(shown(1, &[5, 220]), "1500 octets");
        assert_eq!(shown(4, &[6]), "6 (TCP)");
        assert_eq!(shown(4, &[200]), "200");
        assert_eq!(shown(6, &[0x12]), "0x12 (SYN ACK)");
        assert_eq!(shown(6, &[0, 0]), "0x0000");
        assert_eq!(shown(32, &[8, 0]), "2048 (type 8, code 0)");
        assert_eq!(shown(136, &[3]), "3 (end of flow detected)");
        assert_eq!(shown(8, &[192, 0, 2, 1]), "192.0.2.1");
        assert_eq!(shown(27, &[0; 16]), "::");
        assert_eq!(shown(56, &[2, 0, 0, 0, 0, 1]), "02:00:00:00:00:01");
        assert_eq!(shown(82, b"eth\"0\n\0\0"), "\"eth\\\"0\\n\"");
        assert_eq!(shown(8, &[1, 2]), "0102");
    }

    #[test]
    fn times_are_dates() {
        assert_eq!(
            shown(152, &1_700_000_000_123_u64.to_be_bytes()),
            "2023-11-14 22:13:20.123"
        );
        assert_eq!(
            shown(150, &951_782_400_u32.to_be_bytes()),
            "2000-02-29 00:00:00"
        );
        assert_eq!(
            shown(150, &951_868_800_u32.to_be_bytes()),
            "2000-03-01 00:00:00"
        );
        assert_eq!(
            shown(150, &4_107_542_399_u32.to_be_bytes()),
            "2100-02-28 23:59:59"
        );
        assert_eq!(shown(152, &[0; 8]), "1970-01-01 00:00:00.000 (not set)");
        // The last moment that a number of milliseconds can say.
        assert!(shown(152, &[0xff; 8]).starts_with("584556019-"));
        let half_past: u64 = (2_208_988_810 << 32) | 0x8000_0000;
        assert_eq!(
            shown(154, &half_past.to_be_bytes()),
            "1970-01-01 00:00:10.500000"
        );
    }

    #[test]
    fn long_values_are_truncated_and_marked() {
        assert!(shown(313, &[0xab; 65]).ends_with(" … 65 octets in all"));
        assert!(shown(82, &[b'a'; 300]).ends_with("\" … 300 octets in all"));
    }
}
