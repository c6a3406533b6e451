//! What the objects of a case must be to each other: references that lead somewhere, numbers that fit, quotas that hold a run.

use crate::pod::{list, text};
use crate::rendered::Case;
use crate::rules::{containers, jobs, templates};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What `docs/kubernetes.md` and `components/cert-manager` make.
const SECRETS: [&str; 3] = ["conrec-coordinator-tls", "conrec-worker-tls", "conrec-operator-token"];
/// What the namespace has once, or the first run of several has made.
const SHARED: [&str; 4] = ["conrec-coordinator", "conrec-worker", "conrec-submitter", "default"];
/// The namespace that `components/cert-manager` is written for.
const NAMESPACE: &str = "conrec";
const QUEUE: &str = "kueue.x-k8s.io/queue-name";
const GROUP: &str = "scheduling.k8s.io/group-name";

/// One message for each rule that a case breaks; `queue` is the sample's quota by resource, in thousandths.
pub fn broken(case: &Case, queue: &BTreeMap<String, u128>) -> Vec<String> {
    let mut found = twice(case);
    for object in &case.objects {
        found.extend(match object["kind"].as_str() {
            Some("Service" | "NetworkPolicy" | "PodMonitor") => ports(object, case),
            Some("PodDisruptionBudget") => budget(object, case),
            Some("PodGroup") => group(object, case),
            Some("Certificate") => certificate(object, case),
            Some("Job" | "JobSet" | "CronJob") => too_large(object, queue),
            _ => Vec::new(),
        });
        found.extend(templates(object).iter().flat_map(|(_, template)| references(template, case)));
    }
    found.into_iter().map(|message| format!("{}: {message}", case.name)).collect()
}

fn of_kind<'a>(case: &'a Case, kind: &'static str) -> impl Iterator<Item = &'a Value> {
    case.objects.iter().filter(move |object| object["kind"] == kind)
}

fn twice(case: &Case) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let name = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]);
    let doubles = case.objects.iter().map(name).filter(|name| !seen.insert(name.clone()));
    doubles.map(|name| format!("{name} stands twice")).collect()
}

/// Templates of pods of a case that these labels select.
fn selected<'a>(case: &'a Case, wanted: &Map<String, Value>) -> Vec<&'a Value> {
    let meets = |template: &Value| wanted.iter().all(|(key, value)| template["metadata"]["labels"][key] == *value);
    let all = case.objects.iter().flat_map(templates).map(|(_, template)| template);
    all.filter(|template| meets(template)).collect()
}

fn labels_of(selector: &Value) -> Map<String, Value> {
    selector.as_object().cloned().unwrap_or_default()
}

/// Accounts, Secrets, claims and groups that pods name.
fn references(template: &Value, case: &Case) -> Vec<String> {
    let (pod, mut found) = (&template["spec"], Vec::new());
    let account = pod["serviceAccountName"].as_str().unwrap_or("default");
    if case.object("ServiceAccount", account).is_none() && !SHARED.contains(&account) {
        found.push(format!("there is no ServiceAccount {account}"));
    }
    // Whoever submits asks the API; nobody else does.
    if pod["automountServiceAccountToken"] != (account == "conrec-submitter") {
        found.push(format!("a pod of {account} gets a token of the cluster, or has none and submits"));
    }
    for volume in list(&pod["volumes"]) {
        let secret = volume["secret"]["secretName"].as_str();
        found.extend(
            secret.filter(|name| !SECRETS.contains(name)).map(|name| format!("nobody makes the Secret {name}")),
        );
    }
    if let Some(group) = template["metadata"]["annotations"][GROUP].as_str() {
        if case.object("PodGroup", group).is_none() {
            found.push(format!("there is no PodGroup {group}"));
        }
        if pod["schedulerName"] != "volcano" {
            found.push(format!("pods of group {group} are not scheduled by Volcano"));
        }
    }
    found
}

/// Ports that are named are there in every pod that is meant.
fn ports(object: &Value, case: &Case) -> Vec<String> {
    let spec = &object["spec"];
    let (wanted, named): (_, Vec<&Value>) = match object["kind"].as_str() {
        Some("Service") => (&spec["selector"], list(&spec["ports"]).iter().map(|port| &port["targetPort"]).collect()),
        Some("PodMonitor") => (
            &spec["selector"]["matchLabels"],
            list(&spec["podMetricsEndpoints"]).iter().map(|endpoint| &endpoint["port"]).collect(),
        ),
        _ => {
            let rules = list(&spec["ingress"]).iter().flat_map(|rule| list(&rule["ports"]));
            (&spec["podSelector"]["matchLabels"], rules.map(|port| &port["port"]).collect())
        }
    };
    let mut found = Vec::new();
    for template in selected(case, &labels_of(wanted)) {
        let there: Vec<&Value> =
            containers(template).flat_map(|container| list(&container["ports"])).map(|port| &port["name"]).collect();
        let missing = named.iter().filter(|name| name.is_string() && !there.contains(name));
        let by = |name: &&&Value| format!("{} {} names the port {name}", object["kind"], object["metadata"]["name"]);
        found.extend(missing.map(|name| format!("{}, which a pod has not", by(&name))));
    }
    found
}

/// One budget a pod, as two would block every eviction; one worker at a time; not for those that are not ready.
fn budget(object: &Value, case: &Case) -> Vec<String> {
    let (spec, mut found) = (&object["spec"], Vec::new());
    let name = &object["metadata"]["name"];
    for template in selected(case, &labels_of(&spec["selector"]["matchLabels"])) {
        let others = of_kind(case, "PodDisruptionBudget").filter(|other| {
            let wanted = labels_of(&other["spec"]["selector"]["matchLabels"]);
            wanted.iter().all(|(key, value)| template["metadata"]["labels"][key] == *value)
        });
        if others.count() > 1 {
            found.push(format!("two budgets for one pod, {name} and another: no eviction would be granted"));
        }
        let count = case.objects.iter().flat_map(jobs).find(|(_, spec)| std::ptr::eq(&spec["template"], template));
        let pods = count.and_then(|(_, spec)| spec["completions"].as_u64()).unwrap_or(1);
        if spec["minAvailable"].as_u64().is_none_or(|least| least + 1 != pods) {
            found.push(format!(
                "{name}: minAvailable {} for {pods} pods; one less lets drains go on",
                spec["minAvailable"]
            ));
        }
    }
    if spec["unhealthyPodEvictionPolicy"] != "AlwaysAllow" {
        found.push(format!("{name}: pods that are not ready hold up drains: unhealthyPodEvictionPolicy AlwaysAllow"));
    }
    found
}

/// As many pods as the group waits for must come.
fn group(object: &Value, case: &Case) -> Vec<String> {
    let name = object["metadata"]["name"].as_str();
    let of_group = |spec: &&Value| spec["template"]["metadata"]["annotations"][GROUP].as_str() == name;
    let specs = case.objects.iter().flat_map(jobs).map(|(_, spec)| spec).filter(of_group);
    let pods: u64 = specs.map(|spec| spec["parallelism"].as_u64().unwrap_or(1)).sum();
    let least = object["spec"]["minMember"].as_u64().unwrap();
    let message = format!("PodGroup {name:?} waits for {least} pods, and {pods} come");
    if least > pods || least < 2 { vec![message] } else { Vec::new() }
}

/// The coordinator's certificate is for its Services' names, and each is mounted under the names that the programs look for.
fn certificate(object: &Value, case: &Case) -> Vec<String> {
    let (spec, mut found) = (&object["spec"], Vec::new());
    let secret = text(&spec["secretName"]);
    let issuer = text(&spec["issuerRef"]["name"]);
    if case.object("Issuer", issuer).is_none() {
        found.push(format!("there is no Issuer {issuer}"));
    }
    if secret == "conrec-coordinator-tls" {
        let services = of_kind(case, "Service").filter(|service| !list(&service["spec"]["ports"]).is_empty());
        for service in services {
            let name = format!("{}.{NAMESPACE}.svc", text(&service["metadata"]["name"]));
            let wild = format!("*.{NAMESPACE}.svc");
            let names = list(&spec["dnsNames"]);
            if !names.iter().any(|one| *one == name.as_str() || *one == wild.as_str()) {
                found.push(format!("certificate {secret} is not for {name}"));
            }
        }
    }
    let volumes = case.objects.iter().flat_map(templates).flat_map(|(_, template)| list(&template["spec"]["volumes"]));
    for volume in volumes.filter(|volume| volume["secret"]["secretName"] == secret) {
        let keys: Vec<_> =
            list(&volume["secret"]["items"]).iter().map(|item| (text(&item["key"]), text(&item["path"]))).collect();
        if keys != [("ca.crt", "ca.pem"), ("tls.crt", "cert.pem"), ("tls.key", "key.pem")] {
            found.push(format!("{secret} has cert-manager's keys, and pods look for others: {keys:?}"));
        }
    }
    found
}

/// A workload of Kueue that requests what the queue has not, or more than it has, waits for ever.
fn too_large(object: &Value, queue: &BTreeMap<String, u128>) -> Vec<String> {
    let of_cron = &object["spec"]["jobTemplate"]["metadata"]["labels"][QUEUE];
    // Other queues are somebody else's.
    if object["metadata"]["labels"][QUEUE] != "conrec" && *of_cron != "conrec" {
        return Vec::new();
    }
    let mut wanted: BTreeMap<&str, u128> = BTreeMap::new();
    for (_, spec) in jobs(object) {
        let pods = u128::from(spec["parallelism"].as_u64().unwrap_or(1));
        for container in containers(&spec["template"]) {
            for (resource, quantity) in container["resources"]["requests"].as_object().into_iter().flatten() {
                *wanted.entry(resource).or_default() += pods * thousandths(quantity);
            }
        }
    }
    let name = &object["metadata"]["name"];
    let over = wanted.iter().filter(|(resource, amount)| queue.get(**resource).is_none_or(|most| most < amount));
    over.map(|(resource, _)| format!("{name} requests more {resource} than the queue of the samples has")).collect()
}

/// The sample's quota by resource.
pub fn quota(cases: &[Case]) -> BTreeMap<String, u128> {
    let case = cases.iter().find(|case| case.name == "samples/kueue-queues.yaml").unwrap();
    let queue = of_kind(case, "ClusterQueue").next().unwrap();
    let groups = list(&queue["spec"]["resourceGroups"]).iter().flat_map(|group| list(&group["flavors"]));
    let resources = groups.flat_map(|flavor| list(&flavor["resources"]));
    resources.map(|one| (text(&one["name"]).to_owned(), thousandths(&one["nominalQuota"]))).collect()
}

fn thousandths(quantity: &Value) -> u128 {
    let words = quantity.as_str().map_or_else(|| quantity.to_string(), str::to_owned);
    let at = words.find(|c: char| !c.is_ascii_digit()).unwrap_or(words.len());
    let unit = match &words[at..] {
        "m" => 1,
        "" => 1000,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        other => panic!("{words}: no unit {other:?} here"),
    };
    words[..at].parse::<u128>().unwrap() * unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case;
    use serde_json::json;

    /// The case with one value changed.
    fn with(case: &Case, (kind, name): (&str, &str), place: &str, value: &Value) -> Case {
        let mut case = Case { name: case.name.clone(), objects: case.objects.clone() };
        let object =
            case.objects.iter_mut().find(|one| one["kind"] == kind && one["metadata"]["name"] == name).unwrap();
        let slot = object.pointer_mut(place).unwrap_or_else(|| panic!("{place}"));
        slot.clone_from(value);
        case
    }

    #[test]
    fn objects_that_do_not_fit_together_are_found() {
        let Some(run) = case("chart cert-manager") else { return };
        let (gang, set) = (case("chart volcano").unwrap(), case("chart monitoring").unwrap());
        let quota = quota(&[case("samples/kueue-queues.yaml").unwrap()]);
        let volumes = "/spec/template/spec/volumes";
        for (case, kind, name, place, value, says) in [
            (&run, "Job", "conrec-worker", "/spec/template/spec/serviceAccountName", json!("x"), "no ServiceAccount x"),
            (
                &run,
                "Job",
                "conrec-worker",
                "/spec/template/spec/automountServiceAccountToken",
                json!(true),
                "gets a token",
            ),
            (&run, "Job", "conrec-worker", &format!("{volumes}/0/secret/secretName"), json!("x"), "nobody makes"),
            (&run, "Job", "conrec-worker", &format!("{volumes}/0/secret/items/0/path"), json!("ca"), "look for others"),
            (
                &run,
                "Job",
                "conrec-coordinator",
                "/spec/template/spec/containers/0/ports/0/name",
                json!("x"),
                "names the port",
            ),
            (&run, "PodDisruptionBudget", "conrec-worker", "/spec/minAvailable", json!(2), "one less"),
            (
                &run,
                "PodDisruptionBudget",
                "conrec-worker",
                "/spec/unhealthyPodEvictionPolicy",
                json!("x"),
                "hold up drains",
            ),
            (&run, "Certificate", "conrec-coordinator", "/spec/dnsNames/0", json!("*.default.svc"), "is not for"),
            (&run, "Certificate", "conrec-worker", "/spec/issuerRef/name", json!("x"), "no Issuer x"),
            (&run, "Service", "conrec-worker", "/metadata/name", json!("conrec-coordinator"), "stands twice"),
            (&gang, "PodGroup", "conrec", "/spec/minMember", json!(4), "waits for 4 pods, and 3 come"),
            (&gang, "PodGroup", "conrec", "/metadata/name", json!("x"), "no PodGroup conrec"),
            (&gang, "Job", "conrec-worker", "/spec/template/spec/schedulerName", json!("x"), "not scheduled by"),
            (&set, "PodMonitor", "conrec", "/spec/podMetricsEndpoints/0/port", json!("x"), "names the port"),
            (&set, "NetworkPolicy", "conrec-metrics", "/spec/ingress/0/ports/0/port", json!("x"), "names the port"),
            (
                &set,
                "JobSet",
                "conrec",
                "/spec/replicatedJobs/1/template/spec/template/spec/containers/0/resources/requests",
                json!({"cpu": "100"}),
                "more cpu than",
            ),
            (
                &set,
                "JobSet",
                "conrec",
                "/spec/replicatedJobs/1/template/spec/template/spec/containers/0/resources/requests",
                json!({"ephemeral-storage": "1Gi"}),
                "more ephemeral-storage than",
            ),
        ] {
            let words = broken(&with(case, (kind, name), place, &value), &quota).join("\n");
            assert!(words.contains(says), "{kind} {name} {place} {value}: {words}");
        }
    }
}
