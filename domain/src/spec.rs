//! A run's config in two types: [`RunConfig`] is what stands in the file, [`RunSpec`] what the program may assume.
//! Only [`RunSpec::check`] makes the second from the first.

mod alarm;
mod alignment;
mod baseline;
mod check;
mod cleaning;
mod data;
mod evaluation;
mod fit;
mod model;
mod nightly;
mod objective;
mod reward;
mod semantic_id;
mod stage;
mod table;
mod violation;
mod windows;
mod written;

pub use alarm::AlarmSpec;
pub use alignment::{Answers, Distractor, Distractors};
pub use baseline::{BaselineSpec, SasRecLoss, SasRecSpec};
pub use cleaning::Clean;
pub use data::{DATE, DataSpec, Source, SyntheticSpec};
pub use evaluation::{
    CandidateScore, CheckpointSpec, ClusterSpec, CollectiveKind, DeviceKind, EvaluationSpec, Exclude, ServedContext,
    Statistics,
};
pub use model::{BaseKind, LoraSpec, ModelSpec, OptimizerSpec};
pub use nightly::{NightlySpec, WarmStartSpec};
pub use objective::{AdvantageScale, Baseline, Clip, GrpoLoss, Objective, Sampler};
pub use reward::{ExcludedCells, RewardShape, RewardSpec, RewardTargets, RewardVariant, SwingSpec};
pub use semantic_id::{Collisions, Control, Missing, Quantizer, SemanticIdSpec, VectorSource};
pub use stage::{Context, StageKind, StageSpec};
pub use table::{Encoding, TableSpec, TimeUnit};
pub use violation::{SpecError, Violation};
pub use windows::Overrun;
pub use written::written;

use crate::ids::Digest;
use serde::{Deserialize, Serialize};
use std::ops::Deref;

/// A run's config as it stands in the TOML file; unknown keys are refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// Seeds everything that is drawn: weights, orders, completions.
    pub seed: u64,
    /// `[data]`
    pub data: DataSpec,
    /// `[semantic_id]`
    pub semantic_id: SemanticIdSpec,
    /// `[model]`
    pub model: ModelSpec,
    /// `[lora]`
    pub lora: LoraSpec,
    /// `[optimizer]`
    pub optimizer: OptimizerSpec,
    /// `[reward]`
    pub reward: RewardSpec,
    /// `[[stage]]`, in order.
    pub stage: Vec<StageSpec>,
    /// `[evaluation]`
    pub evaluation: EvaluationSpec,
    /// `[baseline]`
    pub baseline: BaselineSpec,
    /// `[alarm]`
    pub alarm: AlarmSpec,
    /// `[checkpoint]`
    pub checkpoint: CheckpointSpec,
    /// `[cluster]`
    pub cluster: ClusterSpec,
    /// `[warm_start]`; left out of what is written where it asks for nothing, so that digests of configs without it stay.
    #[serde(skip_serializing_if = "is_default")]
    pub warm_start: WarmStartSpec,
    /// `[nightly]`; left out in the same way.
    #[serde(skip_serializing_if = "is_default")]
    pub nightly: NightlySpec,
}

fn is_default<T: Default + PartialEq>(section: &T) -> bool {
    *section == T::default()
}

impl RunConfig {
    /// Reads TOML text; `file` names it in errors.
    pub fn parse(text: &str, file: &str) -> Result<Self, SpecError> {
        toml::from_str(text).map_err(|e| SpecError::Syntax { file: file.into(), message: e.to_string() })
    }

    /// Reads TOML text and lays `key.sub=value` overrides over it; a value is TOML, or else a bare string.
    pub fn parse_with(text: &str, file: &str, overrides: &[String]) -> Result<Self, SpecError> {
        Self::parse(text, file)?;
        let mut table: toml::Table =
            toml::from_str(text).map_err(|e| SpecError::Syntax { file: file.into(), message: e.to_string() })?;
        for item in overrides {
            overlay(&mut table, item)?;
        }
        table.try_into().map_err(|e: toml::de::Error| SpecError::Syntax {
            file: format!("{file} with --set {}", overrides.join(" --set ")),
            message: e.to_string(),
        })
    }
}

/// Lays one `a.b.c=value` over a table; `stage.0.beta=0.2` reaches into a list.
fn overlay(table: &mut toml::Table, item: &str) -> Result<(), SpecError> {
    let syntax = |message: String| SpecError::Syntax { file: "--set".into(), message };
    let (path, text) = item.split_once('=').ok_or_else(|| syntax(format!("found `{item}`, expected key.sub=value")))?;
    let value = format!("v = {text}")
        .parse::<toml::Table>()
        .ok()
        .and_then(|mut t| t.remove("v"))
        .unwrap_or_else(|| toml::Value::String(text.to_owned()));
    let keys: Vec<&str> = path.trim().split('.').collect();
    let (last, parents) =
        keys.split_last().ok_or_else(|| syntax(format!("found `{item}`, expected a key before =")))?;
    let mut at = toml::Value::Table(std::mem::take(table));
    let mut cursor = &mut at;
    for key in parents.iter().chain(std::iter::once(last)) {
        cursor = match cursor {
            toml::Value::Table(t) => {
                t.entry((*key).to_owned()).or_insert_with(|| toml::Value::Table(toml::Table::new()))
            }
            toml::Value::Array(list) => {
                let length = list.len();
                key.parse::<usize>()
                    .ok()
                    .and_then(|i| list.get_mut(i))
                    .ok_or_else(|| syntax(format!("found `{key}` in `{path}`, expected an index below {length}")))?
            }
            toml::Value::String(_)
            | toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_) => {
                return Err(syntax(format!("`{path}`: what stands before `{key}` is a value, not a section")));
            }
        };
    }
    *cursor = value;
    if let toml::Value::Table(t) = at {
        *table = t;
    }
    Ok(())
}

/// A checked config: what every part of the program may assume.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSpec(RunConfig);

impl Deref for RunSpec {
    type Target = RunConfig;

    fn deref(&self) -> &RunConfig {
        &self.0
    }
}

impl RunSpec {
    /// Refuses a config with values outside what is allowed; names all of them at once.
    pub fn check(config: RunConfig) -> Result<Self, SpecError> {
        let violations = check::violations(&config);
        if violations.is_empty() { Ok(Self(config)) } else { Err(SpecError::Violations(violations)) }
    }

    /// The full resolved config as TOML: what `run.toml` holds.
    pub fn to_toml(&self) -> Result<String, SpecError> {
        toml::to_string(&self.0)
            .map_err(|e| SpecError::Syntax { file: "resolved config".into(), message: e.to_string() })
    }

    /// Whether a stage asks alignment questions: then the vocabulary has one more token, and stage ends measure them.
    pub fn asks_questions(&self) -> bool {
        self.stage.iter().any(|stage| stage.kind == StageKind::Alignment)
    }

    /// Whether a stage translates between titles and semantic ids: then titles are tokenised when the data is prepared.
    pub fn translates(&self) -> bool {
        self.stage.iter().any(|stage| stage.kind == StageKind::Translation)
    }

    /// What the prompt of a policy that is measured or served shows.
    pub fn serving_context(&self) -> Context {
        let last = || self.stage.iter().rfind(|stage| stage.kind.asks_for_next_item());
        match self.evaluation.context {
            ServedContext::LastStage => last().map_or(Context::All, |stage| stage.context),
            ServedContext::Negatives3d => Context::Negatives3d,
            ServedContext::Negatives => Context::Negatives,
            ServedContext::All => Context::All,
        }
    }

    /// SHA-256 of the resolved config without what cannot change a result (addresses and deadlines).
    pub fn digest(&self) -> Result<Digest, SpecError> {
        let mut config = self.0.clone();
        config.cluster = config.cluster.that_fixes_bits();
        Ok(Digest::of(Self(config).to_toml()?.as_bytes()))
    }
}
