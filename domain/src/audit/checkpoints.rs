//! Whether the manifests of checkpoints belong to the run and hold states of its chain.

use super::chain::Chain;
use super::finding::names;
use super::{Audit, Evidence, Finding, Place, follow};
use crate::ids::{Digest, Iteration};
use crate::manifest::Manifest;

/// Checks every manifest.
pub(super) fn check(evidence: &Evidence<'_>, chain: &Chain<'_>, audit: &mut Audit) {
    let config = evidence.spec.digest().ok();
    for (key, manifest) in evidence.manifests {
        let before = audit.findings.len();
        let place = Place::file(&format!("{key}/manifest.json"));
        for (what, found, expected) in foreign(evidence, (key, manifest), config) {
            audit.find(place.clone(), Finding::Foreign { what, found, expected });
        }
        if manifest.iteration <= chain.end().0 {
            check_state((evidence, chain), &place, manifest, audit);
        } else if manifest.fence >= chain.end().1 {
            let (iteration, last) = (manifest.iteration, chain.end().0);
            audit.find(place, Finding::BeyondLedger { iteration, last });
        } else {
            // A run that could not use its newest checkpoint goes on from an older one, under a newer fence.
            continue;
        }
        audit.checkpoints += u64::from(audit.findings.len() == before);
    }
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

/// The state that a manifest promises must be that of the chain after its iteration and the changes that followed.
fn check_state((evidence, chain): (&Evidence<'_>, &Chain<'_>), place: &Place, manifest: &Manifest, audit: &mut Audit) {
    let (iteration, changes) = (manifest.iteration, &manifest.cursor.changes);
    let at = chain.lines.get(&iteration).map(|(_, line)| line.after);
    let from = if iteration == Iteration(0) { chain.first() } else { at };
    let expected = match follow(from, changes) {
        Ok(state) => state,
        Err((link, expected)) => {
            let what = format!("`{}` after iteration {iteration}", names(std::iter::once(link.change)));
            return audit.find(place.clone(), Finding::BrokenChain { what, found: link.before, expected });
        }
    };
    let next = chain.lines.get(&Iteration(iteration.0.saturating_add(1))).map(|(_, line)| &line.changes);
    let next = next.or_else(|| evidence.report.map(|report| &report.last_changes));
    if next.is_some_and(|next| !next.starts_with(changes)) {
        audit.find(place.clone(), Finding::OtherChanges { iteration });
    }
    let found = manifest.state_digest;
    if let Some(expected) = expected.filter(|expected| *expected != found) {
        audit.find(place.clone(), Finding::OffChain { iteration, found, expected });
    }
}
