//! A tiny model with grouped key heads, a trie with forced codes, and prompts of unequal length.

use conrec_domain::spec::{LoraSpec, ModelSpec, Objective};
use conrec_domain::work::Pass;
use conrec_feedback::prefix_trie::PrefixTrie;
use conrec_feedback::prompt::Vocabulary;
use conrec_feedback::semantic_id::SemanticIds;
use conrec_policy::grpo::GrpoSettings;
use conrec_policy::legal::Legal;
use conrec_policy::llama::LlamaConfig;
use conrec_policy::lora::LoraConfig;
use conrec_policy::transformer::{Adapter, Policy, Trains};
use tch::{Kind, Tensor};

pub const VOCABULARY: Vocabulary = Vocabulary::new(3, 6);

pub struct Fixture {
    pub config: LlamaConfig,
    pub lora_config: LoraConfig,
    pub base: Tensor,
    pub lora: Tensor,
    pub reference: Tensor,
    pub trie: PrefixTrie,
}

/// Cells: below code 0 everything branches, below 1 the last code is forced, below 2 all is forced.
pub const CELLS: [[u16; 3]; 12] = [
    [0, 0, 0],
    [0, 0, 3],
    [0, 1, 1],
    [0, 1, 2],
    [0, 1, 5],
    [0, 4, 0],
    [1, 2, 2],
    [1, 3, 0],
    [1, 5, 5],
    [2, 2, 4],
    [4, 0, 1],
    [4, 0, 5],
];

impl Fixture {
    pub fn new(kind: Kind) -> Self {
        tch::set_num_threads(1);
        let spec = ModelSpec {
            hidden: 16,
            layers: 3,
            heads: 4,
            kv_heads: 2,
            intermediate: 24,
            max_prompt_tokens: 40,
            ..ModelSpec::default()
        };
        let config = LlamaConfig::new(&spec, VOCABULARY.size()).unwrap();
        let lora_config = LoraConfig::new(&LoraSpec { rank: 3, alpha: 4.0 }).unwrap();
        let length = lora_config.layout(&config).len() as i64;
        // B is not 0 here: an adapter that does nothing would hide mistakes.
        let adapter = |phase: f64| {
            ((Tensor::arange(length, (Kind::Double, tch::Device::Cpu)) * 0.77 + phase).sin() * 0.2).to_kind(kind)
        };
        let of_item = CELLS.iter().flatten().copied().collect();
        let ids = SemanticIds::new(3, 6, of_item, &[true; CELLS.len()]).unwrap();
        Self {
            base: config.initial_weights(11, Pass::Select, 0.15).to_kind(kind),
            lora: adapter(0.1),
            reference: adapter(0.4),
            trie: PrefixTrie::new(&ids),
            config,
            lora_config,
        }
    }

    pub fn legal(&self) -> Legal<'_> {
        Legal { trie: &self.trie, vocabulary: VOCABULARY }
    }

    pub fn policy(&self, trains: Trains) -> Policy {
        self.with(&self.lora, trains)
    }

    /// An adapter a little off the policy's: that of the policy that sampled.
    pub fn behaviour(&self) -> Tensor {
        let length = self.lora.size()[0];
        let wave = (Tensor::arange(length, (Kind::Double, tch::Device::Cpu)) * 1.3).cos() * 0.03;
        &self.lora + wave.to_kind(self.lora.kind())
    }

    pub fn policy_of(&self, lora: &Tensor) -> Policy {
        self.with(lora, Trains::Nothing)
    }

    pub fn reference(&self) -> Policy {
        self.with(&self.reference, Trains::Nothing)
    }

    pub fn with(&self, lora: &Tensor, trains: Trains) -> Policy {
        Policy::new(&self.config, &self.base, Some(Adapter { config: self.lora_config, flat: lora }), trains).unwrap()
    }
}

/// Completions of a prompt.
pub const G: usize = 5;

/// The paper's objective with a KL term and a temperature that show.
pub fn settings() -> GrpoSettings {
    GrpoSettings {
        seed: 3,
        iteration: 17,
        completions: G,
        temperature: 0.8,
        beta: 0.2,
        nll_weight: 0.0,
        objective: Objective::paper(),
    }
}

/// Prompts of 2, 6, 10 and 14 tokens: BOS, events, the query sign.
pub fn prompts() -> Vec<Vec<i64>> {
    let event = |sign: i64, cell: usize| {
        let c = CELLS[cell];
        [sign, VOCABULARY.code(0, c[0]), VOCABULARY.code(1, c[1]), VOCABULARY.code(2, c[2])]
    };
    (0..4)
        .map(|n| {
            let events = (0..n).flat_map(|e| event(2 + (e as i64 + n as i64) % 3, (5 * e + 3 * n) % CELLS.len()));
            std::iter::once(1).chain(events).chain([2]).collect()
        })
        .rev()
        .collect()
}

/// Largest difference over the largest magnitude.
pub fn distance(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let largest = expected.abs().max().double_value(&[]);
    assert!(largest > 0.0, "all expected values are 0");
    (found - expected).abs().max().double_value(&[]) / largest
}
