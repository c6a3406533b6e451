//! `conrec status` and `conrec stop`: what operators ask of a coordinator over the network.

use crate::args::{OperatorArgs, Output, StatusArgs};
use crate::failure::Failure;
use crate::operator_client::Operator;
use crate::progress::describe;
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::status::Status;
use conrec_process::{is_heard, say};
use conrec_proto::wire::{StopRequest, WatchRequest};
use std::time::Duration;
use tokio::time::timeout;

/// The first status is known at once.
const ANSWER: Duration = Duration::from_secs(10);

/// Prints the run's status, with `--follow` every later one too.
///
/// # Errors
/// The coordinator cannot be reached or refuses.
pub fn status(args: &StatusArgs) -> Result<u8, Failure> {
    blocking(async {
        let mut operator = Operator::connect(&args.operator).await?;
        let request = operator.request(WatchRequest {});
        let answered = timeout(ANSWER, operator.client.watch(request)).await.map_err(|_| silent(&args.operator))?;
        let mut statuses = answered.map_err(|status| operator.failure(&status))?.into_inner();
        while let Some(message) = statuses.message().await.map_err(|status| operator.failure(&status))? {
            let status = Status::try_from(message).map_err(|e| Failure::new(ExitCode::Unavailable, e.to_string()))?;
            say!("{}", line(&status, args.output));
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
