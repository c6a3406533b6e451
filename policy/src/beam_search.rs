//! Constrained beam search over the prefix trie (method.md, section 6): the most probable cells of each prompt.
//! At every level the best B legal prefixes are kept, exactly; ties go to the lower code path.

pub(crate) mod descent;
mod frontier;
mod score_cells;

pub use score_cells::score_cells;

use crate::error::PolicyError;
use crate::legal::Legal;
use crate::shared_prefix::Prefix;
use crate::transformer::Policy;
use descent::{Descent, Prefixed};

/// A cell that the policy may generate, and how probable it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beam {
    /// The cell.
    pub cell: u32,
    /// Sum of the masked policy's log-probabilities of its codes, at temperature 1.
    pub log_probability: f64,
}

/// What an evaluation asks of one prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// The best cells, most probable first.
    pub beams: Vec<Beam>,
    /// log pi of the given cells; minus infinity where none was given.
    pub scores: Vec<f64>,
}

/// Why a search was refused.
#[derive(Debug, thiserror::Error)]
pub enum BeamSearchError {
    /// Fewer cells than beams: the list could never be full.
    #[error(
        "evaluation.beams: found {beams} for {cells} legal semantic ids, expected 1 to {cells}; take fewer beams, or more semantic_id.codes"
    )]
    MoreBeamsThanCells {
        /// Beams asked for.
        beams: usize,
        /// Cells of the trie.
        cells: usize,
    },
    /// Cells to be scored that do not belong to the prompts or to the trie.
    #[error("cells to score: found {found}, expected {expected}")]
    Cells {
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// The forward pass failed.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// A search with a fixed number of beams.
#[derive(Clone, Copy, Debug)]
pub struct BeamSearch<'a> {
    policy: &'a Policy,
    legal: Legal<'a>,
    beams: usize,
}

impl<'a> BeamSearch<'a> {
    /// A search for the best `beams` cells.
    ///
    /// # Errors
    /// [`BeamSearchError::MoreBeamsThanCells`] when there are fewer cells than beams, or no beam.
    pub fn new(policy: &'a Policy, legal: Legal<'a>, beams: usize) -> Result<Self, BeamSearchError> {
        let cells = legal.trie.cells();
        if beams == 0 || beams > cells {
            return Err(BeamSearchError::MoreBeamsThanCells { beams, cells });
        }
        Ok(Self { policy, legal, beams })
    }

    /// The best cells of each prompt, most probable first. A list may be shorter than the number of beams: when the
    /// kept prefixes have fewer legal continuations, what there is is kept.
    ///
    /// All prompts are computed together; prompts of like length waste least. The last bits of a result depend on
    /// which prompts are computed together.
    ///
    /// # Errors
    /// For an empty prompt, one that is too long, and tokens outside the vocabulary.
    pub fn search(&self, prompts: &[&[i64]]) -> Result<Vec<Vec<Beam>>, BeamSearchError> {
        if prompts.is_empty() {
            return Ok(Vec::new());
        }
        let _no_grad = tch::no_grad_guard();
        self.continue_from(&Prefix::compute(self.policy, prompts)?)
    }

    /// [`BeamSearch::search`] and [`score_cells`] of the same prompts, which are computed once.
    ///
    /// # Errors
    /// As the two.
    pub fn search_and_score(
        &self,
        prompts: &[&[i64]],
        cells: &[Vec<Option<u32>>],
    ) -> Result<Vec<Ranking>, BeamSearchError> {
        score_cells::check(&self.legal, prompts.len(), cells)?;
        if prompts.is_empty() {
            return Ok(Vec::new());
        }
        let _no_grad = tch::no_grad_guard();
        let prefix = Prefix::compute(self.policy, prompts)?;
        let beams = self.continue_from(&prefix)?.into_iter();
        let scores = score_cells::score(&prefix, self.legal, cells)?;
        Ok(beams.zip(scores).map(|(beams, scores)| Ranking { beams, scores }).collect())
    }

    fn continue_from(&self, prefix: &Prefix<'_>) -> Result<Vec<Vec<Beam>>, BeamSearchError> {
        let descent = Descent { legal: self.legal, beams: self.beams, temperature: 1.0 };
        let kept = descent.run(prefix, &vec![0.0; prefix.prompts()], None)?;
        let beam = |p: &Prefixed| {
            let cell = self.legal.trie.cell(p.node);
            cell.map(|cell| Beam { cell, log_probability: p.log_probability })
        };
        Ok(kept.iter().map(|beams| beams.iter().filter_map(beam).collect()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llama::LlamaConfig;
    use crate::random_normal::{below, stream};
    use crate::shared_prefix::hidden_everywhere;
    use crate::transformer::Trains;
    use conrec_domain::spec::ModelSpec;
    use conrec_domain::work::Pass;
    use conrec_feedback::prefix_trie::PrefixTrie;
    use conrec_feedback::prompt::Vocabulary;
    use conrec_feedback::semantic_id::SemanticIds;
    use tch::Tensor;

    struct Case {
        config: LlamaConfig,
        flat: Tensor,
        trie: PrefixTrie,
        vocabulary: Vocabulary,
        prompts: Vec<Vec<i64>>,
    }

    impl Case {
        fn new(seed: u64) -> Self {
            let mut rng = stream(seed, "case");
            // Code 0 of level 0 has one cell below it: a forced path of two.
            let mut rows: Vec<u16> = vec![0, 3, 2];
            for _ in 1..40 {
                rows.extend([1 + below(&mut rng, 4), below(&mut rng, 3), below(&mut rng, 5)].map(|code| code as u16));
            }
            let ids = SemanticIds::new(3, 5, rows, &[true; 40]).unwrap();
            let vocabulary = Vocabulary::of(&ids);
            let spec =
                ModelSpec { hidden: 16, layers: 2, heads: 4, kv_heads: 2, intermediate: 24, ..ModelSpec::default() };
            let config = LlamaConfig::new(&spec, vocabulary.size()).unwrap();
            let flat = config.initial_weights(seed, Pass::Select, 0.6);
            let prompts = [2, 9, 5, 9].map(|n| (0..n).map(|_| below(&mut rng, vocabulary.size()) as i64).collect());
            Self { config, flat, trie: PrefixTrie::new(&ids), vocabulary, prompts: prompts.to_vec() }
        }

        fn policy(&self) -> Policy {
            tch::set_num_threads(1);
            Policy::new(&self.config, &self.flat, None, Trains::Nothing).unwrap()
        }

        fn legal(&self) -> Legal<'_> {
            Legal { trie: &self.trie, vocabulary: self.vocabulary }
        }

        fn prompts(&self) -> Vec<&[i64]> {
            self.prompts.iter().map(Vec::as_slice).collect()
        }

        /// log pi of each node's whole path, by one full forward pass a cell and a softmax written out in f64.
        fn nodes_by_full_forward(&self, prompt: &[i64]) -> Vec<f64> {
            let policy = self.policy();
            let width = self.config.hidden as usize;
            let table = Vec::<f32>::try_from(self.flat.narrow(0, 0, self.config.vocab * self.config.hidden)).unwrap();
            let mut out = vec![0.0; self.trie.nodes()];
            for cell in 0..self.trie.cells() as u32 {
                let path = self.trie.path(cell);
                let codes: Vec<i64> =
                    (0..3).map(|d| self.vocabulary.code(d, self.trie.code(path[d]).unwrap())).collect();
                let sequence = [prompt, &codes].concat();
                let hidden = hidden_everywhere(&policy, &[&sequence]).unwrap().flatten(0, 2);
                let hidden = Vec::<f32>::try_from(hidden).unwrap();
                for depth in 0..3 {
                    let above = if depth == 0 { 0 } else { path[depth - 1] };
                    let at = &hidden[(prompt.len() - 1 + depth) * width..][..width];
                    let logit = |code: u16| -> f64 {
                        let row = &table[self.vocabulary.code(depth, code) as usize * width..][..width];
                        at.iter().zip(row).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
                    };
                    let total: f64 = self.trie.children(above).iter().map(|c| logit(c.code).exp()).sum();
                    let own = self.trie.code(path[depth]).unwrap();
                    out[path[depth] as usize] = out[above as usize] + logit(own) - total.ln();
                }
            }
            out
        }

        /// Beam search over known log-probabilities.
        fn search_by_hand(&self, nodes: &[f64], beams: usize) -> Vec<(u32, f64)> {
            let mut kept = vec![0u32];
            for _ in 0..3 {
                let mut next: Vec<u32> =
                    kept.iter().flat_map(|node| self.trie.children(*node).iter().map(|c| c.node)).collect();
                next.sort_by(|a, b| nodes[*b as usize].total_cmp(&nodes[*a as usize]).then(a.cmp(b)));
                next.truncate(beams);
                kept = next;
            }
            kept.iter().map(|node| (self.trie.cell(*node).unwrap(), nodes[*node as usize])).collect()
        }
    }

    #[test]
    fn search_equals_brute_force_for_every_width() {
        for seed in 0..3 {
            let case = Case::new(seed);
            let by_node: Vec<Vec<f64>> = case.prompts.iter().map(|p| case.nodes_by_full_forward(p)).collect();
            let policy = case.policy();
            for beams in 1..=case.trie.cells() {
                let found = BeamSearch::new(&policy, case.legal(), beams).unwrap().search(&case.prompts()).unwrap();
                for (list, nodes) in found.iter().zip(&by_node) {
                    let expected = case.search_by_hand(nodes, beams);
                    assert_eq!(list.len(), expected.len(), "seed {seed}, {beams} beams");
                    for (beam, (cell, log_probability)) in list.iter().zip(&expected) {
                        assert_eq!(beam.cell, *cell, "seed {seed}, {beams} beams: {list:?} {expected:?}");
                        assert!((beam.log_probability - log_probability).abs() < 2e-5, "{beam:?} {log_probability}");
                    }
                }
            }
        }
    }

    #[test]
    fn all_cells_together_have_probability_one() {
        let case = Case::new(5);
        let policy = case.policy();
        let found = BeamSearch::new(&policy, case.legal(), case.trie.cells()).unwrap().search(&case.prompts()).unwrap();
        for list in found {
            assert_eq!(list.len(), case.trie.cells());
            let total: f64 = list.iter().map(|b| b.log_probability.exp()).sum();
            assert!((total - 1.0).abs() < 1e-5, "{total}");
        }
    }

    #[test]
    fn scores_of_given_cells_equal_brute_force() {
        let case = Case::new(1);
        let policy = case.policy();
        let mut rng = stream(1, "cells");
        let mut draw = || Some(below(&mut rng, case.trie.cells()) as u32);
        // Duplicates, none, and a prompt without any cell.
        let mut cells: Vec<Vec<Option<u32>>> = (0..3).map(|_| (0..9).map(|_| draw()).collect()).collect();
        cells[0][4] = None;
        cells[0][5] = cells[0][3];
        cells.push(vec![None, None]);
        cells[1] = vec![Some(0)];
        let found = score_cells(&policy, case.legal(), &case.prompts(), &cells).unwrap();
        for ((values, list), prompt) in found.iter().zip(&cells).zip(&case.prompts) {
            let nodes = case.nodes_by_full_forward(prompt);
            assert_eq!(values.len(), list.len());
            for (value, cell) in values.iter().zip(list) {
                match cell {
                    None => assert_eq!(*value, f64::NEG_INFINITY),
                    Some(cell) => {
                        let expected = nodes[case.trie.path(*cell)[2] as usize];
                        assert!((value - expected).abs() < 2e-5, "cell {cell}: {value} {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn search_and_score_is_search_and_score() {
        let case = Case::new(4);
        let policy = case.policy();
        let cells = vec![vec![Some(1), Some(7)], vec![None], vec![Some(3)], vec![Some(2), None]];
        let search = BeamSearch::new(&policy, case.legal(), 6).unwrap();
        let together = search.search_and_score(&case.prompts(), &cells).unwrap();
        let beams = search.search(&case.prompts()).unwrap();
        let scores = score_cells(&policy, case.legal(), &case.prompts(), &cells).unwrap();
        let apart: Vec<Ranking> =
            beams.into_iter().zip(scores).map(|(beams, scores)| Ranking { beams, scores }).collect();
        assert_eq!(together, apart);
        assert!(search.search_and_score(&case.prompts(), &cells[1..]).is_err());
    }

    #[test]
    fn equal_probabilities_go_to_the_lower_path() {
        let case = Case::new(2);
        // Without weights all logits are 0: children of one node are equally probable.
        let flat = case.flat.zeros_like();
        let policy = Policy::new(&case.config, &flat, None, Trains::Nothing).unwrap();
        let found = BeamSearch::new(&policy, case.legal(), case.trie.cells()).unwrap().search(&case.prompts()).unwrap();
        for list in found {
            assert!(list.windows(2).all(|w| {
                w[0].log_probability > w[1].log_probability
                    || (w[0].log_probability == w[1].log_probability && w[0].cell < w[1].cell)
            }));
        }
    }

    #[test]
    fn more_beams_than_cells_is_refused() {
        let case = Case::new(3);
        let policy = case.policy();
        let cells = case.trie.cells();
        let error = BeamSearch::new(&policy, case.legal(), cells + 1).unwrap_err();
        assert!(matches!(error, BeamSearchError::MoreBeamsThanCells { beams, .. } if beams == cells + 1), "{error}");
        assert!(BeamSearch::new(&policy, case.legal(), 0).is_err());
    }

    #[test]
    fn wrong_input_is_refused() {
        let case = Case::new(3);
        let policy = case.policy();
        let search = BeamSearch::new(&policy, case.legal(), 3).unwrap();
        assert!(search.search(&[]).unwrap().is_empty());
        assert!(matches!(search.search(&[&[]]), Err(BeamSearchError::Policy(_))));
        assert!(matches!(search.search(&[&[-1]]), Err(BeamSearchError::Policy(_))));
        let cells = vec![vec![Some(case.trie.cells() as u32)]];
        let error = score_cells(&policy, case.legal(), &[&[1]], &cells).unwrap_err();
        assert!(matches!(error, BeamSearchError::Cells { .. }), "{error}");
        assert!(score_cells(&policy, case.legal(), &[&[1], &[1]], &cells).is_err());
    }
}
