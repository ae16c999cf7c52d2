"""JSON Schemas (draft 7) of the kinds, for editors: made of the tables by which resources are read.

Law: what the loader accepts without a finding is valid by the schema; what is refused for its shape (an unknown field,
another type, another word) is not.
"""

from calicod.resources.about import ABOUT
from calicod.resources.envelope import CALICO, CORE, KINDS, KUBERNETES, Kind
from calicod.resources.metadata import METADATA
from calicod.resources.shapes import ANYTHING, Shape, shape_of, text_like
from calicod.resources.table import mapping

DRAFT = "http://json-schema.org/draft-07/schema#"
KNOWN = (*KINDS, *KUBERNETES)
OF_KUBERNETES = "^[^/]*\\.k8s\\.io(/|$)"
"""The apiVersion of kinds that share their name with one of Calico."""


def schema(name: str) -> Shape:
    """The schema of a kind, complete in itself."""
    known = KUBERNETES[name] if name in KUBERNETES else KINDS[name]
    return finished(resource(name, known), name)


def any_kind() -> Shape:
    """The schema of whatever resource it is, told by its kind, complete in itself."""
    cases: list[object] = [
        {
            "if": {
                "required": ["kind"],
                "properties": {"kind": {"const": name}},
                "not": {"required": ["apiVersion"], "properties": {"apiVersion": {"pattern": OF_KUBERNETES}}},
            },
            "then": resource(name, KUBERNETES[name] if name in KUBERNETES else KINDS[name]),
        }
        for name in KNOWN
    ]
    return finished({"type": "object", "allOf": cases}, "A resource that calicod reads")


def resource(name: str, known: Kind) -> Shape:
    """A resource of a kind: its envelope, its name, its spec."""
    spec = spec_of(name, known)
    needed = ["apiVersion", "kind", "metadata", *(["spec"] if spec.get("required") else [])]
    return {
        "type": "object",
        "properties": {
            "apiVersion": {"const": CORE if name in KUBERNETES else CALICO},
            "kind": {"const": name},
            "metadata": metadata(known),
            "spec": spec if spec.get("required") or not spec else {**spec, "type": ["object", "null"]},
            **dict.fromkeys(known.extra, ANYTHING),
        },
        "required": needed,
        "additionalProperties": False,
    }


def spec_of(name: str, known: Kind) -> Shape:
    """The shape of `spec`; of kinds of Kubernetes it is theirs, and read only as far as it is needed."""
    try:
        return shape_of(known.reader)
    except LookupError:
        if name in KUBERNETES:
            return ANYTHING
        raise


def metadata(known: Kind) -> Shape:
    """The metadata of a kind: names are its own, and not all have a namespace."""
    shape = mapping(METADATA)
    properties = shape["properties"]
    assert isinstance(properties, dict)  # noqa: S101  # as `mapping` makes it
    own = {"name": text_like(known.naming.grammar, known.naming.limit)}
    if not known.naming.namespaced:
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
