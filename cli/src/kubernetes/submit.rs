//! `conrec submit --kubernetes`: has a run's objects in a cluster, once for each key. Where `--store` names a bucket its
//! request is there first, so that what became of the key is known when nothing of it is left in the cluster.

use super::records::{Records, shared};
use super::seen::Seen;
use super::{Place, wait};
use crate::args::{ConfigArgs, IfExistsArg, SubmitArgs};
use crate::config_file;
use crate::failure::Failure;
use crate::job::{now, submit as request_of};
use conrec_cluster::objects::Submission;
use conrec_cluster::submit::{Submitted, start_again, submit};
use conrec_cluster::template::Template;
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::store::StoreError;
use conrec_domain::job::JobRequest;
use conrec_domain::spec::RunSpec;
use conrec_jobs::{JobError, JobObjects, Submitted as Requested, host};
use conrec_store::Store;

/// Submits.
///
/// # Errors
/// The config is refused, the key belongs to another one, the template is none, or the store or the cluster does not take it.
pub fn run(args: &SubmitArgs) -> Result<u8, Failure> {
    crate::stored_run::wait(submitted(args))
}

async fn submitted(args: &SubmitArgs) -> Result<u8, Failure> {
    let template = match &args.template.template {
        Some(path) => Template::parse(&std::fs::read_to_string(path).map_err(Failure::io("read", path))?)?,
        None => Template::base()?,
    };
    // What the template's coordinator lays over its config is part of what is submitted.
    let config = ConfigArgs { set: [args.config.set.clone(), template.sets()].concat(), ..args.config.clone() };
    let spec = config_file::load(&config)?;
    let workers = args.workers.or_else(|| template.workers()).unwrap_or(1);
    let store = shared(&args.store);
    if store.is_none() && template.names_no_store() {
        let message = "no store that pods reach: give --store s3://BUCKET/PREFIX, az://... or gs://... (docs/stores.md), or a \
                       --template that has one";
        return Err(Failure::new(ExitCode::Usage, message));
    }
    let place = Place::find(&args.cluster, (None, Some(&args.key))).await?;
    let mut first = true;
    let records = match store {
        Some(store) => {
            let objects = Store::make(&store.store).map_err(StoreError::from)?;
            let job = JobObjects::of(&objects, &place.run_id);
            first = requested(args, (&spec, workers), &job).await?;
            Some(Records { job, store: store.clone() })
        }
        None => None,
    };
    let over = match &records {
        Some(records) if !first => Some(records.view().await?).filter(|view| view.result().is_some()),
        _ => None,
    };
    if let Some(view) = over {
        let seen = Seen { cluster: None, job: Some(view) };
        return ended(args, &place, &seen);
    }
    let (config, digest) = (spec.to_toml()?, spec.digest()?.to_string());
    let submission = Submission {
        run: &place.run,
        namespace: place.cluster.namespace(),
        config: &config,
        spec_digest: &digest,
        // A folder of this machine is none of the pods'.
        store: store.map(|store| store.store.as_str()),
        workers,
        queue: args.template.queue.as_deref(),
    };
    let submitted = submit(&place.cluster, &template, &submission).await?;
    let records = match records {
        None => Records::find(&place, &args.store).await?,
        found => found,
    };
    let mut seen = Seen::with(&place, records.as_ref()).await?;
    let mut action = "created";
    if submitted == Submitted::Attached {
        if args.if_exists == IfExistsArg::Fail {
            return ended(args, &place, &seen);
        }
        action = "attached";
        if seen.may_start_again() {
            start_again(&place.cluster, &template, &submission).await?;
            seen = Seen::with(&place, records.as_ref()).await?;
            action = "started again";
        }
    }
    if args.wait {
        return wait::until_over((&place, records.as_ref()), &args.waiting, args.output).await;
    }
    seen.print(&place, Some(action), args.output);
    Ok(seen.result().unwrap_or_else(|| ExitCode::Done.code()))
}

/// Has the request in the store; whether it is the first of its key.
async fn requested(args: &SubmitArgs, (spec, workers): (&RunSpec, u32), job: &JobObjects) -> Result<bool, Failure> {
    let request = JobRequest::new(args.key.clone(), spec, workers, crate::CODE_VERSION)?;
    match job.submit(&request.stamped(now(), &host())).await? {
        Requested::Created => Ok(true),
        Requested::Before(before) => {
            let same = before.key == args.key && before.is_for(spec).map_err(JobError::from)?;
            if same { Ok(false) } else { Err(request_of::taken(&args.key, &before)) }
        }
    }
}

/// The key was submitted before, and there is nothing to be done.
fn ended(args: &SubmitArgs, place: &Place, seen: &Seen) -> Result<u8, Failure> {
    wait::keep(place, &args.waiting, seen)?;
    if args.if_exists == IfExistsArg::Fail {
        seen.print(place, Some("already submitted"), args.output);
        return Ok(ExitCode::AlreadyRan.code());
    }
    seen.print(place, Some("finished before"), args.output);
    Ok(seen.result().unwrap_or_else(|| ExitCode::Done.code()))
}
