//! What every rendered object must keep, beyond the schemas of Kubernetes.

use crate::pod::{list, text};
use crate::rendered::Case;
use serde_json::Value;
use std::collections::BTreeSet;

/// One message for each rule that an object of a case breaks.
pub fn broken(case: &Case) -> Vec<String> {
    let mut found = Vec::new();
    for object in &case.objects {
        let name = format!("{} {}", object["kind"], object["metadata"]["name"]);
        let mut tell = |message: String| found.push(format!("{}: {name}: {message}", case.name));
        for (label, template) in templates(object) {
            restricted(template)
                .into_iter()
                .chain(sound(template, case))
                .for_each(|why| tell(format!("{label}: {why}")));
        }
        if object["kind"] == "Secret" && object["type"] != "kubernetes.io/service-account-token" {
            tell("Secrets are made by people, not by manifests".to_owned());
        }
        if let Some(why) = static_key(object) {
            tell(why);
        }
        if object["kind"] == "PodDisruptionBudget"
            && (!object["spec"]["minAvailable"].is_u64() || !object["spec"]["maxUnavailable"].is_null())
        {
            tell("needs a number as minAvailable: anything else blocks every eviction of a Job's pods".to_owned());
        }
        for (label, spec) in jobs(object) {
            job(&label, spec).into_iter().for_each(|why| tell(format!("{label}: {why}")));
        }
    }
    found.extend(selectors(case));
    let tags = tags_of(case);
    if tags.len() > 1 {
        found.push(format!("{}: images of several versions: {tags:?}", case.name));
    }
    found
}

/// Name and spec of all Jobs that an object is or leads to.
pub fn jobs(object: &Value) -> Vec<(String, &Value)> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let of_jobs = |path: &str| {
        let jobs = list(object.pointer(path).unwrap_or(&Value::Null)).iter();
        jobs.map(|job| (format!("{name}-{}", text(&job["name"])), &job["template"]["spec"])).collect()
    };
    match object["kind"].as_str() {
        Some("Job") => vec![(name.to_owned(), &object["spec"])],
        Some("CronJob") => vec![(name.to_owned(), &object["spec"]["jobTemplate"]["spec"])],
        Some("JobSet") => of_jobs("/spec/replicatedJobs"),
        Some("ClusterTrainingRuntime") => of_jobs("/spec/template/spec/replicatedJobs"),
        _ => Vec::new(),
    }
}

/// Name and template of all pods that an object leads to.
pub fn templates(object: &Value) -> Vec<(String, &Value)> {
    jobs(object).into_iter().map(|(name, spec)| (name, &spec["template"])).collect()
}

pub fn containers(template: &Value) -> impl Iterator<Item = &Value> {
    list(&template["spec"]["initContainers"]).iter().chain(list(&template["spec"]["containers"]))
}

/// The profile `restricted` of the Pod Security Standards, and a root file system that nobody writes.
fn restricted(template: &Value) -> Vec<String> {
    let (pod, mut found) = (&template["spec"], Vec::new());
    let mut must = |holds: bool, what: &str| {
        if !holds {
            found.push(what.to_owned());
        }
    };
    must(pod["securityContext"]["runAsNonRoot"] == true, "runAsNonRoot is not true");
    must(pod["securityContext"]["runAsUser"].as_u64().is_some_and(|user| user > 0), "runAsUser is root or not said");
    must(pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", "no seccomp profile RuntimeDefault");
    for forbidden in ["hostNetwork", "hostPID", "hostIPC"] {
        must(pod[forbidden] != true, forbidden);
    }
    let kinds =
        ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];
    for volume in list(&pod["volumes"]) {
        let known = volume.as_object().unwrap().keys().all(|key| key == "name" || kinds.contains(&key.as_str()));
        must(known, &format!("a volume of a kind that is not allowed: {volume}"));
    }
    for container in containers(template) {
        let (name, own) = (text(&container["name"]), &container["securityContext"]);
        must(own["allowPrivilegeEscalation"] == false, &format!("{name} may gain privileges"));
        must(own["readOnlyRootFilesystem"] == true, &format!("{name} may write its root file system"));
        must(own["capabilities"] == serde_json::json!({"drop": ["ALL"]}), &format!("{name} keeps capabilities"));
        let ports = list(&container["ports"]).iter();
        must(ports.clone().all(|port| port["hostPort"].is_null()), &format!("{name} takes a port of the host"));
    }
    found
}

/// Mounts have volumes, variables have values, ConfigMaps are there, memory is bounded.
fn sound(template: &Value, case: &Case) -> Vec<String> {
    let (pod, mut found) = (&template["spec"], Vec::new());
    let volumes: BTreeSet<&str> = list(&pod["volumes"]).iter().map(|volume| text(&volume["name"])).collect();
    let maps = list(&pod["volumes"]).iter().filter_map(|volume| volume["configMap"]["name"].as_str());
    let sources = containers(template).flat_map(|container| list(&container["envFrom"]));
    let maps: Vec<&str> = maps.chain(sources.filter_map(|source| source["configMapRef"]["name"].as_str())).collect();
    // Samples for other tools lean on what an overlay has made.
    if case.objects.iter().any(|object| object["kind"] == "ConfigMap") {
        // The template of a night's pods is made by hand, as the Secrets are (docs/kubernetes.md).
        let by_hand = |map: &str| map == "conrec-nightly-template";
        let missing = maps.iter().filter(|map| case.object("ConfigMap", map).is_none() && !by_hand(map));
        found.extend(missing.map(|map| format!("there is no ConfigMap {map}")));
    }
    for secret in list(&pod["volumes"]).iter().filter(|volume| volume["secret"].is_object()) {
        if secret["secret"]["defaultMode"] != 0o440 {
            found.push(format!("{}: a key that everybody may read is refused: defaultMode 0440", secret["name"]));
        }
    }
    for container in containers(template) {
        let name = text(&container["name"]);
        let mounts = list(&container["volumeMounts"]).iter().map(|mount| text(&mount["name"]));
        found.extend(mounts.filter(|mount| !volumes.contains(mount)).map(|mount| format!("{name}: no volume {mount}")));
        if container["resources"]["limits"]["memory"].is_null() || container["resources"]["requests"]["cpu"].is_null() {
            found.push(format!("{name}: no limit of memory or no request of cores"));
        }
        if !text(&container["image"]).contains(':') {
            found.push(format!("{name}: the image has no tag"));
        }
    }
    found
}

/// Tags of our images in a case, each once.
pub fn tags_of(case: &Case) -> Vec<String> {
    let tags = case.objects.iter().flat_map(templates).flat_map(|(_, template)| tags(template));
    tags.collect::<BTreeSet<_>>().into_iter().collect()
}

fn tags(template: &Value) -> Vec<String> {
    let images = containers(template).map(|container| text(&container["image"]));
    let ours = images.filter(|image| image.rsplit('/').next().is_some_and(|name| name.starts_with("conrec")));
    ours.filter_map(|image| image.rsplit_once(':')).map(|(_, tag)| tag.to_owned()).collect()
}

/// Stops and failures reach the Job as they should.
fn job(name: &str, spec: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if (name.ends_with("-worker") || name.ends_with("-node"))
        && (spec["completionMode"] != "Indexed" || spec["completions"] != spec["parallelism"])
    {
        found.push("only an Indexed Job with completions = parallelism can grow and shrink".to_owned());
    }
    let rules = list(&spec["podFailurePolicy"]["rules"]);
    let acts = |action: &str, code: u64| {
        rules.iter().any(|rule| rule["action"] == action && list(&rule["onExitCodes"]["values"]).contains(&code.into()))
    };
    if !acts("Ignore", 75) || ![64, 65, 78].into_iter().all(|code| acts("FailJob", code)) {
        found.push("exit codes: 75 is to be ignored, 64, 65 and 78 end the Job".to_owned());
    }
    let disruption =
        |rule: &Value| rule["onPodConditions"][0]["type"] == "DisruptionTarget" && rule["action"] == "Ignore";
    if !rules.first().is_some_and(disruption) {
        found.push("a disruption must be ignored, before exit codes are looked at".to_owned());
    }
    if spec["podReplacementPolicy"] != "Failed" {
        found.push("podReplacementPolicy: a second pod beside one that still ends".to_owned());
    }
    found
}

/// Every selector of Services, budgets and policies meets pods of the same case.
fn selectors(case: &Case) -> Vec<String> {
    let labels: Vec<&Value> =
        case.objects.iter().flat_map(templates).map(|(_, template)| &template["metadata"]["labels"]).collect();
    let mut found = Vec::new();
    for object in &case.objects {
        let selector = match object["kind"].as_str() {
            Some("Service") => &object["spec"]["selector"],
            Some("PodDisruptionBudget" | "PodMonitor") => &object["spec"]["selector"]["matchLabels"],
            Some("NetworkPolicy") => &object["spec"]["podSelector"]["matchLabels"],
            _ => continue,
        };
        let Some(wanted) = selector.as_object() else {
            found.push(format!("{}: {} selects all pods of the namespace", case.name, object["metadata"]["name"]));
            continue;
        };
        let meets = |labels: &&&Value| wanted.iter().all(|(key, value)| labels[key] == *value);
        if labels.iter().find(meets).is_none() {
            found.push(format!("{}: {} {} selects nothing", case.name, object["kind"], object["metadata"]["name"]));
        }
        if !wanted.contains_key("app.kubernetes.io/instance") {
            found.push(format!("{}: {} does not tell runs apart", case.name, object["metadata"]["name"]));
        }
    }
    found
}

/// The name of a variable whose value is a cloud's secret.
fn static_key(object: &Value) -> Option<String> {
    let secret = [
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SESSION_TOKEN",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_CLIENT_SECRET",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
    ];
    let words = object.to_string();
    secret.into_iter().find(|name| words.contains(&format!("\"{name}\""))).map(|name| format!("holds {name}"))
}
