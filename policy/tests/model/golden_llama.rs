//! The forward pass against plain numpy.

use conrec_domain::spec::{LoraSpec, ModelSpec};
use conrec_policy::llama::LlamaConfig;
use conrec_policy::lora::{LoraConfig, merge};
use conrec_policy::shared_prefix::{Prefix, hidden_everywhere};
use conrec_policy::transformer::{Adapter, Policy, Trains};
use tch::{Device, Kind, Tensor};

#[derive(serde::Deserialize)]
struct Golden {
    shape: Shape,
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Shape {
    vocab: usize,
    hidden: u32,
    layers: u32,
    heads: u32,
    kv_heads: u32,
    intermediate: u32,
    rank: u32,
    scale: f64,
    base_length: usize,
    lora_length: usize,
}

#[derive(serde::Deserialize)]
struct Case {
    tokens: Vec<i64>,
    lora: bool,
    hidden: Vec<Vec<f64>>,
    logits: Vec<f64>,
}

fn weights(config: &LlamaConfig) -> Tensor {
    let layout = config.layout();
    let index = Tensor::arange(layout.len() as i64, (Kind::Double, Device::Cpu));
    let flat = (&index * 1.3 + 0.1).sin() * 0.35;
    let norms = (&index * 0.7).sin() * 0.2 + 1.0;
    for (place, entry) in layout.entries().iter().enumerate() {
        if entry.shape.len() == 1 {
            layout.view(&flat, place).copy_(&layout.view(&norms, place));
        }
    }
    flat
}

fn check(kind: Kind, tolerance: f64) {
    tch::set_num_threads(1);
    let golden: Golden = serde_json::from_str(include_str!("../golden/llama.json")).unwrap();
    let s = &golden.shape;
    let spec = ModelSpec {
        hidden: s.hidden,
        layers: s.layers,
        heads: s.heads,
        kv_heads: s.kv_heads,
        intermediate: s.intermediate,
        ..ModelSpec::default()
    };
    let config = LlamaConfig::new(&spec, s.vocab).unwrap();
    let lora = LoraConfig::new(&LoraSpec { rank: s.rank, alpha: s.scale * f64::from(s.rank) }).unwrap();
    assert_eq!(config.layout().len(), s.base_length);
    assert_eq!(lora.layout(&config).len(), s.lora_length);
    let base = weights(&config).to_kind(kind);
    let index = Tensor::arange(s.lora_length as i64, (Kind::Double, Device::Cpu));
    let adapter = ((index * 0.9 + 0.2).cos() * 0.25).to_kind(kind);
    let merged = merge(&config, lora, &base, &adapter).unwrap();
    for case in &golden.cases {
        let expected = Tensor::from_slice2(&case.hidden).to_kind(kind);
        let with = case.lora.then_some(Adapter { config: lora, flat: &adapter });
        let folded = Policy::new(&config, if case.lora { &merged } else { &base }, None, Trains::Nothing).unwrap();
        let policy = Policy::new(&config, &base, with, Trains::Nothing).unwrap();
        for policy in [policy, folded] {
            let found = hidden_everywhere(&policy, &[&case.tokens]).unwrap().squeeze_dim(0);
            let error = (&found - &expected).abs().max().double_value(&[]);
            assert!(error < tolerance, "{:?} lora {}: {error}", case.tokens, case.lora);
            let last = Prefix::compute(&policy, &[&case.tokens]).unwrap().hidden().squeeze_dim(0);
            let embedding = base.narrow(0, 0, (s.vocab as i64) * i64::from(s.hidden)).view([s.vocab as i64, -1]);
            let error = (embedding.matmul(&last) - Tensor::from_slice(&case.logits).to_kind(kind))
                .abs()
                .max()
                .double_value(&[]);
            assert!(error < 4.0 * tolerance, "logits of {:?}: {error}", case.tokens);
        }
    }
}

#[test]
fn hidden_states_and_logits_equal_numpy_in_f64() {
    check(Kind::Double, 1e-12);
}

#[test]
fn hidden_states_and_logits_equal_numpy_in_f32() {
    check(Kind::Float, 5e-6);
}
