"""Names, labels and quantities as a server takes them."""
import decimal
import re

LABEL_1123 = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
PORT_NAME = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
QUANTITY = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|)")
UNITS = {"m": decimal.Decimal("0.001"), "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
UNITS |= {name + "i": 1024**power for power, name in enumerate(("K", "M", "G", "T", "P", "E"), 1)}


def is_subdomain(name):
    return len(name) <= 253 and all(LABEL_1123.fullmatch(part) for part in name.split("."))


def amount(quantity):
    """A quantity as a number; none where it is no quantity."""
    found = QUANTITY.fullmatch(str(quantity))
    return decimal.Decimal(found[1]) * UNITS[found[2]] if found else None


def keys(mapping):
    """Keys of labels and annotations that are none."""
    for key in mapping or {}:
        prefix, slash, name = key.rpartition("/")
        if (slash and not is_subdomain(prefix)) or not re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", name):
            yield f"{key} is no key of a label or an annotation"


def labels(mapping):
    yield from keys(mapping)
    for key, value in (mapping or {}).items():
        if not isinstance(value, str) or not LABEL_VALUE.fullmatch(value):
            yield f"label {key}: {value!r} is no value of a label: 63 characters at most, text"


def metadata(meta):
    yield from labels(meta.get("labels"))
    yield from keys(meta.get("annotations"))
    yield from (f"annotation {key} is no text" for key, value in (meta.get("annotations") or {}).items() if not isinstance(value, str))


def twice(values, what):
    seen = set()
    for value in values:
        if value in seen:
            yield f"{what} {value} stands twice"
        seen.add(value)
