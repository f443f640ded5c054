//! The Huffman code of strings (RFC 7541 §5.2, appendix B).
//!
//! The code is canonical: codes of the same length are consecutive, in the order of their symbols.
//! So the lengths determine it.

/// Symbols: all octets, and the end of the string.
const SYMBOLS: usize = 257;
/// The end of the string, which must not occur in one.
const END: u16 = 256;
/// Length of the longest code, bits.
const MAX_BITS: usize = 30;
/// Longest padding, bits.
const MAX_PADDING: u32 = 7;

/// Lengths of the codes, bits.
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5,
    6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6,
    7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23,
    23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22,
    22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22,
    23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27,
    27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25,
    24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

/// The codes of one length.
#[derive(Clone, Copy)]
struct CodeRange {
    bits: u32,
    /// The first code, left-aligned in 32 bits.
    first: u64,
    /// The end of the codes, exclusive, left-aligned.
    end: u64,
    /// Position of the symbol of the first code.
    position: usize,
}

/// All codes, the shortest first.
struct Code {
    ranges: [CodeRange; MAX_BITS],
    /// Number of `ranges` that are used.
    used: usize,
    symbols: [u16; SYMBOLS],
}

static CODE: Code = Code::new();

impl Code {
    #[expect(
        clippy::as_conversions,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "the compiler evaluates it"
    )]
    const fn new() -> Self {
        let nothing = CodeRange {
            bits: 0,
            first: 0,
            end: 0,
            position: 0,
        };
        let mut code = Self {
            ranges: [nothing; MAX_BITS],
            used: 0,
            symbols: [0; SYMBOLS],
        };
        let (mut position, mut next, mut bits) = (0, 0_u64, 1);
        while bits <= MAX_BITS {
            let unit = 1_u64 << (32 - bits);
            let (start, first) = (position, next);
            let mut symbol = 0;
            while symbol < SYMBOLS {
                if LENGTHS[symbol] as usize == bits {
                    code.symbols[position] = symbol as u16;
                    position += 1;
                    next += unit;
                }
                symbol += 1;
            }
            if position > start {
                code.ranges[code.used] = CodeRange {
                    bits: bits as u32,
                    first,
                    end: next,
                    position: start,
                };
                code.used += 1;
            }
            bits += 1;
        }
        code
    }
}

/// Decodes a string and passes its octets to `each`. `None` if the string is invalid.
pub(super) fn decode(string: &[u8], mut each: impl FnMut(u8)) -> Option<()> {
    let mut octets = string.iter();
    // The next bits, left-aligned, and their number.
    let (mut window, mut available) = (0_u64, 0_u32);
    let ranges = CODE.ranges.get(..CODE.used)?;
    loop {
        while available <= 56
            && let Some(octet) = octets.next()
        {
            window |= u64::from(*octet).wrapping_shl(56_u32.wrapping_sub(available));
            available = available.wrapping_add(8);
        }
        let bits = window >> 32;
        let range = ranges.iter().find(|range| bits < range.end)?;
        if range.bits > available {
            // The padding has the first bits of the end of the string, which are all 1.
            let padding = u64::from(
                u32::MAX
                    .checked_shl(32_u32.wrapping_sub(available))
                    .unwrap_or(0),
            );
            return (available <= MAX_PADDING && bits == padding).then_some(());
        }
        let number = bits.wrapping_sub(range.first) >> 32_u32.wrapping_sub(range.bits);
        let position = range.position.checked_add(usize::try_from(number).ok()?)?;
        let symbol = *CODE.symbols.get(position)?;
        if symbol == END {
            return None;
        }
        each(u8::try_from(symbol).ok()?);
        window = window.wrapping_shl(range.bits);
        available = available.wrapping_sub(range.bits);
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "test code")]
mod tests {
    use super::*;

    fn text(string: &[u8]) -> Option<String> {
        let mut octets = Vec::new();
        decode(string, |octet| octets.push(octet))?;
        String::from_utf8(octets).ok()
    }

    /// Encodes with the codes that the ranges give.
    fn encode(octets: &[u8]) -> Vec<u8> {
        let mut bits = String::new();
        for octet in octets {
            let position = CODE.symbols.iter().position(|s| *s == u16::from(*octet));
            let position = position.unwrap();
            let ranges = &CODE.ranges[..CODE.used];
            let range = ranges.iter().rfind(|range| range.position <= position);
            let range = range.unwrap();
            let number = u64::try_from(position - range.position).unwrap();
            let code = (range.first >> (32 - range.bits)) + number;
            let width = usize::try_from(range.bits).unwrap();
            bits.push_str(&format!("{code:0width$b}"));
        }
        while !bits.len().is_multiple_of(8) {
            bits.push('1');
        }
        let octets = bits.as_bytes().chunks(8);
        let octets = octets.map(|octet| std::str::from_utf8(octet).unwrap());
        octets
            .map(|octet| u8::from_str_radix(octet, 2).unwrap())
            .collect()
    }

    #[test]
    fn the_code_is_complete() {
        assert_eq!(CODE.ranges[CODE.used - 1].end, 1 << 32);
        let mut symbols = CODE.symbols;
        symbols.sort_unstable();
        assert!((0..=END).eq(symbols));
    }

    #[test]
    fn strings_of_the_specification_are_decoded() {
        // RFC 7541, C.4.1 and C.6.1.
        let host = [
            0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
        ];
        assert_eq!(text(&host).as_deref(), Some("www.example.com"));
        assert_eq!(text(&[0x64, 0x02]).as_deref(), Some("302"));
        assert_eq!(
            text(&[0xae, 0xc3, 0x77, 0x1a, 0x4b]).as_deref(),
            Some("private")
        );
        assert_eq!(text(&[]).as_deref(), Some(""));
    }

    #[test]
    fn every_octet_is_decoded() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        for octets in [&all[..], &all[..1], &[255], b"aaaaaaaa", b"0"] {
            let mut decoded = Vec::new();
            assert!(decode(&encode(octets), |octet| decoded.push(octet)).is_some());
            assert_eq!(decoded, octets);
        }
    }

    #[test]
    fn invalid_padding_and_the_end_of_the_string_are_refused() {
        // Eight bits of padding, padding with a 0, and the code of the end.
        for string in [
            &[0x1f, 0xff][..],
            &[0xff],
            &[0x1e],
            &[0xff, 0xff, 0xff, 0xfc],
        ] {
            assert_eq!(text(string), None, "{string:02x?}");
        }
        assert_eq!(text(&[0x1f]).as_deref(), Some("a"));
    }
}
