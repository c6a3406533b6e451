"""Jobs, CronJobs (batch/v1) and JobSets, with what their webhook refuses."""
import re
import zoneinfo

from .names import LABEL_1035, LABEL_1123, metadata, twice
from .pods import pod_template

RULE_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")
JOB_FAILURES = {"BackoffLimitExceeded", "DeadlineExceeded", "FailedIndexes", "MaxFailedIndexesExceeded", "PodFailurePolicy"}


def failure_rules(spec):
    names = [container["name"] for container in spec["template"]["spec"].get("containers", [])]
    rules = spec["podFailurePolicy"].get("rules", [])
    if len(rules) > 20:
        yield f"podFailurePolicy has {len(rules)} rules, 20 are allowed"
    for at, rule in enumerate(rules):
        place, codes = f"podFailurePolicy.rules[{at}]", rule.get("onExitCodes")
        if (codes is None) == (not rule.get("onPodConditions")):
            yield f"{place} needs either onExitCodes or onPodConditions"
        if rule.get("action") == "FailIndex" and "backoffLimitPerIndex" not in spec:
            yield f"{place}: FailIndex needs backoffLimitPerIndex"
        if codes is None:
            continue
        values = codes.get("values", [])
        if not 0 < len(values) <= 255 or values != sorted(set(values)):
            yield f"{place}: exit codes stand once each and sorted, 255 at most: {values}"
        if codes.get("operator") == "In" and 0 in values:
            yield f"{place}: 0 is no failure"
        if codes.get("containerName", names[0]) not in names:
            yield f"{place}: there is no container {codes['containerName']}"


def job(name, spec, room=63):
    """A Job's spec; `name` is the Job's, `room` what a pod's host name may have."""
    pod, indexed = spec["template"]["spec"], spec.get("completionMode") == "Indexed"
    completions, parallelism = spec.get("completions"), spec.get("parallelism", 1)
    if pod.get("restartPolicy") not in ("Never", "OnFailure"):
        yield "a Job's restartPolicy is Never or OnFailure"
    if "podFailurePolicy" in spec:
        if pod.get("restartPolicy") != "Never":
            yield "podFailurePolicy needs restartPolicy Never"
        if spec.get("podReplacementPolicy", "Failed") != "Failed":
            yield "podFailurePolicy needs podReplacementPolicy Failed"
        yield from failure_rules(spec)
    for field in ("successPolicy", "backoffLimitPerIndex", "maxFailedIndexes"):
        if field in spec and not indexed:
            yield f"{field} needs completionMode Indexed"
    if "backoffLimitPerIndex" in spec and pod.get("restartPolicy") != "Never":
        yield "backoffLimitPerIndex needs restartPolicy Never"
    if "maxFailedIndexes" in spec and "backoffLimitPerIndex" not in spec:
        yield "maxFailedIndexes needs backoffLimitPerIndex"
    if indexed and completions is None:
        yield "completionMode Indexed needs completions"
    if indexed and completions and len(f"{name}-{completions - 1}") > room:
        yield f"host names begin with {name}: too long for {completions} pods"
    if indexed and not LABEL_1123.fullmatch(name):
        yield f"host names begin with {name}: no label of DNS"
    if indexed and parallelism > 100_000:
        yield "an Indexed Job has at most 100000 pods at once"
    for rule in (spec.get("successPolicy") or {}).get("rules", []):
        if not 0 < rule.get("succeededCount", 1) <= (completions or 1) or not {"succeededCount", "succeededIndexes"} & set(rule):
            yield f"successPolicy: {rule} cannot be met by {completions} pods"
    if "selector" in spec or spec.get("manualSelector"):
        yield "a Job's selector is made by the server"
    if spec.get("backoffLimit", 0) < 0 or spec.get("activeDeadlineSeconds", 1) < 1:
        yield "backoffLimit is at least 0, activeDeadlineSeconds at least 1"
    yield from pod_template(spec["template"])


def cron_job(thing):
    spec = thing["spec"]
    if len(thing["metadata"]["name"]) > 52:
        yield "a CronJob's name has at most 52 characters: its Jobs' names have 11 more"
    ranges = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
    fields = spec["schedule"].split()
    if not spec["schedule"].startswith("@") and (len(fields) != 5 or not all(map(is_cron, fields, ranges))):
        yield f"{spec['schedule']!r} is no schedule of five fields"
    zone = spec.get("timeZone", "Etc/UTC")
    if zone == "Local" or zone not in zoneinfo.available_timezones():
        yield f"{zone!r} is no time zone"
    if spec.get("startingDeadlineSeconds", 10) < 10:
        yield "startingDeadlineSeconds below 10: the controller looks every ten seconds, and may start nothing"
    yield from metadata(spec["jobTemplate"].get("metadata") or {})
    yield from job(thing["metadata"]["name"] + "-" + "0" * 8, spec["jobTemplate"]["spec"])


def is_cron(field, limits):
    def is_in(text):
        return text.isdigit() and limits[0] <= int(text) <= limits[1]

    for part in field.split(","):
        whole, slash, step = part.partition("/")
        ends = whole.split("-")
        if slash and (not step.isdigit() or int(step) < 1):
            return False
        if whole not in ("*", "?") and not (len(ends) < 3 and all(map(is_in, ends)) and ends == sorted(ends, key=int)):
            return False
    return True


def job_set(name, spec):
    known = []
    for replicated in spec.get("replicatedJobs", []):
        inner = replicated["template"]["spec"]
        job_name = f"{name}-{replicated['name']}-{replicated.get('replicas', 1) - 1}"
        # The webhook makes every Job Indexed that does not say what it is.
        inner = {"completionMode": "Indexed", **inner}
        if not LABEL_1035.fullmatch(job_name):
            yield f"replicated job {replicated['name']}: its Job would be {job_name}, no label of DNS that begins with a letter"
        last = (inner.get("completions") or 1) - 1
        if len(f"{job_name}-{last}-abcde") > 63:
            yield f"replicated job {replicated['name']}: its pods would be {job_name}-{last}-abcde, more than 63 characters"
        if replicated["name"] in known:
            yield f"replicated job {replicated['name']} stands twice"
        for other in replicated.get("dependsOn") or []:
            if other["name"] not in known:
                yield f"replicated job {replicated['name']} depends on {other['name']}, which does not stand before it"
            if (spec.get("startupPolicy") or {}).get("startupPolicyOrder") == "InOrder":
                yield "startupPolicy InOrder and dependsOn exclude each other"
        known.append(replicated["name"])
        yield from (f"replicated job {replicated['name']}: {problem}" for problem in job(job_name, inner))
    failure = spec.get("failurePolicy") or {}
    rules = failure.get("rules") or []
    targets = [*((spec.get("successPolicy") or {}).get("targetReplicatedJobs") or [])]
    for rule in rules:
        targets += rule.get("targetReplicatedJobs") or []
        if not RULE_NAME.fullmatch(rule.get("name", "x")):
            yield f"{rule['name']!r} is no name of a rule of a failurePolicy"
        yield from (f"no Job fails by {why}" for why in set(rule.get("onJobFailureReasons") or []) - JOB_FAILURES)
    yield from twice([rule["name"] for rule in rules if "name" in rule], "rule")
    yield from (f"there is no replicated job {target}" for target in targets if target not in known)
