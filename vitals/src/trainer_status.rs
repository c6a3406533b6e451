//! What Kubeflow Trainer is told of a run's progress (its KEP-2779): a percentage, the time left, and figures as pairs of
//! texts. Pure.

use crate::figures::Figures;
use conrec_domain::job::Moment;
use serde_json::{Value, json};

/// Figures that a reader of a TrainJob wants to see.
const FIGURES: [(&str, &str); 6] = [
    ("iteration", "conrec_iteration"),
    ("iterations_planned", "conrec_iterations_planned"),
    ("workers", "conrec_workers"),
    ("loss", "conrec_loss"),
    ("reward", "conrec_reward"),
    ("kl", "conrec_kl"),
];

/// The body of one report; `completed`: report and adapter are written.
pub(crate) fn body(figures: &Figures, completed: bool, now: Moment) -> Value {
    // 100 says that all is done, and evaluation comes after the last iteration.
    let ratio = figures.value("conrec_progress_ratio").unwrap_or(0.0);
    let percent = if completed { 100 } else { ((100.0 * ratio) as u64).min(99) };
    let known = FIGURES.iter().filter_map(|(name, figure)| Some((name, figures.value(figure)?)));
    let metrics: Vec<Value> = known.map(|(name, value)| json!({"name": name, "value": value.to_string()})).collect();
    let mut status = json!({"progressPercentage": percent, "metrics": metrics, "lastUpdatedTime": now.to_string()});
    let left = figures.run().and_then(|run| run.seconds_left).filter(|_| !completed).or_else(|| completed.then_some(0));
    if let (Some(left), Some(status)) = (left, status.as_object_mut()) {
        status.insert("estimatedRemainingSeconds".into(), left.into());
    }
    json!({ "trainerStatus": status })
}

#[cfg(test)]
mod tests {
    use super::*;
    use conrec_domain::ids::Iteration;
    use conrec_domain::status::{Activity, Status};
    use conrec_domain::work::Pass;

    fn figures(iterations: &[u64]) -> Figures {
        let mut figures = Figures::new(&[]);
        for (at, iteration) in iterations.iter().enumerate() {
            let (pass, stage) = (Pass::Select, "grpo".to_owned());
            let activity = Activity::Training { pass, stage, done: 1, of: 9, loss: 0.5, reward: None, kl: None };
            let status = Status { activity, iteration: Iteration(*iteration), iterations_planned: 40, workers: 2 };
            figures.hear(&status, Moment(10 * at as u64));
        }
        figures
    }

    #[test]
    fn a_report_has_what_the_trainer_reads() {
        let body = body(&figures(&[0, 10]), false, Moment(86_400));
        let expected = json!({"trainerStatus": {
            "progressPercentage": 25,
            "estimatedRemainingSeconds": 30,
            "metrics": [
                {"name": "iteration", "value": "10"},
                {"name": "iterations_planned", "value": "40"},
                {"name": "workers", "value": "2"},
                {"name": "loss", "value": "0.5"},
            ],
            "lastUpdatedTime": "1970-01-02T00:00:00Z",
        }});
        assert_eq!(body, expected);
    }

    #[test]
    fn only_a_completed_run_is_done() {
        let percent =
            |completed| body(&figures(&[0, 40]), completed, Moment(0))["trainerStatus"]["progressPercentage"].clone();
        assert_eq!((percent(false), percent(true)), (json!(99), json!(100)));
        let nothing = body(&Figures::new(&[]), false, Moment(0));
        assert_eq!(nothing["trainerStatus"]["progressPercentage"], 0);
        assert!(nothing["trainerStatus"].get("estimatedRemainingSeconds").is_none());
    }
}
