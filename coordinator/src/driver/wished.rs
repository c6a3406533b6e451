//! Checkpoints that somebody asked for: who waits for which.

use super::Driver;
use conrec_domain::event::Event;
use conrec_domain::ids::Iteration;
use conrec_domain::manifest::Manifest;
use conrec_domain::status::{Activity, Status};
use tokio::sync::oneshot;

/// The key of a checkpoint, or why there is none.
pub(crate) type Reply = oneshot::Sender<Result<String, String>>;

/// Those who wait, each with the iterations that were committed when it asked.
#[derive(Default)]
pub(crate) struct Waiting(Vec<(Iteration, Reply)>);

impl Waiting {
    /// Answers all whom this serves.
    fn answer(&mut self, upto: Iteration, answer: &Result<String, String>) {
        let (served, others) = std::mem::take(&mut self.0).into_iter().partition(|(asked, _)| *asked <= upto);
        self.0 = others;
        let served: Vec<(Iteration, Reply)> = served;
        for (_, reply) in served {
            // Whoever asked may have gone.
            let _ = reply.send(answer.clone());
        }
    }
}

impl Driver {
    /// A checkpoint of all that is committed: the newest where it is one, else the next.
    pub(super) async fn take_wish_for_a_checkpoint(&mut self, reply: Reply) {
        let at = self.run.cursor().iteration;
        if let Some(newest) = self.run.newest_whole().filter(|newest| newest.iteration >= at && at.0 > 0) {
            let _ = reply.send(Ok(Manifest::key(newest.iteration, newest.fence)));
            return;
        }
        // Nothing is held before the first iteration, so there is nothing to be kept.
        self.waiting.0.push((at.max(Iteration(1)), reply));
        self.take(Event::CheckpointRequested).await;
    }

    /// Tells watchers, and those who wait, what became of a checkpoint.
    pub(super) fn tell_of_checkpoint(&mut self, published: &Result<String, String>) {
        match published {
            Ok(key) => {
                let activity = Activity::Checkpointed { key: key.clone() };
                self.board.tell(Status { activity, ..self.run.status() });
                let upto = self.run.newest_whole().map_or(Iteration(0), |newest| newest.iteration);
                self.waiting.answer(upto, published);
            }
            Err(_) => self.waiting.answer(Iteration(u64::MAX), published),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot::error::TryRecvError;

    #[test]
    fn a_checkpoint_serves_those_who_asked_before_it() {
        let mut waiting = Waiting::default();
        let mut answers: Vec<_> = [3, 5, 9]
            .into_iter()
            .map(|asked| {
                let (reply, answer) = oneshot::channel();
                waiting.0.push((Iteration(asked), reply));
                answer
            })
            .collect();
        waiting.answer(Iteration(5), &Ok("key".into()));
        assert_eq!(answers[0].try_recv(), Ok(Ok("key".into())));
        assert_eq!(answers[1].try_recv(), Ok(Ok("key".into())));
        assert_eq!(answers[2].try_recv(), Err(TryRecvError::Empty));
        waiting.answer(Iteration(u64::MAX), &Err("full".into()));
        assert_eq!(answers[2].try_recv(), Ok(Err("full".into())));
    }
}
