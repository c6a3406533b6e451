//! Whether the manifests of checkpoints belong to the run and hold states of its chain.

use super::chain::Chain;
use super::{Audit, Evidence, Finding, Place, follow};
use crate::curriculum::Cursor;
use crate::ids::{Digest, Iteration};
use crate::manifest::Manifest;

/// What is known of the run after its last iteration.
pub(super) struct Tail<'a> {
    /// The last state that a file records.
    pub(super) state: Option<Digest>,
    /// The curriculum at that state, where a checkpoint holds it.
    pub(super) cursor: Option<&'a Cursor>,
}

/// Checks every manifest; gives what the newest of them says about the time after the last iteration.
pub(super) fn check<'a>(evidence: &Evidence<'a>, chain: &Chain<'_>, audit: &mut Audit) -> Tail<'a> {
    let mut tail = Tail { state: chain.last(), cursor: None };
    let config = evidence.spec.digest().ok();
    for (key, manifest) in evidence.manifests {
        let before = audit.findings.len();
        let place = Place::file(&format!("{key}/manifest.json"));
        for (what, found, expected) in foreign(evidence, (key, manifest), config) {
            audit.find(place.clone(), Finding::Foreign { what, found, expected });
        }
        let state = check_state(chain, &place, manifest, audit);
        if audit.findings.len() == before && state {
            audit.checkpoints += 1;
            if manifest.iteration == chain.end().0 {
                tail = Tail { state: Some(manifest.state_digest), cursor: Some(&manifest.cursor) };
            }
        }
    }
    tail
}

/// All in which a manifest differs from the run that it lies in.
fn foreign(
    evidence: &Evidence<'_>,
    (key, manifest): (&str, &Manifest),
    config: Option<Digest>,
) -> Vec<(&'static str, String, String)> {
    let shown = |digest: Digest| digest.to_string();
    let own_key = Manifest::key(manifest.iteration, manifest.fence);
    let pairs = [
        ("run", manifest.run_id.to_string(), evidence.run_id.to_string()),
        ("config", shown(manifest.config_digest), config.map_or_else(String::new, shown)),
        ("data", shown(manifest.data_digest), shown(evidence.prepared.data_digest)),
        ("key", own_key, key.to_owned()),
        ("cursor of iteration", manifest.cursor.iteration.to_string(), manifest.iteration.to_string()),
    ];
    pairs.into_iter().filter(|(_, found, expected)| found != expected).collect()
}

/// Whether the state that a manifest promises is that of the chain at its iteration.
fn check_state(chain: &Chain<'_>, place: &Place, manifest: &Manifest, audit: &mut Audit) -> bool {
    let (iteration, changes) = (manifest.iteration, &manifest.cursor.changes);
    let (last, fence) = chain.end();
    if iteration > last {
        // A run that could not use its newest checkpoint goes on from an older one, under a newer fence.
        if manifest.fence >= fence {
            audit.find(place.clone(), Finding::BeyondLedger { iteration, last });
        }
        return false;
    }
    let at = chain.lines.get(&iteration).map(|(_, line)| line.after);
    let from = if iteration == Iteration(0) { chain.first() } else { at };
    let expected = match follow(from, changes) {
        Ok(state) => state,
        Err((link, expected)) => {
            let what = format!("`{}` after iteration {iteration}", super::finding::names(std::iter::once(link.change)));
            audit.find(place.clone(), Finding::BrokenChain { what, found: link.before, expected });
            return false;
        }
    };
    let next = chain.lines.get(&Iteration(iteration.0.saturating_add(1)));
    if next.is_some_and(|(_, line)| !line.changes.starts_with(changes)) {
        audit.find(place.clone(), Finding::OtherChanges { iteration });
    }
    let found = manifest.state_digest;
    if let Some(expected) = expected.filter(|expected| *expected != found) {
        audit.find(place.clone(), Finding::OffChain { iteration, found, expected });
    }
    true
}
