//! What figures were measured on: without it they say nothing.

use serde_json::{Value, json};
use std::fs::read_to_string;

/// Version, system, processor, cores and load of this moment; null where the system does not tell.
pub fn describe() -> Value {
    let processors = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, m)| m));
    json!({
        "version": crate::CODE_VERSION,
        "system": format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        "processor": model,
        "cores": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "load": load(),
    })
}

/// The machine's load over the last minute.
pub fn load() -> Option<f64> {
    read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}
