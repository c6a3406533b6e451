//! Baselines with settings that validation chooses: the simple ones (`baseline_tuning`) and SASRec. What the select pass
//! chose is fitted anew, without choosing, on the training time of every window that is reported.

use crate::error::WorkerError;
use crate::item_vectors;
use crate::mixes::{Mixes, Mixing};
use crate::pass_data::PassData;
use crate::report_page::BaselineChoice;
use crate::sasrec_baseline::{SasRecBaseline, VARIANTS};
use conrec_domain::spec::RunSpec;
use conrec_feedback::baseline_tuning::{Chosen, Fitting};
use conrec_feedback::evaluation::{Evaluation, ModelMetrics, Predictions};
use conrec_feedback::matrix::Matrix;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The content of the baselines that compare items: one row an item.
pub fn content(spec: &RunSpec, data: &PassData) -> Arc<Matrix> {
    let dimensions = spec.evaluation.content_dimensions;
    let of = (&spec.semantic_id, dimensions);
    Arc::new(item_vectors::content(&data.prepared.dataset, &data.training_time(), of, spec.seed))
}

/// What the select pass chose.
#[derive(Debug, Default)]
pub struct TunedBaselines {
    simple: Vec<Chosen>,
    sasrec: Vec<SasRecBaseline>,
    /// How policies are mixed with popularity.
    pub mixing: Mixing,
}

impl TunedBaselines {
    /// Chooses on the select pass's validation window, thinned as the gate's is.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn choose(spec: &RunSpec, data: &PassData, validation: &Evaluation) -> Result<Self, WorkerError> {
        let window = validation.clone().thinned(spec.evaluation.validation_instances as usize);
        let mut chosen = Self { mixing: Mixing::Choose, ..Self::default() };
        if spec.baseline.tune {
            let (training, content) = (data.training_time(), content(spec, data));
            let fitting = Fitting { training: &training, content: &content, reward: &spec.reward };
            chosen.simple = fitting.choose(&window, &data.history);
        }
        if spec.baseline.sasrec.enabled {
            for variant in VARIANTS {
                chosen.sasrec.extend(SasRecBaseline::choose(variant, spec, data, &window)?);
            }
        }
        Ok(chosen)
    }

    /// Fits with what was chosen and measures on a window.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn measure(
        &self,
        spec: &RunSpec,
        data: &PassData,
        evaluation: &Evaluation,
        fitting: &Fitting<'_>,
    ) -> Result<BTreeMap<String, ModelMetrics>, WorkerError> {
        let predicted = self.predict(spec, data, evaluation, fitting)?;
        Ok(predicted.into_iter().map(|(name, lists)| (name.to_owned(), evaluation.measure(&lists))).collect())
    }

    /// Fits with what was chosen; lists and candidate scores for a window, by name.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn predict(
        &self,
        spec: &RunSpec,
        data: &PassData,
        evaluation: &Evaluation,
        fitting: &Fitting<'_>,
    ) -> Result<Vec<(&'static str, Predictions)>, WorkerError> {
        let simple = |chosen: &Chosen| {
            (chosen.setting.name(), evaluation.predict(fitting.fit(&chosen.setting).as_ref(), &data.history))
        };
        let mut predicted: Vec<_> = self.simple.iter().map(simple).collect();
        for sasrec in &self.sasrec {
            predicted.push((sasrec.name(), sasrec.predict(spec, data, evaluation)?));
        }
        Ok(predicted)
    }

    /// What was chosen, for the report.
    pub fn choices(&self) -> Vec<BaselineChoice> {
        let simple = self.simple.iter().map(|chosen| BaselineChoice {
            model: chosen.setting.name().to_owned(),
            setting: chosen.setting.to_string(),
            tried: chosen.tried as u32,
            score: chosen.score,
        });
        let mixes = self.mixing.chosen().into_iter().flat_map(Mixes::choices);
        simple.chain(self.sasrec.iter().map(SasRecBaseline::choice)).chain(mixes).collect()
    }
}
