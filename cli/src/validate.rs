//! `conrec validate`: checks a config and prints every number that follows from it.

use crate::args::{Output, ValidateArgs};
use crate::config_file;
use crate::failure::Failure;
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::decoder_shape::DecoderShape;
use conrec_domain::derived::Derived;
use conrec_domain::spec::RunSpec;
use conrec_feedback::plain_file;
use conrec_process::{result, say};
use serde_json::json;
use std::path::Path;

/// Prints the numbers.
///
/// # Errors
/// The config is refused: exit code 78; the base that it names cannot be used: 65.
pub fn run(args: &ValidateArgs) -> Result<u8, Failure> {
    let spec = config_file::load(&args.config)?;
    let run_id = config_file::run_id(None, &args.config.config, &spec)?.to_string();
    let digest = spec.digest()?.to_string();
    let base = base_shape(&spec)?;
    let derived = Derived::of(&spec, base.as_ref());
    match args.output {
        Output::Text => result(format_args!("{}", text(&args.config.config.display().to_string(), &run_id, &derived))),
        Output::Json => say!("{}", as_json(&run_id, &digest, &derived)),
    }
    Ok(ExitCode::Done.code())
}

/// The shape of a pretrained base that lies in a folder; one on the Hub is looked at by workers only.
fn base_shape(spec: &RunSpec) -> Result<Option<DecoderShape>, Failure> {
    let model = &spec.model;
    if !model.is_pretrained() {
        return Ok(None);
    }
    let folder = Path::new(&model.base);
    if !folder.is_dir() {
        let message = format!("model.base = {:?}: no such folder, and no name on the Hub (OWNER/NAME)", model.base);
        return if model.may_be_on_the_hub() { Ok(None) } else { Err(Failure::new(ExitCode::BadConfig, message)) };
    }
    let file = folder.join("config.json");
    let refused =
        |message: String| Failure::new(ExitCode::BadData, format!("model.base: {}: {message}", file.display()));
    let text = plain_file::read_text(&file).map_err(|e| refused(e.to_string()))?;
    DecoderShape::parse(&text).map(Some).map_err(|e| refused(e.to_string()))
}

fn text(file: &str, run_id: &str, derived: &Derived) -> String {
    let rows = derived.rows();
    let name = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    let value = rows.iter().map(|row| row.value.chars().count()).max().unwrap_or(0);
    let lines: String =
        rows.iter().map(|row| format!("  {:name$}  {:>value$}  {}\n", row.name, row.value, row.explanation)).collect();
    format!("{file} is a valid config; `conrec train {file}` is run {run_id}\n\n{lines}")
}

fn as_json(run_id: &str, digest: &str, derived: &Derived) -> serde_json::Value {
    let stages: Vec<_> = derived
        .stages
        .iter()
        .map(|stage| {
            json!({
                "name": stage.name,
                "iterations": stage.iterations,
                "prompts": stage.prompts,
                "leases": stage.leases,
                "completions": stage.completions,
                "prompt_tokens_at_most": stage.prompt_tokens_at_most,
                "codes_at_most": stage.codes_at_most,
                "prompts_a_pass": stage.prompts_a_pass,
            })
        })
        .collect();
    json!({
        "run_id": run_id,
        "config_digest": digest,
        "passes": derived.passes,
        "iterations_at_most": derived.iterations_at_most,
        "vocabulary": derived.vocabulary,
        "semantic_ids_at_most": derived.semantic_ids_at_most,
        "model_parameters": derived.model_parameters,
        "adapter_parameters": derived.adapter_parameters,
        "worker_bytes": derived.worker_bytes,
        "stages": stages,
    })
}
