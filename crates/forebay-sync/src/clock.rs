//! Times of the wall clock, where this machine is.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use tz::{DateTime, TimeZone};

/// What `TZ` says, or where this machine is; UTC if nothing can be made of that.
static ZONE: LazyLock<TimeZone> = LazyLock::new(|| {
    let named = std::env::var("TZ").ok().map(|name| TimeZone::from_posix_tz(&name));
    named.unwrap_or_else(TimeZone::local).unwrap_or_else(|_| TimeZone::utc())
});

/// `2030/12/31 23:59:59`, with `between` for the space, for seconds since 1970.
pub fn local_time(seconds: i64, between: char) -> String {
    match DateTime::from_timespec(seconds, 0, ZONE.as_ref()) {
        Ok(at) => format!(
            "{:04}/{:02}/{:02}{between}{:02}:{:02}:{:02}",
            at.year(),
            at.month(),
            at.month_day(),
            at.hour(),
            at.minute(),
            at.second()
        ),
        // Beyond what a calendar has.
        Err(_) => seconds.to_string(),
    }
}

/// Seconds since 1970 of a time of day here: year, month, day (both from 1), hour, minute. `None` if there is none.
pub fn local_seconds(year: i32, month: u8, day: u8, hour: u8, minute: u8) -> Option<i64> {
    let found = DateTime::find(year, month, day, hour, minute, 0, 0, ZONE.as_ref()).ok()?;
    found.earliest().map(|at| at.unix_time())
}

/// Year, month and day here, at so many seconds since 1970.
pub fn local_date(seconds: i64) -> Option<(i32, u8, u8)> {
    let at = DateTime::from_timespec(seconds, 0, ZONE.as_ref()).ok()?;
    Some((at.year(), at.month(), at.month_day()))
}

/// Now, as [`local_time`] writes it.
pub fn local_now() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    local_time(i64::try_from(now.as_secs()).unwrap_or(i64::MAX), ' ')
}
