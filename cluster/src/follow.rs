//! Waiting for a run in a cluster, and reading what its pods said.

use crate::connection::Cluster;
use crate::control::{of_run, pods, status, workloads};
use crate::error::ClusterError;
use crate::kinds::text;
use crate::observe::{Observed, newest};
use crate::run_name::RunName;
use crate::template::COMPONENT;
use futures::{AsyncBufReadExt, StreamExt, TryStreamExt};
use kube::api::{LogParams, WatchEvent, WatchParams};
use std::time::Duration;

/// A server that does not answer is asked again after this long.
const PAUSE: Duration = Duration::from_secs(2);
/// The server ends a watch after this many seconds; then all is looked at again, so that nothing missed stays missed.
const WATCH_SECONDS: u32 = 60;

/// Waits until `run` has ended. `seen` hears of every change; where the server cannot be reached it is asked again, as long
/// as `patience` says of how many times in a row it has failed.
///
/// # Errors
/// There is no such run, it was removed, the server refuses, or patience ends.
pub async fn until_ended(
    cluster: &Cluster,
    run: &RunName,
    mut seen: impl FnMut(&Observed),
    patience: impl Fn(u32) -> bool,
) -> Result<Observed, ClusterError> {
    let (mut last, mut failures) = (None, 0);
    loop {
        match looked(cluster, run).await {
            Ok((observed, from)) => {
                failures = 0;
                if last.as_ref() != Some(&observed) {
                    seen(&observed);
                }
                if observed.phase.is_end() {
                    return Ok(observed);
                }
                last = Some(observed);
                change(cluster, run, from).await;
            }
            Err(error) if error.passes() && patience(failures + 1) => {
                failures += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The kind of a run's workload, and the version of the cluster from which its changes are heard.
type From = (String, String);

/// What the cluster says of a run, and from where on to listen: from before it was asked, so that nothing is missed.
async fn looked(cluster: &Cluster, run: &RunName) -> Result<(Observed, From), ClusterError> {
    let kind = text(&workloads(cluster, run).await?.main, "/kind").to_owned();
    let listed = cluster.objects(&kind)?.list(&of_run(run)).await;
    let listed = listed.map_err(|error| ClusterError::of(format!("to list {kind}s of {run}"), error))?;
    let version = listed.metadata.resource_version.unwrap_or_default();
    Ok((status(cluster, run).await?, (kind, version)))
}

/// Waits for the next change of the run's workloads, or for anything else to look again for: the end of the watch, an
/// error of it, a version that the server no longer has, silence where the connection is dead. Never for less than [`PAUSE`]:
/// what starts and ends says many things at once.
async fn change(cluster: &Cluster, run: &RunName, from: From) {
    let silence = Duration::from_secs(u64::from(WATCH_SECONDS) + 15);
    let watched = tokio::time::timeout(silence, watched(cluster, run, from));
    let _ = tokio::join!(watched, tokio::time::sleep(PAUSE));
}

async fn watched(cluster: &Cluster, run: &RunName, (kind, version): From) -> Result<(), ClusterError> {
    let labels = of_run(run).label_selector.unwrap_or_default();
    let parameters = WatchParams::default().labels(&labels).timeout(WATCH_SECONDS);
    let what = || format!("to watch {kind}s of {run}");
    let events = cluster.objects(&kind)?.watch(&parameters, &version).await;
    let mut events = events.map_err(|error| ClusterError::of(what(), error))?.boxed();
    while let Some(event) = events.try_next().await.map_err(|error| ClusterError::of(what(), error))? {
        match event {
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(status) => return Err(ClusterError::refused(what(), &status)),
            WatchEvent::Added(_) | WatchEvent::Modified(_) | WatchEvent::Deleted(_) => return Ok(()),
        }
    }
    Ok(())
}

/// Lines of the newest pod of `component` (`coordinator`, `worker`, or a worker pod's name), to `line` as they come; with
/// `follow` until the pod ends.
///
/// # Errors
/// There is no such pod, or the server does not answer.
pub async fn logs(
    cluster: &Cluster,
    run: &RunName,
    (component, follow): (&str, bool),
    mut line: impl FnMut(&str),
) -> Result<(), ClusterError> {
    let pods = pods(cluster, run).await?;
    let named = pods.iter().find(|pod| text(pod, "/metadata/name") == component);
    let pod = named.or_else(|| newest(&pods, component)).ok_or_else(|| {
        ClusterError::NotPossible(format!("run {run} has no pod of {component} in namespace {}", cluster.namespace()))
    })?;
    let name = text(pod, "/metadata/name");
    // A mesh adds containers of its own.
    let container = Some(text(pod, COMPONENT).to_owned()).filter(|container| !container.is_empty());
    let parameters = LogParams { follow, container, ..LogParams::default() };
    let what = || format!("to read the log of pod {name}");
    let stream = cluster.pods().log_stream(name, &parameters).await;
    let mut lines = stream.map_err(|error| ClusterError::of(what(), error))?.lines().boxed();
    while let Some(text) = lines.try_next().await.map_err(|error| ClusterError::Unreachable(error.to_string()))? {
        line(&text);
    }
    Ok(())
}
