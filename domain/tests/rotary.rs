//! Rotary frequencies against those of transformers (`domain/tests/golden/rotary.py` made the expected ones, in f32).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use conrec_domain::decoder_shape::{DecoderShape, RopeScaling, frequencies};

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    config: serde_json::Value,
    frequencies: Vec<f64>,
    attention: f64,
}

#[test]
fn every_rescaling_has_the_frequencies_of_transformers() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("golden/rotary.json")).unwrap();
    assert_eq!(cases.len(), 13);
    let mut seen: Vec<Vec<f64>> = Vec::new();
    for case in &cases {
        let shape = DecoderShape::parse(&case.config.to_string()).unwrap();
        let found = frequencies(shape.rope_theta, shape.rope_scaling, shape.head_dim);
        assert_eq!(found.len(), case.frequencies.len());
        for (pair, (found, expected)) in found.iter().zip(&case.frequencies).enumerate() {
            assert!((found / expected - 1.0).abs() < 2e-6, "{}, pair {pair}: {found} for {expected}", case.name);
        }
        let attention = shape.rope_scaling.map_or(1.0, RopeScaling::attention_factor);
        assert!((attention - case.attention).abs() < 1e-12, "{}: {attention} for {}", case.name, case.attention);
        if !seen.contains(&case.frequencies) {
            seen.push(case.frequencies.clone());
        }
    }
    assert!(seen.len() >= 9, "cases that all give the same show nothing: {}", seen.len());
}
