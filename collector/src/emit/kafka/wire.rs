//! The primitive types of the Kafka protocol.

use kipfix_service::exposition::protobuf::write_varint;

/// Appends values to a request.
#[derive(Debug)]
pub(super) struct Writer<'a>(pub(super) &'a mut Vec<u8>);

impl Writer<'_> {
    pub(super) fn bool(&mut self, value: bool) {
        self.0.push(value.into());
    }

    pub(super) fn int16(&mut self, value: i16) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn int32(&mut self, value: i32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn int64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// The number of elements of an array, or of octets.
    pub(super) fn length(&mut self, length: usize) {
        self.int32(i32::try_from(length).unwrap_or(i32::MAX));
    }

    pub(super) fn string(&mut self, text: &str) {
        self.int16(i16::try_from(text.len()).unwrap_or_default());
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A string that is null.
    pub(super) fn null_string(&mut self) {
        self.int16(-1);
    }

    pub(super) fn bytes(&mut self, octets: &[u8]) {
        self.length(octets.len());
        self.0.extend_from_slice(octets);
    }

    /// The number that `write` returns, in front of what it appends.
    pub(super) fn counted(&mut self, write: impl FnOnce(&mut Vec<u8>) -> usize) {
        let begin = self.0.len();
        self.int32(0);
        let count = write(self.0);
        let count = i32::try_from(count).unwrap_or(i32::MAX).to_be_bytes();
        let place = self.0.get_mut(begin..);
        if let Some(place) = place.and_then(<[u8]>::first_chunk_mut) {
            *place = count;
        }
    }
}

/// Appends a number in zigzag encoding, as in protobuf.
pub(super) fn zigzag(value: i64, out: &mut Vec<u8>) {
    write_varint(folded(value), out);
}

/// How many octets [`zigzag`] appends.
pub(super) fn zigzag_octets(value: i64) -> usize {
    varint_octets(folded(value))
}

/// How many octets a number takes as a varint.
pub(super) fn varint_octets(value: u64) -> usize {
    // Seven bits an octet; 0 takes one, too.
    let bits = u64::BITS.saturating_sub((value | 1).leading_zeros());
    usize::try_from(bits.div_ceil(7)).unwrap_or_default()
}

const fn folded(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// A response is shorter than its content, or not of the expected form.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid response")]
pub(super) struct InvalidResponse;

/// Reads values of a response.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], InvalidResponse> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(InvalidResponse)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], InvalidResponse> {
        self.take(N)?.try_into().map_err(|_| InvalidResponse)
    }

    pub(super) fn bool(&mut self) -> Result<bool, InvalidResponse> {
        Ok(self.array::<1>()? != [0])
    }

    pub(super) fn int16(&mut self) -> Result<i16, InvalidResponse> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub(super) fn int32(&mut self) -> Result<i32, InvalidResponse> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(super) fn int64(&mut self) -> Result<i64, InvalidResponse> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// Number of elements of an array, 0 for null. An element has at least one octet.
    pub(super) fn length(&mut self) -> Result<usize, InvalidResponse> {
        let length = usize::try_from(self.int32()?).unwrap_or_default();
        if length > self.0.len() {
            return Err(InvalidResponse);
        }
        Ok(length)
    }

    /// A text; empty for null.
    pub(super) fn string(&mut self) -> Result<&'a str, InvalidResponse> {
        let length = usize::try_from(self.int16()?).unwrap_or_default();
        std::str::from_utf8(self.take(length)?).map_err(|_| InvalidResponse)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], InvalidResponse> {
        let length = self.length()?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_were_written() {
        let mut octets = Vec::new();
        let mut writer = Writer(&mut octets);
        writer.bool(true);
        writer.int16(-2);
        writer.int32(3);
        writer.int64(-4);
        writer.string("topic");
        writer.null_string();
        writer.bytes(b"records");
        let mut reader = Reader(&octets);
        assert_eq!(reader.bool(), Ok(true));
        assert_eq!(reader.int16(), Ok(-2));
        assert_eq!(reader.int32(), Ok(3));
        assert_eq!(reader.int64(), Ok(-4));
        assert_eq!(reader.string(), Ok("topic"));
        assert_eq!(reader.string(), Ok(""));
        assert_eq!(reader.bytes(), Ok(&b"records"[..]));
        assert_eq!(reader.int16(), Err(InvalidResponse));
    }

    #[test]
    fn a_length_beyond_the_response_is_invalid() {
        let mut octets = Vec::new();
        Writer(&mut octets).length(1 << 30);
        assert_eq!(Reader(&octets).length(), Err(InvalidResponse));
        assert_eq!(Reader(&octets).bytes(), Err(InvalidResponse));
    }

    #[test]
    fn signed_numbers_are_folded() {
        let encoded = |value| {
            let mut out = Vec::new();
            zigzag(value, &mut out);
            out
        };
        assert_eq!(encoded(0), [0]);
        assert_eq!(encoded(-1), [1]);
        assert_eq!(encoded(1), [2]);
        assert_eq!(encoded(150), [0xac, 0x02]);
    }
}
