//! Groups of distinct completions: the most probable ones, or a draw without replacement by stochastic beam search
//! (Kool, van Hoof and Welling 2019, arXiv 1903.06059, algorithm 1) with the weights that make up for it (there, 4.2).
//!
//! Every cell y has the perturbed log-probability G_y = log pi(y) + Gumbel noise; the G cells with the largest are a draw
//! without replacement. A prefix has the largest of the cells below it, which can be drawn top down: so the search
//! computes few prefixes and is exact.

use crate::beam_search::descent::{Descent, Prefixed};
use crate::error::PolicyError;
use crate::legal::Legal;
use crate::rollout::DrawKey;
use crate::shared_prefix::Prefix;

/// The completions of some prompts, each of them once.
#[derive(Clone, Debug, PartialEq)]
pub struct Distinct {
    /// Cells, `prompts * width`, prompt-major.
    pub cells: Vec<u32>,
    /// Completions a prompt: as many as were asked for, or all cells where these are fewer.
    pub width: usize,
    /// What each completion stands for, up to a factor a prompt; above 0. None where all stand for the same.
    pub weights: Option<Vec<f64>>,
}

/// The `width` most probable cells of each prompt that a beam search of this width finds.
///
/// # Errors
/// What the forward pass refuses.
pub fn most_probable(
    prefix: &Prefix<'_>,
    legal: &Legal<'_>,
    temperature: f64,
    width: usize,
) -> Result<Distinct, PolicyError> {
    let descent = Descent { legal: *legal, beams: width, temperature };
    let kept = descent.run(prefix, &vec![0.0; prefix.prompts()], None)?;
    let width = width.min(legal.trie.cells());
    let cells = kept.iter().map(|list| cells(legal, list, width)).collect::<Result<Vec<_>, _>>()?.concat();
    Ok(Distinct { cells, width, weights: None })
}

/// Draws `width` cells of each prompt without replacement; `keys` names each prompt's randomness.
///
/// One more is drawn: its perturbed log-probability kappa is the threshold that a cell had to exceed, and a cell's weight
/// is pi(y) / P(G_y > kappa) with P(G_y > kappa) = 1 - exp(-exp(log pi(y) - kappa)). Where there is no further cell the
/// weights are the probabilities themselves.
///
/// # Errors
/// What the forward pass refuses, and keys that are not one a prompt.
pub fn without_replacement(
    prefix: &Prefix<'_>,
    legal: &Legal<'_>,
    temperature: f64,
    keys: &[DrawKey],
    width: usize,
) -> Result<Distinct, PolicyError> {
    if keys.len() != prefix.prompts() {
        let expected = format!("{}, one a prompt", prefix.prompts());
        return Err(PolicyError::Input { what: "draw keys", found: keys.len().to_string(), expected });
    }
    let roots: Vec<f64> = keys.iter().map(|key| gumbel(&mut key.of_node(None))).collect();
    let perturb = |prompt: usize, parent: &Prefixed, log_probabilities: &[f64]| {
        let mut noise = keys.get(prompt).map(|key| key.of_node(Some(parent.node)));
        let draws = log_probabilities.iter().map(|l| l + noise.as_mut().map_or(0.0, gumbel)).collect();
        below(parent.score, draws)
    };
    let descent = Descent { legal: *legal, beams: width + 1, temperature };
    let kept = descent.run(prefix, &roots, Some(&perturb))?;
    let width = width.min(legal.trie.cells());
    let mut out = Distinct { cells: Vec::new(), width, weights: None };
    let mut weights = Vec::with_capacity(keys.len() * width);
    for list in &kept {
        let kappa = list.get(width).map_or(f64::NEG_INFINITY, |next| next.score);
        out.cells.extend(cells(legal, list, width)?);
        weights.extend(relative(&log_weights(&list[..width.min(list.len())], kappa)));
    }
    out.weights = Some(weights);
    Ok(out)
}

fn cells(legal: &Legal<'_>, list: &[Prefixed], width: usize) -> Result<Vec<u32>, PolicyError> {
    let found: Option<Vec<u32>> = list.iter().take(width).map(|p| legal.trie.cell(p.node)).collect();
    found
        .filter(|cells| cells.len() == width)
        .ok_or_else(|| PolicyError::State("a search ended above the cells of the trie".into()))
}

/// A standard Gumbel variate; the uniform one is of (0, 1).
fn gumbel(uniform: &mut impl FnMut() -> f64) -> f64 {
    -(-uniform().ln()).ln()
}

/// Moves independent Gumbel variates of given locations so that their largest is `top`: what they are distributed as,
/// given that. Numerically stable form of the paper's appendix B.3.
fn below(top: f64, draws: Vec<f64>) -> Vec<f64> {
    let largest = draws.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let moved = |draw: f64| {
        let v = top - draw + log_one_minus_exp(draw - largest);
        top - v.max(0.0) - (-v.abs()).exp().ln_1p()
    };
    draws.into_iter().map(moved).collect()
}

/// log(1 - exp(x)) for x of 0 and below.
fn log_one_minus_exp(x: f64) -> f64 {
    if x > -std::f64::consts::LN_2 { (-x.exp_m1()).ln() } else { (-x.exp()).ln_1p() }
}

/// log(pi / P(G > kappa)) of each completion.
fn log_weights(list: &[Prefixed], kappa: f64) -> Vec<f64> {
    let log_weight = |p: &Prefixed| {
        let above = p.log_probability - kappa;
        // Far below the threshold 1 - exp(-t) is t.
        let log_inclusion = if above < -30.0 { above } else { (-(-above.exp()).exp_m1()).ln() };
        p.log_probability - log_inclusion
    };
    list.iter().map(log_weight).collect()
}

/// Weights relative to the largest; none is 0.
fn relative(logs: &[f64]) -> Vec<f64> {
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logs.iter().map(|l| (l - largest).exp().max(f64::MIN_POSITIVE)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moved_variates_keep_their_order_and_have_the_given_largest() {
        for top in [-3.0, 0.0, 7.5] {
            let draws = vec![0.3, -40.0, 2.25, 1.0, 2.25 - 1e-12];
            let moved = below(top, draws.clone());
            assert_eq!(moved[2], top);
            assert!(moved.iter().all(|m| m.is_finite() && *m <= top), "{moved:?}");
            for i in 0..draws.len() {
                for j in 0..draws.len() {
                    assert!(draws[i] >= draws[j] || moved[i] <= moved[j], "{moved:?}");
                }
            }
        }
        assert_eq!(below(-2.0, vec![5.0]), [-2.0], "an only child has its parent's");
        // exp(-moved) = exp(-top) + exp(-draw) - exp(-largest): the definition, where it can be computed plainly.
        let plain = |draw: f64| -((-0.5f64).exp() + (-draw).exp() - (-2.0f64).exp()).ln();
        for (found, draw) in below(0.5, vec![2.0, 1.0, -1.0]).into_iter().zip([2.0, 1.0, -1.0]) {
            assert!((found - plain(draw)).abs() < 1e-12, "{found}");
        }
    }

    #[test]
    fn weights_are_finite_for_all_probabilities() {
        let of = |log_probability| Prefixed::at(0, log_probability, 0.0);
        let list = [of(-1e-12), of(-2.0), of(-50.0), of(-700.0), of(-5000.0)];
        let free = relative(&log_weights(&list, f64::NEG_INFINITY));
        assert!((free[1] - (-2.0f64).exp()).abs() < 1e-9 && free.iter().all(|w| *w > 0.0), "{free:?}");
        // Unlikely cells are drawn seldom and count for much: all that lie far below the threshold count alike.
        let rare = relative(&log_weights(&list, 3.0));
        assert!(rare.iter().all(|w| w.is_finite() && *w > 0.0), "{rare:?}");
        assert!((rare[3] - rare[4]).abs() < 1e-9 && (rare[2] - rare[3]).abs() < 1e-9, "{rare:?}");
    }
    #[test]
    fn weighted_sums_over_draws_are_those_over_all_cells() {
        let probabilities = [0.45, 0.3, 0.12, 0.08, 0.04, 0.01];
        let values = [0.2, -1.0, 3.0, 0.5, -2.0, 10.0];
        let (draws, width) = (20_000, 3);
        let mut sums = Vec::with_capacity(draws);
        for draw in 0..draws {
            let mut noise = DrawKey { seed: 4, iteration: draw as u64, prompt: 0 }.of_node(None);
            let mut all: Vec<(usize, Prefixed)> = (0..6)
                .map(|i| {
                    let log_probability = f64::ln(probabilities[i]);
                    (i, Prefixed::at(0, log_probability, log_probability + gumbel(&mut noise)))
                })
                .collect();
            all.sort_by(|a, b| b.1.score.total_cmp(&a.1.score));
            let list: Vec<Prefixed> = all[..width].iter().map(|(_, p)| *p).collect();
            let logs = log_weights(&list, all[width].1.score);
            sums.push(all.iter().zip(&logs).map(|((i, _), l)| l.exp() * values[*i]).sum::<f64>());
        }
        let n = draws as f64;
        let mean = sums.iter().sum::<f64>() / n;
        let error = (sums.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (n * n)).sqrt();
        let expected: f64 = probabilities.iter().zip(values).map(|(p, v)| p * v).sum();
        assert!((mean - expected).abs() < 3.5 * error && error < 0.02, "{mean} instead of {expected}, error {error}");
    }
}
