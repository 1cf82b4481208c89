//! The commands of a delta, as bytes.

/// The number that a delta begins with.
pub(crate) const MAGIC: u32 = 0x7273_0236;
pub(crate) const END: u8 = 0x00;
/// Literal bytes up to so many have their length in the command.
pub(crate) const SHORT: u64 = 0x40;
/// The first of four commands for longer literals.
pub(crate) const LITERAL: u8 = 0x41;
/// The first of sixteen commands for copies: four widths of the length for each width of the offset.
pub(crate) const COPY: u8 = 0x45;
/// The last of them.
pub(crate) const LAST: u8 = 0x54;

/// What a delta says next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// So many bytes of the new file follow; more than none.
    Literal {
        /// Bytes.
        len: u64,
    },
    /// Bytes of the basis.
    Copy {
        /// Where they begin, in bytes.
        offset: u64,
        /// How many; more than none.
        len: u64,
    },
    /// Nothing more.
    End,
}

/// What the commands of a delta were, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Commands with literal bytes.
    pub literals: u64,
    /// Literal bytes.
    pub literal_bytes: u64,
    /// Commands that copy.
    pub copies: u64,
    /// Bytes copied from the basis.
    pub copied_bytes: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, command: Command) {
        match command {
            Command::Literal { len } => {
                self.literals += 1;
                self.literal_bytes = self.literal_bytes.saturating_add(len);
            }
            Command::Copy { len, .. } => {
                self.copies += 1;
                self.copied_bytes = self.copied_bytes.saturating_add(len);
            }
            Command::End => {}
        }
    }
}

/// Which of the widths 1, 2, 4 and 8 `number` needs, as a power of two.
fn width(number: u64) -> u8 {
    match number {
        0..=0xff => 0,
        0x100..=0xffff => 1,
        0x1_0000..=0xffff_ffff => 2,
        _ => 3,
    }
}

fn put(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_be_bytes()[8 - (1 << width(number))..]);
}

/// Appends the bytes of `command`, without those of a literal.
pub(crate) fn encode(command: Command, out: &mut Vec<u8>) {
    match command {
        // One byte is enough up to here.
        Command::Literal { len } if len <= SHORT => out.push(len as u8),
        Command::Literal { len } => {
            out.push(LITERAL + width(len));
            put(out, len);
        }
        Command::Copy { offset, len } => {
            out.push(COPY + 4 * width(offset) + width(len));
            put(out, offset);
            put(out, len);
        }
        Command::End => out.push(END),
    }
}
