//! SASRec's training: windows of the users' sequences, in steps of windows of like length, by Adam.
//!
//! At each position whose next event has the sign that is learned, with F the hidden state, i the next item, N drawn items:
//!
//!     softmax   -log( exp(F . M[i]) / (exp(F . M[i]) + sum over j in N, j != i of exp(F . M[j])) )
//!               N uniform and shared by a step, or the whole catalogue (Klenitskiy and Vasilev, 2023, found cross-entropy
//!               to be what SASRec lacked)
//!     binary    -log sigma(F . M[i]) - mean over j in N of log(1 - sigma(F . M[j]))
//!               N drawn for each position; one item in the paper (equation 8)

use super::dropout::Dropout;
use super::{SasRec, Seen, Weights, zero};
use crate::adamw::{Moments, adamw};
use crate::error::PolicyError;
use crate::flat_parameters::flat_gradient;
use crate::random_normal::{below, shuffle_front, stream};
use conrec_domain::spec::{OptimizerSpec, SasRecLoss, SasRecSpec};
use conrec_feedback::event::Sign;
use rand_chacha::ChaCha8Rng;
use std::ops::ControlFlow;
use tch::{Kind, Reduction, Tensor};

/// Second-moment decay of the paper's Adam.
const BETA2: f64 = 0.98;

/// What a SASRec is trained from.
#[derive(Clone, Copy, Debug)]
pub struct SasRecInput<'a> {
    /// Shape and settings.
    pub spec: &'a SasRecSpec,
    /// Items of the catalogue.
    pub items: usize,
    /// Each user's events in training time, oldest first.
    pub sequences: &'a [Vec<Seen>],
    /// Events with this sign are predicted.
    pub learns: Sign,
    /// Whether events carry their sign.
    pub signed: bool,
    /// Seeds weights, orders, dropout and drawn items.
    pub seed: u64,
    /// Keeps the streams of several models apart.
    pub name: &'a str,
}

/// Trains for `epochs` at most; `after` is told of the model after each and may end it. An input without an event of the
/// sign that is learned teaches nothing: the model stays as it was drawn.
///
/// # Errors
/// What `after` says, a loss that is not finite, and what libtorch refuses.
pub fn train<E: From<PolicyError>>(
    input: &SasRecInput<'_>,
    epochs: u32,
    mut after: impl FnMut(u32, &SasRec) -> Result<ControlFlow<()>, E>,
) -> Result<SasRec, E> {
    let SasRecInput { spec, items, signed, seed, name, .. } = *input;
    let mut model = SasRec::new(spec, items, signed, (seed, name))?;
    let windows = windows(input);
    let mut moments = Moments::zeros(model.layout.len());
    for epoch in 1..=epochs {
        let mut steps = steps(&windows, spec.sequences as usize, &mut stream(seed, &format!("{name}.order.{epoch}")));
        let mut dropout = Dropout::new(stream(seed, &format!("{name}.dropout.{epoch}")), spec.dropout);
        let mut drawn = stream(seed, &format!("{name}.negatives.{epoch}"));
        for step in &mut steps {
            descend(&mut model, (step, input.learns), &mut moments, (&mut dropout, &mut drawn))?;
        }
        if after(epoch, &model)?.is_break() {
            break;
        }
    }
    Ok(model)
}

/// The sequences cut into windows of the model's positions; those in which nothing is learned are left out.
fn windows<'a>(input: &SasRecInput<'a>) -> Vec<&'a [Seen]> {
    let learned = |window: &&[Seen]| window.iter().any(|seen| seen.sign == input.learns);
    input.sequences.iter().flat_map(|s| s.chunks(input.spec.positions as usize)).filter(learned).collect()
}

/// The windows of each step: of like length, as padding teaches nothing; in a random order.
fn steps<'a>(windows: &[&'a [Seen]], at_once: usize, random: &mut ChaCha8Rng) -> Vec<Vec<&'a [Seen]>> {
    let mut order = windows.to_vec();
    let count = order.len();
    shuffle_front(random, &mut order, count);
    order.sort_by_key(|window| window.len());
    let mut steps: Vec<Vec<&[Seen]>> = order.chunks(at_once).map(<[_]>::to_vec).collect();
    let count = steps.len();
    shuffle_front(random, &mut steps, count);
    steps
}

/// One optimiser step.
fn descend(
    model: &mut SasRec,
    (windows, learns): (&[&[Seen]], Sign),
    moments: &mut Moments,
    (dropout, drawn): (&mut Dropout, &mut ChaCha8Rng),
) -> Result<(), PolicyError> {
    let width = windows.iter().map(|window| window.len()).max().unwrap_or(0);
    // The state before an event predicts it: the last event of a window is no input.
    let inputs: Vec<&[Seen]> = windows.iter().map(|w| &w[..w.len().saturating_sub(1)]).collect();
    let (mut rows, mut right) = (Vec::new(), Vec::new());
    for (i, window) in windows.iter().enumerate() {
        for (t, seen) in window.iter().enumerate().filter(|(_, seen)| seen.sign == learns) {
            rows.push((i * width + t) as i64);
            right.push(i64::from(seen.item) + 1);
        }
    }
    let leaves = model.leaves(true);
    let weights = model.weights(&leaves);
    let hidden = model.encode(&weights, &inputs, width, dropout)?;
    let hidden = hidden.f_index_select(0, &Tensor::from_slice(&rows))?;
    let loss = match model.spec.loss {
        SasRecLoss::Softmax => softmax_loss(model, &weights, (&hidden, &right), drawn)?,
        SasRecLoss::Binary => binary_loss(model, &weights, (&hidden, &right), drawn)?,
    };
    if !loss.double_value(&[]).is_finite() {
        return Err(PolicyError::State(
            "SASRec's loss is no finite number any more; lower baseline.sasrec.learning_rate".into(),
        ));
    }
    let gradient = flat_gradient(&loss, &leaves)?;
    let adam = OptimizerSpec { beta2: BETA2, weight_decay: 0.0, max_grad_norm: 0.0, ..OptimizerSpec::default() };
    let rate = model.spec.learning_rate;
    adamw(&adam, &mut model.flat, moments, &gradient, rate)?;
    Ok(())
}

/// Uniform rows of the item table, the beginning's left out.
fn draw(random: &mut ChaCha8Rng, items: usize, count: usize) -> Vec<i64> {
    (0..count).map(|_| below(random, items) as i64 + 1).collect()
}

fn softmax_loss(
    model: &SasRec,
    weights: &Weights,
    (hidden, right): (&Tensor, &[i64]),
    random: &mut ChaCha8Rng,
) -> Result<Tensor, PolicyError> {
    let items = model.items as i64;
    if model.spec.negatives == 0 {
        let logits = hidden.f_matmul(&weights.items.f_narrow(0, 1, items)?.f_tr()?)?;
        let right: Vec<i64> = right.iter().map(|row| row - 1).collect();
        let right = Tensor::from_slice(&right);
        return Ok(logits.f_log_softmax(-1, None::<Kind>)?.f_nll_loss(
            &right,
            None::<Tensor>,
            Reduction::Mean,
            -100,
        )?);
    }
    let drawn = Tensor::from_slice(&draw(random, model.items, model.spec.negatives as usize));
    let right = Tensor::from_slice(right);
    let own = own_logits(weights, hidden, &right)?;
    let others = hidden.f_matmul(&weights.items.f_index_select(0, &drawn)?.f_tr()?)?;
    // The true item is not its own negative.
    let same = right.f_unsqueeze(1)?.f_eq_tensor(&drawn.f_unsqueeze(0)?)?;
    let others = others.f_masked_fill(&same, f64::NEG_INFINITY)?;
    let all = Tensor::f_cat(&[own.f_unsqueeze(1)?, others], 1)?;
    Ok(all.f_logsumexp([1], false)?.f_sub(&own)?.f_mean(Kind::Float)?)
}

fn binary_loss(
    model: &SasRec,
    weights: &Weights,
    (hidden, right): (&Tensor, &[i64]),
    random: &mut ChaCha8Rng,
) -> Result<Tensor, PolicyError> {
    let count = model.spec.negatives.max(1) as usize;
    let own = own_logits(weights, hidden, &Tensor::from_slice(right))?;
    let mut others = zero();
    for _ in 0..count {
        let drawn = Tensor::from_slice(&draw(random, model.items, right.len()));
        others = others.f_sub(&own_logits(weights, hidden, &drawn)?.f_neg()?.f_log_sigmoid()?)?;
    }
    Ok(others.f_div_scalar(count as f64)?.f_sub(&own.f_log_sigmoid()?)?.f_mean(Kind::Float)?)
}

/// F . M[row], one row a position.
fn own_logits(weights: &Weights, hidden: &Tensor, rows: &Tensor) -> Result<Tensor, PolicyError> {
    let of = weights.items.f_index_select(0, rows)?;
    Ok(hidden.f_mul(&of)?.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::tensor_digest;

    const ITEMS: usize = 40;

    fn spec(change: impl Fn(&mut SasRecSpec)) -> SasRecSpec {
        let mut spec = SasRecSpec {
            hidden: 16,
            layers: 1,
            positions: 8,
            dropout: 0.1,
            learning_rate: 0.01,
            sequences: 16,
            negatives: 12,
            ..SasRecSpec::default()
        };
        change(&mut spec);
        spec
    }

    /// Users walk through the catalogue in steps of 3 from a place of their own; likes stand in between.
    fn walks() -> Vec<Vec<Seen>> {
        let walk = |user: u32| {
            let step = |t: u32| {
                let next = Seen { item: (user * 7 + 3 * t) % ITEMS as u32, sign: Sign::Negative };
                let liked = Seen { item: (user * 11 + t) % ITEMS as u32, sign: Sign::Positive };
                if t % 3 == 2 { vec![liked, next] } else { vec![next] }
            };
            (0..9).flat_map(step).collect()
        };
        (0..60).map(walk).collect()
    }

    fn fit(spec: &SasRecSpec, sequences: &[Vec<Seen>], epochs: u32) -> SasRec {
        let (learns, signed) = (Sign::Negative, true);
        let input = SasRecInput { spec, items: ITEMS, sequences, learns, signed, seed: 5, name: "test" };
        train(&input, epochs, |_, _| Ok::<_, PolicyError>(ControlFlow::Continue(()))).unwrap()
    }

    /// The share of fresh walks whose next step scores highest.
    fn accuracy(model: &SasRec) -> f64 {
        let past = |start: u32| (0..4).map(|t| Seen { item: (start + 3 * t) % 40, sign: Sign::Negative }).collect();
        let pasts: Vec<Vec<Seen>> = (0..40).map(past).collect();
        let scores = model.scores(&pasts).unwrap();
        let best = |row: &Vec<f32>| (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap_or(0);
        let right = scores.iter().enumerate().filter(|(start, row)| best(row) == (start + 12) % 40).count();
        right as f64 / 40.0
    }

    #[test]
    fn it_learns_a_planted_sequence_by_every_loss() {
        let walks = walks();
        let softmax = spec(|_| {});
        let whole = spec(|s| s.negatives = 0);
        let binary = spec(|s| (s.loss, s.negatives) = (SasRecLoss::Binary, 4));
        for (spec, epochs) in [(softmax, 40), (whole, 40), (binary, 60)] {
            assert!(accuracy(&fit(&spec, &walks, 0)) < 0.2);
            let learned = accuracy(&fit(&spec, &walks, epochs));
            assert!(learned > 0.85, "{:?} with {} negatives: {learned}", spec.loss, spec.negatives);
        }
    }

    #[test]
    fn the_same_input_gives_the_same_bits_and_another_name_others() {
        let walks = walks();
        let spec = spec(|_| {});
        let digest = |name| {
            let input = SasRecInput {
                spec: &spec,
                items: ITEMS,
                sequences: &walks,
                learns: Sign::Negative,
                signed: true,
                seed: 5,
                name,
            };
            let model = train(&input, 2, |_, _| Ok::<_, PolicyError>(ControlFlow::Continue(()))).unwrap();
            tensor_digest(&model.flat).unwrap()
        };
        assert_eq!(digest("a"), digest("a"));
        assert_ne!(digest("a"), digest("b"));
    }

    #[test]
    fn scores_do_not_depend_on_what_is_scored_together_and_see_only_the_end_of_a_long_past() {
        let walks = walks();
        let model = fit(&spec(|_| {}), &walks, 1);
        let long: Vec<Seen> = walks[3].clone();
        let end = long[long.len() - 7..].to_vec();
        let together = model.scores(&[Vec::new(), long, walks[5][..2].to_vec()]).unwrap();
        let alone = model.scores(&[end]).unwrap();
        let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-5);
        assert!(close(&together[1], &alone[0]));
        assert!(close(&together[0], &model.scores(&[Vec::new()]).unwrap()[0]));
        assert_eq!(together[0].len(), ITEMS);
    }

    #[test]
    fn training_ends_when_it_is_told_to() {
        let walks = walks();
        let spec = spec(|_| {});
        let (learns, signed) = (Sign::Negative, false);
        let input = SasRecInput { spec: &spec, items: ITEMS, sequences: &walks, learns, signed, seed: 5, name: "test" };
        let mut told = Vec::new();
        let flow = |epoch: u32| if epoch == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let after = |epoch, _: &SasRec| {
            told.push(epoch);
            Ok::<_, PolicyError>(flow(epoch))
        };
        train(&input, 9, after).unwrap();
        assert_eq!(told, [1, 2]);
    }
}
