//! One JSON object a line, or what Python printed in its place.

use super::ReadError;
use super::field::Field;
use super::input::each_line;
use super::layout::Column;
use super::python_literal;
use super::rows::Row;
use serde_json::{Map, Value};
use std::path::Path;

type Object = Map<String, Value>;

/// Gives each row to `take`: each line, or with `list` each element of that list with the line's own fields behind it.
/// A line need not have every column: where it matters, what takes the row refuses it.
pub(super) fn each_row(
    path: &Path,
    list: Option<&str>,
    wanted: &[&Column],
    take: &mut dyn FnMut(Row<'_>),
) -> Result<(), ReadError> {
    each_line(path, |number, bytes| {
        if bytes.trim_ascii().is_empty() {
            return Ok(());
        }
        let mut refuse = |reason| take(Row { number, of: None, fields: Err(reason) });
        let line = match object(bytes) {
            Ok(line) => line,
            Err(reason) => {
                refuse(reason);
                return Ok(());
            }
        };
        let Some(list) = list else {
            take(Row { number, of: None, fields: Ok(&fields(&[&line], wanted)) });
            return Ok(());
        };
        match line.get(list) {
            Some(Value::Array(elements)) => {
                for element in elements.iter().filter_map(Value::as_object) {
                    take(Row { number, of: None, fields: Ok(&fields(&[element, &line], wanted)) });
                }
            }
            _ => refuse(format!("found no list `{list}`")),
        }
        Ok(())
    })
}

fn object(bytes: &[u8]) -> Result<Object, String> {
    let value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(json) => {
            let text = std::str::from_utf8(bytes).map_err(|_| "found bytes that are not UTF-8".to_owned())?;
            python_literal::parse(text).map_err(|python| {
                let looks_like_python = text.trim_start().starts_with("{'") || text.trim_start().starts_with("{u'");
                if looks_like_python { python } else { format!("not JSON: {json}") }
            })?
        }
    };
    match value {
        Value::Object(object) => Ok(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err("found a value that is no object".to_owned())
        }
    }
}

/// The wanted columns, each from the first object that has it.
fn fields<'a>(objects: &[&'a Object], wanted: &[&Column]) -> Vec<Field<'a>> {
    let field = |column: &&Column| {
        let values = objects.iter().flat_map(|object| column.names.iter().filter_map(|name| object.get(name)));
        values.map(field).find(|field| *field != Field::Missing).unwrap_or(Field::Missing)
    };
    wanted.iter().map(field).collect()
}

fn field(value: &Value) -> Field<'_> {
    match value {
        Value::Null | Value::Object(_) => Field::Missing,
        Value::Bool(flag) => Field::Flag(*flag),
        Value::Number(number) => {
            let whole = number.as_i64().map(Field::Integer).or_else(|| number.as_u64().map(Field::Large));
            whole.or_else(|| number.as_f64().map(Field::Number)).unwrap_or(Field::Missing)
        }
        Value::String(text) if text.is_empty() => Field::Missing,
        Value::String(text) => Field::Text(text),
        Value::Array(list) => {
            let mut texts = Vec::new();
            list.iter().for_each(|value| flatten(value, &mut texts));
            Field::List(texts)
        }
    }
}

/// All texts and numbers of nested lists, in order. Nesting is bounded by what the parsers read.
fn flatten(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Number(number) => into.push(number.to_string()),
        Value::Array(list) => list.iter().for_each(|value| flatten(value, into)),
        Value::Null | Value::Bool(_) | Value::Object(_) => {}
    }
}
