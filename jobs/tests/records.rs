//! A job's records in a folder and in a store without one: races, wishes, endings, and a coordinator that was taken over.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use conrec_domain::effect::Ending;
use conrec_domain::ids::Iteration;
use conrec_domain::job::{Ask, JobRequest, Moment, StateName, Wish, Wishes, Writer};
use conrec_domain::spec::{RunConfig, RunSpec};
use conrec_domain::status::{Activity, Status};
use conrec_jobs::{Arrival, Desk, JobError, JobObjects, Order, Reply, Submitted};
use conrec_store::Store;
use futures::StreamExt;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

fn clock() -> Moment {
    Moment(1_000)
}

fn later() -> Moment {
    Moment(5_000)
}

/// The stores that the same test runs on; the folder lives as long as the test.
fn stores() -> (TempDir, [Store; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::make(folder.path().to_str().unwrap()).unwrap();
    (folder, [store, Store::memory()])
}

fn request(workers: u32) -> JobRequest {
    let text = include_str!("../../configs/smoke.toml");
    let spec = RunSpec::check(RunConfig::parse(text, "smoke.toml").unwrap()).unwrap();
    JobRequest::new("k".parse().unwrap(), &spec, workers, "0.1.0").unwrap().stamped(clock(), "here")
}

fn job(store: &Store) -> JobObjects {
    JobObjects::of(store, &"k".parse().unwrap())
}

fn writer(process: u32) -> Writer {
    Writer { host: "here".into(), process }
}

async fn open(job: &JobObjects, process: u32) -> Desk {
    match Desk::arrive(job.clone(), writer(process), clock).await.unwrap() {
        Arrival::Open(desk) => *desk,
        Arrival::Over(ending) => panic!("{ending:?}"),
        Arrival::Resting => panic!("it rests"),
    }
}

fn status(iteration: u64, activity: Activity) -> Status {
    Status { activity, iteration: Iteration(iteration), iterations_planned: 40, workers: 2 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_submitters_one_is_the_first() {
    let (_folder, stores) = stores();
    for store in stores {
        let submit = |workers| {
            let job = job(&store);
            tokio::spawn(async move { job.submit(&request(workers)).await.unwrap() })
        };
        let mut first = Vec::new();
        let mut before = Vec::new();
        for (workers, submitted) in (1..=16).map(|workers| (workers, submit(workers))).collect::<Vec<_>>() {
            match submitted.await.unwrap() {
                Submitted::Created => first.push(workers),
                Submitted::Before(request) => before.push(request.workers),
            }
        }
        assert_eq!(first.len(), 1);
        assert!(before.len() == 15 && before.iter().all(|found| *found == first[0]), "{first:?}: {before:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wish_is_lost_where_many_wish_at_once() {
    let (_folder, stores) = stores();
    for store in stores {
        job(&store).submit(&request(1)).await.unwrap();
        let wish = |_| {
            let job = job(&store);
            tokio::spawn(async move { job.wish(Ask::Checkpoint, clock, "x").await.unwrap().checkpoints })
        };
        let mut numbers = Vec::new();
        for wished in (0..8).map(wish).collect::<Vec<_>>() {
            numbers.push(wished.await.unwrap());
        }
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8], "each is one more");
        let cancelled = job(&store).wish(Ask::Cancel, clock, "y").await.unwrap();
        assert_eq!((cancelled.number, cancelled.wish, cancelled.by.as_str()), (9, Wish::Cancel, "y"));
        assert_eq!(job(&store).wishes(&Wishes::default()).await.unwrap(), cancelled);
        assert_eq!(job(&store).wish(Ask::Cancel, clock, "z").await.unwrap(), cancelled, "it is wished already");
        let refused = job(&store).wish(Ask::Resume, clock, "z").await.unwrap_err();
        assert!(matches!(refused, JobError::Refused { .. }), "{refused}");
    }
}

#[tokio::test]
async fn a_job_that_is_not_there_is_named_with_what_is() {
    let (folder, [store, _]) = stores();
    std::fs::create_dir_all(folder.path().join("trained")).unwrap();
    std::fs::write(folder.path().join("trained/run.toml"), "").unwrap();
    let error = job(&store).request().await.unwrap_err().to_string();
    assert!(error.contains("no job `k`") && error.contains("it holds trained"), "{error}");
    let trained = JobObjects::of(&store, &"trained".parse().unwrap()).request().await.unwrap_err().to_string();
    assert!(trained.contains("not submitted as a job"), "{trained}");
    std::fs::create_dir_all(folder.path().join("k/job")).unwrap();
    std::fs::write(folder.path().join("k/job/request.json"), "{").unwrap();
    let error = job(&store).request().await.unwrap_err().to_string();
    assert!(error.contains("k/job/request.json is no record"), "{error}");
}

#[tokio::test]
async fn the_desk_tells_what_the_run_shows_and_how_it_ended() {
    let (_folder, stores) = stores();
    for store in stores {
        let job = job(&store);
        job.submit(&request(1)).await.unwrap();
        assert_eq!(job.view(clock).await.unwrap().state, StateName::Queued);
        let mut desk = open(&job, 1).await;
        assert_eq!(job.view(clock).await.unwrap().state, StateName::Running);
        let shown = [status(0, Activity::Preparing), status(7, Activity::Evaluating)];
        let (_asked, heard) = mpsc::channel::<(Ask, Reply)>(1);
        let (orders, _ordered) = mpsc::channel(1);
        desk.attend(futures::stream::iter(shown), heard, orders).await;
        desk.close(&Ending::Completed).await;
        let view = job.view(clock).await.unwrap();
        assert_eq!(
            (view.state, view.iteration, view.result(), view.percent),
            (StateName::Completed, 7, Some(0), 100.0)
        );
        assert!(matches!(Desk::arrive(job.clone(), writer(2), clock).await.unwrap(), Arrival::Over(_)));
        // An ending is written once.
        let kept = job.cancel_at_rest(clock).await.unwrap();
        assert_eq!(kept.exit_code, 0);
    }
}

#[tokio::test]
async fn wishes_become_orders_and_are_kept_first() {
    let (_folder, stores) = stores();
    for store in stores {
        let job = job(&store);
        job.submit(&request(1)).await.unwrap();
        job.wish(Ask::Checkpoint, clock, "before anybody was here").await.unwrap();
        let mut desk = open(&job, 1).await;
        let (shown, statuses) = mpsc::channel::<Status>(4);
        let statuses = futures::stream::unfold(statuses, |mut s| async { s.recv().await.map(|status| (status, s)) });
        let (asked, heard) = mpsc::channel::<(Ask, Reply)>(1);
        let (orders, mut ordered) = mpsc::channel(4);
        let desk = tokio::spawn(async move {
            desk.attend(statuses.boxed(), heard, orders).await;
            desk
        });
        let Some(Order::Checkpoint(reply)) = ordered.recv().await else { panic!("the old wish is heard first") };
        reply.send(Ok("checkpoints/7-1".into())).unwrap();
        // One over the network, one through the store.
        let (answer, said) = oneshot::channel();
        asked.send((Ask::Checkpoint, answer)).await.unwrap();
        assert!(said.await.unwrap().unwrap().contains("checkpoint"));
        let Some(Order::Checkpoint(reply)) = ordered.recv().await else { panic!("no order") };
        reply.send(Err("full".into())).unwrap();
        loop {
            let state = job.state().await.unwrap().unwrap();
            if state.checkpoints_done == 2 {
                assert_eq!(state.checkpoint.as_deref(), Some("checkpoints/7-1"));
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        job.wish(Ask::Pause, clock, "x").await.unwrap();
        assert!(matches!(ordered.recv().await, Some(Order::Pause)));
        drop(shown);
        desk.await.unwrap().close(&Ending::Stopped).await;
        assert_eq!(job.view(clock).await.unwrap().state, StateName::Paused);
        assert!(matches!(Desk::arrive(job.clone(), writer(2), clock).await.unwrap(), Arrival::Resting));
        job.wish(Ask::Resume, clock, "x").await.unwrap();
        assert_eq!(open(&job, 2).await.request().workers, 1);
        assert_eq!(job.state().await.unwrap().unwrap().attempt, 2);
    }
}

#[tokio::test]
async fn a_coordinator_that_was_taken_over_leaves_the_records_alone() {
    let store = Store::memory();
    let job = job(&store);
    job.submit(&request(1)).await.unwrap();
    let old = open(&job, 1).await;
    let _new = open(&job, 2).await;
    old.close(&Ending::Failed { reason: "taken over".into(), exit_code: 69 }).await;
    let state = job.state().await.unwrap().unwrap();
    assert_eq!((state.state, state.attempt, state.writer.process), (StateName::Running, 2, 2));
}

#[tokio::test]
async fn a_cancelled_job_that_nobody_works_on_is_ended_by_whoever_cancels_it() {
    let (_folder, stores) = stores();
    for store in stores {
        let job = job(&store);
        job.submit(&request(1)).await.unwrap();
        let _desk = open(&job, 1).await;
        job.wish(Ask::Cancel, clock, "x").await.unwrap();
        let ended = job.cancel_at_rest(later).await.unwrap();
        assert_eq!((ended.exit_code, ended.iteration), (15, 0));
        assert_eq!(job.view(later).await.unwrap().state, StateName::Cancelled);
    }
}

#[tokio::test]
async fn what_processes_could_not_say_themselves_is_said_for_them() {
    let (_folder, stores) = stores();
    for store in stores {
        let job = job(&store);
        job.submit(&request(1)).await.unwrap();
        // Before any coordinator came: the worker program is missing, say.
        let failure = Ending::Failed { reason: "no program".into(), exit_code: 69 };
        job.settle(Some(&failure), writer(1), clock).await.unwrap();
        let view = job.view(clock).await.unwrap();
        assert_eq!(
            (view.state, view.result(), view.ended_at),
            (StateName::Failed, Some(69), None),
            "it may be tried again"
        );
        let _desk = open(&job, 2).await;
        job.settle(None, writer(3), clock).await.unwrap();
        assert_eq!(job.view(clock).await.unwrap().state, StateName::Suspended);
        job.settle(None, writer(3), clock).await.unwrap();
        // What another start cannot mend is an ending.
        job.settle(Some(&Ending::Failed { reason: "bad".into(), exit_code: 65 }), writer(3), clock).await.unwrap();
        let view = job.view(clock).await.unwrap();
        assert_eq!((view.state, view.result(), view.ended_at), (StateName::Failed, Some(65), Some(clock())));
        assert_eq!(view.reason.as_deref(), Some("bad"));
    }
}

/// Writes an object of the job, whatever was there.
async fn put(store: &Store, name: &str, content: &str) {
    use object_store::ObjectStoreExt;
    let key = object_store::path::Path::from(format!("k/job/{name}"));
    store.objects().put(&key, content.to_owned().into()).await.unwrap();
}

#[tokio::test]
async fn a_record_that_is_none_or_another_jobs_is_named_where_it_lies() {
    let (_folder, stores) = stores();
    for store in stores {
        let job = job(&store);
        job.submit(&request(1)).await.unwrap();
        let other = serde_json::to_string(&request(1)).unwrap().replace("\"k\"", "\"another\"");
        for (name, content, words) in [
            ("request.json", other.as_str(), "that of run `another`, in the folder of `k`"),
            ("request.json", "{\"version\": 1", "EOF while parsing"),
            ("wishes/000001.json", "[1, 2, 3, 4, 5, 6]", "is no record of a job"),
            ("ending.json", "\u{0}", "is no record of a job"),
            ("state.json", "{}", "missing field `version`"),
        ] {
            put(&store, name, content).await;
            let error = job.view(clock).await.unwrap_err();
            let said = error.to_string();
            assert!(matches!(error, JobError::Record { .. }) && said.contains(words), "{said}");
            assert!(said.contains(&format!("k/job/{name}")), "{said}");
            // Mended again for the next; a wish in its place counts.
            match name {
                "request.json" => put(&store, name, &serde_json::to_string(&request(1)).unwrap()).await,
                "wishes/000001.json" => put(&store, name, "{\"wish\":\"pause\"}").await,
                "ending.json" => {
                    use object_store::ObjectStoreExt;
                    store.objects().delete(&"k/job/ending.json".into()).await.unwrap();
                }
                _ => {}
            }
        }
        // The next coordinator writes a state over one that is none.
        job.wish(Ask::Resume, clock, "x").await.unwrap();
        let _desk = open(&job, 1).await;
        assert_eq!(job.view(clock).await.unwrap().state, StateName::Running);
    }
}

#[tokio::test]
async fn strange_names_among_the_wishes_hold_up_nobody() {
    let (_folder, stores) = stores();
    for store in stores {
        let job = job(&store);
        job.submit(&request(1)).await.unwrap();
        job.wish(Ask::Pause, clock, "x").await.unwrap();
        put(&store, "wishes/7.json", "{\"wish\":\"cancel\"}").await;
        put(&store, "wishes/notes.txt", "hello").await;
        assert_eq!(job.wishes(&Wishes::default()).await.unwrap().wish, Wish::Pause, "the highest that is one");
        put(&store, "wishes/18446744073709551615.json", "{}").await;
        assert_eq!(job.wishes(&Wishes::default()).await.unwrap().number, u64::MAX);
        assert!(
            matches!(job.wish(Ask::Pause, clock, "x").await, Err(JobError::Contended { .. })),
            "none comes after it"
        );
    }
}
