//! What goes wrong in a walk.

use super::worker::Worker;
use super::{Simulation, mix};
use conrec_domain::event::Event;
use conrec_domain::ids::{Iteration, WorkerId};

/// What may go wrong in a walk.
#[derive(Clone, Copy, PartialEq)]
pub struct Faults(&'static [&'static str]);

impl Faults {
    /// Everything but workers that leave as they are asked to.
    pub const WITHOUT_LEAVING: Self = Self(&["killed", "hangs", "joins", "corrupt", "killed", "stop", "coordinator"]);
    /// Everything.
    pub const ALL: Self = Self(&[
        "killed",
        "hangs",
        "joins",
        "corrupt",
        "killed",
        "stop",
        "coordinator",
        "leaving",
        "all leave",
        "asked",
    ]);
    /// Only what is asked for: nothing that was committed may be lost.
    pub const ORDERLY: Self = Self(&["joins", "stop", "leaving", "leaving", "all leave", "asked"]);
}

impl Simulation {
    pub(super) fn store_fails(&mut self, fault_one_in: u64) -> bool {
        self.may != Faults::ORDERLY && self.chance(fault_one_in / 8)
    }

    /// Something goes wrong.
    pub(super) fn fault(&mut self) -> Result<(), String> {
        let kind = self.may.0[self.below(self.may.0.len())];
        let worker = self.any_worker();
        let joining = self.workers.get(&worker).is_some_and(Worker::is_joining);
        match kind {
            "coordinator" => self.coordinator_dies(),
            "joins" if self.workers.len() < 6 => {
                // Enough newcomers together may begin before those who hold the state are back.
                self.owed = None;
                self.open_sessions(1);
            }
            // A run of which the coordinator has not heard cannot lose or hold anything yet.
            _ if joining => return Ok(()),
            "killed" => {
                *self.faults.entry(kind).or_default() += 1;
                self.owed = None;
                self.workers.remove(&worker);
                return self.deliver(Event::Left { worker, reason: "the line was cut".into() });
            }
            "leaving" | "all leave" => {
                *self.faults.entry(kind).or_default() += 1;
                return self.leave((kind == "leaving").then_some(worker));
            }
            "hangs" => {
                self.owed = None;
                self.workers.get_mut(&worker).into_iter().for_each(|w| w.hangs = true);
            }
            // With two, nobody can say who is right when it happens between the reduce and the commit.
            "corrupt" if self.workers.values().filter(|w| !w.hangs && !w.is_joining()).count() > 2 => {
                self.owed = None;
                let place = self.below(4);
                let flipped = mix(&[&"flipped", &self.workers[&worker].state]);
                let Some(worker) = self.workers.get_mut(&worker) else { return Ok(()) };
                match place {
                    0 => worker.sum.1 ^= 1 << 40,
                    1 => worker.reduced = flipped,
                    _ => worker.state.now = flipped,
                }
            }
            // An operator asks for a checkpoint, at any moment.
            "asked" => {
                *self.faults.entry(kind).or_default() += 1;
                return self.deliver(Event::CheckpointRequested);
            }
            "stop" => {
                *self.faults.entry(kind).or_default() += 1;
                return self.deliver(Event::StopRequested);
            }
            _ => return Ok(()),
        }
        *self.faults.entry(kind).or_default() += 1;
        Ok(())
    }

    /// This worker, or all whose sessions are open, are asked to end.
    fn leave(&mut self, one: Option<WorkerId>) -> Result<(), String> {
        let open =
            self.workers.iter().filter(|(id, w)| !w.is_joining() && !w.hangs && one.is_none_or(|one| one == **id));
        for worker in open.map(|(id, _)| *id).collect::<Vec<_>>() {
            // One that was released together with another before it says so no more.
            if self.workers.contains_key(&worker) && self.run.ending().is_none() {
                self.deliver(Event::Leaving { worker })?;
            }
        }
        Ok(())
    }

    /// The coordinator is killed and started again; the workers that live come back with what they hold. A manifest on
    /// its way to the store has reached it or has not.
    fn coordinator_dies(&mut self) {
        let on_its_way = self.publishing.take();
        if self.chance(2) {
            self.newest = on_its_way.or_else(|| self.newest.take());
        }
        let healthy = |w: &Worker| !w.hangs && !w.is_joining() && w.is_sound();
        let committed = self.run.cursor().iteration;
        let holds = |w: &Worker| w.bookmark.as_ref().is_some_and(|b| b.cursor.iteration >= committed);
        let all_back = self.workers.values().all(healthy) && self.workers.values().any(holds);
        self.owed = all_back.then_some(committed).or(self.owed);
        let fence = self.run.fence();
        let living = std::mem::take(&mut self.workers).into_values().filter(|w| !w.hangs);
        for mut worker in living.collect::<Vec<_>>() {
            let id = self.new_id();
            worker.rejoins(id, &self.spec);
            self.workers.insert(id, worker);
        }
        let expected = self.workers.len().max(1) as u32;
        self.start(expected, fence);
    }

    /// Where nothing goes wrong that nobody asked for, what is committed is in the newest checkpoint when the run ends
    /// or goes back.
    pub(super) fn keeps_all(&self, to: Iteration) -> Result<(), String> {
        match self.ledger.last() {
            Some(last) if last.iteration > to && self.may == Faults::ORDERLY => {
                Err(format!("back to iteration {to}, iteration {} was committed", last.iteration))
            }
            _ => Ok(()),
        }
    }
}
