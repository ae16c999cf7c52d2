from msgspec.structs import replace

from calicod.daemon.state import PolicyName
from calicod.daemon.views import endpoint_states, policy_states
from calicod.errors import Place
from calicod.model.interface import Interface
from calicod.ruleset.program import CompiledPolicy, LocalEndpoint, Program, RuleSet, TierStep
from calicod.ruleset.topology import resolve

WEB = CompiledPolicy(kind="NetworkPolicy", tier="default", namespace="shop", name="web", place=Place("web.yaml", 3, 1))
OPEN = CompiledPolicy(kind="Profile", tier="__PROFILE__", namespace="", name="kns.shop")
RULESET = RuleSet(
    node="n1",
    policies=(WEB, OPEN),
    programs=(Program((TierStep("default", default_deny=True, policies=(0,)),), (1,)), Program((), (1,))),
    workloads=(
        LocalEndpoint(
            type="WorkloadEndpoint",
            namespace="shop",
            name="w1",
            interface="cali1",
            addresses=(bytes([10, 0, 0, 1]),),
            ingress=0,
            egress=1,
        ),
    ),
    hosts=(LocalEndpoint(type="HostEndpoint", namespace="", name="h", interface="*", ingress=1, egress=1),),
)
INTERFACES = (Interface(2, "eth0"), Interface(3, "cali1"), Interface(1, "lo"))


def test_an_endpoint_is_up_on_the_interfaces_it_judges():
    workload, host = endpoint_states(RULESET, resolve(RULESET, INTERFACES), INTERFACES)

    assert (workload.state, workload.interfaces, workload.addresses) == ("up", ("cali1",), ("10.0.0.1",))
    assert (host.state, host.interfaces) == ("up", ("eth0",))


def test_an_endpoint_without_its_interface_is_down():
    workload, host = endpoint_states(RULESET, resolve(RULESET, ()), ())

    assert (workload.state, host.state) == ("down", "down")


def test_policies_stand_in_the_order_they_are_tried_and_profiles_apart():
    workload = endpoint_states(RULESET, resolve(RULESET, INTERFACES), INTERFACES)[0]

    assert workload.ingress == (PolicyName("NetworkPolicy", "default", "shop", "web"),)
    assert workload.egress == ()
    assert workload.profiles == ("kns.shop",)


def test_a_policy_names_the_endpoints_it_judges_and_its_hits():
    web, profile = policy_states(RULESET, {("NetworkPolicy", "shop", "web"): (4, 2, 1)})

    assert (web.endpoints, web.allowed, web.denied, web.logged) == (("shop/w1",), 4, 2, 1)
    assert profile.endpoints == ("h", "shop/w1")


def test_a_staged_policy_is_marked_in_both_lists():
    staged = CompiledPolicy(kind="StagedNetworkPolicy", tier="default", namespace="shop", name="try", staged=True)
    programs = (Program((TierStep("default", default_deny=True, policies=(2, 0)),), (1,)), RULESET.programs[1])
    ruleset = replace(RULESET, policies=(WEB, OPEN, staged), programs=programs)

    assert [state.staged for state in policy_states(ruleset, {})] == [False, False, True]
    web = endpoint_states(ruleset, resolve(ruleset, INTERFACES), INTERFACES)[0]
    assert [policy.staged for policy in web.ingress] == [True, False]
