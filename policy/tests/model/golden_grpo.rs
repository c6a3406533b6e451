//! Masked log-probabilities, exact KL, entropy and the clipped loss against plain numpy, gradients against finite
//! differences. The log-probabilities are those of `Legal`: temperature, the level's block of the head, the trie.

use conrec_domain::spec::{Clip, GrpoLoss, ModelSpec};
use conrec_domain::work::Pass;
use conrec_feedback::prefix_trie::PrefixTrie;
use conrec_feedback::prompt::Vocabulary;
use conrec_feedback::semantic_id::SemanticIds;
use conrec_policy::exact_kl::{entropy, exact_kl};
use conrec_policy::grpo_loss::{GrpoTerms, grpo_loss};
use conrec_policy::legal::{Legal, LevelAt};
use conrec_policy::llama::LlamaConfig;
use conrec_policy::transformer::{Policy, Trains};
use tch::{Device, Kind, Tensor};

/// The golden rows are nodes of this depth.
const LEVEL: usize = 2;
/// Prefixes are numbered in base 4, so that eight rows have a node each.
const FANS: usize = 4;
/// One more than the golden file has codes: a head of rotations needs an even width.
const HIDDEN: i64 = 6;

#[derive(serde::Deserialize)]
struct Golden {
    temperature: f64,
    beta: f64,
    low: f64,
    high: f64,
    z: Vec<Vec<f64>>,
    z_ref: Vec<Vec<f64>>,
    z_old: Vec<Vec<f64>>,
    legal: Vec<Vec<bool>>,
    code: Vec<i64>,
    advantage: Vec<f64>,
    weight: Vec<f64>,
    log_probs: Vec<Vec<Option<f64>>>,
    ratio: Vec<f64>,
    kl: Vec<f64>,
    entropy: Vec<f64>,
    loss: f64,
    gradient: Vec<Vec<f64>>,
}

/// What the golden logits go through: a trie in which row i of the golden file is a node whose children are its legal
/// codes, and a policy whose head turns a hidden state into these logits.
struct Production {
    trie: PrefixTrie,
    vocabulary: Vocabulary,
    nodes: Vec<u32>,
    policy: Policy,
}

impl Production {
    fn new(g: &Golden) -> Self {
        let codes = g.legal[0].len();
        let vocabulary = Vocabulary::new(LEVEL + 1, codes);
        let prefix = |row: usize| [(row / FANS) as u16, (row % FANS) as u16];
        let legal = |row: usize| (0..codes).filter(move |code| g.legal[row][*code]);
        let cells = (0..g.legal.len()).flat_map(|row| legal(row).map(move |code| (prefix(row), code as u16)));
        let of_item: Vec<u16> = cells.flat_map(|(prefix, code)| [prefix[0], prefix[1], code]).collect();
        let candidates = vec![true; of_item.len() / vocabulary.levels];
        let trie = PrefixTrie::new(&SemanticIds::new(vocabulary.levels, codes, of_item, &candidates).unwrap());
        let nodes = (0..g.legal.len()).map(|row| trie.walk(&prefix(row)).unwrap()).collect();
        Self { policy: policy(vocabulary), trie, vocabulary, nodes }
    }

    fn legal(&self) -> Legal<'_> {
        Legal { trie: &self.trie, vocabulary: self.vocabulary }
    }

    fn log_softmax(&self, z: &Tensor, temperature: f64) -> Tensor {
        // The last column of the hidden state is not 0: only the head's own zeros keep it out of the logits.
        let rest = Tensor::full([z.size()[0], HIDDEN - z.size()[1]], 3.0, (Kind::Double, Device::Cpu));
        let hidden = Tensor::cat(&[z, &rest], 1);
        let place = LevelAt { level: LEVEL, temperature };
        self.legal().log_softmax(&self.policy, &hidden, &self.nodes, place).unwrap()
    }
}

/// A policy in f64 whose head is the identity in the rows of `LEVEL`, and something else in all others.
fn policy(vocabulary: Vocabulary) -> Policy {
    let spec = ModelSpec {
        hidden: HIDDEN as u32,
        layers: 1,
        heads: 1,
        kv_heads: 1,
        intermediate: 4,
        max_prompt_tokens: 8,
        ..ModelSpec::default()
    };
    let config = LlamaConfig::new(&spec, vocabulary.size()).unwrap();
    let base = config.initial_weights(3, Pass::Select, 0.5).to_kind(Kind::Double);
    let layout = config.layout();
    let place = layout.entries().iter().position(|e| e.name == "model.embed_tokens.weight").unwrap();
    let codes = vocabulary.codes as i64;
    let identity = Tensor::eye(HIDDEN, (Kind::Double, Device::Cpu)).narrow(0, 0, codes);
    layout.view(&base, place).narrow(0, vocabulary.code(LEVEL, 0), codes).copy_(&identity);
    Policy::new(&config, &base, None, Trains::Nothing).unwrap()
}

fn close(found: &Tensor, expected: &[f64], tolerance: f64, what: &str) {
    let found = Vec::<f64>::try_from(found.detach().to_kind(Kind::Double).reshape([-1])).unwrap();
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() < tolerance, "{what}: {f} instead of {e}");
    }
}

#[test]
fn log_probs_kl_entropy_loss_and_gradient_equal_numpy() {
    let g: Golden = serde_json::from_str(include_str!("../golden/grpo.json")).unwrap();
    let production = Production::new(&g);
    let log_probs = |z: &Tensor| production.log_softmax(z, g.temperature);
    let z = Tensor::from_slice2(&g.z).set_requires_grad(true);
    let code = Tensor::from_slice(&g.code).unsqueeze(1);
    let (policy, old) = (log_probs(&z), log_probs(&Tensor::from_slice2(&g.z_old)));
    for (row, expected) in g.log_probs.iter().enumerate() {
        let forced = expected.iter().flatten().count() == 1;
        assert_eq!(production.legal().is_forced(production.nodes[row]), forced);
        for (column, e) in expected.iter().enumerate() {
            let found = policy.double_value(&[row as i64, column as i64]);
            match e {
                Some(_) if forced => assert_eq!(found, 0.0),
                Some(e) => assert!((found - e).abs() < 1e-12, "row {row}, code {column}: {found} instead of {e}"),
                None => assert_eq!(found.exp(), 0.0),
            }
        }
    }
    let kl = exact_kl(&policy, &log_probs(&Tensor::from_slice2(&g.z_ref)));
    close(&kl, &g.kl, 1e-12, "kl");
    close(&entropy(&policy), &g.entropy, 1e-12, "entropy");
    let pick = |l: &Tensor| l.gather(1, &code, false).squeeze_dim(1);
    let (chosen, old) = (pick(&policy), pick(&old));
    close(&(&chosen - &old).exp(), &g.ratio, 1e-12, "ratio");
    let (advantages, weights) = (Tensor::from_slice(&g.advantage), Tensor::from_slice(&g.weight));
    let terms = GrpoTerms {
        log_probs: &chosen,
        old_log_probs: &old,
        advantages: &advantages,
        kl: Some(&kl),
        weights: &weights,
        lengths: &weights.ones_like(),
    };
    let loss = grpo_loss(&terms, (GrpoLoss::Grpo, Clip { low: g.low, high: g.high }), g.beta);
    close(&loss, &[g.loss], 1e-12, "loss");
    let gradient = Tensor::run_backward(&[&loss], &[&z], false, false);
    let expected: Vec<f64> = g.gradient.iter().flatten().copied().collect();
    assert!(expected.iter().filter(|v| v.abs() > 1e-3).count() > 15);
    close(&gradient[0], &expected, 1e-8, "gradient");
}
