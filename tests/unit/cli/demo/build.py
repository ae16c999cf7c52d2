"""Values of the demo for its tests: a flow, what became of it, and the event that tells it."""

from pathlib import Path

import msgspec

from calicod.cli.demo.cases import Case, Flow
from calicod.cli.demo.outcome import Outcome
from calicod.cli.demo.traffic import Attempt, Seen
from calicod.cli.demo.trial import Result
from calicod.model.decision import Decision, PolicyReference
from calicod.model.event import ConnectionAllowed, ConnectionCut, ConnectionDenied, Hits
from calicod.model.hook import Hook
from calicod.model.verdict import Reason, Verdict

POLICY = PolicyReference("NetworkPolicy", "default", "prod", "web", 0, "/run/x/policies/policy.yaml", 15)
ARRIVED, ANSWERED, LOST = (
    Seen(arrived=True, answered=False),
    Seen(arrived=True, answered=True),
    Seen(arrived=False, answered=False),
)
EVENTS = {"allow": ConnectionAllowed, "deny": ConnectionDenied, "cut": ConnectionCut}


def flow(**given) -> Flow:
    """A TCP connection that rule 0 of a policy refuses."""
    usual = {
        "source": "client",
        "target": "prod/red",
        "protocol": "tcp",
        "port": 80,
        "family": 4,
        "verdict": "deny",
        "reason": "rule",
        "policy": "NetworkPolicy prod/web",
        "rule": 0,
        "at": "policy.yaml:15",
    }
    return Flow(**{**usual, **given})


def attempt(**given) -> Attempt:
    of = flow(**given)
    return Attempt(flow=of, name="1", source="192.0.2.10", target="10.65.0.11", source_port=40000)


def event(kind: str = "deny", **given) -> ConnectionAllowed | ConnectionDenied | ConnectionCut:
    """What the daemon tells of `attempt()`."""
    usual = {
        "revision": 1,
        "verdict": "allow" if kind == "allow" else "deny",
        "reason": Reason.RULE,
        "hook": Hook.FORWARD,
        "in_interface": "eth0",
        "out_interface": "calired",
        "protocol": "tcp",
        "src_ip": "192.0.2.10",
        "src_port": 40000,
        "dst_ip": "10.65.0.11",
        "dst_port": 80,
        "icmp_type": None,
        "icmp_code": None,
        "reporter": "dst",
        "src": None,
        "dst": None,
        "policy": POLICY,
        "policies": Hits(),
        "count": 1,
        "flow_id": None,
    }
    more = {"old_policy": None} if kind == "cut" else {}
    return EVENTS[kind](**{**usual, **more, **given})


def decision(verdict: Verdict = Verdict.DROP, **given) -> Decision:
    return Decision(**{"verdict": verdict, "reason": Reason.RULE, "policy": POLICY, **given})


def outcome(seen: Seen = LOST, **given) -> Outcome:
    """Refused as it should be, unless something else is given."""
    usual = {"attempt": attempt(), "seen": seen, "events": (event(),), "decision": decision()}
    return Outcome(**{**usual, **given})


def allowed(seen: Seen = ANSWERED, **given) -> Outcome:
    """Allowed as it should be."""
    usual = {"attempt": attempt(verdict="allow"), "events": (event("allow"),), "decision": decision(Verdict.ACCEPT)}
    return outcome(seen, **{**usual, **given})


def result(*outcomes: Outcome, folder: Path = Path("/examples/07-title")) -> Result:
    case = Case(7, folder, "Case 7: who may?", tuple(one.flow for one in outcomes))
    return Result(case, 3, outcomes, 0.5)


def over_ipv6(one: Outcome) -> Outcome:
    """The same, over the other family."""
    of = msgspec.structs.replace(one.flow, family=6)
    return msgspec.structs.replace(one, attempt=msgspec.structs.replace(one.attempt, flow=of))
