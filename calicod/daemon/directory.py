"""Who owns an address: the `src` and `dst` of events.

Law: endpoints before network sets before Network; among sets the endpoint's own namespace, then global ones, then the
others (semantics 6.4), the longest prefix of each. Memory is bounded: answers are remembered up to a limit.
"""

import socket
from collections.abc import Iterable
from ipaddress import IPv4Network

import msgspec

from calicod.model.event import Party
from calicod.model.network import V4_LENGTH, format_address
from calicod.ruleset.program import KnownNetwork

MEMO_LIMIT = 16_384
ENDPOINT_TYPES = frozenset({"WorkloadEndpoint", "HostEndpoint"})
PRIVATE = tuple(
    (int(n.network_address), int(n.broadcast_address))
    for n in (IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16"))
)

Found = tuple[str, str]
"""An address and its Party, both as JSON."""
Memo = dict[bytes, Found]


def party_json(known: KnownNetwork) -> str:
    """What events show of an endpoint or a network set."""
    return msgspec.json.encode(Party(known.type, known.namespace, known.name, known.labels)).decode()


NOBODY: Found = ("null", "null")
PUBLIC_PARTY = msgspec.json.encode(Party("Network", "", "pub")).decode()
PRIVATE_PARTY = msgspec.json.encode(Party("Network", "", "pvt")).decode()


class Prefixes:
    """Longest prefix first; a family's tables are tried in turn. The first that was put in keeps its prefix."""

    def __init__(self) -> None:
        self._tables: dict[tuple[int, int], dict[int, KnownNetwork]] = {}
        self._order: dict[int, list[tuple[int, dict[int, KnownNetwork]]]] = {}

    def add(self, known: KnownNetwork) -> None:
        """All networks of one owner."""
        for network in known.networks:
            octets = len(network.address)
            shift = octets * 8 - network.length
            table = self._tables.setdefault((octets, shift), {})
            table.setdefault(int.from_bytes(network.address) >> shift, known)
        self._order.clear()

    def find(self, address: bytes) -> KnownNetwork | None:
        """The owner of the longest prefix that covers the address."""
        octets = len(address)
        order = self._order.get(octets)
        if order is None:
            order = sorted(((s, t) for (o, s), t in self._tables.items() if o == octets), key=lambda pair: pair[0])
            self._order[octets] = order
        number = int.from_bytes(address)
        for shift, table in order:
            known = table.get(number >> shift)
            if known is not None:
                return known
        return None


class Directory:
    """Built once for a RuleSet; `local`: the addresses of this host, for the reporter of failsafe connections."""

    def __init__(self, known: Iterable[KnownNetwork] = (), local: Iterable[bytes] = ()) -> None:
        self.local = frozenset(local)
        self._endpoints = Prefixes()
        self._sets: dict[str, Prefixes] = {}
        self._named: dict[tuple[str, str, str], KnownNetwork] = {}
        self._memos: dict[str, Memo] = {}
        self._remembered = 0
        for owner in sorted(known, key=lambda k: (k.type != "WorkloadEndpoint", k.namespace, k.name)):
            if owner.type in ENDPOINT_TYPES:
                self._endpoints.add(owner)
                self._named[owner.type, owner.namespace, owner.name] = owner
            else:
                self._sets.setdefault(owner.namespace, Prefixes()).add(owner)

    def memo(self, namespace: str) -> Memo:
        """The answers so far, as seen from endpoints of this namespace; namespaces without sets share theirs."""
        namespace = namespace if namespace in self._sets else ""
        memo = self._memos.get(namespace)
        if memo is None:
            memo = self._memos[namespace] = {}
        return memo

    def find(self, address: bytes, namespace: str) -> Found:
        """Text and Party of an address, as seen from an endpoint of `namespace`; remembered in `memo(namespace)`."""
        if self._remembered >= MEMO_LIMIT:
            for memo in self._memos.values():
                memo.clear()
            self._remembered = 0
        found = (f'"{_text(address)}"', self._party(address, namespace)) if address else NOBODY
        self.memo(namespace)[address] = found
        self._remembered += 1
        return found

    def named(self, type_: str, namespace: str, name: str) -> str:
        """The Party of an endpoint by its name, with its labels if it is known."""
        known = self._named.get((type_, namespace, name))
        return party_json(known or KnownNetwork(type_, namespace, name, {}, ()))

    def _party(self, address: bytes, namespace: str) -> str:
        known = self._endpoints.find(address) or self._set(address, namespace)
        if known is not None:
            return party_json(known)
        number = int.from_bytes(address)
        private = len(address) == V4_LENGTH and any(first <= number <= last for first, last in PRIVATE)
        return PRIVATE_PARTY if private else PUBLIC_PARTY

    def _set(self, address: bytes, namespace: str) -> KnownNetwork | None:
        for preferred in (namespace, ""):
            if preferred in self._sets and (known := self._sets[preferred].find(address)) is not None:
                return known
        others = (self._sets[name].find(address) for name in sorted(self._sets) if name not in (namespace, ""))
        return next((known for known in others if known is not None), None)


def _text(address: bytes) -> str:
    return socket.inet_ntoa(address) if len(address) == V4_LENGTH else format_address(address)
