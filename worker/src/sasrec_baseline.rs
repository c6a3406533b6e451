//! SASRec as a baseline of the report: its three variants, the number of epochs that validation chooses, and its lists.

use crate::error::WorkerError;
use crate::pass_data::PassData;
use crate::report_page::BaselineChoice;
use conrec_domain::spec::RunSpec;
use conrec_domain::work::{Pass, Score};
use conrec_feedback::baseline_tuning::score;
use conrec_feedback::evaluation::{Evaluation, Predictions};
use conrec_feedback::event::{Event, Sign};
use conrec_policy::sasrec::{SasRec, SasRecInput, Seen, train};
use std::ops::ControlFlow;

/// What a SASRec sees and learns (method, section 8).
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// Name in the report.
    name: &'static str,
    /// The events it sees; none: all.
    only: Option<Sign>,
    /// The events it predicts.
    learns: Sign,
    /// Whether its scores are negated.
    inverted: bool,
}

/// Negatives only; all events with their signs and the loss on negatives; positives only, and what is liked least is
/// ranked first.
pub const VARIANTS: [Variant; 3] = [
    Variant { name: "sasrec_negatives", only: Some(Sign::Negative), learns: Sign::Negative, inverted: false },
    Variant { name: "sasrec_signed", only: None, learns: Sign::Negative, inverted: false },
    Variant { name: "sasrec_inverted", only: Some(Sign::Positive), learns: Sign::Positive, inverted: true },
];

/// Instances that are scored together.
const TOGETHER: usize = 256;

/// A variant with its chosen number of epochs.
#[derive(Debug)]
pub struct SasRecBaseline {
    variant: Variant,
    epochs: u32,
    tried: u32,
    score: Score,
    /// The pass in which it was chosen, and the model as it was trained there.
    select: (Pass, SasRec),
}

impl SasRecBaseline {
    /// Trains on the select pass, looks at the window after each epoch and keeps the best; none where training time has
    /// no event of the sign that the variant learns.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn choose(
        variant: Variant,
        spec: &RunSpec,
        data: &PassData,
        window: &Evaluation,
    ) -> Result<Option<Self>, WorkerError> {
        let patience = spec.baseline.sasrec.patience;
        let mut best: Option<(f64, Score, u32, SasRec)> = None;
        let mut tried = 0;
        fit(variant, spec, data, spec.baseline.sasrec.epochs, |epoch, model| {
            tried = epoch;
            let found = score(window, &predict(variant, model, data, window)?);
            let sum = found.sum();
            if best.as_ref().is_none_or(|(most, ..)| sum > *most) {
                best = Some((sum, found, epoch, model.copied()));
            }
            let waited = epoch - best.as_ref().map_or(0, |(_, _, of, _)| *of);
            Ok(if patience > 0 && waited >= patience { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        let pass = data.prepared.windows.pass;
        Ok(best.map(|(_, score, epochs, model)| Self { variant, epochs, tried, score, select: (pass, model) }))
    }

    /// Its name in the report.
    pub fn name(&self) -> &'static str {
        self.variant.name
    }

    /// What was chosen, for the report.
    pub fn choice(&self) -> BaselineChoice {
        BaselineChoice {
            model: self.name().to_owned(),
            setting: format!("{} epochs", self.epochs),
            tried: self.tried,
            score: self.score,
        }
    }

    /// Lists and candidate scores for a window; trained anew for the chosen epochs where the pass is another one than that
    /// which chose.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn predict(&self, spec: &RunSpec, data: &PassData, window: &Evaluation) -> Result<Predictions, WorkerError> {
        let (pass, model) = &self.select;
        if *pass == data.prepared.windows.pass {
            return predict(self.variant, model, data, window);
        }
        let trained = fit(self.variant, spec, data, self.epochs, |_, _| Ok(ControlFlow::Continue(())))?;
        trained.map_or_else(|| Ok(Predictions::default()), |model| predict(self.variant, &model, data, window))
    }
}

/// Trains a variant on the pass's training time; none where there is nothing to learn.
fn fit(
    variant: Variant,
    spec: &RunSpec,
    data: &PassData,
    epochs: u32,
    after: impl FnMut(u32, &SasRec) -> Result<ControlFlow<()>, WorkerError>,
) -> Result<Option<SasRec>, WorkerError> {
    let places = Places::of(data);
    let end = data.prepared.windows.train_end;
    let users = 0..data.history.users() as u32;
    let sequences: Vec<Vec<Seen>> =
        users.map(|user| places.seen(variant, &data.history.before(user, end))).filter(|s| !s.is_empty()).collect();
    if !sequences.iter().flatten().any(|seen| seen.sign == variant.learns) {
        return Ok(None);
    }
    let input = SasRecInput {
        spec: &spec.baseline.sasrec,
        items: places.items,
        sequences: &sequences,
        learns: variant.learns,
        signed: variant.only.is_none(),
        seed: spec.seed,
        name: variant.name,
    };
    train(&input, epochs, after).map(Some)
}

fn predict(variant: Variant, model: &SasRec, data: &PassData, window: &Evaluation) -> Result<Predictions, WorkerError> {
    let places = Places::of(data);
    let sign = if variant.inverted { -1.0 } else { 1.0 };
    let mut predictions = Predictions::default();
    let all: Vec<usize> = (0..window.instances().len()).collect();
    for part in all.chunks(TOGETHER) {
        let past = |i: &usize| {
            let instance = &window.instances()[*i];
            places.seen(variant, &data.history.before(instance.user, instance.t0))
        };
        let pasts: Vec<Vec<Seen>> = part.iter().map(past).collect();
        for (i, scores) in part.iter().zip(model.scores(&pasts)?) {
            let scores: Vec<f64> = scores.into_iter().map(|s| sign * f64::from(s)).collect();
            // An item that training time does not know comes after all others.
            let of = |item: &u32| places.place(*item).map_or(f64::NEG_INFINITY, |place| scores[place as usize]);
            predictions.ranked.push(window.rank(*i, &scores));
            predictions.candidate_scores.push(window.candidates(*i).iter().map(of).collect());
        }
    }
    Ok(predictions)
}

/// Items as places in the catalogue of training time, which is what a window ranks.
struct Places {
    of_item: Vec<u32>,
    items: usize,
}

const NOWHERE: u32 = u32::MAX;

impl Places {
    fn of(data: &PassData) -> Self {
        let training = data.training_time();
        let catalogue = training.catalogue();
        let mut of_item = vec![NOWHERE; training.items()];
        for (place, item) in catalogue.iter().enumerate() {
            of_item[*item as usize] = place as u32;
        }
        Self { of_item, items: catalogue.len() }
    }

    fn place(&self, item: u32) -> Option<u32> {
        self.of_item.get(item as usize).copied().filter(|place| *place != NOWHERE)
    }

    /// What a variant sees of a user's events.
    fn seen(&self, variant: Variant, events: &[Event]) -> Vec<Seen> {
        let visible = events.iter().filter(|e| variant.only.is_none_or(|sign| sign == e.sign));
        visible.filter_map(|e| Some(Seen { item: self.place(e.item)?, sign: e.sign })).collect()
    }
}
