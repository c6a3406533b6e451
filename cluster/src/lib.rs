//! Runs as objects of Kubernetes. [`template`] reads what `kubectl kustomize` or `helm template` rendered, [`objects`]
//! makes one run's objects of it, [`submit`] has them in the cluster once and not twice, [`observe`] says what the cluster
//! tells of them, [`control`] suspends, resumes, scales and removes them, [`follow`] waits and reads logs.
//!
//! What goes out and what comes in is JSON, checked strictly by the server: the types of a client library drop fields that
//! they do not know, so that a misspelt one would pass.

mod connection;
pub mod control;
mod error;
pub mod follow;
mod kinds;
pub mod objects;
pub mod observe;
mod run_name;
pub mod submit;
pub mod template;

pub use connection::Cluster;
pub use error::ClusterError;
pub use run_name::RunName;
