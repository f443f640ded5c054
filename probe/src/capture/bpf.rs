//! Classic BPF programs: libpcap compiles a filter expression, and this runs the program on the
//! frames of a savefile, or joins it with another one for the kernel.
//!
//! libpcap's own function to run a program takes the captured length for the length on the wire, so
//! that `greater 1000` would fail for frames that a snap length has cut.

use pcap::{BpfProgram, Capture, Linktype};
use socket2::SockFilter;

use super::libpcap::error_message;

/// Words of scratch memory.
const SCRATCH_WORDS: usize = 16;

/// A compiled filter.
#[derive(Debug)]
pub(super) struct Program(Vec<Instruction>);

#[derive(Clone, Copy, Debug)]
struct Instruction {
    code: u16,
    jump_true: u8,
    jump_false: u8,
    k: u32,
}

// Instruction classes, and their operands.
const CLASS: u16 = 0x07;
const LD: u16 = 0x00;
const LDX: u16 = 0x01;
const ST: u16 = 0x02;
const STX: u16 = 0x03;
const ALU: u16 = 0x04;
const JMP: u16 = 0x05;
const RET: u16 = 0x06;

const SIZE: u16 = 0x18;
const HALF: u16 = 0x08;
const BYTE: u16 = 0x10;
const MODE: u16 = 0xe0;
const IMMEDIATE: u16 = 0x00;
const ABSOLUTE: u16 = 0x20;
const INDIRECT: u16 = 0x40;
const MEMORY: u16 = 0x60;
const LENGTH: u16 = 0x80;
const HEADER_LENGTH: u16 = 0xa0;

const OPERATION: u16 = 0xf0;
const SOURCE_X: u16 = 0x08;
const RETURN_A: u16 = 0x10;
const JUMP_ALWAYS: u16 = JMP;
const MOVE_X_TO_A: u16 = 0x80;

impl Program {
    /// Compiles an expression for a `DLT_…` link type.
    ///
    /// # Errors
    /// The message of libpcap.
    pub(super) fn compile(expression: &str, dlt: i32) -> Result<Self, String> {
        let compiled = Capture::dead(Linktype(dlt))
            .and_then(|capture| capture.compile(expression, true))
            .map_err(|error| error_message(&error))?;
        Self::of(&compiled)
    }

    /// The instructions of a compiled program.
    ///
    /// # Errors
    /// There is an instruction of unknown form.
    pub(super) fn of(compiled: &BpfProgram) -> Result<Self, String> {
        let instructions = compiled.get_instructions().iter();
        // The text form is the one of `tcpdump -ddd`.
        let parsed: Option<Vec<Instruction>> = instructions
            .map(|instruction| Instruction::parse(&instruction.to_string()))
            .collect();
        parsed
            .map(Self)
            .ok_or_else(|| "unknown instruction".to_owned())
    }

    /// Captures more of some frames: of a frame that this program accepts, `long` octets if the other
    /// program accepts it as well, else `short`.
    pub(super) fn with_lengths(self, other: Self, long: u32, short: u32) -> Self {
        let length = self.0.len();
        let is_return = |instruction: &Instruction| {
            instruction.code & CLASS == RET && instruction.code & SIZE != RETURN_A
        };
        let own = self.0.into_iter().enumerate().map(|(at, instruction)| {
            if !is_return(&instruction) || instruction.k == 0 {
                return instruction;
            }
            // The other program follows this one.
            let distance = u32::try_from(length - at - 1).unwrap_or(u32::MAX);
            Instruction {
                code: JUMP_ALWAYS,
                jump_true: 0,
                jump_false: 0,
                k: distance,
            }
        });
        let others = other.0.into_iter().map(|instruction| {
            if !is_return(&instruction) {
                return instruction;
            }
            let k = if instruction.k == 0 { short } else { long };
            Instruction { k, ..instruction }
        });
        Self(own.chain(others).collect())
    }

    /// The instructions as the kernel takes them.
    pub(super) fn for_kernel(&self) -> Vec<SockFilter> {
        let instructions = self.0.iter();
        instructions
            .map(|i| SockFilter::new(i.code, i.jump_true, i.jump_false, i.k))
            .collect()
    }

    /// True if the program accepts a frame.
    pub(super) fn accepts(&self, frame: &[u8], wire_octets: u32) -> bool {
        self.run(frame, wire_octets).unwrap_or(0) != 0
    }

    /// Runs the program. `None` if it reads beyond the captured octets, which rejects the frame.
    pub(super) fn run(&self, frame: &[u8], wire_octets: u32) -> Option<u32> {
        let (mut a, mut x) = (0_u32, 0_u32);
        let mut scratch = [0_u32; SCRATCH_WORDS];
        let mut next = 0_usize;
        // Jumps are forward only, so the program ends.
        loop {
            let Instruction {
                code,
                jump_true,
                jump_false,
                k,
            } = *self.0.get(next)?;
            next += 1;
            let operand = if code & SOURCE_X == 0 { k } else { x };
            match code & CLASS {
                LD => {
                    a = match code & MODE {
                        IMMEDIATE => k,
                        ABSOLUTE => load(frame, k, code & SIZE)?,
                        INDIRECT => load(frame, x.checked_add(k)?, code & SIZE)?,
                        MEMORY => *scratch.get(index(k)?)?,
                        LENGTH => wire_octets,
                        _ => return None,
                    }
                }
                LDX => {
                    x = match code & MODE {
                        IMMEDIATE => k,
                        MEMORY => *scratch.get(index(k)?)?,
                        LENGTH => wire_octets,
                        HEADER_LENGTH => (load(frame, k, BYTE)? & 0x0f) << 2,
                        _ => return None,
                    }
                }
                ST => *scratch.get_mut(index(k)?)? = a,
                STX => *scratch.get_mut(index(k)?)? = x,
                ALU => a = calculate(code & OPERATION, a, operand)?,
                JMP => {
                    let offset = match code & OPERATION {
                        0x00 => index(k)?,
                        operation => usize::from(if compare(operation, a, operand)? {
                            jump_true
                        } else {
                            jump_false
                        }),
                    };
                    next = next.checked_add(offset)?;
                }
                RET if code & SIZE == RETURN_A => return Some(a),
                RET => return Some(k),
                _ if code & OPERATION == MOVE_X_TO_A => a = x,
                _ => x = a,
            }
        }
    }
}

fn index(k: u32) -> Option<usize> {
    usize::try_from(k).ok()
}

fn load(frame: &[u8], at: u32, size: u16) -> Option<u32> {
    let octets = frame.get(index(at)?..)?;
    match size {
        BYTE => octets.first().copied().map(u32::from),
        HALF => octets
            .first_chunk()
            .map(|octets| u16::from_be_bytes(*octets).into()),
        _ => octets
            .first_chunk()
            .map(|octets| u32::from_be_bytes(*octets)),
    }
}

fn calculate(operation: u16, a: u32, operand: u32) -> Option<u32> {
    Some(match operation {
        0x00 => a.wrapping_add(operand),
        0x10 => a.wrapping_sub(operand),
        0x20 => a.wrapping_mul(operand),
        0x30 => a.checked_div(operand)?,
        0x40 => a | operand,
        0x50 => a & operand,
        0x60 => a.checked_shl(operand).unwrap_or(0),
        0x70 => a.checked_shr(operand).unwrap_or(0),
        0x80 => a.wrapping_neg(),
        0x90 => a.checked_rem(operand)?,
        0xa0 => a ^ operand,
        _ => return None,
    })
}

fn compare(operation: u16, a: u32, operand: u32) -> Option<bool> {
    Some(match operation {
        0x10 => a == operand,
        0x20 => a > operand,
        0x30 => a >= operand,
        0x40 => a & operand != 0,
        _ => return None,
    })
}

impl Instruction {
    /// Parses `CODE JT JF K`.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split_whitespace();
        let instruction = Self {
            code: numbers.next()?.parse().ok()?,
            jump_true: numbers.next()?.parse().ok()?,
            jump_false: numbers.next()?.parse().ok()?,
            k: numbers.next()?.parse().ok()?,
        };
        numbers.next().is_none().then_some(instruction)
    }
}
