import pytest

from calicod.engine.path import Path, Stage
from calicod.engine.result import (
    DOWN,
    SHORT_KINDS,
    Result,
    combine,
    decided,
    default_reference,
    hit,
    rule_reference,
    undecided,
)
from calicod.errors import Place
from calicod.model.decision import EndpointReference, PolicyReference
from calicod.model.hook import Direction
from calicod.model.verdict import Reason, Verdict
from tests.build import policy, profile, rule

W = EndpointReference("WorkloadEndpoint", "a", "w")
V = EndpointReference("WorkloadEndpoint", "a", "v")
BOTH = (Stage(W, Direction.EGRESS, 0), Stage(V, Direction.INGRESS, 1))
WEB = policy(rule("Allow", place=Place("web.yaml", 9, 3)), place=Place("web.yaml", 2, 1), name="web", namespace="a")
ALLOW = Result(Verdict.ACCEPT, Reason.RULE, rule_reference(WEB, WEB.ingress[0]), ("x", "y"), ())


def test_a_rule_is_told_with_the_line_it_was_written_on():
    assert rule_reference(WEB, WEB.ingress[0]) == PolicyReference(
        "GlobalNetworkPolicy", "default", "a", "web", 0, "web.yaml", 9
    )


def test_the_end_of_a_tier_is_told_with_the_line_of_its_policy():
    assert default_reference(WEB) == PolicyReference("GlobalNetworkPolicy", "default", "a", "web", -1, "web.yaml", 2)


@pytest.mark.parametrize(("kind", "short"), SHORT_KINDS.items())
def test_a_hit_has_the_short_word_of_its_kind(kind, short):
    assert hit(policy(kind=kind, namespace="ns", tier="sec"), "deny", 3) == f"sec|{short}:ns/p|deny|3"


def test_a_rule_of_a_profile_decides_as_profile():
    kns = profile(rule("Deny"))

    assert decided(kns, kns.egress[0], (), ()) == Result(
        Verdict.DROP, Reason.PROFILE, rule_reference(kns, kns.egress[0]), ("__PROFILE__|pro:kns.a|deny|0",), ()
    )


def test_the_last_stage_that_ran_answers_and_hits_are_numbered_through():
    logged = (default_reference(WEB),)
    second = Result(Verdict.DROP, Reason.END_OF_TIER, None, ("z",), logged)
    decision = combine(Path(stages=BOTH), [ALLOW, second])

    assert (decision.verdict, decision.reason, decision.endpoint) == (Verdict.DROP, Reason.END_OF_TIER, V)
    assert (decision.trace, decision.logged, decision.reporter) == (("0|x", "1|y", "2|z"), logged, "dst")


def test_a_first_stage_that_denies_answers_for_the_sender():
    decision = combine(Path(stages=BOTH), [DOWN])

    assert (decision.endpoint, decision.reporter, decision.reason) == (W, "src", Reason.ADMIN_DOWN)


def test_a_path_may_refuse_what_every_stage_allowed_and_then_no_rule_decided():
    decision = combine(Path(stages=BOTH[:1], closing=Reason.ENDPOINT_TO_HOST), [ALLOW])

    assert (decision.verdict, decision.reason, decision.policy) == (Verdict.DROP, Reason.ENDPOINT_TO_HOST, None)
    assert decision.trace == ("0|x", "1|y")


def test_what_a_stage_denies_is_not_told_as_the_paths_refusal():
    denied = Result(Verdict.DROP, Reason.RULE, default_reference(WEB), ())

    assert combine(Path(stages=BOTH[:1], closing=Reason.ENDPOINT_TO_HOST), [denied]).reason is Reason.RULE


def test_a_stage_that_left_it_undecided_does_not_answer_for_the_path():
    passed = undecided(("z",), ())
    decision = combine(Path(stages=BOTH), [ALLOW, passed])

    assert (decision.verdict, decision.reason, decision.endpoint) == (Verdict.ACCEPT, Reason.RULE, W)
    assert decision.trace == ("0|x", "1|y", "2|z")
    assert combine(Path(stages=BOTH), [passed, ALLOW]).endpoint == V


def test_where_no_stage_decided_the_last_one_tells_that():
    decision = combine(Path(stages=BOTH), [undecided((), ()), undecided(("z",), ())])

    assert (decision.verdict, decision.reason, decision.endpoint) == (Verdict.ACCEPT, Reason.NO_VERDICT, V)
