//! Sizes on the command line, and numbers in the output.

/// Bytes from rsync's notation: a number, which may have a fraction, and a unit: `K`, `M`, `G`, `T` or `P` (or
/// with `iB`) by 1024, with `B` by 1000. A `+1` or `-1` at the end adds or takes away a byte.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let (text, offset) = match text.strip_suffix("+1") {
        Some(text) => (text, 1),
        None => text.strip_suffix("-1").map_or((text, 0), |text| (text, -1)),
    };
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let mut unit = unit.chars();
    let power = match unit.next().map(|c| c.to_ascii_uppercase()) {
        None => 0,
        Some('B') => return if unit.as_str().is_empty() { parse(number) } else { None },
        Some('K') => 1,
        Some('M') => 2,
        Some('G') => 3,
        Some('T') => 4,
        Some('P') => 5,
        Some(_) => return None,
    };
    let base: f64 = match unit.as_str().to_ascii_uppercase().as_str() {
        "" | "IB" => 1024.0,
        "B" => 1000.0,
        _ => return None,
    };
    let fraction = || {
        let bytes = number.parse::<f64>().ok()? * base.powi(power);
        // 2^63 and more is nobody's memory.
        (0.0..9.2e18).contains(&bytes).then_some(bytes as u64)
    };
    // Whole bytes are exact.
    let whole = number.parse::<u64>().ok().filter(|_| power == 0);
    whole.or_else(fraction)?.checked_add_signed(offset)
}

/// `1234567` as `1,234,567`.
pub(crate) fn with_commas(number: u64) -> String {
    forebay_sync::human(number, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_rsync_reads_them() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("1k", Some(1024)),
            ("1.5M", Some(1_572_864)),
            ("2GB", Some(2_000_000_000)),
            ("2GiB", Some(2 << 30)),
            ("1m-1", Some((1 << 20) - 1)),
            ("10B", Some(10)),
            ("1.9", Some(1)),
            ("9007199254740993", Some((1 << 53) + 1)),
            ("", None),
            ("x", None),
            ("1x", None),
            ("1kx", None),
            ("9999P", None),
            ("-1", None),
        ] {
            assert_eq!(parse(text), bytes, "{text}");
        }
    }

    #[test]
    fn numbers_have_commas() {
        assert_eq!([0, 999, 1000, 1_234_567].map(with_commas), ["0", "999", "1,000", "1,234,567"]);
    }
}
