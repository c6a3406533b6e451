//! What `conrec train` prints when it ends well: the table and where everything lies, or how to go on.

use super::Plan;
use crate::args::Output;
use crate::failure::Failure;
use crate::report;
use crate::report_table::{REPORT, Report};
use conrec_process::{result, say};
use serde_json::{Value, json};

/// The run is complete; `before` says that it was so already.
pub async fn completed(plan: &Plan<'_>, report: &Report, before: bool) -> Result<(), Failure> {
    match plan.args.output {
        Output::Text => {
            let already = if before { "already " } else { "" };
            say!("run {} is {already}complete\n", plan.run_id);
            result(format_args!("{}", report::summary(&plan.run, report).await?));
        }
        Output::Json => {
            let text = plan.run.read(REPORT).await?.unwrap_or_default();
            let report: Value = serde_json::from_slice(&text).unwrap_or_default();
            print_json(plan, &json!({"state": "complete", "already": before, "report": report}));
        }
    }
    Ok(())
}

/// The run was stopped and can be resumed. `iteration`: where, if it had got so far that this is known.
pub fn stopped(plan: &Plan<'_>, iteration: Option<u64>) -> Result<(), Failure> {
    match plan.args.output {
        Output::Text => {
            let words: Vec<String> = std::env::args().map(|word| quoted(&word)).collect();
            let place = iteration.map(|iteration| format!(" at iteration {iteration}")).unwrap_or_default();
            say!("run {} stopped{place}; the same command goes on from there:", plan.run_id);
            say!("  {}", words.join(" "));
        }
        Output::Json => print_json(plan, &json!({"state": "stopped", "iteration": iteration})),
    }
    Ok(())
}

fn print_json(plan: &Plan<'_>, rest: &Value) {
    let mut object = json!({"run_id": plan.run_id.as_str(), "folder": plan.run.place("")});
    if let (Some(object), Some(rest)) = (object.as_object_mut(), rest.as_object()) {
        object.extend(rest.clone());
    }
    say!("{object}");
}

/// As a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_only_where_a_shell_needs_it() {
        assert_eq!(quoted("--set"), "--set");
        assert_eq!(quoted("data.path=my data"), "'data.path=my data'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
