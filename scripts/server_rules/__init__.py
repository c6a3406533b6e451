"""What an API server, or a project's admission webhook, refuses although a schema passes. Used by scripts/check-manifests.

Written from the rules that their projects document: batch/v1 (Job, CronJob), core/v1 (pods, Services, ConfigMaps, claims),
policy/v1, networking/v1, rbac/v1, JobSet, Kueue, cert-manager.
"""
import json

from .jobs import cron_job, job, job_set
from .names import is_subdomain, metadata
from .objects import (certificate, claim, cluster_queue, config_map, disruption_budget, network_policy, role, role_binding,
                      service)

# kubectl apply keeps the whole object in an annotation.
LARGEST_APPLIED = 256 * 1024
RULES = {
    "Certificate": certificate,
    "ClusterQueue": cluster_queue,
    "ClusterTrainingRuntime": lambda thing: job_set(thing["metadata"]["name"], thing["spec"]["template"]["spec"]),
    "ConfigMap": config_map,
    "CronJob": cron_job,
    "Job": lambda thing: job(thing["metadata"]["name"], thing["spec"]),
    "JobSet": lambda thing: job_set(thing["metadata"]["name"], thing["spec"]),
    "NetworkPolicy": network_policy,
    "PersistentVolumeClaim": claim,
    "PodDisruptionBudget": disruption_budget,
    "Role": role,
    "RoleBinding": role_binding,
    "Service": service,
}


def broken(thing):
    """One sentence for each rule of a server that an object breaks."""
    meta = thing["metadata"]
    found = [*metadata(meta), *RULES.get(thing["kind"], lambda _: ())(thing)]
    name = meta.get("name", "x")
    if not is_subdomain(name):
        found.append(f"{name!r} is no name of an object: a-z, 0-9, - and ., 253 characters at most")
    if thing["kind"] in ("Job", "JobSet") and len(name) > 63:
        found.append("its name becomes a label of its pods: 63 characters at most")
    if len(json.dumps(thing)) > LARGEST_APPLIED:
        found.append("too large for the annotation of kubectl apply (256 KiB); apply it with --server-side")
    return found
