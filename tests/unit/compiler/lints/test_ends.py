import pytest

from tests.unit.compiler.build import codes, compilation, entity, host, policy, profile, rule, tcp_rule, tier, workload

OPEN = profile("open", ingress=(rule(),), egress=(rule(),))
POD = workload(profiles=("open",), labels={"app": "x"})
LOG = policy("log", selector="all()", ingress=(rule("Log"),))


def egress(name: str = "out", *rules, **fields: object):
    return policy(name, selector="all()", egress=rules, governs_ingress=False, governs_egress=True, **fields)


def test_a_policy_that_only_logs_is_told_with_whom_it_closes():
    found = compilation(LOG, POD, OPEN).diagnostics

    assert [(d.code, d.path) for d in found] == [("W063", "spec.ingress")]
    assert found[0].message == (
        "only logs, so the end of tier default denies all ingress of WorkloadEndpoint a/n1-k8s-w-eth0"
    )


@pytest.mark.parametrize(
    "others",
    [
        (policy("q", selector="all()", ingress=(tcp_rule(),)),),
        (policy("q", selector="app == 'x'", ingress=(rule("Pass"),)),),
    ],
)
def test_nothing_is_told_where_another_policy_of_the_tier_decides(others):
    assert codes(LOG, POD, OPEN, *others) == []


def test_a_policy_of_another_tier_decides_nothing_here():
    other = policy("q", selector="all()", tier="t", order=1.0, ingress=(rule("Pass"),))

    assert codes(LOG, POD, OPEN, tier("t", 1.0), other) == ["W063"]


def test_a_tier_that_passes_at_its_end_denies_nothing():
    logging = policy("log", selector="all()", tier="t", ingress=(rule("Log"),))

    assert codes(logging, POD, OPEN, tier("t", 1.0, "Pass")) == []


def test_without_endpoints_a_policy_that_only_logs_is_told_unless_another_decides():
    assert codes(LOG) == ["W063"]
    assert codes(LOG, policy("q", ingress=(tcp_rule(),))) == []


def test_default_deny_of_egress_cuts_dns():
    (found,) = compilation(egress(), POD, workload("v", profiles=("open",)), OPEN).diagnostics

    assert (found.code, found.name, found.path) == ("W064", "out", "spec.egress")
    assert found.message == (
        "no egress rule lets WorkloadEndpoint a/n1-k8s-v-eth0 and 1 more ask a DNS server (UDP or TCP port 53)"
    )


@pytest.mark.parametrize(
    "more",
    [
        (egress("dns", tcp_rule(destination=entity(ports=(53,)))),),
        (egress("all", rule()),),
        (egress("pass", rule("Pass")),),
        (egress("knows", tcp_rule("Deny", destination=entity(ports=(53,)))),),
        (tier("first", 1.0), egress("early", rule(), tier="first")),
    ],
)
def test_dns_is_not_cut_where_anything_may_let_it_through_or_speaks_of_it(more):
    assert codes(egress(), POD, OPEN, *more) == []


def test_a_tier_that_passes_leads_to_the_tier_that_cuts():
    early = egress("early", rule("Pass"), tier="first")

    found = compilation(egress("late"), early, tier("first", 1.0), POD, OPEN).diagnostics

    assert codes(egress("late"), tier("first", 1.0), early, POD, OPEN) == ["W064"]
    assert [d.name for d in found] == ["late"]


def test_a_host_has_failsafe_ports_and_asks_anyway():
    assert codes(egress(), host(profiles=("open",)), OPEN) == []


def test_without_endpoints_default_deny_is_told_if_it_surely_governs_workloads():
    assert codes(egress()) == ["W064"]
    assert codes(egress(), policy("dns", "a", egress=(rule(),), governs_egress=True)) == []
    hosts = policy("hosts", selector="role == 'host'", governs_ingress=False, governs_egress=True)
    assert codes(hosts) == []


@pytest.mark.parametrize("phase", ["pre_dnat", "do_not_track"])
def test_early_policy_that_only_logs_closes_nothing_and_one_that_decides_opens_nothing(phase):
    fields = {"apply_on_forward": True, phase: True}

    assert "W063" not in codes(policy("early", selector="all()", ingress=(rule("Log"),), **fields), host())
    decides = policy("early", selector="all()", ingress=(rule(),), **fields)
    assert "W063" in codes(LOG, decides, POD, OPEN)


def test_no_untracked_policy_cuts_off_dns_where_nobody_is_known():
    assert "W064" not in codes(egress("raw", rule("Deny"), apply_on_forward=True, do_not_track=True))
