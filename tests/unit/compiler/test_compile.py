"""The whole, on small snapshots."""

from msgspec.structs import replace

from calicod.compiler.compile import Memory, compile
from calicod.model.action import Action
from calicod.resources.kinds import FelixConfiguration, Metadata
from calicod.resources.snapshot import snapshot
from calicod.ruleset.enforcement import Enforcement, decode, encode
from calicod.ruleset.program import LocalEndpoint, RuleSet
from tests.unit.compiler.build import (
    NODE,
    addr,
    compilation,
    egress,
    entity,
    governed,
    host,
    ingress,
    names,
    net,
    network_set,
    place,
    policy,
    profile,
    rule,
    ruleset,
    texts,
    tier,
    workload,
)


def test_an_empty_snapshot_gives_a_ruleset_that_judges_nothing():
    compiled = ruleset()

    assert compiled == RuleSet(node=NODE, settings=compiled.settings)


def test_a_workload_stands_with_its_labels_addresses_and_programs():
    compiled = ruleset(
        workload(labels={"x": "1"}, profiles=("kns.a",), place=place(4)), profile("kns.a", {"pcns.k": "v"})
    )

    labels = {
        "x": "1",
        "projectcalico.org/namespace": "a",
        "projectcalico.org/orchestrator": "k8s",
        "pcns.k": "v",
    }
    assert compiled.workloads == (
        LocalEndpoint(
            type="WorkloadEndpoint",
            namespace="a",
            name="n1-k8s-w-eth0",
            labels=labels,
            interface="caliw",
            addresses=(addr("10.65.0.2"),),
            ingress=0,
            egress=0,
            place=place(4),
        ),
    )


def test_policies_stand_in_the_order_in_which_they_are_tried():
    compiled = ruleset(
        tier("early", 1),
        policy("z", tier="early"),
        policy("b", order=2.0),
        policy("a"),
        policy("c", order=1.0),
        policy("ghost", tier="nowhere"),
        workload(),
    )

    assert [p.name for p in compiled.policies] == ["z", "c", "b", "a", "ghost"]
    assert names(compiled, ingress(compiled, compiled.workloads[0])) == [
        ("early", ["z"]),
        ("default", ["c", "b", "a"]),
        ("nowhere", ["ghost"]),
    ]


def test_an_egress_only_policy_leaves_ingress_to_the_profiles():
    compiled = ruleset(policy(governs_ingress=False, governs_egress=True), workload())
    endpoint = compiled.workloads[0]

    assert ingress(compiled, endpoint).tiers == ()
    assert names(compiled, egress(compiled, endpoint)) == [("default", ["p"])]


def test_a_namespaced_policy_governs_workloads_of_its_namespace_and_never_a_host():
    compiled = ruleset(
        policy("p", "a"),
        workload("w", "a"),
        workload("v", "b"),
        host("h", labels={"projectcalico.org/namespace": "b"}),
    )

    assert governed(compiled) == ["n1-k8s-w-eth0"]


def test_a_global_policy_with_a_negative_namespace_selector_and_no_selector_governs_hosts():
    negative = policy("p", namespace_selector=entity("x != '1'").selector)

    assert governed(ruleset(negative, host("h"))) == ["h"]
    assert governed(ruleset(replace(negative, selector=entity("all()").selector), host("h"))) == []


def test_a_profile_is_listed_once_after_the_policies_and_a_missing_one_denies():
    compiled = ruleset(
        workload("w", profiles=("gone", "kns.a")), workload("v", profiles=("kns.a",)), profile("kns.a"), policy("p")
    )

    assert [(p.kind, p.name) for p in compiled.policies] == [
        ("GlobalNetworkPolicy", "p"),
        ("Profile", "gone"),
        ("Profile", "kns.a"),
    ]
    assert [ingress(compiled, w).profiles for w in compiled.workloads] == [(2,), (1, 2)]
    assert compiled.policies[1].ingress[0].action is Action.DENY


def test_the_built_in_profile_allows():
    compiled = ruleset(host(profiles=("projectcalico-default-allow",)))

    assert [r.action for r in compiled.policies[0].ingress] == [Action.ALLOW]


def test_rules_see_remote_endpoints_and_network_sets_but_not_hosts_without_addresses():
    compiled = ruleset(
        policy(ingress=(rule(source=entity("has(x)")),)),
        workload("w"),
        workload("v", node="n2", addresses=("10.65.1.2",), labels={"x": ""}),
        host("h", labels={"x": ""}),
        network_set("s", "b", ("10.66.0.0/24",), {"x": ""}),
    )

    assert texts(compiled.ip_sets[0]) == ["10.65.1.2-10.65.1.2", "10.66.0.0-10.66.0.255"]


def test_rules_of_several_policies_share_their_sets():
    same = rule(source=entity("has(x)", nets=("10.0.0.0/8",)))

    compiled = ruleset(policy("p", ingress=(same,)), policy("q", ingress=(same,)), workload())

    assert [s.text for s in compiled.ip_sets] == ["selector has(x)", "nets 10.0.0.0/8"]
    assert {p.ingress[0].source_sets for p in compiled.policies} == {(0, 1)}


def test_a_policy_that_selects_nobody_here_is_listed_without_sets():
    compiled = ruleset(policy("p", selector="has(y)", ingress=(rule(source=entity("has(x)")),)), workload())

    assert [p.name for p in compiled.policies] == ["p"]
    assert compiled.ip_sets == ()


def test_a_workload_whose_foreign_sources_are_not_allowed_counts_as_missing():
    spoofer = workload(allow_spoofed_source_prefixes=(net("10.0.0.0/8"),))
    anything = FelixConfiguration(metadata=Metadata(name="default"), workload_source_spoofing="Any")

    closed, opened = compilation(spoofer), compilation(spoofer, anything)

    assert (closed.ruleset.workloads, closed.ruleset.known) == ((), ())
    assert closed.ruleset.ignored_interfaces == ("caliw",)
    assert [d.code for d in closed.diagnostics] == ["W054"]
    assert opened.ruleset.workloads[0].spoofed_prefixes == (net("10.0.0.0/8"),)
    assert opened.diagnostics == ()


def test_endpoints_that_run_the_same_share_their_programs():
    compiled = ruleset(policy("p", "a"), workload("w"), workload("v"), workload("u", "b"))

    assert [w.ingress for w in compiled.workloads] == [0, 0, 1]


def test_without_a_node_all_endpoints_are_local():
    compiled = compile(snapshot([workload("w"), workload("v", node="n2"), host(node="n3")]), None).ruleset

    assert (len(compiled.workloads), len(compiled.hosts)) == (2, 1)


def test_a_memory_saves_what_did_not_change():
    memory = Memory()
    resources = [policy("p", ingress=(rule(source=entity("has(x)")),)), policy("q"), workload()]
    before = compile(snapshot(resources), NODE, memory).ruleset

    after = compile(snapshot([*resources[:1], policy("q", order=5.0), workload()]), NODE, memory).ruleset

    assert after.policies[1] is before.policies[0]
    assert after.ip_sets[0] is before.ip_sets[0]


def test_the_ruleset_survives_its_serialisation():
    compiled = ruleset(
        policy("p", ingress=(rule(source=entity("has(x)", nets=("10.0.0.0/8", "fd00::/8"), ports=())),)),
        workload(addresses=("10.65.0.2", "fd00::2")),
        host(addresses=("192.0.2.1",)),
        network_set("s", "", ("10.0.0.0/8",), {"x": ""}),
    )
    enforcement = Enforcement(revision=1, ruleset=compiled)

    assert decode(encode(enforcement)) == enforcement


def test_a_staged_policy_stands_in_its_tier_in_order_and_is_marked():
    staged = replace(policy("s", order=1.0), kind="StagedGlobalNetworkPolicy", staged_action="Set")
    compiled = ruleset(policy("p", order=2.0), policy("b", order=0.0), staged, workload())

    (step,) = compiled.programs[compiled.workloads[0].ingress].tiers
    assert [(compiled.policies[i].name, compiled.policies[i].staged) for i in step.policies] == [
        ("b", False),
        ("s", True),
        ("p", False),
    ]


def test_a_staged_policy_that_governs_nobody_is_marked_too():
    staged = replace(policy("s", selector="has(x)"), kind="StagedGlobalNetworkPolicy", staged_action="Learn")

    assert [p.staged for p in ruleset(staged, workload()).policies] == [True]


def test_a_staged_removal_is_not_in_the_ruleset():
    staged = replace(policy("s", tier="ghost"), kind="StagedGlobalNetworkPolicy", staged_action="Delete")

    assert ruleset(staged, workload()) == ruleset(workload())
