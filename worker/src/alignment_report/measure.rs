//! What is measured of each policy.

use super::answers::{Answers, Asked};
use super::pairs::{ProbePairs, cell_states};
use crate::error::WorkerError;
use crate::held_out_questions::HeldOutQuestion;
use crate::lease::Loaded;
use conrec_domain::spec::RunSpec;
use conrec_feedback::bootstrap::{MetricValue, Resampling, interval};
use conrec_feedback::event::Sign;
use conrec_feedback::instance::evenly;
use conrec_feedback::linear_probe::Pairs;
use conrec_feedback::matrix::Matrix;
use conrec_feedback::principal_plane::PrincipalPlane;
use conrec_policy::random_normal::{below, stream};
use conrec_policy::transformer::Policy;
use std::collections::BTreeSet;

/// So many semantic ids are drawn at most.
const DRAWN: usize = 1500;

/// What was found of one policy.
pub(crate) struct Measured {
    /// The stage that had ended; empty before the first.
    pub name: String,
    /// Held-out questions.
    pub questions: Answers,
    /// The same, where what counts as right was drawn among the four: chance, whatever the policy knows.
    pub drawn_answers: Answers,
    /// How often a probe of its states finds the disliked item of a pair.
    pub probe: MetricValue,
    /// The same with drawn labels.
    pub probe_of_drawn_labels: MetricValue,
    /// Its states of semantic ids.
    pub plane: PrincipalPlane,
}

/// What all policies are measured with.
pub(super) struct Measuring<'a> {
    spec: &'a RunSpec,
    loaded: &'a Loaded,
    pairs: ProbePairs<'a>,
    drawn: Vec<Vec<HeldOutQuestion>>,
    users: Vec<u32>,
    cells: Vec<u32>,
    disliked: Vec<bool>,
}

impl<'a> Measuring<'a> {
    /// Draws pairs, answers and semantic ids.
    ///
    /// # Errors
    /// Data without a validation window.
    pub fn new(spec: &'a RunSpec, loaded: &'a Loaded) -> Result<Self, WorkerError> {
        let pairs = ProbePairs::new(spec, &loaded.data, loaded.validation()?);
        let mut random = stream(spec.seed, "drawn answers");
        let mut redrawn = |question: &HeldOutQuestion| {
            let mut question = question.clone();
            // The first of the four is the right one.
            question.cells.swap(0, below(&mut random, 4));
            question
        };
        let drawn = loaded.questions().iter().map(|of| of.iter().map(&mut redrawn).collect()).collect();
        let users = loaded.validation()?.users();
        let (cells, disliked) = cells(loaded);
        Ok(Self { spec, loaded, pairs, drawn, users, cells, disliked })
    }

    /// Measures a policy.
    ///
    /// # Errors
    /// What the policy refuses.
    pub fn measure(&self, name: String, policy: &Policy) -> Result<Measured, WorkerError> {
        let data = &self.loaded.data;
        let (probe, probe_of_drawn_labels) = self.probe(&self.pairs.states(self.spec, policy)?);
        Ok(Measured {
            name,
            questions: Answers::of(data, policy, self.loaded.questions())?,
            drawn_answers: Answers::of(data, policy, &self.drawn)?,
            probe,
            probe_of_drawn_labels,
            plane: PrincipalPlane::of(&cell_states(self.spec, data, policy, &self.cells)?),
        })
    }

    /// What tells the pairs apart without a policy.
    pub fn controls(&self) -> Vec<(&'static str, MetricValue, MetricValue)> {
        let control = |name, features: &Matrix| {
            let (found, drawn) = self.probe(features);
            (name, found, drawn)
        };
        vec![
            control("item vectors (content and co-occurrence)", &self.pairs.item_vectors()),
            control("nearness to the user's past (co-occurrence)", &self.pairs.nearness()),
        ]
    }

    /// Who is asked.
    pub fn asked(&self) -> Asked<'_> {
        Asked { users: &self.users, resampling: self.resampling() }
    }

    /// The probe's users: of all pairs, each once.
    pub fn pair_users(&self) -> usize {
        self.pairs.users.iter().collect::<BTreeSet<_>>().len()
    }

    fn resampling(&self) -> Resampling {
        Resampling { times: self.spec.evaluation.bootstrap, seed: self.spec.evaluation.seed }
    }

    /// Number of pairs.
    pub fn pairs(&self) -> usize {
        self.pairs.users.len()
    }

    /// Of each drawn semantic id whether users mostly disliked it.
    pub fn disliked(&self) -> Vec<bool> {
        self.disliked.clone()
    }

    /// With the pairs' labels, and with drawn ones.
    fn probe(&self, features: &Matrix) -> (MetricValue, MetricValue) {
        let users = &self.pairs.users;
        let pairs = Pairs { features, users };
        let of = |swapped: &[bool]| interval(users, &pairs.found(swapped), self.resampling());
        (of(&[]), of(&self.pairs.coins))
    }
}

/// Semantic ids that users of training time liked or disliked, and whether their share of dislikes is above the median.
fn cells(loaded: &Loaded) -> (Vec<u32>, Vec<bool>) {
    let data = &loaded.data;
    let mut counts = vec![(0u32, 0u32); data.prepared.ids.cells()];
    for event in data.prepared.dataset.before(data.prepared.windows.train_end) {
        let Some(count) = data.prepared.ids.cell_of(event.item).and_then(|cell| counts.get_mut(cell as usize)) else {
            continue;
        };
        match event.sign {
            Sign::Negative => count.0 += 1,
            Sign::Positive => count.1 += 1,
            Sign::Neutral => {}
        }
    }
    let share = |(negatives, positives): (u32, u32)| f64::from(negatives) / f64::from(negatives + positives);
    let met: Vec<(u32, f64)> =
        (0u32..).zip(counts).filter(|(_, (n, p))| n + p > 0).map(|(cell, count)| (cell, share(count))).collect();
    let met: Vec<(u32, f64)> = evenly(met.len(), DRAWN).into_iter().map(|i| met[i]).collect();
    let mut shares: Vec<f64> = met.iter().map(|(_, share)| *share).collect();
    shares.sort_by(f64::total_cmp);
    let median = shares.get(shares.len() / 2).copied().unwrap_or_default();
    met.into_iter().map(|(cell, share)| (cell, share > median)).unzip()
}
