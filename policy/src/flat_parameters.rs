//! Names, shapes and places of weights inside ONE flat tensor: what optimiser, exact sum, digests and files work on.

use crate::error::PolicyError;
use std::borrow::Borrow;
use std::ops::Range;
use tch::Tensor;

/// One named weight of a flat tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlatParameter {
    /// The name that other programs know it by (Hugging Face or PEFT layout).
    pub name: String,
    /// Its shape.
    pub shape: Vec<i64>,
    /// Where it begins in the flat tensor, in elements.
    pub offset: usize,
}

impl FlatParameter {
    /// Number of elements.
    pub fn len(&self) -> usize {
        elements(&self.shape)
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements it takes in the flat tensor.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.len()
    }
}

/// The gradient of a loss by these leaves, flat, in their order, and no node of a graph. A leaf that the loss does not
/// reach gets zeros.
///
/// # Errors
/// When the loss has no graph.
pub(crate) fn flat_gradient<T: Borrow<Tensor>>(loss: &Tensor, leaves: &[T]) -> Result<Tensor, PolicyError> {
    flatten(&Tensor::f_run_backward(&[loss], leaves, false, false)?, leaves)
}

/// The gradients by these leaves as one flat tensor; one that is undefined is zeros.
///
/// # Errors
/// When libtorch cannot join them.
pub(crate) fn flatten<T: Borrow<Tensor>>(gradients: &[Tensor], leaves: &[T]) -> Result<Tensor, PolicyError> {
    let flat = |(gradient, leaf): (&Tensor, &T)| {
        if gradient.defined() { gradient.reshape([-1]) } else { leaf.borrow().zeros_like().reshape([-1]) }
    };
    let parts: Vec<Tensor> = gradients.iter().zip(leaves).map(flat).collect();
    Ok(Tensor::f_cat(&parts, 0)?.f_detach()?)
}

/// The layout of a flat tensor: weights one after another, row-major, without gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlatParameters {
    entries: Vec<FlatParameter>,
    len: usize,
}

impl FlatParameters {
    /// Appends a weight and returns its place in the list.
    pub fn push(&mut self, name: String, shape: &[i64]) -> usize {
        self.entries.push(FlatParameter { name, shape: shape.to_vec(), offset: self.len });
        self.len += elements(shape);
        self.entries.len() - 1
    }

    /// Elements of the flat tensor.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no weight.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The weights in the order of their offsets.
    pub fn entries(&self) -> &[FlatParameter] {
        &self.entries
    }

    /// The weight of this name.
    pub fn find(&self, name: &str) -> Option<&FlatParameter> {
        self.entries.iter().find(|e| e.name == name)
    }

    /// The weight that holds element `index` of the flat tensor.
    pub fn holding(&self, index: usize) -> Option<&FlatParameter> {
        let after = self.entries.partition_point(|e| e.offset <= index);
        self.entries[..after].iter().rev().find(|e| e.range().contains(&index))
    }

    /// Entry `place` of `flat` as a tensor that shares its memory.
    pub fn view(&self, flat: &Tensor, place: usize) -> Tensor {
        let entry = &self.entries[place];
        flat.narrow(0, entry.offset as i64, entry.len() as i64).view(entry.shape.as_slice())
    }

    /// Refuses a tensor that does not have this layout's length.
    ///
    /// # Errors
    /// Names `what`, the shape found and the length expected.
    pub fn check(&self, what: &str, flat: &Tensor) -> Result<(), PolicyError> {
        if flat.size() == [self.len as i64] {
            return Ok(());
        }
        Err(PolicyError::Tensor {
            name: what.to_owned(),
            found: format!("shape {:?}", flat.size()),
            expected: format!("shape [{}]", self.len),
        })
    }
}

fn elements(shape: &[i64]) -> usize {
    shape.iter().map(|n| usize::try_from(*n).unwrap_or(0)).product()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    #[test]
    fn weights_lie_one_after_another_and_views_share_memory() {
        let mut layout = FlatParameters::default();
        layout.push("a".into(), &[2, 3]);
        let place = layout.push("b".into(), &[4]);
        let flat = Tensor::arange(10, (Kind::Float, tch::Device::Cpu));
        let mut b = layout.view(&flat, place);
        assert_eq!(Vec::<f32>::try_from(&b).unwrap(), [6.0, 7.0, 8.0, 9.0]);
        let _ = b.fill_(1.0);
        assert_eq!(flat.double_value(&[9]), 1.0);
        assert_eq!(flat.double_value(&[5]), 5.0);
    }

    #[test]
    fn an_element_is_traced_to_its_weight() {
        let mut layout = FlatParameters::default();
        layout.push("a".into(), &[2, 3]);
        layout.push("b".into(), &[4]);
        assert_eq!(layout.holding(5).unwrap().name, "a");
        assert_eq!(layout.holding(6).unwrap().name, "b");
        assert!(layout.holding(10).is_none());
    }

    #[test]
    fn a_tensor_of_another_length_is_named() {
        let mut layout = FlatParameters::default();
        layout.push("a".into(), &[2, 3]);
        let error = layout.check("moments", &Tensor::zeros([5], (Kind::Float, tch::Device::Cpu))).unwrap_err();
        assert_eq!(error.to_string(), "tensor `moments`: found shape [5], expected shape [6]");
    }
}
