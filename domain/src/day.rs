//! A day of the calendar (UTC), as configs, folders of data and nights name it: `2013-04-03`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Seconds of a day.
pub const SECONDS: i64 = 86_400;

/// Days of 400 years: the calendar repeats after them.
const DAYS_OF_AN_ERA: i64 = 146_097;

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;

/// The days that four digits of a year can name, from 0000-01-01 to 9999-12-31.
const FIRST: i64 = -719_528;
const LAST: i64 = 2_932_896;

/// A day, counted from 1970-01-01; orders by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(i64);

/// Why a text names no day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found `{0}`, expected a day of the calendar such as 2013-04-03")]
pub struct DayError(String);

impl Day {
    /// The day that holds this moment (Unix seconds).
    pub fn of(time: i64) -> Self {
        Self(time.div_euclid(SECONDS).clamp(FIRST, LAST))
    }

    /// Its first second, Unix time.
    pub fn start(self) -> i64 {
        self.0 * SECONDS
    }

    /// The first second after it.
    pub fn end(self) -> i64 {
        self.start() + SECONDS
    }

    /// So many days later, or earlier; the calendar's first and last day stand for what lies beyond them.
    pub fn plus(self, days: i64) -> Self {
        Self(self.0.saturating_add(days).clamp(FIRST, LAST))
    }

    /// All days from this one to another, both included; none where the other comes before.
    pub fn through(self, last: Self) -> impl Iterator<Item = Self> {
        (self.0..=last.0).map(Self)
    }

    /// Year, month and day of the month. Years begin in March here, so that the day that comes and goes is the last.
    fn civil(self) -> (i64, i64, i64) {
        let shifted = self.0 + EPOCH;
        let era = shifted.div_euclid(DAYS_OF_AN_ERA);
        let of_era = shifted.rem_euclid(DAYS_OF_AN_ERA);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        (era * 400 + year + i64::from(month <= 2), month, day)
    }

    fn from_civil(year: i64, month: i64, day: i64) -> Self {
        let year = year - i64::from(month <= 2);
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let from_march = (month + 9) % 12;
        let of_year = (153 * from_march + 2) / 5 + day - 1;
        Self(era * DAYS_OF_AN_ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl FromStr for Day {
    type Err = DayError;

    fn from_str(text: &str) -> Result<Self, DayError> {
        let refused = || DayError(text.to_owned());
        let digits = |part: &str, count: usize| {
            let plain = part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| part.parse::<i64>().ok()).flatten()
        };
        let parts: Vec<&str> = text.split('-').collect();
        let [year, month, day] = parts.as_slice() else { return Err(refused()) };
        let (Some(year), Some(month), Some(day)) = (digits(year, 4), digits(month, 2), digits(day, 2)) else {
            return Err(refused());
        };
        let found = Self::from_civil(year, month.clamp(1, 12), day);
        // 31 April would be 1 May.
        if found.civil() == (year, month, day) { Ok(found) } else { Err(refused()) }
    }
}

impl TryFrom<String> for Day {
    type Error = DayError;

    fn try_from(text: String) -> Result<Self, DayError> {
        text.parse()
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_days_are_where_they_belong() {
        for (text, seconds) in
            [("1970-01-01", 0), ("2000-02-29", 951_782_400), ("2013-04-03", 1_364_947_200), ("1969-12-31", -86_400)]
        {
            let day: Day = text.parse().unwrap();
            assert_eq!((day.start(), day.to_string().as_str()), (seconds, text));
            assert_eq!((Day::of(seconds), Day::of(seconds + 86_399)), (day, day));
        }
        let day: Day = "2024-02-28".parse().unwrap();
        assert_eq!(day.plus(2).to_string(), "2024-03-01");
        assert_eq!(day.through(day.plus(2)).count(), 3);
        assert_eq!(day.through(day.plus(-1)).count(), 0);
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in [
            "",
            "2013-4-3",
            "2013-02-29",
            "2013-04-31",
            "2013-13-01",
            "2013-00-01",
            "2013-01-00",
            "20130403",
            "+013-04-03",
            "2013-04-03T00",
        ] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_day_is_read_back_and_the_next_follows(number in FIRST..LAST) {
            let day = Day(number);
            prop_assert_eq!(day.to_string().parse::<Day>().unwrap(), day);
            let (y, m, d) = day.civil();
            prop_assert!((1..=12).contains(&m) && (1..=31).contains(&d));
            prop_assert!(day.plus(1).civil() > (y, m, d));
        }
    }
}
