//! Numbers as rsync prints them.

/// `number` in digits (level 0), with commas (1), or in units of 1,000 (2) or 1,024 (3 and more).
pub fn human(number: u64, level: u8) -> String {
    let unit = match level {
        0 => return number.to_string(),
        1 => return with_commas(number),
        2 => 1000.0,
        _ => 1024.0,
    };
    let mut scaled = number as f64;
    let mut letter = None;
    for each in ['K', 'M', 'G', 'T', 'P'] {
        if scaled < unit {
            break;
        }
        scaled /= unit;
        letter = Some(each);
    }
    letter.map_or_else(|| number.to_string(), |letter| format!("{scaled:.2}{letter}"))
}

fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn each_level_as_rsync_prints_it() {
        for (number, texts) in [
            (5, ["5", "5", "5", "5"]),
            (999, ["999", "999", "999", "999"]),
            (1000, ["1000", "1,000", "1.00K", "1000"]),
            (4096, ["4096", "4,096", "4.10K", "4.00K"]),
            (1_234_567, ["1234567", "1,234,567", "1.23M", "1.18M"]),
        ] {
            assert_eq!([0, 1, 2, 3].map(|level| human(number, level)), texts);
        }
    }
}
