//! The rows that tokens begin with which a pretrained base does not have. A mean of the base's own rows is where its
//! layers expect a token to be, and noise tells codes apart: equal rows would get equal gradients from equal places.

use crate::error::PolicyError;
use crate::flat_parameters::FlatParameters;
use crate::llama::{LlamaConfig, pass_name};
use crate::lora::{NEW_EMBEDDING, NEW_HEAD};
use crate::random_normal::normal_tensor;
use conrec_domain::work::Pass;
use tch::{Kind, Tensor};

/// Rows that are summed together in f64: bounds memory, and fixes the order of the sum.
const ROWS_AT_ONCE: i64 = 1024;

/// What is added to the means.
#[derive(Clone, Copy, Debug)]
pub struct Noise {
    /// Of the run.
    pub seed: u64,
    /// The pass.
    pub pass: Pass,
    /// Standard deviation.
    pub std: f64,
}

/// Writes the rows into a flat adapter of `layout`: a sign's are the mean of its words' rows, a code's the mean of all.
/// Embedding and head each have rows of their own where they differ. `words` are the tokens of each sign's words.
///
/// # Errors
/// When a base or adapter does not have its layout.
pub fn write_initial_rows(
    (config, base): (&LlamaConfig, &Tensor),
    (layout, adapter): (&FlatParameters, &Tensor),
    words: &[Vec<i64>],
    noise: Noise,
) -> Result<(), PolicyError> {
    let of_base = config.layout();
    of_base.check("base weights", base)?;
    layout.check("adapter", adapter)?;
    for (name, from) in [(NEW_EMBEDDING, "model.embed_tokens.weight"), (NEW_HEAD, "lm_head.weight")] {
        let find = |layout: &FlatParameters, name: &str| layout.entries().iter().position(|e| e.name == name);
        let (Some(place), Some(from)) = (find(layout, name), find(&of_base, from)) else { continue };
        let rows = initial_rows(&of_base.view(base, from), config.new_tokens, words, (name, noise))?;
        layout.view(adapter, place).f_copy_(&rows)?;
    }
    Ok(())
}

/// `[count, hidden]` in f64.
fn initial_rows(
    old: &Tensor,
    count: i64,
    words: &[Vec<i64>],
    (name, noise): (&str, Noise),
) -> Result<Tensor, PolicyError> {
    let of_all = mean_of_rows(old)?;
    let shape = [count, old.size()[1]];
    let rows = of_all.f_view([1, -1])?.f_expand(shape, false)?.copy();
    for (row, tokens) in (0i64..).zip(words).filter(|(row, tokens)| *row < count && !tokens.is_empty()) {
        let of_words = old.f_index_select(0, &Tensor::f_from_slice(tokens)?)?.f_to_kind(Kind::Double)?;
        rows.f_get(row)?.f_copy_(&of_words.f_mean_dim(Some([0i64].as_slice()), false, None)?)?;
    }
    let stream = format!("{}/rows/{name}", pass_name(noise.pass));
    Ok(rows + normal_tensor(noise.seed, &stream, &shape, noise.std)?.f_to_kind(Kind::Double)?)
}

fn mean_of_rows(rows: &Tensor) -> Result<Tensor, PolicyError> {
    let count = rows.size()[0];
    let mut sum = Tensor::f_zeros([rows.size()[1]], (Kind::Double, rows.device()))?;
    for from in (0..count).step_by(ROWS_AT_ONCE as usize) {
        let part = rows.f_narrow(0, from, ROWS_AT_ONCE.min(count - from))?.f_to_kind(Kind::Double)?;
        sum += part.f_sum_dim_intlist(Some([0i64].as_slice()), false, None)?;
    }
    Ok(sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lora::LoraConfig;
    use conrec_domain::spec::ModelSpec;

    #[test]
    fn signs_begin_as_their_words_and_codes_as_the_mean_of_all() {
        let spec = ModelSpec { hidden: 4, layers: 1, heads: 1, kv_heads: 1, intermediate: 4, ..ModelSpec::default() };
        let scratch = LlamaConfig::new(&spec, 2500).unwrap();
        let config = LlamaConfig { new_tokens: 4, tied: false, ..scratch };
        let base = config.initial_weights(1, Pass::Select, 0.3);
        let layout = LoraConfig { rank: 1, scale: 1.0 }.layout(&config);
        let words = [vec![7, 9], vec![11], vec![]];
        let written = |std, pass| {
            let adapter = Tensor::zeros([layout.len() as i64], (Kind::Float, tch::Device::Cpu));
            let noise = Noise { seed: 3, pass, std };
            write_initial_rows((&config, &base), (&layout, &adapter), &words, noise).unwrap();
            adapter
        };
        let rows = |flat: &Tensor, name: &str| {
            layout.view(flat, layout.entries().iter().position(|e| e.name == name).unwrap()).shallow_clone()
        };
        let (plain, noisy) = (written(0.0, Pass::Select), written(0.1, Pass::Select));
        let table = config.layout().view(&base, 0);
        let near = |a: Tensor, b: Tensor| assert!((a - b).abs().max().double_value(&[]) < 1e-6);
        let found = rows(&plain, NEW_EMBEDDING);
        near(found.get(0), (table.get(7) + table.get(9)) / 2.0);
        near(found.get(1), table.get(11));
        let mean = table.mean_dim(Some([0i64].as_slice()), false, None);
        near(found.get(2), mean.shallow_clone());
        near(found.get(3), mean);
        assert!(rows(&plain, NEW_HEAD) != found, "the head has rows of its own");
        let spread = rows(&noisy, NEW_EMBEDDING) - found;
        assert!(spread.abs().max().double_value(&[]) > 0.03 && spread.abs().max().double_value(&[]) < 0.5);
        assert!(noisy == written(0.1, Pass::Select) && noisy != written(0.1, Pass::Refit));
        let factors = LoraConfig { rank: 1, scale: 1.0 }.factors(&config).len() as i64;
        assert_eq!(noisy.narrow(0, 0, factors).count_nonzero(None).int64_value(&[]), 0);
    }
}
