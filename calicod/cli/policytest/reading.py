"""Test files read: YAML or JSON, each document a suite (docs/policy-tests.md).

Law: as strict as resources: an unknown field, a wrong type or a resource with an error breaks the file, is told with
its place, and nothing of the file is run.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec

from calicod.cli.policytest.suite import Case, Expectation, Flow, Rule, Suite
from calicod.datastore.files import read as read_files
from calicod.errors import Diagnostic, Severity
from calicod.model.hook import Hook
from calicod.model.interface import Interface
from calicod.model.network import parse_address, parse_network
from calicod.model.verdict import Reason, Verdict
from calicod.resources.document import Document, Mapping, Node, Scalar, prepared, salvage
from calicod.resources.envelope import resource
from calicod.resources.load import Loaded, together
from calicod.resources.metadata import ignore
from calicod.resources.report import Report
from calicod.resources.scalars import between, boolean, choice, integer, is_null, quoted, scalar, shown, text
from calicod.resources.shapes import (
    NETWORK,
    TEXT,
    by_key,
    either,
    list_shape,
    shape_of,
    shaped,
    text_like,
    whole_between,
)
from calicod.resources.table import Field, Fields, find, is_mapping, items, list_of, mapping, pairs, read, struct
from calicod.resources.wellformed import Budget, check

MISSING = "T003"
_RESOURCES = "name files or folders, relative to this file, or write resources here"
_port = between(0, 65535, "T002", "port")
_byte = between(0, 255, "T002", "number")
_verdict = choice((Verdict.ACCEPT.value, Verdict.DROP.value), "T003")


@shaped(either(TEXT, whole_between(0, 255)))
def _protocol(node: Node, report: Report) -> str | None:
    return scalar(node, report, "a protocol")


@shaped(either(NETWORK, list_shape(NETWORK)))
def _addresses(node: Node, report: Report) -> tuple[bytes, ...]:
    """One address or a list of them; a mask behind one counts for nothing."""
    nodes = (node,) if isinstance(node, Scalar) else items(node, report)
    return tuple(found for found in (_address(item, report) for item in nodes) if found is not None)


def _address(node: Node, report: Report) -> bytes | None:
    value = text(node, report)
    if value is None:
        return None
    try:
        parse_network(value)
        return parse_address(value.partition("/")[0])
    except ValueError:
        report.error("T001", node, f"{quoted(value)} is no address", hint="such as 192.0.2.1 or 192.0.2.1/24")
        return None


@shaped(lambda: by_key(shape_of(_addresses)))
def _by_name(node: Node, report: Report) -> dict[str, tuple[bytes, ...]] | None:
    if not is_mapping(node, report):
        return None
    return {name: _addresses(value, report) for name, value in pairs(node)}


@shaped(lambda: shape_of(_by_name))
def _interfaces(node: Node, report: Report) -> tuple[Interface, ...]:
    named = _by_name(node, report) or {}
    return tuple(Interface(number, name, addresses) for number, (name, addresses) in enumerate(named.items(), 1))


_POLICY: Fields = {
    "kind": Field("kind", text),
    "tier": Field("tier", text),
    "namespace": Field("namespace", text),
    "name": Field("name", text),
    "rule": Field("rule", integer),
}


@shaped(lambda: either(text_like("[^ ]+ [^ ]+"), mapping(_POLICY)))
def _policy(node: Node, report: Report) -> Rule | None:
    """`Kind name`, `Kind namespace/name`, or the parts of it."""
    if not isinstance(node, Scalar):
        return struct(Rule, _POLICY)(node, report)
    value = text(node, report) or ""
    kind, blank, name = value.partition(" ")
    if not blank:
        report.error("T003", node, f"{quoted(value)} is no policy", hint="write `Kind name` or `Kind namespace/name`")
        return None
    namespace, _, last = name.rpartition("/")
    return Rule(kind=kind, namespace=namespace, name=last)


_EXPECT: Fields = {
    "verdict": Field("verdict", _verdict),
    "reason": Field("reason", choice(tuple(reason.value for reason in Reason), "T003")),
    "policy": Field("policy", _policy),
    "pending": Field("pending", _verdict),
}


@shaped(lambda: either(shape_of(_verdict), {**mapping(_EXPECT), "minProperties": 1}))
def _expect(node: Node, report: Report) -> Expectation | None:
    """A verdict alone, or a mapping of what is expected."""
    if isinstance(node, Scalar):
        verdict = _verdict(node, report)
        return Expectation(verdict=verdict) if verdict else None
    found = struct(Expectation, _EXPECT)(node, report)
    if found == Expectation() and not report.refused:
        report.error("T003", node, "nothing is expected", hint="write `verdict: allow` or `verdict: deny`")
    return found


_FLOW: Fields = {
    "src": Field("src", text, required=MISSING, placeholder=""),
    "dst": Field("dst", text, required=MISSING, placeholder=""),
    "protocol": Field("protocol", _protocol),
    "family": Field("family", between(4, 6, "T002", "family")),
    "sport": Field("sport", _port),
    "dport": Field("dport", _port),
    "icmp_type": Field("icmp_type", _byte),
    "icmp_code": Field("icmp_code", _byte),
    "hook": Field("hook", choice(tuple(hook.value for hook in Hook), "T002")),
    "in": Field("in_interface", text),
    "out": Field("out_interface", text),
    "id": Field("", ignore),
    "http": Field("", ignore),
    "src_principal": Field("", ignore),
}
"""The keys of a packet of `eval`, those included that no policy of this version looks at."""


@shaped(lambda: mapping(_FLOW))
def _flow(node: Node, report: Report) -> Flow | None:
    make: Callable[..., Flow] = Flow
    return make(**read(node, _FLOW, report), place=report.place(node)) if is_mapping(node, report) else None


_CASE: Fields = {
    "name": Field("name", text, required=MISSING, placeholder=""),
    "flow": Field("flow", _flow, required=MISSING, placeholder=Flow(src="", dst="")),
    "expect": Field("expect", _expect, required=MISSING, placeholder=Expectation()),
}


@shaped(lambda: mapping(_CASE))
def _case(node: Node, report: Report) -> Case | None:
    make: Callable[..., Case] = Case
    return make(**read(node, _CASE, report), place=report.place(node)) if is_mapping(node, report) else None


@shaped(either(TEXT, {"type": "object"}, list_shape(either(TEXT, {"type": "object"}))))
def _later(node: Node, report: Report) -> None:
    """Read by `_resources`, which needs the document."""


SUITE: Fields = {
    "resources": Field("", _later),
    "node": Field("node", text),
    "cluster": Field("", boolean),
    "interfaces": Field("interfaces", _interfaces),
    "addresses": Field("addresses", _by_name),
    "tests": Field("cases", list_of(_case), required=MISSING, placeholder=()),
}


def read_suites(path: str) -> tuple[tuple[Suite, ...], tuple[Diagnostic, ...]]:
    """The suites of a file, and every finding; none of them if one is an error. Raises OSError."""
    given = prepared(Path(path).read_bytes().decode(errors="surrogateescape"), path)
    if isinstance(given, Diagnostic):
        return (), (given,)
    suites: list[Suite] = []
    diagnostics: list[Diagnostic] = []
    budget = Budget(given)
    for part in salvage(given, path):
        if isinstance(part, Diagnostic):
            diagnostics.append(part)
        elif not is_null(part.root):
            suite, found = _suite(part, path, budget)
            suites.append(suite)
            diagnostics.extend(found)
    broken = any(found.severity is Severity.ERROR for found in diagnostics)
    return () if broken else tuple(suites), tuple(diagnostics)


def _suite(document: Document, path: str, budget: Budget) -> tuple[Suite, tuple[Diagnostic, ...]]:
    root, report = document.root, Report(document, document.root, path)
    if not is_mapping(root, report):
        return Suite(file=path), report.diagnostics()
    check(root, report, budget)
    make: Callable[..., Suite] = Suite
    suite = make(**read(root, SUITE, report), file=path)
    cluster = find(root, "cluster")
    if suite.node is not None and cluster is not None and cluster.value.lower() == "true":
        report.error("T003", cluster, "node and cluster exclude each other", hint="remove one of them")
    loaded = _resources(find(root, "resources"), document, report, budget)
    whole = msgspec.structs.replace(suite, resources=loaded.resources)
    return whole, (*report.diagnostics(), *loaded.diagnostics)


def _resources(node: Node | None, document: Document, report: Report, budget: Budget) -> Loaded:
    """Paths, relative to the file, and resources that stand in it."""
    if node is None:
        report.error(MISSING, report.root, 'field "resources" is missing', field="resources", hint=_RESOURCES)
        return Loaded()
    loaded: list[Loaded] = []
    for item in (node,) if isinstance(node, Scalar | Mapping) else items(node, report):
        if isinstance(item, Mapping):
            loaded.append(_inline(item, document, report.file, budget))
        elif isinstance(item, Scalar) and not is_null(item):
            loaded.append(read_files([Path(report.file).parent / item.value]))
        else:
            report.error("Y010", item, f"expected a path or a resource, found {shown(item)}")
    return together(loaded)


def _inline(node: Mapping, document: Document, file: str, budget: Budget) -> Loaded:
    report = Report(document, node, file)
    found = resource(node, report, budget, None)
    accepted = (found,) if found is not None and not report.refused else ()
    return Loaded(resources=accepted, diagnostics=report.diagnostics())
