//! Semantic ids in tables: MiniOneRec's `info.txt` (id, title, key; tabs, no heading) and `.tsv` files with headings, of
//! which one column holds the ids, and the column `key`, or else the first, the items' keys.

use super::SidFileError;
use crate::plain_file;
use std::path::Path;

/// Which columns there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `<a_1><b_2><c_3>`, title, key.
    Info,
    /// Headings say.
    Table,
}

const INFO: &str = "three columns, parted by tabs: a semantic id such as <a_1><b_2><c_3>, the title, the item's key";
const TABLE: &str =
    "headings, then lines of as many columns parted by tabs, one of them with semantic ids such as <a_1><b_2>";

/// Key and tokens of each item, in the order of the file. Lines of a table that have no id are left out.
pub(super) fn read(file: &Path, form: Form) -> Result<Vec<(String, Vec<String>)>, SidFileError> {
    let text = plain_file::read_text(file).map_err(|source| SidFileError::File { file: file.to_owned(), source })?;
    let wrong = |line: usize, found: &str, expected| SidFileError::Line {
        file: file.to_owned(),
        line,
        found: format!("{found:?}"),
        expected,
    };
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line)).filter(|(_, line)| !line.is_empty());
    let mut entries = Vec::new();
    match form {
        Form::Info => {
            for (at, line) in lines {
                // A title may hold a tab.
                let first_and_last = line.split_once('\t').and_then(|(id, rest)| Some((id, rest.rsplit_once('\t')?.1)));
                let (id, key) = first_and_last.ok_or_else(|| wrong(at, line, INFO))?;
                entries.push((key.to_owned(), tokens(id).ok_or_else(|| wrong(at, id, INFO))?));
            }
        }
        Form::Table => {
            let (_, heading) = lines.next().ok_or_else(|| wrong(1, "", TABLE))?;
            let key = heading.split('\t').position(|name| name == "key").unwrap_or(0);
            let mut id_column = None;
            for (at, line) in lines {
                let columns: Vec<&str> = line.split('\t').collect();
                id_column = id_column.or_else(|| columns.iter().position(|column| tokens(column).is_some()));
                let Some(id) = id_column.and_then(|column| columns.get(column)).filter(|id| !id.is_empty()) else {
                    continue;
                };
                let key = columns.get(key).ok_or_else(|| wrong(at, line, TABLE))?;
                entries.push(((*key).to_owned(), tokens(id).ok_or_else(|| wrong(at, id, TABLE))?));
            }
            if entries.is_empty() {
                return Err(wrong(1, heading, TABLE));
            }
        }
    }
    Ok(entries)
}

/// `<a_1><b_2>` as its tokens; none if it is written otherwise.
fn tokens(id: &str) -> Option<Vec<String>> {
    let inner = id.strip_prefix('<')?.strip_suffix('>')?;
    let tokens: Vec<String> = inner.split("><").map(|token| format!("<{token}>")).collect();
    tokens.iter().all(|token| crate::semantic_id::parse_token(token).is_some()).then_some(tokens)
}

#[cfg(test)]
mod tests {
    use crate::sid_files::SidIndex;

    fn index(name: &str, text: &str) -> Result<SidIndex, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        SidIndex::read(&file).map_err(|e| e.to_string().replace(&file.display().to_string(), name))
    }

    #[test]
    fn an_info_file_is_read_whatever_stands_in_the_title() {
        let found = index("x.info.txt", "<a_1><b_20>\tA title, 2\"\t0\n<a_0><b_3>\tTab\there\t17\n").unwrap();
        assert_eq!((found.levels, found.items), (2, vec![("0".into(), vec![1, 20]), ("17".into(), vec![0, 3])]));
        let error = index("info.txt", "<a_1><b_20>\tx\t0\n<a_1>b\tx\t1\n").unwrap_err();
        assert!(error.starts_with("info.txt:2: found \"<a_1>b\"; expected three columns"), "{error}");
        let error = index("info.txt", "<a_1><b_20>\tx\t0\n<a_1>\tx\t1\n").unwrap_err();
        assert!(error.contains("item `1` has 1 tokens; expected 2"), "{error}");
        assert!(index("info.txt", "<a_1>\n").is_err());
    }

    #[test]
    fn a_table_finds_its_ids_by_their_look() {
        let found = index("items.tsv", "item\ttext\tsid\n0\tx\t\n1\ty\t<a_1><b_2>\n2\t\t<a_3><b_4>\n").unwrap();
        assert_eq!(found.items, [("1".into(), vec![1, 2]), ("2".into(), vec![3, 4])]);
        let found = index("items.tsv", "sid\tkey\n<a_1>\tq\n").unwrap();
        assert_eq!(found.items, [("q".into(), vec![1])]);
        assert!(index("items.tsv", "sid\tkey\nno\tq\n").unwrap_err().starts_with("items.tsv:1: found \"sid\\tkey\""));
        assert!(index("items.tsv", "").is_err());
    }
}
