"""Who a resource is: kind, namespace, name, labels and annotations (semantics 1.1).

Law: the identity of a refused resource is told whenever it can be read: its last good version is found by it.
"""

import re
from collections.abc import Callable
from collections.abc import Mapping as Table

import msgspec

from calicod.resources.document import Mapping, Node, Scalar
from calicod.resources.kinds import POLICY_KINDS, Metadata, Resource
from calicod.resources.names import LABEL, MAX_LABEL, MAX_NAME, NAME_SHAPE, SUBDOMAIN, annotations, labels
from calicod.resources.report import Report
from calicod.resources.scalars import quoted, text
from calicod.resources.shapes import ANYTHING, shaped
from calicod.resources.table import Field, Fields, find, is_mapping, read

CALICO = "projectcalico.org/v3"
DEFAULT_NAMESPACE = "default"
V3_METADATA = "projectcalico.org/metadata"


class Naming(msgspec.Struct, frozen=True):
    """How the objects of a kind are named: grammar, greatest length, and whether they live in a namespace."""

    grammar: str = SUBDOMAIN
    shape: str = NAME_SHAPE
    limit: int = MAX_NAME
    namespaced: bool = False


CLUSTER = Naming()
NAMESPACED = Naming(namespaced=True)
TIER = Naming(LABEL, "lower-case letters, digits and inner `-`, without a dot", MAX_LABEL)
_ONE_DOT = rf"{LABEL}(?:\.{LABEL})?"
_POLICY_SHAPE = "lower-case letters, digits and inner `-`, with at most one dot"
GLOBAL_POLICY = Naming(_ONE_DOT, _POLICY_SHAPE)
POLICY = Naming(rf"{_ONE_DOT}|(?:knp|ossg)\.default\.{SUBDOMAIN}", _POLICY_SHAPE, namespaced=True)


class Kind(msgspec.Struct, frozen=True):
    """How documents of one kind are named and read. `extra`: fields beside metadata and spec.

    `becomes`: the kind of the resource, if it is another; `identity` then tells a report the resource's name.
    """

    naming: Naming
    reader: Callable[[Mapping, Metadata, Report], Resource | None]
    forbidden_labels: dict[str, str] = {}
    extra: tuple[str, ...] = ()
    version: str = CALICO
    becomes: str = ""
    identity: Callable[[Report], None] | None = None


METADATA_MISPLACED = {
    name: f"{name} belongs under spec:"
    for name in ("selector", "order", "tier", "types", "nets", "node", "interfaceName", "labelsToApply")
} | {"spec": "write spec: beside metadata:, not under it"}
_NOT_READ = (
    "generateName",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
    "finalizers",
    "managedFields",
    "clusterName",
)


@shaped(ANYTHING)
def ignore(node: Node, report: Report) -> None:
    """A field that means nothing to calicod and is known to mean nothing."""


METADATA: Fields = {
    "name": Field("name", text),
    "namespace": Field("namespace", text),
    "labels": Field("labels", labels("P002")),
    "annotations": Field("annotations", annotations("P002")),
} | {name: Field("", ignore) for name in _NOT_READ}


def identify(report: Report, kind: str, *, namespaced: bool) -> None:
    """Tells the report whose findings these are, as far as it can be read, without judging it."""
    report.kind = kind
    metadata = find(report.root, "metadata")
    name = _scalar(metadata, "name") or _scalar(report.root, "name")
    report.name = _true_name(kind, report.root) or name
    report.namespace = ""
    if namespaced:
        report.namespace = _scalar(metadata, "namespace") or DEFAULT_NAMESPACE


def _scalar(node: Node | None, field: str) -> str | None:
    value = find(node, field)
    return value.value if isinstance(value, Scalar) else None


def _true_name(kind: str, root: Node) -> str | None:
    """The name of a policy that Calico stored under another one, such as with the tier before it (semantics 1.1)."""
    written = _scalar(find(root, "metadata", "annotations"), V3_METADATA) if kind in POLICY_KINDS else None
    if not written:
        return None
    try:
        return msgspec.json.decode(written, type=_V3Name).name or None
    except msgspec.DecodeError:
        return None


class _V3Name(msgspec.Struct):
    name: str = ""


def metadata(report: Report, naming: Naming, forbidden_labels: Table[str, str] | None = None) -> Metadata | None:
    """Reads and judges `metadata`. `forbidden_labels`: label key to code. None: nothing to go on with."""
    node = find(report.root, "metadata")
    if node is None:
        if find(report.root, "name") is None:
            report.error("P001", report.root, 'field "metadata" is missing', hint="add metadata: { name: … }")
        return None
    if not is_mapping(node, report):
        return None
    values = read(node, METADATA, report, METADATA_MISPLACED)
    name = _checked_name(node, values.get("name"), naming, report)
    namespace = _checked_namespace(node, values.get("namespace"), naming, report)
    own = values.get("labels", {})
    for key in forbidden_labels or {}:
        if isinstance(own, dict) and key in own:
            place = find(node, "labels") or node
            report.error((forbidden_labels or {})[key], place, f"label {quoted(key)} is reserved", field=key)
    if name is None:
        return None
    return Metadata(
        name=name,
        namespace=namespace,
        labels=own if isinstance(own, dict) else {},
        annotations=_texts(values.get("annotations")),
    )


def _texts(value: object) -> dict[str, str]:
    return value if isinstance(value, dict) else {}


def _checked_name(node: Node, name: object, naming: Naming, report: Report) -> str | None:
    place = find(node, "name")
    if not isinstance(name, str):
        if place is None and find(report.root, "name") is None:
            report.error("P001", node, 'field "name" is missing', field="name")
        return None
    place = place or node
    if len(name) > naming.limit:
        over = len(name) - naming.limit
        report.error("P001", place, f"name is too long by {over} characters, at most {naming.limit} are allowed")
    elif not re.fullmatch(naming.grammar, name):
        mended = name.strip().lower().replace("_", "-").replace(" ", "-")
        hint = f"write {mended}" if mended != name and re.fullmatch(naming.grammar, mended) else None
        report.error("P001", place, f"{quoted(name)} is not a name: expected {naming.shape}", hint=hint)
    if report.kind in POLICY_KINDS and report.name and report.name != name and place is not node:
        message = f"{quoted(name)} is called {quoted(report.name)}: the annotation {V3_METADATA} says so"
        report.warning("W009", place, message)
        return report.name
    return name


def _checked_namespace(node: Node, namespace: object, naming: Naming, report: Report) -> str:
    if naming.namespaced:
        return namespace if isinstance(namespace, str) and namespace else DEFAULT_NAMESPACE
    if namespace:
        place = find(node, "namespace") or node
        report.error("P004", place, f"a {report.kind} has no namespace", hint="remove the namespace")
    return ""


def reserved_own_label(key: str) -> bool:
    """A label that only inheritance may give an endpoint (semantics 1.10)."""
    return key.startswith(("pcns.", "pcsa."))
