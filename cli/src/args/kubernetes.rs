//! Options of verbs that can be asked of a Kubernetes cluster instead of a store.

use super::Output;
use clap::Args;
use conrec_domain::ids::RunId;
use conrec_domain::job::JobKey;
use std::path::PathBuf;

/// Whether a verb is for a cluster, and where in it.
#[derive(Debug, Clone, Args)]
#[group(id = "cluster_options")]
pub struct ClusterArgs {
    /// Ask Kubernetes: the cluster of KUBECONFIG, or of the pod that this runs in (docs/kubernetes.md)
    #[arg(long)]
    pub kubernetes: bool,
    /// Where in the cluster; default: the namespace of the kubeconfig's context, or of the pod
    #[arg(long, value_name = "NAME", requires = "kubernetes")]
    pub namespace: Option<String>,
}

/// What a run in a cluster is made of.
#[derive(Debug, Clone, Args)]
#[group(id = "template_options")]
pub struct TemplateArgs {
    /// Rendered manifests of one run, as `kubectl kustomize OVERLAY` prints them; default: k8s/base as this program has it
    #[arg(long, value_name = "FILE", requires = "kubernetes")]
    pub template: Option<PathBuf>,
    /// The local queue of Kueue that admits the run
    #[arg(long, value_name = "NAME", requires = "kubernetes")]
    pub queue: Option<String>,
}

/// `conrec scale`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  conrec scale nightly-2026-11-23 --workers 4 --kubernetes

Workers join between two iterations, and those that go leave nothing behind: the result stays the same.")]
pub struct ScaleArgs {
    /// The run's name, as `conrec submit` printed it
    #[arg(value_name = "RUN", required_unless_present = "key")]
    pub run: Option<RunId>,
    /// The key that it was submitted with, instead of the run's name
    #[arg(long, value_name = "KEY", conflicts_with = "run")]
    pub key: Option<JobKey>,
    /// Worker pods from now on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub workers: u32,
    /// Where.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}
