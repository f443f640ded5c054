//! Inputs to begin with: what our own exporters send and what a node sees, valid and of every kind, so that
//! a fuzzer starts deep inside; and mutants of them that are the same every time.

mod datagrams;
mod files;
mod frames;

use crate::input::write_chunk;

/// Seeds of a target.
///
/// # Panics
/// There is no such target.
#[must_use]
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "messages" | "pipeline" => {
            let all = datagrams::all();
            let modes: &[u8] = if target == "pipeline" {
                &[0, 5, 26, 31]
            } else {
                &[0, 1]
            };
            let of = |mode: &u8| {
                all.iter()
                    .map(|d| [&[*mode][..], &sequence(d)].concat())
                    .collect()
            };
            modes
                .iter()
                .flat_map(|mode| -> Vec<_> { of(mode) })
                .collect()
        }
        "explain" => datagrams::all().iter().map(|d| sequence(d)).collect(),
        "stream" => datagrams::streams(),
        "savefile" => files::captures(),
        "capture" => files::savefiles(),
        "packets" => frames::all(),
        "export" | "forward" => records(),
        "netlink" => files::netlink(),
        "inventory" => files::inventories(),
        "outside" => files::outside(),
        other => panic!("there is no target {other}"),
    }
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
fn records() -> Vec<Vec<u8>> {
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
