"""Pods: containers, volumes, probes, resources, variables (core/v1)."""
import re

from .names import LABEL_1123, PORT_NAME, amount, labels, metadata, twice

ENV_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
POD_FIELDS = {"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP",
              "status.hostIPs", "status.podIP", "status.podIPs"}


def probes(container):
    for kind in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(kind)
        if probe is None:
            continue
        handlers = [name for name in ("exec", "grpc", "httpGet", "tcpSocket") if name in probe]
        if len(handlers) != 1:
            yield f"{kind} needs one handler and has {handlers}"
        if not 0 < (probe.get("grpc") or {"port": 1})["port"] < 65536:
            yield f"{kind}: a probe by gRPC names its port by a number from 1 to 65535"
        if kind != "readinessProbe" and probe.get("successThreshold", 1) != 1:
            yield f"{kind}: successThreshold must be 1"
        if kind == "readinessProbe" and "terminationGracePeriodSeconds" in probe:
            yield f"{kind} has no terminationGracePeriodSeconds"


def resources(container):
    wanted, most = (container.get("resources") or {}).get("requests") or {}, (container.get("resources") or {}).get("limits") or {}
    for name, quantity in [*wanted.items(), *most.items()]:
        if amount(quantity) is None:
            yield f"resource {name}: {quantity!r} is no quantity"
            return
    for name, limit in most.items():
        if name in wanted and amount(wanted[name]) > amount(limit):
            yield f"resource {name}: {wanted[name]} requested and {limit} at most"
    for name in {*wanted, *most}:
        if "/" in name and (amount(wanted.get(name, most.get(name))) != amount(most.get(name, -1)) or amount(most[name]) % 1):
            yield f"resource {name}: a device is requested in whole numbers, limit and request the same"


def environment(container, names):
    yield from twice([variable["name"] for variable in container.get("env", [])], "variable")
    for variable in container.get("env", []):
        source = variable.get("valueFrom")
        if not ENV_NAME.fullmatch(variable["name"]):
            yield f"{variable['name']} is no name of a variable"
        if source is not None and (variable.get("value") or len(source) != 1):
            yield f"variable {variable['name']} has not one source"
        field = (source or {}).get("fieldRef", {}).get("fieldPath", "metadata.name")
        if field not in POD_FIELDS and not re.fullmatch(r"metadata\.(labels|annotations)\['[^']+'\]", field):
            yield f"variable {variable['name']}: a pod has no field {field}"
        resource = (source or {}).get("resourceFieldRef")
        if resource and resource.get("containerName", container["name"]) not in names:
            yield f"variable {variable['name']}: there is no container {resource['containerName']}"


def containers(pod):
    """Containers, their mounts and ports."""
    both = [*pod.get("initContainers", []), *pod.get("containers", [])]
    names = [container["name"] for container in both]
    volumes = [volume["name"] for volume in pod.get("volumes", [])]
    yield from twice(names, "container")
    yield from twice(volumes, "volume")
    for container in both:
        found = [*probes(container), *resources(container), *environment(container, names)]
        mounts = container.get("volumeMounts", [])
        ports = container.get("ports", [])
        found += twice([mount["mountPath"] for mount in mounts], "mountPath")
        found += twice([port["name"] for port in ports if "name" in port], "port")
        found += [f"there is no volume {mount['name']}" for mount in mounts if mount["name"] not in volumes]
        found += [f"port {port['name']}: at most 15 of a-z, 0-9 and -, one of them a letter" for port in ports
                  if "name" in port and (len(port["name"]) > 15 or not PORT_NAME.fullmatch(port["name"]))]
        if not LABEL_1123.fullmatch(container["name"]):
            found.append("its name is no label of DNS")
        yield from (f"container {container['name']}: {problem}" for problem in found)


def volumes(pod):
    for volume in pod.get("volumes", []):
        name, sources = volume["name"], [key for key in volume if key != "name"]
        if len(sources) != 1:
            yield f"volume {name} needs one source and has {sources}"
        if not LABEL_1123.fullmatch(name):
            yield f"volume {name}: its name is no label of DNS"
        for source in ("secret", "configMap", "projected"):
            mode = (volume.get(source) or {}).get("defaultMode", 0)
            if not 0 <= mode <= 0o777:
                yield f"volume {name}: defaultMode {mode}; expected 0 to 0777, in octal or as a number"
            yield from twice([item["path"] for item in (volume.get(source) or {}).get("items", [])], f"volume {name}: path")
        empty = volume.get("emptyDir") or {}
        if empty.get("medium", "") not in ("", "Memory", "HugePages") or (
                "sizeLimit" in empty and amount(empty["sizeLimit"]) is None):
            yield f"volume {name}: {empty} is no emptyDir"


def tolerations(pod):
    for toleration in pod.get("tolerations", []):
        operator = toleration.get("operator", "Equal")
        if operator == "Exists" and toleration.get("value"):
            yield f"toleration {toleration}: Exists takes no value"
        if not toleration.get("key") and operator != "Exists":
            yield f"toleration {toleration}: without a key only Exists makes sense"
        if "tolerationSeconds" in toleration and toleration.get("effect") != "NoExecute":
            yield f"toleration {toleration}: tolerationSeconds needs the effect NoExecute"


def pod_template(template):
    meta, pod = template.get("metadata") or {}, template["spec"]
    yield from (f"template: {problem}" for problem in metadata(meta))
    yield from (f"nodeSelector: {problem}" for problem in labels(pod.get("nodeSelector")))
    for check in (containers, volumes, tolerations):
        yield from check(pod)
    for field in ("subdomain", "hostname"):
        if field in pod and not LABEL_1123.fullmatch(pod[field]):
            yield f"{field} {pod[field]} is no label of DNS"
    if pod.get("terminationGracePeriodSeconds", 0) < 0:
        yield "terminationGracePeriodSeconds is below 0"
