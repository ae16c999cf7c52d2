"""The account of one decision: every tier, policy and rule that was tried, and why it ended where it did.

Law: it holds what the engine noted and what the RuleSet says, nothing that was worked out a second time; text for
people (`story`) and JSON are made of the same value.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from calicod.engine.linear import LinearEngine
from calicod.engine.path import Stage
from calicod.engine.record import (
    PendingBegun,
    PendingEnded,
    PolicyAsked,
    RuleTried,
    StageBegun,
    StageEnded,
    Step,
    TierBegun,
    TierEnded,
    WayTaken,
)
from calicod.engine.result import PROFILE_TIER
from calicod.engine.way import NOBODY, Way, paths_of
from calicod.model.action import Action
from calicod.model.decision import Decision, EndpointReference
from calicod.model.hook import Direction, Phase
from calicod.model.network import format_address
from calicod.model.protocol import protocol_name
from calicod.model.verdict import Reason
from calicod.packet.value import Packet
from calicod.ruleset.program import CompiledPolicy, RuleSet


class RuleAccount(msgspec.Struct):
    """A rule that was tried; `missed`: each field that did not match, in words."""

    rule: int
    action: str
    file: str
    line: int
    matches: bool
    missed: tuple[str, ...]


class PolicyAccount(msgspec.Struct):
    """A policy, or profile, that was asked; `untried`: how many of its rules come behind the one that matched."""

    kind: str
    namespace: str
    name: str
    file: str
    line: int
    rules: list[RuleAccount]
    untried: int = 0
    staged: bool = False


class TierAccount(msgspec.Struct):
    """A tier; `end`: its default action, where that was what counted; `untried`: policies that were not asked."""

    name: str
    policies: list[PolicyAccount]
    end: str | None = None
    untried: int = 0


class StageAccount(msgspec.Struct):
    """One endpoint; `elsewhere`: the policies that do not apply to it in this direction and phase."""

    endpoint: EndpointReference
    direction: str
    labels: dict[str, str]
    tiers: list[TierAccount]
    profiles: list[PolicyAccount]
    elsewhere: tuple[str, ...] = ()
    verdict: str = ""
    reason: str = ""
    phase: str = Phase.NORMAL.value


class PendingAccount(msgspec.Struct):
    """What would become of a packet if the staged policies on its way were enforced, and why."""

    verdict: str
    why: str
    stages: list[StageAccount]


class Account(msgspec.Struct):
    """What became of a packet. `unasked`: the endpoints that were not asked any more, or not at all.

    `notes`: what else there is to know, in words. `pending` None: no staged policy is on its way.
    """

    stages: list[StageAccount]
    unasked: list[str]
    notes: list[str]
    why: str
    pending: PendingAccount | None = None


WHY: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.RULE: "{rule} of {policy} ({place}) says so",
        Reason.END_OF_TIER: "no rule of the tier {tier} matches, and what a tier with policies for an endpoint does not"
        " allow it refuses; the {blamed} of them is {policy} ({place})",
        Reason.PROFILE: "no policy decided, and {rule} of {policy} ({place}) says so",
        Reason.NO_PROFILE: "no policy decided, and no profile of {endpoint} allows it",
        Reason.UNKNOWN_INTERFACE: "a workload interface without an endpoint: nothing passes until it has one",
        Reason.ADMIN_DOWN: "{endpoint} is administratively down",
        Reason.FAILSAFE: "{protocol} port {port} is a failsafe port of the host: no policy can close it"
        " (failsafeInboundHostPorts, failsafeOutboundHostPorts)",
        Reason.HOST_TO_WORKLOAD: "the host always reaches its own workloads, whatever their policies say",
        Reason.ENDPOINT_TO_HOST: "the egress policy of {endpoint} allows it, but a workload does not reach its own host"
        " (defaultEndpointToHostAction: Drop)",
        Reason.NEIGHBOUR_DISCOVERY: "a workload always may send IPv6 neighbour discovery to its host",
        Reason.TUNNEL_FROM_WORKLOAD: "a workload may not send packets of a tunnel (VXLAN, IPIP)",
        Reason.NO_VERDICT: "no rule of {endpoint} for this traffic decides, so calicod lets it pass",
        Reason.NO_ENDPOINT: "no endpoint judges it, so calicod lets it pass",
        Reason.FRAGMENT: "a fragment without ports, which no policy can judge",
    }
)

HOMELESS = frozenset({Reason.NO_ENDPOINT, Reason.UNKNOWN_INTERFACE})
"""Reasons that may be due to a mistyped interface."""
MANY = 10
"""Names in a list for people."""


def account(steps: Iterable[Step], engine: LinearEngine, packet: Packet, decision: Decision) -> Account:
    """The account of the steps of one decision."""
    scribe = Scribe(engine, packet)
    for step in steps:
        scribe.write(step)
    reached = {(told.endpoint, told.direction, told.phase) for told in scribe.asked}
    stages = [stage for way in scribe.ways for path in paths_of(way) for stage in path.stages]
    unasked = [
        f"{asked_for(stage.direction.value, stage.phase.value)} of {endpoint_title(stage.endpoint)}"
        for stage in stages
        if (stage.endpoint, stage.direction.value, stage.phase.value) not in reached
    ]
    notes = unjudged_sides(scribe.ways, packet) + (homes(engine.ruleset) if decision.reason in HOMELESS else [])
    return Account(scribe.asked, unasked, notes, why(decision, packet), pending_account(scribe))


def pending_account(scribe: "Scribe") -> PendingAccount | None:
    """The account of the pending evaluation."""
    if scribe.would is None:
        return None
    return PendingAccount(scribe.would.verdict.value, why(scribe.would, scribe.packet, "first"), scribe.pending)


def asked_for(direction: str, phase: str) -> str:
    """What an endpoint is asked for.

    >>> asked_for("ingress", "normal"), asked_for("ingress", "preDNAT")
    ('ingress', 'preDNAT ingress')
    """
    return direction if phase == Phase.NORMAL.value else f"{phase} {direction}"


def unjudged_sides(ways: list[Way], packet: Packet) -> list[str]:
    """The sides of a packet through a cluster that no endpoint answers for."""
    if len(ways) < 2:  # noqa: PLR2004  a hook has one way, the cluster one for each side
        return []
    if packet.src == packet.dst:
        return [f"what {format_address(packet.src)} sends to itself is not judged"]
    sides = ((ways[0], "sends", packet.src), (ways[1], "gets", packet.dst))
    return [
        f"no endpoint has the address {format_address(address)}, so nobody judges what it {does}"
        for way, does, address in sides
        if way is NOBODY
    ]


def homes(ruleset: RuleSet) -> list[str]:
    """The interfaces of this node that have an endpoint."""
    if ruleset.node is None:
        return []
    named = [
        f"{e.interface} ({policy_title(e.type, e.namespace, e.name)})"
        for e in (*ruleset.hosts, *ruleset.workloads)
        if e.interface
    ]
    return [f"interfaces with an endpoint on node {ruleset.node}: {shortened(named) or 'none'}"]


def shortened(names: Sequence[str]) -> str:
    """The first of many names, and how many more there are."""
    more = f" and {len(names) - MANY} more" if len(names) > MANY else ""
    return ", ".join(names[:MANY]) + more


def place(file: str, line: int) -> str:
    """`file:line`; what is built in has none."""
    return f"{file}:{line}" if file else "built in"


class Scribe:
    """Writes the steps down, each below the one that it belongs to."""

    def __init__(self, engine: LinearEngine, packet: Packet) -> None:
        self.engine = engine
        self.packet = packet
        self.ways: list[Way] = []
        self.asked: list[StageAccount] = []
        self.pending: list[StageAccount] = []
        self.would: Decision | None = None
        self.stages = self.asked
        self._policies: list[PolicyAccount] = []

    def write(self, step: Step) -> None:
        """One step."""
        match step:
            case WayTaken(way):
                self.ways.append(way)
            case StageBegun(stage):
                self.begin(stage)
            case TierBegun(tier, asked):
                self.stages[-1].tiers.append(TierAccount(tier.name, [], untried=asked))
            case PolicyAsked(policy):
                self.ask(policy)
            case RuleTried(rule, missed):
                told = tuple(field.tell(rule, self.packet, self.engine.sets) for field in missed)
                place = rule.place
                current = self._policies[-1]
                current.rules.append(
                    RuleAccount(rule.index, rule.action.value, place.file, place.line, not missed, told)
                )
                current.untried -= 1
            case TierEnded(_, denies):
                self.stages[-1].tiers[-1].end = (Action.DENY if denies else Action.PASS).value
            case StageEnded(result):
                self.stages[-1].verdict = result.verdict.value
                self.stages[-1].reason = result.reason.value
            case PendingBegun():
                self.stages = self.pending
            case PendingEnded(would):
                self.would = would
                self.stages = self.asked

    def begin(self, stage: Stage) -> None:
        """The next endpoint."""
        ruleset = self.engine.ruleset
        endpoint = next(
            e for e in (*ruleset.workloads, *ruleset.hosts) if (e.type, e.namespace, e.name) == key_of(stage.endpoint)
        )
        direction, phase = stage.direction.value, stage.phase.value
        self.stages.append(
            StageAccount(stage.endpoint, direction, endpoint.labels, [], [], elsewhere(ruleset, stage), phase=phase)
        )

    def ask(self, policy: CompiledPolicy) -> None:
        """The next policy of the tier, or profile."""
        stage = self.stages[-1]
        rules = policy.ingress if stage.direction == Direction.INGRESS.value else policy.egress
        place = policy.place
        asked = PolicyAccount(
            policy.kind, policy.namespace, policy.name, place.file, place.line, [], len(rules), policy.staged
        )
        if policy.tier == PROFILE_TIER:
            self._policies = stage.profiles
        else:
            tier = stage.tiers[-1]
            tier.untried -= 1
            self._policies = tier.policies
        self._policies.append(asked)


def elsewhere(ruleset: RuleSet, stage: Stage) -> tuple[str, ...]:
    """The policies that the endpoint does not run in this direction and phase."""
    program = ruleset.programs[stage.program]
    own = {index for tier in program.tiers for index in tier.policies}
    return tuple(
        policy_title(policy.kind, policy.namespace, policy.name)
        for index, policy in enumerate(ruleset.policies)
        if index not in own and policy.tier != PROFILE_TIER
    )


def why(decision: Decision, packet: Packet, blamed: str = "last") -> str:
    """Why it came to this, in a sentence for people. `blamed`: which policy of a tier its default action is told of."""
    policy, endpoint = decision.policy, decision.endpoint
    return WHY[decision.reason].format(
        blamed=blamed,
        rule=f"rule {policy.rule}" if policy else "",
        place=place(policy.file, policy.line) if policy else "",
        policy=policy_title(policy.kind, policy.namespace, policy.name) if policy else "",
        tier=policy.tier if policy else "",
        endpoint=endpoint_title(endpoint) if endpoint else "",
        protocol=protocol_name(packet.protocol),
        port=packet.dport,
    )


def policy_title(kind: str, namespace: str, name: str) -> str:
    """Kind and name.

    >>> policy_title("NetworkPolicy", "production", "web"), policy_title("Tier", "", "security")
    ('NetworkPolicy production/web', 'Tier security')
    """
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def endpoint_title(endpoint: EndpointReference) -> str:
    """Kind and name of an endpoint."""
    return policy_title(endpoint.type, endpoint.namespace, endpoint.name)


def key_of(endpoint: EndpointReference) -> tuple[str, str, str]:
    """What identifies an endpoint."""
    return (endpoint.type, endpoint.namespace, endpoint.name)
