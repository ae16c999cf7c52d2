"""Addresses and networks as fields hold them: masked or not, one address or many (semantics 1.7, 1.10, 2.2 R12).

Law: nothing is resolved and nothing is dropped: what cannot be read refuses the resource (D12).
"""

import re
from functools import lru_cache

from calicod.model.network import V4_LENGTH, Network, format_address, parse_address, parse_network
from calicod.resources.document import Node
from calicod.resources.report import Report
from calicod.resources.scalars import Reader, is_null, quoted, text
from calicod.resources.shapes import ADDRESS, NETWORK, shaped

_DOTTED_MASK = re.compile(r".*/\d+\.\d+\.\d+\.\d+")
_ADDRESS_RANGE = re.compile(r"\d+\.\d+\.\d+\.\d+ ?- ?\d.*")


@lru_cache(maxsize=8192)
def _parsed(value: str) -> tuple[Network, bool] | None:
    try:
        return parse_network(value)
    except ValueError:
        return None


def _network(node: Node, report: Report, code: str) -> tuple[str, Network, bool] | None:
    """The text, the network and whether its host bits were clear."""
    value = "" if is_null(node) else text(node, report)
    if value is None:
        return None
    parsed = _parsed(value)
    if parsed is None:
        report.error(
            code, node, f"{quoted(value)} is not a network: expected an address with a mask", hint=_hint(value)
        )
        return None
    return value, *parsed


def _hint(value: str) -> str | None:
    if value != value.strip():
        return "remove the blanks around it"
    if _DOTTED_MASK.fullmatch(value):
        return "write the mask as a number of bits, such as /24"
    if _ADDRESS_RANGE.fullmatch(value):
        return "write a range of addresses as one or more CIDR blocks"
    return "such as 10.0.0.0/8 or 2001:db8::/32; names are not resolved"


def any_network(code: str) -> Reader[Network]:
    """A CIDR or bare address; host bits are masked away."""

    @shaped(NETWORK)
    def read(node: Node, report: Report) -> Network | None:
        found = _network(node, report, code)
        return found[1] if found else None

    return read


def masked_network(code: str) -> Reader[Network]:
    """A CIDR whose host bits are clear, or a bare address."""

    @shaped(NETWORK)
    def read(node: Node, report: Report) -> Network | None:
        found = _network(node, report, code)
        if found is None or found[2]:
            return found[1] if found else None
        report.error(code, node, f"{quoted(found[0])} has host bits set", hint=_masks(*found[:2]))
        return None

    return read


def _masks(value: str, network: Network) -> str:
    address = parse_address(value.partition("/")[0])
    bits = len(address) * 8
    return f"write {network} for the whole block, {format_address(address)}/{bits} for the one address"


@shaped(NETWORK)
def rule_network(node: Node, report: Report) -> Network | None:
    """An entry of a rule's nets; a bare address is taken with a warning (R12, D25)."""
    network = _STRICT(node, report)
    if network and "/" not in node.value:
        report.warning("W003", node, f"bare address is taken as {network}", hint=f"write {network}")
    return network


@shaped(NETWORK)
def excluded_network(node: Node, report: Report) -> Network | None:
    """An entry of a rule's notNets: the whole of a family would leave nothing (R13)."""
    network = rule_network(node, report)
    if network is None:
        return None
    # Of IPv4, only this spelling counts (semantics 1.15); the compiler drops a rule with the others (2.4).
    if network.length == 0 and (node.value == "0.0.0.0/0" or len(network.address) > V4_LENGTH):
        report.error("R013", node, f"{quoted(node.value)} excludes every address: the rule could never match")
        return None
    return network


_STRICT = masked_network("R012")


def address(code: str) -> Reader[bytes]:
    """One address without a mask."""

    @shaped(ADDRESS)
    def read(node: Node, report: Report) -> bytes | None:
        value = "" if is_null(node) else text(node, report)
        if value is None:
            return None
        try:
            return parse_address(value)
        except ValueError:
            hint = "remove the mask" if "/" in value else None
            report.error(code, node, f"{quoted(value)} is not an address", hint=hint)
            return None

    return read


def single_network(code: str) -> Reader[bytes]:
    """One address, bare or with /32 or /128."""

    @shaped(NETWORK)
    def read(node: Node, report: Report) -> bytes | None:
        found = _network(node, report, code)
        if found is None:
            return None
        value, network, _ = found
        if network.length < len(network.address) * 8:
            report.error(code, node, f"{quoted(value)} contains more than one address", hint=_masks(value, network))
            return None
        return network.address

    return read
