//! Alignment questions about the validation window, and the `Ask` lease: how often the policy finds the disliked item
//! among four, by kind of distractor.

use crate::error::WorkerError;
use crate::pass_data::PassData;
use conrec_domain::spec::{Context, Distractor, RunSpec, StageKind};
use conrec_domain::work::QuestionCounts;
use conrec_feedback::alignment::{QuestionSource, Questions};
use conrec_feedback::evaluation::Evaluation;
use conrec_feedback::metrics::candidate_accuracy;
use conrec_feedback::prompt::PromptBuilder;
use conrec_policy::beam_search::score_cells;
use conrec_policy::micro_batch::micro_batches;
use conrec_policy::transformer::Policy;

/// One question with its prompt.
#[derive(Clone, Debug)]
pub struct HeldOutQuestion {
    /// Where the distractors come from.
    pub kind: Distractor,
    /// The prompt, without an answer.
    pub prompt: Vec<i64>,
    /// The four cells, the disliked one first.
    pub cells: [u32; 4],
}

/// The questions of each instance of a window: one of each kind that can be asked.
pub fn held_out_questions(spec: &RunSpec, data: &PassData, evaluation: &Evaluation) -> Vec<Vec<HeldOutQuestion>> {
    let stage = spec.stage.iter().find(|stage| stage.kind == StageKind::Alignment);
    let context = stage.map_or(Context::None, |stage| stage.question_context);
    let questions = Questions::new(QuestionSource {
        dataset: &data.prepared.dataset,
        history: &data.history,
        ids: &data.prepared.ids,
        train_end: data.prepared.windows.train_end,
        // What others meet on the day itself is known where the question is asked, as for CandAcc.
        until: i64::MAX,
        seed: spec.seed,
    });
    let builder = PromptBuilder::new(&data.prepared.ids, &data.frame, spec.model.max_prompt_tokens as usize);
    let ask = |instance, kind| {
        let question = questions.draw(instance, kind)?;
        let past = data.history.before(instance.user, instance.t0);
        let mut cells = question.shown;
        cells.sort_by_key(|cell| *cell != question.disliked);
        let prompt = builder.question(&past, instance.t0, context, &question.shown);
        Some(HeldOutQuestion { kind, prompt, cells })
    };
    let of = |instance| Distractor::ALL.into_iter().filter_map(|kind| ask(instance, kind)).collect();
    evaluation.instances().iter().map(of).collect()
}

/// How the policy answers the questions of some instances.
///
/// # Errors
/// What the policy refuses, and instances that the window does not have.
pub fn ask(
    data: &PassData,
    questions: &[Vec<HeldOutQuestion>],
    policy: &Policy,
    of: std::ops::Range<usize>,
) -> Result<QuestionCounts, WorkerError> {
    let have = questions.len();
    let asked = questions.get(of.clone()).ok_or_else(|| {
        WorkerError::Protocol(format!("alignment questions of {of:?}, but there are {have} instances"))
    })?;
    let asked: Vec<&HeldOutQuestion> = asked.iter().flatten().collect();
    let mut counts = QuestionCounts::default();
    for (question, right) in asked.iter().zip(answers(data, policy, &asked)?) {
        counts.count(question.kind, right);
    }
    Ok(counts)
}

/// For each question 1 where the disliked cell is the most probable of the four, 1/n where n share that, else 0.
///
/// # Errors
/// What the policy refuses.
pub fn answers(data: &PassData, policy: &Policy, questions: &[&HeldOutQuestion]) -> Result<Vec<f64>, WorkerError> {
    let lengths: Vec<usize> = questions.iter().map(|question| question.prompt.len()).collect();
    let mut right = vec![0.0; questions.len()];
    for micro_batch in micro_batches(&lengths, policy.config().micro_batch_tokens) {
        let prompts: Vec<&[i64]> = micro_batch.iter().map(|i| questions[*i].prompt.as_slice()).collect();
        let cells: Vec<Vec<Option<u32>>> =
            micro_batch.iter().map(|i| questions[*i].cells.iter().copied().map(Some).collect()).collect();
        for (i, scores) in micro_batch.iter().zip(score_cells(policy, data.legal(), &prompts, &cells)?) {
            right[*i] = candidate_accuracy(&scores);
        }
    }
    Ok(right)
}
