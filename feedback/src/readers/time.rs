//! Times of all kinds as Unix seconds; those that cannot be are refused with what they look like.

use super::field::Field;
use super::layout::Clock;
use chrono::{DateTime, NaiveDate, NaiveDateTime};
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
        (Field::Text(text), Clock::Posted) => posted(text),
        (Field::Text(text), Clock::Set(TimeUnit::Iso) | Clock::Known(TimeUnit::Iso)) => date(text.trim()),
        (field, Clock::Set(unit) | Clock::Known(unit)) => counted(field, unit),
        (_, Clock::Posted) => None,
    };
    let Some(time) = time else {
        return Err(unreadable(field, clock));
    };
    match (EARLIEST..=now.saturating_add(TOLERANCE)).contains(&time) {
        true => Ok(time),
        false => Err(impossible(field, clock, (time, now))),
    }
}

/// Refuses milliseconds (microseconds) of which the latest lies in the seventies: they are seconds.
pub(super) fn check_unit(clock: Clock, latest: i64) -> Result<(), String> {
    let (unit, per_second, hint) = match clock {
        Clock::Set(unit @ TimeUnit::Milliseconds) => (unit, 1_000, "set data.table.time_unit = "),
        Clock::Set(unit @ TimeUnit::Microseconds) => (unit, 1_000_000, "set data.table.time_unit = "),
        Clock::Known(unit @ TimeUnit::Milliseconds) => {
            (unit, 1_000, "is data.source what the files are? they look like ")
        }
        Clock::Set(TimeUnit::Seconds | TimeUnit::Iso) | Clock::Known(_) | Clock::Posted => return Ok(()),
    };
    if !(0..FIRST_LOGS).contains(&latest) {
        return Ok(());
    }
    let written = latest.saturating_mul(per_second);
    let finer = if written > 1_000 * FIRST_LOGS { "milliseconds" } else { "seconds" };
    let date = DateTime::from_timestamp(latest, 0).map_or_else(String::new, |time| time.format("%Y-%m-%d").to_string());
    Err(format!("found no time after {date} (about {written}), expected {}; {hint}\"{finer}\"", unit_name(unit)))
}

/// A number of units since 1970. Fractions of a second are cut.
fn counted(field: &Field<'_>, unit: TimeUnit) -> Option<i64> {
    let per_second = match unit {
        TimeUnit::Seconds => 1,
        TimeUnit::Milliseconds => 1_000,
        TimeUnit::Microseconds => 1_000_000,
        TimeUnit::Iso => return None,
    };
    let whole = match field {
        Field::Integer(number) => Some(*number),
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

/// `Posted November 5, 2011.`: midnight of that day. Reviews of the year in which the pages were read have no year.
fn posted(text: &str) -> Option<i64> {
    let day = text.trim().strip_prefix("Posted")?.trim().trim_end_matches('.');
    Some(NaiveDate::parse_from_str(day, "%B %d, %Y").ok()?.and_hms_opt(0, 0, 0)?.and_utc().timestamp())
}

fn unreadable(field: &Field<'_>, clock: Clock) -> String {
    let expected = match clock {
        Clock::Set(unit) => {
            let other = match unit {
                TimeUnit::Iso => "a number: set data.table.time_unit to what it counts",
                TimeUnit::Seconds | TimeUnit::Milliseconds | TimeUnit::Microseconds => {
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
        Clock::Posted => "a date such as `Posted November 5, 2011.`",
    };
    format!("found time {}, expected {expected}", field.shown())
}

fn unit_name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Seconds => "seconds since 1970",
        TimeUnit::Milliseconds => "milliseconds since 1970",
        TimeUnit::Microseconds => "microseconds since 1970",
        TimeUnit::Iso => "a date such as 2014-03-21 17:05:00",
    }
}

/// A time before 1800 or after now: what finer unit would put it between, and where that is set.
fn impossible(field: &Field<'_>, clock: Clock, (time, now): (i64, i64)) -> String {
    let year =
        DateTime::from_timestamp(time, 0).map_or_else(|| "no year there is".into(), |t| t.format("%Y").to_string());
    let lies = if time > now { "in the future" } else { "before 1800" };
    let finer = [(TimeUnit::Milliseconds, "milliseconds"), (TimeUnit::Microseconds, "microseconds")];
    let fits =
        |unit| counted(field, unit).is_some_and(|time| (EARLIEST..=now.saturating_add(TOLERANCE)).contains(&time));
    let hint = match (clock, finer.into_iter().find(|(unit, _)| fits(*unit))) {
        (Clock::Set(TimeUnit::Iso), _) | (_, None) => "a time in the past".to_owned(),
        (Clock::Set(_), Some((_, name))) => {
            format!("seconds; if they are {name}, set data.table.time_unit = \"{name}\"")
        }
        (Clock::Known(_) | Clock::Posted, Some((_, name))) => {
            format!("seconds; these look like {name}: is data.source what the files are?")
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
        assert_eq!(seconds(&Field::Text("Posted November 5, 2011."), Clock::Posted, NOW), Ok(1_320_451_200));
        assert!(seconds(&Field::Text("Posted July 5."), Clock::Posted, NOW).is_err());
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
    fn units_too_fine_are_told() {
        let set = Clock::Set(TimeUnit::Milliseconds);
        let error = check_unit(set, 1_395_421).unwrap_err();
        assert!(error.contains("no time after 1970-01-17") && error.contains("time_unit = \"seconds\""), "{error}");
        let error = check_unit(Clock::Set(TimeUnit::Microseconds), 1_395_421).unwrap_err();
        assert!(error.contains("time_unit = \"milliseconds\""), "{error}");
        let error = check_unit(Clock::Set(TimeUnit::Microseconds), 1_395).unwrap_err();
        assert!(error.contains("time_unit = \"seconds\""), "{error}");
        assert!(check_unit(Clock::Known(TimeUnit::Milliseconds), 1_395_421).unwrap_err().contains("data.source"));
        for (clock, latest) in [(set, 1_395_421_500), (Clock::Known(TimeUnit::Seconds), 500), (Clock::Posted, 1)] {
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
