//! `conrec checkpoints`: what of a run is in the store, and whether it is whole. Reads only; takes no lock, so it may be
//! asked while the run trains.

use crate::args::{CheckpointsAction, CheckpointsArgs, Output, RunArgs};
use crate::failure::Failure;
use crate::report;
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::ids::Digest;
use conrec_domain::manifest::{Manifest, Part};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// One folder below `checkpoints/`.
struct Found {
    key: String,
    /// What the manifest says, or what is wrong.
    manifest: Result<Manifest, String>,
    bytes: u64,
}

/// Lists or verifies.
///
/// # Errors
/// There is no such run; with `verify`, also when a checkpoint is damaged.
pub fn run(args: &CheckpointsArgs) -> Result<u8, Failure> {
    let (args, every_byte) = match &args.action {
        CheckpointsAction::List(args) => (args, false),
        CheckpointsAction::Verify(args) => (args, true),
    };
    let folder = report::existing(args)?;
    let found = find(&folder.join("checkpoints"), every_byte)?;
    print(args, &found, every_byte);
    let damaged = found.iter().filter(|f| f.manifest.is_err()).count();
    if every_byte && damaged > 0 {
        let message = format!("{damaged} of {} checkpoints of run `{}` are damaged", found.len(), args.run);
        return Err(Failure::new(ExitCode::BadData, message));
    }
    Ok(ExitCode::Done.code())
}

fn print(args: &RunArgs, found: &[Found], every_byte: bool) {
    if args.output == Output::Json {
        let rows: Vec<_> = found
            .iter()
            .map(|f| match &f.manifest {
                Ok(m) => json!({"key": f.key, "whole": true, "bytes": f.bytes, "iteration": m.iteration.0,
                                "state_digest": m.state_digest.to_string()}),
                Err(why) => json!({"key": f.key, "whole": false, "why": why}),
            })
            .collect();
        println!("{}", json!({"run_id": args.run.as_str(), "every_byte_read": every_byte, "checkpoints": rows}));
        return;
    }
    if found.is_empty() {
        println!("run `{}` has no checkpoints", args.run);
    }
    let whole = if every_byte { "whole, every byte read" } else { "whole" };
    for f in found {
        match &f.manifest {
            Ok(m) => println!(
                "{}  iteration {:>6}  {:>8} KiB  state {:.16}  {whole}",
                f.key,
                m.iteration.0,
                f.bytes.div_ceil(1024),
                m.state_digest.to_string(),
            ),
            Err(why) => println!("{}  not usable: {why}", f.key),
        }
    }
}

/// All checkpoints, newest first.
fn find(folder: &Path, every_byte: bool) -> Result<Vec<Found>, Failure> {
    let mut keys = Vec::new();
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::io("list", folder)(error)),
        Ok(entries) => {
            for entry in entries {
                let entry = entry.map_err(Failure::io("list", folder))?;
                keys.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
    }
    keys.sort_unstable_by(|a, b| b.cmp(a));
    Ok(keys.into_iter().map(|name| inspect(folder, &name, every_byte)).collect())
}

fn inspect(folder: &Path, name: &str, every_byte: bool) -> Found {
    let at = folder.join(name);
    let manifest = read_manifest(&at).and_then(|manifest| match damage(&at, &manifest.parts, every_byte) {
        Some(why) => Err(why),
        None => Ok(manifest),
    });
    let bytes = manifest.as_ref().map_or(0, |m| m.parts.iter().map(|part| part.bytes).sum());
    Found { key: format!("checkpoints/{name}"), manifest, bytes }
}

fn read_manifest(folder: &Path) -> Result<Manifest, String> {
    let text = match std::fs::read_to_string(folder.join("manifest.json")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err("it has no manifest: it was never finished".into());
        }
        other => other.map_err(|error| format!("manifest.json: {error}"))?,
    };
    serde_json::from_str(&text).map_err(|error| format!("manifest.json: {error}"))
}

/// What is wrong with the first part that is not as the manifest says.
fn damage(folder: &Path, parts: &[Part], every_byte: bool) -> Option<String> {
    parts.iter().find_map(|part| {
        if part.name.contains('/') || part.name.starts_with('.') {
            return Some(format!("part name `{}` leads out of the checkpoint", part.name));
        }
        let path = folder.join(&part.name);
        let size = match std::fs::metadata(&path) {
            Ok(meta) => meta.len(),
            Err(error) => return Some(format!("part {}: {error}", part.name)),
        };
        if size != part.bytes {
            return Some(format!("part {} has {size} bytes, its manifest says {}", part.name, part.bytes));
        }
        if !every_byte {
            return None;
        }
        match sha256(&path) {
            Ok(found) if found == part.sha256 => None,
            Ok(found) => Some(format!("part {} has SHA-256 {found}, its manifest says {}", part.name, part.sha256)),
            Err(error) => Some(format!("part {}: {error}", part.name)),
        }
    })
}

/// Reads in pieces, so that a large part costs no memory.
fn sha256(path: &Path) -> std::io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(Digest(hash.finalize().into())),
            read => hash.update(&piece[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, content: &[u8]) -> Part {
        Part { name: name.into(), bytes: content.len() as u64, sha256: Digest::of(content) }
    }

    #[test]
    fn a_changed_byte_is_found_only_when_every_byte_is_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("weights"), b"abd").unwrap();
        let parts = [part("weights", b"abc")];
        assert_eq!(damage(folder.path(), &parts, false), None);
        assert!(damage(folder.path(), &parts, true).unwrap().contains("SHA-256"));
        std::fs::write(folder.path().join("weights"), b"abc").unwrap();
        assert_eq!(damage(folder.path(), &parts, true), None);
    }

    #[test]
    fn a_missing_or_short_part_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(damage(folder.path(), &[part("a", b"abc")], false).unwrap().starts_with("part a:"));
        std::fs::write(folder.path().join("a"), b"ab").unwrap();
        assert_eq!(
            damage(folder.path(), &[part("a", b"abc")], false).unwrap(),
            "part a has 2 bytes, its manifest says 3"
        );
    }

    #[test]
    fn part_names_cannot_leave_the_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        assert!(damage(folder.path(), &[part("../a", b"")], false).unwrap().contains("leads out"));
    }

    #[test]
    fn checkpoints_are_listed_newest_first_and_unfinished_ones_say_so() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["0000000005-000001", "0000000010-000001"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let found = find(folder.path(), false).unwrap();
        assert_eq!(found[0].key, "checkpoints/0000000010-000001");
        assert!(found[1].manifest.as_ref().unwrap_err().contains("never finished"));
        assert!(find(&folder.path().join("absent"), false).unwrap().is_empty());
    }
}
