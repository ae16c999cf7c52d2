"""The compiler is a pure function of the set of resources."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from calicod.compiler.compile import Memory, compile
from calicod.compiler.selectors import policy_selector
from calicod.model.action import Action
from calicod.model.network import Network
from calicod.model.ports import PortRange
from calicod.model.protocol import TCP, UDP, Protocol
from calicod.resources.kinds import (
    EndpointPort,
    EntityRule,
    FelixConfiguration,
    HostEndpoint,
    Metadata,
    NetworkSet,
    Policy,
    Profile,
    Resource,
    Rule,
    ServiceAccountMatch,
    Tier,
    WorkloadEndpoint,
)
from calicod.resources.snapshot import snapshot
from calicod.ruleset.program import RuleSet
from calicod.selector.parser import parse

NODES = st.sampled_from(["n1", "n2"])
NAMES = st.sampled_from(["a", "a-b", "b", "c"])
SPACES = st.sampled_from(["x", "y"])
LABELS = st.dictionaries(st.sampled_from(["k", "l"]), st.sampled_from(["1", "2"]))
SELECTORS = st.none() | st.sampled_from(
    ["all()", "k == '1'", "k != '1'", "has(l)", "!has(k)", "k in {'1','2'} && l == '1'", "k == '1' || !all()"]
).map(parse)
ADDRESSES = st.sampled_from([bytes([10, 0, 0, n]) for n in range(4)] + [bytes(15) + bytes([n]) for n in range(4)])
NETS = st.sampled_from([Network(bytes([10, 0, 0, 0]), 31), Network(bytes(4), 0), Network(bytes(16), 126)])
PROFILES = st.lists(st.sampled_from(["kns.x", "kns.y", "gone"]), unique=True).map(tuple)
PORTS = st.lists(st.sampled_from([PortRange(80, 90), "http", "dns"]), max_size=2).map(tuple)
ENTITIES = st.builds(
    EntityRule,
    nets=st.lists(NETS, max_size=2).map(tuple),
    not_nets=st.lists(NETS, max_size=1).map(tuple),
    ports=PORTS,
    not_ports=PORTS,
    selector=SELECTORS,
    not_selector=SELECTORS,
    namespace_selector=SELECTORS,
    service_accounts=st.none() | st.builds(ServiceAccountMatch, st.just(("sa",)), SELECTORS),
)
RULES = st.lists(
    st.builds(
        Rule,
        action=st.sampled_from(Action),
        ip_version=st.sampled_from([None, 4, 6]),
        protocol=st.sampled_from([Protocol(TCP), Protocol(UDP)]),
        source=ENTITIES,
        destination=ENTITIES,
    ),
    max_size=2,
).map(tuple)
POLICY_FIELDS = {
    "tier": st.sampled_from(["default", "t", "ghost"]),
    "order": st.sampled_from([None, 1.0, 2.0]),
    "selector": SELECTORS,
    "service_account_selector": SELECTORS,
    "governs_ingress": st.booleans(),
    "governs_egress": st.just(True),
    "ingress": RULES,
    "egress": RULES,
}
ENDPOINT_PORTS = st.lists(st.builds(EndpointPort, st.sampled_from(["http", "dns"]), st.just(TCP), st.integers(1, 3)))


def metadata(namespaces: st.SearchStrategy[str]) -> st.SearchStrategy[Metadata]:
    return st.builds(Metadata, name=NAMES, namespace=namespaces, labels=LABELS)


RESOURCES: st.SearchStrategy[Resource] = st.one_of(
    st.builds(Policy, kind=st.just("NetworkPolicy"), metadata=metadata(SPACES), **POLICY_FIELDS),
    st.builds(
        Policy,
        kind=st.just("GlobalNetworkPolicy"),
        metadata=metadata(st.just("")),
        namespace_selector=SELECTORS,
        **POLICY_FIELDS,
    ),
    st.builds(
        Tier,
        metadata=st.builds(Metadata, name=st.sampled_from(["t", "u"])),
        order=st.sampled_from([None, 1.0, 2e6]),
        default_action=st.sampled_from([Action.DENY, Action.PASS]),
    ),
    st.builds(NetworkSet, kind=st.just("NetworkSet"), metadata=metadata(SPACES), nets=st.lists(NETS).map(tuple)),
    st.builds(NetworkSet, kind=st.just("GlobalNetworkSet"), metadata=metadata(st.just("")), nets=st.just(())),
    st.builds(
        HostEndpoint,
        metadata=metadata(st.just("")),
        node=NODES,
        interface_name=st.sampled_from(["", "*", "eth0"]),
        expected_ips=st.lists(ADDRESSES, unique=True).map(tuple),
        profiles=PROFILES,
        ports=ENDPOINT_PORTS.map(tuple),
    ),
    st.builds(
        WorkloadEndpoint,
        metadata=metadata(SPACES),
        node=NODES,
        workload=NAMES,
        interface_name=st.sampled_from(["cali1", "cali2"]),
        ip_networks=st.lists(ADDRESSES, unique=True).map(tuple),
        profiles=PROFILES,
        ports=ENDPOINT_PORTS.map(tuple),
        service_account_name=st.sampled_from(["", "sa"]),
        allow_spoofed_source_prefixes=st.sampled_from([(), (), (Network(bytes(4), 0),)]),
    ),
    st.builds(
        Profile,
        metadata=st.builds(Metadata, name=st.sampled_from(["kns.x", "kns.y"])),
        ingress=RULES,
        labels_to_apply=st.dictionaries(st.sampled_from(["k", "pcns.k"]), st.sampled_from(["1", "2"])),
    ),
    st.builds(
        FelixConfiguration,
        metadata=st.builds(Metadata, name=st.sampled_from(["default", "node.n1"])),
        workload_source_spoofing=st.sampled_from([None, "Any"]),
    ),
)
CLUSTERS = st.lists(RESOURCES, max_size=14)


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
    assert {e.ingress for e in endpoints(compiled)} | {e.egress for e in endpoints(compiled)} == set(
        range(len(compiled.programs))
    )


@given(CLUSTERS)
def test_a_policy_runs_on_exactly_the_endpoints_that_its_selector_matches(resources):
    present = snapshot(resources)
    compiled = compile(present, None).ruleset
    selectors = {(p.kind, p.metadata.namespace, p.metadata.name): policy_selector(p) for p in present.policies}

    for endpoint in endpoints(compiled):
        program = compiled.programs[endpoint.egress]
        running = {identity(compiled, index) for step in program.tiers for index in step.policies}
        assert running == {key for key, selector in selectors.items() if selector.matches(endpoint.labels)}


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
