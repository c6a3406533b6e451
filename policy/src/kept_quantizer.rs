//! A fitted quantizer with what makes the vectors that it was fitted on, as one safetensors file: items that come later get
//! codes of the same meaning.

use crate::atomic_write::write_atomically;
use crate::file_error::FileError;
use crate::quantizer::Fitted;
use crate::residual_k_means::ResidualKMeans;
use crate::rq_vae::{AUTOENCODER_TENSORS, TrainedRqVae};
use conrec_feedback::matrix::Matrix;
use conrec_feedback::tf_idf::{TextFeatures, TextParts};
use conrec_feedback::vectorizer::{Content, Vectorizer};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::path::Path;
use tch::Tensor;

/// A quantizer that items of later runs are put through.
pub struct KeptQuantizer {
    /// What makes vectors.
    pub vectorizer: Vectorizer,
    /// What makes codes of them.
    pub fitted: Fitted,
}

/// A tensor as it stands in the file.
struct Piece {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Piece {
    fn floats(name: &str, shape: &[usize], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { name: name.to_owned(), dtype: Dtype::F32, shape: shape.to_vec(), bytes }
    }

    fn doubles(name: &str, shape: &[usize], values: &[f64]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { name: name.to_owned(), dtype: Dtype::F64, shape: shape.to_vec(), bytes }
    }

    fn number(name: &str, value: usize) -> Self {
        let bytes = (value as i64).to_le_bytes().to_vec();
        Self { name: name.to_owned(), dtype: Dtype::I64, shape: vec![1], bytes }
    }
}

impl KeptQuantizer {
    /// Writes the file; the same quantizer gives the same bytes.
    ///
    /// # Errors
    /// A tensor that cannot be read, a file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let mut pieces = vec![Piece::number("interactions", self.vectorizer.interactions)];
        match &self.vectorizer.content {
            Content::Given { mean } => pieces.push(Piece::floats("mean", &[mean.len()], mean)),
            Content::Text(features) => {
                let TextParts { words, idf, components, dimensions } = features.parts();
                let text = words.join("\n").into_bytes();
                pieces.push(Piece { name: "words".into(), dtype: Dtype::U8, shape: vec![text.len()], bytes: text });
                pieces.push(Piece::doubles("idf", &[idf.len()], &idf));
                pieces.push(Piece::doubles("components", &[components.len()], &components));
                pieces.push(Piece::number("text_dimensions", dimensions));
            }
        }
        if let Fitted::RqVae(trained) = &self.fitted {
            for (at, tensor) in trained.autoencoder().iter().enumerate() {
                let shape: Vec<usize> = tensor.size().iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect();
                let values = Vec::<f32>::try_from(&tensor.f_detach()?.f_reshape([-1])?)?;
                pieces.push(Piece::floats(&format!("autoencoder.{at}"), &shape, &values));
            }
        }
        for (level, book) in self.fitted.codebooks().iter().enumerate() {
            pieces.push(Piece::floats(&format!("codebook.{level}"), &[book.rows, book.cols], &book.data));
        }
        let mut views = Vec::with_capacity(pieces.len());
        for piece in &pieces {
            let view = TensorView::new(piece.dtype, piece.shape.clone(), &piece.bytes);
            views.push((piece.name.as_str(), view.map_err(|e| FileError::malformed(path, e))?));
        }
        let file = safetensors::serialize(views, None).map_err(|e| FileError::malformed(path, e))?;
        write_atomically(path, &file)
    }

    /// Reads what [`Self::write`] wrote.
    ///
    /// # Errors
    /// A file that is missing, damaged, or holds something else.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let bytes = std::fs::read(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
        Kept { path, tensors: SafeTensors::deserialize(&bytes).map_err(|e| FileError::malformed(path, e))? }.whole()
    }
}

/// A file that is being read.
struct Kept<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
}

impl Kept<'_> {
    fn whole(&self) -> Result<KeptQuantizer, FileError> {
        let content = if self.has("words") {
            let words = String::from_utf8(self.view("words", Dtype::U8)?.data().to_vec());
            let words = words.map_err(|e| FileError::malformed(self.path, e))?;
            let parts = TextParts {
                words: words.lines().map(str::to_owned).collect(),
                idf: self.doubles("idf")?,
                components: self.doubles("components")?,
                dimensions: self.number("text_dimensions")?,
            };
            let together = || FileError::malformed(self.path, "words, idf and components do not belong together");
            Content::Text(TextFeatures::from_parts(parts).ok_or_else(together)?)
        } else {
            Content::Given { mean: self.floats("mean")?.1 }
        };
        let vectorizer = Vectorizer { content, interactions: self.number("interactions")? };
        let mut codebooks = Vec::new();
        while self.has(&format!("codebook.{}", codebooks.len())) {
            let name = format!("codebook.{}", codebooks.len());
            let (shape, data) = self.floats(&name)?;
            let [rows, cols] = shape[..] else { return Err(self.wrong(&name, &shape, "rows and columns")) };
            codebooks.push(Matrix { rows, cols, data });
        }
        let same = codebooks.windows(2).all(|pair| pair[0].cols == pair[1].cols);
        if codebooks.is_empty() || !same {
            return Err(FileError::malformed(self.path, "no codebooks of one width"));
        }
        if !self.has("autoencoder.0") {
            let fitted = Fitted::ResidualKMeans(ResidualKMeans { codebooks, input_error: Vec::new() });
            return Ok(KeptQuantizer { vectorizer, fitted });
        }
        let mut parameters = Vec::new();
        for at in 0..AUTOENCODER_TENSORS {
            let (shape, values) = self.floats(&format!("autoencoder.{at}"))?;
            let shape: Vec<i64> = shape.iter().map(|n| i64::try_from(*n).unwrap_or(i64::MAX)).collect();
            parameters.push(Tensor::f_from_slice(&values)?.f_reshape(shape.as_slice())?);
        }
        let trained = TrainedRqVae::of(parameters, codebooks).map_err(|e| FileError::malformed(self.path, e))?;
        Ok(KeptQuantizer { vectorizer, fitted: Fitted::RqVae(trained) })
    }

    fn has(&self, name: &str) -> bool {
        self.tensors.tensor(name).is_ok()
    }

    fn view(&self, name: &str, kind: Dtype) -> Result<TensorView<'_>, FileError> {
        let wrong = |found: String| FileError::Tensor {
            path: self.path.to_owned(),
            name: name.to_owned(),
            found,
            expected: format!("{kind:?}"),
        };
        let view = self.tensors.tensor(name).map_err(|_| wrong("no such tensor".into()))?;
        if view.dtype() == kind { Ok(view) } else { Err(wrong(format!("{:?}", view.dtype()))) }
    }

    fn wrong(&self, name: &str, shape: &[usize], expected: &str) -> FileError {
        let (path, name) = (self.path.to_owned(), name.to_owned());
        FileError::Tensor { path, name, found: format!("shape {shape:?}"), expected: expected.to_owned() }
    }

    fn floats(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>), FileError> {
        let view = self.view(name, Dtype::F32)?;
        let values: Vec<f32> = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        match values.iter().all(|value| value.is_finite()) {
            true => Ok((view.shape().to_vec(), values)),
            false => Err(FileError::malformed(self.path, format!("{name} holds values that are not finite"))),
        }
    }

    fn doubles(&self, name: &str) -> Result<Vec<f64>, FileError> {
        let view = self.view(name, Dtype::F64)?;
        Ok(view.data().as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
    }

    /// A count below a million: larger ones are damage.
    fn number(&self, name: &str) -> Result<usize, FileError> {
        let view = self.view(name, Dtype::I64)?;
        let value = view.data().as_chunks::<8>().0.first().map_or(-1, |bytes| i64::from_le_bytes(*bytes));
        let known = usize::try_from(value).ok().filter(|value| *value < 1_000_000);
        known.ok_or_else(|| self.wrong(name, view.shape(), "one count below a million"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rq_vae::RqVaeInput;
    use conrec_domain::spec::{Quantizer, SemanticIdSpec};
    use conrec_feedback::dataset::{Dataset, Item};

    fn items() -> Vec<Item> {
        (0..40)
            .map(|i| Item {
                key: format!("i{i}"),
                title: format!("part {} of {}", i % 5, i % 7),
                year: Some(1990 + i % 9),
                categories: vec![["Drama", "War", "Comedy"][usize::from(i % 3)].into()],
            })
            .collect()
    }

    #[test]
    fn what_is_read_back_gives_the_same_codes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("quantizer.safetensors");
        let dataset = Dataset { items: items(), ..Dataset::default() };
        let candidates: Vec<u32> = (0..30).collect();
        let features = TextFeatures::fit(&dataset.items, &candidates, 8, 1);
        let vectorizer = Vectorizer { content: Content::Text(features), interactions: 3 };
        let vectors = vectorizer.transform(&dataset).unwrap();
        let spec =
            SemanticIdSpec { levels: 2, codes: 5, hidden: 16, latent: 4, epochs: 3, ..SemanticIdSpec::default() };
        for kind in [Quantizer::RqVae, Quantizer::ResidualKMeans] {
            let input = RqVaeInput { spec: &spec, seed: 7, vectors: &vectors, candidates: &candidates };
            let fitted = Fitted::fit(kind, &input, &mut |_| {}).unwrap();
            let expected = fitted.assign(&vectors).unwrap();
            let kept = KeptQuantizer { vectorizer: vectorizer.clone(), fitted };
            kept.write(&file).unwrap();
            let read = KeptQuantizer::read(&file).unwrap();
            assert_eq!(read.vectorizer.transform(&dataset).unwrap(), vectors);
            assert_eq!(read.fitted.assign(&vectors).unwrap(), expected);
            assert_eq!(read.fitted.codebooks(), kept.fitted.codebooks());
        }
    }

    #[test]
    fn damage_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("quantizer.safetensors");
        std::fs::write(&file, b"no tensors").unwrap();
        assert!(KeptQuantizer::read(&file).is_err());
        let book = Matrix { rows: 2, cols: 2, data: vec![0.0, 1.0, 2.0, f32::NAN] };
        let fitted = Fitted::ResidualKMeans(ResidualKMeans { codebooks: vec![book], input_error: Vec::new() });
        let vectorizer = Vectorizer { content: Content::Given { mean: Vec::new() }, interactions: 0 };
        KeptQuantizer { vectorizer, fitted }.write(&file).unwrap();
        let error = KeptQuantizer::read(&file).err().unwrap().to_string();
        assert!(error.contains("codebook.0"), "{error}");
    }
}
