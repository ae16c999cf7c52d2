from calicod.resources.kinds import EntityRule, ServiceMatch
from tests.unit.compiler.build import codes, compilation, endpoint_slice, place, policy, profile, rule, workload

OPEN = profile("open", ingress=(rule(),), egress=(rule(),))
POD = workload(profiles=("open",))
WEB = EntityRule(services=ServiceMatch("web", "a"))
FROM_WEB = policy("p", ingress=(rule(source=WEB, place=place(7)),))


def test_a_rule_for_a_service_without_slices_is_told_at_its_place():
    (told,) = compilation(OPEN, POD, FROM_WEB).diagnostics

    assert (told.code, told.path, told.line) == ("W083", "spec.ingress[0].source.services", 7)
    assert codes(OPEN, POD, FROM_WEB, endpoint_slice("web")) == []


def test_a_service_without_a_namespace_is_looked_for_in_the_policys_own():
    own = policy("p", "a", ingress=(rule(source=EntityRule(services=ServiceMatch("web"))),))

    assert codes(OPEN, POD, own, endpoint_slice("web", "b")) == ["W083"]
    assert codes(OPEN, POD, own, endpoint_slice("web", "a")) == []


def test_a_policy_that_governs_nobody_here_and_rules_that_mean_nothing_ask_for_no_service():
    assert codes(OPEN, FROM_WEB) == []
    assert "W083" not in codes(OPEN, POD, policy("p", egress=(rule(destination=WEB),), governs_egress=False))
