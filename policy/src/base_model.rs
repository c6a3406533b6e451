//! What a run's decoder is before anything is learned: a shape alone, or a pretrained base with its weights, which no
//! stage changes, and its tokeniser.

use crate::error::PolicyError;
use crate::file_error::FileError;
use crate::llama::LlamaConfig;
use crate::pretrained_files::{end_of_text, files_digest, read_shape, read_weights};
use crate::slot::Slot;
use crate::text_tokenizer::TextTokenizer;
use crate::tokenizer_file::new_token_names;
use crate::warm_start::WarmStart;
use conrec_domain::ids::Digest;
use conrec_domain::spec::{BaseKind, RunSpec};
use conrec_feedback::prompt::{PromptFrame, Vocabulary};
use conrec_feedback::translation::Wording;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tch::{Kind, Tensor};

/// What a run's decoder is before anything is learned.
#[derive(Debug)]
pub struct BaseModel {
    pub(crate) config: LlamaConfig,
    pub(crate) pretrained: Option<Pretrained>,
    /// Weights of another run that passes begin with.
    pub(crate) start: Option<WarmStart>,
}

/// A pretrained base in memory.
#[derive(Debug)]
pub struct Pretrained {
    /// Shared by all states that are made of it.
    pub(crate) weights: Slot,
    /// Tokens of each sign's words.
    pub(crate) sign_words: Arc<[Vec<i64>; 3]>,
    /// Where it lies.
    pub folder: PathBuf,
    /// What prompts say around the events.
    pub frame: PromptFrame,
    /// What stands around titles, where a stage translates.
    pub wording: Option<Wording>,
    /// Its tokeniser.
    pub tokenizer: TextTokenizer,
}

/// Why a base cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// A file is missing, damaged, or of another model.
    #[error("model.base: {0}")]
    File(#[from] FileError),
    /// It does not fit the config.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl BaseModel {
    /// A decoder from scratch with `vocab` tokens.
    ///
    /// # Errors
    /// When the spec's model has no valid shape.
    pub fn from_scratch(spec: &RunSpec, vocab: usize) -> Result<Self, PolicyError> {
        Ok(Self { config: LlamaConfig::new(&spec.model, vocab)?, pretrained: None, start: None })
    }

    /// The pretrained decoder in `folder`.
    ///
    /// # Errors
    /// Files that are missing, damaged or do not belong together, and prompts that it cannot read.
    pub fn load(spec: &RunSpec, folder: &Path) -> Result<Self, BaseError> {
        let shape = read_shape(folder)?;
        let vocabulary = vocabulary(spec).after(shape.vocab as usize);
        let names = new_token_names(vocabulary, spec.asks_questions());
        let config = LlamaConfig::pretrained(&shape, names.len(), &spec.model)?;
        let tokenizer = TextTokenizer::open(folder, config.vocab)?;
        tokenizer.refuse_known(&names)?;
        refuse_ends(spec, &tokenizer, folder)?;
        let frame = frame(spec, &tokenizer, shape.vocab as usize)?;
        let wording = spec.translates().then(|| wording(spec, &tokenizer, folder)).transpose()?;
        let [negative, neutral, positive] = &spec.model.sign_words;
        let words = [tokenizer.encode(negative)?, tokenizer.encode(neutral)?, tokenizer.encode(positive)?];
        let kind = match spec.model.dtype {
            BaseKind::F32 => Kind::Float,
            BaseKind::Bf16 => Kind::BFloat16,
        };
        let weights = Slot::new(read_weights(folder, &config, kind)?);
        weights.digest()?;
        let sign_words = Arc::new(words);
        let pretrained = Pretrained { weights, sign_words, folder: folder.to_owned(), frame, wording, tokenizer };
        Ok(Self { config, pretrained: Some(pretrained), start: None })
    }

    /// The pretrained base; none from scratch.
    pub fn pretrained(&self) -> Option<&Pretrained> {
        self.pretrained.as_ref()
    }

    /// What prompts say around the events.
    pub fn frame(&self) -> PromptFrame {
        self.pretrained.as_ref().map_or_else(PromptFrame::from_scratch, |of| of.frame.clone())
    }

    /// The decoder's shape.
    pub fn config(&self) -> &LlamaConfig {
        &self.config
    }
}

impl Pretrained {
    /// Its weights as one flat tensor, which nothing may change.
    pub fn weights(&self) -> &Tensor {
        self.weights.tensor()
    }

    /// SHA-256 of its weights as they are held, by which workers know that they hold the same ones.
    ///
    /// # Errors
    /// When libtorch cannot read a tensor.
    pub fn weights_digest(&self) -> Result<Digest, PolicyError> {
        self.weights.digest()
    }

    /// SHA-256 over its files.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn files_digest(&self) -> Result<Digest, FileError> {
        files_digest(&self.folder)
    }
}

/// Signs and codes of a spec, numbered as from scratch.
pub fn vocabulary(spec: &RunSpec) -> Vocabulary {
    Vocabulary::new(spec.semantic_id.id_levels() as usize, spec.semantic_id.codes as usize)
}

/// Tokens of a decoder from scratch: the special ones, the codes of all levels, and the question's where a stage asks any.
pub fn vocabulary_size(spec: &RunSpec) -> usize {
    vocabulary(spec).size() + usize::from(spec.asks_questions())
}

/// Refuses words of the config that hold the token which ends the base's texts: what comes after it the base reads as
/// another text.
fn refuse_ends(spec: &RunSpec, tokenizer: &TextTokenizer, folder: &Path) -> Result<(), BaseError> {
    let Some(end) = end_of_text(folder)? else { return Ok(()) };
    let model = &spec.model;
    let words = |key, texts: &[String]| texts.iter().map(move |text| (key, text.clone())).collect::<Vec<_>>();
    let all = [
        words("instruction", std::slice::from_ref(&model.instruction)),
        words("question", std::slice::from_ref(&model.question)),
        words("sign_words", &model.sign_words),
        words("title_prompt", &model.title_prompt),
        words("item_prompt", &model.item_prompt),
    ];
    for (key, text) in all.into_iter().flatten() {
        if tokenizer.encode(&text)?.contains(&end) {
            let expected =
                format!("a text without the token that ends the base's texts ({})", tokenizer.decode(&[end])?);
            return Err(PolicyError::Shape { key, found: format!("{text:?}"), expected }.into());
        }
    }
    Ok(())
}

/// Instruction and question in the base's tokens.
fn frame(spec: &RunSpec, tokenizer: &TextTokenizer, tokens: usize) -> Result<PromptFrame, BaseError> {
    let beginning = tokenizer.beginning(&spec.model.instruction)?;
    let question = tokenizer.encode(&spec.model.question)?;
    let frame = PromptFrame { base_tokens: Some(tokens), beginning, question };
    if frame.beginning.is_empty() {
        let expected = "a text of at least one token: this base has no token that begins a sequence";
        let found = format!("{:?}", spec.model.instruction);
        return Err(PolicyError::Shape { key: "instruction", found, expected: expected.into() }.into());
    }
    let own = vocabulary(spec);
    // An alignment question shows four items, and no words after them.
    let asked = frame.beginning.len() + 2 + 4 * own.levels;
    let shortest = (frame.tokens() + own.event_tokens()).max(if spec.asks_questions() { asked } else { 0 });
    if shortest > spec.model.max_prompt_tokens as usize {
        let expected = format!(
            "at least {shortest}: {} tokens of model.instruction, {} of model.question, the sign, and one event or the items of a question",
            frame.beginning.len(),
            frame.question.len()
        );
        let found = spec.model.max_prompt_tokens.to_string();
        return Err(PolicyError::Shape { key: "max_prompt_tokens", found, expected }.into());
    }
    Ok(frame)
}

/// The words around titles and semantic ids in the base's tokens, and what ends a title.
fn wording(spec: &RunSpec, tokenizer: &TextTokenizer, folder: &Path) -> Result<Wording, BaseError> {
    let model = &spec.model;
    let pair = |key: &'static str, [before, after]: &[String; 2]| -> Result<[Vec<i64>; 2], BaseError> {
        let tokens = [tokenizer.beginning(before)?, tokenizer.encode(after)?];
        if tokens[0].is_empty() {
            let expected =
                "a first text of at least one token: this base has no token that begins a sequence".to_owned();
            return Err(PolicyError::Shape { key, found: format!("{before:?}"), expected }.into());
        }
        Ok(tokens)
    };
    let end = match model.end_of_text.as_str() {
        "" => end_of_text(folder)?,
        token => tokenizer.token(token),
    };
    let Some(end) = end else {
        let expected = "the name of a token of the base, to end the titles of a translation stage; left empty it is \
                        eos_token_id of the base's config.json, where one stands there";
        let found = format!("{:?}", model.end_of_text);
        return Err(PolicyError::Shape { key: "end_of_text", found, expected: expected.into() }.into());
    };
    let wording = Wording {
        to_title: pair("title_prompt", &model.title_prompt)?,
        to_item: pair("item_prompt", &model.item_prompt)?,
        end,
    };
    let (levels, most) = (vocabulary(spec).levels, model.max_prompt_tokens as usize);
    if wording.room(levels, most) == 0 {
        let words = |texts: &[Vec<i64>; 2]| texts[0].len() + texts[1].len();
        let expected = format!(
            "room for a title: {} tokens of model.title_prompt, a semantic id and the title's end, or {} tokens of model.item_prompt, and one token of a title",
            words(&wording.to_title),
            words(&wording.to_item)
        );
        return Err(PolicyError::Shape { key: "max_prompt_tokens", found: most.to_string(), expected }.into());
    }
    Ok(wording)
}
