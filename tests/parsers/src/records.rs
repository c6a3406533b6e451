//! Records of jobs and of nights: what is kept of a run that was submitted, and of what serves.

use crate::run_files::{read, spec, split};
use conrec_domain::day::Day;
use conrec_domain::effect::Ending;
use conrec_domain::job::{Ask, JobEnding, JobRequest, JobState, JobView, Moment, Wish, Wishes, Writer};
use conrec_domain::nightly::{
    Arrival, Beat, Claim, Claimed, Ending as NightEnding, Facts, Plan, Promotion, Trained, Verdict, next, rollback,
};
use conrec_domain::status::{Activity, Status};
use std::iter::successors;

/// `request.json`, `state.json`, a wish, `ending.json`: each alone, and together as a job.
pub(crate) fn job_records(bytes: &[u8]) {
    let mut files = split(bytes).into_iter();
    let mut next = || files.next().unwrap_or_default();
    let (request, state) = (read::<JobRequest>(next()), read::<JobState>(next()));
    let (wishes, ending) = (read::<Wishes>(next()).unwrap_or_default(), read::<JobEnding>(next()));
    let now = state.as_ref().map_or(Moment(7), |state| state.updated);
    for ask in [Ask::Pause, Ask::Resume, Ask::Checkpoint, Ask::Cancel] {
        if let Ok(Some(later)) = wishes.after(ask, now, "x") {
            assert!(later.number >= wishes.number);
            let _ = wishes.acts(&later);
        }
    }
    if let Some(before) = &state {
        let mut state = JobState::begin(Some(before), Writer::default(), now);
        let (iteration, planned) = (conrec_domain::ids::Iteration(before.iteration), before.iterations_planned);
        let status = |activity| Status { activity, iteration, iterations_planned: planned, workers: before.workers };
        state.hear(&status(Activity::Forming), now);
        state.hear(&status(Activity::Checkpointed { key: "checkpoints/1".into() }), Moment(u64::MAX));
        state.end(&Ending::Stopped, Wish::Pause, now);
        assert!(!state.is_live(now), "it rests");
    }
    let Some(request) = request else { return };
    match request.spec() {
        Ok(own) => assert!(
            spec().is_none_or(|other| request.is_for(&other).is_ok()) && request.is_for(&own).is_ok_and(|same| same)
        ),
        Err(refused) => assert!(refused.to_string().contains(request.run_id.as_str()), "{refused}"),
    }
    let view = JobView::of((&request, "folder".into()), &wishes, state.as_ref(), ending.as_ref(), now);
    assert!((0.0..=100.0).contains(&view.percent), "{}", view.percent);
    assert!(view.result().is_none() || state.is_some() || ending.is_some(), "a queued job has no result");
    assert!(serde_json::to_vec(&view).ok().and_then(|text| read::<JobView>(&text)).is_some());
}

/// `plan.json`, `trained.json`, a verdict, `ending.json`, `skipped.json`, a claim, a beat, then promotions: each alone, and
/// what a night does next that finds them.
pub(crate) fn night_records(bytes: &[u8]) {
    let mut files = split(bytes).into_iter();
    let mut part = || files.next().unwrap_or_default();
    let (plan, trained, verdict) = (read::<Plan>(part()), read::<Trained>(part()), read::<Verdict>(part()));
    let (ending, arrival) = (read::<NightEnding>(part()), read::<Arrival>(part()));
    let (claim, _) = (read::<Claim>(part()), read::<Beat>(part()));
    let history: Vec<Promotion> = files.filter_map(read).collect();
    for to in successors(Some(None), |_| history.first().map(|entry| Some(entry.number))).take(2) {
        match rollback(&history, to, 9) {
            Ok(entry) => assert!(history.iter().any(|before| before.run == entry.run)),
            Err(refused) => assert!(!refused.to_string().is_empty()),
        }
    }
    let Some(spec) = spec() else { return };
    let night = plan.as_ref().map_or_else(|| Day::of(0), |plan| plan.night);
    let elsewhere = claim.map_or(Claimed::Nobody, |claim| Claimed::Elsewhere { night: claim.night });
    for claimed in [Claimed::Here, elsewhere] {
        let facts = Facts {
            night,
            rules: &spec.nightly,
            refit: false,
            now: night.end(),
            arrival: arrival.clone(),
            claimed,
            history: history.clone(),
            plan: plan.clone(),
            trained: trained.clone(),
            verdicts: verdict.clone().into_iter().collect(),
            predicted: None,
            ending: ending.clone(),
        };
        let _ = next(&facts);
    }
}
