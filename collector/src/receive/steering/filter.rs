//! The filter, in classic BPF. It runs on a packet in the kernel and returns the index of a socket.

use std::net::IpAddr;

use nix::libc::{self, sock_filter};

/// Offsets of the words of the source address from the beginning of the IP header (RFC 791 §3.1,
/// RFC 8200 §3).
const V4_SOURCE: &[u32] = &[12];
const V6_SOURCE: &[u32] = &[8, 12, 16, 20];
/// Multiplier of the hash: 2³² divided by the golden ratio, which spreads consecutive addresses.
const GOLDEN_RATIO: u32 = 0x9E37_79B9;

/// Returns the worker of the exporters in `distributed`, and one by a hash of the source address
/// for the others.
pub(super) fn select_worker(distributed: &[(IpAddr, usize)], workers: usize) -> Vec<sock_filter> {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for (exporter, worker) in distributed {
        match exporter {
            IpAddr::V4(address) => select(&mut v4, V4_SOURCE, &address.octets(), *worker),
            IpAddr::V6(address) => select(&mut v6, V6_SOURCE, &address.octets(), *worker),
        }
    }
    select_by_hash(&mut v4, V4_SOURCE, workers);
    select_by_hash(&mut v6, V6_SOURCE, workers);
    let mut filter = vec![
        load(libc::BPF_B, 0),
        statement(libc::BPF_ALU | libc::BPF_RSH | libc::BPF_K, 4),
        jump_unless_equal(6, 1),
        statement(libc::BPF_JMP | libc::BPF_JA, number(v4.len())),
    ];
    filter.append(&mut v4);
    filter.append(&mut v6);
    filter
}

/// Returns `worker` if the words at `offsets` are those of `address`.
fn select(filter: &mut Vec<sock_filter>, offsets: &[u32], address: &[u8], worker: usize) {
    let words = address.as_chunks().0;
    for (index, (offset, word)) in offsets.iter().zip(words).enumerate() {
        filter.push(load(libc::BPF_W, *offset));
        let instructions_after = 2 * (offsets.len() - index - 1) + 1;
        let word = u32::from_be_bytes(*word);
        filter.push(jump_unless_equal(word, instructions_after));
    }
    filter.push(statement(libc::BPF_RET | libc::BPF_K, number(worker)));
}

/// Returns a worker by the exclusive or of the words at `offsets`.
fn select_by_hash(filter: &mut Vec<sock_filter>, offsets: &[u32], workers: usize) {
    let alu = |operation, k| statement(libc::BPF_ALU | operation | libc::BPF_K, k);
    filter.push(statement(libc::BPF_LD | libc::BPF_IMM, 0));
    for offset in offsets {
        filter.push(statement(libc::BPF_MISC | libc::BPF_TAX, 0));
        filter.push(load(libc::BPF_W, *offset));
        filter.push(statement(libc::BPF_ALU | libc::BPF_XOR | libc::BPF_X, 0));
    }
    filter.push(alu(libc::BPF_MUL, GOLDEN_RATIO));
    filter.push(alu(libc::BPF_RSH, 16));
    filter.push(alu(libc::BPF_MOD, number(workers)));
    filter.push(statement(libc::BPF_RET | libc::BPF_A, 0));
}

/// Loads `size` octets at an offset from the beginning of the IP header. By default offsets are
/// from the UDP payload.
fn load(size: u32, offset: u32) -> sock_filter {
    let k = libc::SKF_NET_OFF.cast_unsigned().wrapping_add(offset);
    statement(libc::BPF_LD | size | libc::BPF_ABS, k)
}

/// Skips `instructions` unless the loaded value is equal to `value`.
fn jump_unless_equal(value: u32, instructions: usize) -> sock_filter {
    let jump = statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value);
    sock_filter {
        jf: u8::try_from(instructions).unwrap_or(u8::MAX),
        ..jump
    }
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter {
        code: u16::try_from(code).unwrap_or(u16::MAX),
        jt: 0,
        jf: 0,
        k,
    }
}

fn number(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
