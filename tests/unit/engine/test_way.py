import msgspec
import pytest

from calicod.engine.path import UNJUDGED, exempt
from calicod.engine.way import NOBODY, Leg, arriving_at_host, at, find, leaving_host, up_to
from calicod.model.hook import Direction, Hook, Phase
from calicod.model.network import parse_network
from calicod.model.protocol import TCP, UDP
from calicod.model.verdict import Reason
from calicod.resources.kinds import Failsafe
from calicod.ruleset.topology import resolve
from tests.build import (
    FROM_HOST,
    FROM_W,
    HOST,
    INTERFACES,
    OUTSIDE,
    OUTSIDE6,
    TO_HOST,
    TO_W,
    W6,
    W_TO_HOST,
    W_TO_V,
    Tier,
    host,
    icmp,
    policy,
    ruleset,
    settings,
    tcp,
    udp,
)

RAW_IN, RAW_OUT = (Hook.RAW_PREROUTING, "eth0", ""), (Hook.RAW_OUTPUT, "", "eth0")
DNAT, DNAT_OF_W = (Hook.PREROUTING, "eth0", ""), (Hook.PREROUTING, "caliw", "")
TO_LO, FROM_LO = (Hook.INPUT, "lo", ""), (Hook.OUTPUT, "", "lo")
THROUGH = (Hook.FORWARD, "eth0", "eth1")
EVERYTHING = dict.fromkeys(
    ("forward_ingress", "forward_egress", "pre_dnat", "untracked_ingress", "untracked_egress"), 0
)
NET = parse_network("198.51.100.0/24")[0]
FAILSAFES = settings(
    failsafe_inbound=(Failsafe(protocol=TCP, port=22),), failsafe_outbound=(Failsafe(protocol=UDP, port=53, net=NET),)
)


def rules(*hosts, **fields):
    return ruleset(Tier("default", policy()), hosts=hosts, settings=FAILSAFES, **fields)


OWN = rules(host("h", "eth0", HOST, **EVERYTHING), host("i", "eth1"))
STAR = rules(host("star", "*", **EVERYTHING))
LO = rules(host("l", "lo", **EVERYTHING))


def path(ruled, place, *, spared=False):
    return find(ruled, resolve(ruled, INTERFACES), *place, spared=spared)


def judges(path):
    return [(stage.endpoint.name, stage.direction.value, stage.phase) for stage in path.stages]


def phases(leg):
    return [stage.phase for early in leg.early for stage in early.stages]


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (RAW_IN, [("h", "ingress", Phase.UNTRACKED)]),
        (RAW_OUT, [("h", "egress", Phase.UNTRACKED)]),
        (DNAT, [("h", "ingress", Phase.PRE_DNAT)]),
        (THROUGH, [("h", "ingress", Phase.FORWARD)]),
        ((Hook.FORWARD, "eth1", "eth0"), [("h", "egress", Phase.FORWARD)]),
        (TO_W, [("h", "ingress", Phase.FORWARD), ("w", "ingress", Phase.NORMAL)]),
        (FROM_W, [("w", "egress", Phase.NORMAL), ("h", "egress", Phase.FORWARD)]),
        (W_TO_V, [("w", "egress", Phase.NORMAL), ("v", "ingress", Phase.NORMAL)]),
        (DNAT_OF_W, []),
        (TO_HOST, [("h", "ingress", Phase.NORMAL)]),
    ],
)
def test_a_host_endpoint_of_one_interface_judges_what_passes_there(place, expected):
    assert judges(path(OWN, place)) == expected


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (RAW_IN, []),
        (RAW_OUT, []),
        (DNAT, [("star", "ingress", Phase.PRE_DNAT)]),
        (DNAT_OF_W, [("star", "ingress", Phase.PRE_DNAT)]),
        ((Hook.PREROUTING, "lo", ""), []),
        (THROUGH, [("star", "ingress", Phase.FORWARD), ("star", "egress", Phase.FORWARD)]),
        (
            W_TO_V,
            [
                ("star", "ingress", Phase.FORWARD),
                ("w", "egress", Phase.NORMAL),
                ("v", "ingress", Phase.NORMAL),
                ("star", "egress", Phase.FORWARD),
            ],
        ),
        (W_TO_HOST, [("w", "egress", Phase.NORMAL)]),
        (TO_LO, []),
    ],
)
def test_the_wildcard_judges_workload_interfaces_too_but_nothing_untracked_and_no_lo(place, expected):
    assert judges(path(STAR, place)) == expected


def test_before_dnat_the_wildcard_stands_in_for_a_host_endpoint_without_such_policy():
    both = rules(host("h", "eth0"), host("star", "*", pre_dnat=0))

    assert judges(path(both, DNAT)) == [("star", "ingress", Phase.PRE_DNAT)]
    assert judges(path(both, TO_HOST)) == [("h", "ingress", Phase.NORMAL)]


def test_a_host_endpoint_on_lo_gets_no_stand_in():
    assert path(rules(host("l", "lo"), host("star", "*", pre_dnat=0)), (Hook.PREROUTING, "lo", "")) is UNJUDGED


@pytest.mark.parametrize(
    ("place", "left"),
    [
        (DNAT, []),
        (TO_HOST, []),
        (FROM_HOST, []),
        (THROUGH, [("star", "egress", Phase.FORWARD)]),
        (TO_W, [("w", "ingress", Phase.NORMAL), ("star", "egress", Phase.FORWARD)]),
        (W_TO_HOST, [("w", "egress", Phase.NORMAL)]),
    ],
)
def test_an_early_allow_spares_only_what_the_same_host_endpoint_would_ask_on_the_way_in_or_out(place, left):
    assert judges(path(STAR, place, spared=True)) == left


@pytest.mark.parametrize(
    ("place", "early"),
    [
        (TO_HOST, [Phase.UNTRACKED, Phase.PRE_DNAT]),
        (THROUGH, [Phase.UNTRACKED, Phase.PRE_DNAT]),
        (FROM_HOST, [Phase.UNTRACKED]),
        (DNAT, [Phase.UNTRACKED]),
        (RAW_IN, []),
        (RAW_OUT, []),
        (FROM_W, []),
    ],
)
def test_a_way_begins_with_the_hooks_that_a_packet_passes_before(place, early):
    (leg,) = up_to(OWN, resolve(OWN, INTERFACES), *place)

    assert phases(leg) == early
    assert leg.path == path(OWN, place)


def test_a_rule_that_has_allowed_a_packet_early_spares_it_the_host_endpoint_at_a_hook():
    assert at(OWN, resolve(OWN, INTERFACES), *TO_HOST, spared=True) == NOBODY


def test_a_hook_alone_has_no_early_paths():
    assert at(OWN, resolve(OWN, INTERFACES), *TO_HOST) == (Leg(path(OWN, TO_HOST)),)


def test_what_the_host_sends_to_itself_is_judged_once_in_output_for_both_directions():
    topology = resolve(LO, INTERFACES)
    sent, got = at(LO, topology, *FROM_LO)
    untracked = at(LO, topology, Hook.RAW_OUTPUT, "", "lo")

    assert at(LO, topology, *FROM_LO) == up_to(LO, topology, *FROM_LO)
    assert [phases(leg) + [stage.direction for stage in leg.path.stages] for leg in untracked] == [
        [Direction.EGRESS],
        [Direction.INGRESS],
    ]
    assert all(at(LO, topology, hook, "lo", "") == NOBODY for hook in (Hook.RAW_PREROUTING, Hook.PREROUTING))
    assert judges(sent.path) + judges(got.path) == [("l", "egress", Phase.NORMAL), ("l", "ingress", Phase.NORMAL)]
    assert at(LO, topology, *TO_LO) == NOBODY
    assert up_to(LO, topology, *TO_LO) == up_to(LO, topology, *FROM_LO)
    assert [phases(leg) for leg in up_to(LO, topology, *TO_LO)] == [
        [Phase.UNTRACKED],
        [Phase.UNTRACKED, Phase.PRE_DNAT],
    ]


def test_an_incoming_interface_of_something_sent_is_not_taken_for_lo():
    (leg,) = up_to(LO, resolve(LO, INTERFACES), Hook.OUTPUT, "lo", "eth0")

    assert leg == Leg(UNJUDGED)


def test_by_address_a_host_endpoint_judges_its_own_early_traffic():
    (found,) = OWN.hosts[:1]

    assert phases(leaving_host(OWN, found)) == [Phase.UNTRACKED]
    assert phases(arriving_at_host(OWN, found)) == [Phase.UNTRACKED, Phase.PRE_DNAT]
    assert arriving_at_host(OWN, OWN.hosts[1]).early == ()


@pytest.mark.parametrize(
    ("place", "sent", "reason"),
    [
        (RAW_IN, tcp(22, OUTSIDE, HOST), Reason.FAILSAFE),
        (RAW_IN, udp(9, OUTSIDE, HOST, sport=53), Reason.FAILSAFE),
        (RAW_IN, udp(9, "203.0.113.1", HOST, sport=53), None),
        (RAW_IN, udp(53, OUTSIDE, HOST), None),
        (RAW_OUT, udp(53, HOST, OUTSIDE), Reason.FAILSAFE),
        (RAW_OUT, udp(53, HOST, "203.0.113.1"), None),
        (RAW_OUT, tcp(9, HOST, OUTSIDE, sport=22), Reason.FAILSAFE),
        (RAW_OUT, tcp(22, HOST, OUTSIDE), None),
        (DNAT, tcp(22, OUTSIDE, HOST), Reason.FAILSAFE),
        (DNAT, udp(9, OUTSIDE, HOST, sport=53), None),
        (THROUGH, tcp(22, OUTSIDE, HOST), None),
    ],
)
def test_failsafes_pass_early_stages_and_answers_only_the_untracked_one(place, sent, reason):
    assert exempt(path(OWN, place), sent, OWN) is reason


@pytest.mark.parametrize(
    ("ruled", "place", "kinds"),
    [
        (OWN, RAW_IN, {133, 134, 135, 136, 137}),
        (OWN, RAW_OUT, {133, 134, 135, 136, 137}),
        (OWN, DNAT, {133, 134, 135, 136, 137}),
        (STAR, DNAT_OF_W, {133, 135, 136, 137}),
        (STAR, THROUGH, set()),
    ],
)
def test_neighbour_discovery_passes_early_stages_but_a_workload_is_no_router(ruled, place, kinds):
    sent = {kind: msgspec.structs.replace(icmp(kind, 0, OUTSIDE6, W6), hop_limit=255) for kind in range(256)}

    assert {kind for kind in sent if exempt(path(ruled, place), sent[kind], ruled)} == kinds


def test_a_direction_without_a_program_asks_nobody():
    one_way = rules(host("h", "eth0", forward_ingress=0))

    assert path(one_way, (Hook.FORWARD, "eth1", "eth0")) is UNJUDGED
    assert path(one_way, RAW_IN) is path(one_way, RAW_OUT) is path(one_way, DNAT) is UNJUDGED
    assert path(one_way, THROUGH).stages[0].direction is Direction.INGRESS
