//! Messages cut into Sets, and Template Sets into templates: IPFIX (RFC 7011 §3) and NetFlow v9
//! (RFC 3954 §5), which differ in headers and Set numbers only.

use super::{Unusable, Version};
use crate::template::{FieldSpecifier, TemplateKind};

/// Octets of an IPFIX Message header (RFC 7011 §3.1).
const MESSAGE_HEADER: usize = 16;
/// Octets of a Set header (RFC 7011 §3.3.2).
const SET_HEADER: usize = 4;

/// The header of a Message, as far as its records need it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) version: Version,
    pub(super) observation_domain_id: u32,
    pub(super) export_time_milliseconds: u64,
    /// Milliseconds since the exporter started; 0 in IPFIX.
    pub(super) sys_up_time: u32,
    pub(super) sequence: u32,
}

/// Takes octets off the front of a slice.
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(length)?;
        self.0 = tail;
        Some(head)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(u16::from_be_bytes(*head))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(u32::from_be_bytes(*head))
    }
}

/// The first Message of `octets`: its header, its Sets, and what follows it. An IPFIX Message says its
/// length (RFC 7011 §3.1); a v9 Message ends with its datagram.
pub(super) fn split_message(octets: &[u8]) -> Result<(Header, &[u8], &[u8]), Unusable> {
    let mut cursor = Cursor(octets);
    let truncated = Unusable::Truncated;
    match cursor.u16().ok_or(truncated)? {
        10 => {
            let length = usize::from(cursor.u16().ok_or(truncated)?);
            let length = octets_of_sets(octets, length);
            let (message, after) = octets.split_at_checked(length).ok_or(truncated)?;
            let mut cursor = Cursor(message);
            cursor.take(4).ok_or(truncated)?;
            let export_seconds = cursor.u32().ok_or(truncated)?;
            let sequence = cursor.u32().ok_or(truncated)?;
            let observation_domain_id = cursor.u32().ok_or(truncated)?;
            let header = Header {
                version: Version::Ipfix,
                observation_domain_id,
                export_time_milliseconds: u64::from(export_seconds).saturating_mul(1000),
                sys_up_time: 0,
                sequence,
            };
            Ok((header, cursor.0, after))
        }
        9 => {
            // The header's count of records is not used: exporters get it wrong, the lengths rule.
            cursor.u16().ok_or(truncated)?;
            let sys_up_time = cursor.u32().ok_or(truncated)?;
            let export_seconds = cursor.u32().ok_or(truncated)?;
            let sequence = cursor.u32().ok_or(truncated)?;
            let observation_domain_id = cursor.u32().ok_or(truncated)?;
            let header = Header {
                version: Version::V9,
                observation_domain_id,
                export_time_milliseconds: u64::from(export_seconds).saturating_mul(1000),
                sys_up_time,
                sequence,
            };
            Ok((header, cursor.0, &[]))
        }
        _ => Err(Unusable::UnknownVersion),
    }
}

/// The length of an IPFIX Message: what its header says, unless its last Set ends later and still within
/// the datagram. Exporters exist that say a few octets too little.
pub(crate) fn octets_of_sets(octets: &[u8], length: usize) -> usize {
    let mut end = MESSAGE_HEADER;
    while end < length
        && let Some([_, _, high, low, ..]) = octets.get(end..)
    {
        let set = usize::from(u16::from_be_bytes([*high, *low]));
        if set < SET_HEADER {
            return length;
        }
        end = end.saturating_add(set);
    }
    if end <= octets.len() {
        end.max(length)
    } else {
        length
    }
}

/// What a Set holds, by its number (RFC 7011 §3.3.2, RFC 3954 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SetKind {
    Templates,
    OptionsTemplates,
    /// Data Records of the template with this id.
    Data(u16),
    /// Numbers that the protocol does not use: to be ignored.
    Reserved,
}

/// The next Set, `None` at the end. Fewer octets than a Set header are padding.
pub(super) fn next_set<'a>(
    cursor: &mut Cursor<'a>,
    version: Version,
) -> Option<Result<(SetKind, &'a [u8]), Unusable>> {
    let id = cursor.u16()?;
    let length = usize::from(cursor.u16()?);
    let Some(content) = length
        .checked_sub(SET_HEADER)
        .and_then(|length| cursor.take(length))
    else {
        cursor.0 = &[];
        return Some(Err(Unusable::SetLength));
    };
    let kind = match (id, version) {
        (0, Version::V9) | (2, Version::Ipfix) => SetKind::Templates,
        (1, Version::V9) | (3, Version::Ipfix) => SetKind::OptionsTemplates,
        (256.., _) => SetKind::Data(id),
        _ => SetKind::Reserved,
    };
    Some(Ok((kind, content)))
}

/// One template of a Template Set.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Definition {
    /// The fields are in the scratch list that was handed in.
    Template { id: u16, kind: TemplateKind },
    /// IPFIX: forget this template, or all of them where `id` is the Set's (RFC 7011 §8.1).
    Withdrawal { id: u16 },
}

/// The next template of a Set; its fields go to `fields`. `None` at the end or at padding, an error
/// where the Set cannot hold what it claims, which ends the Set.
pub(super) fn next_template(
    cursor: &mut Cursor<'_>,
    version: Version,
    options: bool,
    fields: &mut Vec<FieldSpecifier>,
) -> Option<Result<Definition, Unusable>> {
    fields.clear();
    let id = cursor.u16()?;
    let first = cursor.u16()?;
    if id == 0 && first == 0 {
        return None;
    }
    let parsed = match version {
        Version::Ipfix if first == 0 => Some(Definition::Withdrawal { id }),
        _ if id < 256 => None,
        Version::Ipfix => ipfix_template(cursor, id, first, options, fields),
        _ => netflow9_template(cursor, id, first, options, fields),
    };
    if parsed.is_none() {
        cursor.0 = &[];
    }
    Some(parsed.ok_or(Unusable::InvalidTemplate))
}

fn ipfix_template(
    cursor: &mut Cursor<'_>,
    id: u16,
    field_count: u16,
    options: bool,
    fields: &mut Vec<FieldSpecifier>,
) -> Option<Definition> {
    let kind = if options {
        TemplateKind::Options {
            scope_fields: cursor.u16()?.into(),
        }
    } else {
        TemplateKind::Data
    };
    for _ in 0..field_count {
        let (number, length) = (cursor.u16()?, cursor.u16()?);
        // The first bit says that an enterprise number follows (RFC 7011 §3.2).
        let enterprise = if number & 0x8000 != 0 {
            cursor.u32()?
        } else {
            0
        };
        fields.push(FieldSpecifier {
            enterprise,
            id: number & 0x7fff,
            length,
        });
    }
    Some(Definition::Template { id, kind })
}

fn netflow9_template(
    cursor: &mut Cursor<'_>,
    id: u16,
    first: u16,
    options: bool,
    fields: &mut Vec<FieldSpecifier>,
) -> Option<Definition> {
    let (kind, count) = if options {
        // Lengths in octets here, not counts (RFC 3954 §6.1).
        let (scope, option) = (first, cursor.u16()?);
        if scope % 4 != 0 || option % 4 != 0 {
            return None;
        }
        let scope_fields = usize::from(scope / 4);
        (
            TemplateKind::Options { scope_fields },
            usize::from(option / 4).checked_add(scope_fields)?,
        )
    } else {
        (TemplateKind::Data, usize::from(first))
    };
    let scope_fields = match kind {
        TemplateKind::Options { scope_fields } => scope_fields,
        TemplateKind::Data => 0,
    };
    for at in 0..count {
        let (number, length) = (cursor.u16()?, cursor.u16()?);
        fields.push(if at < scope_fields {
            netflow9_scope(number, length)
        } else {
            FieldSpecifier::netflow9(number, length)
        });
    }
    Some(Definition::Template { id, kind })
}

/// A scope of NetFlow v9 has numbers of its own (RFC 3954 §6.1): the element that says the same.
const fn netflow9_scope(number: u16, length: u16) -> FieldSpecifier {
    FieldSpecifier {
        enterprise: 0,
        id: match number {
            1 => 144, // System: exportingProcessId
            2 => 10,  // Interface: ingressInterface
            3 => 141, // Line card: lineCardId
            4 => 0,   // Cache, which has no element
            5 => 145, // Template: templateId
            other => other,
        },
        length,
    }
}
