//! The vocabulary as a Hugging Face tokeniser: `tokenizer.json` (one word, one token) and `tokenizer_config.json`.
//! It reads codes with or without spaces between them, `<negative> <a_1> <b_2>` or `<negative><a_1><b_2>`.

use crate::atomic_write::write_json;
use crate::file_error::FileError;
use crate::pretrained_files::TOKENIZER;
use conrec_feedback::prompt::{BOS, PAD, Vocabulary};
use conrec_feedback::semantic_id::token;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use std::path::Path;

/// What the signs are called, in the order of their tokens.
const SIGNS: [&str; 3] = ["<negative>", "<neutral>", "<positive>"];

/// What each token of a vocabulary from scratch is called; the index is the token. The question's token is one of them
/// where the model has `tokens` enough.
pub fn token_names(vocabulary: Vocabulary, tokens: usize) -> Vec<String> {
    let asks = tokens > vocabulary.size();
    ["<pad>", "<bos>"].into_iter().map(str::to_owned).chain(new_token_names(vocabulary, asks)).collect()
}

/// What signs and codes are called, in the order of their tokens, and last the question where the run `asks` any.
pub fn new_token_names(vocabulary: Vocabulary, asks: bool) -> Vec<String> {
    let codes = vocabulary.signs().end..vocabulary.size() as i64;
    let codes = codes.filter_map(|t| vocabulary.parse(t)).map(|(level, code)| token(level, code));
    let question = asks.then(|| "<question>".to_owned());
    SIGNS.iter().map(|name| (*name).to_owned()).chain(codes).chain(question).collect()
}

/// Writes both files into `folder`; `tokens` is what the model knows, `max_tokens` the longest sequence that it reads.
///
/// # Errors
/// When a file cannot be written.
pub fn write_tokenizer(
    folder: &Path,
    (vocabulary, tokens): (Vocabulary, usize),
    max_tokens: i64,
) -> Result<(), FileError> {
    let names = token_names(vocabulary, tokens);
    write_json(&folder.join(TOKENIZER), &TokenizerJson::new(&names))?;
    let config = TokenizerConfigJson {
        tokenizer_class: "PreTrainedTokenizerFast",
        bos_token: "<bos>",
        pad_token: "<pad>",
        model_max_length: max_tokens,
        clean_up_tokenization_spaces: false,
    };
    write_json(&folder.join("tokenizer_config.json"), &config)
}

#[derive(Serialize)]
struct TokenizerConfigJson {
    tokenizer_class: &'static str,
    bos_token: &'static str,
    pad_token: &'static str,
    model_max_length: i64,
    clean_up_tokenization_spaces: bool,
}

/// The format of the `tokenizers` library, version 1.0. Structs and not a JSON map: the order of keys is fixed.
#[derive(Serialize)]
struct TokenizerJson<'a> {
    version: &'static str,
    truncation: Option<()>,
    padding: Option<()>,
    added_tokens: [AddedToken; 2],
    normalizer: Option<()>,
    pre_tokenizer: PreTokenizers,
    post_processor: Template,
    decoder: Typed,
    model: WordLevel<'a>,
}

#[derive(Serialize)]
struct Typed {
    r#type: &'static str,
}

#[derive(Serialize)]
struct AddedToken {
    id: i64,
    content: &'static str,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
    special: bool,
}

#[derive(Serialize)]
struct PreTokenizers {
    r#type: &'static str,
    pretokenizers: (Typed, Split),
}

/// Splits before and after each `<...>`.
#[derive(Serialize)]
struct Split {
    r#type: &'static str,
    pattern: Pattern,
    behavior: &'static str,
    invert: bool,
}

#[derive(Serialize)]
struct Pattern {
    #[serde(rename = "Regex")]
    regex: &'static str,
}

/// Puts `<bos>` before a sequence when special tokens are asked for.
#[derive(Serialize)]
struct Template {
    r#type: &'static str,
    single: (Piece, Piece),
    pair: (Piece, Piece, Piece),
    special_tokens: SpecialTokens,
}

#[derive(Clone, Copy, Serialize)]
enum Piece {
    SpecialToken { id: &'static str, type_id: u32 },
    Sequence { id: &'static str, type_id: u32 },
}

#[derive(Serialize)]
struct SpecialTokens {
    #[serde(rename = "<bos>")]
    bos: SpecialToken,
}

#[derive(Serialize)]
struct SpecialToken {
    id: &'static str,
    ids: [i64; 1],
    tokens: [&'static str; 1],
}

/// No token stands for unknown words: a word outside the vocabulary is an error of the reader's.
#[derive(Serialize)]
struct WordLevel<'a> {
    r#type: &'static str,
    #[serde(serialize_with = "by_place")]
    vocab: &'a [String],
    unk_token: &'static str,
}

fn by_place<S: Serializer>(names: &&[String], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(names.len()))?;
    for (place, name) in names.iter().enumerate() {
        map.serialize_entry(name, &place)?;
    }
    map.end()
}

impl<'a> TokenizerJson<'a> {
    fn new(names: &'a [String]) -> Self {
        let added = |id, content| AddedToken {
            id,
            content,
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: true,
        };
        let bos = Piece::SpecialToken { id: "<bos>", type_id: 0 };
        let sequence = |id| Piece::Sequence { id, type_id: 0 };
        let split =
            Split { r#type: "Split", pattern: Pattern { regex: "<[^<>]*>" }, behavior: "Isolated", invert: false };
        Self {
            version: "1.0",
            truncation: None,
            padding: None,
            added_tokens: [added(PAD, "<pad>"), added(BOS, "<bos>")],
            normalizer: None,
            pre_tokenizer: PreTokenizers {
                r#type: "Sequence",
                pretokenizers: (Typed { r#type: "WhitespaceSplit" }, split),
            },
            post_processor: Template {
                r#type: "TemplateProcessing",
                single: (bos, sequence("A")),
                pair: (bos, sequence("A"), sequence("B")),
                special_tokens: SpecialTokens { bos: SpecialToken { id: "<bos>", ids: [BOS], tokens: ["<bos>"] } },
            },
            decoder: Typed { r#type: "Fuse" },
            model: WordLevel { r#type: "WordLevel", vocab: names, unk_token: "<unk>" },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const VOCABULARY: Vocabulary = Vocabulary::new(3, 4);

    #[test]
    fn names_follow_the_numbering_of_tokens() {
        assert_eq!(token_names(VOCABULARY, 18)[17], "<question>");
        let names = token_names(VOCABULARY, 17);
        assert_eq!(names.len(), 17);
        assert_eq!(names[..6], ["<pad>", "<bos>", "<negative>", "<neutral>", "<positive>", "<a_0>"]);
        assert_eq!((names[9].as_str(), names[16].as_str()), ("<b_0>", "<c_3>"));
    }

    #[test]
    fn file_holds_every_token_once_and_is_written_alike() {
        let [a, b] = [0, 1].map(|_| {
            let folder = tempfile::tempdir().unwrap();
            write_tokenizer(folder.path(), (VOCABULARY, 17), 99).unwrap();
            let read = |name| std::fs::read_to_string(folder.path().join(name)).unwrap();
            [read("tokenizer.json"), read("tokenizer_config.json")]
        });
        assert_eq!(a, b);
        let file: Value = serde_json::from_str(&a[0]).unwrap();
        let vocab = file["model"]["vocab"].as_object().unwrap();
        assert_eq!(vocab.len(), 17);
        for (place, name) in token_names(VOCABULARY, 17).iter().enumerate() {
            assert_eq!(vocab[name], place);
        }
        assert_eq!(file["post_processor"]["single"][0], json!({"SpecialToken": {"id": "<bos>", "type_id": 0}}));
        let config: Value = serde_json::from_str(&a[1]).unwrap();
        assert_eq!(config["model_max_length"], 99);
    }
}
