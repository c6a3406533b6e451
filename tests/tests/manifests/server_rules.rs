//! What an API server refuses beyond its schemas (`scripts/server_rules`): each rule finds an object that was good and has one
//! thing wrong.

use crate::case;
use crate::rendered::{Case, rendered};
use conrec_tests::text;
use serde_json::{Value, json};
use std::fs;

/// Kind and name of a good object, place and new value of what becomes wrong (null: it goes), what is said.
type Wrong = (&'static str, &'static str, &'static str, Value, &'static str);

fn wrong_jobs() -> Vec<Wrong> {
    let worker = |place, value, says| ("Job", "conrec-worker", place, value, says);
    let coordinator = |place, value, says| ("Job", "conrec-coordinator", place, value, says);
    vec![
        worker("/spec/template/spec/restartPolicy", json!("Always"), "Never or OnFailure"),
        worker("/spec/template/spec/restartPolicy", json!("OnFailure"), "podFailurePolicy needs restartPolicy"),
        worker("/spec/podReplacementPolicy", json!("TerminatingOrFailed"), "needs podReplacementPolicy"),
        worker("/spec/completionMode", json!("NonIndexed"), "successPolicy needs completionMode"),
        worker("/spec/completions", Value::Null, "needs completions"),
        worker("/spec/successPolicy/rules/0", json!({"succeededCount": 3}), "cannot be met by 2"),
        worker("/spec/successPolicy/rules/0", json!({}), "cannot be met"),
        worker("/spec/parallelism", json!(200_000), "at most 100000"),
        worker("/spec/selector", json!({"matchLabels": {"a": "b"}}), "selector is made by the server"),
        worker("/metadata/name", json!("a".repeat(62)), "host names begin with"),
        worker("/metadata/name", json!("a.b"), "no label of DNS"),
        worker("/metadata/labels/a", json!("b".repeat(64)), "no value of a label"),
        worker("/spec/podFailurePolicy/rules/2/onExitCodes/values", json!([65, 64, 78]), "once each and sorted"),
        worker("/spec/podFailurePolicy/rules/2/onExitCodes/values", json!([0, 64]), "0 is no failure"),
        worker("/spec/podFailurePolicy/rules/2/onExitCodes/containerName", json!("wroker"), "no container wroker"),
        worker("/spec/podFailurePolicy/rules/2/onExitCodes", Value::Null, "either onExitCodes or"),
        coordinator("/spec/podFailurePolicy/rules/2/action", json!("FailIndex"), "FailIndex needs"),
        coordinator("/spec/backoffLimitPerIndex", json!(1), "backoffLimitPerIndex needs completionMode"),
        coordinator("/spec/maxFailedIndexes", json!(1), "maxFailedIndexes needs backoffLimitPerIndex"),
        coordinator("/spec/activeDeadlineSeconds", json!(0), "activeDeadlineSeconds at least 1"),
    ]
}

fn wrong_pods() -> Vec<Wrong> {
    let at = |place: &'static str, value, says| ("Job", "conrec-worker", place, value, says);
    vec![
        at("/spec/template/spec/containers/0/name", json!("Worker"), "no label of DNS"),
        at("/spec/template/spec/containers/0/resources/requests/memory", json!("8Gi"), "8Gi requested and 4Gi"),
        at("/spec/template/spec/containers/0/resources/requests/cpu", json!("1 core"), "no quantity"),
        at("/spec/template/spec/containers/0/resources/requests/nvidia.com~1gpu", json!(1), "a device is requested"),
        at("/spec/template/spec/containers/0/livenessProbe/successThreshold", json!(2), "successThreshold must be 1"),
        at("/spec/template/spec/containers/0/livenessProbe/tcpSocket", json!({"port": 1}), "needs one handler"),
        at("/spec/template/spec/containers/0/livenessProbe/grpc/port", json!(70_000), "from 1 to 65535"),
        at("/spec/template/spec/containers/0/volumeMounts/1/mountPath", json!("/etc/conrec/tls"), "stands twice"),
        at("/spec/template/spec/containers/0/volumeMounts/1/name", json!("temp"), "no volume temp"),
        at("/spec/template/spec/containers/0/ports/0/name", json!("health-of-the-pod"), "at most 15"),
        at("/spec/template/spec/containers/0/ports/1/name", json!("health"), "port health stands twice"),
        at("/spec/template/spec/containers/0/env/0/name", json!("POD IP"), "no name of a variable"),
        at("/spec/template/spec/containers/0/env/1/name", json!("POD_IP"), "POD_IP stands twice"),
        at(
            "/spec/template/spec/containers/0/env/0/valueFrom/fieldRef/fieldPath",
            json!("status.ip"),
            "no field status.ip",
        ),
        at("/spec/template/spec/containers/0/env/0/value", json!("x"), "has not one source"),
        at(
            "/spec/template/spec/containers/0/env/4/valueFrom/resourceFieldRef/containerName",
            json!("wroker"),
            "no container wroker",
        ),
        at("/spec/template/spec/volumes/0/secret/defaultMode", json!(4400), "defaultMode"),
        at("/spec/template/spec/volumes/0/emptyDir", json!({}), "needs one source"),
        at("/spec/template/spec/volumes/1/emptyDir/medium", json!("Disk"), "no emptyDir"),
        at("/spec/template/spec/volumes/1/name", json!("tls"), "volume tls stands twice"),
        at(
            "/spec/template/spec/tolerations",
            json!([{"key": "a", "operator": "Exists", "value": "b"}]),
            "takes no value",
        ),
        at("/spec/template/spec/tolerations", json!([{"value": "b"}]), "only Exists"),
        at("/spec/template/spec/subdomain", json!("a.b"), "no label of DNS"),
        at("/spec/template/metadata/labels/a~1b~1c", json!("x"), "no key of a label"),
    ]
}

fn wrong_others() -> Vec<Wrong> {
    let policy = |place, value, says| ("NetworkPolicy", "conrec-worker", place, value, says);
    let certificate = |place, value, says| ("Certificate", "conrec-worker", place, value, says);
    vec![
        ("Service", "conrec-worker", "/metadata/name", json!("1-worker"), "begins with a letter"),
        ("Service", "conrec-worker", "/spec/clusterIP", Value::Null, "only a headless Service"),
        ("Service", "conrec-coordinator", "/spec/ports/0/targetPort", json!("GRPC"), "no name of a port"),
        ("Service", "conrec-coordinator", "/spec/ports/0/nodePort", json!(30_000), "no nodePort"),
        ("PodDisruptionBudget", "conrec-worker", "/spec/maxUnavailable", json!(1), "either minAvailable or"),
        ("ConfigMap", "conrec-run", "/data/A B", json!("x"), "no key of a ConfigMap"),
        ("ConfigMap", "conrec-run", "/data/A", json!("x".repeat(1 << 20)), "at most 1 MiB"),
        ("ConfigMap", "conrec-run", "/data/A", json!("x".repeat(300_000)), "--server-side"),
        ("PersistentVolumeClaim", "conrec-runs", "/spec/resources/requests/storage", json!("0"), "above 0"),
        ("Role", "conrec-submitter", "/rules/0/verbs", json!([]), "has verbs"),
        ("RoleBinding", "conrec-submitter", "/roleRef/kind", json!("Account"), "is no role"),
        policy("/spec/egress/4/to/0/ipBlock/cidr", json!("169.254.0.1/16"), "has host bits"),
        policy("/spec/egress/4/to/0/podSelector", json!({}), "a peer is an ipBlock"),
        policy("/spec/egress/1/ports/0/port", json!("Grpc"), "no name of a port"),
        policy("/spec/policyTypes", json!(["Ingress"]), "is not looked at"),
        certificate("/spec/renewBefore", json!("2160h"), "longer than renewBefore"),
        certificate("/spec/privateKey/size", json!(2048), "has 2048 bits"),
        ("Certificate", "conrec-authority", "/spec/usages", json!(["crl sign"]), "need cert sign"),
        ("CronJob", "conrec-nightly", "/metadata/name", json!("n".repeat(53)), "at most 52"),
        ("CronJob", "conrec-nightly", "/spec/schedule", json!("0 25 * * *"), "no schedule"),
        ("CronJob", "conrec-nightly", "/spec/schedule", json!("0 2 * *"), "no schedule"),
        ("CronJob", "conrec-nightly", "/spec/timeZone", json!("Europe/Atlantis"), "no time zone"),
        ("CronJob", "conrec-nightly", "/spec/startingDeadlineSeconds", json!(5), "below 10"),
    ]
}

fn wrong_sets() -> Vec<Wrong> {
    let set = |place, value, says| ("JobSet", "conrec", place, value, says);
    let queue = |place, value, says| ("ClusterQueue", "conrec", place, value, says);
    vec![
        set("/metadata/name", json!("a".repeat(42)), "more than 63"),
        set("/metadata/name", json!("1-set"), "begins with a letter"),
        set("/spec/replicatedJobs/0/name", json!("worker"), "stands twice"),
        set("/spec/replicatedJobs/1/dependsOn/0/name", json!("leader"), "does not stand before it"),
        set("/spec/startupPolicy", json!({"startupPolicyOrder": "InOrder"}), "exclude each other"),
        set("/spec/successPolicy/targetReplicatedJobs", json!(["leader"]), "no replicated job leader"),
        set("/spec/failurePolicy/rules/0/name", json!("wrong-config"), "no name of a rule"),
        set("/spec/failurePolicy/rules/0/onJobFailureReasons", json!(["Broken"]), "no Job fails by Broken"),
        set(
            "/spec/replicatedJobs/1/template/spec/template/spec/restartPolicy",
            json!("OnFailure"),
            "needs restartPolicy",
        ),
        queue("/spec/resourceGroups/0/coveredResources", json!(["memory", "cpu"]), "in the order of coveredResources"),
        queue("/spec/resourceGroups/0/flavors/0/resources/0/nominalQuota", json!("many"), "no quantity"),
    ]
}

/// The object with the value at this place; a map or a list grows there.
fn changed(object: &Value, place: &str, value: Value) -> Value {
    let mut object = object.clone();
    let (parent, key) = place.rsplit_once('/').unwrap();
    let key = key.replace("~1", "/");
    let parent = object.pointer_mut(parent).unwrap_or_else(|| panic!("{place}: nothing is there"));
    match (parent, value) {
        (Value::Object(fields), Value::Null) => assert!(fields.remove(&key).is_some(), "{place}: nothing was there"),
        (Value::Object(fields), value) => drop(fields.insert(key, value)),
        (Value::Array(items), value) => items[key.parse::<usize>().unwrap()] = value,
        (other, _) => panic!("{place}: {other} has no places"),
    }
    object
}

#[test]
fn what_a_server_refuses_beyond_its_schemas_is_found() {
    let names = [
        "base",
        "base + cert-manager networkpolicy jobset kueue",
        "overlays/dev",
        "overlays/nightly",
        "samples/kueue-queues.yaml",
    ];
    let mut cases: Vec<Case> = Vec::new();
    for name in names {
        let Some(case) = case(name) else { return };
        cases.push(case);
    }
    let good = |kind: &str, name: &str| cases.iter().find_map(|case| case.object(kind, name)).unwrap();
    let all: Vec<Wrong> = [wrong_jobs(), wrong_pods(), wrong_others(), wrong_sets()].concat();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("objects.yaml");
    // One document each, told apart by its number.
    let documents = all.iter().map(|(kind, name, place, value, _)| {
        let object = changed(good(kind, name), place, value.clone());
        serde_json::to_string(&object).unwrap()
    });
    fs::write(&file, documents.collect::<Vec<_>>().join("\n---\n")).unwrap();
    let Some((_, output)) = rendered(&["--file", file.to_str().unwrap()]) else { return };
    let words = text(&output);
    let missing = all.iter().enumerate().filter(|(index, (_, _, _, _, says))| {
        let begins = format!("document {}: ", index + 1);
        !words.lines().any(|line| line.contains(&begins) && line.contains(says))
    });
    let missing: Vec<_> = missing.map(|(index, wrong)| format!("document {}: {wrong:?}", index + 1)).collect();
    assert!(missing.is_empty(), "not found:\n{}\nfound:\n{words}", missing.join("\n"));
}
