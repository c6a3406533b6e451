//! `conrec status` and `conrec stop`: what operators ask of a coordinator over the network.

use crate::args::{JobCheckpointArgs, OperatorArgs, Output, StatusArgs, TargetArgs};
use crate::failure::Failure;
use crate::job;
use crate::operator_client::Operator;
use crate::progress::describe;
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::job::Ask;
use conrec_domain::status::Status;
use conrec_process::{is_heard, say};
use conrec_proto::wire::{CheckpointRequest, JobWish, StopRequest, WatchRequest, WishRequest};
use std::time::Duration;
use tokio::time::timeout;

/// The first status is known at once.
const ANSWER: Duration = Duration::from_secs(10);

/// Prints the run's status, with `--follow` every later one too.
///
/// # Errors
/// The coordinator cannot be reached or refuses.
pub fn status(address: &str, args: &StatusArgs) -> Result<u8, Failure> {
    let operator_args = operator_args(address, &args.target);
    blocking(async {
        let mut operator = Operator::connect(&operator_args).await?;
        let request = operator.request(WatchRequest {});
        let answered = timeout(ANSWER, operator.client.watch(request)).await.map_err(|_| silent(&operator_args))?;
        let mut statuses = answered.map_err(|status| operator.failure(&status))?.into_inner();
        while let Some(message) = statuses.message().await.map_err(|status| operator.failure(&status))? {
            let status = Status::try_from(message).map_err(|e| Failure::new(ExitCode::Unavailable, e.to_string()))?;
            say!("{}", line(&status, args.target.output));
            if !args.follow || !is_heard() {
                break;
            }
        }
        Ok(ExitCode::Done.code())
    })
}

/// Asks for a checkpoint and an end.
///
/// # Errors
/// The coordinator cannot be reached or refuses.
pub fn stop(args: &OperatorArgs) -> Result<u8, Failure> {
    blocking(async {
        let mut operator = Operator::connect(args).await?;
        let request = operator.request(StopRequest {});
        let answered = timeout(ANSWER, operator.client.stop(request)).await.map_err(|_| silent(args))?;
        answered.map_err(|status| operator.failure(&status))?;
        say!("the run writes a checkpoint and stops");
        Ok(ExitCode::Done.code())
    })
}

/// Tells the coordinator of a job what is wished of it.
///
/// # Errors
/// The coordinator cannot be reached or refuses.
pub fn wish(address: &str, args: &TargetArgs, ask: Ask) -> Result<u8, Failure> {
    let operator_args = operator_args(address, args);
    let wish = match ask {
        Ask::Pause => JobWish::Pause,
        Ask::Cancel => JobWish::Cancel,
        Ask::Resume | Ask::Checkpoint => JobWish::Unspecified,
    };
    blocking(async {
        let mut operator = Operator::connect(&operator_args).await?;
        let request = operator.request(WishRequest { wish: wish.into() });
        // It is kept in the store before it is answered.
        let answered = timeout(3 * ANSWER, operator.client.wish(request)).await.map_err(|_| silent(&operator_args))?;
        let answer = answered.map_err(|status| operator.failure(&status))?.into_inner();
        job::wish::said(&answer.sentence, args.output);
        Ok(ExitCode::Done.code())
    })
}

/// Asks for a checkpoint and prints its name once it is whole.
///
/// # Errors
/// The coordinator cannot be reached or refuses, or there is no checkpoint in time.
pub fn checkpoint(address: &str, args: &JobCheckpointArgs) -> Result<u8, Failure> {
    let operator_args = operator_args(address, &args.target);
    blocking(async {
        let mut operator = Operator::connect(&operator_args).await?;
        let request = operator.request(CheckpointRequest {});
        let limit = Duration::from_secs(args.timeout);
        let late = |_| Failure::new(ExitCode::Stopped, format!("no checkpoint was whole within {} s", args.timeout));
        let answered = timeout(limit, operator.client.checkpoint(request)).await.map_err(late)?;
        let answer = answered.map_err(|status| operator.failure(&status))?.into_inner();
        job::checkpoint::print(&answer.key, args.target.output);
        Ok(ExitCode::Done.code())
    })
}

fn operator_args(address: &str, args: &TargetArgs) -> OperatorArgs {
    OperatorArgs { coordinator: address.to_owned(), trust: args.trust.clone() }
}

fn line(status: &Status, output: Output) -> String {
    match output {
        Output::Text => {
            let Status { activity, iteration, iterations_planned, workers } = status;
            let plural = if *workers == 1 { "" } else { "s" };
            format!("[{iteration}/{iterations_planned}] {workers} worker{plural} · {}", describe(activity))
        }
        Output::Json => serde_json::to_string(status).unwrap_or_default(),
    }
}

fn silent(args: &OperatorArgs) -> Failure {
    Failure::new(ExitCode::Unavailable, format!("coordinator {}: no answer within 10 seconds", args.coordinator))
}

fn blocking(work: impl Future<Output = Result<u8, Failure>>) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(ExitCode::Failed, format!("cannot start the runtime: {error}")))?;
    runtime.block_on(work)
}
