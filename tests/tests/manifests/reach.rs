//! Whom the NetworkPolicies of a case let through: pods that a policy selects take only what a policy lets in, and reach only
//! what a policy lets out. What a run needs must go, what nobody needs must not.

use crate::pod::list;
use crate::rendered::Case;
use crate::rules::templates;
use serde_json::Value;

/// Who asks whom: pods of the run by their component, or something outside.
#[derive(Clone, Copy, Debug)]
enum End<'a> {
    Pod(&'a Value),
    Namespace(&'static str),
    Address(&'static str),
}

/// Whether a peer of a rule is this end.
fn is(peer: &Value, end: End<'_>) -> bool {
    let labels = |selector: &Value, of: &dyn Fn(&str) -> Option<Value>| {
        let wanted = selector["matchLabels"].as_object();
        wanted.is_none_or(|wanted| wanted.iter().all(|(key, value)| of(key).as_ref() == Some(value)))
    };
    match end {
        End::Pod(template) => {
            peer["namespaceSelector"].is_null()
                && peer["podSelector"].is_object()
                && labels(&peer["podSelector"], &|key| template["metadata"]["labels"].get(key).cloned())
        }
        End::Namespace(name) => {
            peer["namespaceSelector"].is_object()
                && labels(&peer["namespaceSelector"], &|key| {
                    (key == "kubernetes.io/metadata.name").then(|| name.into())
                })
        }
        // Link-local addresses are all that the manifests name.
        End::Address(address) => peer["ipBlock"]["cidr"] == "169.254.0.0/16" && address.starts_with("169.254."),
    }
}

/// Whether the policies of a case let `pod` be reached from, or reach, the other end at this port (name or number).
fn lets(case: &Case, pod: &Value, direction: &str, other: End<'_>, (protocol, port): (&str, &Value)) -> bool {
    let meets = |policy: &&Value| {
        let wanted = policy["spec"]["podSelector"]["matchLabels"].as_object().unwrap();
        let types = list(&policy["spec"]["policyTypes"]);
        types.iter().any(|kind| *kind == direction)
            && wanted.iter().all(|(key, value)| pod["metadata"]["labels"][key] == *value)
    };
    let policies: Vec<&Value> =
        case.objects.iter().filter(|object| object["kind"] == "NetworkPolicy").filter(meets).collect();
    let peers = if direction == "Ingress" { "from" } else { "to" };
    let allows = |rule: &Value| {
        let whom = rule[peers].is_null() || list(&rule[peers]).iter().any(|peer| is(peer, other));
        let fits = |one: &Value| one["protocol"] == protocol && one["port"] == *port;
        whom && (rule["ports"].is_null() || list(&rule["ports"]).iter().any(fits))
    };
    let rules = |policy: &&Value| list(&policy["spec"][direction.to_lowercase()]).iter().any(allows);
    policies.is_empty() || policies.iter().any(rules)
}

/// One message for each way that a run needs and has not, or that it has and nobody should.
pub fn broken(case: &Case) -> Vec<String> {
    let pods: Vec<&Value> = case.objects.iter().flat_map(templates).map(|(_, template)| template).collect();
    let of = |component: &str| {
        pods.iter().copied().find(|pod| pod["metadata"]["labels"]["app.kubernetes.io/component"] == component)
    };
    let (Some(coordinator), Some(worker)) = (of("coordinator"), of("worker")) else { return Vec::new() };
    let is_closed = case.objects.iter().any(|object| object["kind"] == "NetworkPolicy");
    let (grpc, any, tcp) = (Value::from("grpc"), Value::from(40_000), "TCP");
    let (names, store, plain) = (Value::from(53), Value::from(443), Value::from(80));
    let metrics = Value::from("metrics");
    let both = |from: &Value, to: &Value, port: &Value| {
        lets(case, from, "Egress", End::Pod(to), (tcp, port)) && lets(case, to, "Ingress", End::Pod(from), (tcp, port))
    };
    let out = |pod: &Value, end, protocol: &str, port: &Value| lets(case, pod, "Egress", end, (protocol, port));
    let scraped = |pod: &Value, namespace| lets(case, pod, "Ingress", End::Namespace(namespace), (tcp, &metrics));
    let link_local = End::Address("169.254.169.254");
    let watched = case.objects.iter().find(|object| object["kind"] == "PodMonitor").map(|_| "monitoring");
    let mut ways = vec![
        ("a worker reaches its coordinator", both(worker, coordinator, &grpc), true),
        ("workers reach each other at any port", both(worker, worker, &any), true),
        ("the coordinator reaches workers", both(coordinator, worker, &any), !is_closed),
    ];
    for pod in [coordinator, worker] {
        ways.extend([
            ("a pod asks for names", out(pod, End::Namespace("kube-system"), "UDP", &names), true),
            ("a pod asks a cache of names on its node", out(pod, link_local, "UDP", &names), true),
            ("a pod reaches the store", out(pod, End::Namespace("elsewhere"), tcp, &store), true),
            ("a pod gets rights from its cloud", out(pod, link_local, tcp, &plain), true),
            ("a pod reaches anything", out(pod, End::Namespace("elsewhere"), tcp, &any), !is_closed),
            ("any namespace reads the figures", scraped(pod, "elsewhere"), !is_closed),
        ]);
        if let Some(namespace) = watched.filter(|_| !case.name.contains("everything")) {
            ways.push(("Prometheus reads the figures", scraped(pod, namespace), true));
        }
    }
    let wrong = ways.into_iter().filter(|(_, goes, should)| goes != should);
    wrong.map(|(way, goes, _)| format!("{}: {way}: {}", case.name, if goes { "yes" } else { "no" })).collect()
}

#[test]
fn a_way_that_is_closed_or_open_by_mistake_is_found() {
    let Some(good) = crate::case("chart monitoring") else { return };
    assert_eq!(broken(&good), Vec::<String>::new());
    let changed = |kind: &str, name: &str, place: &str, value: Value| {
        let mut case = Case { name: good.name.clone(), objects: good.objects.clone() };
        let object =
            case.objects.iter_mut().find(|one| one["kind"] == kind && one["metadata"]["name"] == name).unwrap();
        *object.pointer_mut(place).unwrap_or_else(|| panic!("{place}")) = value;
        broken(&case).join("\n")
    };
    let policy = "NetworkPolicy";
    for (name, place, value, says) in [
        ("conrec-coordinator", "/spec/ingress/0/ports/0/port", "health".into(), "a worker reaches its coordinator: no"),
        ("conrec-worker", "/spec/ingress", Value::Array(Vec::new()), "workers reach each other at any port: no"),
        ("conrec-worker", "/spec/egress/2/ports/0/port", 5353.into(), "a pod asks for names: no"),
        ("conrec-worker", "/spec/egress/3/ports/0/port", 9000.into(), "a pod reaches the store: no"),
        ("conrec-worker", "/spec/egress/3/ports", Value::Null, "a pod reaches anything: yes"),
        ("conrec-metrics", "/spec/ingress/0/from/0/namespaceSelector", serde_json::json!({}), "any namespace reads"),
        ("conrec-metrics", "/spec/ingress", Value::Array(Vec::new()), "Prometheus reads the figures: no"),
    ] {
        let words = changed(policy, name, place, value);
        assert!(words.contains(says), "{name} {place}: {words}");
    }
    // What components/monitoring once was: the policy for figures alone shuts workers out.
    let mut alone = Case { name: good.name.clone(), objects: good.objects.clone() };
    alone.objects.retain(|one| one["kind"] != policy || one["metadata"]["name"] == "conrec-metrics");
    assert!(broken(&alone).join("\n").contains("a worker reaches its coordinator: no"));
}
