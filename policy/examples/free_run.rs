//! Free run for timing; not kept.
use conrec_domain::spec::*;
use conrec_domain::work::Pass;
use conrec_feedback::prefix_trie::PrefixTrie;
use conrec_feedback::prompt::Vocabulary;
use conrec_feedback::semantic_id::SemanticIds;
use conrec_policy::grpo::*;
use conrec_policy::legal::Legal;
use conrec_policy::llama::LlamaConfig;
use conrec_policy::lora::LoraConfig;
use conrec_policy::rollout::*;
use conrec_policy::shared_prefix::*;
use conrec_policy::transformer::*;
#[derive(Clone, Copy)]
struct Instant(f64);
impl Instant {
    fn now() -> Self {
        let s = std::fs::read_to_string("/proc/self/schedstat").unwrap();
        Self(s.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9)
    }
    fn elapsed(self) -> Self {
        Self(Self::now().0 - self.0)
    }
    fn as_secs_f64(self) -> f64 {
        self.0
    }
}
fn main() {
    tch::set_num_threads(1);
    let a: Vec<u32> = std::env::args().skip(1).map(|x| x.parse().unwrap()).collect();
    let (hidden, layers, heads, inter, plen, np, g, beta) =
        (a[0], a[1], a[2], a[3], a[4] as usize, a[5] as usize, a[6] as usize, f64::from(a[7]) / 10.0);
    let spec = ModelSpec {
        hidden,
        layers,
        heads,
        kv_heads: heads,
        intermediate: inter,
        max_prompt_tokens: 512,
        ..ModelSpec::default()
    };
    let vocab = 2048;
    let config = LlamaConfig::new(&spec, vocab).unwrap();
    let lc = LoraConfig::new(&LoraSpec::default()).unwrap();
    let base = config.initial_weights(1, Pass::Select, 0.05);
    let flat = lc.initial_weights(&config, 1, Pass::Select);
    let mut x = 12345u64;
    let mut next = |n: u64| {
        x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (x >> 33) % n
    };
    let of_item: Vec<u16> = (0..30000).map(|_| next(256) as u16).collect();
    let ids = SemanticIds::new(3, 256, of_item, &vec![true; 10000]).unwrap();
    let trie = PrefixTrie::new(&ids);
    let legal = Legal { trie: &trie, vocabulary: Vocabulary { levels: 3, codes: 256 } };
    let toks: Vec<Vec<i64>> = (0..np).map(|_| (0..plen).map(|_| next(700) as i64 + 2).collect()).collect();
    let prompts: Vec<GroupPrompt> =
        toks.iter().enumerate().map(|(i, t)| GroupPrompt { id: i as u64, tokens: t }).collect();
    let policy = Policy::new(&config, &base, Some(Adapter { config: lc, flat: &flat }), Trains::Lora).unwrap();
    let reference = Policy::new(&config, &base, Some(Adapter { config: lc, flat: &flat }), Trains::Nothing).unwrap();
    let settings = |it| GrpoSettings {
        seed: 1,
        iteration: it,
        completions: g,
        temperature: 1.0,
        beta,
        clip: Default::default(),
        advantage_floor: 1e-4,
    };
    for rep in 0..5 {
        let t = Instant::now();
        let n = 10;
        for it in 0..n {
            let lease = GrpoLease { policy: &policy, reference: &reference, legal, settings: settings(it) };
            let out = lease.run(&prompts, &|_, c| Some((c % 7) as f64)).unwrap();
            std::hint::black_box(out);
        }
        let all = t.elapsed().as_secs_f64() * 100.0;
        let refs: Vec<&[i64]> = toks.iter().map(|t| t.as_slice()).collect();
        let keys: Vec<DrawKey> = (0..np).map(|i| DrawKey { seed: 1, iteration: 0, prompt: i as u64 }).collect();
        let (mut tp, mut tw) = (0.0, 0.0);
        for _ in 0..n {
            let t = Instant::now();
            let prefix = Prefix::compute(&policy, &refs).unwrap();
            tp += t.elapsed().as_secs_f64() * 100.0;
            let t = Instant::now();
            let w = sample(&prefix, &legal, 1.0, &keys, g).unwrap();
            tw += t.elapsed().as_secs_f64() * 100.0;
            drop(w);
        }
        let (mut rp, mut rw) = (0.0, 0.0);
        for _ in 0..n {
            tch::no_grad(|| {
                let t = Instant::now();
                let prefix = Prefix::compute(&reference, &refs).unwrap();
                rp += t.elapsed().as_secs_f64() * 100.0;
                let t = Instant::now();
                let w = sample(&prefix, &legal, 1.0, &keys, g).unwrap();
                rw += t.elapsed().as_secs_f64() * 100.0;
                drop(w);
            });
        }
        println!("{rep}: all {all:.1} ms; prefix {tp:.1} walk {tw:.1}; no_grad prefix {rp:.1} walk {rw:.1}");
    }
}
