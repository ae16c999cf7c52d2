"""Who owns an address: the `src` and `dst` of events.

Law: endpoints before network sets before Network; among sets the endpoint's own namespace, then global ones, then the
others (semantics 6.4), the longest prefix of each. Memory is bounded: answers are remembered up to a limit.
"""

from collections.abc import Iterable
from socket import inet_ntoa

from calicod.model.event import Party
from calicod.model.network import V4_LENGTH, V6_LENGTH, format_address, parse_network
from calicod.model.printable import encode_printable
from calicod.ruleset.program import KnownNetwork

MEMO_LIMIT = 16_384
ENDPOINT_TYPES = frozenset({"WorkloadEndpoint", "HostEndpoint"})
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
"""RFC 1918."""

Found = tuple[str, str]
"""An address and its Party, both as JSON."""
Steps = tuple[tuple[int, dict[int, KnownNetwork]], ...]
"""What is asked in turn: how far to shift an address, and who has what is left."""

LENGTHS = (V4_LENGTH, V6_LENGTH)
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


class View:
    """Addresses as endpoints of a namespace see them: who is asked in turn, by octets; and what was found so far."""

    __slots__ = ("memo", "steps")

    def __init__(self, steps: dict[int, Steps]) -> None:
        self.steps = steps
        self.memo: dict[bytes, Found] = {}


class Directory:
    """Built once for a RuleSet; `local`: the addresses of this host, for the reporter of failsafe connections.

    `views`: what `view` gave so far, for the hot path.
    """

    def __init__(self, known: Iterable[KnownNetwork] = (), local: Iterable[bytes] = ()) -> None:
        self.local = frozenset(local)
        self.views: dict[str, View] = {}
        self._endpoints = Prefixes()
        self._sets: dict[str, Prefixes] = {}
        self._named: dict[tuple[str, str, str], KnownNetwork] = {}
        self._shown: dict[int, str] = {}  # by identity: what the tables hold lives as long as they
        self._remembered = 0
        for owner in sorted(known, key=lambda k: (k.type != "WorkloadEndpoint", k.namespace, k.name)):
            if owner.type in ENDPOINT_TYPES:
                self._endpoints.add(owner)
                self._named[owner.type, owner.namespace, owner.name] = owner
            else:
                self._sets.setdefault(owner.namespace, Prefixes()).add(owner)

    def view(self, namespace: str) -> View:
        """From this namespace; those without sets of their own share one.

        Endpoints come first, then sets of the namespace, global ones, others by name, then what is nobody's.
        """
        seen_as = namespace if namespace in self._sets else ""
        view = self.views.get(seen_as)
        if view is None:
            names = dict.fromkeys((seen_as, "", *sorted(self._sets)))
            tables = (self._endpoints, *(self._sets[name] for name in names if name in self._sets), ANYWHERE)
            view = View({octets: tuple(s for table in tables for s in table.steps(octets)) for octets in LENGTHS})
        self.views[seen_as] = self.views[namespace] = view
        return view

    def find(self, address: bytes, view: View) -> Found:
        """Text and Party of an address; remembered in the view."""
        if self._remembered >= MEMO_LIMIT:
            for each in self.views.values():
                each.memo.clear()
            self._remembered = 0
        self._remembered += 1
        found, party = NOBODY, PUBLIC_PARTY
        if address:
            number = int.from_bytes(address)
            for shift, table in view.steps[len(address)]:
                known = table.get(number >> shift)
                if known is not None:
                    party = self._shown.get(id(known)) or self._show(known)
                    break
            text = inet_ntoa(address) if len(address) == V4_LENGTH else format_address(address)
            found = (f'"{text}"', party)
        view.memo[address] = found
        return found

    def _show(self, known: KnownNetwork) -> str:
        shown = self._shown[id(known)] = party_json(known)
        return shown

    def named(self, type_: str, namespace: str, name: str) -> str:
        """The Party of an endpoint by its name, with its labels if it is known."""
        known = self._named.get((type_, namespace, name))
        return party_json(known or KnownNetwork(type_, namespace, name, {}, ()))
