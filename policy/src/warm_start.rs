//! Weights of a finished run that another goes on from, with a fresh optimiser. From scratch these are the base with its
//! adapter folded in, under a fresh adapter: the same function. A pretrained base stays what it is, and its adapter, with
//! the rows of new tokens, is taken as it is.

use crate::base_model::BaseModel;
use crate::error::PolicyError;
use crate::flat_parameters::FlatParameters;
use crate::lora::{LoraConfig, merge};
use crate::training_state::TrainingState;
use tch::Tensor;

/// What a pass begins with in the place of random weights.
#[derive(Debug)]
pub struct WarmStart {
    /// Whether the weights are those of a base from scratch, else of an adapter.
    of_scratch: bool,
    weights: Tensor,
    /// Names and shapes of them.
    layout: FlatParameters,
}

impl WarmStart {
    /// What a finished run has learned.
    ///
    /// # Errors
    /// When libtorch refuses the weights.
    pub fn of(state: &TrainingState) -> Result<Self, PolicyError> {
        let (model, lora) = (state.model(), state.lora_config());
        if state.is_pretrained() {
            return Ok(Self { of_scratch: false, weights: state.lora().copy(), layout: lora.layout(model) });
        }
        let weights = merge(model, lora, state.base(), state.lora())?;
        Ok(Self { of_scratch: true, weights, layout: model.layout() })
    }

    /// The same weights, not copied.
    pub(crate) fn shared(&self) -> Self {
        Self { of_scratch: self.of_scratch, weights: self.weights.shallow_clone(), layout: self.layout.clone() }
    }

    /// A copy of them, to be trained.
    pub(crate) fn weights(&self) -> Tensor {
        self.weights.copy()
    }

    /// Refuses weights of another shape than a run's: it says the first that differs.
    ///
    /// # Errors
    /// [`PolicyError::State`] with both.
    pub fn check(&self, base: &BaseModel, lora: LoraConfig) -> Result<(), PolicyError> {
        let expected = if base.pretrained().is_some() { lora.layout(base.config()) } else { base.config().layout() };
        let shapes = |of: &FlatParameters| -> Vec<String> {
            of.entries().iter().map(|entry| format!("{} {:?}", entry.name, entry.shape)).collect()
        };
        let (found, expected) = (shapes(&self.layout), shapes(&expected));
        let Some(at) = (0..found.len().max(expected.len())).find(|at| found.get(*at) != expected.get(*at)) else {
            return Ok(());
        };
        let show = |of: &[String]| of.get(at).cloned().unwrap_or_else(|| "nothing".to_owned());
        Err(PolicyError::State(format!(
            "warm_start.run has another model: found {}, expected {}; take a run with the same [model], [lora] and \
             semantic_id.levels and codes, or none",
            show(&found),
            show(&expected)
        )))
    }
}

impl BaseModel {
    /// The same, whose passes begin with these weights.
    pub fn going_on_from(self, start: WarmStart) -> Self {
        Self { start: Some(start), ..self }
    }
}
