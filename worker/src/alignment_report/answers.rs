//! Answers to the held-out questions by kind of distractor and instance, so that they have intervals over users.

use super::Forgotten;
use crate::error::WorkerError;
use crate::held_out_questions::{HeldOutQuestion, answers};
use crate::pass_data::PassData;
use conrec_domain::spec::Distractor;
use conrec_feedback::bootstrap::{MetricValue, Resampling, interval, relative_loss};
use conrec_policy::transformer::Policy;

/// Who is asked, and how intervals are drawn.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The user of each instance.
    pub users: &'a [u32],
    /// Draws of users.
    pub resampling: Resampling,
}

/// One policy's answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    /// By kind in the order of [`Distractor::ALL`], and by instance: 1 for a right answer, none where nothing was asked.
    right: [Vec<Option<f64>>; 4],
}

impl Answers {
    /// Asks the questions of each instance.
    ///
    /// # Errors
    /// What the policy refuses.
    pub fn of(data: &PassData, policy: &Policy, questions: &[Vec<HeldOutQuestion>]) -> Result<Self, WorkerError> {
        let flat: Vec<(usize, &HeldOutQuestion)> =
            questions.iter().enumerate().flat_map(|(at, of)| of.iter().map(move |question| (at, question))).collect();
        let asked: Vec<&HeldOutQuestion> = flat.iter().map(|(_, question)| *question).collect();
        let mut found = Self { right: Distractor::ALL.map(|_| vec![None; questions.len()]) };
        for ((at, question), right) in flat.iter().zip(answers(data, policy, &asked)?) {
            if let Some(kind) = Distractor::ALL.iter().position(|kind| *kind == question.kind) {
                found.right[kind][*at] = Some(right);
            }
        }
        Ok(found)
    }

    /// Accuracy of each kind that was asked; chance is 0.25.
    pub fn accuracies(&self, asked: Asked<'_>) -> Vec<(Distractor, MetricValue)> {
        let of =
            |(kind, right): (Distractor, &Vec<Option<f64>>)| (kind, interval(asked.users, right, asked.resampling));
        Distractor::ALL.into_iter().zip(&self.right).map(of).filter(|(_, found)| found.n > 0).collect()
    }

    /// What is lost from here to `after`, by kind.
    pub fn lost_to(&self, after: &Self, asked: Asked<'_>) -> Vec<Forgotten> {
        let (was, is) = (self.accuracies(asked), after.accuracies(asked));
        let of = |(at, kind): (usize, Distractor)| {
            let (_, before) = *was.iter().find(|(other, _)| *other == kind)?;
            let (_, then) = *is.iter().find(|(other, _)| *other == kind)?;
            let rate = relative_loss(asked.users, &self.right[at], &after.right[at], asked.resampling);
            Some(Forgotten { kind, before, after: then, rate })
        };
        Distractor::ALL.into_iter().enumerate().filter_map(of).collect()
    }
}
