//! Shared prefix and cached decoding against the full forward pass.

use crate::fixture::{CELLS, Fixture, VOCABULARY, distance, prompts};
use crate::oracle::Oracle;
use conrec_policy::shared_prefix::{Prefix, hidden_everywhere};
use conrec_policy::transformer::Trains;
use tch::Kind;

/// Tokens of the first `n` codes of a cell.
fn start(cell: usize, n: usize) -> Vec<i64> {
    (0..n).map(|level| VOCABULARY.code(level, CELLS[cell][level])).collect()
}

fn decoding_equals_the_full_forward(kind: Kind, tolerance: f64) {
    let fixture = Fixture::new(kind);
    let policy = fixture.policy(Trains::Nothing);
    let oracle = Oracle { fixture: &fixture, base: &fixture.base, lora: Some(&fixture.lora) };
    let prompts = prompts();
    let rows: Vec<&[i64]> = prompts.iter().map(Vec::as_slice).collect();
    let prefix = Prefix::compute(&policy, &rows).unwrap();
    for (i, prompt) in prompts.iter().enumerate() {
        let expected = oracle.hidden(prompt).get(-1);
        assert!(distance(&prefix.hidden().get(i as i64), &expected) < tolerance, "prompt {i}");
    }
    let width = 3;
    let cell = |row: usize| (5 * row + 2) % CELLS.len();
    let mut branches = prefix.branches(width);
    for position in 0..3 {
        let tokens: Vec<i64> = (0..prompts.len() * width).map(|row| start(cell(row), 3)[position]).collect();
        let hidden = branches.advance(&tokens).unwrap();
        for row in 0..prompts.len() * width {
            let full = [prompts[row / width].clone(), start(cell(row), position + 1)].concat();
            let expected = oracle.hidden(&full).get(-1);
            assert!(distance(&hidden.get(row as i64), &expected) < tolerance, "row {row} position {position}");
        }
    }
}

#[test]
fn cached_decoding_equals_the_full_forward_in_f64() {
    decoding_equals_the_full_forward(Kind::Double, 1e-12);
}

#[test]
fn cached_decoding_equals_the_full_forward_in_f32() {
    decoding_equals_the_full_forward(Kind::Float, 1e-5);
}

#[test]
fn branches_go_on_from_the_parents_that_were_selected() {
    let fixture = Fixture::new(Kind::Double);
    let policy = fixture.policy(Trains::Nothing);
    let oracle = Oracle { fixture: &fixture, base: &fixture.base, lora: Some(&fixture.lora) };
    let prompts = prompts();
    let rows: Vec<&[i64]> = prompts.iter().map(Vec::as_slice).collect();
    let prefix = Prefix::compute(&policy, &rows).unwrap();
    let mut branches = prefix.branches(2);
    let first: Vec<usize> = (0..8).map(|row| (3 * row + 1) % CELLS.len()).collect();
    let _ = branches.advance(&first.iter().map(|c| start(*c, 1)[0]).collect::<Vec<_>>()).unwrap();
    // Three branches from two: the second, the first, the second again.
    let parents: Vec<i64> = [1, 0, 1].repeat(4);
    branches.select(&parents, 3).unwrap();
    let second: Vec<i64> = (0..12).map(|row| VOCABULARY.code(1, (row % 6) as u16)).collect();
    let hidden = branches.advance(&second).unwrap();
    for row in 0..12 {
        let parent = first[(row / 3) * 2 + parents[row] as usize];
        let full = [prompts[row / 3].clone(), start(parent, 1), vec![second[row]]].concat();
        assert!(distance(&hidden.get(row as i64), &oracle.hidden(&full).get(-1)) < 1e-12, "row {row}");
    }
    assert!(branches.select(&[3; 12], 3).is_err());
    assert!(branches.advance(&[5]).is_err());
}

#[test]
fn hidden_states_of_all_positions_ignore_padding() {
    let fixture = Fixture::new(Kind::Double);
    let policy = fixture.policy(Trains::Nothing);
    let oracle = Oracle { fixture: &fixture, base: &fixture.base, lora: Some(&fixture.lora) };
    let prompts = prompts();
    let rows: Vec<&[i64]> = prompts.iter().map(Vec::as_slice).collect();
    let hidden = hidden_everywhere(&policy, &rows).unwrap();
    for (i, prompt) in prompts.iter().enumerate() {
        let found = hidden.get(i as i64).narrow(0, 0, prompt.len() as i64);
        assert!(distance(&found, &oracle.hidden(prompt)) < 1e-12, "sequence {i}");
    }
}

#[test]
fn prompts_that_cannot_be_read_are_named() {
    let fixture = Fixture::new(Kind::Float);
    let policy = fixture.policy(Trains::Nothing);
    let message = |prompts: &[&[i64]]| Prefix::compute(&policy, prompts).unwrap_err().to_string();
    assert_eq!(message(&[&[1, 23]]), "prompts: found token 23, expected a token of 0..23");
    assert_eq!(message(&[&[1], &[]]), "prompts: found an empty prompt or none, expected 1 to 72 tokens each");
    assert_eq!(message(&[&[1; 73]]), "prompts: found 73 tokens, expected 1 to 72 tokens each");
    assert!(hidden_everywhere(&policy, &[&[-1]]).is_err());
}
