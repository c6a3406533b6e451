//! Moments as people write and read them, UTC; inside the program they are seconds since 1970.

const DAY: i64 = 86_400;

/// Seconds beyond which a number is milliseconds: the year 5138.
const TOO_LATE: i64 = 100_000_000_000;

/// The day and minute of a moment, by the civil calendar (days counted in eras of 400 years).
pub fn shown(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", second / 3600, second % 3600 / 60)
}

/// A day, `2013-04-03`, as its first second, or seconds since 1970 as they are.
///
/// # Errors
/// Anything else, days that the calendar does not have, and milliseconds.
pub fn parse(text: &str) -> Result<i64, String> {
    let refused = || format!("found `{text}`, expected a day such as 2013-04-03 (UTC) or seconds since 1970");
    if let Ok(seconds) = text.parse::<i64>() {
        return match seconds {
            0..TOO_LATE => Ok(seconds),
            TOO_LATE.. => Err(format!("{} (milliseconds are divided by 1000)", refused())),
            _ => Err(refused()),
        };
    }
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else { return Err(refused()) };
    let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse::<i64>().ok()).flatten();
    let (Some(year @ 1970..=5000), Some(month @ 1..=12), Some(day @ 1..=31)) =
        (number(year), number(month), number(day))
    else {
        return Err(refused());
    };
    // The year begins in March, so that leap days come last.
    let year_from_march = year - i64::from(month <= 2);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leap_days = year_from_march / 4 - year_from_march / 100 + year_from_march / 400;
    let seconds = (365 * year_from_march + leap_days + day_of_year - 719_468) * DAY;
    // A day that its month does not have is shown as one of the next month.
    if shown(seconds) == format!("{year:04}-{month:02}-{day:02} 00:00") { Ok(seconds) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_shown_as_utc() {
        assert_eq!(shown(0), "1970-01-01 00:00");
        assert_eq!(shown(951_782_400), "2000-02-29 00:00");
        assert_eq!(shown(1_365_000_061), "2013-04-03 14:41");
        assert_eq!(shown(-1), "1969-12-31 23:59");
    }

    #[test]
    fn days_and_seconds_are_read_and_every_day_comes_back() {
        assert_eq!(parse("951782400"), Ok(951_782_400));
        for day in 0..60_000 {
            let text = shown(day * DAY);
            assert_eq!(parse(text.split(' ').next().unwrap()), Ok(day * DAY), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused_with_what_is_one() {
        for text in
            ["", "tomorrow", "-5", "2013-4", "2013-02-29", "2013-13-01", "2013-00-10", "1969-12-31", "2013-+4-03"]
        {
            let error = parse(text).unwrap_err();
            assert!(error.contains("2013-04-03"), "{text}: {error}");
        }
        assert!(parse("1365000061000").unwrap_err().contains("milliseconds"));
    }
}
