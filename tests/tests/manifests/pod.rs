//! One container of a rendered Job as a command of this machine: its variables, its arguments with `$(NAME)` filled in, its
//! volumes as folders.

use serde_json::Value;
use std::collections::BTreeMap;

/// A container's environment and command line, as the kubelet would make them.
pub struct Container {
    pub name: String,
    pub environment: BTreeMap<String, String>,
    pub words: Vec<String>,
    /// Path in the container and name of the volume.
    pub mounts: Vec<(String, String)>,
}

/// What a cluster knows of a pod.
pub struct Facts<'a> {
    pub job: &'a str,
    pub pod: &'a str,
    pub namespace: &'a str,
    pub address: &'a str,
    /// Data of the ConfigMaps by name.
    pub config_maps: &'a BTreeMap<String, BTreeMap<String, String>>,
}

impl Container {
    /// The first container of a pod's template.
    pub fn of(template: &Value, facts: &Facts<'_>) -> Self {
        let container = &template["spec"]["containers"][0];
        let mut environment = BTreeMap::new();
        for source in list(&container["envFrom"]) {
            environment.extend(facts.config_maps[text(&source["configMapRef"]["name"])].clone());
        }
        for variable in list(&container["env"]) {
            let value = match variable["value"].as_str() {
                Some(value) => filled(value, &environment),
                None => fact(&variable["valueFrom"], container, facts),
            };
            environment.insert(text(&variable["name"]).to_owned(), value);
        }
        let words = list(&container["command"]).iter().chain(list(&container["args"]));
        let words = words.map(|word| filled(text(word), &environment)).collect();
        let mount = |mount: &Value| (text(&mount["mountPath"]).to_owned(), text(&mount["name"]).to_owned());
        let mounts = list(&container["volumeMounts"]).iter().map(mount).collect();
        Self { name: text(&container["name"]).to_owned(), environment, words, mounts }
    }
}

/// Variables in a text. One that nobody sets would reach the program as it stands.
pub fn filled(value: &str, environment: &BTreeMap<String, String>) -> String {
    let mut parts = value.split("$(");
    let mut all = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(')').unwrap();
        let found = environment.get(name);
        assert!(found.is_some(), "{value}: nobody sets {name}");
        all.extend([found.unwrap(), rest]);
    }
    all
}

fn fact(source: &Value, container: &Value, facts: &Facts<'_>) -> String {
    if let Some(path) = source["fieldRef"]["fieldPath"].as_str() {
        return match path {
            "status.podIP" => facts.address,
            "metadata.name" => facts.pod,
            "metadata.labels['batch.kubernetes.io/job-name']" => facts.job,
            "metadata.namespace" => facts.namespace,
            other => panic!("no pod here knows {other}"),
        }
        .to_owned();
    }
    let resource = text(&source["resourceFieldRef"]["resource"]);
    let (group, name) = resource.split_once('.').unwrap();
    let quantity = text(&container["resources"][group][name]);
    // Rounded up, as the kubelet does.
    match quantity.strip_suffix('m') {
        Some(thousandths) => thousandths.parse::<u32>().unwrap().div_ceil(1000).to_string(),
        None => quantity.to_owned(),
    }
}

/// The elements of a list, none where there is none.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text that has to be there.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}
