//! Where the cluster is: KUBECONFIG or ~/.kube/config, else the service account of the pod that this runs in.

use crate::error::ClusterError;
use crate::kinds::{pods, resource};
use kube::api::{Api, DynamicObject};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::time::Duration;

/// A server that says nothing for so long in the middle of an answer is gone; a watch hears from it sooner.
const SILENCE: Duration = Duration::from_secs(90);

/// A namespace of a cluster.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    /// For what may be silent for any time: the log of a pod.
    patient: Client,
    namespace: String,
}

impl Cluster {
    /// Connects; without `namespace` that of the kubeconfig's context, or of the pod.
    ///
    /// # Errors
    /// Nothing says where the cluster is, or its certificates cannot be read.
    pub async fn connect(namespace: Option<&str>) -> Result<Self, ClusterError> {
        let config = Config::infer().await.map_err(|error| ClusterError::NoCluster(error.to_string()))?;
        Self::with(config, namespace)
    }

    /// Connects to what the text of a kubeconfig says.
    ///
    /// # Errors
    /// It is not a kubeconfig, or its certificates cannot be read.
    pub async fn of_kubeconfig(text: &str, namespace: Option<&str>) -> Result<Self, ClusterError> {
        let no_cluster = |error: kube::config::KubeconfigError| ClusterError::NoCluster(error.to_string());
        let kubeconfig = Kubeconfig::from_yaml(text).map_err(no_cluster)?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        Self::with(config.map_err(no_cluster)?, namespace)
    }

    fn with(config: Config, namespace: Option<&str>) -> Result<Self, ClusterError> {
        let namespace = namespace.map_or_else(|| config.default_namespace.clone(), str::to_owned);
        let client = |silence| {
            let mut config = config.clone();
            config.read_timeout = silence;
            Client::try_from(config).map_err(|error| ClusterError::of("to connect", error))
        };
        Ok(Self { client: client(Some(SILENCE))?, patient: client(None)?, namespace })
    }

    /// The namespace that everything is looked for in.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn objects(&self, kind: &str) -> Result<Api<DynamicObject>, ClusterError> {
        Ok(Api::namespaced_with(self.client.clone(), &self.namespace, &resource(kind)?))
    }

    /// Typed where the client has verbs for that type alone: logs.
    pub(crate) fn pods(&self) -> Api<k8s_openapi::api::core::v1::Pod> {
        Api::namespaced(self.patient.clone(), &self.namespace)
    }

    pub(crate) fn pod_objects(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &pods())
    }
}
