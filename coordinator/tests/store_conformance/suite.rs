//! What is asked of every store. Each property has a run of its own.

use bytes::Bytes;
use conrec_coordinator::store::{RunObjects, RunStore, StoreError};
use conrec_domain::curriculum::Cursor;
use conrec_domain::ids::{Digest, Fence, Iteration, RunId};
use conrec_domain::manifest::{Manifest, PARTS, Part};
use conrec_domain::spec::CheckpointSpec;
use conrec_store::{Store, chance, probe, put, read};
use futures::future::join_all;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};

/// All of it.
pub async fn run(store: &Store) {
    conditions(store).await;
    parts_and_manifest(store).await;
    damage(store).await;
    order_and_retention(store).await;
    journal(store).await;
    takeover(store).await;
    large_part(store).await;
    odd_run_ids(store).await;
}

fn id(text: &str) -> RunId {
    text.parse().unwrap()
}

async fn open(store: &Store, run: &str) -> RunStore {
    RunStore::open(store, &id(run), chance()).await.unwrap()
}

fn config() -> Digest {
    Digest::of(b"config")
}

/// A manifest; of parts that are not given it says that they are empty.
fn manifest(run: &str, iteration: u64, fence: u64, parts: &[(&str, &[u8])]) -> Manifest {
    let part = |name: &str| {
        let content = parts.iter().find(|(named, _)| *named == name).map_or(&b""[..], |(_, content)| content);
        Part { name: name.into(), bytes: content.len() as u64, sha256: Digest::of(content) }
    };
    Manifest {
        version: Manifest::VERSION,
        run_id: id(run),
        config_digest: config(),
        data_digest: Digest::of(b"data"),
        code_version: "1".into(),
        fence: Fence(fence),
        iteration: Iteration(iteration),
        state_digest: Digest::of(b"state"),
        cursor: Cursor { iteration: Iteration(iteration), ..Cursor::start() },
        parts: PARTS.map(part).to_vec(),
    }
}

async fn empty_parts(store: &Store, run: &str, key: &str) {
    for name in PARTS {
        put(store.run(&id(run)).as_ref(), &format!("{key}/{name}"), Bytes::new()).await.unwrap();
    }
}

/// Writes the parts as a worker would, then publishes.
async fn checkpoint(within: (&Store, &RunStore), run: &str, at: (u64, u64)) -> String {
    let (store, held) = within;
    let content: &[u8] = b"weights";
    let manifest = manifest(run, at.0, at.1, &[("adapter.safetensors", content)]);
    let key = Manifest::key(manifest.iteration, manifest.fence);
    empty_parts(store, run, &key).await;
    put(store.run(&id(run)).as_ref(), &format!("{key}/adapter.safetensors"), Bytes::from_static(b"weights"))
        .await
        .unwrap();
    assert_eq!(held.publish(&manifest, || manifest.fence).await.unwrap(), key);
    key
}

/// Creation and compare-and-swap, alone and in a race.
async fn conditions(store: &Store) {
    let objects = store.run(&id("conditions"));
    probe(objects.as_ref(), chance(), store.folder().is_none()).await.unwrap();
    let place = Path::from("race");
    let create = |number: usize| {
        let (objects, place) = (objects.clone(), place.clone());
        async move { objects.put_opts(&place, number.to_string().into(), PutMode::Create.into()).await.is_ok() }
    };
    let won: Vec<bool> = join_all((0..8).map(create)).await;
    assert_eq!(won.iter().filter(|won| **won).count(), 1, "one of eight creates it: {won:?}");
    let winner = won.iter().position(|won| *won).unwrap().to_string();
    assert_eq!(read(objects.as_ref(), "race").await.unwrap().unwrap(), winner.as_bytes());
    if store.folder().is_some() {
        return;
    }
    let seen = objects.head(&place).await.unwrap();
    let version = object_store::UpdateVersion { e_tag: seen.e_tag, version: seen.version };
    let update = |number: usize| {
        let (objects, place, version) = (objects.clone(), place.clone(), version.clone());
        let content = PutPayload::from(format!("update {number}"));
        async move { objects.put_opts(&place, content, PutMode::Update(version).into()).await.is_ok() }
    };
    let won: Vec<bool> = join_all((0..8).map(update)).await;
    assert_eq!(won.iter().filter(|won| **won).count(), 1, "one of eight updates it: {won:?}");
}

/// A checkpoint becomes whole with its manifest, once.
async fn parts_and_manifest(store: &Store) {
    let held = open(store, "parts").await;
    assert_eq!(held.last_fence().await.unwrap(), Fence(0));
    put(store.run(&id("parts")).as_ref(), "fences/000001", "another coordinator".into()).await.unwrap();
    let error = held.claim_fence(Fence(1)).await.unwrap_err();
    assert!(matches!(error, StoreError::FenceTaken { .. }), "{error}");
    assert_eq!(held.last_fence().await.unwrap(), Fence(1));
    let missing = held
        .publish(&manifest("parts", 7, 1, &[("base.safetensors", b"b")]), || Fence(1))
        .await
        .unwrap_err()
        .to_string();
    assert!(missing.contains("part adapter.safetensors is missing"), "{missing}");
    let key = checkpoint((store, &held), "parts", (7, 1)).await;
    let again =
        held.publish(&manifest("parts", 7, 1, &[("adapter.safetensors", b"weights")]), || Fence(1)).await.unwrap_err();
    assert!(again.is_outdated() && again.to_string().contains("exists already"), "{again}");
    let (newest, skipped) = held.newest_whole(config(), Some(Digest::of(b"data"))).await.unwrap();
    assert_eq!((newest.unwrap().iteration, skipped), (Iteration(7), Vec::new()));
    // The second time as after an answer that was lost.
    held.claim_fence(Fence(2)).await.unwrap();
    held.claim_fence(Fence(2)).await.unwrap();
    empty_parts(store, "parts", &Manifest::key(Iteration(8), Fence(1))).await;
    let stale = held.publish(&manifest("parts", 8, 1, &[]), || Fence(1)).await.unwrap_err();
    assert!(stale.is_outdated() && stale.to_string().contains("roster 2 is newer"), "{stale}");
    held.prune(&Manifest::key(Iteration(8), Fence(1))).await.unwrap();
    held.prune(&key).await.unwrap();
    assert!(held.checkpoints(false).await.unwrap().is_empty());
    assert!(held.is_absent(&key).await.unwrap());
}

/// What is damaged is named and skipped, newest first.
async fn damage(store: &Store) {
    let held = open(store, "damage").await;
    held.claim_fence(Fence(1)).await.unwrap();
    for iteration in 1..=4 {
        checkpoint((store, &held), "damage", (iteration, 1)).await;
    }
    let objects = store.run(&id("damage"));
    let spoil = async |key: &str, content: &'static [u8]| {
        put(objects.as_ref(), key, Bytes::from_static(content)).await.unwrap();
    };
    spoil("checkpoints/0000000004-000001/adapter.safetensors", b"weig").await;
    spoil("checkpoints/0000000003-000001/adapter.safetensors", b"weightS").await;
    let foreign = manifest("other", 2, 1, &[("adapter.safetensors", b"weights")]).to_json().unwrap().to_string();
    put(objects.as_ref(), "checkpoints/0000000002-000001/manifest.json", foreign.into()).await.unwrap();
    spoil("checkpoints/0000000009-000001/adapter.safetensors", b"weights").await;
    let (newest, skipped) = held.newest_whole(config(), None).await.unwrap();
    assert_eq!(newest.unwrap().iteration, Iteration(1));
    let why: Vec<&str> = skipped.iter().map(|skipped| skipped.why.as_str()).collect();
    assert_eq!(why.len(), 4, "{why:?}");
    assert!(why[0].contains("never finished"), "{why:?}");
    assert!(why[1].contains("has 4 bytes, its manifest says 7"), "{why:?}");
    assert!(why[2].contains("has SHA-256"), "{why:?}");
    assert!(why[3].contains("belongs to run `other`"), "{why:?}");
    let of_another_config = held.newest_whole(Digest::of(b"changed"), None).await.unwrap();
    assert!(of_another_config.0.is_none() && of_another_config.1.len() == 5);
}

/// Checkpoints are found newest first; retention removes what it does not keep and what was never finished.
async fn order_and_retention(store: &Store) {
    let held = open(store, "order").await;
    let mut keys = Vec::new();
    for (iteration, fence) in [(2, 1), (10, 2), (9, 3), (100, 3)] {
        held.claim_fence(Fence(fence)).await.map_or_else(|error| assert!(error.is_outdated()), |()| ());
        keys.push(checkpoint((store, &held), "order", (iteration, fence)).await);
    }
    let objects = store.run(&id("order"));
    put(objects.as_ref(), "checkpoints/0000000005-000002/adapter.safetensors", Bytes::from_static(b"half"))
        .await
        .unwrap();
    put(objects.as_ref(), "checkpoints/0000000200-000003/adapter.safetensors", Bytes::from_static(b"half"))
        .await
        .unwrap();
    let found: Vec<String> = held.checkpoints(true).await.unwrap().into_iter().map(|found| found.key).collect();
    let names = ["0000000200-000003", "0000000100-000003", "0000000010-000002", "0000000009-000003"];
    assert_eq!(found[..4], names.map(|name| format!("checkpoints/{name}")));
    let rules = CheckpointSpec { keep_last: 1, keep_every: 5, ..CheckpointSpec::default() };
    let removed = RunObjects::of(store, &id("order")).prune_surplus(&rules).await.unwrap();
    assert_eq!(
        removed,
        ["checkpoints/0000000002-000001", "checkpoints/0000000005-000002", "checkpoints/0000000009-000003"]
    );
    let left: Vec<String> = held.checkpoints(true).await.unwrap().into_iter().map(|found| found.key).collect();
    assert_eq!(left, [&found[0], &found[1], &found[2]].map(Clone::clone), "a checkpoint under way is not touched");
}

/// The journal's files are there for the next coordinator.
async fn journal(store: &Store) {
    let held = open(store, "journal").await;
    std::fs::write(held.folder().join("ledger.jsonl"), "{\"iteration\":1}\n").unwrap();
    held.keep_journal().await.unwrap();
    drop(held);
    let held = open(store, "journal").await;
    assert_eq!(std::fs::read_to_string(held.folder().join("ledger.jsonl")).unwrap(), "{\"iteration\":1}\n");
    assert!(!held.folder().join("metrics.jsonl").exists());
}

/// Two coordinators of one run: in a folder the second is refused, elsewhere it takes over and the first is stopped.
async fn takeover(store: &Store) {
    let first = open(store, "takeover").await;
    first.claim_fence(Fence(1)).await.unwrap();
    let second = RunStore::open(store, &id("takeover"), chance()).await;
    if store.folder().is_some() {
        let error = second.err().unwrap();
        assert!(matches!(error, StoreError::InUse { .. }), "{error}");
        return;
    }
    let second = second.unwrap();
    empty_parts(store, "takeover", &Manifest::key(Iteration(1), Fence(1))).await;
    assert_eq!(second.last_fence().await.unwrap(), Fence(1));
    let refusals = [
        first.claim_fence(Fence(2)).await.unwrap_err(),
        first.keep_journal().await.unwrap_err(),
        first.publish(&manifest("takeover", 1, 1, &[]), || Fence(1)).await.unwrap_err(),
    ];
    for error in refusals {
        assert!(matches!(error, StoreError::TakenOver { .. }) && error.is_outdated(), "{error}");
        assert_eq!(conrec_coordinator::exit_code::ExitCode::from(&error).code(), 69);
    }
    second.claim_fence(Fence(2)).await.unwrap();
    second.claim_fence(Fence(3)).await.unwrap();
    checkpoint((store, &second), "takeover", (1, 3)).await;
    // Many at the same time: all succeed one after another, and only the last one holds the run.
    let run = id("takeover");
    let all = join_all((0..4).map(|_| RunStore::open(store, &run, chance()))).await;
    let all: Vec<RunStore> = all.into_iter().map(Result::unwrap).collect();
    let claims = join_all(all.iter().map(|one| one.keep_journal())).await;
    assert_eq!(claims.iter().filter(|claim| claim.is_ok()).count(), 1, "{claims:?}");
}

/// 20 MB in one part.
async fn large_part(store: &Store) {
    let content: Bytes =
        (0..20_000_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<u8>>().into();
    let held = open(store, "large").await;
    held.claim_fence(Fence(1)).await.unwrap();
    let manifest = manifest("large", 1, 1, &[("adapter.safetensors", &content)]);
    let key = Manifest::key(Iteration(1), Fence(1));
    empty_parts(store, "large", &key).await;
    put(store.run(&id("large")).as_ref(), &format!("{key}/adapter.safetensors"), content).await.unwrap();
    held.publish(&manifest, || manifest.fence).await.unwrap();
    let found = held.checkpoint(&key).await.unwrap();
    assert_eq!(found.manifest.unwrap(), manifest);
}

/// All that a run's name may be, and each sees its own objects only.
async fn odd_run_ids(store: &Store) {
    let long = "z".repeat(63);
    let names = ["0", "a.b", "a-b_c.9", "a..b", &long];
    for name in names {
        let held = open(store, name).await;
        held.claim_fence(Fence(1)).await.unwrap();
        checkpoint((store, &held), name, (1, 1)).await;
        put(store.run(&id(name)).as_ref(), "run.toml", Bytes::from_static(b"")).await.unwrap();
    }
    for name in names {
        let found = RunObjects::of(store, &id(name)).checkpoints(true).await.unwrap();
        assert_eq!(found.len(), 1, "{name}");
        assert_eq!(found[0].manifest.as_ref().unwrap().run_id, id(name));
    }
    let mut expected = names.map(str::to_owned);
    expected.sort();
    assert_eq!(store.runs().await.unwrap(), expected);
}
