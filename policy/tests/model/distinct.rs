//! Groups of distinct completions against what enumeration of all cells says: the most probable ones, and draws without
//! replacement, whose inclusion probabilities are those of drawing one after the other from what is left.

use crate::fixture::{CELLS, Fixture, prompts};
use conrec_policy::beam_search::BeamSearch;
use conrec_policy::distinct::{Distinct, most_probable, without_replacement};
use conrec_policy::rollout::{DrawKey, follow};
use conrec_policy::shared_prefix::Prefix;
use conrec_policy::transformer::{Policy, Trains};
use tch::{Kind, Tensor};

const T: f64 = 0.8;

/// log pi of all cells after a prompt.
fn enumerated(fixture: &Fixture, policy: &Policy, prompt: &[i64]) -> Vec<f64> {
    let prefix = Prefix::compute(policy, &[prompt]).unwrap();
    let cells: Vec<u32> = (0..CELLS.len() as u32).collect();
    let all = follow(&prefix, &fixture.legal(), T, &cells).unwrap();
    let log_probs: Tensor = (0..3).map(|level| all.chosen(level)).sum();
    Vec::<f64>::try_from(log_probs.to_kind(Kind::Double)).unwrap()
}

/// The chance of each cell to be among `left` drawn one after the other, each time from what is left.
fn inclusion(probabilities: &[f64], left: usize) -> Vec<f64> {
    fn draw(p: &[f64], taken: &mut Vec<usize>, (chance, left): (f64, usize), out: &mut [f64]) {
        if left == 0 {
            taken.iter().for_each(|i| out[*i] += chance);
            return;
        }
        let rest: f64 = (0..p.len()).filter(|i| !taken.contains(i)).map(|i| p[i]).sum();
        for i in 0..p.len() {
            if !taken.contains(&i) {
                taken.push(i);
                draw(p, taken, (chance * p[i] / rest, left - 1), out);
                taken.pop();
            }
        }
    }
    let mut out = vec![0.0; probabilities.len()];
    draw(probabilities, &mut Vec::new(), (1.0, left), &mut out);
    out
}

fn draws(fixture: &Fixture, policy: &Policy, (prompt, many): (&[i64], u64), width: usize) -> Distinct {
    let prefix = Prefix::compute(policy, &vec![prompt; many as usize]).unwrap();
    let keys: Vec<DrawKey> = (0..many).map(|i| DrawKey { seed: 21, iteration: 2, prompt: i }).collect();
    without_replacement(&prefix, &fixture.legal(), T, &keys, width).unwrap()
}

#[test]
fn the_most_probable_are_those_of_enumeration() {
    let fixture = Fixture::new(Kind::Double);
    let policy = fixture.policy(Trains::Nothing);
    for prompt in prompts() {
        let log_probs = enumerated(&fixture, &policy, &prompt);
        let mut order: Vec<u32> = (0..CELLS.len() as u32).collect();
        order.sort_by(|a, b| log_probs[*b as usize].total_cmp(&log_probs[*a as usize]));
        let prefix = Prefix::compute(&policy, &[&prompt]).unwrap();
        // More than there are cells: all of them, in order.
        let all = most_probable(&prefix, &fixture.legal(), T, 50).unwrap();
        assert_eq!((all.cells, all.width, all.weights), (order, CELLS.len(), None));
        for width in 1..CELLS.len() {
            let found = most_probable(&prefix, &fixture.legal(), 1.0, width).unwrap().cells;
            let search = BeamSearch::new(&policy, fixture.legal(), width).unwrap().search(&[&prompt]).unwrap();
            assert_eq!(found, search[0].iter().map(|beam| beam.cell).collect::<Vec<_>>());
        }
    }
}

#[test]
fn draws_without_replacement_include_cells_as_often_as_enumeration_says() {
    let fixture = Fixture::new(Kind::Float);
    let policy = fixture.policy(Trains::Nothing);
    let prompt = &prompts()[1];
    let probabilities: Vec<f64> = enumerated(&fixture, &policy, prompt).iter().map(|l| l.exp()).collect();
    for (width, many) in [(1, 3000), (4, 3000)] {
        let found = draws(&fixture, &policy, (prompt, many), width);
        let mut counts = vec![0u32; CELLS.len()];
        for group in found.cells.chunks(width) {
            group.iter().for_each(|cell| counts[*cell as usize] += 1);
            assert!((1..width).all(|i| !group[..i].contains(&group[i])), "{group:?}");
        }
        for (cell, chance) in inclusion(&probabilities, width).into_iter().enumerate() {
            let (n, count) = (many as f64, f64::from(counts[cell]));
            let deviations = (count - n * chance) / (n * chance * (1.0 - chance)).sqrt();
            // 24 cells in all: 3.9 is exceeded by one of them once in 400 tries.
            assert!(deviations.abs() < 3.9, "width {width}, cell {cell}: {count} of {n}, expected {}", n * chance);
        }
    }
}

#[test]
fn where_all_cells_are_drawn_their_weights_are_their_probabilities() {
    let fixture = Fixture::new(Kind::Double);
    let policy = fixture.policy(Trains::Nothing);
    for prompt in prompts() {
        let log_probs = enumerated(&fixture, &policy, &prompt);
        for width in [CELLS.len(), 40] {
            let found = draws(&fixture, &policy, (&prompt, 2), width);
            assert_eq!((found.width, found.cells.len()), (CELLS.len(), 2 * CELLS.len()));
            let weights = found.weights.unwrap();
            for (cells, weights) in found.cells.chunks(CELLS.len()).zip(weights.chunks(CELLS.len())) {
                let total: f64 = weights.iter().sum();
                for (cell, weight) in cells.iter().zip(weights) {
                    assert!((weight / total - log_probs[*cell as usize].exp()).abs() < 1e-9);
                }
            }
        }
    }
}

#[test]
fn a_draw_depends_on_nothing_but_its_name() {
    let fixture = Fixture::new(Kind::Double);
    let policy = fixture.policy(Trains::Nothing);
    let prompts = prompts();
    let key = |prompt| DrawKey { seed: 1, iteration: 2, prompt };
    let draw = |of: &[usize]| {
        let tokens: Vec<&[i64]> = of.iter().map(|i| prompts[*i].as_slice()).collect();
        let prefix = Prefix::compute(&policy, &tokens).unwrap();
        let keys: Vec<DrawKey> = of.iter().map(|i| key(*i as u64)).collect();
        without_replacement(&prefix, &fixture.legal(), T, &keys, 5).unwrap().cells
    };
    let (together, alone) = (draw(&[2, 0, 1]), draw(&[0]));
    assert_eq!(together[5..10], alone);
    assert_ne!(together[..5], together[5..10]);
    let prefix = Prefix::compute(&policy, &[&prompts[0]]).unwrap();
    let error = without_replacement(&prefix, &fixture.legal(), T, &[], 5).unwrap_err();
    assert!(error.to_string().contains("draw keys"), "{error}");
}
