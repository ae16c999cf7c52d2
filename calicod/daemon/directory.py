"""Who owns an address: the `src` and `dst` of events.

Law: endpoints before network sets before Network; among sets the endpoint's own namespace, then global ones, then the
others (semantics 6.4), the longest prefix of each. Memory is bounded: answers are remembered up to a limit.
"""

import socket
from collections.abc import Iterable

from calicod.model.event import Party, encode_printable
from calicod.model.network import V4_LENGTH, format_address, parse_network
from calicod.ruleset.program import KnownNetwork

MEMO_LIMIT = 16_384
ENDPOINT_TYPES = frozenset({"WorkloadEndpoint", "HostEndpoint"})
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
"""RFC 1918."""

Found = tuple[str, str]
"""An address and its Party, both as JSON."""
Memo = dict[bytes, Found]
Steps = tuple[tuple[int, dict[int, KnownNetwork]], ...]
"""What is asked in turn: how far to shift an address, and who has what is left."""

NOBODY: Found = ("null", "null")
NETWORK = "Network"


def party_json(known: KnownNetwork) -> str:
    """What events show of an endpoint, a network set, or a network that is nothing of ours."""
    return encode_printable(Party(known.type, known.namespace, known.name, known.labels)).decode()


class Prefixes:
    """Longest prefix first. The first that was put in keeps its prefix."""

    def __init__(self, owners: Iterable[KnownNetwork] = ()) -> None:
        self._tables: dict[tuple[int, int], dict[int, KnownNetwork]] = {}
        for owner in owners:
            self.add(owner)

    def add(self, known: KnownNetwork) -> None:
        """All networks of one owner."""
        for network in known.networks:
            octets = len(network.address)
            shift = octets * 8 - network.length
            table = self._tables.setdefault((octets, shift), {})
            table.setdefault(int.from_bytes(network.address) >> shift, known)

    def steps(self, octets: int) -> Steps:
        """For addresses of this length."""
        tables = ((shift, table) for (length, shift), table in self._tables.items() if length == octets)
        return tuple(sorted(tables, key=lambda step: step[0]))


PUBLIC_PARTY = party_json(KnownNetwork(NETWORK, "", "pub", {}, ()))
ANYWHERE = Prefixes([KnownNetwork(NETWORK, "", "pvt", {}, tuple(parse_network(text)[0] for text in PRIVATE))])


class Directory:
    """Built once for a RuleSet; `local`: the addresses of this host, for the reporter of failsafe connections.

    `memos`: what `memo` gave so far, for the hot path.
    """

    def __init__(self, known: Iterable[KnownNetwork] = (), local: Iterable[bytes] = ()) -> None:
        self.local = frozenset(local)
        self.memos: dict[str, Memo] = {}
        self._endpoints = Prefixes()
        self._sets: dict[str, Prefixes] = {}
        self._named: dict[tuple[str, str, str], KnownNetwork] = {}
        self._steps: dict[tuple[str, int], Steps] = {}
        self._shown: dict[int, str] = {}  # by identity: what the tables hold lives as long as they
        self._remembered = 0
        for owner in sorted(known, key=lambda k: (k.type != "WorkloadEndpoint", k.namespace, k.name)):
            if owner.type in ENDPOINT_TYPES:
                self._endpoints.add(owner)
                self._named[owner.type, owner.namespace, owner.name] = owner
            else:
                self._sets.setdefault(owner.namespace, Prefixes()).add(owner)

    def memo(self, namespace: str) -> Memo:
        """What was found so far, as seen from this namespace; those without sets of their own share one."""
        view = namespace if namespace in self._sets else ""
        memo = self.memos[namespace] = self.memos.setdefault(view, {})
        return memo

    def find(self, address: bytes, namespace: str) -> Found:
        """Text and Party of an address, as seen from an endpoint of `namespace`; remembered in its memo."""
        if self._remembered >= MEMO_LIMIT:
            for memo in self.memos.values():
                memo.clear()
            self._remembered = 0
        self._remembered += 1
        memo = self.memos.get(namespace) or self.memo(namespace)
        found = memo[address] = (f'"{_text(address)}"', self._party(address, namespace)) if address else NOBODY
        return found

    def named(self, type_: str, namespace: str, name: str) -> str:
        """The Party of an endpoint by its name, with its labels if it is known."""
        known = self._named.get((type_, namespace, name))
        return party_json(known or KnownNetwork(type_, namespace, name, {}, ()))

    def _party(self, address: bytes, namespace: str) -> str:
        """The first that has the address."""
        number = int.from_bytes(address)
        octets = len(address)
        for shift, table in self._steps.get((namespace, octets)) or self._ask(namespace, octets):
            known = table.get(number >> shift)
            if known is not None:
                return self._shown.get(id(known)) or self._show(known)
        return PUBLIC_PARTY

    def _show(self, known: KnownNetwork) -> str:
        shown = self._shown[id(known)] = party_json(known)
        return shown

    def _ask(self, namespace: str, octets: int) -> Steps:
        """Endpoints, sets of the namespace, global ones, others by name, then whether it is private."""
        others = sorted(name for name in self._sets if name not in {namespace, ""})
        sets = (self._sets[name] for name in dict.fromkeys((namespace, "", *others)) if name in self._sets)
        steps = tuple(step for prefixes in (self._endpoints, *sets, ANYWHERE) for step in prefixes.steps(octets))
        self._steps[namespace, octets] = steps
        return steps


def _text(address: bytes) -> str:
    return socket.inet_ntoa(address) if len(address) == V4_LENGTH else format_address(address)
