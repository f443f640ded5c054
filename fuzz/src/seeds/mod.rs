//! Inputs to begin with: what our own exporters send and what a node sees, valid and of every kind,
//! so that a fuzzer starts deep inside; and mutants of them that are the same every time.

pub(crate) mod datagrams;
pub(crate) mod files;
pub(crate) mod frames;
pub(crate) mod http;

use crate::input::write_chunk;

/// Sequences of datagrams, each of them in each mode.
pub(crate) fn sequences(modes: &[u8]) -> Vec<Vec<u8>> {
    let sequences = plain_sequences();
    let of_mode = |mode: &u8| -> Vec<_> {
        let sequences = sequences.iter();
        sequences.map(|s| [&[*mode][..], s].concat()).collect()
    };
    modes.iter().flat_map(of_mode).collect()
}

/// Sequences of datagrams.
pub(crate) fn plain_sequences() -> Vec<Vec<u8>> {
    datagrams::all().iter().map(|d| sequence(d)).collect()
}

/// Query strings of the API, each behind the octet that selects its path.
pub(crate) fn queries() -> Vec<Vec<u8>> {
    let queries = [
        (0, ""),
        (
            0,
            "from=-60000&group_by=src.workload,dst.name,class&order=packets&limit=5&points=10",
        ),
        (
            0,
            "filter=src.namespace%20%3D%3D%20%22shop%22%20%26%26%20!(class%20%3D~%20%22.*ext.*%22)",
        ),
        (0, "to=1700000000000&from=1600000000000"),
        (
            0,
            "group_by=src.zone&filter=src.zone+!%3D+dst.zone+||+external.as_number+>+5",
        ),
        (1, ""),
        (
            1,
            "limit=3&filter=protocol%20%3D%3D%20%22tcp%22%20%26%26%20src.port%20>%201024",
        ),
        (
            1,
            "filter=dst.address%20in%20[%2210.1.0.0/16%22,%20%22192.0.2.7%22]&from=-5000",
        ),
        (
            1,
            "follow=true&limit=1&filter=src.service%20%3D%3D%20%22web%22",
        ),
        (2, "search=shop/&limit=2"),
        (2, "address=10.1.1.10&at=1700000000000"),
        (2, "address=2001:db8::1"),
        (3, "limit=1"),
        (4, ""),
        (
            5,
            "namespace=shop&include=web.*&exclude=d%22b&mode=connections&limit=10",
        ),
    ];
    let seed = |(path, query): (u8, &str)| [&[path][..], query.as_bytes()].concat();
    queries.into_iter().map(seed).collect()
}

/// Datagrams of all kinds.
pub(crate) fn datagrams() -> Vec<Vec<u8>> {
    datagrams::all().concat()
}

/// Datagrams as the chunks of an input: in turns at once, later and ticking.
fn sequence(datagrams: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, datagram) in datagrams.iter().enumerate() {
        let control = if at % 4 == 3 { 0x14 } else { 0 };
        write_chunk(control, datagram, &mut out);
    }
    out
}

/// Octets that records are made of.
pub(crate) fn records() -> Vec<Vec<u8>> {
    let mut dice = Dice::new(7);
    let modes = (0..64).map(|mode| {
        let mut out = vec![mode];
        for _ in 0..6 {
            let length = usize::from(dice.octet()) * 3;
            out.extend(dice.octets(length));
        }
        out
    });
    modes.collect()
}

/// A mutant of `seed`, with pieces of `other`; the same for the same number.
#[must_use]
pub fn mutant(seed: &[u8], other: &[u8], number: u64) -> Vec<u8> {
    let mut dice = Dice::new(number);
    let mut out = seed.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(out.len());
        let length = dice.below(16).min(out.len() - at);
        match dice.octet() % 8 {
            0 | 1 => {
                if let Some(octet) = out.get_mut(at) {
                    *octet ^= 1 << (dice.octet() & 7);
                }
            }
            2 => {
                if let Some(octet) = out.get_mut(at) {
                    *octet = [0, 1, 2, 3, 4, 0x7f, 0x80, 0xff][usize::from(dice.octet() & 7)];
                }
            }
            3 => out.truncate(at),
            4 => drop(out.drain(at..at + length)),
            5 => {
                let piece = out[at..at + length].to_vec();
                drop(out.splice(at..at, piece));
            }
            6 => {
                let from = dice.below(other.len());
                let to = (from + dice.below(200)).min(other.len());
                drop(out.splice(at..at, other[from..to].iter().copied()));
            }
            _ => {
                let octets = dice.octets(length);
                drop(out.splice(at..at + length, octets));
            }
        }
    }
    out
}

/// Numbers that look thrown and are the same every time (xorshift).
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        dice.octets(16);
        dice
    }

    fn octet(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.to_be_bytes()[0]
    }

    fn octets(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.octet()).collect()
    }

    /// 0 where there is nothing below.
    fn below(&mut self, end: usize) -> usize {
        let number = usize::from(self.octet()) << 16
            | usize::from(self.octet()) << 8
            | usize::from(self.octet());
        number.checked_rem(end).unwrap_or_default()
    }
}
