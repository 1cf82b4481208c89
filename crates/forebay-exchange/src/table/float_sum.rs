//! `FloatSum`: the exact sum of floats.
//!
//! Whatever the order in which they are added, split over workers and taken back: the sum is exact and is rounded once,
//! when it is read. Two floats hold it while they can: the error of adding to the first goes to the second (Knuth's
//! two-sum). When the second would have to round too, or the first overflows, everything goes to a fixed-point number
//! of 2,240 bits, whose lowest bit is the smallest float there is and which has room for 2^63 times the largest one.
//! Infinities and NaN are counted, so that they can be taken back as well.

use forebay::DecodeError;

use super::number;

const LIMBS: usize = 35;

/// In a row: what the first byte says.
const ZERO: u8 = 0;
const FLOAT: u8 = 1;
const WIDE: u8 = 2;

/// An exact sum of floats.
#[derive(Clone, Debug, Default)]
pub(super) struct FloatSum {
    high: f64,
    low: f64,
    rest: Option<Box<Wide>>,
}

/// A fixed-point number in two's complement, lowest limb first, and what is not finite.
#[derive(Clone, Debug)]
struct Wide {
    limbs: [u64; LIMBS],
    nan: i64,
    positive: i64,
    negative: i64,
}

/// The sum of two floats and by how much it is rounded.
#[inline]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let of_b = sum - a;
    (sum, (a - (sum - of_b)) + (b - of_b))
}

impl FloatSum {
    /// Adds `value`, or takes it back if `sign` is negative.
    #[inline]
    pub(super) fn add(&mut self, value: f64, sign: i64) {
        let signed = if sign < 0 { -value } else { value };
        let (high, error) = two_sum(self.high, signed);
        let (low, lost) = two_sum(self.low, error);
        // Neither holds if something is not finite.
        if lost == 0.0 && high.is_finite() {
            (self.high, self.low) = (high, low);
        } else {
            self.add_wide(value, sign);
        }
    }

    #[cold]
    fn add_wide(&mut self, value: f64, sign: i64) {
        let rest = self.rest.get_or_insert_default();
        rest.add(std::mem::take(&mut self.high), 1);
        rest.add(std::mem::take(&mut self.low), 1);
        rest.add(value, sign);
    }

    /// The sum, rounded to the nearest float; infinities and NaN as IEEE 754 adds them.
    pub(super) fn value(&self) -> f64 {
        match &self.rest {
            // Rounded once: the sum of two floats is.
            None => self.high + self.low + 0.0,
            Some(_) => self.to_wide().value(),
        }
    }

    fn to_wide(&self) -> Box<Wide> {
        let mut wide = self.rest.clone().unwrap_or_default();
        wide.add(self.high, 1);
        wide.add(self.low, 1);
        wide
    }

    /// Whether nothing is left: the sum is 0 and nothing that is not finite is in it.
    pub(super) fn is_zero(&self) -> bool {
        match &self.rest {
            None => self.high == -self.low,
            Some(_) => self.to_wide().is_zero(),
        }
    }

    /// Appends the sum to a row.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        if self.rest.is_none() {
            let (high, low) = two_sum(self.high, self.low);
            if low == 0.0 {
                return put_float(out, high);
            }
        }
        let wide = self.to_wide();
        if wide.is_zero() { out.push(ZERO) } else { wide.put(out) }
    }

    /// Adds the sum at the front of `bytes`, which it takes off.
    pub(super) fn add_taken(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        let (&form, rest) = bytes.split_first().ok_or(DecodeError("the row ends early"))?;
        *bytes = rest;
        match form {
            ZERO => {}
            FLOAT => {
                let (float, rest) = bytes.split_first_chunk().ok_or(DecodeError("the row ends early"))?;
                *bytes = rest;
                self.add(f64::from_le_bytes(*float), 1);
            }
            WIDE => self.rest.get_or_insert_default().add_taken(bytes)?,
            _ => return Err(DecodeError("a sum of floats of no known form")),
        }
        Ok(())
    }
}

/// Appends the sum of one float to a row.
#[inline]
pub(super) fn put_float(out: &mut Vec<u8>, value: f64) {
    if value == 0.0 {
        out.push(ZERO);
    } else if value.is_finite() {
        let mut buffer = [FLOAT; 9];
        buffer[1..].copy_from_slice(&value.to_le_bytes());
        out.extend_from_slice(&buffer);
    } else {
        let mut wide = Wide::default();
        wide.add(value, 1);
        wide.put(out);
    }
}

/// Appends the sum of one float that is taken back to a row.
pub(super) fn put_taken_back(out: &mut Vec<u8>, value: f64) {
    let mut sum = FloatSum::default();
    sum.add(value, -1);
    sum.put(out);
}

impl Default for Wide {
    fn default() -> Self {
        Wide { limbs: [0; LIMBS], nan: 0, positive: 0, negative: 0 }
    }
}

impl Wide {
    fn add(&mut self, value: f64, sign: i64) {
        if !value.is_finite() {
            let count = match value {
                _ if value.is_nan() => &mut self.nan,
                f64::INFINITY => &mut self.positive,
                _ => &mut self.negative,
            };
            *count = count.wrapping_add(sign);
            return;
        }
        let bits = value.to_bits();
        let exponent = (bits >> 52) & 0x7ff;
        let fraction = bits & ((1 << 52) - 1);
        // Below 2^-1022 the exponent is that of the next range and the leading bit is not implied.
        let (mantissa, shift) = if exponent == 0 { (fraction, 0) } else { (fraction | 1 << 52, exponent - 1) };
        let parts = u128::from(mantissa) << (shift % 64);
        let parts = [parts as u64, (parts >> 64) as u64];
        let first = (shift / 64) as usize;
        if value.is_sign_negative() == (sign < 0) {
            self.add_limbs(first, &parts, 0);
        } else {
            // -x is !x + 1, and the bits below `first` carry the one along.
            let (low, carry) = (!parts[0]).overflowing_add(1);
            self.add_limbs(first, &[low, (!parts[1]).wrapping_add(u64::from(carry))], negative_extension(&parts));
        }
    }

    /// Adds a number whose limbs are `parts` from `first` on, and `extension` above.
    fn add_limbs(&mut self, first: usize, parts: &[u64], extension: u64) {
        let mut carry = false;
        for (at, limb) in self.limbs.iter_mut().enumerate().skip(first) {
            let part = match parts.get(at - first) {
                Some(part) => *part,
                // Nothing changes any more.
                None if (extension == 0) != carry => return,
                None => extension,
            };
            let (sum, over) = limb.overflowing_add(part);
            let (sum, over_too) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, over || over_too);
        }
    }

    fn is_negative(&self) -> bool {
        self.limbs[LIMBS - 1] >> 63 == 1
    }

    fn is_zero(&self) -> bool {
        self.limbs == [0; LIMBS] && !self.has_special()
    }

    fn has_special(&self) -> bool {
        (self.nan, self.positive, self.negative) != (0, 0, 0)
    }

    fn value(&self) -> f64 {
        if self.nan > 0 || (self.positive > 0 && self.negative > 0) {
            return f64::NAN;
        }
        match (self.positive > 0, self.negative > 0) {
            (true, _) => return f64::INFINITY,
            (_, true) => return f64::NEG_INFINITY,
            _ => {}
        }
        let mut limbs = self.limbs;
        if self.is_negative() {
            let mut carry = true;
            for limb in &mut limbs {
                (*limb, carry) = (!*limb).overflowing_add(u64::from(carry));
            }
        }
        let size = round(&limbs);
        if self.is_negative() { -size } else { size }
    }

    /// `form, first limb, how many limbs, the limbs`, the counts of NaN, infinity and minus infinity.
    fn put(&self, out: &mut Vec<u8>) {
        let extension = if self.is_negative() { u64::MAX } else { 0 };
        let first = self.limbs.iter().position(|limb| *limb != 0).unwrap_or(0);
        let mut end = self.limbs.iter().rposition(|limb| *limb != extension).map_or(first, |last| last + 1);
        // The last limb's sign is that of all above.
        if end == first || (self.limbs[end - 1] >> 63) != (extension >> 63) {
            end += 1;
        }
        let end = end.max(first + 1).min(LIMBS);
        out.extend_from_slice(&[WIDE, first as u8, (end - first) as u8]);
        for limb in &self.limbs[first..end] {
            out.extend_from_slice(&limb.to_le_bytes());
        }
        for count in [self.nan, self.positive, self.negative] {
            number::put_i64(out, count);
        }
    }

    fn add_taken(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        let (&[first, count], rest) = bytes.split_first_chunk().ok_or(DecodeError("the row ends early"))?;
        let (first, count) = (usize::from(first), usize::from(count));
        if count == 0 || first + count > LIMBS {
            return Err(DecodeError("a sum of floats beyond its range"));
        }
        let (limbs, rest) = rest.split_at_checked(8 * count).ok_or(DecodeError("the row ends early"))?;
        *bytes = rest;
        let mut parts = [0; LIMBS];
        for (part, limb) in parts.iter_mut().zip(limbs.as_chunks().0) {
            *part = u64::from_le_bytes(*limb);
        }
        let extension = if parts[count - 1] >> 63 == 1 { u64::MAX } else { 0 };
        self.add_limbs(first, &parts[..count], extension);
        for special in [&mut self.nan, &mut self.positive, &mut self.negative] {
            *special = special.wrapping_add(number::take(bytes)? as i64);
        }
        Ok(())
    }
}

/// What is above the limbs of minus `parts`.
fn negative_extension(parts: &[u64; 2]) -> u64 {
    if *parts == [0, 0] { 0 } else { u64::MAX }
}

/// The float nearest to a number that is not negative, ties to even.
fn round(limbs: &[u64; LIMBS]) -> f64 {
    let Some(top) = limbs.iter().rposition(|limb| *limb != 0) else { return 0.0 };
    let zeros = limbs[top].leading_zeros();
    let leading = 64 * top + 63 - zeros as usize;
    if leading <= 52 {
        // Floats this small are counted by their bits.
        return f64::from_bits(limbs[0]);
    }
    let below = if top > 0 { limbs[top - 1] } else { 0 };
    let window = (u128::from(limbs[top]) << 64 | u128::from(below)) << zeros;
    let head = (window >> 64) as u64;
    let sticky = window as u64 != 0 || limbs[..top.saturating_sub(1)].iter().any(|limb| *limb != 0);
    let (mantissa, cut) = (head >> 11, head & 0x7ff);
    let up = cut > 0x400 || (cut == 0x400 && (sticky || mantissa & 1 == 1));
    // The leading bit counts one up in the exponent, and so does a carry out of the mantissa.
    let bits = ((leading as u64 - 52) << 52) + mantissa + u64::from(up);
    f64::from_bits(bits.min(f64::INFINITY.to_bits()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn float() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |float| float.is_finite()),
            (-1_000_000_i64..1_000_000).prop_map(|cents| cents as f64 / 100.0),
            Just(f64::MAX),
            Just(f64::MIN_POSITIVE),
            Just(5e-324),
            Just(-0.0),
        ]
    }

    fn sum(values: &[f64]) -> FloatSum {
        let mut sum = FloatSum::default();
        values.iter().for_each(|value| sum.add(*value, 1));
        sum
    }

    fn through_a_row(sum: &FloatSum, into: &mut FloatSum) {
        let mut bytes = Vec::new();
        sum.put(&mut bytes);
        let mut rest = &bytes[..];
        into.add_taken(&mut rest).unwrap();
        assert!(rest.is_empty());
    }

    #[test]
    fn what_cancels_leaves_what_is_small() {
        assert_eq!(sum(&[1e300, 1.0, -1e300]).value(), 1.0);
        assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]).value(), f64::MAX);
        assert_eq!(sum(&[f64::MAX, f64::MAX]).value(), f64::INFINITY);
        assert_eq!(sum(&[-1e16, 1e-16, 1e16, 5e-324, -1e-16]).value(), 5e-324);
        assert_eq!(sum(&[0.1; 10]).value(), 1.0);
        // Half way between two floats: to the even one, but up if there is anything below.
        assert_eq!(sum(&[9_007_199_254_740_992.0, 1.0, 0.0]).value(), 9_007_199_254_740_992.0);
        assert_eq!(sum(&[9_007_199_254_740_992.0, 1.0, 1e-300]).value(), 9_007_199_254_740_994.0);
    }

    #[test]
    fn what_is_not_finite_adds_as_ieee_says_and_can_be_taken_back() {
        let mut sum = sum(&[1.5, f64::INFINITY]);
        assert_eq!(sum.value(), f64::INFINITY);
        sum.add(f64::NEG_INFINITY, 1);
        assert!(sum.value().is_nan());
        sum.add(f64::INFINITY, -1);
        assert_eq!(sum.value(), f64::NEG_INFINITY);
        sum.add(f64::NEG_INFINITY, -1);
        sum.add(f64::NAN, 1);
        assert!(sum.value().is_nan());
        sum.add(f64::NAN, -1);
        assert_eq!(sum.value(), 1.5);
        sum.add(1.5, -1);
        assert!(sum.is_zero());
    }

    proptest! {
        #[test]
        fn order_and_splitting_do_not_matter(
            values in proptest::collection::vec(float(), 0..40),
            cut in 0_usize..40,
            seed: u64,
        ) {
            let expected = sum(&values).value();
            let mut shuffled = values.clone();
            shuffled.sort_by_key(|value| (value.to_bits() ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            prop_assert_eq!(sum(&shuffled).value().to_bits(), expected.to_bits());
            let (left, right) = shuffled.split_at(cut.min(shuffled.len()));
            let mut merged = FloatSum::default();
            through_a_row(&sum(left), &mut merged);
            through_a_row(&sum(right), &mut merged);
            prop_assert_eq!(merged.value().to_bits(), expected.to_bits());
            let mut wide = Wide::default();
            values.iter().for_each(|value| wide.add(*value, 1));
            prop_assert_eq!(wide.value().to_bits(), expected.to_bits());
        }

        #[test]
        fn taking_everything_back_leaves_nothing(values in proptest::collection::vec(float(), 0..40)) {
            let mut sum = sum(&values);
            values.iter().rev().for_each(|value| sum.add(*value, -1));
            prop_assert!(sum.is_zero());
            let mut bytes = Vec::new();
            sum.put(&mut bytes);
            prop_assert_eq!(bytes, [ZERO]);
        }

        #[test]
        fn two_floats_are_added_as_the_machine_does(a in float(), b in float()) {
            let mut wide = Wide::default();
            wide.add(a, 1);
            wide.add(b, 1);
            prop_assert_eq!(wide.value(), a + b);
        }

        #[test]
        fn any_bytes_are_a_sum_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = FloatSum::default().add_taken(&mut &bytes[..]);
            let _ = FloatSum::default().add_taken(&mut &[&[WIDE, 3, 2], &bytes[..]].concat()[..]);
        }
    }
}
