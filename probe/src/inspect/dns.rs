//! DNS messages (RFC 1035): the question, and the addresses in the answer.
//!
//! The answer to a question is a chain of aliases (CNAME) and the addresses at its end. The client
//! knows the addresses by the name that it asked for, so the owner names of records are skipped.
//! Hints of HTTPS records (RFC 9460 §7.3) are addresses, too.

use flowproto::host_name;
use flowproto::{Address, FlowKey};

use super::reader::Reader;

/// Port of DNS servers.
pub(super) const PORT: u16 = 53;
/// Port of DNS servers without the right to port 53, such as the pods of OpenShift. Multicast DNS
/// has the same one.
pub(super) const UNPRIVILEGED_PORT: u16 = 5353;

/// Octets of the header of a message.
const HEADER: usize = 12;
/// Answer records that are read. More do not fit into a datagram of common size.
const MAX_ANSWERS: u16 = 128;
/// Compression pointers that are followed in a name, and labels of a name.
const MAX_POINTERS: u8 = 8;
const MAX_LABELS: u8 = 128;

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const TYPE_HTTPS: u16 = 65;
const CLASS_INTERNET: u16 = 1;
/// Keys of service parameters (RFC 9460 §14.3.2).
const IPV4_HINT: u16 = 4;
const IPV6_HINT: u16 = 6;

/// True if packets with this key are sent to a DNS server.
#[inline]
#[must_use]
pub fn is_to_server(key: &FlowKey) -> bool {
    match key.destination_port {
        PORT => true,
        UNPRIVILEGED_PORT => {
            key.source_port != UNPRIVILEGED_PORT && !key.destination_address.to_ip().is_multicast()
        }
        _ => false,
    }
}

/// True if packets with this key are sent by a DNS server.
#[inline]
#[must_use]
pub fn is_from_server(key: &FlowKey) -> bool {
    match key.source_port {
        PORT => true,
        UNPRIVILEGED_PORT => key.destination_port != UNPRIVILEGED_PORT,
        _ => false,
    }
}

/// True if the server has port 5353, so that its messages may belong to multicast DNS.
#[inline]
#[must_use]
pub const fn is_at_unprivileged_port(key: &FlowKey) -> bool {
    key.source_port != PORT && key.destination_port != PORT
}

/// A name in text form, as the message has it.
#[derive(Clone, Debug)]
pub struct QuestionName {
    octets: [u8; host_name::MAX_OCTETS],
    length: usize,
}

impl QuestionName {
    /// The labels, separated by dots.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }

    fn push(&mut self, label: &[u8]) -> Option<()> {
        if self.length > 0 {
            self.append(b".")?;
        }
        self.append(label)
    }

    fn append(&mut self, octets: &[u8]) -> Option<()> {
        let end = self.length.checked_add(octets.len())?;
        self.octets
            .get_mut(self.length..end)?
            .copy_from_slice(octets);
        self.length = end;
        Some(())
    }
}

/// A response without error that has answers.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    message: &'a [u8],
    answers: u16,
}

/// What a message means for the conversation: a query, or the response to one.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    message: &'a [u8],
    /// Identifier, which the response has in common with the query.
    pub id: u16,
    /// It is a response.
    pub is_response: bool,
    /// Response code, 0–15.
    pub response_code: u8,
}

impl<'a> Message<'a> {
    /// Reads the header of a standard query with one question, or of its response. `None` for other
    /// messages, e.g. updates and notifications.
    #[must_use]
    pub fn of(message: &'a [u8]) -> Option<Self> {
        let header = message.first_chunk::<HEADER>()?;
        let [id_high, id_low, flags, codes, q0, q1, ..] = *header;
        let is_query = flags & 0x78 == 0;
        (is_query && [q0, q1] == [0, 1]).then_some(Self {
            message,
            id: u16::from_be_bytes([id_high, id_low]),
            is_response: flags & 0x80 != 0,
            response_code: codes & 0x0f,
        })
    }

    /// The name and the type that the question asks for. `None` if it cannot be read.
    #[must_use]
    pub fn question(&self) -> Option<(QuestionName, u16)> {
        let response = Response {
            message: self.message,
            answers: 0,
        };
        let mut reader = Reader(self.message.get(HEADER..)?);
        let name = response.question_name(&mut reader)?;
        Some((name, reader.u16()?))
    }
}

/// An address in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The address.
    pub address: Address,
    /// How long the client may use it, seconds.
    pub time_to_live: u32,
}

impl<'a> Response<'a> {
    /// Reads the header. `None` for queries, errors, and responses without an answer or with other
    /// than one question.
    #[must_use]
    pub fn of(message: &'a [u8]) -> Option<Self> {
        let header = message.first_chunk::<HEADER>()?;
        let [_, _, flags, codes, q0, q1, a0, a1, ..] = *header;
        let is_response = flags & 0xf8 == 0x80;
        let is_error = codes & 0x0f != 0;
        let questions = u16::from_be_bytes([q0, q1]);
        let answers = u16::from_be_bytes([a0, a1]);
        (is_response && !is_error && questions == 1 && answers > 0)
            .then_some(Self { message, answers })
    }

    /// Reads the name that was asked for. `None` if the question cannot be read, or is not of the
    /// Internet class.
    #[must_use]
    pub fn question(&self) -> Option<(QuestionName, Answers<'a>)> {
        let mut records = Reader(self.message.get(HEADER..)?);
        let name = self.question_name(&mut records)?;
        let (_type, class) = (records.u16()?, records.u16()?);
        let count = self.answers.min(MAX_ANSWERS);
        (class == CLASS_INTERNET).then_some((name, Answers { records, count }))
    }

    /// Reads a name, which may continue elsewhere in the message (RFC 1035 §4.1.4).
    fn question_name(&self, reader: &mut Reader<'a>) -> Option<QuestionName> {
        let mut name = QuestionName {
            octets: [0; host_name::MAX_OCTETS],
            length: 0,
        };
        let mut pointers = 0_u8;
        // Where the labels are read; `reader` stays behind the first pointer.
        let mut labels = *reader;
        for _ in 0..MAX_LABELS {
            let length = labels.u8()?;
            match length {
                0 => {
                    if pointers == 0 {
                        *reader = labels;
                    }
                    return Some(name);
                }
                1..=63 => {
                    let label = labels.octets(length.into())?;
                    if label.contains(&b'.') {
                        return None;
                    }
                    name.push(label)?;
                }
                0xc0.. if pointers < MAX_POINTERS => {
                    let low = labels.u8()?;
                    if pointers == 0 {
                        *reader = labels;
                    }
                    pointers = pointers.saturating_add(1);
                    let offset = u16::from_be_bytes([length & 0x3f, low]);
                    labels = Reader(self.message.get(usize::from(offset)..)?);
                }
                _ => return None,
            }
        }
        None
    }
}

/// The answer records of a response.
#[derive(Clone, Copy, Debug)]
pub struct Answers<'a> {
    records: Reader<'a>,
    count: u16,
}

impl Answers<'_> {
    /// Passes the addresses to `each`. Ends where the message is malformed or truncated.
    pub fn read(mut self, mut each: impl FnMut(Answer)) {
        (0..self.count)
            .map_while(|_| answer(&mut self.records, &mut each))
            .for_each(drop);
    }
}

/// Reads an answer record. `None` if it is malformed or truncated.
fn answer(reader: &mut Reader<'_>, each: &mut impl FnMut(Answer)) -> Option<()> {
    skip_name(reader)?;
    let (kind, class, time_to_live) = (reader.u16()?, reader.u16()?, reader.u32()?);
    let data = reader.part16()?;
    if class == CLASS_INTERNET {
        let mut each = |address| {
            each(Answer {
                address,
                time_to_live,
            });
        };
        match kind {
            TYPE_A => each(v4(data.0.try_into().ok()?)),
            TYPE_AAAA => each(v6(data.0.try_into().ok()?)),
            TYPE_HTTPS => hints(data, &mut each)?,
            _ => {}
        }
    }
    Some(())
}

/// Skips a name without following its pointer.
fn skip_name(reader: &mut Reader<'_>) -> Option<()> {
    for _ in 0..MAX_LABELS {
        match reader.u8()? {
            0 => return Some(()),
            length @ 1..=63 => drop(reader.octets(length.into())?),
            0xc0.. => return reader.u8().map(drop),
            _ => return None,
        }
    }
    None
}

/// Reads the address hints of an HTTPS record (RFC 9460 §2.2): priority, target, parameters.
fn hints(mut data: Reader<'_>, each: &mut impl FnMut(Address)) -> Option<()> {
    data.u16()?;
    skip_name(&mut data)?;
    while !data.is_empty() {
        let (key, value) = (data.u16()?, data.part16()?);
        match key {
            IPV4_HINT => value.0.as_chunks().0.iter().for_each(|a| each(v4(*a))),
            IPV6_HINT => value.0.as_chunks().0.iter().for_each(|a| each(v6(*a))),
            _ => {}
        }
    }
    Some(())
}

const fn v4(octets: [u8; 4]) -> Address {
    Address::from_v4_bits(u32::from_be_bytes(octets))
}

const fn v6(octets: [u8; 16]) -> Address {
    Address::from_v6_bits(u128::from_be_bytes(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A response to a question for `name`, with these answer records.
    fn response(name: &[u8], records: &[Vec<u8>]) -> Vec<u8> {
        let count = u8::try_from(records.len()).unwrap();
        let mut message = vec![0, 7, 0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0];
        message.extend(name);
        message.extend([0, 1, 0, 1]);
        message.extend(records.concat());
        message
    }

    fn record(owner: &[u8], kind: u8, data: &[u8]) -> Vec<u8> {
        let length = u8::try_from(data.len()).unwrap();
        [owner, &[0, kind, 0, 1, 0, 0, 1, 44, 0, length], data].concat()
    }

    const NAME: &[u8] = b"\x03api\x07example\x03org\x00";
    const POINTER: &[u8] = &[0xc0, 12];

    fn read(message: &[u8]) -> Option<(String, Vec<Answer>)> {
        let mut answers = Vec::new();
        let (name, records) = Response::of(message)?.question()?;
        records.read(|answer| answers.push(answer));
        let text = String::from_utf8_lossy(name.text()).into_owned();
        Some((text, answers))
    }

    fn addresses(message: &[u8]) -> Vec<String> {
        let (_, answers) = read(message).unwrap();
        answers.iter().map(|a| a.address.to_string()).collect()
    }

    #[test]
    fn servers_have_port_53_or_5353_and_multicast_dns_is_other_traffic() {
        let key = |source_port, destination_port, destination: [u8; 4]| FlowKey {
            source_port,
            destination_port,
            destination_address: v4(destination),
            ..FlowKey::default()
        };
        for (key, is_to, is_from) in [
            (key(40_000, 53, [10, 0, 0, 1]), true, false),
            (key(53, 40_000, [10, 0, 0, 1]), false, true),
            (key(40_000, 5353, [10, 0, 0, 1]), true, false),
            (key(5353, 40_000, [10, 0, 0, 1]), false, true),
            (key(5353, 53, [10, 0, 0, 1]), true, true),
            (key(5353, 5353, [224, 0, 0, 251]), false, false),
            (key(40_000, 5353, [224, 0, 0, 251]), false, false),
            (key(40_000, 443, [10, 0, 0, 1]), false, false),
        ] {
            assert_eq!((is_to_server(&key), is_from_server(&key)), (is_to, is_from));
        }
    }

    #[test]
    fn a_query_and_its_response_have_an_identifier_and_a_question_in_common() {
        let mut message = response(NAME, &[]);
        message[3] = 0x83;
        let found = Message::of(&message).unwrap();
        assert_eq!(
            (found.id, found.is_response, found.response_code),
            (7, true, 3)
        );
        message[2] = 1;
        message[3] = 0;
        let found = Message::of(&message).unwrap();
        assert!(!found.is_response);
        let (name, query_type) = found.question().unwrap();
        assert_eq!((name.text(), query_type), (&b"api.example.org"[..], 1));
        for end in 0..message.len() {
            let found = Message::of(&message[..end]);
            assert_eq!(found.is_some(), end >= 12, "{end}");
            let question = found.and_then(|found| found.question());
            assert_eq!(question.is_some(), end >= message.len() - 2, "{end}");
        }
        // An update (RFC 2136), and two questions.
        for (at, octet) in [(2, 0x28), (5, 2), (5, 0)] {
            let mut other = message.clone();
            other[at] = octet;
            assert!(Message::of(&other).is_none());
        }
    }

    #[test]
    fn the_addresses_at_the_end_of_aliases_are_those_of_the_question() {
        let alias = record(POINTER, 5, b"\x04edge\x03cdn\x04test\x00");
        let owner = b"\x04edge\x03cdn\x04test\x00";
        let message = response(
            NAME,
            &[
                alias,
                record(owner, 1, &[192, 0, 2, 7]),
                record(&[0xc0, 45], 1, &[192, 0, 2, 8]),
                record(POINTER, 46, &[1; 30]),
                record(
                    POINTER,
                    28,
                    &[0x20, 1, 13, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
                ),
            ],
        );
        let (name, answers) = read(&message).unwrap();
        assert_eq!(name, "api.example.org");
        assert_eq!(answers[0].time_to_live, 300);
        assert_eq!(
            addresses(&message),
            ["192.0.2.7", "192.0.2.8", "2001:db8::9"]
        );
    }

    #[test]
    fn hints_of_https_records_are_addresses() {
        let mut data = vec![0, 1, 0];
        data.extend([0, 1, 0, 3, 2, b'h', b'2']);
        data.extend([0, 4, 0, 8, 192, 0, 2, 1, 192, 0, 2, 2]);
        data.extend([0, 6, 0, 16, 0xfd]);
        data.extend([0; 15]);
        let message = response(NAME, &[record(POINTER, 65, &data)]);
        assert_eq!(addresses(&message), ["192.0.2.1", "192.0.2.2", "fd00::"]);
    }

    #[test]
    fn queries_errors_and_other_messages_have_no_answer() {
        let good = response(NAME, &[record(POINTER, 1, &[192, 0, 2, 7])]);
        assert!(read(&good).is_some());
        for (at, octet) in [(2, 0x01), (2, 0x89), (3, 0x83), (5, 2), (5, 0), (7, 0)] {
            let mut message = good.clone();
            message[at] = octet;
            assert!(read(&message).is_none(), "octet {at} is {octet:#x}");
        }
        let mut chaos = good;
        chaos[12 + NAME.len() + 3] = 3;
        assert!(read(&chaos).is_none());
    }

    #[test]
    fn a_message_that_ends_early_has_the_answers_before_its_end() {
        let records = [
            record(POINTER, 1, &[192, 0, 2, 7]),
            record(POINTER, 1, &[192, 0, 2, 8]),
        ];
        let message = response(NAME, &records);
        let whole = message.len();
        for end in 0..whole {
            let found = read(&message[..end]).map_or(0, |(_, answers)| answers.len());
            assert!(found <= usize::from(end >= whole - 16), "{end}: {found}");
        }
    }

    #[test]
    fn pointers_that_form_a_circle_end() {
        let message = response(&[0xc0, 12], &[record(POINTER, 1, &[192, 0, 2, 7])]);
        assert!(read(&message).is_none());
        let message = response(b"\x01a\xc0\x0c", &[record(POINTER, 1, &[192, 0, 2, 7])]);
        assert!(read(&message).is_none());
    }

    #[test]
    fn a_question_may_point_to_its_end() {
        // "api" and a pointer to "example.org" behind the records.
        let question = b"\x03api\xc0\x2a";
        let mut message = response(question, &[record(POINTER, 1, &[192, 0, 2, 7])]);
        message.resize(42, 0);
        message.extend(b"\x07example\x03org\x00");
        let (name, answers) = read(&message).unwrap();
        assert_eq!((name.as_str(), answers.len()), ("api.example.org", 1));
    }

    #[test]
    fn labels_that_would_change_the_name_are_refused() {
        let answers = [record(POINTER, 1, &[192, 0, 2, 7])];
        assert!(read(&response(b"\x0bexample.com\x03org\x00", &answers)).is_none());
        assert!(read(&response(b"\x41aaa\x00", &answers)).is_none());
        let long = [&b"\x3f"[..], &[b'a'; 63]].concat().repeat(4);
        assert!(read(&response(&[&long[..], &[0]].concat(), &answers)).is_none());
    }
}
