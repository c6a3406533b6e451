//! What the chart refuses: values that are none, by its schema; values and names that make no run together, by a sentence.

use crate::document::{is_installed, shell};
use conrec_tests::{root, text};
use std::fs;

/// What `helm template` says of a release with these values, when it refuses them.
fn refused(release: &str, values: &str) -> Option<String> {
    let output = shell(&format!("helm template {release} k8s/chart --set '{values}'"));
    (!output.status.success()).then(|| text(&output))
}

#[test]
fn the_chart_refuses_what_no_value_is() {
    if !is_installed() {
        return;
    }
    for bad in [
        "run.worker=3",
        "run.workers=0",
        "settings.AWS_SECRET_ACCESS_KEY=x",
        "settings.STORE=x",
        "settings.DATE=x",
        "store.url=ftp://x",
        "image.tag=a/b",
        "jobSet.enabled=2",
        "certManager.issuer=x",
        "volcano.queue=A",
        "rdma.resource=hca",
        "rdma.interface=eth0 eth1",
        "networkPolicy.storePorts={}",
        "networkPolicy.storePorts={70000}",
        "networkPolicy.metricsNamespace=a.b",
        "monitoring.interval=soon",
        "nightly.schedule=0 2 * *",
        "nightly.timeZone=",
        "nightly.date=tomorrow",
        "nightly.resources.limits.memory=null",
        "trustedNetwork=true",
        "queuePriority=-x",
    ] {
        let words = refused("x", bad).unwrap_or_default();
        assert!(words.contains("schema"), "{bad}: {words}");
    }
}

#[test]
fn values_that_make_no_run_together_are_refused_with_the_reason() {
    if !is_installed() {
        return;
    }
    let night = "nightly.enabled=true";
    for (values, reason) in [
        ("jobSet.enabled=true,volcano.enabled=true".to_owned(), "take one of them"),
        ("queue=a,volcano.enabled=true".to_owned(), "both decide"),
        ("queuePriority=a".to_owned(), "needs a queue"),
        ("rdma.enabled=true".to_owned(), "needs gpu.enabled"),
        ("rdma.enabled=true,gpu.enabled=true".to_owned(), "NCCL encrypts nothing"),
        ("certManager.enabled=true,trustedNetwork.enabled=true".to_owned(), "without TLS"),
        (format!("{night},jobSet.enabled=true"), "leave the other switches out"),
        (format!("{night},networkPolicy.enabled=true"), "leave the other switches out"),
        (format!("{night},monitoring.enabled=true"), "leave the other switches out"),
    ] {
        let words = refused("x", &values).unwrap_or_default();
        assert!(words.contains(reason), "{values}: {words}");
    }
}

#[test]
fn releases_whose_names_kubernetes_would_refuse_are_refused() {
    if !is_installed() {
        return;
    }
    let run = "run.id=r,run.workers=1024";
    let set = "run.id=r,run.workers=1024,jobSet.enabled=true";
    let night = "nightly.enabled=true";
    for (values, longest) in [(run, 51), (set, 41), (night, 52)] {
        assert_eq!(refused(&"a".repeat(longest), values), None, "{values}");
        let words = refused(&"a".repeat(longest + 1), values).unwrap_or_default();
        assert!(words.contains(&format!("leave room for {longest}")), "{values}: {words}");
    }
    // The release's name is the run's, unless that has one.
    let words = refused(&"a".repeat(41), "run.workers=1024").unwrap_or_default();
    assert!(words.contains("set run.id"), "{words}");
    for bad in ["1st", "a.b"] {
        let words = refused(bad, run).unwrap_or_default();
        assert!(words.contains("a letter first"), "{bad}: {words}");
    }
}

/// A value that no schema knows could be misspelt; one that no file explains could not be found.
#[test]
fn every_value_of_the_schema_is_explained() {
    let schema: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(root().join("k8s/chart/values.schema.json")).unwrap()).unwrap();
    let values = fs::read_to_string(root().join("k8s/chart/values.yaml")).unwrap();
    let known = schema["properties"].as_object().unwrap();
    let missing: Vec<_> = known
        .keys()
        .filter(|key| *key != "global" && !values.lines().any(|line| line.starts_with(&format!("{key}:"))))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
