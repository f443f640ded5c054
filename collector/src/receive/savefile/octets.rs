//! Octets and numbers in either byte order.

use std::io::{self, Read};

use super::SavefileError;

/// Reads until `octets` is full or the input ends. Returns the number of octets.
pub(super) fn read_fully(input: &mut impl Read, octets: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while let Some(room) = octets.get_mut(read..).filter(|room| !room.is_empty()) {
        match input.read(room) {
            Ok(0) => break,
            Ok(more) => read = read.saturating_add(more),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Reads the header of `what`; `None` if the input ends before it.
pub(super) fn header<const N: usize>(
    input: &mut impl Read,
    what: &'static str,
) -> Result<Option<[u8; N]>, SavefileError> {
    let mut header = [0; N];
    match read_fully(input, &mut header)? {
        0 => Ok(None),
        read if read == N => Ok(Some(header)),
        _ => Err(SavefileError::Truncated(what)),
    }
}

/// Fills `octets` with a part of `what`.
pub(super) fn fill(
    input: &mut impl Read,
    octets: &mut [u8],
    what: &'static str,
) -> Result<(), SavefileError> {
    let wanted = octets.len();
    if read_fully(input, octets)? == wanted {
        Ok(())
    } else {
        Err(SavefileError::Truncated(what))
    }
}

pub(super) const fn to_u16(octets: [u8; 2], big_endian: bool) -> u16 {
    if big_endian {
        u16::from_be_bytes(octets)
    } else {
        u16::from_le_bytes(octets)
    }
}

pub(super) const fn to_u32(octets: [u8; 4], big_endian: bool) -> u32 {
    if big_endian {
        u32::from_be_bytes(octets)
    } else {
        u32::from_le_bytes(octets)
    }
}

/// The first `N` 32-bit numbers of `octets`. Missing ones are 0.
pub(super) fn u32s<const N: usize>(octets: &[u8], big_endian: bool) -> [u32; N] {
    let mut chunks = octets.as_chunks::<4>().0.iter();
    std::array::from_fn(|_| {
        chunks
            .next()
            .map_or(0, |octets| to_u32(*octets, big_endian))
    })
}
