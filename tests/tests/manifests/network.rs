//! The cluster's network: each pod has a node to itself, with an address that no other pod has or had, and is found by the
//! names that its Services and its Job give it. The newest pod of a place has its name.

use crate::pod::text;
use conrec_tests::network::{Network, address};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Nodes and names.
pub struct Nodes {
    network: RefCell<Network>,
    /// Domain and selector of each Service.
    services: Vec<(String, Value)>,
    /// The newest pod of each name.
    pods: RefCell<BTreeMap<String, Named>>,
}

struct Named {
    node: usize,
    labels: Value,
    subdomain: Option<String>,
}

impl Nodes {
    /// A network without nodes, for these Services.
    ///
    /// # Errors
    /// This user may not make namespaces.
    pub fn of(services: Vec<(String, Value)>) -> Result<Self, String> {
        let nodes = Self { network: RefCell::new(Network::make(0)?), services, pods: RefCell::default() };
        // Names that nobody has yet.
        let names = nodes.services.iter().map(|(domain, _)| domain.clone());
        names.for_each(|name| nodes.network.borrow_mut().call(&name, &[]).unwrap());
        Ok(nodes)
    }

    /// A node for whatever is no pod.
    pub fn add(&self) -> usize {
        self.network.borrow_mut().add().unwrap()
    }

    /// A node for a pod, which takes its name over from another pod.
    pub fn place(&self, pod: &str, template: &Value) -> usize {
        let node = self.add();
        let subdomain = template["spec"]["subdomain"].as_str().map(str::to_owned);
        let named = Named { node, labels: template["metadata"]["labels"].clone(), subdomain };
        self.pods.borrow_mut().insert(pod.to_owned(), named);
        self.call();
        node
    }

    /// The pod is gone: nobody has its name.
    pub fn remove(&self, pod: &str) {
        self.pods.borrow_mut().remove(pod);
        self.call();
    }

    fn call(&self) {
        let (pods, mut network) = (self.pods.borrow(), self.network.borrow_mut());
        for (domain, selector) in &self.services {
            let wanted = selector.as_object().unwrap();
            let selected = |pod: &&Named| wanted.iter().all(|(key, value)| pod.labels[key] == *value);
            let nodes: Vec<usize> = pods.values().filter(selected).map(|pod| pod.node).collect();
            network.call(domain, &nodes).unwrap();
            for (name, pod) in pods.iter() {
                let within =
                    pod.subdomain.as_ref().is_some_and(|subdomain| domain.starts_with(&format!("{subdomain}.")));
                if within {
                    network.call(&format!("{name}.{domain}"), &[pod.node]).unwrap();
                }
            }
        }
    }

    /// A program on a node.
    pub fn command(&self, node: usize, program: &Path) -> Command {
        self.network.borrow().command(node, program)
    }

    /// Looks at the network itself.
    pub fn with<T>(&self, look: impl FnOnce(&Network) -> T) -> T {
        look(&self.network.borrow())
    }

    /// Packets from and to a node are lost without a word, or pass again.
    pub fn connect(&self, node: usize, pass: bool) {
        self.network.borrow().packets(node, pass).unwrap();
    }

    /// Where the pod on a node is reached.
    pub fn address(node: usize) -> String {
        address(node)
    }
}

/// Domain and selector of a Service.
pub fn service(object: &Value, namespace: &str) -> (String, Value) {
    (format!("{}.{namespace}.svc", text(&object["metadata"]["name"])), object["spec"]["selector"].clone())
}
