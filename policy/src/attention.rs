//! Attention with grouped key heads: causal over whole prompts, and of branches over ONE copy of their prompt's keys
//! and values plus their own few.

use tch::Tensor;

/// Keys and values of a layer for whole prompts: each `[prompts, kv_heads, positions, head_dim]`.
#[derive(Debug)]
pub(crate) struct KeysValues {
    pub keys: Tensor,
    pub values: Tensor,
}

/// Keys and values of one decoded position: each `[prompts * width, kv_heads, head_dim]`.
#[derive(Debug)]
pub(crate) struct OwnKeysValues {
    pub keys: Tensor,
    pub values: Tensor,
}

/// Causal attention of `[prompts, positions, heads, head_dim]` queries over their own sequence; the result is
/// `[prompts * positions, heads * head_dim]`.
pub(crate) fn causal(queries: &Tensor, prompt: &KeysValues) -> Tensor {
    let size = queries.size();
    let grouped = size[2] != prompt.keys.size()[1];
    let out = Tensor::scaled_dot_product_attention(
        &queries.transpose(1, 2),
        &prompt.keys,
        &prompt.values,
        None::<&Tensor>,
        0.0,
        true,
        None,
        grouped,
    );
    out.transpose(1, 2).reshape([size[0] * size[1], size[2] * size[3]])
}

/// Attention of `[prompts, width, heads, head_dim]` queries, one position of each branch, over their prompt's keys
/// (`mask`: `[prompts, 1, 1, positions]`, additive) and over the branch's own earlier positions and itself.
/// The result is `[prompts * width, heads * head_dim]`.
pub(crate) fn branching(queries: &Tensor, prompt: &KeysValues, mask: Option<&Tensor>, own: &[OwnKeysValues]) -> Tensor {
    let size = queries.size();
    let (prompts, width, heads, dim) = (size[0], size[1], size[2], size[3]);
    let (kv, positions) = (prompt.keys.size()[1], prompt.keys.size()[2]);
    let shared = heads / kv;
    let queries = queries * (dim as f64).powf(-0.5);
    // All branches of a prompt are rows of one product: keys and values are never expanded.
    let rows = queries.view([prompts, width, kv, shared, dim]).permute([0, 2, 3, 1, 4]).reshape([prompts, kv, -1, dim]);
    let mut scores = rows.matmul(&prompt.keys.transpose(2, 3));
    if let Some(mask) = mask {
        scores += mask;
    }
    if own.is_empty() {
        let out = scores.softmax(-1, None).matmul(&prompt.values);
        return merge_heads(&out, [prompts, kv, shared, width, dim]);
    }
    let as_branches = |t: &Tensor| t.view([prompts, width, kv, dim]).permute([0, 2, 1, 3]).unsqueeze(2);
    let five = rows.view([prompts, kv, shared, width, dim]);
    let mut all = vec![scores.view([prompts, kv, shared, width, positions])];
    for position in own {
        all.push((&five * as_branches(&position.keys)).sum_dim_intlist(-1, true, None));
    }
    let weights = Tensor::cat(&all, -1).softmax(-1, None);
    let mut sizes = vec![positions];
    sizes.resize(1 + own.len(), 1);
    let weights = weights.split_with_sizes(sizes.as_slice(), -1);
    let mut out = weights[0]
        .reshape([prompts, kv, shared * width, positions])
        .matmul(&prompt.values)
        .view([prompts, kv, shared, width, dim]);
    for (weight, position) in weights[1..].iter().zip(own) {
        out = out.addcmul(weight, &as_branches(&position.values));
    }
    merge_heads(&out, [prompts, kv, shared, width, dim])
}

/// `[prompts, kv, shared, width, dim]` to `[prompts * width, kv * shared * dim]`.
fn merge_heads(out: &Tensor, [prompts, kv, shared, width, dim]: [i64; 5]) -> Tensor {
    out.view([prompts, kv, shared, width, dim]).permute([0, 3, 1, 2, 4]).reshape([prompts * width, kv * shared * dim])
}
