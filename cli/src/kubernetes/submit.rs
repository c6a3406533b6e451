//! `conrec submit --kubernetes`: has a run's objects in a cluster, once for each key.

use super::{Place, result, wait};
use crate::args::{IfExistsArg, SubmitArgs};
use crate::config_file;
use crate::failure::Failure;
use conrec_cluster::control;
use conrec_cluster::objects::Submission;
use conrec_cluster::submit::{Submitted, submit};
use conrec_cluster::template::Template;
use conrec_coordinator::exit_code::ExitCode;

/// Submits.
///
/// # Errors
/// The config is refused, the key belongs to another one, the template is none, or the cluster does not take it.
pub fn run(args: &SubmitArgs) -> Result<u8, Failure> {
    crate::stored_run::wait(submitted(args))
}

async fn submitted(args: &SubmitArgs) -> Result<u8, Failure> {
    let spec = config_file::load(&args.config)?;
    let template = match &args.template.template {
        Some(path) => Template::parse(&std::fs::read_to_string(path).map_err(Failure::io("read", path))?)?,
        None => Template::base()?,
    };
    let place = Place::find(&args.cluster, (None, Some(&args.key))).await?;
    let (config, digest) = (spec.to_toml()?, spec.digest()?.to_string());
    let submission = Submission {
        run: &place.run,
        namespace: place.cluster.namespace(),
        config: &config,
        spec_digest: &digest,
        // A folder of this machine is none of the pods'.
        store: Some(args.store.store.as_str()).filter(|store| store.contains("://")),
        workers: args.workers.unwrap_or(1),
        queue: args.template.queue.as_deref(),
    };
    let submitted = submit(&place.cluster, &template, &submission).await?;
    let seen = control::status(&place.cluster, &place.run).await?;
    let action = match submitted {
        Submitted::Created => "created",
        Submitted::Attached if args.if_exists == IfExistsArg::Fail => {
            place.print(Some(&seen), Some("already submitted"), args.output);
            return Ok(ExitCode::AlreadyRan.code());
        }
        Submitted::Attached => "attached",
    };
    if args.wait {
        return wait::until_over(&place, &args.waiting, args.output).await;
    }
    place.print(Some(&seen), Some(action), args.output);
    Ok(result(&seen).unwrap_or_else(|| ExitCode::Done.code()))
}
