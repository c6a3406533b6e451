//! Texts to vectors by a pretrained base as it was published: no adapter, no rows of new tokens. The mean of its last
//! states, after the final norm, over the text's own tokens.

use crate::base_model::{BaseError, BaseModel};
use crate::error::PolicyError;
use crate::llama::LlamaConfig;
use crate::micro_batch::micro_batches;
use crate::shared_prefix::hidden_everywhere;
use crate::text_tokenizer::Sequence;
use crate::transformer::{Policy, Trains};
use conrec_feedback::matrix::Matrix;
use tch::{Kind, Tensor};

/// Texts whose tokens are held together. Fixed, since it decides what is computed together and with it the last bits.
const TEXTS_AT_ONCE: usize = 2048;

/// Vectors of texts.
#[derive(Debug)]
pub struct TextVectors {
    /// One row of length 1 a text; zeros where there is nothing to read.
    pub vectors: Matrix,
    /// Texts without a token of their own, ascending.
    pub empty: Vec<usize>,
}

/// One vector a text, of as many dimensions as the base is wide. Texts are cut after `longest` tokens; no more than the
/// config's `micro_batch_tokens` are computed together. `progress` is told how many texts are done. Computed on the
/// host; the result depends on the texts alone as long as libtorch computes with the same number of threads.
///
/// # Errors
/// A decoder from scratch, which has read nothing; a text that the tokeniser does not take; `longest` of 0 or beyond
/// the config's positions; states that are no finite numbers.
pub fn text_vectors(
    base: &BaseModel,
    texts: &[String],
    longest: usize,
    progress: &mut dyn FnMut(usize),
) -> Result<TextVectors, BaseError> {
    let Some(pretrained) = base.pretrained() else {
        let found = "a decoder from scratch, which has read nothing".to_owned();
        return Err(PolicyError::Shape { key: "base", found, expected: "a pretrained decoder".into() }.into());
    };
    let config = LlamaConfig { new_tokens: 0, ..base.config().clone() };
    let policy = Policy::new(&config, pretrained.weights.tensor(), None, Trains::Nothing)?;
    let _no_grad = tch::no_grad_guard();
    let mut vectors = Matrix::zeros(texts.len(), config.hidden as usize);
    let mut empty = Vec::new();
    for (first, part) in (0..).step_by(TEXTS_AT_ONCE).zip(texts.chunks(TEXTS_AT_ONCE)) {
        let cut = |text: &String| pretrained.tokenizer.sequence(text).map(|sequence| sequence.cut(longest));
        let sequences: Vec<Sequence> = part.iter().map(cut).collect::<Result<_, _>>()?;
        let (full, without): (Vec<usize>, Vec<usize>) =
            (0..part.len()).partition(|at| sequences[*at].own.contains(&true));
        let lengths: Vec<usize> = full.iter().map(|at| sequences[*at].tokens.len()).collect();
        let mut done = first + without.len();
        empty.extend(without.into_iter().map(|at| first + at));
        for batch in micro_batches(&lengths, config.micro_batch_tokens) {
            let batch: Vec<usize> = batch.into_iter().map(|place| full[place]).collect();
            let together: Vec<&Sequence> = batch.iter().map(|at| &sequences[*at]).collect();
            let rows = pooled(&policy, &together)?;
            for (at, row) in batch.iter().zip(rows.chunks_exact(vectors.cols)) {
                refuse_infinite(&texts[first + at], row)?;
                vectors.row_mut(first + at).copy_from_slice(row);
            }
            done += batch.len();
            progress(done);
        }
    }
    vectors.normalize_rows();
    Ok(TextVectors { vectors, empty })
}

/// Means of the last states over each sequence's own tokens, `sequences * hidden`, summed in f32.
fn pooled(policy: &Policy, sequences: &[&Sequence]) -> Result<Vec<f32>, PolicyError> {
    let tokens: Vec<&[i64]> = sequences.iter().map(|sequence| sequence.tokens.as_slice()).collect();
    let states = hidden_everywhere(policy, &tokens)?.f_to_kind(Kind::Float)?;
    let positions = states.size()[1] as usize;
    let mut counts = vec![0f32; sequences.len() * positions];
    for (row, sequence) in counts.chunks_exact_mut(positions).zip(sequences) {
        for (count, own) in row.iter_mut().zip(&sequence.own) {
            *count = f32::from(u8::from(*own));
        }
    }
    let counts = Tensor::f_from_slice(&counts)?.f_reshape([sequences.len() as i64, 1, positions as i64])?;
    let counted = counts.f_sum_dim_intlist([-1i64].as_slice(), true, Kind::Float)?;
    let means = counts.f_matmul(&states)?.f_div(&counted)?;
    Ok(Vec::<f32>::try_from(&means.f_reshape([-1])?)?)
}

fn refuse_infinite(text: &str, row: &[f32]) -> Result<(), PolicyError> {
    match row.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(at) => {
            let found = format!("{} in dimension {at} of the vector of {text:?}", row[at]);
            let expected = "finite numbers; the base's weights are damaged, or too large for model.dtype".into();
            Err(PolicyError::Input { what: "item vectors of model.base", found, expected })
        }
    }
}
