//! Rescalings of rotary angles, by which decoders are made to read longer texts than they were first trained on: what
//! `config.json` says of them, and what they make of an angle's frequency. The formulas are those of transformers
//! (`modeling_rope_utils`), whose versions 4.57 and 5 agree on them.

use super::{Keys, ShapeError, above_zero, wrong};
use std::f64::consts::TAU;

/// How the angles of a decoder differ from `theta^(-2 i / head_dim)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RopeScaling {
    /// All angles turn `factor` times slower (Chen et al., 2023, arXiv 2306.15595).
    Linear {
        /// How many times longer the context became.
        factor: f64,
    },
    /// Rope type "llama3".
    Llama3(Llama3Scaling),
    /// Rope type "yarn".
    Yarn(YarnScaling),
}

/// The rescaling of Llama 3.1: waves longer than the first context are slowed down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Llama3Scaling {
    /// How many times longer the context became.
    pub factor: f64,
    /// Waves longer than context / this are slowed by the whole factor.
    pub low_freq_factor: f64,
    /// Waves shorter than context / this stay as they are.
    pub high_freq_factor: f64,
    /// Positions of the first training.
    pub original_positions: f64,
}

/// YaRN (Peng et al., 2023, arXiv 2309.00071): pairs that turn often within the first context stay, those that turn seldom
/// are slowed, with a ramp over the pairs between them; scores of attention are sharpened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct YarnScaling {
    /// How many times longer the context became.
    pub factor: f64,
    /// Pairs that turn more often than this within the first context stay as they are.
    pub beta_fast: f64,
    /// Pairs that turn less often than this are slowed by the whole factor.
    pub beta_slow: f64,
    /// Positions of the first training.
    pub original_positions: f64,
    /// Whether the ramp begins and ends at whole pairs.
    pub truncate: bool,
    /// What cosines and sines are multiplied by.
    pub attention_factor: f64,
}

/// The frequencies of a head's `head_dim / 2` pairs, in radians a position.
pub fn frequencies(theta: f64, scaling: Option<RopeScaling>, head_dim: u32) -> Vec<f64> {
    let of = |pair: u32| {
        let plain = theta.powf(-2.0 * f64::from(pair) / f64::from(head_dim));
        scaling.map_or(plain, |scaling| scaling.slowed(plain, pair, (theta, head_dim)))
    };
    (0..head_dim / 2).map(of).collect()
}

impl RopeScaling {
    /// The frequency of pair `pair` of `head_dim / 2`, which was `theta^(-2 pair / head_dim)`, in radians a position.
    fn slowed(self, frequency: f64, pair: u32, (theta, head_dim): (f64, u32)) -> f64 {
        match self {
            Self::Linear { factor } => frequency / factor,
            Self::Llama3(scaling) => scaling.slowed(frequency),
            Self::Yarn(scaling) => {
                let kept = scaling.kept(pair, (theta, f64::from(head_dim)));
                frequency / scaling.factor * (1.0 - kept) + frequency * kept
            }
        }
    }

    /// What cosines and sines are multiplied by.
    pub fn attention_factor(self) -> f64 {
        match self {
            Self::Linear { .. } | Self::Llama3(_) => 1.0,
            Self::Yarn(scaling) => scaling.attention_factor,
        }
    }
}

impl Llama3Scaling {
    /// A wave longer than context / low turns `factor` times slower, one shorter than context / high as before, and one
    /// between them in between.
    fn slowed(self, frequency: f64) -> f64 {
        let turns = self.original_positions * frequency / TAU;
        let Self { factor, low_freq_factor: low, high_freq_factor: high, .. } = self;
        let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
        frequency * (kept + (1.0 - kept) / factor)
    }
}

impl YarnScaling {
    /// The share of its own frequency that a pair keeps: 1 before the ramp, 0 behind it.
    fn kept(self, pair: u32, (theta, head_dim): (f64, f64)) -> f64 {
        // The pair that turns so often within the first context.
        let pair_of = |turns: f64| head_dim * (self.original_positions / (turns * TAU)).ln() / (2.0 * theta.ln());
        let (mut low, mut high) = (pair_of(self.beta_fast), pair_of(self.beta_slow));
        if self.truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        let (low, mut high) = (low.max(0.0), high.min(head_dim - 1.0));
        if low == high {
            high += 0.001;
        }
        1.0 - ((f64::from(pair) - low) / (high - low)).clamp(0.0, 1.0)
    }
}

/// The paper's sharpening of attention for a context that became `factor` times longer: 0.1 ln(factor) + 1, with a weight.
fn sharpening(factor: f64, weight: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * weight * factor.ln() + 1.0 }
}

/// Base of the angles and their rescaling, as one section of the file says them.
type Rope = (f64, Option<RopeScaling>);

/// The types that are computed.
const KINDS: &str = "\"default\", \"linear\", \"dynamic\", \"yarn\" or \"llama3\"";

impl Keys<'_> {
    /// Base and rescaling of the angles: `rope_parameters` (transformers 5), else `rope_theta` and `rope_scaling`. Where a
    /// file has both, programs differ in which they read: they must say the same.
    pub(super) fn rope(&self) -> Result<Rope, ShapeError> {
        let theta = self.get("rope_theta").map(|_| self.number("rope_theta", None)).transpose()?;
        let theta = theta.map(|theta| above_zero(theta, "rope_theta")).transpose()?;
        let of = |key| self.rope_section(key, theta.unwrap_or(10_000.0));
        match (of("rope_parameters")?, of("rope_scaling")?) {
            (None, None) => Ok((theta.unwrap_or(10_000.0), None)),
            (Some(only), None) | (None, Some(only)) => Ok(only),
            (Some(new), Some(old)) if new == old => Ok(new),
            (Some(_), Some(_)) => {
                let (new, old) = (self.shown("rope_parameters"), self.shown("rope_scaling"));
                let expected = format!("the same as rope_parameters = {new} says, or only one of the two");
                Err(wrong("rope_scaling", old, expected))
            }
        }
    }

    /// One of the two sections; none where it is not there.
    fn rope_section(&self, name: &'static str, theta: f64) -> Result<Option<Rope>, ShapeError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let object = value.as_object().ok_or_else(|| wrong(name, value, "an object"))?;
        let keys = Keys(object);
        let theta = above_zero(keys.number("rope_theta", Some(theta))?, "rope_theta")?;
        if let Some(found) = keys.get("partial_rotary_factor").filter(|value| value.as_f64() != Some(1.0)) {
            return Err(wrong("partial_rotary_factor", found, "1.0: every column of a head is rotated"));
        }
        let factor = || above_zero(keys.number("factor", None)?, "factor");
        let scaling =
            match keys.get("rope_type").or_else(|| keys.get("type")).map(|kind| kind.as_str().unwrap_or_default()) {
                None | Some("default") => None,
                Some("linear") => Some(RopeScaling::Linear { factor: factor()? }),
                // Angles change only beyond the positions that the base was made for, and such prompts are refused.
                Some("dynamic") => factor().map(|_| None)?,
                Some("llama3") => Some(RopeScaling::Llama3(keys.llama3(self)?)),
                Some("yarn") => Some(RopeScaling::Yarn(keys.yarn(self, theta)?)),
                Some(other) => return Err(wrong("rope_type", format!("{other:?}"), KINDS)),
            };
        Ok(Some((theta, scaling)))
    }

    fn llama3(&self, whole: &Keys<'_>) -> Result<Llama3Scaling, ShapeError> {
        let number = |key| above_zero(self.number(key, None)?, key);
        let scaling = Llama3Scaling {
            factor: number("factor")?,
            low_freq_factor: number("low_freq_factor")?,
            high_freq_factor: number("high_freq_factor")?,
            original_positions: number(ORIGINAL)?,
        };
        if scaling.high_freq_factor <= scaling.low_freq_factor {
            let expected = format!("a number above low_freq_factor = {}", scaling.low_freq_factor);
            return Err(wrong("high_freq_factor", scaling.high_freq_factor, expected));
        }
        whole.agrees_on_original(scaling.original_positions)?;
        Ok(scaling)
    }

    /// Without `original_max_position_embeddings` the context was stretched beyond `max_position_embeddings`.
    fn yarn(&self, whole: &Keys<'_>, theta: f64) -> Result<YarnScaling, ShapeError> {
        let number = |key, default| above_zero(self.number(key, default)?, key);
        if theta <= 1.0 {
            return Err(wrong("rope_theta", theta, "a number above 1 with rope_type \"yarn\""));
        }
        let positions = f64::from(whole.count("max_position_embeddings", Some(2048))?);
        let original_positions = number(ORIGINAL, Some(positions))?;
        whole.agrees_on_original(original_positions)?;
        // A factor that is null is what the two lengths say.
        let stated = self.0.contains_key("factor");
        let factor = number("factor", stated.then_some(positions / original_positions))?;
        let (beta_fast, beta_slow) = (number("beta_fast", Some(32.0))?, number("beta_slow", Some(1.0))?);
        if beta_fast < beta_slow {
            return Err(wrong("beta_fast", beta_fast, format!("at least beta_slow = {beta_slow}")));
        }
        // Only both together count; 0 is none.
        let weights = (self.number("mscale", Some(0.0))?, self.number("mscale_all_dim", Some(0.0))?);
        let usual = match weights {
            (weight, all) if weight != 0.0 && all != 0.0 => sharpening(factor, weight) / sharpening(factor, all),
            _ => sharpening(factor, 1.0),
        };
        let attention_factor = number("attention_factor", Some(usual))?;
        let truncate = self.flag("truncate", true)?;
        Ok(YarnScaling { factor, beta_fast, beta_slow, original_positions, truncate, attention_factor })
    }

    /// Transformers 5 reads the length of the first training beside the section too, and before what the section says.
    fn agrees_on_original(&self, found: f64) -> Result<(), ShapeError> {
        match self.get(ORIGINAL).filter(|value| value.as_f64() != Some(found)) {
            None => Ok(()),
            Some(other) => Err(wrong(ORIGINAL, other, format!("{found}, as the rotary settings say"))),
        }
    }
}

const ORIGINAL: &str = "original_max_position_embeddings";
