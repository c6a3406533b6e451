//! What the curriculum does to the training state between two iterations: begin a pass or a stage, keep and restore the
//! best. Every worker makes the same changes in the same order.

use crate::error::PolicyError;
use crate::new_rows::{Noise, write_initial_rows};
use crate::slot::Slot;
use crate::training_state::{TrainingState, trained_in};
use crate::transformer::Trains;
use conrec_domain::spec::{RunSpec, StageKind};
use conrec_domain::work::{Pass, StateChange};
use std::cell::OnceCell;
use tch::{Device, Kind, Tensor};

impl TrainingState {
    /// Makes one of the curriculum's changes.
    ///
    /// # Errors
    /// For a stage that the spec does not have, and for changes out of order.
    pub fn apply(&mut self, change: StateChange, spec: &RunSpec) -> Result<(), PolicyError> {
        match change {
            StateChange::BeginPass { pass } => self.begin_pass(pass, spec),
            StateChange::BeginStage { stage } => self.begin_stage(stage, spec),
            StateChange::BeginRollout => {
                let kind = self.stage.and_then(|stage| spec.stage.get(stage as usize)).map(|stage| stage.kind);
                if kind.is_none_or(StageKind::is_supervised) {
                    return Err(PolicyError::State("a rollout begins, but no GRPO stage has begun".into()));
                }
                self.behaviour = self.lora.copied();
                Ok(())
            }
            StateChange::KeepBest => {
                let (trained, length) = (self.trained()?, self.trained_layout().len());
                let whole = trained.tensor().numel() == length;
                let part = || Slot::new(trained.tensor().narrow(0, 0, length as i64).copy());
                self.best = if whole { trained.copied() } else { part() };
                Ok(())
            }
            StateChange::RestoreBest => self.restore_best(),
        }
    }

    fn begin_pass(&mut self, pass: Pass, spec: &RunSpec) -> Result<(), PolicyError> {
        let mut adapter = self.lora_config.initial_weights(&self.model, spec.seed, pass);
        match (&self.sign_words, &self.start) {
            (None, None) => self.base = Slot::new(self.model.initial_weights(spec.seed, pass, spec.model.init_std)),
            (None, Some(start)) => self.base = Slot::new(start.weights()),
            (Some(_), Some(start)) => adapter = start.weights(),
            (Some(words), None) => {
                let noise = Noise { seed: spec.seed, pass, std: spec.model.new_row_std };
                let layout = self.lora_config.layout(&self.model);
                write_initial_rows((&self.model, self.base.tensor()), (&layout, &adapter), words.as_slice(), noise)?;
            }
        }
        self.lora = Slot::new(adapter);
        self.reference = self.lora.copied();
        self.supervised = nothing();
        self.pass = Some(pass);
        self.stage = None;
        self.trains = Trains::Nothing;
        self.reset_optimizer(spec)
    }

    fn begin_stage(&mut self, stage: u32, spec: &RunSpec) -> Result<(), PolicyError> {
        if self.pass.is_none() {
            return Err(PolicyError::State(format!("stage {stage} begins, but no pass has begun")));
        }
        self.trains = trained_in(spec, stage)?;
        self.stage = Some(stage);
        if self.sign_words.is_some() {
            let supervised = spec.stage.get(stage as usize).is_some_and(|of| of.kind.is_supervised());
            if supervised {
                self.supervised = nothing();
            } else if self.supervised.tensor().numel() == 0 {
                self.supervised = self.lora.copied();
            }
        }
        self.reference = self.lora.copied();
        self.reset_optimizer(spec)
    }

    fn restore_best(&mut self) -> Result<(), PolicyError> {
        let (whole, length) = (self.trained()?.tensor().numel(), self.trained_layout().len());
        if self.best.tensor().numel() != length {
            return Err(PolicyError::State("the best is to be restored, but none was kept in this stage".into()));
        }
        if self.trains == Trains::Base {
            self.base = self.best.copied();
            self.reference_weights = OnceCell::new();
        } else if whole == length {
            self.lora = self.best.copied();
        } else {
            self.lora.change().narrow(0, 0, length as i64).f_copy_(self.best.tensor())?;
        }
        Ok(())
    }
}

/// A slot that holds nothing.
fn nothing() -> Slot {
    Slot::new(Tensor::zeros([0], (Kind::Float, Device::Cpu)))
}
