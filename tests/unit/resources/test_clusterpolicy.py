"""Policies of the cluster as policies of Calico's (semantics 5.2)."""

import pytest

from calicod.errors import NOWHERE, Place
from calicod.model.action import Action
from calicod.model.network import parse_network
from calicod.model.ports import PortRange
from calicod.model.protocol import SCTP, TCP, UDP, Protocol
from calicod.resources.clusterpolicy import Entry, Peer, Pods, PortEntry, Spec, converted, rules
from calicod.resources.kinds import Metadata
from calicod.selector.tree import Equals

TEAM, APP = Equals("team", "a"), Equals("app", "web")
ANYWHERE = Peer(who=Pods())
NETS = (parse_network("10.0.0.0/8")[0], parse_network("fd00::/8")[0])


def policy(**spec):
    return converted(Spec(tier="kube-admin", **spec), "KubernetesClusterNetworkPolicy", Metadata(name="x"), NOWHERE)


def outgoing(*entries):
    return list(rules(entries, incoming=False))


def test_the_subject_is_pods_alone_by_namespace_and_label():
    found = policy(order=5.0, subject=Pods((TEAM,), (APP,)))

    assert (found.tier, found.order, str(found.namespace_selector)) == ("kube-admin", 5.0, 'team == "a"')
    assert str(found.selector) == '(projectcalico.org/orchestrator == "k8s" && app == "web")'


def test_a_subject_of_namespaces_is_every_pod_in_them():
    found = policy(subject=Pods())

    assert (str(found.namespace_selector), str(found.selector)) == ("all()", 'projectcalico.org/orchestrator == "k8s"')


@pytest.mark.parametrize(
    ("ingress", "egress", "governs"),
    [(1, 0, (True, False)), (0, 1, (False, True)), (1, 1, (True, True)), (0, 0, (True, True))],
)
def test_rules_say_which_directions_are_governed(ingress, egress, governs):
    entry = Entry(action=Action.PASS, peers=(ANYWHERE,))
    found = policy(ingress=(entry,) * ingress, egress=(entry,) * egress)

    assert (found.governs_ingress, found.governs_egress) == governs


def test_a_peer_of_namespaces_is_everything_in_them_and_one_of_pods_is_pods():
    spaces, pods = (
        rule.destination
        for rule in outgoing(Entry(action=Action.DENY, peers=(Peer(who=Pods((TEAM,))), Peer(who=Pods((), ())))))
    )

    assert (str(spaces.namespace_selector), spaces.selector) == ('team == "a"', None)
    assert (str(pods.namespace_selector), str(pods.selector)) == ("all()", 'projectcalico.org/orchestrator == "k8s"')


def test_a_peer_of_networks_is_their_addresses_of_both_families():
    (rule,) = outgoing(Entry(action=Action.ALLOW, peers=(Peer(nets=NETS),)))

    assert (rule.destination.nets, rule.destination.selector, rule.ip_version) == (NETS, None, None)


def test_an_entry_is_a_rule_for_each_protocol_and_peer_in_this_order():
    peers = (Peer(nets=NETS[:1]), Peer(nets=NETS[1:]))
    ports = (
        PortEntry(UDP, PortRange(53, 53)),
        PortEntry(TCP, PortRange(81, 81)),
        PortEntry(TCP, PortRange(80, 80)),
        PortEntry(None, "http"),
        PortEntry(SCTP),
    )
    found = outgoing(Entry(action=Action.PASS, peers=peers, ports=ports))

    assert [(r.protocol, [str(p) for p in r.destination.ports], r.destination.nets) for r in found] == [
        (protocol, shown, (net,))
        for protocol, shown in (
            (None, ["http"]),
            (Protocol(SCTP), []),
            (Protocol(TCP), ["80:81"]),
            (Protocol(UDP), ["53"]),
        )
        for net in NETS
    ]
    assert {rule.action for rule in found} == {Action.PASS}


@pytest.mark.parametrize(
    "ports", [(PortEntry(TCP), PortEntry(TCP, PortRange(1, 1))), (PortEntry(TCP, PortRange(1, 1)), PortEntry(TCP))]
)
def test_a_whole_protocol_swallows_its_single_ports(ports):
    (rule,) = outgoing(Entry(action=Action.ALLOW, peers=(ANYWHERE,), ports=ports))

    assert rule.destination.ports == ()


def test_ports_are_of_the_destination_in_both_directions():
    entry = Entry(action=Action.ALLOW, peers=(Peer(who=Pods((TEAM,))),), ports=(PortEntry(TCP, PortRange(80, 80)),))
    (rule,) = rules((entry,), incoming=True)

    assert (str(rule.source.namespace_selector), rule.source.ports) == ('team == "a"', ())
    assert (rule.destination.ports, rule.destination.namespace_selector) == ((PortRange(80, 80),), None)


@pytest.mark.parametrize(
    ("action", "left"), [(Action.ALLOW, []), (Action.DENY, [Action.DENY]), (Action.PASS, [Action.DENY])]
)
def test_what_cannot_be_expressed_fails_closed(action, left):
    """Also when another of its peers could be."""
    place = Place("f", 1, 1)
    entry = Entry(
        action=action, peers=(ANYWHERE, Peer(foreign="a peer by nodes")), ports=(PortEntry(TCP),), place=place
    )
    found = outgoing(entry)

    assert [(rule.action, rule.place) for rule in found] == [(a, place) for a in left]
    assert all(rule.protocol is None and rule.destination.nets == () for rule in found)
