"""Annotations of a Pod that say what its status and spec cannot (semantics 1.12, 4.6).

Law: an annotation that bears on a verdict is read, or refuses the pod; it is never skipped.
"""

import msgspec

from calicod.model.network import Network, parse_address, parse_network
from calicod.resources.document import Node, Scalar
from calicod.resources.report import Report
from calicod.resources.scalars import quoted
from calicod.resources.table import find, pairs

ADDRESSES = ("cni.projectcalico.org/podIPs", "cni.projectcalico.org/podIP", "vpc.amazonaws.com/pod-ips")
"""The first that is not empty counts."""
PREFIXES = "cni.projectcalico.org/allowedSourcePrefixes"
FLOATING = "cni.projectcalico.org/floatingIPs"
QOS = "qos.projectcalico.org/"
DROPPING = ("PacketRate", "PacketBurst", "MaxConnections")
"""Of the limits, those that drop or reject packets; the others only delay them."""


def addresses(notes: Node | None, report: Report) -> tuple[bytes, ...]:
    """The addresses that the network plugin wrote down before the status has them."""
    for note in ADDRESSES:
        node = find(notes, note)
        if isinstance(node, Scalar) and node.value:
            return tuple(_single(part, node, report) for part in node.value.split(","))
    return ()


def prefixes(notes: Node | None, report: Report) -> tuple[Network, ...]:
    """Sources that the pod may use besides its own."""
    node = find(notes, PREFIXES)
    if not isinstance(node, Scalar) or not node.value:
        return ()
    found = []
    for part in _listed(node, report, "P027"):
        try:
            found.append(parse_network(part)[0])
        except ValueError:
            report.error("P027", node, f"{quoted(part)} is not a network")
    return tuple(found)


def check_floating(notes: Node | None, report: Report) -> None:
    """Floating addresses are NATed before policy; they only have to be addresses."""
    node = find(notes, FLOATING)
    for part in _listed(node, report, "P028") if isinstance(node, Scalar) else ():
        try:
            parse_address(part)
        except ValueError:
            report.error("P028", node or report.root, f"{quoted(part)} is not an address")


def check_limits(notes: Node | None, report: Report) -> None:
    """Limits that drop or reject packets: not honoured, so not accepted."""
    for key, node in pairs(notes) if notes is not None else ():
        if key.startswith(QOS) and key.endswith(DROPPING):
            report.error("N009", node, f"annotation {quoted(key)} is not supported yet", hint="remove it")


def _single(value: str, node: Node, report: Report) -> bytes:
    """One address, bare or with its whole mask."""
    try:
        network, _ = parse_network(value.strip())
    except ValueError:
        report.error("P027", node, f"{quoted(value)} is not an address")
        return b""
    if network.length < 8 * len(network.address):
        report.error("P027", node, f"{quoted(value)} contains more than one address")
    return network.address


def _listed(node: Node, report: Report, code: str) -> list[str]:
    try:
        return msgspec.json.decode(node.value, type=list[str])
    except msgspec.DecodeError:
        report.error(code, node, f"{quoted(node.value)} is not a list of texts in JSON", hint='such as ["10.0.0.0/24"]')
        return []
