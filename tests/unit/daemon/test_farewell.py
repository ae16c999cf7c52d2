import time

import msgspec
import pytest

from calicod.daemon.farewell import Place, Placing, first_packet, is_unsettled, renewals
from calicod.model.hook import Hook
from calicod.model.interface import Interface
from calicod.model.marks import LOCAL_ID, TO_WORKLOAD_ID, UNMANAGED_ID, WORKLOAD_ID, gather, layout
from calicod.model.steering import ForwardingWorkload, Nic, Steering
from calicod.netfilter.flow import Flow, FlowTuple
from calicod.netfilter.routes import Route
from calicod.packet.value import Packet
from calicod.ruleset.enforcement import Enforcement
from tests.unit.compiler.build import addr, entity, host, policy, ruleset, tcp_rule, workload

MARKS = layout()
ETH0, FORWARDS = 3, 4
INTERFACES = (
    Interface(1, "lo"),
    Interface(2, "eth0"),
    Interface(3, "caliw"),
    Interface(4, "califw"),
    Interface(5, "eth9"),
)
STEERING = Steering(
    generation=5,
    nics=(Nic("eth0", ETH0, managed=True), Nic("eth9", UNMANAGED_ID, managed=False)),
    workload_prefixes=("cali",),
    forwarding_workloads=(ForwardingWorkload("califw", FORWARDS, ()),),
)
RULES = ruleset(workload(), host(), policy("web", ingress=(tcp_rule(destination=entity(ports=(80,))),)))
ENFORCEMENT = Enforcement(revision=1, ruleset=RULES, interfaces=INTERFACES)
CLIENT, WORKLOAD, NODE, FAR = "192.0.2.10", "10.65.0.2", "192.0.2.1", "198.51.100.7"
ROUTES = {CLIENT: 2, WORKLOAD: 3, FAR: 5}


def route(destination: bytes, source: bytes, incoming: int) -> Route | None:
    """The router's table: the client behind eth0, the workload behind caliw, somebody behind eth9."""
    if destination == addr(NODE):
        return Route(local=True, interface=0)
    for address, interface in ROUTES.items():
        if destination == addr(address):
            return Route(local=False, interface=interface)
    return None


def flow(interface: int, dport: int = 80, *, generation: int = 4, to: str = WORKLOAD, translated: str = "") -> Flow:
    """A TCP connection of the client's that was allowed under that generation."""
    original = FlowTuple(6, addr(CLIENT), addr(translated or to), 40000, dport)
    reply = FlowTuple(6, addr(to), addr(CLIENT), dport, 40000)
    return Flow(original, reply, MARKS.stamp(generation, interface) | MARKS.filter_stage)


def renewed(*flows: Flow) -> tuple[int, list[tuple[int, int, list[int]]]]:
    """How many were judged, and (generation, interface, destination ports) of those that live on."""
    count, allowed = renewals(flows, ENFORCEMENT, STEERING, route, time.monotonic() + 5)
    found = [
        (gather(mark, MARKS.generation), gather(mark, MARKS.interface), [f.reply.sport for f in kept])
        for mark, kept in allowed.items()
    ]
    return count, found


def test_what_the_policy_in_force_allows_gets_the_present_stamp():
    assert renewed(flow(ETH0, 80)) == (1, [(5, ETH0, [80])])


def test_what_it_refuses_keeps_its_old_one():
    assert renewed(flow(ETH0, 443)) == (1, [])


def test_a_current_stamp_and_a_connection_without_one_are_left_alone():
    unstamped = Flow(flow(ETH0).original, flow(ETH0).reply, MARKS.stamp(4, ETH0))

    assert renewed(flow(ETH0, generation=5), unstamped) == (0, [])


def test_a_translated_destination_is_judged_as_the_filter_saw_it():
    assert renewed(flow(ETH0, translated=NODE)) == (1, [(5, ETH0, [80])])


def test_what_has_no_route_any_more_is_not_renewed():
    assert renewed(flow(ETH0, to="203.0.113.1")) == (1, [])


def test_what_there_was_no_time_for_is_not_renewed():
    assert renewals([flow(ETH0)], ENFORCEMENT, STEERING, route, time.monotonic() - 1) == (1, {})


@pytest.mark.parametrize(
    ("source", "destination", "interface", "place"),
    [
        (CLIENT, NODE, ETH0, Place(Hook.INPUT, "eth0", "")),
        (CLIENT, WORKLOAD, ETH0, Place(Hook.FORWARD, "eth0", "caliw")),
        (NODE, CLIENT, LOCAL_ID, Place(Hook.OUTPUT, "", "eth0")),
        (NODE, NODE, LOCAL_ID, Place(Hook.OUTPUT, "", "lo")),
        (NODE, WORKLOAD, TO_WORKLOAD_ID, Place(Hook.OUTPUT, "", "caliw")),
        (WORKLOAD, CLIENT, WORKLOAD_ID, Place(Hook.FORWARD, "caliw", "eth0")),
        (WORKLOAD, NODE, WORKLOAD_ID, Place(Hook.INPUT, "caliw", "")),
        ("203.0.113.9", CLIENT, FORWARDS, Place(Hook.FORWARD, "califw", "eth0")),
        (FAR, WORKLOAD, UNMANAGED_ID, Place(Hook.FORWARD, "eth9", "caliw")),
    ],
)
def test_a_flow_is_placed_where_its_first_packet_would_be_judged(source, destination, interface, place):
    assert Placing(ENFORCEMENT, STEERING, route).place(addr(source), addr(destination), interface) == place


@pytest.mark.parametrize(
    ("source", "interface"),
    [
        (CLIENT, WORKLOAD_ID),  # no workload leads to the client
        (CLIENT, TO_WORKLOAD_ID),  # as little does the host's own way to it
        (WORKLOAD, UNMANAGED_ID),  # an anti-spoofed workload has the shared id of workloads
        (CLIENT, 17),  # nobody has this id any more
        ("203.0.113.1", WORKLOAD_ID),  # no route leads to it
    ],
)
def test_a_flow_whose_interface_is_not_certain_has_no_place(source, interface):
    assert Placing(ENFORCEMENT, STEERING, route).place(addr(source), addr(NODE), interface) is None


def test_a_flow_is_judged_as_its_first_packet():
    ping = FlowTuple(1, addr(CLIENT), addr(NODE), icmp_id=7, icmp_type=8, icmp_code=0)

    assert first_packet(flow(ETH0)) == Packet(4, 6, addr(CLIENT), addr(WORKLOAD), 40000, 80)
    assert first_packet(Flow(ping, FlowTuple(1, addr(NODE), addr(CLIENT)))) == Packet(
        4, 1, addr(CLIENT), addr(NODE), icmp_type=8, icmp_code=0
    )


def test_a_failsafe_flow_is_not_one_that_policy_allowed():
    assert not is_unsettled(MARKS.stamp(4, ETH0), MARKS, 5)


@pytest.mark.parametrize(
    ("source", "destination", "place"),
    [
        (CLIENT, NODE, Place(Hook.INPUT, "eth0", "")),
        (CLIENT, WORKLOAD, Place(Hook.FORWARD, "eth0", "caliw")),
        (NODE, CLIENT, Place(Hook.OUTPUT, "", "eth0")),
        (NODE, NODE, Place(Hook.OUTPUT, "", "lo")),
        ("203.0.113.1", NODE, None),
        (CLIENT, "203.0.113.1", None),
    ],
)
def test_a_flow_without_a_stamp_is_placed_by_the_routes_alone(source, destination, place):
    assert Placing(ENFORCEMENT, STEERING, route).by_routes(addr(source), addr(destination)) == place


def test_what_a_prednat_rule_allows_is_judged_by_what_that_leaves_and_keeps_its_word() -> None:
    """Nothing else allows it: the host endpoint has no policy of its own."""
    spared = MARKS.stamp(5, ETH0) | MARKS.prednat_stage | MARKS.prednat_rule | MARKS.judged
    given = flow(ETH0, 443, to=NODE)
    early, late = (msgspec.structs.replace(given, mark=mark) for mark in (spared, spared & ~MARKS.prednat_rule))
    cut = msgspec.structs.replace(given, mark=spared & ~MARKS.prednat_stage)
    count, allowed = renewals([early, late, cut], ENFORCEMENT, STEERING, route, time.monotonic() + 5)

    assert count == 2
    assert allowed == {spared & ~MARKS.judged | MARKS.filter_stage: [early]}
