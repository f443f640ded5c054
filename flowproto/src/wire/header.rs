//! Message headers.

use super::cursor::Cursor;
use super::version::Version;

/// Header of a Message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessageHeader {
    pub(crate) version: Version,
    /// IPFIX: octets of the Message, header included. Others: number of records.
    pub(crate) length_or_count: u16,
    /// Milliseconds since the exporter started; 0 in IPFIX.
    pub(crate) sys_up_time: u32,
    /// Milliseconds since the epoch.
    pub(crate) export_time_milliseconds: u64,
    /// 0 in v1, which has none.
    pub(crate) sequence: u32,
    /// Observation Domain ID (IPFIX), Source ID (v9), engine type × 256 + engine id (v5), 0 (v7,
    /// v1).
    pub(crate) observation_domain_id: u32,
    /// v5: sampling mode in the first 2 bits, interval in the other 14; 0 in other versions.
    pub(crate) sampling: u16,
}

impl MessageHeader {
    /// Stands for the header before the first Message.
    pub(super) const EMPTY: Self = Self {
        version: Version::Ipfix,
        length_or_count: 0,
        sys_up_time: 0,
        export_time_milliseconds: 0,
        sequence: 0,
        observation_domain_id: 0,
        sampling: 0,
    };

    /// Octets of a header (RFC 7011 §3.1, RFC 3954 §5.1).
    pub(crate) const fn octets(version: Version) -> usize {
        match version {
            Version::V5 | Version::V7 => 24,
            Version::V9 => 20,
            Version::V1 | Version::Ipfix => 16,
        }
    }

    /// Reads a header. `None` where it is cut off.
    pub(super) fn read(version: Version, octets: &[u8]) -> Option<Self> {
        let mut cursor = Cursor(octets);
        cursor.u16()?;
        let length_or_count = cursor.u16()?;
        let sys_up_time = match version {
            Version::Ipfix => 0,
            _ => cursor.u32()?,
        };
        let mut export_time_milliseconds = u64::from(cursor.u32()?).saturating_mul(1000);
        if version.is_fixed() {
            let nanoseconds = cursor.u32()?;
            export_time_milliseconds =
                export_time_milliseconds.saturating_add((nanoseconds / 1_000_000).into());
        }
        let sequence = if version.has_sequence() {
            cursor.u32()?
        } else {
            0
        };
        let (observation_domain_id, sampling) = match version {
            Version::V5 => (cursor.u16()?.into(), cursor.u16()?),
            Version::V1 => (0, 0),
            Version::V7 => (cursor.u32().map(|_| 0)?, 0),
            _ => (cursor.u32()?, 0),
        };
        Some(Self {
            version,
            length_or_count,
            sys_up_time,
            export_time_milliseconds,
            sequence,
            observation_domain_id,
            sampling,
        })
    }
}
