//! The rules of `[data.table]`.

use super::Findings;
use crate::spec::TableSpec;

/// Checks `[data.table]`, whose keys matter only where it is the source.
pub(super) fn check(table: &TableSpec, findings: &mut Findings) {
    let TableSpec {
        events,
        delimiter,
        header: _,
        encoding: _,
        user,
        item,
        time,
        time_unit: _,
        rating,
        negative,
        positive,
        event_type,
        negative_events,
        positive_events,
        explicit: _,
        items: _,
        item_key,
        title: _,
        categories: _,
        category_separator: _,
        year: _,
    } = table;
    findings.require(!events.is_empty(), "data.table.events", "[]", "a list with at least one file");
    let one_byte = delimiter.is_empty() || (delimiter.len() == 1 && delimiter != "\n" && delimiter != "\"");
    findings.require(
        one_byte,
        "data.table.delimiter",
        format!("{delimiter:?}"),
        "one character of ASCII that is neither a quote nor the end of a line; or nothing: a tab in .tsv, else a comma",
    );
    for (key, column) in [("user", user), ("item", item), ("time", time), ("item_key", item_key)] {
        findings.require(!column.is_empty(), &format!("data.table.{key}"), "\"\"", "the name of a column");
    }
    let said_by = [!rating.is_empty(), !negative.is_empty() || !positive.is_empty(), !event_type.is_empty()];
    let flags = || format!("rating = {rating:?}, negative = {negative:?}, event_type = {event_type:?}");
    findings.require(
        said_by.iter().filter(|said| **said).count() == 1,
        "data.table",
        flags(),
        "one way to say what is a negative: a column `rating`, or columns `negative` (and `positive`), or a column \
         `event_type`; set the others to \"\" or []",
    );
    findings.require(
        !said_by[1] || !negative.is_empty(),
        "data.table.negative",
        "[]",
        "a list with at least one column: without negatives there is nothing to learn",
    );
    findings.require(
        event_type.is_empty() || !negative_events.is_empty(),
        "data.table.negative_events",
        "[]",
        "a list with at least one of the kinds of event that `event_type` holds",
    );
    let both = negative_events.iter().find(|kind| positive_events.contains(kind));
    findings.require(
        both.is_none(),
        "data.table.positive_events",
        format!("{positive_events:?}"),
        "kinds of event that are not in negative_events",
    );
}
