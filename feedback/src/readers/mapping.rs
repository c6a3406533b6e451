//! From rows to records and items, by the columns that a layout names.

use super::ReadError;
use super::field::Field;
use super::layout::{CategoryKind, Clock, Column, EventFile, Feeling, ItemFile, Time};
use super::rows::{Row, each_row};
use super::time;
use crate::dataset::Item;
use crate::dataset_builder::{DatasetBuilder, Mark, Record};
use crate::event::Sign;

/// Pushes each row of a file of events; `now` is the present.
pub(super) fn read_events(file: &EventFile, now: i64, builder: &mut DatasetBuilder) -> Result<(), ReadError> {
    let mut wanted = vec![&file.user, &file.item];
    if let Time::Column { column, .. } = &file.time {
        wanted.push(column);
    }
    let first_feeling = wanted.len();
    wanted.extend(feeling_columns(&file.feeling));
    let (mut user, mut item, mut latest) = (String::new(), String::new(), None);
    let clock = clock_of(file)?;
    each_row(&file.path, &file.format, &wanted, &mut |row| {
        let place = row.number;
        let outcome = row.fields.as_ref().map_err(Clone::clone).and_then(|fields| {
            let time = time_of(&file.time, clock, &row, (fields, now))?;
            latest = latest.max(Some(time));
            time::check_age(at(fields, 2), clock, (time, now))?;
            let mark = mark_of(&file.feeling, fields.get(first_feeling..).unwrap_or_default())?;
            let (user, item) = (at(fields, 0).id("user", &mut user)?, at(fields, 1).id("item", &mut item)?);
            builder.push(Record { user, item, time, mark })
        });
        builder.line(outcome, || format!("{}:{place}", file.path.display()));
    })?;
    match (clock, latest) {
        (Some(clock), Some(latest)) => {
            time::check_unit(clock, latest).map_err(|message| ReadError::Times { path: file.path.clone(), message })
        }
        _ => Ok(()),
    }
}

/// What a file's times count. Days without a year are of the year after the last that the file names: that was the year in
/// which its pages were read, and only earlier ones were written out.
fn clock_of(file: &EventFile) -> Result<Option<Clock>, ReadError> {
    let (column, unit) = match &file.time {
        Time::Column { column, unit } => (column, *unit),
        Time::Spread { .. } => return Ok(None),
    };
    if unit != Clock::Posted(None) {
        return Ok(Some(unit));
    }
    let mut last = None;
    each_row(&file.path, &file.format, &[column], &mut |row| {
        let year = row.fields.ok().and_then(|fields| time::posted_year(at(fields, 0)));
        last = last.max(year);
    })?;
    Ok(Some(Clock::Posted(last.map(|year| year + 1))))
}

/// Adds each row of a file of items.
pub(super) fn read_items(file: &ItemFile, builder: &mut DatasetBuilder) -> Result<(), ReadError> {
    let mut wanted = vec![&file.key];
    wanted.extend(file.title.iter().map(|title| &title.column));
    wanted.extend(&file.year);
    let first_category = wanted.len();
    wanted.extend(file.categories.iter().map(|categories| &categories.column));
    builder.begin_items();
    let mut key = String::new();
    each_row(&file.path, &file.format, &wanted, &mut |row| {
        let place = row.number;
        let outcome = row.fields.and_then(|fields| {
            let key = at(fields, 0).id("item", &mut key)?;
            // A catalogue may be far larger than what is kept of it: nothing is made for items that go.
            if !builder.wants(key) {
                return Ok(());
            }
            let item = item_of(file, key, fields, first_category)?;
            builder.item(item)
        });
        builder.line(outcome, || format!("{}:{place}", file.path.display()));
    })
}

fn at<'a, 'b>(fields: &'b [Field<'a>], place: usize) -> &'b Field<'a> {
    fields.get(place).unwrap_or(&Field::Missing)
}

fn feeling_columns(feeling: &Feeling) -> Vec<&Column> {
    match feeling {
        Feeling::Rating(column) | Feeling::Recommended(column) | Feeling::Kind { column, .. } => vec![column],
        Feeling::Flags { negative, positive } => negative.iter().chain(positive).collect(),
        Feeling::Always(_) => Vec::new(),
    }
}

fn time_of(
    time: &Time,
    clock: Option<Clock>,
    row: &Row<'_>,
    (fields, now): (&[Field<'_>], i64),
) -> Result<i64, String> {
    match time {
        Time::Column { unit, .. } => time::seconds(at(fields, 2), clock.unwrap_or(*unit), now),
        Time::Spread { from, to } => {
            let of = row.of.ok_or("found no number of rows, by which times are spread")?;
            let part = i128::from(to - from) * i128::from(row.number.saturating_sub(1)) / i128::from(of.max(1));
            Ok(from + part as i64)
        }
    }
}

fn mark_of(feeling: &Feeling, fields: &[Field<'_>]) -> Result<Mark, String> {
    let sign = match feeling {
        Feeling::Rating(_) => {
            let field = at(fields, 0);
            let rating = field.number().ok_or_else(|| format!("found rating {}, expected a number", field.shown()))?;
            return Ok(Mark::Rating(rating));
        }
        Feeling::Flags { negative, positive } => {
            let flags = fields.iter().zip(negative.iter().chain(positive)).map(|(field, column)| flag(field, column));
            let flags = flags.collect::<Result<Vec<bool>, String>>()?;
            let (negative, positive) = flags.split_at(negative.len().min(flags.len()));
            match (negative.contains(&true), positive.contains(&true)) {
                (true, _) => Sign::Negative,
                (false, true) => Sign::Positive,
                (false, false) => Sign::Neutral,
            }
        }
        Feeling::Recommended(column) => match flag(at(fields, 0), column)? {
            true => Sign::Positive,
            false => Sign::Negative,
        },
        Feeling::Kind { negative, positive, .. } => {
            let mut text = String::new();
            let kind = at(fields, 0).key(&mut text);
            let is_in = |kinds: &[String]| kinds.iter().any(|other| other == kind);
            match (is_in(negative), is_in(positive)) {
                (true, _) => Sign::Negative,
                (false, true) => Sign::Positive,
                (false, false) => Sign::Neutral,
            }
        }
        Feeling::Always(sign) => *sign,
    };
    Ok(Mark::Sign(sign))
}

fn flag(field: &Field<'_>, column: &Column) -> Result<bool, String> {
    field.flag().ok_or_else(|| {
        let name = column.names.first().map_or("", String::as_str);
        format!("found {} in `{name}`, expected true, false or a number", field.shown())
    })
}

fn item_of(file: &ItemFile, key: &str, fields: &[Field<'_>], first_category: usize) -> Result<Item, String> {
    let mut text = String::new();
    let mut full = String::new();
    let mut year = None;
    if let Some(title) = &file.title {
        at(fields, 1).key(&mut text).clone_into(&mut full);
        if title.with_year {
            let (without, found) = split_year(&full);
            year = found;
            full = without.to_owned();
        }
    }
    if file.year.is_some() {
        year = leading_year(at(fields, 1 + usize::from(file.title.is_some())).key(&mut text)).or(year);
    }
    let mut categories = Vec::new();
    for (field, column) in fields.get(first_category..).unwrap_or_default().iter().zip(&file.categories) {
        match &column.kind {
            CategoryKind::Names(separator) => names(field, separator, &mut categories),
            CategoryKind::Flag(name) => {
                if flag(field, &column.column)? {
                    categories.push((*name).to_owned());
                }
            }
            CategoryKind::Numbered(what) => {
                let number = field.key(&mut text);
                if !number.is_empty() {
                    categories.push(format!("{what} {number}"));
                }
            }
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    categories.retain(|category| seen.insert(category.clone()));
    Ok(Item { key: key.to_owned(), title: full, year, categories })
}

fn names(field: &Field<'_>, separator: &str, into: &mut Vec<String>) {
    let mut text = String::new();
    let mut add = |name: &str| {
        let name = name.trim();
        // What MovieLens writes where a film has no genre.
        if !name.is_empty() && name != "(no genres listed)" {
            into.push(name.to_owned());
        }
    };
    match field {
        Field::List(list) => list.iter().for_each(|name| add(name)),
        Field::Missing
        | Field::Text(_)
        | Field::Integer(_)
        | Field::Large(_)
        | Field::Number(_)
        | Field::Flag(_)
        | Field::Seconds(_) => {
            let text = field.key(&mut text);
            match separator.is_empty() {
                true => add(text),
                false => text.split(separator).for_each(add),
            }
        }
    }
}

/// `Title (1999)` -> (`Title`, 1999); a title without a year stays whole.
fn split_year(full: &str) -> (&str, Option<u16>) {
    let year = full.strip_suffix(')').and_then(|t| t.rsplit_once('(')).and_then(|(title, digits)| {
        let digits = Some(digits).filter(|d| d.len() == 4 && d.bytes().all(|b| b.is_ascii_digit()))?;
        Some((title.trim_end(), digits.parse().ok()?))
    });
    year.map_or((full, None), |(title, year)| (title, Some(year)))
}

/// The year with which `1999`, `1999.0` or `1999-03-31` begins.
fn leading_year(text: &str) -> Option<u16> {
    let digits = text.get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
    let ends = text.get(4..)?.chars().next().is_none_or(|c| !c.is_ascii_digit());
    digits.parse().ok().filter(|_| ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years_are_found_at_a_titles_end_and_a_dates_beginning() {
        assert_eq!(split_year("Alien (1979)"), ("Alien", Some(1979)));
        assert_eq!(split_year("2001 (a film)"), ("2001 (a film)", None));
        assert_eq!(leading_year("1999-03-31"), Some(1999));
        assert_eq!(leading_year("1999.0"), Some(1999));
        assert_eq!((leading_year("19990331"), leading_year("soon"), leading_year("1é99")), (None, None, None));
    }

    #[test]
    fn a_row_with_both_flags_is_a_negative() {
        let column = |name| Column::named(name);
        let feeling =
            Feeling::Flags { negative: vec![column("hate")], positive: vec![column("like"), column("share")] };
        let of = |fields: [Field<'_>; 3]| mark_of(&feeling, &fields);
        let (yes, no) = (Field::Text("1"), Field::Text("0"));
        assert_eq!(of([yes.clone(), yes.clone(), no.clone()]), Ok(Mark::Sign(Sign::Negative)));
        assert_eq!(of([no.clone(), no.clone(), yes]), Ok(Mark::Sign(Sign::Positive)));
        assert_eq!(of([no, Field::Missing, Field::Flag(false)]), Ok(Mark::Sign(Sign::Neutral)));
        let error = of([Field::Text("maybe"), Field::Missing, Field::Missing]).unwrap_err();
        assert_eq!(error, "found `maybe` in `hate`, expected true, false or a number");
    }
}
