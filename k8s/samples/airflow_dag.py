"""A night by Airflow (docs/nightly.md): one pod; a task that is tried again goes on with the same night.

Needs the provider `cncf.kubernetes`, and in the namespace the service accounts, ConfigMaps and bucket of k8s/overlays/nightly.
"""
import datetime

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG
from kubernetes.client import models as k8s

NAMESPACE = "conrec"
IMAGE = "conrec-worker:0.1.0"
STORE = "s3://BUCKET/nights"

with DAG(
    dag_id="conrec_nightly",
    schedule="0 2 * * *",
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
    catchup=False,
    # Two nights never train at once.
    max_active_runs=1,
) as dag:
    KubernetesPodOperator(
        task_id="nightly",
        name="conrec-nightly",
        namespace=NAMESPACE,
        image=IMAGE,
        cmds=["conrec"],
        arguments=[
            "nightly",
            "/etc/conrec/configs/nightly.toml",
            "--date={{ ds }}",
            f"--store={STORE}",
            "--scratch=/tmp",
            "--output=json",
        ],
        service_account_name="conrec-worker",
        automount_service_account_token=False,
        # Data that is late (13), a stop after a checkpoint (75), a lost node: the next pod goes on.
        retries=36,
        retry_delay=datetime.timedelta(minutes=10),
        # Trained and not promoted; ran before; overtaken; an empty day: nothing to try again.
        skip_on_exit_code=[10, 11, 12, 14],
        termination_grace_period=60,
        on_finish_action="delete_succeeded_pod",
        # Whoever is killed by Airflow ends with a checkpoint.
        on_kill_action="delete_pod",
        get_logs=True,
        container_resources=k8s.V1ResourceRequirements(
            requests={"cpu": "2", "memory": "2Gi"}, limits={"cpu": "2", "memory": "4Gi"}
        ),
        security_context=k8s.V1PodSecurityContext(
            run_as_non_root=True,
            run_as_user=65532,
            run_as_group=65532,
            fs_group=65532,
            seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"),
        ),
        container_security_context=k8s.V1SecurityContext(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities=k8s.V1Capabilities(drop=["ALL"]),
        ),
        volumes=[
            k8s.V1Volume(name="configs", config_map=k8s.V1ConfigMapVolumeSource(name="conrec-nightly-configs")),
            k8s.V1Volume(name="tmp", empty_dir=k8s.V1EmptyDirVolumeSource()),
        ],
        volume_mounts=[
            k8s.V1VolumeMount(name="configs", mount_path="/etc/conrec/configs", read_only=True),
            k8s.V1VolumeMount(name="tmp", mount_path="/tmp"),
        ],
    )
