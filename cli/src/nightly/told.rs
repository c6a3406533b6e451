//! What `conrec nightly` prints at the end, for people or for programs.

use super::NightlyArgs;
use crate::args::Output;
use conrec_domain::nightly::{Answer, Arrival, Ending};
use conrec_nightly::Nights;
use conrec_process::say;
use serde_json::json;

/// The answer, with its exit code.
pub fn tell(args: &NightlyArgs, nights: &Nights, answer: &Answer) {
    match args.output {
        Output::Json => {
            let folder = nights.place(&format!("nights/{}", args.date));
            let whole =
                json!({"night": args.date, "exit_code": answer.exit_code(), "folder": folder, "answer": answer});
            say!("{whole}");
        }
        Output::Text => {
            say!("night {}: {}", args.date, sentence(answer));
            if let Answer::Ended(ending) | Answer::AlreadyRan(ending) = answer {
                of_ending(nights, ending);
            }
        }
    }
}

fn of_ending(nights: &Nights, ending: &Ending) {
    for of in &ending.verdict.compared {
        say!(
            "  {:<10} {:.4} beside {:.4}: {:+.4}, at least {:+.4} ({} instances)",
            of.metric,
            of.new,
            of.old,
            of.difference,
            of.low,
            of.instances
        );
    }
    if let Some(run) = &ending.predicted_with {
        say!("  {}  predict sets, by {run}", nights.place(&format!("nights/{}/predict.parquet", ending.night)));
    }
    say!("  {}  what serves", nights.place("promoted.json"));
}

/// What happened, in one sentence.
fn sentence(answer: &Answer) -> String {
    let of = |ending: &Ending| match ending.promotion {
        Some(number) => {
            format!("run {} serves from now on (promotion {number}): {}", ending.run, ending.verdict.reason)
        }
        None => format!("run {} was not promoted: {}", ending.run, ending.verdict.reason),
    };
    match answer {
        Answer::Ended(ending) => of(ending),
        Answer::AlreadyRan(ending) => format!("ran before; {}", of(ending)),
        Answer::Overtaken { by } => format!("nothing was trained: the night of {by} was promoted before"),
        Answer::Skipped(arrival) => skipped(arrival),
    }
}

fn skipped(arrival: &Arrival) -> String {
    match arrival {
        Arrival::Late { day, events, until } => format!(
            "late: {events} events of {day} are there; it is waited for until Unix time {until}, try again later"
        ),
        Arrival::Empty { day, events, expected } => {
            format!("empty: {day} has {events} events, nightly.min_events asks for {expected}; nothing was trained")
        }
        Arrival::Broken { reason } => format!("the data cannot be read, nothing was trained: {reason}"),
        Arrival::Ready { .. } => "the data is there".to_owned(),
    }
}
