"""A case judged: the decision, what differs from what was expected, and the account of it.

Law: the engine is the linear one, recorded, as in `explain`; a flow that is no packet breaks the file.
"""

from collections.abc import Iterator

import msgspec

from calicod.cli.account import Account, account
from calicod.cli.explain import ECHO_REQUEST, EPHEMERAL, decide
from calicod.cli.judging import Judging, present, protocol_number
from calicod.cli.passage import Given, Passage, passage
from calicod.cli.policytest.names import Names
from calicod.cli.policytest.suite import ABSENT, Case, Expectation, Flow, Suite
from calicod.compiler.compile import compile
from calicod.engine.linear import LinearEngine
from calicod.engine.record import Step
from calicod.errors import Diagnostic
from calicod.model.decision import Decision, PolicyReference
from calicod.model.hook import Hook
from calicod.model.protocol import ICMP, ICMPV6, WITH_PORTS, protocol_name
from calicod.packet.value import Packet
from calicod.resources.snapshot import snapshot
from calicod.ruleset.program import RuleSet

OWN_ICMP = {4: ICMP, 6: ICMPV6}


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One case over one family. `name` tells the family if there are several."""

    case: Case
    name: str
    packet: Packet
    way: Passage
    decision: Decision
    account: Account
    differences: tuple[str, ...]


class Broken(Exception):  # noqa: N818  # a finding on its way to the reader
    """A flow that cannot be judged."""

    def __init__(self, code: str, case: Case, message: str) -> None:
        place = case.flow.place
        self.diagnostic = Diagnostic(
            code=code, message=f"{case.name}: {message}", file=place.file, line=place.line, column=place.column
        )
        super().__init__(message)


class Court:
    """Judges the cases of a suite."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self.names = Names(suite)
        self.ruleset: RuleSet = compile(snapshot(suite.resources), suite.node).ruleset
        self.judging = Judging((), suite.node, suite.node is None, suite.interfaces)

    def outcomes(self, case: Case) -> Iterator[Outcome]:
        """What becomes of a case, over each family. Raises Broken."""
        flow = case.flow
        try:
            src, dst = self.names.addresses(flow.src), self.names.addresses(flow.dst)
        except ValueError as error:
            raise Broken("T001", case, str(error)) from error
        families = [family for family in (4, 6) if family in src and family in dst and flow.family in {None, family}]
        if not families:
            raise Broken("T002", case, f"{flow.src} and {flow.dst} have no address of one family in common")
        for family in families:
            name = f"{case.name} (IPv{family})" if len(families) > 1 else case.name
            try:
                packet = packet_of(flow, family, src[family], dst[family])
                way = self.way(flow, packet)
            except ValueError as error:
                raise Broken("T002", case, str(error)) from error
            yield self.judged(case, name, packet, way)

    def way(self, flow: Flow, packet: Packet) -> Passage:
        """Where it is judged. Raises ValueError."""
        given = Given(
            src=packet.src,
            dst=packet.dst,
            hook=Hook(flow.hook) if flow.hook else None,
            in_interface=flow.in_interface,
            out_interface=flow.out_interface,
        )
        if self.suite.node is None and given.says_where:
            raise ValueError("hook, in and out need a node: write `node:` beside `tests:`")
        found = passage(self.judging, self.ruleset, given)
        if found.hook is None and self.suite.node is not None:
            raise ValueError(f"neither {flow.src} nor {flow.dst} is on node {self.suite.node}: write hook, in and out")
        return found

    def judged(self, case: Case, name: str, packet: Packet, way: Passage) -> Outcome:
        """The decision, and how it differs."""
        steps: list[Step] = []
        engine = LinearEngine(self.ruleset, present(self.judging, self.ruleset), steps.append)
        decision = decide(engine, packet, way)
        return Outcome(
            case=case,
            name=name,
            packet=packet,
            way=way,
            decision=decision,
            account=account(steps, engine, packet, decision),
            differences=tuple(differences(case.expect, decision)),
        )


def packet_of(flow: Flow, family: int, src: bytes, dst: bytes) -> Packet:
    """The packet of a flow; a source port and an echo request are assumed as in `explain`. Raises ValueError."""
    number = protocol_number(flow.protocol, family)
    name, has_ports, has_type = protocol_name(number), number in WITH_PORTS, number == OWN_ICMP[family]
    if not has_ports and max(flow.sport, flow.dport) != ABSENT:
        raise ValueError(f"{name} packets have no ports")
    if not has_type and max(flow.icmp_type, flow.icmp_code) != ABSENT:
        raise ValueError(f"{name} packets of IPv{family} have no ICMP type")
    if has_ports and flow.dport == ABSENT:
        raise ValueError(f"{name} packets go to a port: add `dport:`")
    sport = EPHEMERAL if has_ports and flow.sport == ABSENT else flow.sport
    kind = ECHO_REQUEST[number] if has_type and flow.icmp_type == ABSENT else flow.icmp_type
    code = 0 if has_type and flow.icmp_code == ABSENT else flow.icmp_code
    return Packet(family, number, src, dst, sport, flow.dport, icmp_type=kind, icmp_code=code)


def differences(expect: Expectation, decision: Decision) -> Iterator[str]:
    """Everything that was written and is not so."""
    pending = decision.pending.verdict if decision.pending else decision.verdict
    for what, written, found in (
        ("verdict", expect.verdict, decision.verdict.value),
        ("reason", expect.reason, decision.reason.value),
        ("pending verdict", expect.pending, pending.value),
    ):
        if written is not None and written != found:
            yield f"expected {what} {written}, found {found}"
    if expect.policy is None:
        return
    if decision.policy is None:
        yield f"expected a policy to decide, found none ({decision.reason.value})"
        return
    for what in PolicyReference.__struct_fields__:
        written = getattr(expect.policy, what, None)
        if written is not None and written != getattr(decision.policy, what):
            yield f"expected {what} {shown(written)} to decide, found {shown(getattr(decision.policy, what))}"


def shown(value: str | int) -> str:
    """A part of a policy reference, for people.

    >>> shown("web"), shown(""), shown(-1)
    ('web', 'none', '-1 (the end of the tier)')
    """
    return "-1 (the end of the tier)" if value == -1 else str(value) or "none"
