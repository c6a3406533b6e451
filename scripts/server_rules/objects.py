"""Services, budgets, policies, roles, ConfigMaps, claims; queues of Kueue, certificates of cert-manager."""
import datetime
import ipaddress
import re

from .names import LABEL_1035, PORT_NAME, amount, is_subdomain, labels, twice

LARGEST_CONFIG_MAP = 1024 * 1024


def service(thing):
    spec, name = thing["spec"], thing["metadata"]["name"]
    ports = spec.get("ports") or []
    if not LABEL_1035.fullmatch(name):
        yield "a Service's name is a label of DNS that begins with a letter"
    if not ports and spec.get("clusterIP") != "None" and spec.get("type") != "ExternalName":
        yield "only a headless Service has no ports"
    if len(ports) > 1 and not all(port.get("name") for port in ports):
        yield "several ports need names"
    yield from twice([port["name"] for port in ports if "name" in port], "port")
    for port in ports:
        target = port.get("targetPort", 1)
        if isinstance(target, str) and (len(target) > 15 or not PORT_NAME.fullmatch(target)):
            yield f"targetPort {target} is no name of a port"
        if spec.get("clusterIP") == "None" and "nodePort" in port:
            yield "a headless Service has no nodePort"
    yield from labels(spec.get("selector"))


def disruption_budget(thing):
    spec = thing["spec"]
    if len({"minAvailable", "maxUnavailable"} & set(spec)) != 1:
        yield "a PodDisruptionBudget has either minAvailable or maxUnavailable"
    yield from labels((spec.get("selector") or {}).get("matchLabels"))


def network_policy(thing):
    spec = thing["spec"]
    kinds = spec.get("policyTypes") or []
    for direction, peers in (("Ingress", "from"), ("Egress", "to")):
        if direction.lower() in spec and kinds and direction not in kinds:
            yield f"{direction.lower()} without the policyType {direction} is not looked at"
        for rule in spec.get(direction.lower()) or []:
            for port in rule.get("ports") or []:
                number = port.get("port")
                if isinstance(number, str) and (len(number) > 15 or not PORT_NAME.fullmatch(number)):
                    yield f"{number} is no name of a port"
                if "endPort" in port and (not isinstance(number, int) or number > port["endPort"]):
                    yield f"endPort {port['endPort']} needs a number not above it"
            for peer in rule.get(peers) or []:
                block = peer.get("ipBlock")
                if not peer or (block and len(peer) > 1):
                    yield f"{peer}: a peer is an ipBlock, or selectors"
                for cidr in [block["cidr"], *(block.get("except") or [])] if block else []:
                    try:
                        ipaddress.ip_network(cidr)
                    except ValueError as error:
                        yield f"ipBlock: {error}"


def role(thing):
    for rule in thing.get("rules") or []:
        if not rule.get("verbs") or not rule.get("resources") or not rule.get("apiGroups"):
            yield f"{rule}: a rule has verbs, resources and apiGroups"
        if rule.get("nonResourceURLs"):
            yield "a rule of a namespace names no URLs"


def role_binding(thing):
    reference = thing["roleRef"]
    if reference.get("apiGroup") != "rbac.authorization.k8s.io" or reference.get("kind") not in ("Role", "ClusterRole"):
        yield f"roleRef {reference} is no role"
    for subject in thing.get("subjects") or []:
        group = "" if subject["kind"] == "ServiceAccount" else "rbac.authorization.k8s.io"
        if subject.get("apiGroup", group) != group:
            yield f"subject {subject['name']}: apiGroup is {group!r}"


def config_map(thing):
    data = {**(thing.get("data") or {}), **(thing.get("binaryData") or {})}
    for key, value in data.items():
        if not re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", key):
            yield f"{key} is no key of a ConfigMap"
        if not isinstance(value, str):
            yield f"{key} is no text"
    if sum(len(key) + len(str(value).encode()) for key, value in data.items()) > LARGEST_CONFIG_MAP:
        yield "a ConfigMap has at most 1 MiB"


def claim(thing):
    spec = thing["spec"]
    storage = spec.get("resources", {}).get("requests", {}).get("storage")
    if not spec.get("accessModes") or storage is None or not amount(storage):
        yield "a claim has accessModes and a request of storage above 0"


def cluster_queue(thing):
    covered = []
    for group in thing["spec"].get("resourceGroups") or []:
        names = group["coveredResources"]
        covered += names
        for flavor in group["flavors"]:
            if [resource["name"] for resource in flavor["resources"]] != names:
                yield f"flavor {flavor['name']}: resources stand in the order of coveredResources: {names}"
            for resource in flavor["resources"]:
                if amount(resource["nominalQuota"]) is None:
                    yield f"{resource['nominalQuota']!r} is no quantity"
    yield from twice(covered, "resource")


def certificate(thing):
    spec = thing["spec"]
    duration, before = (hours(spec.get(field, default)) for field, default in (("duration", "2160h"), ("renewBefore", "1h")))
    if duration is None or before is None or duration < datetime.timedelta(hours=1) or before >= duration:
        yield "duration is at least 1h, and longer than renewBefore"
    if not any(spec.get(field) for field in ("commonName", "dnsNames", "uris", "ipAddresses", "emailAddresses")):
        yield "a certificate is for somebody"
    if not is_subdomain(spec["secretName"]):
        yield f"{spec['secretName']} is no name of a Secret"
    if spec.get("isCA") and "cert sign" not in spec.get("usages", []):
        yield "an authority signs: usages need cert sign"
    sizes = {"ECDSA": (256, 384, 521), "RSA": range(2048, 8193)}
    key = spec.get("privateKey") or {}
    if "size" in key and key["size"] not in sizes.get(key.get("algorithm", "RSA"), ()):
        yield f"privateKey: no {key.get('algorithm', 'RSA')} key has {key['size']} bits"


def hours(text):
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    if not found or not text:
        return None
    return datetime.timedelta(hours=int(found[1] or 0), minutes=int(found[2] or 0), seconds=int(found[3] or 0))
