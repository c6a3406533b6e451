//! Performs effects. What the store cannot do ends the run; what a worker cannot take ends that worker's session.

use super::{Driver, Input};
use crate::exit_code::ExitCode;
use crate::store::StoreError;
use conrec_domain::effect::{Command, Effect, Ending};
use conrec_domain::event::Event;
use conrec_domain::ids::{Fence, WorkerId};
use conrec_domain::manifest::Manifest;
use conrec_domain::status::{Activity, Status};
use conrec_domain::work::{Lease, Work};
use conrec_proto::message::ToWorker;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc::error::TrySendError;

impl Driver {
    /// Performs effects in their order; the first that the store refuses is the last.
    pub(super) async fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if let Err(error) = self.perform_one(effect).await {
                return self.give_up(&error);
            }
        }
    }

    async fn perform_one(&mut self, effect: Effect) -> Result<(), StoreError> {
        match effect {
            Effect::Send { worker, command } => self.send(worker, command).await?,
            Effect::Drop { worker, reason } => self.drop_worker(worker, &reason),
            Effect::RollBack { iteration, held } => self.journal.cut(iteration, held)?,
            Effect::AppendLedger(entry) => self.journal.append_ledger(&entry)?,
            Effect::AppendMetrics(line) => self.journal.append_metrics(&line)?,
            Effect::PublishManifest(manifest) => self.publish(manifest),
            Effect::Prune { keys } => self.prune(keys),
            Effect::Show(status) => self.show(status),
            Effect::Finish(ending) => {
                self.ending = Some(ending);
                self.keeps_journal = true;
            }
        }
        Ok(())
    }

    /// A roster's number is made this process's own before anyone hears of it.
    async fn send(&mut self, worker: WorkerId, command: Command) -> Result<(), StoreError> {
        if let Command::Form { fence, .. } = &command
            && self.claimed.fetch_max(fence.0, Ordering::SeqCst) < fence.0
        {
            self.claim(*fence).await?;
        }
        if matches!(&command, Command::Grant(Lease { work: Work::Report { .. }, .. })) {
            // The report shows all lines.
            self.keep_journal().await?;
        }
        let last = matches!(command, Command::Stop { .. });
        let Some(outbox) = self.outboxes.get(&worker) else {
            tracing::debug!(%worker, ?command, "not sent: the worker has left");
            return Ok(());
        };
        let sent = outbox.try_send(Ok(ToWorker::Command(command)));
        if last || sent.is_err() {
            self.outboxes.remove(&worker);
        }
        if let Err(error) = sent {
            let reason = match error {
                TrySendError::Full(_) => "it does not read what it is sent",
                TrySendError::Closed(_) => "its stream is closed",
            };
            self.pending.push_back(Event::Left { worker, reason: reason.into() });
        }
        Ok(())
    }

    /// Ends the stream of a worker that is lost to the run; one that still lives learns why and may join again.
    fn drop_worker(&mut self, worker: WorkerId, reason: &str) {
        tracing::warn!(%worker, reason, "lost");
        if let Some(outbox) = self.outboxes.remove(&worker) {
            let _ = outbox.try_send(Err(tonic::Status::aborted(reason)));
        }
    }

    pub(super) async fn keep_journal(&mut self) -> Result<(), StoreError> {
        self.journal.sync()?.await?;
        self.store.keep_journal().await
    }

    /// The journal reaches the disk first, so that no checkpoint knows of an iteration that the ledger lacks. The run
    /// does not wait for it. A store that fails costs the checkpoint; a newer coordinator ends this one.
    fn publish(&mut self, manifest: Manifest) {
        let synced = self.journal.sync();
        let (store, claimed, inputs) = (Arc::clone(&self.store), Arc::clone(&self.claimed), self.inputs.clone());
        self.background.spawn(async move {
            let publish = async {
                synced?.await?;
                store.keep_journal().await?;
                store.publish(&manifest, || Fence(claimed.load(Ordering::SeqCst))).await
            };
            let input = match publish.await {
                Ok(key) => Input::Event(Event::ManifestPublished { key }),
                Err(error) if error.is_outdated() => Input::Outdated(error),
                Err(error) => {
                    tracing::warn!("checkpoint not published: {error}");
                    Input::Event(Event::ManifestRefused { message: error.to_string() })
                }
            };
            // A driver that has ended needs it no more.
            let _ = inputs.send(input).await;
        });
    }

    /// A checkpoint that cannot be removed costs space, not the run.
    fn prune(&mut self, keys: Vec<String>) {
        let store = Arc::clone(&self.store);
        self.background.spawn(async move {
            for key in keys {
                if let Err(error) = store.prune(&key).await {
                    tracing::warn!(%key, "cannot prune: {error}");
                }
            }
        });
    }

    fn show(&mut self, status: Status) {
        tracing::debug!(?status, "status");
        self.board.show(status);
    }

    /// The store refused what the run cannot do without.
    pub(super) fn give_up(&mut self, error: &StoreError) {
        // One that another coordinator goes on from is not this one's to name.
        let reason = if error.is_outdated() {
            error.to_string()
        } else {
            format!("{error}; checkpoints: {}", self.run.newest_checkpoint())
        };
        tracing::error!(%reason, "the run cannot go on");
        let activity = Activity::Failed { reason: reason.clone() };
        self.show(Status { activity, ..self.run.status() });
        self.ending = Some(Ending::Failed { reason, exit_code: ExitCode::from(error).code() });
    }
}
