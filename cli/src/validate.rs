//! `conrec validate`: checks a config and prints every number that follows from it.

use crate::args::{Output, ValidateArgs};
use crate::config_file;
use crate::failure::Failure;
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::derived::Derived;
use conrec_process::{result, say};
use serde_json::json;

/// Prints the numbers.
///
/// # Errors
/// The config is refused: exit code 78.
pub fn run(args: &ValidateArgs) -> Result<u8, Failure> {
    let spec = config_file::load(&args.config)?;
    let run_id = config_file::run_id(None, &args.config.config, &spec)?.to_string();
    let digest = spec.digest()?.to_string();
    let derived = Derived::of(&spec);
    match args.output {
        Output::Text => result(format_args!("{}", text(&args.config.config.display().to_string(), &run_id, &derived))),
        Output::Json => say!("{}", as_json(&run_id, &digest, &derived)),
    }
    Ok(ExitCode::Done.code())
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
