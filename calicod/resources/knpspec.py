"""The `spec` of a network policy of Kubernetes, as it is written (semantics 5.1, P16).

Law: what the API of Kubernetes would refuse is refused, not made into something wider or narrower.
"""

from collections.abc import Callable

from calicod.model.network import Network
from calicod.model.ports import PortRange
from calicod.model.protocol import SCTP, TCP, UDP
from calicod.resources.document import Mapping, Node, Sequence
from calicod.resources.kinds import Port
from calicod.resources.knp import Block, Entry, Peer, PortEntry, Spec
from calicod.resources.labelselectors import label_selector
from calicod.resources.names import PORT_NAME, is_port_name
from calicod.resources.networks import any_network
from calicod.resources.ports import MAX_PORT
from calicod.resources.report import Report
from calicod.resources.scalars import Reader, choice, integer, is_number, quoted, scalar, shown, text
from calicod.resources.shapes import either, shaped, text_like, whole_between, words_in_any_case
from calicod.resources.table import Field, Fields, find, is_mapping, list_of, mapping, read

ENFORCED = "KubernetesNetworkPolicy"
PROTOCOLS = {"TCP": TCP, "UDP": UDP, "SCTP": SCTP}
NUMBERED = {"port": "port", "endPort": "last"}
TYPES = ("Ingress", "Egress")
CODE = "P016"
"""Of whatever cannot be converted, and has no code of its own."""


def spec(node: Mapping, report: Report, extra: Fields | None = None) -> tuple[Spec, dict[str, object]]:
    """The spec, and the values of the `extra` fields that a kind has beside those of a NetworkPolicy."""
    values = read(node, SPEC | (extra or {}), report, MISPLACED)
    make: Callable[..., Spec] = Spec
    own = {name: values.pop(name) for name in Spec.__struct_fields__ if name in values}
    return make(**own), values


@shaped(words_in_any_case(*PROTOCOLS))
def _protocol(node: Node, report: Report) -> int | None:
    """TCP, UDP or SCTP; the conversion does not mind the case."""
    value = text(node, report)
    if value is None:
        return None
    if value.upper() in PROTOCOLS:
        return PROTOCOLS[value.upper()]
    report.error("R004", node, f"unknown protocol {quoted(value)}: expected {', '.join(PROTOCOLS)}")
    return None


@shaped(either(whole_between(1, MAX_PORT), text_like(f"[0-9]{{1,5}}|{PORT_NAME}")))
def _port(node: Node, report: Report) -> Port | None:
    """A number, or the name of a port."""
    value = scalar(node, report, "a port", CODE)
    if value is None:
        return None
    if is_number(node) and not is_port_name(value):
        number = integer(node, report)
        return None if number is None else _numbered(number, node, report)
    if value.isascii() and value.isdigit() and len(value) <= len(str(MAX_PORT)):
        return _numbered(int(value), node, report)
    if is_port_name(value):
        return value
    hint = "write the first port as port: and the last as endPort:" if value[:1].isdigit() else None
    report.error(CODE, node, f"{quoted(value)} is neither a port number nor the name of a port", hint=hint)
    return None


def _numbered(number: int, node: Node, report: Report) -> PortRange | None:
    if 1 <= number <= MAX_PORT:
        return PortRange(number, number)
    _tell_of_no_port(node, f"{shown(node)} is out of range, expected ports from 1 to {MAX_PORT}", report)
    return None


def _tell_of_no_port(node: Node, message: str, report: Report) -> None:
    """The entry goes and the policy stays, which is stricter (semantics 5.1); a staged one is refused (P16)."""
    if report.kind == ENFORCED:
        report.warning("W082", node, f"{message}: the whole entry allows nothing", hint="correct the port")
    else:
        report.error(CODE, node, message)


@shaped(whole_between(1, MAX_PORT))
def _last_port(node: Node, report: Report) -> int | None:
    number = integer(node, report)
    found = None if number is None else _numbered(number, node, report)
    return found.last if found else None


@shaped(lambda: mapping(PORT, "PolicyPort"))
def _port_entry(node: Node, report: Report) -> PortEntry | None:
    if not is_mapping(node, report):
        return None
    values = read(node, PORT, report)
    protocol, port, last = values.get("protocol", TCP), values.get("port"), values.get("last")
    broken = any(find(node, name) is not None and attribute not in values for name, attribute in NUMBERED.items())
    if isinstance(last, int):
        place = find(node, "endPort") or node
        if isinstance(port, PortRange) and port.first <= last:
            port = PortRange(port.first, last)
        elif isinstance(port, PortRange):
            _tell_of_no_port(place, f"endPort {last} is below port {port.first}", report)
            broken = True
        elif isinstance(port, str) or find(node, "port") is None:
            report.error(CODE, place, "endPort needs port: as a number")
    return PortEntry(
        protocol=protocol if isinstance(protocol, int) else TCP,
        port=port if isinstance(port, PortRange | str) else None,
        broken=broken,
    )


@shaped(lambda: mapping(BLOCK))
def _block(node: Node, report: Report) -> Block | None:
    if not is_mapping(node, report):
        return None
    values = read(node, BLOCK, report)
    cidr, excepted = values["cidr"], values.get("excepted", ())
    listed = find(node, "except")
    places = listed.value if isinstance(listed, Sequence) else ()
    if not isinstance(cidr, Network) or not isinstance(excepted, tuple) or len(places) != len(excepted):
        return None
    for place, net in zip(places, excepted, strict=True):
        if net.address not in cidr or net.length <= cidr.length:
            report.error(CODE, place, f"{net} is not a part of {cidr}", hint="except: takes parts of cidr:")
    return Block(cidr, excepted)


@shaped(lambda: mapping(PEER, "Peer"))
def _peer(node: Node, report: Report) -> Peer | None:
    if not is_mapping(node, report):
        return None
    make: Callable[..., Peer] = Peer
    peer = make(**read(node, PEER, report, PEER_MISPLACED), place=report.place(node))
    if find(node, "ipBlock") is not None and (peer.pods is not None or peer.namespaces is not None):
        place = find(node, "ipBlock") or node
        report.error(CODE, place, "ipBlock cannot stand beside a selector", hint="write two entries")
    return peer


def _entry(side: str) -> Reader[Entry]:
    table: Fields = {side: Field("peers", list_of(_peer)), "ports": Field("ports", list_of(_port_entry))}
    other = "to" if side == "from" else "from"
    misplaced = {
        other: f"write {side}: here",
        **{name: f"{name} belongs to an entry of {side}:" for name in PEER},
        **{name: f"{name} belongs to an entry of ports:" for name in PORT},
        "action": "a network policy of Kubernetes only allows",
    }

    @shaped(lambda: mapping(table))
    def read_entry(node: Node, report: Report) -> Entry | None:
        if not is_mapping(node, report):
            return None
        make: Callable[..., Entry] = Entry
        return make(**read(node, table, report, misplaced), place=report.place(node))

    return read_entry


PORT: Fields = {
    "protocol": Field("protocol", _protocol),
    "port": Field("port", _port),
    "endPort": Field("last", _last_port),
}
BLOCK: Fields = {
    "cidr": Field("cidr", any_network("R012"), required="R012"),
    "except": Field("excepted", list_of(any_network("R012"))),
}
PEER: Fields = {
    "podSelector": Field("pods", label_selector),
    "namespaceSelector": Field("namespaces", label_selector),
    "ipBlock": Field("block", _block),
}
PEER_MISPLACED = {
    "matchLabels": "it belongs under podSelector: or namespaceSelector:",
    "cidr": "write ipBlock: { cidr: … }",
    "ports": "ports: belongs beside from: or to:",
}
SPEC: Fields = {
    "podSelector": Field("pods", label_selector),
    "policyTypes": Field("types", list_of(choice(TYPES, "P006"))),
    "ingress": Field("ingress", list_of(_entry("from"))),
    "egress": Field("egress", list_of(_entry("to"))),
}
MISPLACED = {
    "selector": "write podSelector: with matchLabels: and matchExpressions:",
    "types": "write policyTypes:",
    "tier": "only a policy of Calico's has a tier",
    "order": "only a policy of Calico's has an order",
}
