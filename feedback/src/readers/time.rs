//! Times of all kinds as Unix seconds; those that cannot be are refused with what they look like.

use super::field::Field;
use super::layout::Clock;
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime};
use conrec_domain::spec::TimeUnit;

/// How far clocks may be apart, in seconds: a day.
const TOLERANCE: i64 = 86_400;
/// 1980-01-01: no log is all older, unless its unit is wrong.
const FIRST_LOGS: i64 = 315_532_800;
/// 1800-01-01: nothing was clicked before.
const EARLIEST: i64 = -5_364_662_400;

/// The time of a field, Unix seconds; `now` is the present.
///
/// # Errors
/// What is no time, and times in the future, with what they may be instead.
pub(super) fn seconds(field: &Field<'_>, clock: Clock, now: i64) -> Result<i64, String> {
    let time = match (field, clock) {
        (Field::Seconds(seconds), _) => Some(*seconds),
        (Field::Text(text), Clock::Posted(year)) => posted(text, year),
        (Field::Text(text), Clock::Set(TimeUnit::Iso) | Clock::Known(TimeUnit::Iso)) => date(text.trim()),
        (field, Clock::Set(unit) | Clock::Known(unit)) => counted(field, unit),
        (_, Clock::Posted(_)) => None,
    };
    let Some(time) = time else {
        return Err(unreadable(field, clock));
    };
    match (EARLIEST..=now.saturating_add(TOLERANCE)).contains(&time) {
        true => Ok(time),
        false => Err(impossible(field, clock, (time, now))),
    }
}

/// Refuses milliseconds (microseconds, nanoseconds) of which the latest lies in the seventies: they are seconds.
pub(super) fn check_unit(clock: Clock, latest: i64) -> Result<(), String> {
    let Some((unit, per_second)) = finer_than_seconds(clock) else {
        return Ok(());
    };
    if !(0..FIRST_LOGS).contains(&latest) {
        return Ok(());
    }
    let hint = match clock {
        Clock::Set(_) => "set data.table.time_unit = ",
        Clock::Known(_) | Clock::Posted(_) => "is data.source what the files are? they look like ",
    };
    let written = latest.saturating_mul(per_second);
    let finer = coarser_unit(written);
    let date = DateTime::from_timestamp(latest, 0).map_or_else(String::new, |time| time.format("%Y-%m-%d").to_string());
    Err(format!("found no time after {date} (about {written}), expected {}; {hint}\"{finer}\"", unit_name(unit)))
}

/// Refuses one time of the seventies in a unit finer than a second, where in a coarser unit it would be of our days: units
/// are mixed, or all are wrong, which [`check_unit`] tells.
pub(super) fn check_age(field: &Field<'_>, clock: Option<Clock>, (time, now): (i64, i64)) -> Result<(), String> {
    let Some((unit, per_second)) = clock.and_then(finer_than_seconds) else {
        return Ok(());
    };
    if matches!(field, Field::Seconds(_)) || !(0..FIRST_LOGS).contains(&time) {
        return Ok(());
    }
    let coarser = [TimeUnit::Seconds, TimeUnit::Milliseconds, TimeUnit::Microseconds];
    let coarser = coarser.into_iter().filter(|other| per_unit(*other).is_some_and(|per| per < per_second));
    let fits =
        |other: &TimeUnit| counted(field, *other).is_some_and(|time| (FIRST_LOGS..=now + TOLERANCE).contains(&time));
    match coarser.into_iter().find(fits) {
        None => Ok(()),
        Some(other) => Err(format!(
            "found time {}, which is of the seventies in {} and of our days in {}, expected one unit in all rows",
            field.shown(),
            unit_name(unit),
            unit_name(other)
        )),
    }
}

/// The unit of a clock and how many of it make a second, where that is more than one.
fn finer_than_seconds(clock: Clock) -> Option<(TimeUnit, i64)> {
    match clock {
        Clock::Set(unit) | Clock::Known(unit) => Some((unit, per_unit(unit).filter(|per_second| *per_second > 1)?)),
        Clock::Posted(_) => None,
    }
}

/// How many of a unit make a second; none for dates.
fn per_unit(unit: TimeUnit) -> Option<i64> {
    match unit {
        TimeUnit::Seconds => Some(1),
        TimeUnit::Milliseconds => Some(1_000),
        TimeUnit::Microseconds => Some(1_000_000),
        TimeUnit::Nanoseconds => Some(1_000_000_000),
        TimeUnit::Iso => None,
    }
}

/// The unit in which a number of the seventies would be of our days.
fn coarser_unit(written: i64) -> &'static str {
    match written {
        n if n > 1_000_000 * FIRST_LOGS => "microseconds",
        n if n > 1_000 * FIRST_LOGS => "milliseconds",
        _ => "seconds",
    }
}

/// A number of units since 1970. Fractions of a second are cut.
fn counted(field: &Field<'_>, unit: TimeUnit) -> Option<i64> {
    let per_second = per_unit(unit)?;
    let whole = match field {
        Field::Integer(number) => Some(*number),
        Field::Large(number) => i64::try_from(*number).ok(),
        Field::Text(text) => text.trim().parse().ok(),
        Field::Missing | Field::Number(_) | Field::Flag(_) | Field::Seconds(_) | Field::List(_) => None,
    };
    let number = whole.or_else(|| field.number().map(|number| number.floor() as i64))?;
    Some(number.div_euclid(per_second))
}

/// A date with or without a time of day and a zone.
fn date(text: &str) -> Option<i64> {
    let with_zone = || DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp());
    let of_day = |format| NaiveDateTime::parse_from_str(text, format).ok().map(|time| time.and_utc().timestamp());
    let day = || Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0)?.and_utc().timestamp());
    day()
        .or_else(with_zone)
        .or_else(|| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%:z").ok().map(|time| time.timestamp()))
        .or_else(|| of_day("%Y-%m-%d %H:%M:%S%.f"))
        .or_else(|| of_day("%Y-%m-%dT%H:%M:%S%.f"))
        .or_else(|| of_day("%Y-%m-%d %H:%M"))
}

/// `Posted November 5, 2011.`: midnight of that day; of `Posted July 5.` in the year that is given.
fn posted(text: &str, year: Option<i32>) -> Option<i64> {
    let day = day_posted(text)?;
    let date = NaiveDate::parse_from_str(day, WRITTEN_OUT).ok();
    let date = date.or_else(|| NaiveDate::parse_from_str(&format!("{day}, {}", year?), WRITTEN_OUT).ok())?;
    Some(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp())
}

/// The year that such a text names.
pub(super) fn posted_year(field: &Field<'_>) -> Option<i32> {
    match field {
        Field::Text(text) => Some(NaiveDate::parse_from_str(day_posted(text)?, WRITTEN_OUT).ok()?.year()),
        _ => None,
    }
}

const WRITTEN_OUT: &str = "%B %d, %Y";

fn day_posted(text: &str) -> Option<&str> {
    Some(text.trim().strip_prefix("Posted")?.trim().trim_end_matches('.'))
}

fn unreadable(field: &Field<'_>, clock: Clock) -> String {
    let expected = match clock {
        Clock::Set(unit) => {
            let other = match unit {
                TimeUnit::Iso => "a number: set data.table.time_unit to what it counts",
                TimeUnit::Seconds | TimeUnit::Milliseconds | TimeUnit::Microseconds | TimeUnit::Nanoseconds => {
                    "a date: set data.table.time_unit = \"iso\""
                }
            };
            let written = unit_name(unit);
            return format!(
                "found time {}, expected {written} (data.table.time_unit); if it is {other}",
                field.shown()
            );
        }
        Clock::Known(unit) => unit_name(unit),
        Clock::Posted(Some(_)) => "a date such as `Posted November 5, 2011.`",
        Clock::Posted(None) => "a date such as `Posted November 5, 2011.`; no row of the file names a year",
    };
    format!("found time {}, expected {expected}", field.shown())
}

fn clock_name(clock: Clock) -> &'static str {
    match clock {
        Clock::Set(unit) | Clock::Known(unit) => unit_name(unit),
        Clock::Posted(_) => "a day",
    }
}

fn unit_name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Seconds => "seconds since 1970",
        TimeUnit::Milliseconds => "milliseconds since 1970",
        TimeUnit::Microseconds => "microseconds since 1970",
        TimeUnit::Nanoseconds => "nanoseconds since 1970",
        TimeUnit::Iso => "a date such as 2014-03-21 17:05:00",
    }
}

/// A time before 1800 or after now: what finer unit would put it between, and where that is set.
fn impossible(field: &Field<'_>, clock: Clock, (time, now): (i64, i64)) -> String {
    let year =
        DateTime::from_timestamp(time, 0).map_or_else(|| "no year there is".into(), |t| t.format("%Y").to_string());
    let lies = if time > now { "in the future" } else { "before 1800" };
    let finer = [
        (TimeUnit::Milliseconds, "milliseconds"),
        (TimeUnit::Microseconds, "microseconds"),
        (TimeUnit::Nanoseconds, "nanoseconds"),
    ];
    let fits =
        |unit| counted(field, unit).is_some_and(|time| (EARLIEST..=now.saturating_add(TOLERANCE)).contains(&time));
    let hint = match (clock, finer.into_iter().find(|(unit, _)| fits(*unit))) {
        (Clock::Set(TimeUnit::Iso), _) | (_, None) => "a time in the past".to_owned(),
        (Clock::Set(_), Some((_, name))) => {
            format!("{}; if they are {name}, set data.table.time_unit = \"{name}\"", clock_name(clock))
        }
        (Clock::Known(_) | Clock::Posted(_), Some((_, name))) => {
            format!("{}; these look like {name}: is data.source what the files are?", clock_name(clock))
        }
    };
    format!("found time {}, which lies {lies} (year {year}), expected {hint}", field.shown())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-01.
    const NOW: i64 = 1_767_225_600;

    fn of(text: &str, unit: TimeUnit) -> Result<i64, String> {
        seconds(&Field::Text(text), Clock::Set(unit), NOW)
    }

    #[test]
    fn dates_of_all_forms_are_read() {
        for text in [
            "2014-03-21 17:05:00",
            "2014-03-21T17:05:00",
            "2014-03-21T17:05:00Z",
            "2014-03-21T19:05:00.25+02:00",
            "2014-03-21 17:05:00.999",
            "2014-03-21 17:05",
        ] {
            assert_eq!(of(text, TimeUnit::Iso), Ok(1_395_421_500), "{text}");
        }
        assert_eq!(of("2014-03-21", TimeUnit::Iso), Ok(1_395_360_000));
        assert_eq!(seconds(&Field::Text("Posted November 5, 2011."), Clock::Posted(None), NOW), Ok(1_320_451_200));
        let undated = Field::Text("Posted November 5.");
        assert_eq!(seconds(&undated, Clock::Posted(Some(2011)), NOW), Ok(1_320_451_200));
        let error = seconds(&undated, Clock::Posted(None), NOW).unwrap_err();
        assert!(error.contains("no row of the file names a year"), "{error}");
        let leap = |year| seconds(&Field::Text("Posted February 29."), Clock::Posted(Some(year)), NOW);
        assert!(leap(2016).is_ok() && leap(2015).is_err());
    }

    #[test]
    fn units_are_counted_and_fractions_cut() {
        assert_eq!(of("1395421500.7", TimeUnit::Seconds), Ok(1_395_421_500));
        assert_eq!(of("1395421500999", TimeUnit::Milliseconds), Ok(1_395_421_500));
        assert_eq!(
            seconds(&Field::Number(1_395_421_500_999_999.0), Clock::Set(TimeUnit::Microseconds), NOW),
            Ok(1_395_421_500)
        );
        assert_eq!(of("-1", TimeUnit::Milliseconds), Ok(-1));
        assert_eq!(of("1395421500999999999", TimeUnit::Nanoseconds), Ok(1_395_421_500));
        let large = Field::Large(u64::MAX);
        assert!(seconds(&large, Clock::Set(TimeUnit::Nanoseconds), NOW).is_err());
    }

    #[test]
    fn times_in_the_future_are_told_with_what_they_look_like() {
        let error = of("1395421500999", TimeUnit::Seconds).unwrap_err();
        assert!(
            error.contains("in the future") && error.contains("data.table.time_unit = \"milliseconds\""),
            "{error}"
        );
        let error = of("1395421500999000", TimeUnit::Seconds).unwrap_err();
        assert!(error.contains("\"microseconds\""), "{error}");
        let error = of("2031-05-05", TimeUnit::Iso).unwrap_err();
        assert!(error.contains("(year 2031)") && error.contains("in the past"), "{error}");
        let known = Clock::Known(TimeUnit::Seconds);
        let error = seconds(&Field::Integer(1_395_421_500_999), known, NOW).unwrap_err();
        assert!(error.contains("data.source"), "{error}");
        assert!(of("9223372036854775807", TimeUnit::Seconds).is_err());
        assert!(of("-9223372036854775808", TimeUnit::Milliseconds).is_err());
    }

    #[test]
    fn nanoseconds_are_told_too() {
        let error = of("1395421500999999999", TimeUnit::Seconds).unwrap_err();
        assert!(error.contains("time_unit = \"nanoseconds\""), "{error}");
        let error = of("1395421500999999999", TimeUnit::Milliseconds).unwrap_err();
        assert!(error.contains("expected milliseconds since 1970; if they are nanoseconds, set"), "{error}");
        let set = Clock::Set(TimeUnit::Nanoseconds);
        for (latest, unit) in [(1, "seconds"), (1_395, "milliseconds"), (1_395_421, "microseconds")] {
            let error = check_unit(set, latest).unwrap_err();
            assert!(error.contains(&format!("time_unit = \"{unit}\"")), "{latest}: {error}");
        }
    }

    #[test]
    fn a_time_in_a_coarser_unit_than_the_others_is_told() {
        let age = |text, unit| {
            let (field, clock) = (Field::Text(text), Clock::Set(unit));
            check_age(&field, Some(clock), (seconds(&field, clock, NOW).unwrap(), NOW))
        };
        let error = age("1395421500", TimeUnit::Milliseconds).unwrap_err();
        let words = "is of the seventies in milliseconds since 1970 and of our days in seconds since 1970";
        assert!(error.contains(words), "{error}");
        assert!(age("1395421500999", TimeUnit::Nanoseconds).unwrap_err().contains("of our days in milliseconds"));
        for (text, unit) in [
            ("1395421500999", TimeUnit::Milliseconds),
            ("12345", TimeUnit::Milliseconds),
            ("1395421500", TimeUnit::Seconds),
            ("5", TimeUnit::Seconds),
        ] {
            assert_eq!(age(text, unit), Ok(()), "{text}");
        }
    }

    #[test]
    fn units_too_fine_are_told() {
        let set = Clock::Set(TimeUnit::Milliseconds);
        let error = check_unit(set, 1_395_421).unwrap_err();
        assert!(error.contains("no time after 1970-01-17") && error.contains("time_unit = \"seconds\""), "{error}");
        let error = check_unit(Clock::Set(TimeUnit::Microseconds), 1_395_421).unwrap_err();
        assert!(error.contains("time_unit = \"milliseconds\""), "{error}");
        let error = check_unit(Clock::Set(TimeUnit::Microseconds), 1_395).unwrap_err();
        assert!(error.contains("time_unit = \"seconds\""), "{error}");
        assert!(check_unit(Clock::Known(TimeUnit::Milliseconds), 1_395_421).unwrap_err().contains("data.source"));
        for (clock, latest) in [(set, 1_395_421_500), (Clock::Known(TimeUnit::Seconds), 500), (Clock::Posted(None), 1)]
        {
            assert_eq!(check_unit(clock, latest), Ok(()));
        }
    }

    #[test]
    fn what_is_no_time_is_told_with_the_unit() {
        let error = of("2014-03-21", TimeUnit::Seconds).unwrap_err();
        assert!(error.contains("time_unit = \"iso\""), "{error}");
        let error = of("1395421500", TimeUnit::Iso).unwrap_err();
        assert!(error.contains("found time `1395421500`") && error.contains("data.table.time_unit"), "{error}");
    }
}
