"""JSON Schemas (draft 7) of the kinds, for editors: made of the tables by which resources are read.

Law: what the loader accepts without a finding is valid by the schema; what is refused for its shape (an unknown field,
another type, another word) is not.
"""

from calicod.resources.about import ABOUT
from calicod.resources.cluster import KUBERNETES
from calicod.resources.envelope import KINDS
from calicod.resources.metadata import CALICO, METADATA, Kind
from calicod.resources.shapes import ANYTHING, Shape, shape_of, text_like
from calicod.resources.table import mapping

DRAFT = "http://json-schema.org/draft-07/schema#"
OF_KUBERNETES: Shape = {
    "required": ["apiVersion"],
    "properties": {"apiVersion": {"type": "string", "pattern": "^[^/]*\\.k8s\\.io(/|$)"}},
}
OF_CALICO: Shape = {"required": ["apiVersion"], "properties": {"apiVersion": {"const": CALICO}}}
"""What tells two kinds of one name apart."""


def known() -> dict[str, tuple[str, Kind]]:
    """Each kind with its name in documents, by a name of its own: Kubernetes' NetworkPolicy shares Calico's."""
    calicos = {name: (name, kind) for name, kind in KINDS.items()}
    return calicos | {f"Kubernetes{n}" if n in KINDS else n: (n, kind) for n, kind in KUBERNETES.items()}


KNOWN = known()


def schema(name: str) -> Shape:
    """The schema of a kind, complete in itself."""
    return finished(resource(*KNOWN[name]), name)


def any_kind() -> Shape:
    """The schema of whatever resource it is, told by its kind and group, complete in itself."""
    cases: list[object] = [{"if": condition(*one), "then": resource(*one)} for one in KNOWN.values()]
    return finished({"type": "object", "allOf": cases}, "A resource that calicod reads")


def condition(name: str, kind: Kind) -> Shape:
    """When a document is of this kind: by its group, where two share a name."""
    named: Shape = {"required": ["kind"], "properties": {"kind": {"const": name}}}
    if kind.version == CALICO:
        return {**named, "not": OF_KUBERNETES}
    return {**named, **({"allOf": [OF_KUBERNETES]} if name in KINDS else {"not": OF_CALICO})}


def resource(name: str, kind: Kind) -> Shape:
    """A resource of a kind: its envelope, its name, its spec."""
    spec = spec_of(kind)
    needed = ["apiVersion", "kind", "metadata", *(["spec"] if spec.get("required") else [])]
    return {
        "type": "object",
        "properties": {
            "apiVersion": {"const": kind.version},
            "kind": {"const": name},
            "metadata": metadata(kind),
            "spec": spec if spec.get("required") or not spec else {**spec, "type": ["object", "null"]},
            **dict.fromkeys(kind.extra, ANYTHING),
        },
        "required": needed,
        "additionalProperties": False,
    }


def spec_of(kind: Kind) -> Shape:
    """The shape of `spec`; most kinds of Kubernetes have their own schemas, and are read as far as it is needed."""
    try:
        return shape_of(kind.reader)
    except LookupError:
        if kind.version != CALICO:
            return ANYTHING
        raise


def metadata(kind: Kind) -> Shape:
    """The metadata of a kind: names are its own, and not all have a namespace."""
    shape = mapping(METADATA)
    properties = shape["properties"]
    assert isinstance(properties, dict)  # noqa: S101  # as `mapping` makes it
    own = {"name": text_like(kind.naming.grammar, kind.naming.limit)}
    if not kind.naming.namespaced:
        own["namespace"] = {"enum": ["", None]}
    return {**shape, "properties": {**properties, **own}, "required": ["name"]}


def finished(shape: Shape, title: str) -> Shape:
    """A whole schema: what several fields hold is written once, fields are told, and the draft is named."""
    seen: dict[str, list[Shape]] = {}
    _collect(shape, seen)
    shared = {name: shapes[0] for name, shapes in seen.items() if len(shapes) > 1 and _all_equal(shapes)}
    body = _referring(shape, shared, top=True)
    definitions = {name: _referring(found, shared, top=True) for name, found in sorted(shared.items())}
    return {
        "$schema": DRAFT,
        "title": title,
        **(body if isinstance(body, dict) else {}),
        **({"definitions": definitions} if definitions else {}),
    }


def _collect(shape: object, seen: dict[str, list[Shape]]) -> None:
    if isinstance(shape, dict):
        title = shape.get("title")
        if isinstance(title, str):
            seen.setdefault(title, []).append(shape)
        for part in shape.values():
            _collect(part, seen)
    elif isinstance(shape, list):
        for part in shape:
            _collect(part, seen)


def _all_equal(shapes: list[Shape]) -> bool:
    return all(shape == shapes[0] for shape in shapes)


def _referring(shape: object, shared: dict[str, Shape], *, top: bool = False) -> object:
    """The shape with references to what is shared, and with descriptions of fields."""
    if isinstance(shape, list):
        return [_referring(part, shared) for part in shape]
    if not isinstance(shape, dict):
        return shape
    title = shape.get("title")
    if not top and isinstance(title, str) and title in shared:
        return {"$ref": f"#/definitions/{title}"}
    made = {key: _referring(part, shared) for key, part in shape.items()}
    if "additionalProperties" in shape and isinstance(shape.get("properties"), dict):
        made["properties"] = {name: _told(name, part) for name, part in made["properties"].items()}  # type: ignore[attr-defined]  # a dict, as the one that it was made of
    return made


def _told(name: str, shape: object) -> object:
    about = ABOUT.get(name)
    if about is None or not isinstance(shape, dict):
        return shape
    # Draft 7 looks at nothing beside `$ref`.
    return {"description": about, **({"allOf": [shape]} if "$ref" in shape else shape)}
