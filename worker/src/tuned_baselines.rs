//! Baselines with settings that validation chooses: the simple ones (`baseline_tuning`) and SASRec. What the select pass
//! chose is fitted anew, without choosing, on the training time of every window that is reported.

use crate::error::WorkerError;
use crate::pass_data::PassData;
use crate::report_page::BaselineChoice;
use crate::sasrec_baseline::{SasRecBaseline, VARIANTS};
use conrec_domain::spec::RunSpec;
use conrec_feedback::baseline_tuning::{Chosen, Fitting};
use conrec_feedback::content_vectors::content_vectors;
use conrec_feedback::evaluation::{Evaluation, ModelMetrics};
use conrec_feedback::matrix::Matrix;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The content of the baselines that compare items: one row an item.
pub fn content(spec: &RunSpec, data: &PassData) -> Arc<Matrix> {
    let dimensions = spec.evaluation.content_dimensions as usize;
    Arc::new(content_vectors(&data.prepared.dataset, &data.training_time(), dimensions, spec.seed))
}

/// What the select pass chose.
#[derive(Debug, Default)]
pub struct TunedBaselines {
    simple: Vec<Chosen>,
    sasrec: Vec<SasRecBaseline>,
}

impl TunedBaselines {
    /// Chooses on the select pass's validation window, thinned as the gate's is.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn choose(spec: &RunSpec, data: &PassData, validation: &Evaluation) -> Result<Self, WorkerError> {
        let window = validation.clone().thinned(spec.evaluation.validation_instances as usize);
        let mut chosen = Self::default();
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
        let mut measured = BTreeMap::new();
        for chosen in &self.simple {
            let predictions = evaluation.predict(fitting.fit(&chosen.setting).as_ref(), &data.history);
            measured.insert(chosen.setting.name().to_owned(), evaluation.measure(&predictions));
        }
        for sasrec in &self.sasrec {
            measured.insert(sasrec.name().to_owned(), evaluation.measure(&sasrec.predict(spec, data, evaluation)?));
        }
        Ok(measured)
    }

    /// What was chosen, for the report.
    pub fn choices(&self) -> Vec<BaselineChoice> {
        let simple = self.simple.iter().map(|chosen| BaselineChoice {
            model: chosen.setting.name().to_owned(),
            setting: chosen.setting.to_string(),
            tried: chosen.tried as u32,
            score: chosen.score,
        });
        simple.chain(self.sasrec.iter().map(SasRecBaseline::choice)).collect()
    }
}
