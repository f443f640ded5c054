//! Octets and numbers of either byte order.

use std::io::{self, Read};

use super::SavefileError;

/// Reads until `octets` is full or the input ends; how many there were.
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

/// The header of `what`; `None` where the input ends before it.
pub(super) fn header<const N: usize>(
    input: &mut impl Read,
    what: &'static str,
) -> Result<Option<[u8; N]>, SavefileError> {
    let mut header = [0; N];
    match read_fully(input, &mut header)? {
        0 => Ok(None),
        read if read == N => Ok(Some(header)),
        _ => Err(SavefileError::CutOff(what)),
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
        Err(SavefileError::CutOff(what))
    }
}

pub(super) const fn short(octets: [u8; 2], big_endian: bool) -> u16 {
    if big_endian {
        u16::from_be_bytes(octets)
    } else {
        u16::from_le_bytes(octets)
    }
}

pub(super) const fn word(octets: [u8; 4], big_endian: bool) -> u32 {
    if big_endian {
        u32::from_be_bytes(octets)
    } else {
        u32::from_le_bytes(octets)
    }
}

/// The first `N` words of `octets`; what is not there is 0.
pub(super) fn words<const N: usize>(octets: &[u8], big_endian: bool) -> [u32; N] {
    let mut chunks = octets.as_chunks::<4>().0.iter();
    std::array::from_fn(|_| chunks.next().map_or(0, |octets| word(*octets, big_endian)))
}
