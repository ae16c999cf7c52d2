import pytest

from calicod.cli.account import WHY, Account, account, shortened
from calicod.cli.judging import Judging, compiled, present, written
from calicod.engine.linear import LinearEngine
from calicod.engine.record import Step
from calicod.model.decision import Decision
from calicod.model.hook import Hook
from calicod.model.network import parse_address
from calicod.model.protocol import TCP, UDP
from calicod.model.verdict import Reason, Verdict
from calicod.packet.value import Packet
from calicod.ruleset.program import RuleSet
from tests.unit.cli.offline import resources

BEFORE = """
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: first}
spec: {order: 10, defaultAction: Pass}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: first.a}
spec:
  tier: first
  order: 1
  selector: app == 'web'
  ingress:
    - {action: Pass, protocol: UDP}
    - {action: Deny, protocol: SCTP}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: first.b}
spec: {tier: first, order: 2, selector: app == 'web', ingress: [{action: Deny, protocol: SCTP}]}
"""
STAGED = """
apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: try}
spec:
  order: 1
  selector: app == 'web'
  ingress:
    - {action: Allow, protocol: UDP}
    - {action: Deny, source: {nets: [10.65.0.0/24]}}
"""
OF_THE_KERNEL = {Reason.MALFORMED, Reason.FAILURE, Reason.INVALID, Reason.SPOOFED}
"""Reasons that no engine gives to a packet that was decoded."""


def told(folder: str, dport: int, protocol: int = TCP, src: str = "10.65.0.2", dst: str = "10.65.0.1") -> Account:
    judging = Judging((folder,), None, cluster=True, interfaces=None)
    packet = Packet(4, protocol, parse_address(src), parse_address(dst), 1024, dport)
    steps: list[Step] = []
    engine = LinearEngine(compiled(written(judging), None), (), steps.append)
    return account(steps, engine, packet, engine.decide_cluster(packet))


def test_each_rule_is_told_below_its_policy_and_tier(tmp_path):
    found = told(resources(tmp_path, BEFORE), 80)

    _, ingress = found.stages
    assert [(t.name, [(p.name, [r.matches for r in p.rules]) for p in t.policies], t.end) for t in ingress.tiers] == [
        ("first", [("first.a", [False, False]), ("first.b", [False])], "Pass"),
        ("default", [("web", [True, True])], None),
    ]
    assert (ingress.verdict, ingress.reason) == ("allow", "rule")


def test_what_comes_behind_a_decision_is_counted_not_told(tmp_path):
    found = told(resources(tmp_path, BEFORE), 80, UDP)

    first, default = found.stages[1].tiers
    assert ([p.name for p in first.policies], first.untried, first.policies[0].untried) == (["first.a"], 1, 1)
    assert (default.end, default.untried, default.policies[0].untried) == ("Deny", 0, 0)


def test_every_field_that_did_not_match_is_told(tmp_path):
    found = told(resources(tmp_path), 81, src="10.65.1.3")

    (rule,) = (r for r in found.stages[1].tiers[0].policies[0].rules if not r.matches)
    assert rule.missed == (
        'source 10.65.1.3 is not in selector (projectcalico.org/namespace == "shop" && app == "front")',
        "destination.ports 81 is not in 80",
    )


def test_policies_for_others_are_named(tmp_path):
    egress, ingress = told(resources(tmp_path, BEFORE), 80).stages

    assert egress.elsewhere == (
        "GlobalNetworkPolicy first.a",
        "GlobalNetworkPolicy first.b",
        "NetworkPolicy shop/web",
    )
    assert ingress.elsewhere == ()


def test_an_end_that_nobody_answers_for_is_noted(tmp_path):
    found = told(resources(tmp_path), 80, src="198.51.100.1")

    assert found.notes == ["no endpoint has the address 198.51.100.1, so nobody judges what it sends"]
    assert [stage.direction for stage in found.stages] == ["ingress"]


def test_what_an_endpoint_sends_to_itself_is_noted(tmp_path):
    found = told(resources(tmp_path), 81, src="10.65.0.1")

    assert (found.stages, found.notes) == ([], ["what 10.65.0.1 sends to itself is not judged"])


def test_who_is_not_asked_any_more_is_named(tmp_path):
    found = told(resources(tmp_path), 81, src="10.65.0.1", dst="192.0.2.1")
    host = told(resources(tmp_path), 22, src="10.65.0.1", dst="192.0.2.1")

    assert (found.unasked, host.unasked) == ([], ["ingress of HostEndpoint n1-eth0"])


def test_a_node_without_the_interface_is_answered_with_those_it_has(tmp_path):
    judging = Judging((resources(tmp_path),), "n1", cluster=False, interfaces=None)
    packet = Packet(4, TCP, parse_address("192.0.2.9"), parse_address("192.0.2.1"), 1024, 80)
    steps: list[Step] = []
    engine = LinearEngine(compiled(written(judging), "n1"), (), steps.append)

    found = account(steps, engine, packet, engine.decide(packet, Hook.INPUT, "eth7", ""))

    assert found.notes[0].startswith("interfaces with an endpoint on node n1: eth0 (HostEndpoint n1-eth0), califront (")


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason not in OF_THE_KERNEL])
def test_every_reason_of_an_engine_has_its_sentence(reason):
    packet = Packet(4, TCP, bytes(4), bytes(4), 1, 2)
    engine = LinearEngine(RuleSet(node=None), ())

    said = account((), engine, packet, Decision(verdict=Verdict.DROP, reason=reason)).why

    assert said
    assert "{" not in said


def test_no_sentence_is_for_a_reason_that_is_the_kernels():
    assert set(WHY) == set(Reason) - OF_THE_KERNEL


def test_a_long_list_is_cut_and_says_so():
    assert shortened([str(n) for n in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
    assert shortened(["a"]) == "a"


def test_what_staged_policies_would_do_is_told_apart(tmp_path):
    found = told(resources(tmp_path, STAGED), 80)

    assert [[p.name for t in stage.tiers for p in t.policies] for stage in found.stages] == [[], ["web"]]
    assert found.why.startswith("rule 1 of NetworkPolicy shop/web")
    _, stage = found.pending.stages
    assert [(p.name, p.staged, p.untried) for p in stage.tiers[0].policies] == [("try", True, 0)]
    assert stage.tiers[0].untried == 1
    assert (found.pending.verdict, stage.verdict) == ("deny", "deny")
    assert found.pending.why.startswith("rule 1 of StagedGlobalNetworkPolicy try (")


def test_the_end_of_a_tier_is_told_of_the_first_policy_where_staged_ones_would_be_enforced(tmp_path):
    found = told(resources(tmp_path, STAGED), 81, src="10.65.1.3")

    assert found.why.split("; ")[-1].startswith("the last of them is NetworkPolicy shop/web (")
    assert found.pending.why.split("; ")[-1].startswith("the first of them is StagedGlobalNetworkPolicy try (")


def test_where_the_other_side_refuses_anyway_its_reason_is_told(tmp_path):
    opened = STAGED.replace("Deny", "Allow").replace("'web'", "'front'").replace("ingress", "egress")
    found = told(resources(tmp_path, opened), 81)

    assert (found.pending.verdict, found.pending.why) == ("deny", found.why.replace("the last of", "the first of"))


def test_without_staged_policies_on_the_way_nothing_is_pending(tmp_path):
    assert told(resources(tmp_path, STAGED), 80, dst="10.65.0.2", src="10.65.0.1").pending is None


def test_a_refusal_by_who_is_not_asked_today_is_told_in_full(tmp_path):
    """The sender is stopped today, would go through, and the receiver, which nobody asks, would refuse it."""
    closed = (
        STAGED.replace("Staged", "").replace("'web'", "'front'").replace("ingress", "egress").replace("try", "shut")
    )
    opened = (
        STAGED.replace("Deny", "Allow").replace("'web'", "'front'").replace("ingress", "egress").replace(": 1", ": 0")
    )
    found = told(resources(tmp_path, closed, opened), 81)

    assert [stage.verdict for stage in found.stages] == ["deny"]
    assert [stage.verdict for stage in found.pending.stages] == ["allow", "deny"]
    assert found.pending.why.split("; ")[-1].startswith("the first of them is NetworkPolicy shop/web (")


FORWARD = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: forward}
spec:
  selector: has(host)
  applyOnForward: true
  types: [Ingress, Egress]
  ingress: [{action: Pass}]
  egress: [{action: Deny}]
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: early}
spec: {selector: has(host), applyOnForward: true, preDNAT: true, ingress: [{action: Deny, protocol: UDP}]}
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: nic, labels: {host: here}}
spec: {node: n1, interfaceName: eth5}
"""


def passed(folder: str, protocol: int, leaving: str) -> Account:
    judging = Judging((folder,), "n1", cluster=False, interfaces=None)
    packet = Packet(4, protocol, parse_address("198.51.100.9"), parse_address("10.65.0.1"), 1024, 80)
    ruleset = compiled(written(judging), "n1")
    steps: list[Step] = []
    engine = LinearEngine(ruleset, present(judging, ruleset), steps.append)
    return account(steps, engine, packet, engine.decide_way(packet, Hook.FORWARD, "eth5", leaving))


def test_each_phase_of_a_host_endpoint_is_a_stage_of_its_own(tmp_path):
    found = passed(resources(tmp_path, FORWARD), TCP, "eth5")

    assert [(s.phase, s.direction, s.reason) for s in found.stages] == [
        ("preDNAT", "ingress", "no-verdict"),
        ("forward", "ingress", "no-verdict"),
        ("forward", "egress", "rule"),
    ]
    assert "GlobalNetworkPolicy early" in found.stages[1].elsewhere
    assert found.unasked == []


def test_what_an_early_denial_leaves_unasked_is_told_with_its_phase(tmp_path):
    found = passed(resources(tmp_path, FORWARD), UDP, "caliweb")

    assert [(s.phase, s.reason) for s in found.stages] == [("preDNAT", "rule")]
    assert found.unasked == [
        "forward ingress of HostEndpoint nic",
        "ingress of WorkloadEndpoint shop/n1-k8s-web-eth0",
    ]
