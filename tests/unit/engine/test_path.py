import msgspec
import pytest

from calicod.engine.path import (
    FROM_UNKNOWN,
    HOST_TO_WORKLOAD,
    TO_UNKNOWN,
    UNJUDGED,
    exempt,
    exempted,
    suspects,
)
from calicod.engine.way import find
from calicod.model.hook import Direction, Hook
from calicod.model.network import parse_network
from calicod.model.protocol import ICMPV6, IPIP, TCP, UDP
from calicod.model.verdict import Reason, Verdict
from calicod.resources.kinds import Failsafe
from calicod.ruleset.topology import resolve
from tests.build import (
    FROM_HOST,
    FROM_W,
    HOST,
    HOST_TO_W,
    INTERFACES,
    OUTSIDE,
    OUTSIDE6,
    TO_HOST,
    TO_W,
    W6,
    W_TO_HOST,
    W_TO_V,
    Tier,
    W,
    host,
    icmp,
    packet,
    policy,
    ruleset,
    settings,
    tcp,
    udp,
    workload,
)

NET = parse_network("198.51.100.0/24")[0]
FAILSAFES = {
    "failsafe_inbound": (Failsafe(protocol=TCP, port=22), Failsafe(protocol=UDP, port=68, net=NET)),
    "failsafe_outbound": (Failsafe(protocol=UDP, port=53, net=NET),),
}
RULES = ruleset(Tier("default", policy()), settings=settings(endpoint_to_host_action="Accept", **FAILSAFES))


def path(place, rules=RULES):
    return find(rules, resolve(rules, INTERFACES), *place)


def stages(place, rules=RULES):
    return [(stage.endpoint.name, stage.direction) for stage in path(place, rules).stages]


def why(place, sent, rules=RULES):
    return exempt(path(place, rules), sent, rules)


@pytest.mark.parametrize(
    ("place", "judges"),
    [
        (TO_W, [("w", Direction.INGRESS)]),
        (FROM_W, [("w", Direction.EGRESS)]),
        (W_TO_V, [("w", Direction.EGRESS), ("v", Direction.INGRESS)]),
        ((Hook.FORWARD, "caliw", "caliw"), [("w", Direction.EGRESS), ("w", Direction.INGRESS)]),
        (W_TO_HOST, [("w", Direction.EGRESS)]),
        (TO_HOST, [("h", Direction.INGRESS)]),
        (FROM_HOST, [("h", Direction.EGRESS)]),
    ],
)
def test_who_judges(place, judges):
    assert stages(place) == judges


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (HOST_TO_W, HOST_TO_WORKLOAD),
        ((Hook.OUTPUT, "", "calix"), HOST_TO_WORKLOAD),
        ((Hook.FORWARD, "eth0", "eth1"), UNJUDGED),
        ((Hook.INPUT, "eth1", ""), UNJUDGED),
        ((Hook.OUTPUT, "", "eth1"), UNJUDGED),
        ((Hook.INPUT, "lo", ""), UNJUDGED),
        ((Hook.OUTPUT, "", "lo"), UNJUDGED),
        ((Hook.INPUT, "calix", ""), FROM_UNKNOWN),
        ((Hook.FORWARD, "calix", "caliw"), FROM_UNKNOWN),
        ((Hook.FORWARD, "caliw", "calix"), TO_UNKNOWN),
        ((Hook.PREROUTING, "eth0", ""), UNJUDGED),
        ((Hook.RAW_PREROUTING, "caliw", ""), UNJUDGED),
        ((Hook.RAW_OUTPUT, "", "eth0"), UNJUDGED),
    ],
)
def test_where_one_answer_holds_for_every_packet(place, expected):
    assert path(place) is expected


def test_the_wildcard_judges_every_interface_but_lo_and_forwards_unjudged():
    rules = ruleset(hosts=(host("star", "*"), host("z", "eth0")))

    assert stages((Hook.INPUT, "eth1", ""), rules) == [("star", Direction.INGRESS)]
    assert stages(TO_HOST, rules) == [("z", Direction.INGRESS)]
    assert path((Hook.INPUT, "lo", ""), rules) is UNJUDGED
    assert path((Hook.FORWARD, "eth0", "eth1"), rules) is UNJUDGED


def test_a_sender_that_is_down_refuses_everything_before_anything_passes():
    rules = ruleset(workloads=(workload("w", W, active=False),))

    for place in (FROM_W, W_TO_HOST, TO_W):
        fixed = path(place, rules).fixed
        assert (fixed.verdict, fixed.reason, fixed.endpoint.name) == (Verdict.DROP, Reason.ADMIN_DOWN, "w")


def test_only_the_action_drop_closes_the_way_from_a_workload_to_its_host():
    closing = {
        action: path(W_TO_HOST, ruleset(settings=settings(endpoint_to_host_action=action))).closing
        for action in ("Drop", "Return", "Accept")
    }

    assert closing == {"Drop": Reason.ENDPOINT_TO_HOST, "Return": None, "Accept": None}


@pytest.mark.parametrize(
    ("place", "sent", "reason"),
    [
        (TO_HOST, tcp(22, OUTSIDE, HOST), Reason.FAILSAFE),
        (TO_HOST, tcp(22, "203.0.113.1", HOST), Reason.FAILSAFE),
        (TO_HOST, udp(22, OUTSIDE, HOST), None),
        (TO_HOST, udp(68, OUTSIDE, HOST), Reason.FAILSAFE),
        (TO_HOST, udp(68, "203.0.113.1", HOST), None),
        (TO_HOST, udp(53, OUTSIDE, HOST), None),
        (FROM_HOST, udp(53, HOST, OUTSIDE), Reason.FAILSAFE),
        (FROM_HOST, udp(53, OUTSIDE, HOST), None),
        (FROM_HOST, tcp(22, HOST, OUTSIDE), None),
        (TO_W, tcp(22), None),
        (W_TO_HOST, tcp(22, W, HOST), None),
        (FROM_W, udp(4789, W, OUTSIDE), Reason.TUNNEL_FROM_WORKLOAD),
        (FROM_W, tcp(4789, W, OUTSIDE), None),
        (W_TO_HOST, packet(IPIP, W, HOST), Reason.TUNNEL_FROM_WORKLOAD),
        (TO_W, packet(IPIP), None),
        (TO_HOST, packet(IPIP, OUTSIDE, HOST), None),
    ],
)
def test_what_passes_or_not_before_any_policy(place, sent, reason):
    assert why(place, sent) is reason


@pytest.mark.parametrize(
    ("place", "kinds"),
    [
        (TO_HOST, {133, 134, 135, 136, 137}),
        (FROM_HOST, {133, 134, 135, 136, 137}),
        (W_TO_HOST, {130, 131, 132, 133, 135, 136, 137}),
        (FROM_W, set()),
        (TO_W, set()),
    ],
)
def test_neighbour_discovery_passes_between_a_host_and_its_links(place, kinds):
    passing = {kind for kind in range(256) if why(place, icmp(kind, 0, OUTSIDE6, W6)) is Reason.NEIGHBOUR_DISCOVERY}

    assert passing == kinds


def test_what_a_router_forwarded_is_no_neighbour_discovery():
    solicitation = icmp(135, 0, OUTSIDE6, W6)
    sent = {limit: msgspec.structs.replace(solicitation, hop_limit=limit) for limit in (255, 254)}

    assert why(TO_HOST, sent[255]) is Reason.NEIGHBOUR_DISCOVERY
    assert why(TO_HOST, sent[254]) is None


def test_ipv4_has_no_neighbour_discovery():
    assert why(TO_HOST, packet(ICMPV6, OUTSIDE, HOST, icmp_type=135, icmp_code=0)) is None


def test_a_headless_fragment_is_refused_on_every_judged_path_but_never_as_a_failsafe():
    fragment = msgspec.structs.replace(tcp(22), sport=-1, dport=-1, fragment=True)

    assert {why(place, fragment) for place in (TO_W, FROM_W, W_TO_V, W_TO_HOST, TO_HOST, FROM_HOST)} == {
        Reason.FRAGMENT
    }


def test_the_settings_let_tunnels_go_to_policy():
    rules = ruleset(settings=settings(allow_vxlan_from_workloads=True, allow_ipip_from_workloads=True))

    assert why(FROM_W, udp(4789), rules) is why(FROM_W, packet(IPIP), rules) is None


def test_the_port_of_vxlan_is_the_configured_one():
    rules = ruleset(settings=settings(vxlan_port=8472))

    assert why(FROM_W, udp(8472), rules) is Reason.TUNNEL_FROM_WORKLOAD
    assert why(FROM_W, udp(4789), rules) is None


def test_only_packets_of_suspected_protocols_are_exempt():
    assert suspects(path(TO_W)) == frozenset()
    assert suspects(path(FROM_W)) == {UDP, IPIP}
    assert suspects(path(W_TO_HOST)) == {UDP, IPIP, ICMPV6}
    assert suspects(path(TO_HOST)) == {TCP, UDP, ICMPV6}


def test_a_tunnel_is_told_by_the_workload_also_behind_a_host_endpoint():
    rules = ruleset(Tier("default", policy()), hosts=(host("star", "*", forward_ingress=0),))

    assert exempted(path(FROM_W, rules), Reason.TUNNEL_FROM_WORKLOAD).endpoint.name == "w"
    assert exempted(path(FROM_W, rules), Reason.FRAGMENT).endpoint.name == "w"
    assert exempted(path(TO_W, rules), Reason.FRAGMENT).endpoint.name == "star"


def test_an_exemption_is_told_by_the_first_endpoint_of_the_path():
    decision = exempted(path(W_TO_V), Reason.TUNNEL_FROM_WORKLOAD)

    assert (decision.verdict, decision.endpoint.name, decision.reporter) == (Verdict.DROP, "w", "src")
    assert exempted(path(TO_HOST), Reason.FAILSAFE).verdict is Verdict.ACCEPT
