//! The training state as the parts of a checkpoint: three safetensors files, checked tensor by tensor when read.

use crate::error::PolicyError;
use crate::flat_parameters::FlatParameters;
use crate::slot::{Slot, bytes_of};
use crate::training_state::TrainingState;
use conrec_domain::spec::RunSpec;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::HashMap;
use tch::{Device, Kind, Tensor};

/// The adapter, in PEFT names.
pub const ADAPTER: &str = "adapter.safetensors";
/// The base, in Hugging Face names.
pub const BASE: &str = "base.safetensors";
/// Moments, reference, best and counters.
pub const OPTIMIZER: &str = "optimizer.safetensors";

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
        if self.behaviour.tensor().numel() > 0 {
            optimizer.push(Piece::of("behaviour", self.behaviour.tensor())?);
        }
        Ok(vec![
            (ADAPTER, file(ADAPTER, &pieces(&self.lora_config.layout(&self.model), self.lora.tensor())?)?),
            (BASE, file(BASE, &pieces(&self.model.layout(), self.base.tensor())?)?),
            (OPTIMIZER, file(OPTIMIZER, &optimizer)?),
        ])
    }

    /// Reads back what [`Self::to_parts`] wrote; `part` gives a file's content by its name.
    ///
    /// # Errors
    /// When a part is missing or damaged, or a tensor of it has another shape than the spec's model.
    pub fn from_parts<'a>(
        spec: &RunSpec,
        vocab: usize,
        part: &dyn Fn(&str) -> Option<&'a [u8]>,
    ) -> Result<Self, PolicyError> {
        let open = |name: &'static str| {
            let bytes = part(name).ok_or_else(|| PolicyError::Part { part: name, message: "is missing".into() })?;
            SafeTensors::deserialize(bytes).map_err(|e| PolicyError::Part { part: name, message: e.to_string() })
        };
        let mut state = Self::new(spec, vocab)?;
        let optimizer = open(OPTIMIZER)?;
        let counters = read(&optimizer, "counters", Some(&[3]))?;
        let counters = Vec::<i64>::try_from(counters)?;
        state.set_counters([counters[0], counters[1], counters[2]], spec)?;
        let lora_layout = state.lora_config.layout(&state.model);
        state.lora = Slot::new(gather(&open(ADAPTER)?, &lora_layout)?);
        state.base = Slot::new(gather(&open(BASE)?, &state.model.layout())?);
        let trained = state.trained_layout().len();
        state.first = Slot::new(read(&optimizer, "first_moment", Some(&[trained]))?);
        state.second = Slot::new(read(&optimizer, "second_moment", Some(&[trained]))?);
        state.reference = Slot::new(read(&optimizer, "reference", Some(&[lora_layout.len()]))?);
        if optimizer.names().contains(&"behaviour") {
            state.behaviour = Slot::new(read(&optimizer, "behaviour", Some(&[lora_layout.len()]))?);
        }
        let best = read(&optimizer, "best", None)?;
        if best.numel() != 0 && best.numel() != trained {
            return Err(wrong("best", format!("shape {:?}", best.size()), format!("shape [0] or [{trained}]")));
        }
        state.best = Slot::new(best);
        Ok(state)
    }
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

/// One tensor of a file; its kind is that of its name (counters are integers).
fn read(file: &SafeTensors<'_>, name: &str, shape: Option<&[usize]>) -> Result<Tensor, PolicyError> {
    let expected = shape.map_or_else(|| "a list of numbers".to_owned(), |s| format!("shape {s:?}"));
    let view = file.tensor(name).map_err(|_| wrong(name, "nothing".into(), expected.clone()))?;
    let (dtype, kind) = if name == "counters" { (Dtype::I64, Kind::Int64) } else { (Dtype::F32, Kind::Float) };
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
