//! Field blocks in compressed form (RFC 7541).
//!
//! The decoder has the state of a receiver. It passes on the fields that metering reads, and keeps
//! nothing but the lengths of the others, so that no credentials are stored.

mod fields;
mod huffman;
mod table;

use fields::STATIC_TABLE;
use table::{DynamicTable, FieldSize};

pub(super) use fields::FieldName;

use crate::inspect::reader::Reader;

/// Size of a dynamic table before an update (RFC 9113 §6.5.2).
const DEFAULT_TABLE_SIZE: usize = 4096;
/// Largest size of a dynamic table. Browsers allow this one, others 4096 octets.
const MAX_TABLE_SIZE: usize = 65_536;
/// Octets of a field block, uncompressed and with 32 for each field (RFC 9113 §6.5.2).
const MAX_LIST: usize = 65_536;
/// Octets of a value that are passed on and kept.
const MAX_VALUE: usize = 1024;
/// Octets of an integer behind its prefix.
const MAX_INTEGER: usize = 5;

/// Why a field block is not decoded. The blocks after it cannot be, either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockError {
    Invalid,
    /// It has too many octets.
    TooLong,
    /// The dynamic table is larger than the maximum.
    TableTooLarge,
}

/// Decodes the field blocks of one direction of a connection.
#[derive(Debug)]
pub(super) struct BlockDecoder {
    table: DynamicTable,
}

impl Default for BlockDecoder {
    fn default() -> Self {
        Self {
            table: DynamicTable::new(DEFAULT_TABLE_SIZE),
        }
    }
}

/// A name or a value: what is kept of it, and its length.
struct Text<const N: usize> {
    octets: [u8; N],
    kept: usize,
    length: usize,
}

impl<const N: usize> Text<N> {
    const fn new() -> Self {
        Self {
            octets: [0; N],
            kept: 0,
            length: 0,
        }
    }

    fn push(&mut self, octet: u8) {
        if let Some(place) = self.octets.get_mut(self.kept) {
            *place = octet;
            self.kept = self.kept.saturating_add(1);
        }
        self.length = self.length.saturating_add(1);
    }

    fn kept(&self) -> &[u8] {
        self.octets.get(..self.kept).unwrap_or_default()
    }

    /// Reads a string (RFC 7541 §5.2).
    fn read(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let is_huffman = *reader.0.first()? & 0x80 != 0;
        let length = integer(reader, 7)?;
        let string = reader.octets(length)?;
        if is_huffman {
            return huffman::decode(string, |octet| self.push(octet));
        }
        self.kept = string.len().min(N);
        let kept = string.get(..self.kept)?;
        self.octets.get_mut(..self.kept)?.copy_from_slice(kept);
        self.length = string.len();
        Some(())
    }
}

impl BlockDecoder {
    /// Octets of memory.
    pub(super) fn memory(&self) -> usize {
        self.table.memory()
    }

    /// Decodes a block and passes the fields that are read to `each`.
    pub(super) fn decode(
        &mut self,
        block: &[u8],
        mut each: impl FnMut(FieldName, &[u8]),
    ) -> Result<(), BlockError> {
        let mut reader = Reader(block);
        let mut octets = 0_usize;
        let mut has_field = false;
        while let Some(first) = reader.0.first() {
            let size = match first {
                0x80.. => self.indexed(&mut reader, &mut each),
                0x20..=0x3f if has_field => None,
                0x20..=0x3f => {
                    let size = integer(&mut reader, 5).ok_or(BlockError::Invalid)?;
                    if size > MAX_TABLE_SIZE {
                        return Err(BlockError::TableTooLarge);
                    }
                    self.table.set_max_size(size);
                    continue;
                }
                0x40..=0x7f => self.literal(&mut reader, true, &mut each),
                _ => self.literal(&mut reader, false, &mut each),
            };
            has_field = true;
            let size = size.ok_or(BlockError::Invalid)?;
            octets = octets.saturating_add(size.octets());
            if octets > MAX_LIST {
                return Err(BlockError::TooLong);
            }
        }
        Ok(())
    }

    /// A field of a table.
    fn indexed(
        &self,
        reader: &mut Reader<'_>,
        each: &mut impl FnMut(FieldName, &[u8]),
    ) -> Option<FieldSize> {
        let (name, size, value) = self.entry(integer(reader, 7)?)?;
        if name != FieldName::Other {
            each(name, value);
        }
        Some(size)
    }

    /// A field whose value is in the block, and perhaps the name.
    fn literal(
        &mut self,
        reader: &mut Reader<'_>,
        is_inserted: bool,
        each: &mut impl FnMut(FieldName, &[u8]),
    ) -> Option<FieldSize> {
        let number = integer(reader, if is_inserted { 6 } else { 4 })?;
        let (name, length) = if number == 0 {
            // One more octet than the longest name, so that a longer one is not taken for it.
            let mut text = Text::<{ FieldName::MAX_OCTETS + 1 }>::new();
            text.read(reader)?;
            (FieldName::of(text.kept()), text.length)
        } else {
            let (name, size, _) = self.entry(number)?;
            (name, size.name)
        };
        let size = |value: usize| FieldSize {
            name: length,
            value,
        };
        if name == FieldName::Other {
            let mut text = Text::<0>::new();
            text.read(reader)?;
            let size = size(text.length);
            if is_inserted {
                self.table.insert(name, size, &[]);
            }
            return Some(size);
        }
        let mut text = Text::<MAX_VALUE>::new();
        text.read(reader)?;
        each(name, text.kept());
        let size = size(text.length);
        if is_inserted {
            self.table.insert(name, size, text.kept());
        }
        Some(size)
    }

    /// An entry of the static table, or of the dynamic table behind it (RFC 7541 §2.3.3).
    fn entry(&self, number: usize) -> Option<(FieldName, FieldSize, &[u8])> {
        let at = number.checked_sub(1)?;
        match STATIC_TABLE.get(at) {
            Some((name, value)) => {
                let size = FieldSize {
                    name: name.len(),
                    value: value.len(),
                };
                Some((FieldName::of(name.as_bytes()), size, value.as_bytes()))
            }
            None => self.table.get(at.checked_sub(STATIC_TABLE.len())?),
        }
    }
}

/// Reads an integer with a prefix of this many bits (RFC 7541 §5.1). `None` if it is invalid, or
/// has more than 32 bits.
fn integer(reader: &mut Reader<'_>, prefix: u32) -> Option<usize> {
    let mask = u8::MAX.checked_shr(8_u32.checked_sub(prefix)?)?;
    let first = reader.u8()? & mask;
    let mut value = u64::from(first);
    if first == mask {
        for number in 0..MAX_INTEGER {
            let octet = reader.u8()?;
            let shift = u32::try_from(number).ok()?.checked_mul(7)?;
            value = value.checked_add(u64::from(octet & 0x7f).checked_shl(shift)?)?;
            if octet & 0x80 == 0 {
                return u32::try_from(value).ok()?.try_into().ok();
            }
        }
        return None;
    }
    usize::try_from(value).ok()
}

#[cfg(test)]
mod tests;
