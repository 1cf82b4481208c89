//! Numbers in rows: few bytes for small ones.
//!
//! A number is zigzagged (0, -1, 1, -2, ... become 0, 1, 2, 3, ...). Up to 237 it is one byte; above, a byte says how
//! many bytes follow, which are the number, little-endian, without its leading zeros. One byte value is left over and
//! says that there is no number.

use forebay::DecodeError;

/// Numbers below this are their own byte.
const DIRECT: u8 = 238;

/// The first byte of zero, where numbers are ordered by their bytes.
const LEAST_ORDERED: u8 = 128;

/// There is no number.
pub(super) const NONE: u8 = 255;

const ENDS_EARLY: DecodeError = DecodeError("the row ends early");

/// Appends `value`.
#[inline]
pub(super) fn put(out: &mut Vec<u8>, value: i128) {
    match i64::try_from(value) {
        Ok(value) => put_i64(out, value),
        Err(_) => {
            let zigzag = ((value << 1) ^ (value >> 127)) as u128;
            let bytes = (u128::BITS - zigzag.leading_zeros()).div_ceil(8) as u8;
            out.push(DIRECT + bytes);
            out.extend_from_slice(&zigzag.to_le_bytes()[..usize::from(bytes)]);
        }
    }
}

/// Appends `value`.
#[inline]
pub(super) fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends `zigzag` as it is: a length, say, which has no sign.
#[inline]
pub(super) fn put_u64(out: &mut Vec<u8>, zigzag: u64) {
    if zigzag < u64::from(DIRECT) {
        return out.push(zigzag as u8);
    }
    let bytes = (u64::BITS - zigzag.leading_zeros()).div_ceil(8) as u8;
    // Nine bytes at once and the surplus taken back: cheaper than copying a number of bytes that is not known.
    let mut buffer = [0; 9];
    buffer[0] = DIRECT + bytes;
    buffer[1..].copy_from_slice(&zigzag.to_le_bytes());
    let begin = out.len();
    out.extend_from_slice(&buffer);
    out.truncate(begin + 1 + usize::from(bytes));
}

/// Takes a number off the front of `bytes`.
#[inline]
pub(super) fn take(bytes: &mut &[u8]) -> Result<i128, DecodeError> {
    let zigzag = take_u128(bytes)?;
    Ok((zigzag >> 1) as i128 ^ -((zigzag & 1) as i128))
}

/// Takes what [`put_u64`] wrote off the front of `bytes`.
#[inline]
pub(super) fn take_u64(bytes: &mut &[u8]) -> Result<u64, DecodeError> {
    u64::try_from(take_u128(bytes)?).map_err(|_| DecodeError("a number that is too large"))
}

#[inline]
fn take_u128(bytes: &mut &[u8]) -> Result<u128, DecodeError> {
    let (&first, rest) = bytes.split_first().ok_or(ENDS_EARLY)?;
    if first < DIRECT {
        *bytes = rest;
        return Ok(u128::from(first));
    }
    if first == NONE {
        return Err(DecodeError("a number is missing"));
    }
    let len = usize::from(first - DIRECT);
    if let (1..=8, Some(eight)) = (len, rest.first_chunk::<8>()) {
        *bytes = &rest[len..];
        return Ok(u128::from(u64::from_le_bytes(*eight) & (u64::MAX >> (64 - 8 * len))));
    }
    let (taken, rest) = rest.split_at_checked(len).ok_or(ENDS_EARLY)?;
    let mut buffer = [0; 16];
    buffer[..len].copy_from_slice(taken);
    *bytes = rest;
    Ok(u128::from_le_bytes(buffer))
}

/// Appends `value` so that what stands for a smaller number comes first, compared byte by byte: a byte that says the sign
/// and how many bytes follow, and those, which are the number, big-endian, without what its sign tells.
#[inline]
pub(super) fn put_ordered(out: &mut Vec<u8>, value: i128) {
    let magnitude = if value < 0 { !value } else { value } as u128;
    let bytes = (u128::BITS - magnitude.leading_zeros()).div_ceil(8) as u8;
    out.push(if value < 0 { LEAST_ORDERED - 1 - bytes } else { LEAST_ORDERED + bytes });
    out.extend_from_slice(&value.to_be_bytes()[size_of::<i128>() - usize::from(bytes)..]);
}

/// The number that [`put_ordered`] wrote, and nothing else, to `bytes`.
#[inline]
pub(super) fn ordered(bytes: &[u8]) -> Result<i128, DecodeError> {
    let (&first, rest) = bytes.split_first().ok_or(ENDS_EARLY)?;
    let (len, sign) = if first < LEAST_ORDERED { (LEAST_ORDERED - 1 - first, -1) } else { (first - LEAST_ORDERED, 0) };
    if rest.len() != usize::from(len) || rest.len() > size_of::<i128>() {
        return Err(DecodeError("a number of another length"));
    }
    Ok(rest.iter().fold(sign, |number, byte| number << 8 | i128::from(*byte)))
}

/// Takes a number off the front of `bytes`, whichever it is.
#[inline]
pub(super) fn skip(bytes: &mut &[u8]) -> Result<(), DecodeError> {
    let first = *bytes.first().ok_or(ENDS_EARLY)?;
    let len = if first < DIRECT { 1 } else { usize::from(first - DIRECT) + 1 };
    if first == NONE {
        return Err(DecodeError("a number is missing"));
    }
    *bytes = bytes.get(len..).ok_or(ENDS_EARLY)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn there_and_back(value: i128) {
        let mut bytes = Vec::new();
        put(&mut bytes, value);
        for padding in [0, 20] {
            let mut padded = bytes.clone();
            padded.resize(bytes.len() + padding, 0xee);
            let mut rest = &padded[..];
            assert_eq!(take(&mut rest).unwrap(), value);
            assert_eq!(rest.len(), padding);
            let mut rest = &padded[..];
            skip(&mut rest).unwrap();
            assert_eq!(rest.len(), padding);
        }
        assert!(take(&mut &bytes[..bytes.len() - 1]).is_err());
        assert!(skip(&mut &bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn numbers_at_the_borders_come_back() {
        for bits in 0..127 {
            for value in [1_i128 << bits, (1 << bits) - 1, -(1 << bits), -(1 << bits) - 1] {
                there_and_back(value);
            }
        }
        for value in [0, 118, 119, -119, -120, i128::MAX, i128::MIN] {
            there_and_back(value);
        }
    }

    fn put_in_order(value: i128) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_ordered(&mut bytes, value);
        bytes
    }

    #[test]
    fn bytes_of_numbers_are_in_their_order() {
        let powers = (0..127).flat_map(|bits| {
            let power = 1_i128 << bits;
            [power - 1, power, power + 1, -power - 1, -power, 1 - power]
        });
        let mut values: Vec<i128> = powers.chain([i128::MIN, i128::MIN + 1, i128::MAX]).collect();
        values.sort_unstable();
        values.dedup();
        for pair in values.windows(2) {
            assert!(put_in_order(pair[0]) < put_in_order(pair[1]), "{pair:?}");
        }
        for value in values {
            let bytes = put_in_order(value);
            assert_eq!(ordered(&bytes), Ok(value));
            assert!(ordered(&bytes[..bytes.len() - 1]).is_err());
            assert!(ordered(&[&bytes[..], &[0]].concat()).is_err());
        }
        assert!(ordered(&[LEAST_ORDERED + 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
    }

    proptest! {
        #[test]
        fn any_number_comes_back(value: i128, shift in 0_u32..128) {
            there_and_back(value >> shift);
        }

        #[test]
        fn any_length_comes_back(value: u64) {
            let mut bytes = Vec::new();
            put_u64(&mut bytes, value);
            prop_assert_eq!(take_u64(&mut &bytes[..]).unwrap(), value);
        }
    }
}
