//! `prepared/titles.json`: the titles of all items in the tokens of the pretrained base, made once for all workers. Only
//! runs with a translation stage have it.

use crate::error::WorkerError;
use crate::run_folder::RunFolder;
use conrec_domain::ids::Digest;
use conrec_domain::spec::{RunSpec, StageKind};
use conrec_feedback::dataset::Item;
use conrec_feedback::translation::{Titles, title_text};
use conrec_policy::base_model::BaseModel;

const TITLES: &str = "prepared/titles.json";

/// Tokenises the titles of a catalogue; none where no stage translates.
///
/// # Errors
/// A catalogue without titles, and texts that the base's tokeniser does not take.
pub fn make_titles(spec: &RunSpec, base: &BaseModel, items: &[Item]) -> Result<Option<Titles>, WorkerError> {
    let Some((base, wording)) = base.pretrained().and_then(|base| Some((base, base.wording.as_ref()?))) else {
        return Ok(None);
    };
    // A title that holds the name of the token which ends titles would end there.
    let without_end = |tokens: Vec<i64>| tokens.into_iter().filter(|token| *token != wording.end).collect();
    let tokens = |item: &Item| match title_text(item) {
        None => Ok(Vec::new()),
        Some(text) => base.tokenizer.encode(&text).map(without_end),
    };
    let of_item: Vec<Vec<i64>> = items.iter().map(tokens).collect::<Result<_, _>>()?;
    if of_item.iter().all(Vec::is_empty) {
        let stage = spec.stage.iter().find(|stage| stage.kind == StageKind::Translation);
        return Err(WorkerError::Config {
            key: "stage",
            found: format!(
                "`{}` of kind translation, but none of the {} items has a title",
                stage.map_or("", |stage| &stage.name),
                items.len()
            ),
            allowed:
                "a translation stage where items have titles other than their ids: give the catalogue with titles \
                      (with data.source = \"table\": data.table.items and data.table.title), or leave the stage out"
                    .to_owned(),
        });
    }
    Ok(Some(Titles { wording: wording.clone(), of_item }))
}

/// Writes the titles; gives the digest of what was written.
///
/// # Errors
/// A store that cannot be written.
pub fn write_titles(titles: &Titles, folder: &RunFolder) -> Result<Digest, WorkerError> {
    let text = serde_json::to_vec(titles).map_err(|e| WorkerError::file(folder.path(TITLES), e))?;
    folder.write(TITLES, &text)?;
    Ok(Digest::of(&text))
}

/// The titles that were prepared for this run; none where no stage translates.
///
/// # Errors
/// A file that is missing or damaged.
pub fn read_titles(spec: &RunSpec, folder: &RunFolder) -> Result<Option<Titles>, WorkerError> {
    if !spec.translates() {
        return Ok(None);
    }
    let titles = serde_json::from_slice(&folder.read(TITLES)?);
    titles.map(Some).map_err(|e| WorkerError::file(folder.path(TITLES), e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use conrec_domain::spec::RunConfig;
    use conrec_policy::base_model::vocabulary_size;
    use std::path::Path;

    const CONFIG: &str = include_str!("../../tests/configs/pretrained.toml");

    fn spec() -> RunSpec {
        RunSpec::check(RunConfig::parse(CONFIG, "pretrained.toml").unwrap()).unwrap()
    }

    fn item(title: &str) -> Item {
        Item { key: "i1".into(), title: title.into(), year: Some(1999), ..Item::default() }
    }

    #[test]
    fn titles_are_tokenised_and_a_catalogue_without_any_is_refused() {
        let spec = spec();
        let base =
            BaseModel::load(&spec, &Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(&spec.model.base)).unwrap();
        let titles = make_titles(&spec, &base, &[item("i1"), item("Thing 7"), item("")]).unwrap().unwrap();
        let texts = titles.of_item.iter().map(|tokens| base.pretrained().unwrap().tokenizer.decode(tokens).unwrap());
        assert_eq!(texts.collect::<Vec<_>>(), ["", " Thing 7 (1999)", ""]);
        let ends = make_titles(&spec, &base, &[item("Thing<end> 7"), item("Thing 7")]).unwrap().unwrap();
        assert!(ends.of_item.iter().all(|tokens| !tokens.is_empty() && !tokens.contains(&ends.wording.end)));
        let error = make_titles(&spec, &base, &[item("i1"), item("")]).unwrap_err();
        let words = "stage = `translate` of kind translation, but none of the 2 items has a title: allowed is";
        assert!(error.to_string().starts_with(words), "{error}");
        assert_eq!(error.exit_code(), 78);
    }

    #[test]
    fn a_run_that_does_not_translate_has_none() {
        let mut config = RunConfig::parse(CONFIG, "pretrained.toml").unwrap();
        config.stage.retain(|stage| stage.kind != StageKind::Translation);
        config.model.base = String::new();
        let spec = RunSpec::check(config).unwrap();
        let base = BaseModel::from_scratch(&spec, vocabulary_size(&spec)).unwrap();
        assert_eq!(make_titles(&spec, &base, &[item("Thing 7")]).unwrap(), None);
    }
}
