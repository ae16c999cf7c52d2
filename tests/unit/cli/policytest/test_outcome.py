import pytest

from calicod.cli.policytest.outcome import Broken, differences, packet_of
from calicod.cli.policytest.suite import Expectation, Flow, Rule
from calicod.model.decision import Decision, Pending, PolicyReference
from calicod.model.hook import Hook
from calicod.model.network import parse_address
from calicod.model.verdict import Reason, Verdict
from tests.unit.cli.policytest.build import HEAD, outcomes

SRC, DST = parse_address("192.0.2.1"), parse_address("192.0.2.2")
DECISION = Decision(
    verdict=Verdict.ACCEPT, reason=Reason.RULE, policy=PolicyReference("NetworkPolicy", "default", "a", "web", 1)
)


def one(flow: str, expect: str = "allow") -> str:
    return f"{HEAD}tests: [{{name: x, flow: {{{flow}}}, expect: {expect}}}]\n"


def test_a_case_passes_if_everything_is_as_it_was_written(tmp_path):
    found = outcomes(tmp_path)

    assert [(outcome.name, outcome.differences) for outcome in found] == [
        ("front reaches web", ()),
        ("back does not", ()),
    ]


def test_without_a_node_the_whole_cluster_judges(tmp_path):
    (found,) = outcomes(tmp_path, one("src: shop/back, dst: shop/web, dport: 80", "deny"))

    assert found.way.hook is None
    assert [stage.direction for stage in found.account.stages] == ["egress", "ingress"]


def test_with_a_node_the_hook_is_found_or_given(tmp_path):
    flow = "src: shop/back, dst: shop/web, dport: 80"
    (found,) = outcomes(tmp_path, one(flow, "deny") + "node: n1\n")
    (given,) = outcomes(tmp_path, one(f"{flow}, hook: forward, in: eth7, out: caliweb", "deny") + "node: n1\n")

    assert (found.way.hook, found.way.out_interface) == (Hook.FORWARD, "caliweb")
    assert given.way.in_interface == "eth7"


def test_a_case_runs_over_each_family_that_both_sides_have(tmp_path):
    both = "addresses: {a: [192.0.2.8, '2001:db8::8'], b: [192.0.2.9, '2001:db8::9'], c: 192.0.2.7}\n"

    names = [outcome.name for outcome in outcomes(tmp_path, one("src: a, dst: b, dport: 1") + both)]
    alone = [outcome.packet.family for outcome in outcomes(tmp_path, one("src: a, dst: c, dport: 1") + both)]
    chosen = [o.packet.family for o in outcomes(tmp_path, one("src: a, dst: b, family: 6, dport: 1") + both)]

    assert (names, alone, chosen) == (["x (IPv4)", "x (IPv6)"], [4], [6])


@pytest.mark.parametrize(
    ("flow", "code", "said"),
    [
        ("src: shop/nobody, dst: shop/web, dport: 80", "T001", "nobody is called"),
        ("src: shop/front, dst: shop/web", "T002", "add `dport:`"),
        ("src: shop/front, dst: '2001:db8::1', dport: 80", "T002", "one family"),
        ("src: shop/front, dst: shop/web, dport: 80, in: eth0", "T002", "need a node"),
        ("src: shop/front, dst: shop/web, protocol: tpc", "T002", "neither a number"),
        ("src: shop/front, dst: shop/web, protocol: icmp, dport: 80", "T002", "have no ports"),
        ("src: shop/front, dst: shop/web, dport: 80, icmp_type: 8", "T002", "no ICMP type"),
    ],
)
def test_a_flow_that_cannot_be_judged_is_broken_at_its_place(tmp_path, flow, code, said):
    with pytest.raises(Broken, match=said) as error:
        outcomes(tmp_path, one(flow))

    assert (error.value.diagnostic.code, error.value.diagnostic.line) == (code, 2)


def test_a_flow_that_does_not_touch_the_node_is_broken(tmp_path):
    with pytest.raises(Broken, match="is on node n1"):
        outcomes(tmp_path, one("src: 203.0.113.1, dst: 203.0.113.2, dport: 80") + "node: n1\n")


def test_what_a_packet_needs_is_assumed_as_by_explain():
    tcp = packet_of(Flow(src="a", dst="b", dport=80), 4, SRC, DST)
    ping = packet_of(Flow(src="a", dst="b", protocol="icmp"), 4, SRC, DST)
    gre = packet_of(Flow(src="a", dst="b", protocol="47"), 4, SRC, DST)

    assert (tcp.sport, tcp.dport) == (49152, 80)
    assert (ping.icmp_type, ping.icmp_code, ping.dport) == (8, 0, -1)
    assert (gre.protocol, gre.sport, gre.icmp_type) == (47, -1, -1)


@pytest.mark.parametrize(
    ("expect", "told"),
    [
        (Expectation(verdict="allow", reason="rule"), []),
        (Expectation(verdict="deny"), ["expected verdict deny, found allow"]),
        (Expectation(reason="profile"), ["expected reason profile, found rule"]),
        (Expectation(pending="deny"), ["expected pending verdict deny, found allow"]),
        (Expectation(policy=Rule(kind="NetworkPolicy", namespace="a", name="web", rule=1)), []),
        (
            Expectation(policy=Rule(namespace="", rule=-1)),
            [
                "expected namespace none to decide, found a",
                "expected rule -1 (the end of the tier) to decide, found 1",
            ],
        ),
    ],
)
def test_only_what_was_written_is_compared_and_each_difference_is_told(expect, told):
    assert list(differences(expect, DECISION)) == told


def test_without_a_deciding_policy_an_expected_one_is_missed():
    decision = Decision(verdict=Verdict.ACCEPT, reason=Reason.NO_ENDPOINT)

    assert list(differences(Expectation(policy=Rule(name="web")), decision)) == [
        "expected a policy to decide, found none (no-endpoint)"
    ]


def test_a_staged_policy_changes_the_pending_verdict_alone(tmp_path):
    staged = (
        "{apiVersion: projectcalico.org/v3, kind: StagedNetworkPolicy, metadata: {name: shut, namespace: shop},"
        " spec: {order: 1, selector: app == 'web', ingress: [{action: Deny}]}}"
    )
    text = one("src: shop/front, dst: shop/web, dport: 80", "{verdict: allow, pending: deny}")

    (found,) = outcomes(tmp_path, text.replace("../resources", f"[../resources, {staged}]"))

    assert (found.differences, found.decision.verdict) == ((), Verdict.ACCEPT)


def test_the_pending_verdict_is_that_of_the_staged_policies():
    decision = Decision(verdict=Verdict.ACCEPT, reason=Reason.RULE, pending=Pending(Verdict.DROP, ()))

    assert list(differences(Expectation(pending="deny"), decision)) == []
