//! The supervised stages against the plain form.

use crate::fixture::{CELLS, Fixture, VOCABULARY, distance, prompts};
use crate::oracle::{Oracle, legal_tokens};
use conrec_policy::lease_gradient::LeaseGradient;
use conrec_policy::supervised::{SupervisedLease, TargetPrompt};
use conrec_policy::transformer::{Policy, Trains};
use tch::{Device, Kind, Tensor};

fn policy(fixture: &Fixture) -> Policy {
    Policy::new(&fixture.config, &fixture.base, None, Trains::Base).unwrap()
}

/// Minus log pi of a cell's codes after a prefix, codes that are forced left out; also how many were not.
fn cross_entropy(oracle: &Oracle<'_>, prompt: &[i64], cell: usize) -> (Tensor, u64) {
    let mut tokens = prompt.to_vec();
    let mut node = 0;
    let mut codes = 0;
    let mut loss = Tensor::zeros([], (oracle.base.kind(), Device::Cpu));
    for (level, code) in CELLS[cell].iter().enumerate() {
        let (legal, next) = legal_tokens(&oracle.fixture.trie, level, node);
        let right = VOCABULARY.code(level, *code);
        let at = legal.iter().position(|t| *t == right).unwrap();
        if legal.len() > 1 {
            loss -= oracle.log_probs(&oracle.hidden(&tokens).get(-1), &legal, 1.0).get(at as i64);
            codes += 1;
        }
        tokens.push(right);
        node = next[at];
    }
    (loss, codes)
}

fn check(found: &LeaseGradient, expected: &Tensor, base: &Tensor, tolerance: f64) {
    let loss = expected.double_value(&[]);
    assert!(((found.metrics.loss - loss) / loss).abs() < tolerance, "{} instead of {loss}", found.metrics.loss);
    let gradient = Tensor::run_backward(&[expected], &[base], false, false);
    let error = distance(found.gradient.as_ref().unwrap(), &gradient[0]);
    assert!(error < tolerance, "gradient {error}");
}

fn next_negative(kind: Kind, tolerance: f64) {
    let fixture = Fixture::new(kind);
    let base = fixture.base.copy().set_requires_grad(true);
    let oracle = Oracle { fixture: &fixture, base: &base, lora: None };
    let cells = [3usize, 6, 11, 0];
    let prompts = prompts();
    let targets: Vec<TargetPrompt<'_>> =
        prompts.iter().zip(cells).map(|(tokens, cell)| TargetPrompt { tokens, cell: cell as u32 }).collect();
    let policy = policy(&fixture);
    let found = SupervisedLease { policy: &policy, legal: fixture.legal() }.next_negative(&targets).unwrap();
    let (mut loss, mut codes) = (Tensor::zeros([], (kind, Device::Cpu)), 0);
    for (prompt, cell) in prompts.iter().zip(cells) {
        let (term, n) = cross_entropy(&oracle, prompt, cell);
        loss += term;
        codes += n;
    }
    assert_eq!((found.metrics.codes, found.metrics.groups), (codes, 4));
    check(&found, &loss, &base, tolerance);
}

#[test]
fn next_negative_equals_the_plain_form() {
    next_negative(Kind::Double, 1e-11);
    next_negative(Kind::Float, 1e-5);
}

fn next_item(sign_weight: f64) {
    let fixture = Fixture::new(Kind::Double);
    let base = fixture.base.copy().set_requires_grad(true);
    let oracle = Oracle { fixture: &fixture, base: &base, lora: None };
    let events: [&[(i64, usize)]; 3] = [&[(2, 4), (4, 9), (3, 6)], &[(4, 0)], &[(2, 11), (2, 11), (3, 7), (4, 2)]];
    let mut loss = Tensor::zeros([], (Kind::Double, Device::Cpu));
    let (mut codes, mut sequences) = (0, Vec::new());
    for sequence in events {
        let mut tokens = vec![1];
        for (sign, cell) in sequence {
            let signs = oracle.log_probs(&oracle.hidden(&tokens).get(-1), &[2, 3, 4], 1.0);
            loss -= signs.get(sign - 2) * sign_weight;
            tokens.push(*sign);
            let (term, n) = cross_entropy(&oracle, &tokens, *cell);
            loss += term;
            codes += n;
            tokens.extend((0..3).map(|level| VOCABULARY.code(level, CELLS[*cell][level])));
        }
        sequences.push(tokens);
    }
    let rows: Vec<&[i64]> = sequences.iter().map(Vec::as_slice).collect();
    let policy = policy(&fixture);
    let found = SupervisedLease { policy: &policy, legal: fixture.legal() }.next_item(&rows, sign_weight).unwrap();
    assert_eq!((found.metrics.codes, found.metrics.completions, found.metrics.groups), (codes, 8, 3));
    check(&found, &loss, &base, 1e-11);
}

#[test]
fn next_item_equals_the_plain_form() {
    next_item(0.2);
    next_item(0.0);
    next_item(1.5);
}

#[test]
fn an_item_outside_the_trie_is_context_only() {
    let fixture = Fixture::new(Kind::Double);
    let policy = policy(&fixture);
    let lease = SupervisedLease { policy: &policy, legal: fixture.legal() };
    // (3, 0, 0) is no cell; its sign still counts.
    let outside = [1, 2, VOCABULARY.code(0, 3), VOCABULARY.code(1, 0), VOCABULARY.code(2, 0)];
    let found = lease.next_item(&[&outside], 0.2).unwrap();
    assert_eq!((found.metrics.codes, found.metrics.completions), (0, 0));
    assert!(found.metrics.loss > 0.0);
}
