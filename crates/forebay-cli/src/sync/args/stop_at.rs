//! `--stop-at=y-m-dTh:m`: the next moment that fits, whatever of it is given.

use forebay_sync::{local_date, local_seconds};

/// Years that are looked at: long enough for every 29th of February.
const YEARS: i32 = 9;

/// The parts of a moment that are given.
#[derive(Debug, Default)]
struct Given {
    year: Option<i32>,
    month: Option<u8>,
    day: Option<u8>,
    /// `None`: any hour.
    hour: Option<u8>,
    minute: u8,
}

/// Why there is no such moment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Invalid,
    Past,
}

/// The first moment after `now` (both in seconds since 1970) that `text` fits.
pub(super) fn next(text: &str, now: i64) -> Result<i64, Refused> {
    let Given { year, month, day, hour, minute } = read(text).ok_or(Refused::Invalid)?;
    let (this_year, ..) = local_date(now).ok_or(Refused::Invalid)?;
    let years = year.map_or(this_year..=this_year + YEARS, |year| year..=year);
    let months = month.map_or(1..=12, |month| month..=month);
    let days = day.map_or(1..=31, |day| day..=day);
    let hours = hour.map_or(0..=23, |hour| hour..=hour);
    let mut past = year.is_some();
    for year in years {
        for month in months.clone() {
            for day in days.clone() {
                for hour in hours.clone() {
                    let Some(at) = local_seconds(year, month, day, hour, minute) else { continue };
                    if at > now {
                        return Ok(at);
                    }
                    past = true;
                }
            }
        }
    }
    Err(if past { Refused::Past } else { Refused::Invalid })
}

fn read(text: &str) -> Option<Given> {
    let mut given = Given { hour: Some(0), ..Given::default() };
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, time),
        None if text.contains(':') => ("", text),
        None => (text, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    if !date.is_empty() {
        let numbers: Option<Vec<u16>> = date.split(['-', '/']).map(number).collect();
        let (year, month, day) = match numbers?[..] {
            [year, month, day] => {
                (Some(if year < 100 { 2000 + i32::from(year) } else { i32::from(year) }), Some(month), day)
            }
            [month, day] => (None, Some(month), day),
            [day] => (None, None, day),
            _ => return None,
        };
        given.year = year;
        given.month = month.map(|month| within(month, 1, 12)).map_or(Some(None), |month| month.map(Some))?;
        given.day = Some(within(day, 1, 31)?);
    }
    if !time.is_empty() {
        let (hour, minute) = time.split_once(':')?;
        // Only a time alone may be without its hour.
        given.hour = if hour.is_empty() && !text.contains('T') { None } else { Some(within(number(hour)?, 0, 23)?) };
        given.minute = within(number(minute)?, 0, 59)?;
    }
    Some(given)
}

fn number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
}

fn within(number: u16, from: u8, to: u8) -> Option<u8> {
    u8::try_from(number).ok().filter(|number| (from..=to).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_sync::local_time;

    #[test]
    fn the_next_moment_that_fits() {
        let now = local_seconds(2026, 11, 28, 20, 30).unwrap() + 5;
        for (text, at) in [
            ("2026-12-31T23:59", "2026/12/31 23:59:00"),
            ("26/12/31", "2026/12/31 00:00:00"),
            ("2026-12-31T", "2026/12/31 00:00:00"),
            ("1-30", "2027/01/30 00:00:00"),
            ("2-29", "2028/02/29 00:00:00"),
            ("14:00", "2026/11/29 14:00:00"),
            ("T23:59", "2026/11/28 23:59:00"),
            ("1", "2026/12/01 00:00:00"),
            ("31", "2026/12/31 00:00:00"),
            (":59", "2026/11/28 20:59:00"),
            (":30", "2026/11/28 21:30:00"),
            ("007:5", "2026/11/29 07:05:00"),
            ("28T20:31", "2026/11/28 20:31:00"),
            ("28T20:30", "2026/12/28 20:30:00"),
        ] {
            assert_eq!(next(text, now).map(|at| local_time(at, ' ')), Ok(at.to_owned()), "{text}");
        }
        for text in [
            "", "x", "T", "25:00", "24:00", ":60", "T5", "1-1T1", "T:59", "2:3:4", "0", "32", "2027", "2-30", "0-1",
            "1-", "13-1", "1-2-3-4", "+1", "1T:5",
        ] {
            assert_eq!(next(text, now), Err(Refused::Invalid), "{text}");
        }
        for text in ["2026-11-28", "2026-11-28T20:30", "1-2-3"] {
            assert_eq!(next(text, now), Err(Refused::Past), "{text}");
        }
    }
}
