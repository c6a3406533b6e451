//! Gradient checkpointing (Chen et al., 2016, "Training Deep Nets with Sublinear Memory Cost"), one checkpoint a layer:
//! the pass over prompts keeps what each layer reads and what later steps read of it, and drops the activations between.
//! For the backward pass each layer is computed again, the last one first, and gives the gradient of what it read.
//!
//! What later steps read (keys, values, hidden states) become leaves of THEIR graph. Its backward pass gives the
//! gradients of these leaves, from which the layers' own backward passes go on.

use crate::attention::KeysValues;
use crate::error::PolicyError;
use crate::prompt_pass::PromptPass;
use crate::transformer::Policy;
use tch::Tensor;

/// A pass over prompts whose activations were not kept.
#[derive(Debug)]
pub(crate) struct Recorded {
    pass: PromptPass,
    /// What each layer read.
    inputs: Vec<Tensor>,
    /// Leaves that later steps read, in the order of [`Self::outputs`].
    leaves: Vec<Tensor>,
    /// Whether keys and values are among them (a prefix), or the hidden states alone (all positions).
    is_prefix: bool,
}

/// Hidden states of all positions, to be differentiated by [`Recorded::backward`].
pub(crate) fn everywhere(policy: &Policy, pass: PromptPass) -> Tensor {
    let (inputs, hidden) = tch::no_grad(|| {
        let mut x = policy.embed(&pass.padded.tokens);
        let mut inputs = Vec::with_capacity(policy.layers.len());
        for layer in 0..policy.layers.len() {
            let next = pass.layer_everywhere(policy, layer, &x);
            inputs.push(std::mem::replace(&mut x, next));
        }
        (inputs, x)
    });
    let hidden = leaf(&hidden);
    let leaves = vec![hidden.shallow_clone()];
    policy.record(Recorded { pass, inputs, leaves, is_prefix: false });
    hidden
}

/// Keys, values and hidden states at the last positions, to be differentiated by [`Recorded::backward`].
pub(crate) fn prefix(policy: &Policy, pass: PromptPass) -> (Vec<KeysValues>, Tensor) {
    let (inputs, layers, hidden) = tch::no_grad(|| {
        let mut x = policy.embed(&pass.padded.tokens);
        let (mut inputs, mut layers) = (Vec::with_capacity(policy.layers.len()), Vec::new());
        for layer in 0..policy.layers.len() {
            let (prompt, next) = pass.layer_of_prefix(policy, layer, &x);
            layers.push(KeysValues { keys: leaf(&prompt.keys), values: leaf(&prompt.values) });
            inputs.push(std::mem::replace(&mut x, next));
        }
        (inputs, layers, x)
    });
    let hidden = leaf(&hidden);
    let of_layers = layers.iter().flat_map(|l| [l.keys.shallow_clone(), l.values.shallow_clone()]);
    let leaves = of_layers.chain([hidden.shallow_clone()]).collect();
    policy.record(Recorded { pass, inputs, leaves, is_prefix: true });
    (layers, hidden)
}

fn leaf(x: &Tensor) -> Tensor {
    x.detach().set_requires_grad(true)
}

impl Recorded {
    /// The leaves whose gradients [`Self::backward`] wants.
    pub(crate) fn leaves(&self) -> &[Tensor] {
        &self.leaves
    }

    /// Adds the gradients by `trained` to `sums`, given those by [`Self::leaves`]; an undefined gradient is none.
    pub(crate) fn backward(
        &self,
        policy: &Policy,
        gradients: &[Tensor],
        trained: &[&Tensor],
        sums: &mut [Tensor],
    ) -> Result<(), PolicyError> {
        let Some((of_hidden, of_layers)) = gradients.split_last() else { return Ok(()) };
        if !gradients.iter().any(Tensor::defined) {
            return Ok(());
        }
        let mut of_next = of_hidden.shallow_clone();
        for (index, input) in self.inputs.iter().enumerate().rev() {
            let x = leaf(input);
            let mut outputs = Vec::new();
            if self.is_prefix {
                let (prompt, next) = self.pass.layer_of_prefix(policy, index, &x);
                outputs.push((prompt.keys, of_layers[2 * index].shallow_clone()));
                outputs.push((prompt.values, of_layers[2 * index + 1].shallow_clone()));
                outputs.push((next, of_next));
            } else {
                outputs.push((self.pass.layer_everywhere(policy, index, &x), of_next));
            }
            of_next = differentiate(outputs, Some(&x), trained, sums)?.unwrap_or_else(Tensor::new);
        }
        differentiate(vec![(policy.embed(&self.pass.padded.tokens), of_next)], None, trained, sums)?;
        Ok(())
    }
}

/// The gradient by `x` of a loss whose gradients by some outputs are known; those by `trained` are added to `sums`.
/// None where no output has a gradient, or none depends on what trains.
fn differentiate(
    outputs: Vec<(Tensor, Tensor)>,
    x: Option<&Tensor>,
    trained: &[&Tensor],
    sums: &mut [Tensor],
) -> Result<Option<Tensor>, PolicyError> {
    // The derivative of sum(output * g) by the output is g: so the loss is continued by a sum whose value means nothing.
    let known = outputs.iter().filter(|(output, g)| g.defined() && output.requires_grad());
    let parts =
        known.map(|(output, g)| Ok((output * g).f_sum(output.kind())?)).collect::<Result<Vec<_>, PolicyError>>()?;
    let Some(loss) = parts.into_iter().reduce(|a, b| a + b) else { return Ok(None) };
    let inputs: Vec<&Tensor> = trained.iter().copied().chain(x).collect();
    let mut gradients = Tensor::f_run_backward(&[loss], &inputs, false, false)?;
    let of_x = x.and_then(|_| gradients.pop()).filter(Tensor::defined);
    for (sum, gradient) in sums.iter_mut().zip(gradients).filter(|(_, gradient)| gradient.defined()) {
        *sum = if sum.defined() { &*sum + gradient } else { gradient };
    }
    Ok(of_x)
}
