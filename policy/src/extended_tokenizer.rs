//! A base's tokeniser with the tokens that a run has added, as a file that the `tokenizers` library reads.

use crate::atomic_write::{read_json, write_json};
use crate::file_error::FileError;
use crate::pretrained_files::TOKENIZER;
use conrec_feedback::plain_file;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Settings of the tokeniser that are copied as they are.
const SETTINGS: [&str; 3] = ["tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"];

/// Writes the tokeniser of `base` with `names` as the tokens from `first` on into `folder`, and its settings.
///
/// A base may have more rows than its tokeniser has tokens. The library numbers what is added after the last token that
/// it knows, but leaves a token its number that the model's own vocabulary has: so the names are put there too.
///
/// # Errors
/// A tokeniser without a list of names and numbers, and files that cannot be read or written.
pub fn write_extended_tokenizer(folder: &Path, base: &Path, (first, names): (i64, &[String])) -> Result<(), FileError> {
    let path = base.join(TOKENIZER);
    let mut file: Map<String, Value> = read_json(&path)?;
    let without = |key: &str| FileError::Tokenizer {
        path: path.clone(),
        message: format!(
            "`{key}` is missing or of another kind; tokens can be added to BPE, WordPiece and WordLevel only"
        ),
    };
    let vocab = file.get_mut("model").and_then(|model| model.get_mut("vocab")).and_then(Value::as_object_mut);
    let vocab = vocab.ok_or_else(|| without("model.vocab"))?;
    vocab.extend((first..).zip(names).map(|(id, name)| (name.clone(), json!(id))));
    let added = file.entry("added_tokens").or_insert_with(|| json!([]));
    let added = added.as_array_mut().ok_or_else(|| without("added_tokens"))?;
    added.extend((first..).zip(names).map(|(id, name)| {
        json!({
            "id": id, "content": name, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": false,
        })
    }));
    write_json(&folder.join(TOKENIZER), &file)?;
    for name in SETTINGS.into_iter().filter(|name| base.join(name).is_file()) {
        let from = base.join(name);
        let content = plain_file::read(&from).map_err(|source| FileError::Read { path: from, source })?;
        crate::atomic_write::write_atomically(&folder.join(name), &content)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::Tokenizer;

    #[test]
    fn added_tokens_keep_their_numbers_beyond_a_gap() {
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pretrained/qwen3");
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<String> = ["<negative>", "<a_0>", "<a_1>"].map(str::to_owned).to_vec();
        write_extended_tokenizer(folder.path(), &base, (304, &names)).unwrap();
        let [old, new] = [base.as_path(), folder.path()].map(|f| Tokenizer::from_file(f.join(TOKENIZER)).unwrap());
        let ids = |tokenizer: &Tokenizer, text: &str| tokenizer.encode(text, false).unwrap().get_ids().to_vec();
        let text = "the film was too long";
        assert_eq!(ids(&new, text), ids(&old, text));
        let mixed = ids(&new, "the film<negative><a_1><a_0> was");
        assert_eq!(mixed, [ids(&old, "the film"), vec![304, 306, 305], ids(&old, " was")].concat());
    }

    #[test]
    fn a_tokeniser_without_names_is_refused() {
        let base = tempfile::tempdir().unwrap();
        std::fs::write(base.path().join(TOKENIZER), br#"{"model": {"type": "Unigram", "vocab": [["a", 0.0]]}}"#)
            .unwrap();
        let error = write_extended_tokenizer(base.path(), base.path(), (5, &[])).unwrap_err().to_string();
        assert!(error.contains("`model.vocab` is missing or of another kind"), "{error}");
    }
}
