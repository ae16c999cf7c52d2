from msgspec.structs import replace

from calicod.engine.cluster import Cluster, join
from calicod.engine.path import UNJUDGED
from calicod.model.decision import Decision, Pending
from calicod.model.network import parse_address
from calicod.model.protocol import TCP
from calicod.model.verdict import Reason, Verdict
from calicod.resources.kinds import Failsafe
from tests.build import HOST, OUTSIDE, Tier, V, W, host, policy, ruleset, settings, tcp, workload

RULES = ruleset(Tier("default", policy()), settings=settings(failsafe_inbound=(Failsafe(protocol=TCP, port=22),)))


def paths(src, dst, rules=RULES):
    return Cluster(rules).paths(tcp(80, src, dst))


def test_the_source_judges_what_leaves_and_the_destination_what_arrives():
    leaving, arriving = paths(W, V)

    assert [(s.endpoint.name, s.reporter) for s in leaving.stages] == [("w", "src")]
    assert [(s.endpoint.name, s.reporter) for s in arriving.stages] == [("v", "dst")]
    assert leaving.from_workload and not arriving.from_workload


def test_addresses_of_nobody_are_not_judged():
    leaving, arriving = paths(OUTSIDE, W)

    assert leaving is UNJUDGED
    assert arriving.stages[0].endpoint.name == "w"


def test_what_an_endpoint_sends_to_itself_is_not_judged():
    assert paths(W, W) == (UNJUDGED, UNJUDGED)


def test_failsafes_help_hosts_and_never_workloads():
    assert paths(W, HOST)[1].failsafes == RULES.settings.failsafe_inbound
    assert paths(HOST, W)[1].failsafes == ()


def test_of_two_endpoints_with_one_address_the_first_counts_and_workloads_before_hosts():
    rules = ruleset(workloads=(workload("a", W), workload("b", W)), hosts=(host("h", "eth0", W, V),))
    cluster = Cluster(rules)

    assert cluster.arriving[parse_address(W)].stages[0].endpoint.name == "a"
    assert cluster.leaving[parse_address(W)].stages[0].endpoint.name == "a"
    assert cluster.arriving[parse_address(V)].stages[0].endpoint.name == "h"


def test_an_endpoint_that_is_down_refuses_everything():
    leaving, arriving = paths(W, V, ruleset(workloads=(workload("w", W, active=False), workload("v", V, active=False))))

    assert leaving.fixed.reason is arriving.fixed.reason is Reason.ADMIN_DOWN


FIRST = Decision(
    verdict=Verdict.ACCEPT, reason=Reason.RULE, trace=("0|t|gnp:a|pass|0", "1|t|gnp:b|allow|0"), reporter="src"
)
SECOND = Decision(verdict=Verdict.DROP, reason=Reason.RULE, trace=("0|t|gnp:c|deny|0",))


def test_a_denial_of_the_first_side_is_the_answer():
    refused = Decision(verdict=Verdict.DROP, reason=Reason.END_OF_TIER)

    assert join(refused, SECOND) is refused


def test_a_side_that_does_not_judge_leaves_the_answer_to_the_other():
    assert join(FIRST, UNJUDGED.fixed) is FIRST
    assert join(UNJUDGED.fixed, SECOND) is SECOND


def test_the_second_side_answers_for_both_and_its_hits_are_numbered_on():
    joined = join(FIRST, SECOND)

    assert (joined.verdict, joined.reporter) == (Verdict.DROP, "dst")
    assert joined.trace == ("0|t|gnp:a|pass|0", "1|t|gnp:b|allow|0", "2|t|gnp:c|deny|0")


def test_pending_is_joined_from_both_sides_and_ends_with_the_first_that_would_deny():
    tried = replace(FIRST, pending=Pending(Verdict.ACCEPT, ("0|t|sgnp:s|allow|0",)))
    stopped = replace(FIRST, pending=Pending(Verdict.DROP, ("0|t|sgnp:s|deny|0",)))
    arriving = replace(SECOND, pending=Pending(Verdict.ACCEPT, ("0|t|sgnp:d|allow|0",)))

    assert join(tried, SECOND).pending == Pending(Verdict.DROP, ("0|t|sgnp:s|allow|0", "1|t|gnp:c|deny|0"))
    assert join(stopped, arriving).pending == stopped.pending
    assert join(FIRST, arriving).pending == Pending(Verdict.ACCEPT, (*FIRST.trace, "2|t|sgnp:d|allow|0"))
    assert join(FIRST, SECOND).pending is None


def test_staged_policies_of_the_second_side_count_though_the_first_refuses():
    refused = replace(SECOND, pending=Pending(Verdict.ACCEPT, ("0|t|sgnp:s|allow|0",)))
    arriving = replace(FIRST, pending=Pending(Verdict.DROP, ("0|t|sgnp:d|deny|0",)))

    joined = join(refused, arriving)

    assert (joined.verdict, joined.trace) == (Verdict.DROP, SECOND.trace)
    assert joined.pending == Pending(Verdict.DROP, ("0|t|sgnp:s|allow|0", "1|t|sgnp:d|deny|0"))
    assert join(SECOND, arriving).pending == Pending(Verdict.DROP, SECOND.trace)
