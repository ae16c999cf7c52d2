import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from calicod.daemon import beginning
from calicod.daemon.beginning import Beginning, Met, adoptions, concerned
from calicod.daemon.farewell import Place
from calicod.model.hook import Hook
from calicod.model.marks import LOCAL_ID, WORKLOAD_ID, gather
from calicod.model.steering import Nic
from calicod.netfilter.flow import SEEN_REPLY, Flow, FlowTuple
from tests.unit.compiler.build import addr
from tests.unit.daemon.control_plane import namespace
from tests.unit.daemon.test_farewell import (
    CLIENT,
    ENFORCEMENT,
    ETH0,
    FAR,
    MARKS,
    NODE,
    STEERING,
    WORKLOAD,
    route,
)


def flow(source: str, target: str, *, mark: int = 0, status: int = SEEN_REPLY) -> Flow:
    original = FlowTuple(17, addr(source), addr(target), 1000, 53)
    return Flow(original, FlowTuple(17, addr(target), addr(source), 53, 1000), mark, status)


def stamped(*flows: Flow) -> list[tuple[int, int]]:
    """(generation, interface) of what is adopted."""
    found = adoptions(flows, ENFORCEMENT, STEERING, route)
    return [
        (gather(mark, MARKS.generation), gather(mark, MARKS.interface)) for mark, all_ in found.items() for _ in all_
    ]


@pytest.mark.parametrize(
    ("source", "target", "interface"),
    [(CLIENT, WORKLOAD, ETH0), (CLIENT, NODE, ETH0), (WORKLOAD, CLIENT, WORKLOAD_ID), (NODE, CLIENT, LOCAL_ID)],
    ids=["to-workload", "to-host", "from-workload", "from-host"],
)
def test_a_flow_gets_the_stamp_of_the_path_that_its_answers_take(source, target, interface):
    assert stamped(flow(source, target)) == [(STEERING.generation, interface)]


def test_what_is_marked_unanswered_or_no_concern_of_policy_is_left_alone():
    assert stamped(flow(CLIENT, WORKLOAD, mark=MARKS.judged)) == []
    assert stamped(flow(CLIENT, WORKLOAD, status=0)) == []
    assert stamped(flow(CLIENT, FAR)) == []
    assert stamped(flow("203.0.113.9", WORKLOAD)) == []


def test_a_foreign_mark_is_no_reason_against_it():
    assert len(stamped(flow(CLIENT, WORKLOAD, mark=0x80))) == 1


def test_policy_concerns_workloads_and_what_managed_hosts_send_and_get():
    judged = concerned(STEERING)

    assert judged(Place(Hook.INPUT, "eth0", ""))
    assert judged(Place(Hook.FORWARD, "eth0", "caliw"))
    assert not judged(Place(Hook.FORWARD, "eth0", "eth9"))
    assert not judged(Place(Hook.OUTPUT, "", "eth9"))
    assert not concerned(replace(STEERING, workload_prefixes=()))(Place(Hook.FORWARD, "eth0", "caliw"))


@pytest.mark.parametrize(
    ("changes", "spared"),
    [
        ({"nics": (Nic("eth0", ETH0, managed=True, forward=True),)}, {("eth8", "eth9"), ("eth9", "eth8")}),
        ({"nics": (Nic("eth0", ETH0, managed=True, prednat=True),)}, {("eth8", "eth0"), ("eth8", "eth9")}),
        ({"wildcard_forward": True}, {("eth0", "eth0")}),
        ({"wildcard_prednat": True}, set()),
    ],
    ids=["forward", "before-dnat", "wildcard-forward", "wildcard-before-dnat"],
)
def test_policy_concerns_what_is_forwarded_where_a_host_endpoint_judges_that(changes, spared):
    judged = concerned(replace(STEERING, **changes))

    assert all(not judged(Place(Hook.FORWARD, *names)) for names in spared)
    for names in {("eth0", "eth8"), ("eth0", "eth0"), ("eth0", "caliw")} - spared:
        assert judged(Place(Hook.FORWARD, *names))


def test_what_is_adopted_is_not_asked_about_before_dnat_either():
    early = replace(STEERING, nics=(Nic("eth0", ETH0, managed=True, prednat=True),))

    (mark,) = adoptions([flow(CLIENT, WORKLOAD)], ENFORCEMENT, early, route)
    (other,) = adoptions([flow(WORKLOAD, CLIENT)], ENFORCEMENT, early, route)

    assert mark & (MARKS.prednat_stage | MARKS.prednat_rule) == MARKS.prednat_stage
    assert not other & (MARKS.prednat_stage | MARKS.prednat_rule)


@pytest.mark.netns
def test_on_a_host_without_connections_nothing_is_done():
    with namespace():
        made = Beginning(adopts=True)
        made.meet(ENFORCEMENT, STEERING)

    assert (made.met, made.notices) == (Met(), ())


def test_what_was_done_is_told():
    made = Beginning(adopts=True)
    made.met = Met(turned=2, adopted=5)

    assert [notice.split()[0] for notice in made.notices] == ["5", "2"]


def test_a_failure_is_told_and_keeps_nothing_from_being_enforced(monkeypatch):
    def fails() -> int:
        raise OSError(1, "not permitted")

    monkeypatch.setattr(beginning, "set_right", fails)
    with capture_logs() as logs:
        Beginning(adopts=True).meet(ENFORCEMENT, STEERING)

    assert [entry["event"] for entry in logs] == ["connections.unmet"]
