//! The rows of one part: beam search for users with negatives, popular cells for the others.

use super::job::WithoutNegatives;
use crate::error::WorkerError;
use crate::pass_data::PassData;
use crate::stored_run::StoredRun;
use conrec_domain::spec::RunSpec;
use conrec_feedback::cell_popularity::CellPopularity;
use conrec_feedback::evaluation::excluded_items;
use conrec_feedback::event::Sign;
use conrec_feedback::instance::Instance;
use conrec_feedback::predict_sets::{PredictRow, RowSource};
use conrec_feedback::semantic_id::SemanticIds;
use conrec_feedback::training_time::TrainingTime;
use conrec_policy::beam_search::{Beam, BeamSearch};
use conrec_policy::micro_batch::micro_batches;
use conrec_policy::transformer::Policy;

/// All that parts are computed from.
pub(super) struct Predicting<'a> {
    spec: &'a RunSpec,
    data: &'a PassData,
    policy: Policy,
    popular: CellPopularity,
    at: i64,
    without_negatives: WithoutNegatives,
}

impl<'a> Predicting<'a> {
    /// Takes the run's final policy, and for the fallback the negatives before the moment.
    ///
    /// # Errors
    /// A state that makes no policy.
    pub fn new(
        stored: &'a StoredRun,
        data: &'a PassData,
        (at, without_negatives): (i64, WithoutNegatives),
    ) -> Result<Self, WorkerError> {
        let spec = &stored.spec;
        let known = TrainingTime::new(&data.prepared.dataset, at);
        let popular = CellPopularity::fit(&known, &data.prepared.ids, spec.evaluation.share_days);
        Ok(Self { spec, data, policy: stored.state.frozen()?, popular, at, without_negatives })
    }

    /// The rows of these users. They depend on the users and their order alone.
    ///
    /// # Errors
    /// What the policy refuses.
    pub fn rows(&self, users: &[u32]) -> Result<Vec<PredictRow>, WorkerError> {
        let sets = self.predict_sets(users)?;
        Ok(users.iter().zip(sets).flat_map(|(user, set)| self.rows_of(*user, set)).collect())
    }

    /// Each user's best cells; none for users without negatives.
    fn predict_sets(&self, users: &[u32]) -> Result<Vec<Option<Vec<Beam>>>, WorkerError> {
        let history = &self.data.history;
        let has_negative = |user: u32| history.before(user, self.at).iter().any(|e| e.sign == Sign::Negative);
        let asked: Vec<usize> = (0..users.len()).filter(|i| has_negative(users[*i])).collect();
        let prompt = |i: &usize| self.data.serving_prompt(self.spec, &self.moment_of(users[*i]));
        let prompts: Vec<Vec<i64>> = asked.iter().map(prompt).collect();
        let lengths: Vec<usize> = prompts.iter().map(Vec::len).collect();
        let search = BeamSearch::new(&self.policy, self.data.legal(), self.spec.evaluation.beams as usize)?;
        let mut sets = vec![None; users.len()];
        for micro_batch in micro_batches(&lengths, self.policy.config().micro_batch_tokens) {
            let tokens: Vec<&[i64]> = micro_batch.iter().map(|i| prompts[*i].as_slice()).collect();
            for (place, beams) in micro_batch.iter().zip(search.search(&tokens)?) {
                sets[asked[*place]] = Some(beams);
            }
        }
        Ok(sets)
    }

    fn rows_of(&self, user: u32, set: Option<Vec<Beam>>) -> Vec<PredictRow> {
        let (ids, settings) = (&self.data.prepared.ids, &self.spec.evaluation);
        let excluded = excluded_items(&self.data.history, &self.moment_of(user), settings.exclude);
        let source = if set.is_some() { RowSource::Policy } else { RowSource::Fallback };
        let cells: Vec<(u32, f64)> = match set {
            Some(beams) => beams.iter().map(|beam| (beam.cell, beam.log_probability)).collect(),
            None if self.without_negatives == WithoutNegatives::Skip => Vec::new(),
            None => {
                let best = self.popular.list(ids, &excluded, settings.beams as usize).into_iter();
                best.map(|cell| (cell, self.popular.log_share(cell, settings.share_smoothing))).collect()
            }
        };
        let dataset = &self.data.prepared.dataset;
        let items = |cell: u32| {
            let whole = ids.cell_items(cell).len();
            let ranked = self.data.shares.rank(ids, &[(cell, 0.0)], &excluded, whole);
            ranked.iter().map(|item| dataset.items[*item as usize].key.clone()).collect()
        };
        let row = |(rank, (cell, score)): (u32, (u32, f64))| PredictRow {
            user: dataset.users[user as usize].clone(),
            rank,
            sid: SemanticIds::text(ids.cell_codes(cell)),
            items: items(cell),
            score,
            source,
        };
        (1..).zip(cells).map(row).collect()
    }

    /// The question about a user; nobody knows the answer.
    fn moment_of(&self, user: u32) -> Instance {
        Instance { user, t0: self.at, next: 0, gts: Vec::new(), fps: Vec::new() }
    }
}
