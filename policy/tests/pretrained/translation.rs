//! The translation stage against its plain form: each prediction from a prompt of its own, over all logits.

use crate::training::{CELLS, Trained, folder};
use conrec_domain::spec::{RunConfig, RunSpec};
use conrec_policy::base_model::BaseModel;
use conrec_policy::lease_gradient::LeaseGradient;
use conrec_policy::shared_prefix::Prefix;
use conrec_policy::supervised::{SupervisedLease, TargetPrompt};
use conrec_policy::transformer::Policy;
use conrec_policy::translation::{TitlePrompt, title_scores};
use tch::{Kind, Tensor};

/// Tokens of the tiny bases.
const WORDS: i64 = 304;

/// Semantic ids in words with their titles (tokens, and where the title begins), and titles with the cells asked for.
struct Prompts {
    titles: Vec<(Vec<i64>, usize)>,
    items: Vec<(Vec<i64>, u32)>,
}

fn prompts(of: &Trained) -> Prompts {
    let codes = |cell: usize| of.vocabulary.codes(&CELLS[cell]).collect::<Vec<_>>();
    let title = |cell: usize, title: &[i64]| ([vec![5, 6], codes(cell), vec![7], title.to_vec()].concat(), 5);
    let item = |cell: u32, title: &[i64]| ([&[8], title, &[9]].concat(), cell);
    let titles = vec![title(1, &[40, 41, 0]), title(4, &[300, 42, 43, 44, 45, 0]), title(2, &[303])];
    let items = vec![item(0, &[41, 40]), item(3, &[42, 43, 44, 45]), item(5, &[303])];
    Prompts { titles, items }
}

fn translate(of: &Trained, prompts: &Prompts) -> LeaseGradient {
    let policy = of.state.policy().unwrap();
    let titles: Vec<TitlePrompt<'_>> =
        prompts.titles.iter().map(|(tokens, answer)| TitlePrompt { tokens, answer: *answer }).collect();
    let items: Vec<TargetPrompt<'_>> =
        prompts.items.iter().map(|(tokens, cell)| TargetPrompt { tokens, cell: *cell }).collect();
    SupervisedLease { policy: &policy, legal: of.legal() }.translation(&titles, &items).unwrap()
}

/// -log of the probability of `right` among `among` after `tokens`.
fn term(policy: &Policy, tokens: &[i64], (right, among): (i64, &[i64])) -> Tensor {
    let prefix = Prefix::compute(policy, &[tokens]).unwrap();
    let logits = policy.logits(prefix.hidden(), 0, policy.config().tokens()).get(0);
    let among = logits.index_select(0, &Tensor::from_slice(among));
    among.logsumexp([0i64], false) - logits.get(right)
}

/// The loss of the titles and of the items, and of how many predictions each is the sum.
fn plain(of: &Trained, policy: &Policy, prompts: &Prompts) -> [(Tensor, u64); 2] {
    let words: Vec<i64> = (0..WORDS).collect();
    let mut title_terms = Vec::new();
    for (tokens, answer) in &prompts.titles {
        title_terms.extend((*answer..tokens.len()).map(|at| term(policy, &tokens[..at], (tokens[at], &words))));
    }
    let mut item_terms = Vec::new();
    for (tokens, cell) in &prompts.items {
        let (mut tokens, codes) = (tokens.clone(), CELLS[*cell as usize]);
        for level in 0..2 {
            let begin_alike = CELLS.iter().filter(|other| other[..level] == codes[..level]);
            let mut legal: Vec<i64> = begin_alike.map(|other| of.vocabulary.code(level, other[level])).collect();
            legal.dedup();
            let right = of.vocabulary.code(level, codes[level]);
            if legal.len() > 1 {
                item_terms.push(term(policy, &tokens, (right, &legal)));
            }
            tokens.push(right);
        }
    }
    let sum = |terms: &[Tensor]| (Tensor::stack(terms, 0).sum(None::<Kind>), terms.len() as u64);
    [sum(&title_terms), sum(&item_terms)]
}

/// B of the adapter is 0 at first, and A has no gradient then.
fn begun(name: &str, more: &str) -> Trained {
    let mut of = Trained::begin(name, more);
    let lease = translate(&of, &prompts(&of));
    of.commit(&lease);
    of
}

#[test]
fn losses_and_gradient_equal_the_plain_form() {
    for (name, more) in [
        ("llama", ""),
        ("llama_biased", "micro_batch_tokens = 64"),
        ("qwen2", ""),
        ("qwen3", "gradient_checkpointing = true"),
    ] {
        let of = begun(name, more);
        let prompts = prompts(&of);
        let found = translate(&of, &prompts);
        let policy = of.state.policy().unwrap().recomputing(false);
        let [(of_titles, tokens), (of_items, codes)] = plain(&of, &policy, &prompts);
        let m = &found.metrics;
        assert_eq!((m.groups, m.completions, m.title_tokens, m.codes), (6, 6, tokens, tokens + codes), "{name}");
        let near = |a: f64, b: &Tensor| assert!((a / b.double_value(&[]) - 1.0).abs() < 1e-5, "{name}: {a}, not {b:?}");
        near(m.title_loss, &of_titles);
        let titles: Vec<TitlePrompt<'_>> =
            prompts.titles.iter().map(|(tokens, answer)| TitlePrompt { tokens, answer: *answer }).collect();
        let scores = title_scores(&policy, WORDS, &titles).unwrap();
        near(-scores.iter().map(|score| score.log_probability).sum::<f64>(), &of_titles);
        for (score, (tokens, answer)) in scores.iter().zip(&prompts.titles) {
            assert_eq!(score.tokens as usize, tokens.len() - answer, "in the order of the titles");
            let first = |at: &usize| {
                let prefix = Prefix::compute(&policy, &[&tokens[..*at]]).unwrap();
                policy.logits(prefix.hidden(), 0, WORDS).argmax(-1, false).int64_value(&[0]) == tokens[*at]
            };
            assert_eq!(score.right as usize, (*answer..tokens.len()).filter(first).count(), "{name}");
        }
        near(m.loss - m.title_loss, &of_items);
        let (expected, found) = (policy.gradient(&(of_titles + of_items)).unwrap(), found.gradient.unwrap());
        let largest = expected.abs().max().double_value(&[]);
        let error = (found - expected).abs().max().double_value(&[]) / largest;
        assert!(largest > 1e-3 && error < 1e-5, "{name}: {error} of {largest}");
    }
}

#[test]
fn both_directions_train_the_factors_and_the_rows_of_codes() {
    // Tied: a code has one row, which is read where it is shown and compared with where it is asked for.
    let of = begun("qwen3", "");
    let Prompts { titles, items } = prompts(&of);
    let mut shown: Vec<i64> = titles.iter().flat_map(|(t, _)| t).filter(|t| **t >= WORDS).map(|t| t - WORDS).collect();
    let none = || Prompts { titles: Vec::new(), items: Vec::new() };
    let factors = of.state.lora_config().factors(of.state.model()).len() as i64;
    let new = of.vocabulary.own() as i64;
    let reached = |prompts: &Prompts| -> (bool, Vec<i64>) {
        let gradient = translate(&of, prompts).gradient.unwrap();
        let rows = gradient.narrow(0, factors, gradient.numel() as i64 - factors).view([new, -1]);
        let has = (0..new).filter(|row| rows.get(*row).count_nonzero(None).int64_value(&[]) > 0).collect();
        (gradient.narrow(0, 0, factors).count_nonzero(None).int64_value(&[]) > factors / 2, has)
    };
    let (of_factors, rows) = reached(&Prompts { titles, ..none() });
    shown.sort_unstable();
    shown.dedup();
    assert!(of_factors && rows == shown, "{rows:?} instead of {shown:?}");
    let (of_factors, rows) = reached(&Prompts { items, ..none() });
    // All first codes there are were compared: 0 to 3, after the three signs.
    assert!(of_factors && rows.starts_with(&[3, 4, 5, 6]) && rows.len() > 4, "{rows:?}");
    let nothing = translate(&of, &none());
    assert!(nothing.gradient.is_none() && nothing.metrics.codes == 0);
}

#[test]
fn updates_lower_both_losses() {
    let mut of = Trained::begin("llama", "");
    let prompts = prompts(&of);
    let losses: Vec<[f64; 2]> = (0..12)
        .map(|_| {
            let lease = translate(&of, &prompts);
            of.commit(&lease);
            [lease.metrics.title_loss, lease.metrics.loss - lease.metrics.title_loss]
        })
        .collect();
    let (first, last) = (losses[0], losses[11]);
    assert!(last[0] < 0.8 * first[0] && last[1] < 0.8 * first[1], "{losses:?}");
}

#[test]
fn titles_of_other_tokens_than_words_are_refused() {
    let of = Trained::begin("llama", "");
    for (tokens, answer) in [(vec![5, WORDS], 1), (vec![5, 6], 0), (vec![5, 6], 2), (vec![5, 6], 3)] {
        let policy = of.state.policy().unwrap();
        let lease = SupervisedLease { policy: &policy, legal: of.legal() };
        let error = lease.translation(&[TitlePrompt { tokens: &tokens, answer }], &[]).unwrap_err().to_string();
        assert!(error.contains("expected 1 or more tokens of 0..304"), "{error}");
    }
}

fn open(name: &str, more: &str) -> Result<BaseModel, String> {
    let text = format!(
        "[semantic_id]\nlevels = 2\ncodes = 8\n[model]\nbase = {:?}\n{more}\n[[stage]]\nname = \"a\"\nkind = \"translation\"\n\
         iterations = 2\nprompts = 3\nprompts_per_lease = 3\nlearning_rate = 0.02\n",
        folder(name).display()
    );
    let spec = RunSpec::check(RunConfig::parse(&text, "test").unwrap()).unwrap();
    BaseModel::load(&spec, &folder(name)).map_err(|error| error.to_string())
}

#[test]
fn a_base_says_how_titles_are_asked_for_and_what_ends_them() {
    let base = open("llama", "").unwrap();
    let pretrained = base.pretrained().unwrap();
    let wording = pretrained.wording.as_ref().unwrap();
    let texts = |of: &[Vec<i64>; 2]| of.each_ref().map(|tokens| pretrained.tokenizer.decode(tokens).unwrap());
    assert_eq!(texts(&wording.to_title), ["The title of", " is:"]);
    assert_eq!(texts(&wording.to_item), ["The item with this title:", " is:"]);
    assert_eq!(wording.end, 2, "as config.json says");
    let end = |name: &str, more: &str| {
        Ok::<i64, String>(open(name, more)?.pretrained().unwrap().wording.as_ref().unwrap().end)
    };
    assert_eq!(end("qwen3", "end_of_text = \"<end>\""), Ok(0));
    assert_eq!(end("llama", "end_of_text = \"<end>\""), Ok(0), "the config's word goes before the base's");
    for more in ["", "end_of_text = \"<nothing>\""] {
        let error = end("qwen3", more).unwrap_err();
        assert!(error.starts_with("model.end_of_text = ") && error.contains("the name of a token"), "{error}");
    }
    let error = end("llama", "item_prompt = [\"\", \" is\"]").unwrap_err();
    assert!(error.starts_with("model.item_prompt = ") && error.contains("at least one token"), "{error}");
    // The prompt that is served fits.
    let error = end("llama", "max_prompt_tokens = 24\ninstruction = \"a\"\nquestion = \"\"").unwrap_err();
    assert!(error.starts_with("model.max_prompt_tokens = 24: expected room for a title"), "{error}");
}
