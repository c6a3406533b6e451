//! Which module does which verb.

use crate::args::Verb;
use crate::failure::Failure;
use crate::{
    audit, bench, certs, checkpoints, coordinator, coverage_report, curriculum_report, job, kubernetes, nightly,
    operate, report, reproduce, rollback, sibling, train, validate,
};
use conrec_domain::job::Ask;

/// Whether all that a verb does is what it says: for others what they do lies in files.
pub fn only_says(verb: &Verb) -> bool {
    !matches!(
        verb,
        Verb::Train(_)
            | Verb::Reproduce(_)
            | Verb::CurriculumReport(_)
            | Verb::CoverageReport(_)
            | Verb::Coordinator(_)
            | Verb::Nightly(_)
            | Verb::Submit(_)
            | Verb::RunJob(_)
    ) && !matches!(verb, Verb::Rollback(args) if !args.only_lists())
}

/// Does one verb.
///
/// # Errors
/// What the verb ends with.
pub fn run(verb: Verb) -> Result<u8, Failure> {
    if let Some(done) = kubernetes::run(&verb) {
        return done;
    }
    match verb {
        Verb::Validate(args) => validate::run(&args),
        Verb::Train(args) => train::run(&args),
        Verb::Coordinator(args) => coordinator::run(&args),
        Verb::Worker(args) => sibling::run("worker", &args.rest),
        Verb::Prepare(args) => sibling::run("prepare", &args.rest),
        Verb::Synthesize(args) => sibling::run("synthesize", &args.rest),
        Verb::Evaluate(args) => sibling::run("evaluate", &args.rest),
        Verb::Export(args) => sibling::run("export", &args.rest),
        Verb::SidReport(args) => sibling::run("sid-report", &args.rest),
        Verb::Predict(args) => sibling::run("predict", &args.rest),
        Verb::FilterReport(args) => sibling::run("filter-report", &args.rest),
        Verb::Reproduce(args) => reproduce::run(&args),
        Verb::CurriculumReport(args) => curriculum_report::run(&args),
        Verb::AlignmentReport(args) => sibling::run("alignment-report", &args.rest),
        Verb::Nightly(args) => nightly::run(&args),
        Verb::Rollback(args) => rollback::run(&args),
        Verb::CoverageReport(args) => coverage_report::run(&args),
        Verb::Bench(args) => bench::run(&args.rest),
        Verb::Submit(args) => job::submit::run(&args),
        Verb::Status(args) => job::status::run(&args),
        Verb::Logs(args) => job::logs::run(&args),
        Verb::Pause(args) => job::wish::run(&args, Ask::Pause),
        Verb::Resume(args) => job::resume::run(&args),
        Verb::Cancel(args) => job::wish::run(&args, Ask::Cancel),
        Verb::Checkpoint(args) => job::checkpoint::run(&args),
        Verb::Wait(args) => job::wait::run(&args),
        Verb::Scale(args) => kubernetes::operate::scale(&args),
        Verb::RunJob(args) => job::local::run(&args),
        Verb::Stop(args) => operate::stop(&args),
        Verb::Certs(args) => certs::run(&args),
        Verb::Report(args) => report::run(&args),
        Verb::Audit(args) => audit::run(&args),
        Verb::Checkpoints(args) => checkpoints::run(&args),
    }
}
