//! What the server keeps, and its rules: versions that grow, names that are taken, fields that cannot be changed.

use super::Answer;
use super::http::Request;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Namespace, plural, name.
type Key = (String, String, String);

#[derive(Default)]
pub(super) struct Objects {
    kept: BTreeMap<Key, Value>,
    version: u64,
    /// Version, plural and namespace, event.
    events: Vec<(u64, Key, Value)>,
    compacted: u64,
    /// Jobs that are deleted stay for so long, as their pods take their time.
    pub(super) linger: Duration,
    /// What goes, and when.
    dying: Vec<(Key, Instant)>,
}

/// The server's no.
pub(super) fn refusal(code: u16, reason: &str, message: &str) -> Answer {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message,
    });
    (code, status)
}

impl Objects {
    pub(super) fn get(&self, namespace: &str, plural: &str, name: &str) -> Option<&Value> {
        self.kept.get(&(namespace.to_owned(), plural.to_owned(), name.to_owned()))
    }

    pub(super) fn names(&self, namespace: &str, plural: &str) -> Vec<String> {
        let of_kind = self.kept.keys().filter(|key| key.0 == namespace && key.1 == plural);
        of_kind.map(|key| key.2.clone()).collect()
    }

    pub(super) fn compact(&mut self) {
        self.version += 1;
        self.compacted = self.version;
    }

    /// Puts `object` under its name, with a new version, and tells watches.
    pub(super) fn put(&mut self, namespace: &str, plural: &str, mut object: Value) -> Value {
        self.version += 1;
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let key = (namespace.to_owned(), plural.to_owned(), name);
        let metadata = &mut object["metadata"];
        metadata["namespace"] = json!(namespace);
        metadata["resourceVersion"] = json!(self.version.to_string());
        if metadata["uid"].is_null() {
            metadata["uid"] = json!(format!("uid-{}", self.version));
            metadata["creationTimestamp"] = json!(format!("2026-11-02T10:00:{:02}Z", self.version % 60));
        }
        let kind = if self.kept.contains_key(&key) { "MODIFIED" } else { "ADDED" };
        self.events.push((self.version, key.clone(), json!({"type": kind, "object": object})));
        self.kept.insert(key, object.clone());
        object
    }

    pub(super) fn delete(&mut self, namespace: &str, plural: &str, name: &str) {
        self.remove(&(namespace.to_owned(), plural.to_owned(), name.to_owned()));
    }

    /// Removes an object and, as the garbage collector does, all that it owns.
    fn remove(&mut self, key: &Key) -> Option<Value> {
        let object = self.kept.remove(key)?;
        self.version += 1;
        self.events.push((self.version, key.clone(), json!({"type": "DELETED", "object": object})));
        let uid = object["metadata"]["uid"].clone();
        let owned = |object: &Value| {
            let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
            owners.is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == uid))
        };
        let dependents: Vec<_> =
            self.kept.iter().filter(|(_, object)| owned(object)).map(|(key, _)| key.clone()).collect();
        for key in dependents {
            self.remove(&key);
        }
        Some(object)
    }

    /// Events after `version` of what `request` watches, and the newest version; one error where it is too old.
    pub(super) fn events_after(&self, version: u64, request: &Request) -> (Vec<Value>, u64) {
        if version < self.compacted {
            let (_, status) = refusal(410, "Expired", "too old resource version");
            return (vec![json!({"type": "ERROR", "object": status})], self.version);
        }
        let Some(place) = Place::of(request) else { return (Vec::new(), self.version) };
        let events = self.events.iter().filter(|(at, key, event)| {
            *at > version && key.0 == place.namespace && key.1 == place.plural && selected(&event["object"], request)
        });
        (events.map(|(_, _, event)| event.clone()).collect(), self.version)
    }

    /// Answers everything but watches and logs.
    pub(super) fn answer(&mut self, request: &Request) -> Answer {
        for key in self.due() {
            self.remove(&key);
        }
        let Some(place) = Place::of(request) else { return refusal(404, "NotFound", "no such path") };
        let key = |name: &str| (place.namespace.clone(), place.plural.clone(), name.to_owned());
        let missing = || refusal(404, "NotFound", &format!("{} not found", request.target));
        match (request.method.as_str(), place.name.as_deref()) {
            ("POST", None) => {
                let name = request.body["metadata"]["name"].as_str().unwrap_or_default();
                if self.kept.contains_key(&key(name)) {
                    return refusal(409, "AlreadyExists", &format!("{} {name:?} already exists", place.plural));
                }
                (201, self.put(&place.namespace, &place.plural, request.body.clone()))
            }
            ("GET", None) => (200, self.list(&place, request)),
            ("GET", Some(name)) => self.kept.get(&key(name)).map_or_else(missing, |object| (200, object.clone())),
            ("DELETE", Some(name)) => self.end(&key(name), request).unwrap_or_else(missing),
            ("PATCH", Some(name)) => self.patch(&place, &key(name), request),
            _ => refusal(405, "MethodNotAllowed", "not here"),
        }
    }

    /// What has lingered for its time.
    fn due(&mut self) -> Vec<Key> {
        let now = Instant::now();
        self.dying.extract_if(.., |(_, until)| *until <= now).map(|(key, _)| key).collect()
    }

    /// Deletes an object; none where there is none. With a uid that is not its own, nothing happens.
    fn end(&mut self, key: &Key, request: &Request) -> Option<Answer> {
        let object = self.kept.get(key)?.clone();
        let wanted = request.body.pointer("/preconditions/uid").filter(|uid| !uid.is_null());
        if wanted.is_some_and(|uid| *uid != object["metadata"]["uid"]) {
            return Some(refusal(409, "Conflict", "the UID in the precondition is another"));
        }
        if key.1 == "jobs" && !self.linger.is_zero() {
            let mut ending = object;
            ending["metadata"]["deletionTimestamp"] = json!("2026-11-02T11:00:00Z");
            self.dying.push((key.clone(), Instant::now() + self.linger));
            return Some((200, self.put(&key.0, &key.1, ending)));
        }
        self.remove(key).map(|object| (200, object))
    }

    fn list(&self, place: &Place, request: &Request) -> Value {
        let of_kind = self.kept.iter().filter(|(key, _)| key.0 == place.namespace && key.1 == place.plural);
        let mut items: Vec<_> = of_kind.map(|(_, object)| object.clone()).collect();
        items.retain(|object| selected(object, request));
        // A real server leaves these out of a list's items.
        for fields in items.iter_mut().filter_map(Value::as_object_mut) {
            fields.remove("kind");
            fields.remove("apiVersion");
        }
        json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": self.version.to_string()}, "items": items})
    }

    fn patch(&mut self, place: &Place, key: &Key, request: &Request) -> Answer {
        let applies = request.content_type.starts_with("application/apply-patch");
        if applies && !request.query.contains_key("fieldManager") {
            return refusal(400, "BadRequest", "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value");
        }
        let before = match (self.kept.get(key), applies) {
            (Some(before), _) => before.clone(),
            (None, true) => json!({}),
            (None, false) => return refusal(404, "NotFound", &format!("{} not found", key.2)),
        };
        let mut after = before.clone();
        merge(&mut after, &request.body);
        if let Some(why) = forbidden(&place.plural, &before, &after) {
            return refusal(422, "Invalid", &why);
        }
        (200, self.put(&place.namespace, &place.plural, after))
    }
}

/// Why a change is refused, as the real server's validation has it.
fn forbidden(plural: &str, before: &Value, after: &Value) -> Option<String> {
    // What is created may be anything.
    before.get("metadata")?;
    let changed = |pointer: &str| before.pointer(pointer) != after.pointer(pointer);
    let same_size = after.pointer("/spec/completions") == after.pointer("/spec/parallelism");
    match plural {
        "jobs" if changed("/spec/template") => Some("spec.template: field is immutable".to_owned()),
        "jobs" if changed("/spec/completions") && !same_size => {
            Some("spec.completions: can only be changed in tandem with spec.parallelism".to_owned())
        }
        "jobsets" if changed("/spec/replicatedJobs") => Some("spec.replicatedJobs: field is immutable".to_owned()),
        "configmaps" if before["immutable"] == true && changed("/data") => {
            Some("data: field is immutable when `immutable` is set".to_owned())
        }
        _ => None,
    }
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, change) in changes {
        match (change, target.as_object_mut()) {
            (Value::Null, Some(fields)) => {
                fields.remove(name);
            }
            _ => merge(&mut target[name], change),
        }
    }
}

/// Whether an object has the labels that the request selects by, `name=value` with commas between.
fn selected(object: &Value, request: &Request) -> bool {
    let Some(selector) = request.query.get("labelSelector") else { return true };
    let labels = &object["metadata"]["labels"];
    selector.split(',').filter_map(|pair| pair.split_once('=')).all(|(name, value)| labels[name] == value)
}

/// What a path names.
struct Place {
    namespace: String,
    plural: String,
    name: Option<String>,
}

impl Place {
    /// `/api/v1/namespaces/NS/PLURAL[/NAME]` or `/apis/GROUP/VERSION/namespaces/...`
    fn of(request: &Request) -> Option<Self> {
        let at = request.path.iter().position(|part| part == "namespaces")?;
        let mut parts = request.path[at + 1..].iter().cloned();
        Some(Self { namespace: parts.next()?, plural: parts.next()?, name: parts.next() })
    }
}
