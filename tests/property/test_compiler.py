"""The compiler is a pure function of the set of resources."""

from random import Random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from calicod.compiler.compile import Memory, compile
from calicod.compiler.selectors import policy_selector
from calicod.resources.kinds import Resource
from calicod.resources.snapshot import snapshot
from calicod.ruleset.program import NO_PROGRAM, RuleSet
from tests.oracle.clusters import Forge

PROGRAMS = (
    "ingress",
    "egress",
    "forward_ingress",
    "forward_egress",
    "pre_dnat",
    "untracked_ingress",
    "untracked_egress",
)
CLUSTERS = st.integers(0, 2**64).map(lambda seed: Forge(Random(seed)).cluster())


@given(CLUSTERS, st.randoms(use_true_random=False), st.sampled_from(["n1", None]))
def test_the_order_of_resources_does_not_matter(resources, random, node):
    shuffled = list(resources)
    random.shuffle(shuffled)

    assert compile(snapshot(resources), node) == compile(snapshot(shuffled), node)


@given(st.lists(st.tuples(CLUSTERS, st.sampled_from(["n1", "n2", None])), min_size=1, max_size=4))
def test_a_memory_never_changes_the_result(history):
    memory = Memory()
    resources: list[Resource] = []
    for added, node in history:
        resources = resources[len(added) // 2 :] + added

        assert compile(snapshot(resources), node, memory) == compile(snapshot(resources), node)


@given(CLUSTERS)
def test_every_index_of_a_ruleset_is_one_of_its_own(resources):
    compiled = compile(snapshot(resources), "n1").ruleset

    for policy in compiled.policies:
        for rule in (*policy.ingress, *policy.egress):
            assert all(0 <= index < len(compiled.ip_sets) for index in indexes(rule))
    for program in compiled.programs:
        used = [*program.profiles, *(index for step in program.tiers for index in step.policies)]
        assert all(0 <= index < len(compiled.policies) for index in used)
    programs = {getattr(endpoint, name) for endpoint in endpoints(compiled) for name in PROGRAMS}
    assert programs - {NO_PROGRAM} == set(range(len(compiled.programs)))


@given(CLUSTERS)
def test_a_policy_runs_on_exactly_the_endpoints_that_its_selector_matches(resources):
    present = snapshot(resources)
    compiled = compile(present, None).ruleset
    early = [p for p in present.policies if p.pre_dnat or p.do_not_track]
    governing = [p for p in present.policies if p.governs_egress and not p.is_suppressed and p not in early]
    selectors = {(p.kind, p.metadata.namespace, p.metadata.name): policy_selector(p) for p in governing}

    for endpoint in endpoints(compiled):
        program = compiled.programs[endpoint.egress]
        running = {identity(compiled, index) for step in program.tiers for index in step.policies}
        assert running == {key for key, selector in selectors.items() if selector.matches(endpoint.labels)}


@given(CLUSTERS)
def test_what_is_for_special_traffic_runs_on_host_endpoints_alone_and_nowhere_else(resources):
    present = snapshot(resources)
    compiled = compile(present, None).ruleset
    kinds = {(p.kind, p.metadata.namespace, p.metadata.name): p for p in present.policies}
    special = {
        "forward_egress": lambda p: p.apply_on_forward and not (p.pre_dnat or p.do_not_track),
        "pre_dnat": lambda p: p.pre_dnat,
        "untracked_egress": lambda p: p.do_not_track,
    }
    for endpoint in endpoints(compiled):
        for name, belongs in special.items():
            if getattr(endpoint, name) == NO_PROGRAM:
                continue
            program = compiled.programs[getattr(endpoint, name)]
            assert (endpoint.type, program.open_ended, program.profiles) == ("HostEndpoint", True, ())
            assert all(belongs(kinds[identity(compiled, i)]) for step in program.tiers for i in step.policies)


@given(CLUSTERS)
def test_a_ruleset_is_its_own_message(resources):
    compiled = compile(snapshot(resources), "n1").ruleset

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(compiled), type=RuleSet) == compiled


def endpoints(ruleset: RuleSet):
    return (*ruleset.workloads, *ruleset.hosts)


def identity(ruleset: RuleSet, index: int) -> tuple[str, str, str]:
    policy = ruleset.policies[index]
    return policy.kind, policy.namespace, policy.name


def indexes(rule) -> list[int]:
    lists = (rule.source_sets, rule.not_source_sets, rule.destination_sets, rule.not_destination_sets)
    ports = (rule.source_ports, rule.not_source_ports, rule.destination_ports, rule.not_destination_ports)
    return [index for indexes in (*lists, *(match.named for match in ports if match)) for index in indexes]
