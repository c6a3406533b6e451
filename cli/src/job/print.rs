//! A job on stdout: sentences for people, one JSON object for programs.

use crate::args::Output;
use crate::progress::duration;
use conrec_domain::job::{JobView, StateName};
use conrec_domain::spec::written;
use conrec_process::say;
use serde_json::{Value, json};
use std::time::Duration;

/// Prints a job; `action`: what the verb has just done, where it did something.
pub fn print(view: &JobView, action: Option<&str>, output: Output) {
    match output {
        Output::Json => say!("{}", object(view, action)),
        Output::Text => say!("{}", text(view, action)),
    }
}

/// The job as one JSON object.
pub fn object(view: &JobView, action: Option<&str>) -> Value {
    let mut object = serde_json::to_value(view).unwrap_or_default();
    if let (Some(fields), Some(action)) = (object.as_object_mut(), action) {
        fields.insert("action".into(), json!(action));
    }
    object
}

/// One line: `nightly · running · training grpo_3d (select) · 12/40 (30 %) · 2 workers · 45 s left`.
pub fn line(view: &JobView) -> String {
    let mut parts = vec![view.run.clone(), written(&view.state)];
    if let Some(phase) = view.phase {
        let mut phase = written(&phase).replace('_', " ");
        if let Some(stage) = view.stage.as_ref().filter(|_| phase == "training" || phase == "validating") {
            phase.push_str(&format!(" {stage}"));
            phase.push_str(&view.pass.as_ref().map(|pass| format!(" ({pass})")).unwrap_or_default());
        }
        parts.push(phase);
    }
    if view.iterations_planned > 0 {
        parts.push(format!("{}/{} ({} %)", view.iteration, view.iterations_planned, view.percent));
    }
    if view.state == StateName::Running {
        parts.push(format!("{} worker{}", view.workers, if view.workers == 1 { "" } else { "s" }));
    }
    if let Some(seconds) = view.seconds_left {
        parts.push(format!("{} left", duration(Duration::from_secs(seconds))));
    }
    parts.extend(view.reason.clone());
    parts.join(" · ")
}

fn text(view: &JobView, action: Option<&str>) -> String {
    let mut lines = vec![action.map_or_else(String::new, |action| format!("{action}: ")) + &line(view)];
    lines.push(format!("  key {} · submitted {} · attempt {}", view.key, view.submitted_at, view.attempt));
    lines.push(format!("  files in {}", view.folder));
    lines.extend(view.checkpoint.as_ref().map(|key| format!("  newest checkpoint {key}")));
    for condition in &view.conditions {
        let holds = if condition.holds { "yes" } else { "no" };
        let kind = format!("{:?}", condition.kind);
        lines.push(format!(
            "  {kind:<13} {holds:<4} {:<10} {} · {}",
            condition.reason, condition.since, condition.message
        ));
    }
    lines.extend(view.results.page.as_ref().map(|page| format!("  report {page}")));
    lines.extend(view.results.adapter.as_ref().map(|adapter| format!("  adapter {adapter}")));
    lines.extend(view.results.state_digest.map(|digest| format!("  state digest {digest}")));
    lines.join("\n")
}
