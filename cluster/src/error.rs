//! What can go wrong between a verb and a cluster: one variant for each thing that a caller treats differently.

use kube::core::Status;

/// Why something could not be had of the cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Nothing says where the cluster is, or it says so wrongly.
    #[error("no cluster: {0}; set KUBECONFIG, or run in a pod with a service account")]
    NoCluster(String),
    /// The server could not be reached, or ended the connection.
    #[error("the cluster's API server does not answer: {0}")]
    Unreachable(String),
    /// The server said no.
    #[error("the cluster refused {what}: {message} (HTTP {code}, {reason})")]
    Refused {
        /// What was asked, with the object's kind and name.
        what: String,
        /// The server's words.
        message: String,
        /// HTTP status.
        code: u16,
        /// The server's reason, such as `Forbidden`.
        reason: String,
    },
    /// A run of this name is there, and was submitted with something else.
    #[error(
        "run {run} exists in namespace {namespace} with spec {found}, but this submission's is {wanted}; \
         choose another key, or cancel that run first"
    )]
    OtherSpec {
        /// The run's name.
        run: String,
        /// Where it lies.
        namespace: String,
        /// Digest of the spec that it was submitted with.
        found: String,
        /// Digest of the spec submitted now.
        wanted: String,
    },
    /// An object has the name that one of the run's would have, and does not belong to it.
    #[error("{kind} {name} exists and is not of run {run}; remove it, or choose another key")]
    NotOfRun {
        /// The object's kind.
        kind: String,
        /// The object's name.
        name: String,
        /// The run's name.
        run: String,
    },
    /// The run's objects are on their way out.
    #[error("run {0} is being removed from the cluster; submit again when it is gone")]
    BeingRemoved(String),
    /// No such run in the cluster.
    #[error("no run {run} in namespace {namespace}")]
    NoRun {
        /// The run's name.
        run: String,
        /// Where it was looked for.
        namespace: String,
    },
    /// A template that no run can be made of.
    #[error("template: {0}")]
    BadTemplate(String),
    /// A name that Kubernetes would refuse.
    #[error("{0}")]
    BadName(String),
    /// What was asked cannot be done to such a run.
    #[error("{0}")]
    NotPossible(String),
}

impl ClusterError {
    /// Sorts an error of the client library; `what` was asked, such as "to create Job x".
    pub(crate) fn of(what: impl Into<String>, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::refused(what, &status),
            kube::Error::InferConfig(error) => Self::NoCluster(error.to_string()),
            other => Self::Unreachable(with_causes(&other)),
        }
    }

    /// The server's `status` to `what`.
    pub(crate) fn refused(what: impl Into<String>, status: &Status) -> Self {
        Self::Refused {
            what: what.into(),
            message: status.message.clone(),
            code: status.code,
            reason: status.reason.clone(),
        }
    }

    /// Whether asking again may help: the server did not answer, was too busy, or has forgotten what a watch began with.
    #[must_use]
    pub fn passes(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { code, .. } => matches!(code, 410 | 429 | 500..=599),
            _ => false,
        }
    }
}

/// An error's words and those of its causes: a client's own say no more than "service error".
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = inner.source();
    }
    text
}
