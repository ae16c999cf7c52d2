"""Network policies of Kubernetes as policies of Calico (semantics 5.1)."""

import pytest

from calicod.errors import Place
from calicod.model.action import Action
from calicod.model.network import parse_network
from calicod.model.ports import PortRange
from calicod.model.protocol import SCTP, TCP, UDP, Protocol
from calicod.resources.kinds import ANYONE, EntityRule, Metadata
from calicod.resources.knp import POD, Block, Entry, Peer, PortEntry, Spec, converted, merged, types_by_rules
from calicod.selector.parser import parse
from calicod.selector.tree import All, Equals

NAMED = Metadata(name="web", namespace="ns")
HERE = Place("k.yaml", 1, 1)
WEB = (Equals("app", "web"),)


def policy(**spec):
    return converted(Spec(**spec), "KubernetesNetworkPolicy", NAMED, HERE)


def incoming(*peers, ports=()):
    return policy(ingress=(Entry(peers=peers, ports=ports),)).ingress


def net(text):
    return parse_network(text)[0]


def test_a_policy_selects_pods_alone_in_the_default_tier_at_order_1000():
    found = policy(pods=WEB)

    assert (found.kind, found.metadata, found.place) == ("KubernetesNetworkPolicy", NAMED, HERE)
    assert (found.tier, found.order, found.is_staged) == ("default", 1000.0, False)
    assert found.selector == parse("projectcalico.org/orchestrator == 'k8s' && app == 'web'")
    assert policy().selector == POD


@pytest.mark.parametrize(
    ("spec", "governs"),
    [
        ({}, (True, False)),
        ({"egress": (Entry(),)}, (True, True)),
        ({"egress": (Entry(),), "types": ("Ingress",)}, (True, False)),
        ({"types": ("Egress",)}, (False, True)),
        ({"types": ("Egress", "Ingress")}, (True, True)),
    ],
)
def test_types_that_are_given_win_over_what_the_rules_say(spec, governs):
    found = policy(**spec)

    assert (found.governs_ingress, found.governs_egress) == governs


def test_without_types_egress_is_governed_if_it_has_rules():
    assert types_by_rules(Spec(ingress=(Entry(),))) == ("Ingress",)


def test_an_entry_without_peers_and_ports_allows_everything():
    (rule,) = incoming()

    assert (rule.action, rule.protocol, rule.source, rule.destination) == (Action.ALLOW, None, ANYONE, ANYONE)


def test_a_pod_selector_alone_means_pods_of_the_own_namespace():
    (rule,) = incoming(Peer(pods=WEB))

    assert rule.source == EntityRule(selector=parse("projectcalico.org/orchestrator == 'k8s' && app == 'web'"))


def test_a_peer_without_anything_means_all_pods_of_the_own_namespace():
    assert [rule.source for rule in incoming(Peer(), Peer(pods=()))] == [EntityRule(selector=POD)] * 2


def test_a_namespace_selector_alone_means_all_pods_of_those_namespaces():
    every, team = incoming(Peer(namespaces=()), Peer(namespaces=(Equals("team", "a"),)))

    assert every.source == EntityRule(selector=POD, namespace_selector=All())
    assert team.source == EntityRule(selector=POD, namespace_selector=Equals("team", "a"))


def test_a_block_means_addresses_whoever_has_them():
    (rule,) = incoming(Peer(block=Block(net("10.0.0.0/8"), (net("10.1.0.0/16"),))))

    assert rule.source == EntityRule(nets=(net("10.0.0.0/8"),), not_nets=(net("10.1.0.0/16"),))


def test_ports_are_those_of_the_destination_in_both_directions():
    entry = Entry(peers=(Peer(pods=WEB),), ports=(PortEntry(TCP, PortRange(80, 80)),))
    found = policy(ingress=(entry,), egress=(entry,))
    far = EntityRule(selector=parse("projectcalico.org/orchestrator == 'k8s' && app == 'web'"))
    port = (PortRange(80, 80),)

    assert (found.ingress[0].source, found.ingress[0].destination) == (far, EntityRule(ports=port))
    assert (found.egress[0].source, found.egress[0].destination) == (
        ANYONE,
        EntityRule(selector=far.selector, ports=port),
    )


def test_protocols_come_by_name_and_peers_as_written():
    first, second = Place("k.yaml", 5, 1), Place("k.yaml", 6, 1)
    ports = (PortEntry(UDP, PortRange(53, 53)), PortEntry(TCP, "web"), PortEntry(SCTP))
    found = incoming(Peer(place=second), Peer(place=first), ports=ports)

    assert [(rule.protocol, rule.place.line) for rule in found] == [
        (Protocol(number), line) for number in (SCTP, TCP, UDP) for line in (6, 5)
    ]


def test_an_entry_without_a_port_swallows_the_other_ports_of_its_protocol():
    ports = (PortEntry(TCP, PortRange(80, 80)), PortEntry(TCP), PortEntry(TCP, PortRange(90, 90)))
    (rule,) = incoming(ports=ports)

    assert (rule.protocol, rule.destination) == (Protocol(TCP), ANYONE)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([PortRange(80, 80), PortRange(81, 81)], [PortRange(80, 81)]),
        ([PortRange(90, 99), PortRange(80, 92), PortRange(1, 1)], [PortRange(1, 1), PortRange(80, 99)]),
        ([PortRange(1, 9), PortRange(2, 3)], [PortRange(1, 9)]),
        (["web", PortRange(80, 80), "dns", "web"], ["web", "dns", PortRange(80, 80)]),
    ],
)
def test_ports_are_merged_to_the_fewest_ranges_with_names_first(given, expected):
    assert list(merged(given)) == expected
