"""Protocols and ports, of rules and of endpoints (semantics 2.3, 2.7, 1.8).

Law: a name of a protocol is spelt as Calico spells it; a port is a number, a range or a Kubernetes port name.
"""

import re

from calicod.model.ports import PortRange
from calicod.model.protocol import ICMP, ICMPV6, NAMES, RULE_PORTS, Protocol
from calicod.model.protocol import NUMBERS as NUMBERED
from calicod.resources.document import PLAIN, Node
from calicod.resources.kinds import Port
from calicod.resources.names import PORT_NAME, is_port_name
from calicod.resources.report import Report
from calicod.resources.scalars import between, quoted, scalar, shown, text
from calicod.resources.shapes import either, or_empty, shaped, text_like, whole_between, words

MAX_PORT = 65535
_FAMILY = {"ICMP": 4, "ICMPv6": 6}
_FOLDED = {name.lower(): name for name in NAMES}
_DIGITS = re.compile(r"[0-9]{1,20}")
_RANGE = re.compile(r"([0-9]{1,20}):([0-9]{1,20})")
_WHOLE_FLOAT = re.compile(r"([0-9]{1,20})\.0*")
_DASHED = re.compile(r"\s*([0-9]+)\s*(?:-|\.\.|\u2013|,|: | :)\s*([0-9]+)\s*")

_DIGITS_ALONE = text_like(_DIGITS.pattern)
_PROTOCOL = either(words(*NAMES), whole_between(1, 255), _DIGITS_ALONE)
_PORT_PROTOCOL = either(words(*(NUMBERED[n] for n in sorted(RULE_PORTS))), {"enum": sorted(RULE_PORTS)}, _DIGITS_ALONE)
_PORT = either(whole_between(1, MAX_PORT), text_like(f"{_DIGITS.pattern}|{_RANGE.pattern}|{PORT_NAME}"))

port_number = between(1, MAX_PORT, "P026", "port")
NUMBERS = {name: Protocol(number, _FAMILY.get(name)) for name, number in NAMES.items()}


@shaped(_PROTOCOL)
def protocol(node: Node, report: Report) -> Protocol | None:
    """A name (which may imply a family) or a number from 1 to 255, also as text."""
    value = scalar(node, report, "a protocol", "R004")
    if value is None:
        return None
    if value in NUMBERS:
        return NUMBERS[value]
    number = _number(value, node)
    if number is not None and 1 <= number <= 255:  # noqa: PLR2004  # one byte of the IP header
        return Protocol(number)
    right = _FOLDED.get(value.lower())
    expected = f"expected {', '.join(NAMES)} or a number from 1 to 255"
    report.error(
        "R004", node, f"unknown protocol {quoted(value)}: {expected}", hint=f"write {right}" if right else None
    )
    return None


@shaped(_PORT)
def rule_port(node: Node, report: Report) -> Port | None:
    """A number, a range `80:90` or a name; a slip of the pen gets the likeliest meaning as its hint (D26)."""
    value = scalar(node, report, "a port", "R029")
    if value is None:
        return None
    number = _number(value, node)
    if number is not None:
        return _checked(PortRange(number, number), node, report)
    ends = _RANGE.fullmatch(value)
    if ends:
        return _checked(PortRange(int(ends[1]), int(ends[2])), node, report)
    if is_port_name(value):
        return value
    report.error(
        "R029", node, f"{quoted(value)} is neither a port number, nor a range, nor a port name", hint=_hint(value)
    )
    return None


def _number(value: str, node: Node) -> int | None:
    """The whole number that a scalar is: `80`, in quotes or not, and `80.0`."""
    if _DIGITS.fullmatch(value):
        return int(value)
    whole = _WHOLE_FLOAT.fullmatch(value) if node.tag == PLAIN else None
    return int(whole[1]) if whole else None


def _checked(ports: PortRange, node: Node, report: Report) -> PortRange | None:
    if ports.first > ports.last:
        hint = f"write {ports.last}:{ports.first}"
        report.error("R029", node, f"port range {quoted(node.value)} runs backwards", hint=hint)
    elif not 1 <= ports.first <= ports.last <= MAX_PORT:
        report.error("R029", node, f"{shown(node)} is out of range, expected ports from 1 to {MAX_PORT}")
    else:
        return ports
    return None


def _hint(value: str) -> str | None:
    ends = _DASHED.fullmatch(value)
    if ends:
        separate = "" if "," not in value else f" for the range, [{ends[1]}, {ends[2]}] for both ports"
        return f"write {ends[1]}:{ends[2]}{separate}"
    mended = value.strip().lower().replace("_", "-")
    return f"write {mended}" if mended != value and (is_port_name(mended) or _DIGITS.fullmatch(mended)) else None


@shaped(_PORT_PROTOCOL)
def port_protocol(node: Node, report: Report) -> int | None:
    """The protocol of an endpoint's port: one that rules may name ports of."""
    found = protocol(node, report)
    if found is None or found.number in RULE_PORTS:
        return found.number if found else None
    report.error("P026", node, f"protocol {quoted(node.value)} has no ports for rules: expected TCP, UDP or SCTP")
    return None


@shaped(or_empty(text_like(PORT_NAME)))
def port_name(node: Node, report: Report) -> str | None:
    """The name of an endpoint's port; empty text counts as absent."""
    value = text(node, report)
    if not value or is_port_name(value):
        return value or None
    expected = "expected 1 to 15 lower-case letters, digits and single inner `-`, at least one letter"
    report.error("P026", node, f"{quoted(value)} is not a port name: {expected}", hint=_hint(value))
    return None


def implied_family(found: Protocol) -> int | None:
    """The family that a protocol number belongs to, if to one alone."""
    return {ICMP: 4, ICMPV6: 6}.get(found.number)
