//! The chart and kustomize make the same objects: each set of values in `k8s/chart/ci/` names the case that it is held
//! against.

use crate::rendered::Case;
use conrec_tests::root;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

/// How a set of values names its other half, in its first line.
const SAME: &str = "# The same objects as: ";

/// One message for each difference, and how many cases were compared.
pub fn differences(cases: &[Case]) -> (Vec<String>, usize) {
    let (mut found, mut compared) = (Vec::new(), 0);
    for entry in fs::read_dir(root().join("k8s/chart/ci")).unwrap() {
        let path = entry.unwrap().path();
        let values = fs::read_to_string(&path).unwrap();
        let Some(other) = values.lines().next().and_then(|line| line.strip_prefix(SAME)) else { continue };
        let name = path.file_name().unwrap().to_string_lossy().replace("-values.yaml", "");
        let case = |name: &str| cases.iter().find(|case| case.name == name);
        let chart = case(&format!("chart {name}")).unwrap();
        let Some(kustomize) = case(other) else {
            found.push(format!("{name}: there is no case `{other}`"));
            continue;
        };
        compared += 1;
        found.extend(between(chart, kustomize));
    }
    (found, compared)
}

/// One message for each difference of two cases.
pub fn between(one: &Case, other: &Case) -> Vec<String> {
    let mut found = Vec::new();
    let (left, right) = (by_name(one), by_name(other));
    for key in left.keys().chain(right.keys().filter(|key| !left.contains_key(*key))) {
        compare(&format!("{}: {key}", one.name), left.get(key), right.get(key), &mut found);
    }
    found
}

/// Objects by kind and name, without what only Helm reads.
fn by_name(case: &Case) -> BTreeMap<String, Value> {
    let named = |object: &Value| {
        let mut object = object.clone();
        let metadata = object["metadata"].as_object_mut().unwrap();
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|key, _| !key.starts_with("helm.sh/"));
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
        (format!("{} {}", object["kind"], object["metadata"]["name"]), object)
    };
    case.objects.iter().map(named).collect()
}

fn compare(place: &str, left: Option<&Value>, right: Option<&Value>, found: &mut Vec<String>) {
    match (left, right) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            for key in left.keys().chain(right.keys().filter(|key| !left.contains_key(*key))) {
                compare(&format!("{place}.{key}"), left.get(key), right.get(key), found);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) if left.len() == right.len() => {
            // Named things of one pod may stand in any order; arguments and rules may not.
            let (left, right) = (ordered(left), ordered(right));
            for (index, (left, right)) in left.iter().zip(&right).enumerate() {
                compare(&format!("{place}[{index}]"), Some(left), Some(right), found);
            }
        }
        (left, right) if left == right => {}
        (left, right) => found.push(format!("{place}: one has {left:?}, the other {right:?}")),
    }
}

/// Variables keep their order, as one may use those before it; mounts and volumes are sorted.
fn ordered(list: &[Value]) -> Vec<Value> {
    let mut list = list.to_vec();
    let is = |key: &str| list.iter().all(|one| one.get(key).is_some());
    if is("mountPath") {
        list.sort_by_key(|one| one["mountPath"].to_string());
    } else if is("name") && !is("value") && !is("image") && list.iter().all(|one| one.get("valueFrom").is_none()) {
        list.sort_by_key(|one| one["name"].to_string());
    }
    list
}

#[test]
fn a_difference_is_told_with_its_place() {
    let (chart, kustomize) =
        (serde_json::json!({"a": [{"b": 1}], "c": 2}), serde_json::json!({"a": [{"b": 2}], "d": 3}));
    let mut found = Vec::new();
    compare("x", Some(&chart), Some(&kustomize), &mut found);
    let places: Vec<&str> = found.iter().filter_map(|difference| difference.split(": ").next()).collect();
    assert_eq!(places, ["x.a[0].b", "x.c", "x.d"], "{found:?}");
}
