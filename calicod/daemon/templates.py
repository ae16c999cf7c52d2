"""The parts of a connection event that are equal for all packets of one decision on one path, encoded once.

Law: `line` gives the very bytes that `model.event.encode` gives of the same event (tests/property/test_events.py), so
nothing in a name, label or file can break out of its string. Memory is bounded; a template that a flow still refers to
goes last.
"""

from collections.abc import Callable, Iterable
from functools import cache

import msgspec

from calicod.daemon.directory import Directory
from calicod.daemon.flows import TEMPLATE_LIMIT, UNKNOWN
from calicod.model.decision import Decision, PolicyReference
from calicod.model.event import Hits
from calicod.model.hook import Hook
from calicod.model.printable import encode_printable
from calicod.model.protocol import ICMP, ICMPV6, protocol_name
from calicod.model.record import Record
from calicod.model.verdict import Reason, Verdict

TEMPLATES = 8_192
ICMP_PROTOCOLS = frozenset({ICMP, ICMPV6})
UNJUDGED = frozenset({Reason.NO_ENDPOINT, Reason.NO_VERDICT})
LOCAL_HOOKS = frozenset({Hook.INPUT, Hook.OUTPUT})


TemplateKey = tuple[bytes, int, str, str, int]
"""What packets of one template have in common."""


class Route(msgspec.Struct, frozen=True):
    """Where a packet was seen. `protocol` -1, `hook` None, interfaces "": not known."""

    hook: Hook | None
    in_interface: str
    out_interface: str
    protocol: int


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """One decision on one path. `rule`: what must change for a flow that is judged again to be told again.

    `head` and `tail` are JSON text; `src`, `dst` the Party of that side where the decision alone says who it is.
    `hits` names the rule's policy in the counters of `calicod policies`. `policy`: the deciding rule alone. `unjudged`:
    nobody had to decide there.
    """

    id: int
    allow: bool
    icmp: bool
    path: int
    rule: int
    namespace: str
    head: str
    reporter: str
    tail: str
    policy: str
    src: str | None
    dst: str | None
    hits: tuple[str, str, str] | None
    logged: tuple["LogRule", ...]
    unjudged: bool = False


class LogRule(msgspec.Struct, frozen=True):
    """A Log rule that matched: its identity, the counters' name, and the tail of its events."""

    rule: int
    hits: tuple[str, str, str]
    tail: str


class Templates:
    """Makes each template once for a directory. `cache` is read by the hot path; `get` finds one by its number.

    `in_use` gives the numbers that flows refer to; it is asked only when room is needed.
    """

    def __init__(self, in_use: Callable[[], Iterable[int]], limit: int = TEMPLATES) -> None:
        self._in_use = in_use
        self._limit = limit
        self._by_id: dict[int, Template] = {}
        self._last = UNKNOWN
        self.cache: dict[object, Template] = {}

    def get(self, number: int) -> Template | None:
        """None for UNKNOWN and for what was forgotten."""
        return self._by_id.get(number)

    def clear(self) -> None:
        """The directory has changed: names and labels are encoded anew. Flows keep what they refer to."""
        self.cache.clear()

    def add(self, key: object, decision: Decision, route: Route, directory: Directory) -> Template:
        """Makes and remembers the template of a decision on a route."""
        if len(self._by_id) >= self._limit:
            self._make_room()
        template = build(self._free(), decision, route, directory)
        self._by_id[template.id] = template
        self.cache[key] = template
        return template

    def _free(self) -> int:
        while True:
            self._last = self._last % TEMPLATE_LIMIT + 1
            if self._last not in self._by_id:
                return self._last

    def _make_room(self) -> None:
        """Half of them go: first those that no flow refers to, then the oldest."""
        used = set(self._in_use())
        order = sorted(self._by_id, key=lambda number: (number in used, number))
        for number in order[: max(1, self._limit // 2)]:
            del self._by_id[number]
        self.cache = {key: t for key, t in self.cache.items() if t.id in self._by_id}


def build(number: int, decision: Decision, route: Route, directory: Directory) -> Template:
    """Encodes a decision on a route."""
    endpoint = decision.endpoint
    allow = decision.verdict is Verdict.ACCEPT
    hits = text(Hits(decision.trace, decision.pending.trace if decision.pending else ()))
    owner = None
    if endpoint is not None and endpoint.type == "HostEndpoint" and route.hook in LOCAL_HOOKS:
        # an address of this host belongs to the host endpoint that judged it, whether or not that lists its addresses
        owner = directory.named(endpoint.type, endpoint.namespace, endpoint.name)
    return Template(
        id=number,
        allow=allow,
        icmp=route.protocol in ICMP_PROTOCOLS,
        path=hash((route.hook, route.in_interface, route.out_interface)),
        rule=hash((allow, decision.reason, rule_identity(decision.policy))),
        namespace=endpoint.namespace if endpoint else "",
        head=head(allow, decision.reason, route),
        reporter=text(decision.reporter if route.hook else None),
        tail=tail(decision.policy, hits),
        policy=text(decision.policy),
        src=owner if decision.reporter == "src" else None,
        dst=owner if decision.reporter == "dst" else None,
        hits=counter_name(decision.policy) if decision.policy else None,
        logged=tuple(
            LogRule(hash(rule_identity(rule)), counter_name(rule), tail(rule, hits)) for rule in decision.logged
        ),
        unjudged=decision.reason in UNJUDGED,
    )


@cache
def unknown(protocol: int) -> Template:
    """For a connection that was allowed by a decision that nobody remembers."""
    return Template(
        id=UNKNOWN,
        allow=True,
        icmp=protocol in ICMP_PROTOCOLS,
        path=UNKNOWN,
        rule=UNKNOWN,
        namespace="",
        head=head(True, None, Route(None, "", "", protocol)),
        reporter="null",
        tail=tail(None, text(Hits())),
        policy="null",
        src=None,
        dst=None,
        hits=None,
        logged=(),
    )


def head(allow: bool, reason: Reason | None, route: Route) -> str:  # noqa: FBT001  a verdict, told by name in Template
    """From `verdict` to `protocol`."""
    return (
        f'"verdict":"{"allow" if allow else "deny"}","reason":{text(reason)},"hook":{text(route.hook)},'
        f'"in_interface":{text(route.in_interface or None)},"out_interface":{text(route.out_interface or None)},'
        f'"protocol":{text(None if route.protocol < 0 else protocol_name(route.protocol))},'
    )


def tail(policy: PolicyReference | None, hits: str) -> str:
    """`policy` and `policies`."""
    return f'"policy":{text(policy)},"policies":{hits},'


def rule_identity(policy: PolicyReference | None) -> tuple[str, str, str, str, int] | None:
    """Which rule it is, wherever it is written now."""
    return None if policy is None else (policy.kind, policy.tier, policy.namespace, policy.name, policy.rule)


def counter_name(policy: PolicyReference) -> tuple[str, str, str]:
    """The key of `views.Hits`."""
    return (policy.kind, policy.namespace, policy.name)


def text(value: object) -> str:
    """JSON as text. What is not Unicode is shown with backslashes, as `model.event.encode` does."""
    return encode_printable(value).decode()


def template_key(record: Record) -> TemplateKey:
    """Of the template of a packet."""
    r = record
    # id(): an Enum's own hash is a Python function, and its members are there for ever
    return r.decision, id(r.hook), r.in_interface, r.out_interface, r.protocol
