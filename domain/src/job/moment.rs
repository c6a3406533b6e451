//! A second of wall time, written as RFC 3339 in UTC. Whoever reads a clock passes it in.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

const DAY: u64 = 86_400;

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Moment(pub u64);

/// Why text is no moment.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("time `{0}`: expected the form 2026-11-23T01:02:03Z")]
pub struct MomentError(String);

impl Moment {
    /// How long before `now` it was; none where it is later, as clocks of two machines may differ.
    pub fn age(self, now: Self) -> Duration {
        Duration::from_secs(now.0.saturating_sub(self.0))
    }
}

/// Year, month and day of a number of days since 1970; the calendar repeats every 400 years of 146097 days. Years begin in
/// March here, so that the day that some years add comes last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year + era * 400 + later, month, day)
}

/// The number of days since 1970 of a date; the inverse of [`date`].
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + day.checked_sub(1)?;
    let of_era = (year % 400) * 365 + (year % 400) / 4 - (year % 400) / 100 + of_year;
    (year / 400 * 146_097 + of_era).checked_sub(719_468)
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date(self.0 / DAY);
        let second = self.0 % DAY;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        let read = || {
            let (date_text, time) = text.strip_suffix('Z')?.split_once('T')?;
            let numbers = |text: &str, sign| -> Option<[u64; 3]> {
                let all: Vec<u64> = text.split(sign).map(|part| part.parse().ok()).collect::<Option<_>>()?;
                all.try_into().ok()
            };
            let ([year, month, day], [hour, minute, second]) = (numbers(date_text, '-')?, numbers(time, ':')?);
            if year > 9999
                || !(1..=12).contains(&month)
                || !(1..=31).contains(&day)
                || hour.max(minute).max(second) > 99
            {
                return None;
            }
            let whole = days(year, month, day)? * DAY + hour * 3600 + minute * 60 + second;
            // Only what this type writes itself is read: 31 February and 25 o'clock come back as something else.
            (Self(whole).to_string() == text).then_some(Self(whole))
        };
        read().ok_or_else(|| MomentError(text.chars().take(40).collect()))
    }
}

impl TryFrom<String> for Moment {
    type Error = MomentError;

    fn try_from(text: String) -> Result<Self, MomentError> {
        text.parse()
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        moment.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn moments_are_written_as_calendars_have_them() {
        // From `date -u -d @N +%FT%TZ`.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_795_471_445, "2026-11-23T22:04:05Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(Moment(seconds).to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", "now", "2026-02-31T00:00:00Z", "2026-11-23T25:00:00Z", "2026-11-23 01:02:03Z", "2026-00-01T00:00:00Z"]
        {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
        // Hours that no number of seconds holds.
        for text in ["2026-11-23T18446744073709551615:00:00Z", "2026-11-23T00:00:18446744073709551615Z"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }

    #[test]
    fn clocks_that_differ_give_no_negative_age() {
        assert_eq!(Moment(5).age(Moment(8)), Duration::from_secs(3));
        assert_eq!(Moment(8).age(Moment(5)), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn every_moment_comes_back(seconds in 0u64..253_402_300_800) {
            prop_assert_eq!(Moment(seconds).to_string().parse(), Ok(Moment(seconds)));
        }
    }
}
