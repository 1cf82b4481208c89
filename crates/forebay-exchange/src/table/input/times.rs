//! Days and times of text, of which nothing is lost.
//!
//! The library's parsers take the day of a time and leave the rest, and cut digits of a second that the type has no place for.
//! Both would make one group of what are two.

use arrow::array::{ArrayRef, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, TimeUnit};
use arrow::error::ArrowError;
use arrow::util::display::FormatOptions;

/// The days or times, of the type `kind`, that `texts` are.
///
/// # Errors
/// For a text that is none, or of which `kind` does not hold everything.
pub(super) fn times(texts: &StringArray, kind: &DataType) -> Result<ArrayRef, ArrowError> {
    if let Some(text) = texts.iter().flatten().find(|text| !is_held(text, kind)) {
        return Err(ArrowError::ParseError(format!("{text} has more than a {kind} holds")));
    }
    cast_with_options(texts, kind, &CastOptions { safe: false, format_options: FormatOptions::default() })
}

/// Whether `kind` has a place for all of `text`, if it is a time.
fn is_held(text: &str, kind: &DataType) -> bool {
    let lost = match kind {
        // The time of day, and the zone.
        DataType::Date32 => text.find(['T', 't', ' ']).map(|at| &text[at..]),
        DataType::Timestamp(unit, _) => {
            let places = match unit {
                TimeUnit::Second => 0,
                TimeUnit::Millisecond => 3,
                TimeUnit::Microsecond => 6,
                TimeUnit::Nanosecond => 9,
            };
            let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            fraction.get(places..digits)
        }
        _ => None,
    };
    lost.is_none_or(|lost| !lost.contains(|c| matches!(c, '1'..='9')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_type_has_no_place_for_is_seen() {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        for text in ["2024-01-31", "2024-01-31T00:00:00", "2024-01-31 00:00:00.000"] {
            assert!(is_held(text, &DataType::Date32), "{text}");
        }
        for text in ["2024-01-31T05:00:00", "2024-01-31 00:00:00.001", "2024-01-31T00:00:00+02:00"] {
            assert!(!is_held(text, &DataType::Date32), "{text}");
        }
        for text in
            ["2024-01-31", "2024-01-31T12:00:00Z", "2024-01-31T12:00:00.123456", "2024-01-31 12:00:00.123456000+02:00"]
        {
            assert!(is_held(text, &micros), "{text}");
        }
        assert!(!is_held("2024-01-31T12:00:00.1234567", &micros));
        assert!(is_held("2024-01-31T12:00:00.1234567", &DataType::Timestamp(TimeUnit::Nanosecond, None)));
        assert!(!is_held("2024-01-31T12:00:00.5", &DataType::Timestamp(TimeUnit::Second, None)));
    }
}
