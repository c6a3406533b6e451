//! What a lease asks for, as a computation for a lane.

use super::{Executor, load_state, sound};
use crate::clean::clean;
use crate::error::WorkerError;
use crate::held_out_questions::ask;
use crate::lease::{Loaded, Place, Prompts, TrainingPolicies, train};
use crate::prepare::prepare;
use crate::report::write_report;
use crate::validate::validate;
use conrec_domain::spec::RunSpec;
use conrec_domain::work::{Lease, Outcome, Pass, Work};
use conrec_policy::transformer::Policy;
use conrec_proto::message::FromWorker;
use std::sync::Arc;

/// What a lane computes.
type Computation = Box<dyn FnOnce() -> Result<Outcome, WorkerError> + Send>;

impl Executor {
    /// Prepares and reports itself; other leases go to a lane.
    pub(super) fn grant(&mut self, lease: Lease) -> Result<Option<FromWorker>, WorkerError> {
        let Lease { id, fence, work } = lease;
        let state = self.state.digest()?;
        let done = move |outcome| FromWorker::LeaseDone { fence, lease: id, state, outcome };
        match work {
            Work::Prepare => Ok(Some(done(Outcome::Prepared(prepare(&self.spec, &self.base, &self.folder)?)))),
            Work::Train { pass, stage, iteration, attempt, update, prompts, light, reserve } => {
                let asked = Prompts { scheduled: prompts, light, reserve };
                let compute = self.train_job(pass, Place { stage, attempt, iteration, update }, asked)?;
                self.lanes.submit(Box::new(move || compute().map(done)))?;
                Ok(None)
            }
            Work::Validate { from, to } => {
                let of = from as usize..to as usize;
                let compute = self.reading_job(Pass::Select, move |spec, loaded, policy| {
                    Ok(Outcome::Validated(validate(spec, (&loaded.data, loaded.validation()?), policy, of)?))
                })?;
                self.lanes.submit(Box::new(move || compute().map(done)))?;
                Ok(None)
            }
            Work::Ask { from, to } => {
                let of = from as usize..to as usize;
                let compute = self.reading_job(Pass::Select, move |_, loaded, policy| {
                    Ok(Outcome::Asked(ask(&loaded.data, loaded.questions(), policy, of)?))
                })?;
                self.lanes.submit(Box::new(move || compute().map(done)))?;
                Ok(None)
            }
            Work::Clean { pass, stage, from, to } => {
                let compute = self.reading_job(pass, move |spec, loaded, policy| {
                    Ok(Outcome::Cleaned(clean(spec, &loaded.data, policy, (stage, from..to))?))
                })?;
                self.lanes.submit(Box::new(move || compute().map(done)))?;
                Ok(None)
            }
            Work::Report { summary } => {
                self.lanes.wait();
                self.loaded = None;
                let select = summary.select_checkpoint.as_deref();
                let load = |key| load_state((&self.spec, &self.base), (&self.folder, &self.parts), key);
                let select = select.map(load).transpose()?;
                let models = (&self.base, &self.state, select.as_ref());
                write_report(&self.spec, &self.folder, models, &summary)?;
                self.check_memory()?;
                Ok(Some(done(Outcome::Reported)))
            }
        }
    }

    fn train_job(&mut self, pass: Pass, place: Place, asked: Prompts) -> Result<Computation, WorkerError> {
        let Place { stage, iteration, update, .. } = place;
        if self.open != Some(iteration) {
            // What was added for another iteration belongs to one that was dropped.
            self.lanes.wait();
            self.state.clear_sum();
            self.open = Some(iteration);
        }
        let loaded = Loaded::of(&mut self.loaded, &self.spec, &self.folder, pass)?;
        let kind = self.spec.stage.get(stage as usize).map(|stage| stage.kind);
        let kind = kind.ok_or_else(|| WorkerError::Protocol(format!("the config has no stage {stage}")))?;
        let policies = TrainingPolicies::of(&self.state, kind, update)?;
        let (spec, sum) = (Arc::clone(&self.spec), self.state.sum()?.clone());
        Ok(Box::new(move || {
            let gradient = train(&spec, &loaded.data, &policies, place, &asked)?;
            sum.accumulate(&gradient)?;
            Ok(Outcome::Trained(gradient.metrics))
        }))
    }

    /// What a lease computes from the policy as it is, which it does not change.
    fn reading_job(
        &mut self,
        pass: Pass,
        compute: impl FnOnce(&RunSpec, &Loaded, &Policy) -> Result<Outcome, WorkerError> + Send + 'static,
    ) -> Result<Computation, WorkerError> {
        let loaded = Loaded::of(&mut self.loaded, &self.spec, &self.folder, pass)?;
        let (spec, policy, watch) = (Arc::clone(&self.spec), self.state.frozen()?, self.state.watch());
        Ok(Box::new(move || {
            let outcome = compute(&spec, &loaded, &policy)?;
            sound(watch.is_unharmed()?)?;
            Ok(outcome)
        }))
    }
}
