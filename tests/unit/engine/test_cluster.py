from calicod.engine.cluster import Cluster, join
from calicod.engine.path import NOT_JUDGED, UNJUDGED
from calicod.model.decision import Decision
from calicod.model.hook import Phase
from calicod.model.network import parse_address
from calicod.model.protocol import TCP
from calicod.model.verdict import Reason, Verdict
from calicod.resources.kinds import Failsafe
from tests.build import HOST, OUTSIDE, Tier, V, W, host, policy, ruleset, settings, tcp, workload

RULES = ruleset(Tier("default", policy()), settings=settings(failsafe_inbound=(Failsafe(protocol=TCP, port=22),)))


def paths(src, dst, rules=RULES):
    (leaving,), (arriving,) = Cluster(rules).ways(tcp(80, src, dst))
    return leaving.path, arriving.path


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

    def first(way):
        return way[0].path.stages[0].endpoint.name

    assert first(cluster.arriving[parse_address(W)]) == first(cluster.leaving[parse_address(W)]) == "a"
    assert first(cluster.arriving[parse_address(V)]) == "h"


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
    assert join(FIRST, NOT_JUDGED) is FIRST
    assert join(NOT_JUDGED, SECOND) is SECOND


def test_the_second_side_answers_for_both_and_its_hits_are_numbered_on():
    joined = join(FIRST, SECOND)

    assert (joined.verdict, joined.reporter) == (Verdict.DROP, "dst")
    assert joined.trace == ("0|t|gnp:a|pass|0", "1|t|gnp:b|allow|0", "2|t|gnp:c|deny|0")


def test_a_side_that_leaves_it_undecided_leaves_the_answer_to_the_other_and_its_hits_are_told():
    undecided = Decision(verdict=Verdict.ACCEPT, reason=Reason.NO_VERDICT, trace=("0|t|gnp:d|pass|-1",), reporter="src")

    behind, before = join(FIRST, undecided), join(undecided, SECOND)

    assert (behind.reason, behind.reporter, behind.trace[-1]) == (Reason.RULE, "src", "2|t|gnp:d|pass|-1")
    assert (before.reason, before.verdict, before.trace[0]) == (Reason.RULE, Verdict.DROP, "0|t|gnp:d|pass|-1")


def test_a_host_endpoint_judges_what_is_untracked_or_not_translated_yet_by_its_address():
    rules = ruleset(hosts=(host("h", "eth0", HOST, untracked_ingress=0, untracked_egress=0, pre_dnat=0),))
    (leaving,), (arriving,) = Cluster(rules).ways(tcp(80, HOST, OUTSIDE))[0], Cluster(rules).ways(tcp(80, W, HOST))[1]

    assert [path.stages[0].phase for path in leaving.early] == [Phase.UNTRACKED]
    assert [path.stages[0].phase for path in arriving.early] == [Phase.UNTRACKED, Phase.PRE_DNAT]
