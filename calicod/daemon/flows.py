"""What is remembered of live flows, so that allowed, cut and closed tell of the same one.

Law: memory is bounded whatever traffic comes: a flow is two integers. What is forgotten is counted. A flow's identity
needs no memory: its id is a hash that a successor computes again from what conntrack knows.
"""

from hashlib import blake2b
from struct import Struct

Ends = tuple[bytes, bytes, int, int, int]
"""Source before NAT, destination after it, their ports (-1: none), protocol number.

ICMP: the identifier, and type and code as one number (`icmp_ends`), stand for the ports.
"""

FLOW_LIMIT = 131_072
TEMPLATE_BITS = 24
TEMPLATE_LIMIT = (1 << TEMPLATE_BITS) - 1
UNKNOWN = 0
"""Start or template that is not known: the flow was judged before this process began, or was forgotten."""

NAME_BYTES = 6
"""Of the hash in a name; the source port makes it 16 digits."""

OCTETS = tuple(f"{octet:02x}" for octet in range(256))
"""Two of them are a port in a name (`named`), in a third of the time that formatting takes."""

_IDENTITY = Struct("!QHh")


def icmp_ends(src: bytes, dst: bytes, identifier: int, kind: int, code: int, protocol: int) -> Ends:
    """The ends of a flow of ICMP or ICMPv6."""
    return src, dst, identifier, kind << 8 | code, protocol


def pack(start: int, template: int) -> int:
    """One flow: the second of its start, and its last decision.

    >>> unpack(pack(1_700_000_000, 7))
    (1700000000, 7)
    """
    return start << TEMPLATE_BITS | template


def unpack(flow: int) -> tuple[int, int]:
    """The inverse of `pack`."""
    return flow >> TEMPLATE_BITS, flow & TEMPLATE_LIMIT


def named(prefix: str, sport: int) -> str:
    """The name of the flow from this source port (-1: none).

    >>> named("0123456789ab", 6379)
    '0123456789ab18eb'
    """
    return f"{prefix}{OCTETS[sport >> 8 & 255]}{OCTETS[sport & 255]}"


class FlowNames:
    """Names flows of one node: 16 hexadecimal digits.

    INVARIANT: the start is counted in seconds. Conntrack's own start lies a moment after the decision's time; in whole
    seconds both are nearly always the same, so a supervisor that lost its memory names the flow as its predecessor did.

    A name is a hash of all but the source port, and that port: clients open many connections to one place.
    """

    def __init__(self, node: str) -> None:
        self._node = blake2b(node.encode("utf-8", "backslashreplace") + b"\0", digest_size=NAME_BYTES)
        self._last: tuple[bytes, bytes, int, int, int] | None = None
        self._prefix = ""

    def name(self, ends: Ends, start: int) -> str | None:
        """The flow_id; None when the start is not known."""
        if start == UNKNOWN:
            return None
        src, dst, sport, dport, protocol = ends
        about = (src, dst, dport, protocol, start)
        if about != self._last:
            self._last, self._prefix = about, self.prefix(src, dst, dport, protocol, start)
        return named(self._prefix, sport)

    def prefix(self, src: bytes, dst: bytes, dport: int, protocol: int, start: int) -> str:
        """What the names of flows have in common that differ in their source port alone."""
        digest = self._node.copy()
        digest.update(src + dst + _IDENTITY.pack(start, dport & 0xFFFF, protocol))
        return digest.hexdigest()


class Memory:
    """Integers by integer keys in two generations: when the younger is full, the older is forgotten at once.

    So at least half the limit is always remembered, the most recent half. `forgotten` counts.
    """

    def __init__(self, limit: int) -> None:
        self._half = max(1, limit // 2)
        self._young: dict[int, int] = {}
        self._old: dict[int, int] = {}
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._young) + sum(1 for key in self._old if key not in self._young)

    def get(self, key: int) -> int | None:
        """The value, or None."""
        value = self._young.get(key)
        return self._old.get(key) if value is None else value

    def put(self, key: int, value: int) -> None:
        """Remembers; may forget the older half."""
        young = self._young
        if len(young) >= self._half and key not in young:
            self.forgotten += sum(1 for old in self._old if old not in young)
            self._old = young
            young = self._young = {}
        young[key] = value

    def add(self, key: int, value: int) -> int | None:
        """Remembers what is not known yet; what is known stays, and is returned."""
        young = self._young
        found = young.get(key)
        if found is None:
            found = self._old.get(key)
            if found is None:
                if len(young) >= self._half:
                    self.put(key, value)
                else:
                    young[key] = value
        return found

    def add_all(self, keys: list[int], value: int) -> bool:
        """Remembers keys of which none is known yet, nor comes twice; otherwise nothing, and False."""
        young, new = self._young, dict.fromkeys(keys, value)
        if len(new) < len(keys) or not (young.keys().isdisjoint(new) and self._old.keys().isdisjoint(new)):
            return False
        if len(young) + len(new) > self._half:
            for key in keys:
                self.put(key, value)
        else:
            young.update(new)
        return True

    def pop(self, key: int) -> int | None:
        """Forgets one, which is not counted, and returns it."""
        young = self._young.pop(key, None)
        old = self._old.pop(key, None)
        return old if young is None else young

    def values(self) -> set[int]:
        """Everything remembered, for a rare sweep."""
        return {*self._young.values(), *self._old.values()}

    def take_forgotten(self) -> int:
        """How many were forgotten since the last call."""
        count, self.forgotten = self.forgotten, 0
        return count
