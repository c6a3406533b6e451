//! The workers' logs of checkpoints: how long each copy held training up, and how long its writing took beside it.

/// In milliseconds, a checkpoint each.
#[derive(Debug, Default, PartialEq)]
pub struct CheckpointTimes {
    /// The worker copied its state and did nothing else.
    pub blocked: Vec<f64>,
    /// Until the store had the parts; training went on.
    pub written: Vec<f64>,
}

impl CheckpointTimes {
    /// Adds what one worker's log tells; other lines and torn ones are skipped.
    pub fn read(&mut self, log: &str) {
        for line in log.lines().filter(|line| line.contains(" conrec_worker::checkpoint: ")) {
            self.blocked.extend(field(line, " blocked_ms="));
            self.written.extend(field(line, " written_ms="));
        }
    }
}

fn field(line: &str, name: &str) -> Option<f64> {
    line.split_once(name)?.1.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_out_of_a_log_with_other_lines() {
        let mut times = CheckpointTimes::default();
        times.read(
            "2026-01-31T10:20:30.000100Z  INFO conrec_worker::checkpoint: checkpoint copied key=\"bench\" blocked_ms=1.25\n\
             2026-01-31T10:20:30.000100Z  INFO conrec_worker::session: blocked_ms=7\n\
             2026-01-31T10:20:30.001100Z  INFO conrec_worker::checkpoint: checkpoint written key=\"bench\" written_ms=20.5\n\
             2026-01-31T10:20:30.01",
        );
        assert_eq!(times, CheckpointTimes { blocked: vec![1.25], written: vec![20.5] });
    }
}
