//! All that a run learns: base, adapter, moments, reference, best. It changes by commits and by the curriculum's
//! state changes, in the same way on every worker, and its digest says so. It lies on the host; policies get copies of
//! it on the device that they compute on.

use crate::adamw::{Moments, adamw};
use crate::base_model::BaseModel;
use crate::device::device_of;
use crate::error::PolicyError;
use crate::exact_sum::ExactSum;
use crate::flat_parameters::FlatParameters;
use crate::llama::LlamaConfig;
use crate::lora::{LoraConfig, merge};
use crate::shared_sum::SharedSum;
use crate::slot::Slot;
use crate::transformer::{Adapter, Policy, Trains};
use crate::warm_start::WarmStart;
use conrec_domain::ids::Digest;
use conrec_domain::spec::{OptimizerSpec, RunSpec};
use conrec_domain::work::Pass;
use sha2::{Digest as _, Sha256};
use std::cell::OnceCell;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// Memory that is compared with what was noted of it.
#[derive(Debug)]
pub struct Watch(Vec<Slot>);

impl Watch {
    /// Whether it still holds that.
    ///
    /// # Errors
    /// When libtorch cannot read a tensor.
    pub fn is_unharmed(&self) -> Result<bool, PolicyError> {
        all_unharmed(self.0.iter())
    }
}

fn all_unharmed<'a>(mut slots: impl Iterator<Item = &'a Slot>) -> Result<bool, PolicyError> {
    slots.try_fold(true, |sound, slot| Ok(sound && slot.is_unharmed()?))
}

/// The state that every worker of a roster holds alike.
#[derive(Debug)]
pub struct TrainingState {
    /// Where its policies compute.
    device: Device,
    pub(crate) model: LlamaConfig,
    pub(crate) lora_config: LoraConfig,
    /// Tokens of each sign's words; none where the base is trained from scratch. With them `base` never changes.
    pub(crate) sign_words: Option<Arc<[Vec<i64>; 3]>>,
    /// The pass, once one has begun.
    pub(crate) pass: Option<Pass>,
    /// The stage, once one has begun.
    pub(crate) stage: Option<u32>,
    pub(crate) trains: Trains,
    pub(crate) base: Slot,
    pub(crate) lora: Slot,
    pub(crate) first: Slot,
    pub(crate) second: Slot,
    pub(crate) updates: u64,
    /// The adapter at the start of the stage.
    pub(crate) reference: Slot,
    /// The base with that adapter folded in, made when it is first asked for: no adapter to compute beside it.
    pub(crate) reference_weights: OnceCell<Slot>,
    /// The adapter at the start of a rollout that serves several updates; empty where there is none.
    pub(crate) behaviour: Slot,
    /// What trains, as it was at the stage's best; as long as what trains, or empty.
    pub(crate) best: Slot,
    /// The adapter of a pretrained base at the end of the supervised stages; empty before, and from scratch.
    pub(crate) supervised: Slot,
    /// Whether policies that train compute activations of prompts again.
    recomputes: bool,
    pub(crate) sum: SharedSum,
    /// Weights of another run that passes begin with.
    pub(crate) start: Option<WarmStart>,
}

impl TrainingState {
    /// The state before the first pass: all weights are 0, but for those of a pretrained base.
    ///
    /// # Errors
    /// When the spec's adapter has no valid shape.
    pub fn new(spec: &RunSpec, base: &BaseModel) -> Result<Self, PolicyError> {
        let model = base.config.clone();
        let lora_config = LoraConfig::new(&spec.lora)?;
        let zeros = |length: usize| Slot::new(Tensor::zeros([length as i64], (Kind::Float, Device::Cpu)));
        let of_base = || zeros(model.layout().len());
        Ok(Self {
            device: device_of(spec.cluster.device),
            base: base.pretrained.as_ref().map_or_else(of_base, |of| of.weights.watched()),
            sign_words: base.pretrained.as_ref().map(|of| Arc::clone(&of.sign_words)),
            lora: zeros(lora_config.layout(&model).len()),
            reference: zeros(lora_config.layout(&model).len()),
            reference_weights: OnceCell::new(),
            first: zeros(0),
            second: zeros(0),
            behaviour: zeros(0),
            best: zeros(0),
            supervised: zeros(0),
            recomputes: spec.model.gradient_checkpointing,
            updates: 0,
            pass: None,
            stage: None,
            trains: Trains::Nothing,
            sum: SharedSum::new(ExactSum::new(0, spec.optimizer.exact_sum_bits, 1), FlatParameters::default()),
            start: base.start.as_ref().map(WarmStart::shared),
            model,
            lora_config,
        })
    }

    /// What the stage trains with: gradients on for its part of the weights.
    ///
    /// # Errors
    /// When no stage has begun, or the device takes no copy of the weights.
    pub fn policy(&self) -> Result<Policy, PolicyError> {
        self.trained()?;
        let adapter = if self.trains == Trains::Base { None } else { Some(self.adapter(&self.lora)?) };
        let policy = Policy::new(&self.model, self.base.on(self.device)?, adapter, self.trains)?;
        Ok(policy.recomputing(self.recomputes))
    }

    /// The policy at the start of a GRPO stage: the base with the adapter as it was then, folded in where the base is one
    /// from scratch. A pretrained base is not copied for that.
    ///
    /// # Errors
    /// When the device takes no copy of the weights.
    pub fn reference(&self) -> Result<Policy, PolicyError> {
        if self.sign_words.is_some() {
            let adapter = self.adapter(&self.reference)?;
            return Policy::new(&self.model, self.base.on(self.device)?, Some(adapter), Trains::Nothing);
        }
        let weights = match self.reference_weights.get() {
            Some(weights) => weights,
            None => {
                let merged = merge(&self.model, self.lora_config, self.base.tensor(), self.reference.tensor())?;
                let merged = Slot::new(merged);
                merged.digest()?;
                self.reference_weights.get_or_init(|| merged)
            }
        };
        Policy::new(&self.model, weights.on(self.device)?, None, Trains::Nothing)
    }

    /// The policy that samples for all updates of the rollout at hand, without gradients.
    ///
    /// # Errors
    /// When none has begun, or the device takes no copy of the weights.
    pub fn behaviour(&self) -> Result<Policy, PolicyError> {
        if self.behaviour.tensor().numel() == 0 {
            return Err(PolicyError::State("a rollout is gone on with, but none has begun".into()));
        }
        let adapter = Adapter { config: self.lora_config, flat: self.behaviour.on(self.device)? };
        Policy::new(&self.model, self.base.on(self.device)?, Some(adapter), Trains::Nothing)
    }

    /// The policy as it is now, without gradients: for validation and evaluation.
    ///
    /// # Errors
    /// When the device takes no copy of the weights.
    pub fn frozen(&self) -> Result<Policy, PolicyError> {
        Policy::new(&self.model, self.base.on(self.device)?, Some(self.adapter(&self.lora)?), Trains::Nothing)
    }

    /// What the supervised stages have learned: the base alone, or a pretrained one with the adapter as they left it.
    ///
    /// # Errors
    /// When the device takes no copy of the weights.
    pub fn supervised(&self) -> Result<Policy, PolicyError> {
        let adapter = match &self.sign_words {
            None => None,
            Some(_) if self.supervised.tensor().numel() == 0 => Some(self.adapter(&self.lora)?),
            Some(_) => Some(self.adapter(&self.supervised)?),
        };
        Policy::new(&self.model, self.base.on(self.device)?, adapter, Trains::Nothing)
    }

    /// Whether the policy is still what the supervised stages have left: no GRPO stage has changed the adapter.
    pub fn is_as_supervised(&self) -> bool {
        if self.sign_words.is_some() {
            let left = self.supervised.tensor();
            return left.numel() == 0 || left == self.lora.tensor();
        }
        let layout = self.lora_config.layout(&self.model);
        let mut entries = layout.entries().iter().enumerate();
        entries.all(|(place, entry)| {
            let weight = || layout.view(self.lora.tensor(), place);
            !entry.name.contains("lora_B") || weight().count_nonzero(None).int64_value(&[]) == 0
        })
    }

    /// The decoder's shape.
    pub fn model(&self) -> &LlamaConfig {
        &self.model
    }

    /// Whether its base is a pretrained one, which nothing changes.
    pub fn is_pretrained(&self) -> bool {
        self.sign_words.is_some()
    }

    /// The adapter's shape.
    pub fn lora_config(&self) -> LoraConfig {
        self.lora_config
    }

    /// All weights of the base, flat.
    pub fn base(&self) -> &Tensor {
        self.base.tensor()
    }

    /// All weights of the adapter, flat.
    pub fn lora(&self) -> &Tensor {
        self.lora.tensor()
    }

    /// This worker's exact sum: leases add to it from any thread, in any order.
    ///
    /// # Errors
    /// When no stage has begun.
    pub fn sum(&self) -> Result<&SharedSum, PolicyError> {
        self.trained()?;
        Ok(&self.sum)
    }

    /// Forgets this worker's sum: a new roster begins the iteration anew.
    pub fn clear_sum(&self) {
        self.sum.clear();
    }

    /// Applies the optimiser to the mean of the reduced sum and clears this worker's own. Returns the mean gradient's
    /// norm before clipping.
    ///
    /// # Errors
    /// When `reduced` does not fit what trains, or the divisor is 0.
    pub fn commit(
        &mut self,
        reduced: &Tensor,
        divisor: u64,
        learning_rate: f64,
        spec: &OptimizerSpec,
    ) -> Result<f64, PolicyError> {
        self.trained()?;
        let mean = self.sum.mean(reduced, divisor)?;
        let mut moments = Moments {
            first: self.first.change().shallow_clone(),
            second: self.second.change().shallow_clone(),
            updates: self.updates,
        };
        let length = moments.first.numel() as i64;
        let slot = if self.trains == Trains::Base { &mut self.base } else { &mut self.lora };
        // What trains comes first in its tensor: rows of new tokens that do not train stay out.
        let norm = adamw(spec, &mut slot.change().narrow(0, 0, length), &mut moments, &mean, learning_rate)?;
        self.updates = moments.updates;
        if self.trains == Trains::Base {
            self.reference_weights = OnceCell::new();
        }
        self.sum.clear();
        Ok(norm)
    }

    /// SHA-256 over the digests of all tensors and the counters. Equal digests mean equal states.
    ///
    /// # Errors
    /// When libtorch cannot copy a tensor.
    pub fn digest(&self) -> Result<Digest, PolicyError> {
        let mut hash = Sha256::new();
        for slot in self.slots() {
            hash.update(slot.digest()?.0);
        }
        for counter in self.counters() {
            hash.update(counter.to_le_bytes());
        }
        Ok(Digest(hash.finalize().into()))
    }

    /// Whether the memory of all tensors, the reference's folded weights among them, still holds what their digests were
    /// taken of. To be asked before anything that was computed from them leaves this worker: a digest alone says what
    /// they were, not what they are.
    ///
    /// # Errors
    /// When libtorch cannot read a tensor.
    pub fn is_unharmed(&self) -> Result<bool, PolicyError> {
        all_unharmed(self.slots().chain(self.reference_weights.get()))
    }

    /// The policy's weights, to be looked at from another thread while nothing changes them.
    pub fn watch(&self) -> Watch {
        Watch(vec![self.base.watched(), self.lora.watched()])
    }

    /// A state without a rollout at hand has the digest that it would have if there were no such thing.
    fn slots(&self) -> impl Iterator<Item = &Slot> {
        let always = [&self.base, &self.lora, &self.first, &self.second, &self.reference, &self.best];
        let supervised = self.sign_words.iter().map(|_| &self.supervised);
        let behaviour = Some(&self.behaviour).filter(|slot| slot.tensor().numel() > 0);
        always.into_iter().chain(supervised).chain(behaviour)
    }

    /// Updates made, pass and stage as numbers (0: none yet).
    pub(crate) fn counters(&self) -> [i64; 3] {
        let pass = match self.pass {
            None => 0,
            Some(Pass::Select) => 1,
            Some(Pass::Refit) => 2,
        };
        [self.updates as i64, pass, self.stage.map_or(0, |s| i64::from(s) + 1)]
    }

    /// Sets what [`Self::counters`] gave; the stage decides what trains.
    pub(crate) fn set_counters(&mut self, counters: [i64; 3], spec: &RunSpec) -> Result<(), PolicyError> {
        let wrong = || PolicyError::State(format!("counters {counters:?}: expected updates, pass 0 to 2, stage"));
        let [updates, pass, stage] = counters;
        let updates = u64::try_from(updates).map_err(|_| wrong())?;
        self.pass = [None, Some(Pass::Select), Some(Pass::Refit)]
            .get(usize::try_from(pass).map_err(|_| wrong())?)
            .copied()
            .ok_or_else(wrong)?;
        self.stage = if stage == 0 { None } else { Some(u32::try_from(stage.saturating_sub(1)).map_err(|_| wrong())?) };
        self.trains = self.stage.map_or(Ok(Trains::Nothing), |s| trained_in(spec, s))?;
        self.reset_optimizer(spec)?;
        self.updates = updates;
        Ok(())
    }

    fn adapter<'a>(&self, flat: &'a Slot) -> Result<Adapter<'a>, PolicyError> {
        Ok(Adapter { config: self.lora_config, flat: flat.on(self.device)? })
    }

    /// Names, shapes and places of what trains.
    pub fn trained_layout(&self) -> FlatParameters {
        match self.trains {
            Trains::Base => self.model.layout(),
            Trains::Lora => self.lora_config.factors(&self.model),
            Trains::Adapter => self.lora_config.layout(&self.model),
            Trains::Nothing => FlatParameters::default(),
        }
    }

    /// The tensor that holds what trains, at its beginning.
    pub(crate) fn trained(&self) -> Result<&Slot, PolicyError> {
        match self.trains {
            Trains::Base => Ok(&self.base),
            Trains::Lora | Trains::Adapter => Ok(&self.lora),
            Trains::Nothing => Err(PolicyError::State("no stage has begun: nothing trains".into())),
        }
    }

    /// Zero moments and an empty sum for what trains; no best.
    pub(crate) fn reset_optimizer(&mut self, spec: &RunSpec) -> Result<(), PolicyError> {
        let length = self.trained_layout().len();
        let moments = Moments::zeros(length);
        self.first = Slot::new(moments.first);
        self.second = Slot::new(moments.second);
        self.updates = 0;
        self.reference_weights = OnceCell::new();
        let empty = || Slot::new(Tensor::zeros([0], (Kind::Float, Device::Cpu)));
        (self.behaviour, self.best) = (empty(), empty());
        let leases = match self.stage {
            None => 1,
            Some(stage) => {
                let stage = spec.stage.get(stage as usize).ok_or_else(|| unknown_stage(spec, stage))?;
                u64::from(stage.prompts.div_ceil(stage.prompts_per_lease.max(1)))
            }
        };
        let empty = ExactSum::new(length, spec.optimizer.exact_sum_bits, leases);
        self.sum = SharedSum::new(empty, self.trained_layout());
        Ok(())
    }
}

/// What a stage trains: all weights of a base from scratch in supervised stages, else the adapter, in GRPO with the rows
/// of new tokens or without.
pub(crate) fn trained_in(spec: &RunSpec, stage: u32) -> Result<Trains, PolicyError> {
    let of = spec.stage.get(stage as usize).ok_or_else(|| unknown_stage(spec, stage))?;
    Ok(match (spec.model.is_pretrained(), of.kind.is_supervised()) {
        (false, true) => Trains::Base,
        (true, true) => Trains::Adapter,
        (true, false) if spec.model.rows_in_grpo => Trains::Adapter,
        (_, false) => Trains::Lora,
    })
}

fn unknown_stage(spec: &RunSpec, stage: u32) -> PolicyError {
    PolicyError::State(format!("stage {stage} of a run with {} stages", spec.stage.len()))
}
