import msgspec
import pytest

from calicod.daemon.live import Live
from calicod.daemon.state import LiveFlow
from calicod.model.event import Party
from calicod.model.marks import FAILSAFE_ID
from calicod.netfilter.flow import Flow, FlowTuple
from tests.unit.compiler.build import addr
from tests.unit.daemon.test_farewell import CLIENT, ENFORCEMENT, ETH0, MARKS, NODE, STEERING, WORKLOAD, flow, route

START = 1_700_000_000 * 10**9
NOW = START + 2_500_000_000


@pytest.fixture
def live() -> Live:
    return Live(ENFORCEMENT, STEERING, route, "n1", NOW)


def told(live: Live, *flows: Flow) -> list[LiveFlow]:
    return list(live.allowed(flows))


def test_an_allowed_flow_is_told_with_its_path_and_its_rule(live):
    counted = {"packets": 4, "bytes": 400, "reply_packets": 3, "reply_bytes": 300, "start_ns": START}
    (found,) = told(live, msgspec.structs.replace(flow(ETH0, generation=5), **counted))

    assert (found.src_ip, found.src_port, found.dst_ip, found.dst_port) == (CLIENT, 40000, WORKLOAD, 80)
    assert (found.hook, found.in_interface, found.out_interface) == ("forward", "eth0", "caliw")
    assert (found.reason, found.policy.name, found.policy.rule, found.reporter) == ("rule", "web", 0, "dst")
    assert (found.src, found.dst.name) == (Party("Network", "", "pub"), "n1-k8s-w-eth0")
    assert (found.generation, found.age_seconds, found.bytes_to_dst, found.packets_to_src) == (5, 2.5, 400, 3)
    assert len(found.flow_id) == 16


def test_what_the_kernel_does_not_count_is_not_told(live):
    (found,) = told(live, flow(ETH0, generation=5))

    assert (found.age_seconds, found.bytes_to_dst, found.flow_id) == (None, None, None)


def test_a_flow_of_an_older_generation_is_told_only_if_the_policy_in_force_allows_it(live):
    found = told(live, flow(ETH0, 80, generation=4), flow(ETH0, 443, generation=4))

    assert [(f.dst_port, f.generation) for f in found] == [(80, 4)]


def test_a_flow_whose_path_is_not_certain_is_told_without_a_rule(live):
    (found,) = told(live, flow(17, generation=5))

    assert (found.hook, found.policy, found.reason) == (None, None, None)


def test_a_failsafe_flow_is_told_as_that(live):
    passed = Flow(
        FlowTuple(6, addr(CLIENT), addr(NODE), 40000, 22),
        FlowTuple(6, addr(NODE), addr(CLIENT), 22, 40000),
        MARKS.stamp(0, FAILSAFE_ID),
    )
    (found,) = told(live, passed)

    assert (found.reason, found.hook, found.in_interface, found.generation) == ("failsafe", "input", "eth0", 0)


def test_what_nobody_judged_is_left_out(live):
    unjudged = flow(ETH0)

    assert told(live, Flow(unjudged.original, unjudged.reply, 0)) == []
