"""What became of a flow, against what was written beside the policy and what the engines say.

Law: nothing is forgiven: an event too few, an event too many, another rule, another line, a packet that arrived though
it was refused, each is a difference in words.
"""

from collections import Counter
from collections.abc import Collection, Iterable

import msgspec

from calicod.cli.demo import offline
from calicod.cli.demo.cases import Flow
from calicod.cli.demo.traffic import ECHO_REQUEST, Attempt, Seen
from calicod.model.decision import Decision, PolicyReference
from calicod.model.event import ConnectionAllowed, ConnectionCut, ConnectionDenied
from calicod.model.protocol import protocol_name

Judged = ConnectionAllowed | ConnectionDenied | ConnectionCut
"""None of the examples cuts a connection: such an event is one too many."""
Key = tuple[str, str, int, str, int]
"""Protocol, source, its port (or the ICMP type), destination, its port (or -1)."""


class Ruling(msgspec.Struct, frozen=True):
    """What decided, from whichever source: the five things that must agree."""

    verdict: str
    reason: str
    policy: str = ""
    rule: int = 0
    at: str = ""

    def __str__(self) -> str:
        by = f" by {self.policy} {rule_name(self.rule)} ({self.at})" if self.policy else ""
        return f"{self.verdict}, {self.reason}{by}"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A flow with all that is known of it."""

    attempt: Attempt
    seen: Seen
    events: tuple[Judged, ...]
    decision: Decision

    @property
    def flow(self) -> Flow:
        """What was tried."""
        return self.attempt.flow

    @property
    def complete(self) -> bool:
        """Everything that is expected is there; what must not be may still come."""
        served = self.seen.answered or self.flow.verdict == "deny"
        return served and (bool(self.events) or not self.flow.told)

    def differences(self) -> tuple[str, ...]:
        """Everything that is not as it should be."""
        expected = written(self.flow)
        found = []
        if (meant := decided(self.decision)) != expected:
            found.append(f"the engine says {meant}, expected {expected}")
        if len(self.events) != int(self.flow.told):
            found.append(f"{len(self.events)} events, expected {int(self.flow.told)}")
        found += [f"the event says {told(e)}, expected {expected}" for e in self.events if told(e) != expected]
        if self.flow.verdict == "deny":
            found += ["the packet arrived though it was to be refused"] * self.seen.arrived
        elif not self.seen.answered:
            heard = "its packet arrived" if self.seen.arrived else "its packet did not arrive"
            found.append(f"no answer came though it was to be allowed ({heard}{self._own_error()})")
        return tuple(found)

    def _own_error(self) -> str:
        return f"; sender: {self.attempt.error}" if self.attempt.error else ""


def written(flow: Flow) -> Ruling:
    """What the example says."""
    return Ruling(flow.verdict, flow.reason, flow.policy, flow.rule, flow.at)


def decided(decision: Decision) -> Ruling:
    """What the engine says."""
    return _ruling(decision.verdict.value, decision.reason.value, decision.policy)


def told(event: Judged) -> Ruling:
    """What the daemon's event says."""
    verdict = "allow" if isinstance(event, ConnectionAllowed) else "deny"
    return _ruling(verdict, event.reason.value if event.reason else "", event.policy)


def _ruling(verdict: str, reason: str, policy: PolicyReference | None) -> Ruling:
    rule = policy.rule if policy else 0
    return Ruling(verdict, reason, offline.name(policy), rule, offline.place(policy))


def rule_name(rule: int) -> str:
    """A rule by its index.

    >>> rule_name(0), rule_name(-1)
    ('rule 0', 'end of tier')
    """
    return f"rule {rule}" if rule >= 0 else "end of tier"


def key_of_event(event: Judged) -> Key:
    """What identifies the flow of an event."""
    sport = event.src_port if event.icmp_type is None else event.icmp_type
    dport = -1 if event.dst_port is None else event.dst_port
    return (event.protocol or "", event.src_ip or "", -1 if sport is None else sport, event.dst_ip or "", dport)


def key_of_attempt(attempt: Attempt) -> Key:
    """The same of an attempt. Pings between the same two are one key: an event does not tell their id."""
    flow = attempt.flow
    name = protocol_name(flow.number)
    if flow.is_icmp:
        return (name, attempt.source, ECHO_REQUEST[flow.family or 4], attempt.target, -1)
    return (name, attempt.source, attempt.source_port, attempt.target, flow.port)


def judged(events: Iterable[Judged]) -> dict[Key, tuple[Judged, ...]]:
    """Events by their flow."""
    found: dict[Key, tuple[Judged, ...]] = {}
    for event in events:
        key = key_of_event(event)
        found[key] = (*found.get(key, ()), event)
    return found


class Ledger:
    """Every decision that was told, and how many were expected of each flow."""

    def __init__(self) -> None:
        self.told: list[Judged] = []
        self.expected: Counter[Key] = Counter()

    def surplus(self, addresses: Collection[str]) -> tuple[str, ...]:
        """Each that was told too often, in words, of flows between these addresses."""
        rest, found = Counter(self.expected), []
        for event in self.told:
            key = key_of_event(event)
            rest[key] -= 1
            if rest[key] < 0 and event.src_ip in addresses and event.dst_ip in addresses:
                found.append(f"an event too many, {event.src_ip} → {event.dst_ip} {event.protocol}: {told(event)}")
        return tuple(found)
