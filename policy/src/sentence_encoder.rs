//! Sentence encoders in Hugging Face layout: texts to vectors (Devlin et al., 2019; Reimers and Gurevych, 2019).
//! BERT, RoBERTa, XLM-RoBERTa, DistilBERT and MPNet, with mean, first-token or maximum pooling.

mod config;
mod layers;
mod pooling;
mod tokens;
mod weights;

use crate::file_error::FileError;
use config::Encoding;
use conrec_feedback::matrix::Matrix;
use layers::Layers;
use pooling::pool;
use std::path::Path;
use tch::{Kind, TchError, Tensor};
use tokens::Tokens;

/// Texts computed together; fixed, since it decides the padding and with it the last bits.
const TEXTS_AT_A_TIME: usize = 32;

/// A loaded encoder.
pub struct SentenceEncoder {
    encoding: Encoding,
    tokens: Tokens,
    layers: Layers,
}

impl SentenceEncoder {
    /// Loads `config.json`, `tokenizer.json` and `model.safetensors` from a folder, and what `modules.json` (of
    /// sentence-transformers) says of pooling and normalisation; without it, mean pooling and none.
    ///
    /// # Errors
    /// Files that are missing, damaged or do not fit each other, and architectures or modules that are not known.
    pub fn open(folder: &Path) -> Result<Self, FileError> {
        let encoding = Encoding::read(folder)?;
        let tokens = Tokens::open(&encoding)?;
        let layers = Layers::read(&encoding)?;
        Ok(Self { encoding, tokens, layers })
    }

    /// Length of a vector.
    pub fn dimensions(&self) -> usize {
        self.encoding.shape.hidden as usize
    }

    /// One row a text. `progress` is told how many texts are done. The result depends on the texts alone as long as
    /// libtorch computes with the same number of threads.
    ///
    /// # Errors
    /// A text that cannot be tokenised, a tokenizer whose ids the model does not have, a failing tensor operation.
    pub fn encode(&self, texts: &[String], progress: &mut dyn FnMut(usize)) -> Result<Matrix, FileError> {
        let ids: Vec<Vec<i64>> = texts.iter().map(|text| self.tokens.of(text)).collect::<Result<_, _>>()?;
        // Texts of like length lie together, so that little of a batch is padding.
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|at| (ids[*at].len(), *at));
        let mut vectors = Matrix::zeros(texts.len(), self.dimensions());
        let mut done = 0;
        for part in order.chunks(TEXTS_AT_A_TIME) {
            let rows: Vec<&[i64]> = part.iter().map(|at| ids[*at].as_slice()).collect();
            let values = Vec::<f32>::try_from(&self.vectors(&rows)?.f_reshape([-1])?)?;
            for (at, row) in part.iter().zip(values.chunks_exact(vectors.cols)) {
                vectors.row_mut(*at).copy_from_slice(row);
            }
            done += part.len();
            progress(done);
        }
        Ok(vectors)
    }

    /// Vectors `[texts, hidden]` of token lists.
    fn vectors(&self, rows: &[&[i64]]) -> Result<Tensor, TchError> {
        let _no_grad = tch::no_grad_guard();
        let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0).max(1);
        let padding = self.encoding.shape.padding;
        let mut flat = Vec::with_capacity(rows.len() * longest);
        let mut mask = Vec::with_capacity(rows.len() * longest);
        for row in rows {
            flat.extend(row.iter().copied().chain(std::iter::repeat(padding)).take(longest));
            mask.extend((0..longest).map(|at| if at < row.len() { 1f32 } else { 0.0 }));
        }
        let shape = [rows.len() as i64, longest as i64];
        let ids = Tensor::f_from_slice(&flat)?.f_reshape(shape)?;
        let mask = Tensor::f_from_slice(&mask)?.f_reshape(shape)?;
        let states = self.layers.forward(&ids, &mask)?;
        let vectors = pool(self.encoding.pooling, &states, &mask)?;
        if !self.encoding.normalise {
            return Ok(vectors);
        }
        let lengths = vectors.f_square()?.f_sum_dim_intlist([-1i64].as_slice(), true, Kind::Float)?.f_sqrt()?;
        vectors.f_div(&lengths.f_clamp_min(1e-12)?)
    }
}
