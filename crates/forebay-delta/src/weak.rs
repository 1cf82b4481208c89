//! Weak sums: 32 bits that can be rolled along a file byte by byte.
//!
//! A sum over a whole block is computed in lanes: byte `j` of each row of [`LANES`] bytes has accumulators of its own,
//! which the compiler turns into vector instructions. A [`Roll`] then follows the window.

/// Bytes that are summed side by side.
const LANES: usize = 32;
/// librsync adds it to each byte of a [`Weak::Rollsum`].
const ROLLSUM_OFFSET: u32 = 31;
/// The multiplier of [`Weak::RabinKarp`].
const MULTIPLIER: u32 = 0x0810_4225;

/// Which weak sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Weak {
    /// rsync's: two sums of 16 bits over signed bytes, the plain one below the weighted one.
    Rsync,
    /// librsync's older: the same over unsigned bytes, each raised by 31.
    Rollsum,
    /// librsync's newer (2.2 and later): a polynomial modulo 2^32. It spreads better.
    RabinKarp,
}

impl Weak {
    /// The sum over `bytes`.
    ///
    /// ```
    /// use forebay_delta::Weak;
    /// assert_eq!(Weak::Rsync.sum(b"abcd"), 0x03d4_018a);
    /// ```
    pub fn sum(self, bytes: &[u8]) -> u32 {
        match self {
            Weak::Rsync => RsyncRoll::start(bytes).value(),
            Weak::Rollsum => RollsumRoll::start(bytes).value(),
            Weak::RabinKarp => RabinKarpRoll::start(bytes).value(),
        }
    }
}

/// A weak sum that follows a window.
pub(crate) trait Roll: Copy {
    /// Over the window `bytes`.
    fn start(bytes: &[u8]) -> Self;
    /// Moves the window by a byte: `leaving` was its first, `entering` comes after its last.
    fn roll(&mut self, leaving: u8, entering: u8);
    /// Takes the first byte out of the window.
    fn shrink(&mut self, leaving: u8);
    fn value(&self) -> u32;
}

/// The plain and the weighted sum of `bytes`, modulo 2^16. `widen` makes a byte a number.
#[inline(always)]
fn sums(bytes: &[u8], widen: impl Fn(u8) -> u16) -> (u16, u16) {
    let mut plain = [0u16; LANES];
    // The sum of all earlier states of `plain`: each row counts once for every row that comes after it, and itself.
    let mut weighted = [0u16; LANES];
    let rows = bytes.chunks_exact(LANES);
    let rest = rows.remainder();
    for row in rows {
        for ((plain, weighted), byte) in plain.iter_mut().zip(&mut weighted).zip(row) {
            *plain = plain.wrapping_add(widen(*byte));
            *weighted = weighted.wrapping_add(*plain);
        }
    }
    let (mut s1, mut s2) = (0u16, 0u16);
    for (lane, (plain, weighted)) in (0u16..).zip(plain.iter().zip(&weighted)) {
        s1 = s1.wrapping_add(*plain);
        s2 = s2.wrapping_add(weighted.wrapping_mul(LANES as u16)).wrapping_sub(plain.wrapping_mul(lane));
    }
    for byte in rest {
        s1 = s1.wrapping_add(widen(*byte));
        s2 = s2.wrapping_add(s1);
    }
    (s1, s2)
}

fn signed(byte: u8) -> u16 {
    i16::from(byte as i8) as u16
}

/// The state of both sums of the Fletcher kind. The upper halves of `s1` and `s2` are garbage.
#[derive(Clone, Copy)]
struct Fletcher {
    s1: u32,
    s2: u32,
    /// Bytes in the window.
    len: u32,
}

impl Fletcher {
    fn new((s1, s2): (u16, u16), len: usize) -> Self {
        // Only the low 16 bits of the length matter.
        Fletcher { s1: u32::from(s1), s2: u32::from(s2), len: len as u32 }
    }

    #[inline(always)]
    fn roll(&mut self, leaving: u32, entering: u32) {
        self.s1 = self.s1.wrapping_add(entering).wrapping_sub(leaving);
        self.s2 = self.s2.wrapping_add(self.s1).wrapping_sub(self.len.wrapping_mul(leaving));
    }

    fn shrink(&mut self, leaving: u32) {
        self.s1 = self.s1.wrapping_sub(leaving);
        self.s2 = self.s2.wrapping_sub(self.len.wrapping_mul(leaving));
        self.len = self.len.wrapping_sub(1);
    }

    #[inline(always)]
    fn value(&self) -> u32 {
        (self.s1 & 0xffff) | (self.s2 << 16)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct RsyncRoll(Fletcher);

impl Roll for RsyncRoll {
    fn start(bytes: &[u8]) -> Self {
        RsyncRoll(Fletcher::new(sums(bytes, signed), bytes.len()))
    }

    #[inline(always)]
    fn roll(&mut self, leaving: u8, entering: u8) {
        self.0.roll(leaving as i8 as u32, entering as i8 as u32);
    }

    fn shrink(&mut self, leaving: u8) {
        self.0.shrink(leaving as i8 as u32);
    }

    #[inline(always)]
    fn value(&self) -> u32 {
        self.0.value()
    }
}

#[derive(Clone, Copy)]
pub(crate) struct RollsumRoll(Fletcher);

impl Roll for RollsumRoll {
    fn start(bytes: &[u8]) -> Self {
        let raised = |byte: u8| u16::from(byte) + ROLLSUM_OFFSET as u16;
        RollsumRoll(Fletcher::new(sums(bytes, raised), bytes.len()))
    }

    #[inline(always)]
    fn roll(&mut self, leaving: u8, entering: u8) {
        self.0.roll(u32::from(leaving) + ROLLSUM_OFFSET, u32::from(entering) + ROLLSUM_OFFSET);
    }

    fn shrink(&mut self, leaving: u8) {
        self.0.shrink(u32::from(leaving) + ROLLSUM_OFFSET);
    }

    #[inline(always)]
    fn value(&self) -> u32 {
        self.0.value()
    }
}

/// The polynomial starts from 1, so that leading zero bytes count.
#[derive(Clone, Copy)]
pub(crate) struct RabinKarpRoll {
    value: u32,
    /// [`MULTIPLIER`] to the power of the window's length.
    power: u32,
}

/// The inverse of [`MULTIPLIER`] modulo 2^32, by Newton's iteration: each step doubles the bits that are right.
const INVERSE: u32 = {
    let mut inverse = MULTIPLIER;
    let mut step = 0;
    while step < 5 {
        inverse = inverse.wrapping_mul(2u32.wrapping_sub(MULTIPLIER.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
};

fn power(exponent: usize) -> u32 {
    // The exponents repeat long before 2^32.
    MULTIPLIER.wrapping_pow(exponent as u32)
}

impl Roll for RabinKarpRoll {
    fn start(bytes: &[u8]) -> Self {
        let stride = power(LANES);
        let mut lanes = [0u32; LANES];
        let rows = bytes.chunks_exact(LANES);
        let rest = rows.remainder();
        for row in rows {
            for (lane, byte) in lanes.iter_mut().zip(row) {
                *lane = lane.wrapping_mul(stride).wrapping_add(u32::from(*byte));
            }
        }
        let step = |value: u32, next: u32| value.wrapping_mul(MULTIPLIER).wrapping_add(next);
        let value = lanes.iter().copied().fold(0, step);
        let value = value.wrapping_add(power(bytes.len() - rest.len()));
        let value = rest.iter().map(|byte| u32::from(*byte)).fold(value, step);
        RabinKarpRoll { value, power: power(bytes.len()) }
    }

    #[inline(always)]
    fn roll(&mut self, leaving: u8, entering: u8) {
        // The start value moves with the first byte: 1 * M^(n+1) gives way to 1 * M^n.
        let gone = u32::from(leaving).wrapping_add(MULTIPLIER - 1).wrapping_mul(self.power);
        self.value = self.value.wrapping_mul(MULTIPLIER).wrapping_add(u32::from(entering)).wrapping_sub(gone);
    }

    fn shrink(&mut self, leaving: u8) {
        let shorter = self.power.wrapping_mul(INVERSE);
        let gone = u32::from(leaving).wrapping_add(MULTIPLIER - 1).wrapping_mul(shorter);
        self.value = self.value.wrapping_sub(gone);
        self.power = shorter;
    }

    #[inline(always)]
    fn value(&self) -> u32 {
        self.value
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(weak: Weak, bytes: &[u8]) -> u32 {
        if weak == Weak::RabinKarp {
            return bytes.iter().fold(1, |h: u32, b| h.wrapping_mul(MULTIPLIER).wrapping_add(u32::from(*b)));
        }
        let (mut s1, mut s2) = (0u32, 0u32);
        for byte in bytes {
            let x = if weak == Weak::Rsync { *byte as i8 as u32 } else { u32::from(*byte) + 31 };
            s1 = s1.wrapping_add(x);
            s2 = s2.wrapping_add(s1);
        }
        (s1 & 0xffff) | (s2 << 16)
    }

    fn follows<R: Roll>(weak: Weak, bytes: &[u8], window: usize) {
        let mut roll = R::start(&bytes[..window]);
        for at in 0..bytes.len() {
            let end = (at + window).min(bytes.len());
            assert_eq!(roll.value(), naive(weak, &bytes[at..end]), "{weak:?} at {at}");
            match bytes.get(end) {
                Some(entering) => roll.roll(bytes[at], *entering),
                None => roll.shrink(bytes[at]),
            }
        }
    }

    #[test]
    fn sums_of_known_texts() {
        assert_eq!(Weak::Rsync.sum(b""), 0);
        assert_eq!(Weak::Rsync.sum(&[0x80]), 0xff80_ff80);
        // As rdiff 2.3.2 writes them.
        assert_eq!(Weak::Rollsum.sum(b"hello world"), 0x21fe_05b1);
        assert_eq!(Weak::RabinKarp.sum(b"hello world"), 0xab36_3389);
    }

    proptest! {
        #[test]
        fn a_window_rolls_as_its_sum(bytes in proptest::collection::vec(any::<u8>(), 1..300), window in 1usize..200) {
            let window = window.min(bytes.len());
            follows::<RsyncRoll>(Weak::Rsync, &bytes, window);
            follows::<RollsumRoll>(Weak::Rollsum, &bytes, window);
            follows::<RabinKarpRoll>(Weak::RabinKarp, &bytes, window);
        }
    }

    #[test]
    fn long_blocks_wrap_as_they_should() {
        let bytes: Vec<u8> = (0..200_001u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 | 0x80).collect();
        for weak in [Weak::Rsync, Weak::Rollsum, Weak::RabinKarp] {
            assert_eq!(weak.sum(&bytes), naive(weak, &bytes), "{weak:?}");
        }
    }
}
