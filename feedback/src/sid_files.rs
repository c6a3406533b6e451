//! The files in which semantic ids are exchanged (LC-Rec, LETTER, MiniOneRec): `index.json`, from an item's key to its
//! tokens, `item.json`, from an item's key to title and description, and tables that hold both (see [`lines`]).

mod lines;
mod ordered_map;

use crate::dataset::Item;
use crate::plain_file;
use crate::semantic_id::{SemanticIds, parse_token, token};
use conrec_domain::spec::Missing;
use ordered_map::OrderedMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// An `index.json`: codes by item key, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidIndex {
    /// D: codes in a semantic id.
    pub levels: usize,
    /// Key and D codes of each item.
    pub items: Vec<(String, Vec<u16>)>,
}

/// What `item.json` says of one item; further keys of a published file are not read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemText {
    /// Title.
    pub title: String,
    /// Description; the published files hold free text here.
    #[serde(default)]
    pub description: String,
}

/// Why a file of semantic ids cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SidFileError {
    /// The file cannot be opened, read or written.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Not JSON, or JSON of another shape.
    #[error("{}: {source}; expected {expected}", file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// What the parser found, with line and column.
        source: serde_json::Error,
        /// The shape a file must have.
        expected: &'static str,
    },
    /// A line of a table is wrong.
    #[error("{}:{line}: found {found}; expected {expected}", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What stands there.
        found: String,
        /// What must stand there.
        expected: &'static str,
    },
    /// The ids have another shape than the config says.
    #[error("{}: its semantic ids need {key} = {found}, the config says {expected}; set it to {found}", file.display())]
    Shape {
        /// The file.
        file: PathBuf,
        /// Key of the config.
        key: &'static str,
        /// What the file needs.
        found: usize,
        /// What the config says.
        expected: String,
    },
    /// Items of the catalogue have no semantic id.
    #[error(
        "{}: {count} of {items} items have no semantic id, the first is `{first}` (keys of the file look like {example}); \
         expected one for each item: add them, or set semantic_id.missing = \"accept\" to leave these items out of \
         prompts and lists", file.display()
    )]
    Missing {
        /// The file.
        file: PathBuf,
        /// Items without one.
        count: usize,
        /// Items of the catalogue.
        items: usize,
        /// Key of the first of them.
        first: String,
        /// A key that the file has.
        example: String,
    },
    /// One item is wrong.
    #[error("{}: item `{item}` has {found}; expected {expected}", file.display())]
    Item {
        /// The file.
        file: PathBuf,
        /// Key of the item.
        item: String,
        /// What stands there.
        found: String,
        /// What must stand there.
        expected: String,
    },
}

impl SidIndex {
    /// Reads an index of any number of levels, ours or a published one: `.json`, or a table `.txt` or `.tsv`.
    pub fn read(file: &Path) -> Result<Self, SidFileError> {
        let entries = match file.extension().and_then(|extension| extension.to_str()) {
            Some("txt") => lines::read(file, lines::Form::Info)?,
            Some("tsv") => lines::read(file, lines::Form::Table)?,
            _ => {
                let expected = r#"{"item key": ["<a_1>", "<b_2>", "<c_3>"], ...}"#;
                let OrderedMap(entries): OrderedMap<Vec<String>> = read_json(file, expected)?;
                entries
            }
        };
        let levels = entries.first().map_or(0, |(_, tokens)| tokens.len());
        let mut items = Vec::with_capacity(entries.len());
        for (key, tokens) in entries {
            let codes = codes_of(&tokens, levels).map_err(|(found, expected)| SidFileError::Item {
                file: file.to_owned(),
                item: key.clone(),
                found,
                expected,
            })?;
            items.push((key, codes));
        }
        refuse_doubles(file, items.iter().map(|(key, _)| key.as_str()))?;
        Ok(Self { levels, items })
    }

    /// Every item with its codes, in the file's order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &[u16])> {
        self.items.iter().map(|(key, codes)| (key.as_str(), codes.as_slice()))
    }

    /// The smallest K that holds all codes.
    pub fn codes(&self) -> usize {
        self.items.iter().flat_map(|(_, codes)| codes).map(|&code| code as usize + 1).max().unwrap_or(0)
    }

    /// Refuses an index whose ids do not have `levels` codes below `codes`, as the config says.
    ///
    /// # Errors
    /// [`SidFileError::Shape`] with both numbers.
    pub fn check(&self, file: &Path, levels: usize, codes: usize) -> Result<(), SidFileError> {
        let shape = |key, found, expected| SidFileError::Shape { file: file.to_owned(), key, found, expected };
        if self.levels != levels {
            return Err(shape("semantic_id.levels", self.levels, format!("{levels}")));
        }
        if self.codes() > codes {
            return Err(shape("semantic_id.codes", self.codes(), format!("at most {codes}")));
        }
        Ok(())
    }

    /// Codes in the order of a catalogue, items x levels, and whether the file has the item; those that it does not have
    /// get zeros. `file` is for errors.
    ///
    /// # Errors
    /// [`SidFileError::Missing`] where `missing` refuses such items, or all are.
    pub fn in_order_of(
        &self,
        items: &[Item],
        missing: Missing,
        file: &Path,
    ) -> Result<(Vec<u16>, Vec<bool>), SidFileError> {
        let by_key: BTreeMap<&str, &[u16]> =
            self.items.iter().map(|(k, codes)| (k.as_str(), codes.as_slice())).collect();
        let mut codes = vec![0; items.len() * self.levels];
        let mut present = vec![false; items.len()];
        for (at, item) in items.iter().enumerate() {
            if let Some(found) = by_key.get(item.key.as_str()) {
                codes[at * self.levels..(at + 1) * self.levels].copy_from_slice(found);
                present[at] = true;
            }
        }
        let count = present.iter().filter(|present| !**present).count();
        match present.iter().position(|present| !present) {
            Some(first) if missing == Missing::Refuse || count == items.len() => Err(SidFileError::Missing {
                file: file.to_owned(),
                count,
                items: items.len(),
                first: items[first].key.clone(),
                example: self.items.first().map_or_else(|| "none".to_owned(), |(key, _)| format!("`{key}`")),
            }),
            _ => Ok((codes, present)),
        }
    }
}

/// Codes of an item's tokens, or what was found and what was expected.
fn codes_of(tokens: &[String], levels: usize) -> Result<Vec<u16>, (String, String)> {
    if tokens.is_empty() || tokens.len() != levels {
        let expected = if levels == 0 { "at least 1".into() } else { format!("{levels}, as the first item has") };
        return Err((format!("{} tokens", tokens.len()), expected));
    }
    let code = |(level, text): (usize, &String)| match parse_token(text) {
        Some((found, code)) if found == level => Ok(code),
        Some(_) | None => Err((
            format!("`{text}` at level {}", level + 1),
            format!("a token such as `{}` with a code below 65536", token(level, 12)),
        )),
    };
    tokens.iter().enumerate().map(code).collect()
}

/// The text of an `index.json`: one item a line, in the catalogue's order.
pub fn index_json(items: &[Item], ids: &SemanticIds) -> String {
    index_text((0..).zip(items).map(|(at, item)| (item.key.as_str(), ids.item_codes(at))))
}

/// The same of any items with their codes.
pub fn index_text<'a>(entries: impl Iterator<Item = (&'a str, &'a [u16])>) -> String {
    let mut text = String::from("{\n");
    let mut entries = entries.peekable();
    while let Some((key, codes)) = entries.next() {
        let codes = codes.iter().enumerate();
        let tokens: Vec<String> = codes.map(|(level, &code)| format!("\"{}\"", token(level, code))).collect();
        let comma = if entries.peek().is_some() { "," } else { "" };
        let _ = writeln!(text, "{}: [{}]{comma}", json_text(key), tokens.join(", "));
    }
    text + "}\n"
}

/// The text of an `item.json`: the description is the item's year and categories.
pub fn item_json(items: &[Item]) -> String {
    let mut text = String::from("{\n");
    for (at, item) in items.iter().enumerate() {
        let year = item.year.map(|year| year.to_string());
        let parts: Vec<&str> =
            year.iter().map(String::as_str).chain(item.categories.iter().map(String::as_str)).collect();
        let comma = if at + 1 < items.len() { "," } else { "" };
        let (key, title, description) = (json_text(&item.key), json_text(&item.title), json_text(&parts.join(", ")));
        let _ = writeln!(text, "{key}: {{\"title\": {title}, \"description\": {description}}}{comma}");
    }
    text + "}\n"
}

/// A string as JSON, quoted.
fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Reads an `item.json`, ours or a published one: key and text, in the order of the file.
pub fn read_item_texts(file: &Path) -> Result<Vec<(String, ItemText)>, SidFileError> {
    let expected = r#"{"item key": {"title": "...", "description": "..."}, ...}"#;
    let OrderedMap(entries): OrderedMap<ItemText> = read_json(file, expected)?;
    refuse_doubles(file, entries.iter().map(|(key, _)| key.as_str()))?;
    Ok(entries)
}

fn read_json<T: for<'de> Deserialize<'de>>(file: &Path, expected: &'static str) -> Result<T, SidFileError> {
    let text = plain_file::read_text(file).map_err(|source| SidFileError::File { file: file.to_owned(), source })?;
    serde_json::from_str(&text).map_err(|source| SidFileError::Json { file: file.to_owned(), source, expected })
}

fn refuse_doubles<'a>(file: &Path, keys: impl Iterator<Item = &'a str>) -> Result<(), SidFileError> {
    let mut sorted: Vec<&str> = keys.collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(SidFileError::Item {
            file: file.to_owned(),
            item: pair[0].to_owned(),
            found: "two entries".into(),
            expected: "one".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items() -> Vec<Item> {
        let item = |key: &str, title: &str, year, categories: &[&str]| Item {
            key: key.into(),
            title: title.into(),
            year,
            categories: categories.iter().map(|c| (*c).to_owned()).collect(),
        };
        vec![item("0042", "A \"quoted\" title", Some(1999), &["Drama", "Sci-Fi"]), item("7", "Été\n", None, &[])]
    }

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("index.json");
        std::fs::write(&file, text).unwrap();
        (folder, file)
    }

    #[test]
    fn an_index_is_written_in_the_published_form_and_read_back() {
        let ids = SemanticIds::new(3, 300, vec![1, 2, 3, 255, 0, 299], &[true, false]).unwrap();
        let text = index_json(&items(), &ids);
        assert_eq!(
            text,
            "{\n\"0042\": [\"<a_1>\", \"<b_2>\", \"<c_3>\"],\n\"7\": [\"<a_255>\", \"<b_0>\", \"<c_299>\"]\n}\n"
        );
        let (_folder, file) = written(&text);
        let index = SidIndex::read(&file).unwrap();
        assert_eq!((index.levels, index.codes()), (3, 300));
        let (codes, present) = index.in_order_of(&items(), Missing::Refuse, &file).unwrap();
        assert_eq!((codes, present), (ids.of_item, vec![true, true]));
    }

    #[test]
    fn published_indices_of_three_and_four_levels_are_read() {
        let three = r#"{"0": ["<a_236>", "<b_231>", "<c_226>"], "1": ["<a_42>", "<b_80>", "<c_160>"], "10": ["<a_42>", "<b_80>", "<c_1>"]}"#;
        let (_folder, file) = written(three);
        let index = SidIndex::read(&file).unwrap();
        assert_eq!(index.items[2], ("10".into(), vec![42, 80, 1]));
        let (_folder, file) = written(r#"{"0": ["<a_183>", "<b_70>", "<c_232>", "<d_6>"]}"#);
        assert_eq!(SidIndex::read(&file).unwrap().levels, 4);
    }

    #[test]
    fn an_item_file_is_written_and_read_back() {
        let (_folder, file) = written(&item_json(&items()));
        let texts = read_item_texts(&file).unwrap();
        assert_eq!(texts[0].0, "0042");
        assert_eq!(texts[0].1.title, "A \"quoted\" title");
        assert_eq!(texts[0].1.description, "1999, Drama, Sci-Fi");
        assert_eq!(texts[1].1, ItemText { title: "Été\n".into(), description: String::new() });
    }

    #[test]
    fn a_published_item_file_with_further_keys_is_read() {
        let (_folder, file) =
            written(r#"{"0": {"title": "T", "description": "[\"D\"]", "brand": "B", "categories": ""}}"#);
        let texts = read_item_texts(&file).unwrap();
        assert_eq!(texts[0].1, ItemText { title: "T".into(), description: "[\"D\"]".into() });
    }

    #[track_caller]
    fn assert_refused(text: &str, expected: &str) {
        let (_folder, file) = written(text);
        let message = SidIndex::read(&file).unwrap_err().to_string();
        let message = message.strip_prefix(&file.display().to_string()).expect("names the file");
        assert_eq!(message, expected);
    }

    #[test]
    fn errors_name_file_item_found_and_expected() {
        assert_refused(
            r#"{"x": ["<a_1>", "<b_2>"], "y": ["<a_1>"]}"#,
            ": item `y` has 1 tokens; expected 2, as the first item has",
        );
        assert_refused(
            r#"{"x": ["<a_1>", "<a_2>"]}"#,
            ": item `x` has `<a_2>` at level 2; expected a token such as `<b_12>` with a code below 65536",
        );
        assert_refused(r#"{"x": []}"#, ": item `x` has 0 tokens; expected at least 1");
        assert_refused(r#"{"x": ["<a_1>"], "x": ["<a_2>"]}"#, ": item `x` has two entries; expected one");
        let (_folder, file) = written(r#"{"x": 3}"#);
        let message = SidIndex::read(&file).unwrap_err().to_string();
        assert!(message.contains("line 1 column 7") && message.contains("expected {\"item key\""), "{message}");
        let message = SidIndex::read(Path::new("nowhere/index.json")).unwrap_err().to_string();
        assert!(message.starts_with("nowhere/index.json: "), "{message}");
    }

    #[test]
    fn a_catalogue_item_without_codes_is_an_error_or_left_out() {
        let (_folder, file) = written(r#"{"7": ["<a_1>", "<b_2>"]}"#);
        let index = SidIndex::read(&file).unwrap();
        let error = index.in_order_of(&items(), Missing::Refuse, &file).unwrap_err().to_string();
        assert!(
            error.contains("1 of 2 items have no semantic id, the first is `0042` (keys of the file look like `7`)")
        );
        let (codes, present) = index.in_order_of(&items(), Missing::Accept, &file).unwrap();
        assert_eq!((codes, present), (vec![0, 0, 1, 2], vec![false, true]));
        // A file of another dataset: nothing is left to work with.
        assert!(index.in_order_of(&items()[..1], Missing::Accept, &file).is_err());
    }

    #[test]
    fn another_number_of_levels_or_codes_is_named_with_what_to_set() {
        let (_folder, file) = written(r#"{"7": ["<a_1>", "<b_255>", "<c_0>", "<d_9>"]}"#);
        let index = SidIndex::read(&file).unwrap();
        index.check(&file, 4, 256).unwrap();
        let error = index.check(&file, 3, 256).unwrap_err().to_string();
        assert!(
            error.ends_with("its semantic ids need semantic_id.levels = 4, the config says 3; set it to 4"),
            "{error}"
        );
        let error = index.check(&file, 4, 64).unwrap_err().to_string();
        assert!(error.contains("semantic_id.codes = 256, the config says at most 64"), "{error}");
    }
}
