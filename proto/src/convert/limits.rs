//! Bounds on lists and texts of a message; far above what a run needs, far below what hurts.

/// Bytes of a name, an address or a key.
pub const MAX_NAME_BYTES: usize = 1024;
/// Bytes of a sentence for people: reasons, failures.
pub const MAX_SENTENCE_BYTES: usize = 64 * 1024;
/// Bytes of a run's config.
pub const MAX_SPEC_BYTES: usize = 1024 * 1024;
/// Prompts of one lease.
pub const MAX_PROMPTS: usize = 1024 * 1024;
/// Prompts of a stage, or instances of a window: memory is taken by the number.
pub const MAX_COUNT: u32 = 64 * 1024 * 1024;
/// Members of a roster.
pub const MAX_MEMBERS: u32 = 4096;
/// Leases that one worker computes at once.
pub const MAX_LANES: u32 = 1024;
/// Stages of a config.
pub const MAX_STAGES: usize = 1024;
/// Passes of a run.
pub const MAX_PASSES: usize = 2;
/// Files of a checkpoint.
pub const MAX_PARTS: usize = 1024;
/// Changes of the training state between two iterations.
pub const MAX_CHANGES: usize = 2 * MAX_STAGES;
/// Decisions of the gate in one run.
pub const MAX_DECISIONS: usize = 32 * 1024;
/// Bytes of what a worker holds from a session that broke off, and of a bookmark.
pub const MAX_HELD_BYTES: usize = 8 * 1024 * 1024;
