//! The training state as the parts of a checkpoint: three safetensors files, checked tensor by tensor when read. Of a
//! pretrained base, which no stage changes, a checkpoint holds the digest only.

use crate::base_model::BaseModel;
use crate::error::PolicyError;
use crate::flat_parameters::FlatParameters;
use crate::slot::{Slot, bytes_of};
use crate::training_state::TrainingState;
use conrec_domain::ids::Digest;
use conrec_domain::spec::RunSpec;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::HashMap;
use tch::{Device, Kind, Tensor};

/// The adapter, in PEFT names.
pub const ADAPTER: &str = "adapter.safetensors";
/// The base, in Hugging Face names; of a pretrained one its digest.
pub const BASE: &str = "base.safetensors";
/// Moments, reference, best and counters; with a pretrained base the adapter of the supervised stages too.
pub const OPTIMIZER: &str = "optimizer.safetensors";

/// Name of the tensor that holds the digest of a pretrained base, as four integers.
const BASE_DIGEST: &str = "base_digest";
/// Name of the adapter that the supervised stages have left.
const SUPERVISED: &str = "supervised";

/// A named tensor as bytes.
struct Piece {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Piece {
    fn of(name: &str, tensor: &Tensor) -> Result<Self, PolicyError> {
        let dtype = if tensor.kind() == Kind::Int64 { Dtype::I64 } else { Dtype::F32 };
        let shape = tensor.size().iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect();
        Ok(Self { name: name.to_owned(), dtype, shape, bytes: bytes_of(tensor)? })
    }
}

impl TrainingState {
    /// The state as files: name and content, in the order of their names. The worker's own sum is not part of it.
    ///
    /// # Errors
    /// When a tensor cannot be copied or a file not be made.
    pub fn to_parts(&self) -> Result<Vec<(&'static str, Vec<u8>)>, PolicyError> {
        let mut optimizer = vec![
            Piece::of("best", self.best.tensor())?,
            Piece::of("counters", &Tensor::from_slice(&self.counters()))?,
            Piece::of("first_moment", self.first.tensor())?,
            Piece::of("reference", self.reference.tensor())?,
            Piece::of("second_moment", self.second.tensor())?,
        ];
        let mut base = Vec::new();
        if self.sign_words.is_some() {
            optimizer.push(Piece::of(SUPERVISED, self.supervised.tensor())?);
            base.push(Piece::of(BASE_DIGEST, &digest_tensor(self.base.digest()?))?);
        } else {
            base = pieces(&self.model.layout(), self.base.tensor())?;
        }
        if self.behaviour.tensor().numel() > 0 {
            optimizer.push(Piece::of("behaviour", self.behaviour.tensor())?);
        }
        Ok(vec![
            (ADAPTER, file(ADAPTER, &pieces(&self.lora_config.layout(&self.model), self.lora.tensor())?)?),
            (BASE, file(BASE, &base)?),
            (OPTIMIZER, file(OPTIMIZER, &optimizer)?),
        ])
    }

    /// Reads back what [`Self::to_parts`] wrote; `part` gives a file's content by its name.
    ///
    /// # Errors
    /// When a part is missing or damaged, or a tensor of it has another shape than the spec's model.
    pub fn from_parts<'a>(
        spec: &RunSpec,
        base: &BaseModel,
        part: &dyn Fn(&str) -> Option<&'a [u8]>,
    ) -> Result<Self, PolicyError> {
        let open = |name: &'static str| {
            let bytes = part(name).ok_or_else(|| PolicyError::Part { part: name, message: "is missing".into() })?;
            SafeTensors::deserialize(bytes).map_err(|e| PolicyError::Part { part: name, message: e.to_string() })
        };
        let mut state = Self::new(spec, base)?;
        let optimizer = open(OPTIMIZER)?;
        let counters = read(&optimizer, "counters", Some(&[3]))?;
        let counters = Vec::<i64>::try_from(counters)?;
        state.set_counters([counters[0], counters[1], counters[2]], spec)?;
        let lora_layout = state.lora_config.layout(&state.model);
        state.lora = Slot::new(gather(&open(ADAPTER)?, &lora_layout)?);
        if state.sign_words.is_some() {
            state.check_base(&open(BASE)?)?;
            state.supervised = Slot::new(read_one_of(&optimizer, SUPERVISED, lora_layout.len())?);
        } else {
            state.base = Slot::new(gather(&open(BASE)?, &state.model.layout())?);
        }
        let trained = state.trained_layout().len();
        state.first = Slot::new(read(&optimizer, "first_moment", Some(&[trained]))?);
        state.second = Slot::new(read(&optimizer, "second_moment", Some(&[trained]))?);
        state.reference = Slot::new(read(&optimizer, "reference", Some(&[lora_layout.len()]))?);
        if optimizer.names().contains(&"behaviour") {
            state.behaviour = Slot::new(read(&optimizer, "behaviour", Some(&[lora_layout.len()]))?);
        }
        state.best = Slot::new(read_one_of(&optimizer, "best", trained)?);
        Ok(state)
    }

    /// Refuses a checkpoint of another base: the adapter means nothing on this one.
    fn check_base(&self, part: &SafeTensors<'_>) -> Result<(), PolicyError> {
        let found = read(part, BASE_DIGEST, Some(&[4]))?;
        let own = digest_tensor(self.base.digest()?);
        if found == own {
            return Ok(());
        }
        let text = |t: &Tensor| format!("{:?}", Vec::<i64>::try_from(t).unwrap_or_default());
        let expected =
            format!("{}, of the base that was loaded: model.base is not what the run began with", text(&own));
        Err(wrong(BASE_DIGEST, text(&found), expected))
    }
}

/// A digest as four integers.
fn digest_tensor(digest: Digest) -> Tensor {
    let words: Vec<i64> = digest.0.as_chunks::<8>().0.iter().map(|word| i64::from_le_bytes(*word)).collect();
    Tensor::from_slice(&words)
}

/// A list that is empty or of this length.
fn read_one_of(file: &SafeTensors<'_>, name: &str, length: usize) -> Result<Tensor, PolicyError> {
    let found = read(file, name, None)?;
    if found.numel() == 0 || found.size() == [length as i64] {
        return Ok(found);
    }
    Err(wrong(name, format!("shape {:?}", found.size()), format!("shape [0] or [{length}]")))
}

/// A flat tensor's weights, one piece each.
fn pieces(layout: &FlatParameters, flat: &Tensor) -> Result<Vec<Piece>, PolicyError> {
    layout.entries().iter().enumerate().map(|(place, e)| Piece::of(&e.name, &layout.view(flat, place))).collect()
}

fn file(part: &'static str, pieces: &[Piece]) -> Result<Vec<u8>, PolicyError> {
    let failed = |e: safetensors::SafeTensorError| PolicyError::Part { part, message: e.to_string() };
    let views = pieces.iter().map(|p| Ok((p.name.as_str(), TensorView::new(p.dtype, p.shape.clone(), &p.bytes)?)));
    let views: Vec<(&str, TensorView<'_>)> = views.collect::<Result<_, _>>().map_err(failed)?;
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(views, Some(metadata)).map_err(failed)
}

/// One tensor of a file; its kind is that of its name (counters and digests are integers).
fn read(file: &SafeTensors<'_>, name: &str, shape: Option<&[usize]>) -> Result<Tensor, PolicyError> {
    let expected = shape.map_or_else(|| "a list of numbers".to_owned(), |s| format!("shape {s:?}"));
    let view = file.tensor(name).map_err(|_| wrong(name, "nothing".into(), expected.clone()))?;
    let integers = ["counters", BASE_DIGEST].contains(&name);
    let (dtype, kind) = if integers { (Dtype::I64, Kind::Int64) } else { (Dtype::F32, Kind::Float) };
    if view.dtype() != dtype || shape.is_some_and(|s| s != view.shape()) {
        let found = format!("{:?} of shape {:?}", view.dtype(), view.shape());
        return Err(wrong(name, found, format!("{dtype:?} of {expected}")));
    }
    // A list without numbers may claim any shape.
    let size = view.shape().iter().map(|n| i64::try_from(*n)).collect::<Result<Vec<_>, _>>();
    let size = size.map_err(|_| wrong(name, format!("shape {:?}", view.shape()), expected.clone()))?;
    if view.data().is_empty() {
        return Ok(Tensor::f_zeros(size.as_slice(), (kind, Device::Cpu))?);
    }
    Ok(Tensor::f_from_data_size(view.data(), &size, kind)?)
}

/// All weights of a layout, flat; tensors that the layout does not have are refused too.
fn gather(file: &SafeTensors<'_>, layout: &FlatParameters) -> Result<Tensor, PolicyError> {
    if let Some(name) = file.names().into_iter().filter(|n| layout.find(n).is_none()).min() {
        return Err(wrong(name, "a tensor of this name".into(), "none: the model does not have it".into()));
    }
    let parts = layout.entries().iter().map(|e| {
        let shape: Vec<usize> = e.shape.iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect();
        Ok(read(file, &e.name, Some(&shape))?.reshape([-1]))
    });
    Ok(Tensor::cat(&parts.collect::<Result<Vec<_>, PolicyError>>()?, 0))
}

fn wrong(name: &str, found: String, expected: String) -> PolicyError {
    PolicyError::Tensor { name: name.to_owned(), found, expected }
}
