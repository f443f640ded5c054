//! Scalar values as JSON.

use std::io::Write as _;

use crate::address::Address;
use crate::element::DataType;
use crate::value::{float, low_u32, ntp_to_unix, signed, trim_zeros, unsigned};

/// Appends an address as a JSON string.
pub fn write_address(address: Address, out: &mut Vec<u8>) {
    if !address.is_ipv4() {
        // Writing to a `Vec` does not fail.
        return drop(write!(out, "\"{address}\""));
    }
    // Without the formatter, which takes many times as long.
    let mut text = [b'"'; 1 + 4 * 4];
    let mut end: usize = 1;
    for octet in address.v4_bits().to_be_bytes() {
        let (digits, count) = DECIMAL.get(usize::from(octet)).copied().unwrap_or_default();
        if let Some(place) = text.get_mut(end..).and_then(<[u8]>::first_chunk_mut) {
            *place = digits;
        }
        end = end.saturating_add(count);
    }
    // A quote replaces the last dot.
    out.extend_from_slice(text.get(..end.saturating_sub(1)).unwrap_or_default());
    out.push(b'"');
}

/// Each octet in decimal digits with a dot, and the number of these characters.
static DECIMAL: [([u8; 4], usize); 256] = {
    let mut all = [([b'.'; 4], 0); 256];
    let mut octets = all.as_mut_slice();
    let mut octet = 0_u8;
    while let [entry, rest @ ..] = octets {
        let (ones, tens, hundreds) = (
            b'0' + octet % 10,
            b'0' + octet / 10 % 10,
            b'0' + octet / 100,
        );
        *entry = match octet {
            0..10 => ([ones, b'.', 0, 0], 2),
            10..100 => ([tens, ones, b'.', 0], 3),
            100.. => ([hundreds, tens, ones, b'.'], 4),
        };
        octet = octet.wrapping_add(1);
        octets = rest;
    }
    all
};

/// Appends a number.
pub fn write_number(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends `text` as a JSON string, quotes included (RFC 8259 §7).
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let is_escaped = |octet: &u8| matches!(octet, b'"' | b'\\' | 0..0x20);
    for part in text.as_bytes().split_inclusive(is_escaped) {
        match part.split_last() {
            Some((octet, plain)) if is_escaped(octet) => {
                out.extend_from_slice(plain);
                match octet {
                    b'"' | b'\\' => out.extend_from_slice(&[b'\\', *octet]),
                    _ => drop(write!(out, "\\u{octet:04x}")),
                }
            }
            _ => out.extend_from_slice(part),
        }
    }
    out.push(b'"');
}

/// Appends octets as a JSON string of lower-case hexadecimal digits.
pub fn write_hex(octets: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for octet in octets {
        for nibble in [octet >> 4, octet & 15] {
            out.extend(DIGITS.get(usize::from(nibble)));
        }
    }
    out.push(b'"');
}

/// Appends a value by the data type of its element. Values of unknown type, and values whose length
/// does not fit the type, are written as their octets.
pub fn write_value(data_type: Option<DataType>, value: &[u8], out: &mut Vec<u8>) {
    let Some(data_type) = data_type else {
        return write_hex(value, out);
    };
    match (data_type, value.len()) {
        (
            DataType::Unsigned | DataType::DateTimeSeconds | DataType::DateTimeMilliseconds,
            1..=8,
        ) => {
            write_number(unsigned(value), out);
        }
        (DataType::Signed, 1..=8) => {
            out.extend_from_slice(itoa::Buffer::new().format(signed(value)).as_bytes());
        }
        (DataType::Boolean, 1) => match value {
            [1] => out.extend_from_slice(b"true"),
            [2] => out.extend_from_slice(b"false"),
            _ => write_number(unsigned(value), out),
        },
        (DataType::Float, 4 | 8) => match float(value) {
            Some(number) if number.is_finite() => drop(write!(out, "{number}")),
            // JSON has neither infinities nor NaN.
            _ => out.extend_from_slice(b"null"),
        },
        (DataType::Ipv4Address, 4) => {
            write_address(Address::from_v4_bits(low_u32(unsigned(value))), out);
        }
        (DataType::Ipv6Address, 16) => {
            let bits = value.try_into().map_or(0, u128::from_be_bytes);
            drop(write!(out, "\"{}\"", std::net::Ipv6Addr::from_bits(bits)));
        }
        (DataType::MacAddress, 6) => {
            out.push(b'"');
            for (at, octet) in value.iter().enumerate() {
                let colon = if at > 0 { ":" } else { "" };
                drop(write!(out, "{colon}{octet:02x}"));
            }
            out.push(b'"');
        }
        (DataType::String, _) => {
            write_string(&String::from_utf8_lossy(trim_zeros(value)), out);
        }
        (DataType::DateTimeMicroseconds, 8) => {
            write_number(ntp_to_unix(unsigned(value), 1_000_000), out)
        }
        (DataType::DateTimeNanoseconds, 8) => {
            write_number(ntp_to_unix(unsigned(value), 1_000_000_000), out)
        }
        _ => write_hex(value, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::find;

    fn text(enterprise: u32, id: u16, value: &[u8]) -> String {
        let mut out = Vec::new();
        write_value(find(enterprise, id).map(|e| e.data_type), value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_written_as_their_type_asks() {
        assert_eq!(text(0, 1, &[1, 0]), "256");
        assert_eq!(text(0, 1, &[0xff; 8]), u64::MAX.to_string());
        assert_eq!(text(0, 1, &[1, 2, 3, 4, 5]), "4328719365");
        assert_eq!(text(0, 8, &[10, 0, 0, 1]), "\"10.0.0.1\"");
        assert_eq!(text(0, 56, &[0, 1, 2, 3, 4, 255]), "\"00:01:02:03:04:ff\"");
        assert_eq!(text(0, 82, b"eth\"0\n\0\0"), "\"eth\\\"0\\u000a\"");
        assert_eq!(text(0, 82, &[0xff, b'a']), "\"\u{fffd}a\"");
        assert_eq!(text(0, 276, &[2]), "false");
        assert_eq!(text(4_000_000, 1, &[0xab, 1]), "\"ab01\"");
        assert_eq!(text(0, 8, &[10, 0]), "\"0a00\"");
        assert_eq!(text(0, 320, &f64::NAN.to_be_bytes()), "null");
    }

    #[test]
    fn an_address_is_written_as_the_formatter_does() {
        for octet in 0..=255 {
            for octets in [
                [octet, 0, 255, 10],
                [1, octet, 99, 100],
                [9, 1, octet, octet],
            ] {
                let address = std::net::Ipv4Addr::from(octets);
                let mut out = Vec::new();
                write_address(Address::from_v4_bits(address.to_bits()), &mut out);
                assert_eq!(String::from_utf8(out).unwrap(), format!("\"{address}\""));
            }
        }
    }

    #[test]
    fn a_text_is_escaped_wherever_that_is_needed() {
        for text in [
            "",
            "plain",
            "\"",
            "a\\",
            "\n",
            "\0\u{1f}b",
            "é\"\"ü",
            "\u{7f}",
        ] {
            let mut out = Vec::new();
            write_string(text, &mut out);
            let read: String = serde_json::from_slice(&out).unwrap();
            assert_eq!(read, text);
        }
    }
}
