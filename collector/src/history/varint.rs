//! Numbers in as few octets as they need: seven bits each, the least significant first (LEB128).

/// Removes a number from the front of `octets`. `None` if it is not complete.
pub(super) fn read(octets: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    let mut shift = 0_u32;
    loop {
        let (octet, rest) = octets.split_first()?;
        *octets = rest;
        number |= u64::from(octet & 0x7f).checked_shl(shift)?;
        if octet & 0x80 == 0 {
            return Some(number);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use kipfix_service::exposition::protobuf::write_varint;

    use super::*;

    #[test]
    fn a_number_is_read_as_it_was_written() {
        let numbers = [
            0,
            1,
            127,
            128,
            16_383,
            16_384,
            u64::from(u32::MAX),
            u64::MAX,
        ];
        let mut octets = Vec::new();
        for number in numbers {
            write_varint(number, &mut octets);
        }
        let mut rest = octets.as_slice();
        for number in numbers {
            assert_eq!(read(&mut rest), Some(number));
        }
        assert_eq!(read(&mut rest), None);
        assert_eq!(read(&mut [0x80].as_slice()), None);
        assert_eq!(read(&mut [0xff; 20].as_slice()), None);
    }
}
