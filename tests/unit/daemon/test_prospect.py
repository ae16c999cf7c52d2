import time

import pytest
from msgspec.structs import replace

from calicod.daemon.live import Live
from calicod.daemon.proposal import Prospect, Session
from calicod.daemon.prospect import Scales, as_sent, connection, is_session, prospect
from calicod.model.marks import FAILSAFE_ID
from calicod.netfilter.flow import DESTINATION_NAT, Flow, FlowTuple
from calicod.packet.value import Packet
from calicod.ruleset.program import RuleSet
from tests.unit.compiler.build import addr, entity, host, policy, rule, ruleset, tcp_rule, workload
from tests.unit.daemon.test_farewell import CLIENT, ENFORCEMENT, ETH0, MARKS, NODE, STEERING, WORKLOAD, flow, route

NOW = 5
CLOSED = ruleset(workload(), host(), policy("lock", ingress=(rule("Deny"),)))
SSH = ruleset(workload(), host(), policy("ssh", ingress=(tcp_rule(destination=entity(ports=(22,))),)))
SESSION = Session(CLIENT, 40000, NODE, 2222)


def scales(coming: RuleSet, *, spared: bool = False) -> Scales:
    live = Live(ENFORCEMENT, STEERING, route, "n1", 0)
    return Scales(live, replace(ENFORCEMENT, ruleset=coming), spared=spared)


def seen(coming: RuleSet, *flows: Flow, session: Session | None = None, spared: bool = False) -> Prospect:
    return prospect(flows, scales(coming, spared=spared), session, time.monotonic() + 5)


def unstamped(sport: int, dport: int, mark: int = 0, to: str = NODE) -> Flow:
    original = FlowTuple(6, addr(CLIENT), addr(to), sport, dport)
    return Flow(original, FlowTuple(6, addr(to), addr(CLIENT), dport, sport), mark)


def test_a_flow_that_the_set_would_refuse_is_told_with_both_rules():
    found = seen(CLOSED, flow(ETH0, generation=NOW))

    (cut,) = found.cuts
    assert (found.cut, found.flows, found.unjudged, found.session) == (1, 1, 0, None)
    assert (cut.flow.policy.name, cut.policy.name, cut.reason, cut.session) == ("web", "lock", "rule", False)


def test_a_flow_that_the_set_allows_too_stays():
    assert seen(ENFORCEMENT.ruleset, flow(ETH0, generation=NOW)) == Prospect(flows=1)


def test_a_flow_that_is_refused_already_is_not_cut_by_the_set():
    found = seen(CLOSED, flow(ETH0, 443, generation=4))

    assert (found.cut, found.flows) == (0, 0)


def test_a_flow_whose_path_is_not_certain_is_counted():
    found = seen(CLOSED, flow(17, generation=NOW))

    assert (found.cut, found.flows, found.unjudged) == (0, 0, 1)


def test_what_there_was_no_time_for_is_counted():
    found = prospect([flow(ETH0, generation=NOW)] * 3, scales(CLOSED), None, time.monotonic() - 1)

    assert (found.cut, found.unjudged) == (0, 3)


def test_a_set_without_endpoints_here_cuts_nothing():
    assert seen(ruleset(), flow(ETH0, generation=NOW)) == Prospect(flows=1)


def test_where_live_flows_are_kept_only_those_without_a_present_stamp_are_cut():
    found = seen(CLOSED, flow(ETH0, generation=NOW), flow(ETH0, generation=4), spared=True)

    assert (found.cut, found.flows) == (1, 2)


def test_where_live_flows_are_kept_those_of_a_workload_that_leaves_are_cut_all_the_same():
    live = Live(ENFORCEMENT, STEERING, route, "n1", 0)
    coming = replace(ENFORCEMENT, ruleset=ruleset(host()))
    leaving = Scales(live, coming, spared=True, leaving=frozenset({addr(WORKLOAD)}))

    assert leaving.weigh(flow(ETH0, generation=NOW))[0] == "cut"
    assert leaving.weigh(unstamped(40000, 80, flow(ETH0, generation=NOW).mark))[0] == "stays"


def test_what_a_failsafe_let_pass_is_cut_by_a_set_without_that_failsafe():
    assert seen(SSH, unstamped(1, 22, MARKS.stamp(0, FAILSAFE_ID))).cut == 0
    assert seen(CLOSED, unstamped(1, 2222, MARKS.stamp(0, FAILSAFE_ID))).cut == 0  # refused by what is in force, too


def test_what_nobody_judges_now_is_judged_by_the_set():
    empty = replace(ENFORCEMENT, ruleset=ruleset())
    live = Live(empty, STEERING, route, "n1", 0)
    found = prospect([unstamped(1, 80)], Scales(live, replace(empty, ruleset=CLOSED)), None, time.monotonic() + 5)

    assert [(cut.flow.reason, cut.policy.name) for cut in found.cuts] == [("no-endpoint", "lock")]


def test_the_session_comes_first_then_the_busiest():
    flows = [replace(flow(ETH0, generation=NOW), bytes=n, reply_bytes=1) for n in (5, 50)]
    mine = replace(unstamped(40000, 80, MARKS.stamp(NOW, ETH0) | MARKS.filter_stage), bytes=1, reply_bytes=1)
    found = seen(CLOSED, *flows, mine, session=Session(CLIENT, 40000, NODE, 80))

    assert [(cut.session, cut.flow.bytes_to_dst) for cut in found.cuts] == [(True, 1), (False, 50), (False, 5)]
    assert found.session == "deny"


def test_of_many_cuts_some_are_told_and_all_are_counted():
    flows = [replace(flow(ETH0, generation=NOW), bytes=n, reply_bytes=0) for n in (3, 9, 1, 7, 5)]
    found = prospect(flows, scales(CLOSED), None, time.monotonic() + 5, told=2)

    assert ([cut.flow.bytes_to_dst for cut in found.cuts], found.cut) == ([9, 7], 5)


def empty_scales(coming: RuleSet) -> Scales:
    empty = replace(ENFORCEMENT, ruleset=ruleset())
    return Scales(Live(empty, STEERING, route, "n1", 0), replace(empty, ruleset=coming))


def test_a_session_that_is_not_tracked_is_judged_all_the_same():
    found = prospect([], empty_scales(CLOSED), SESSION, time.monotonic() + 5)

    assert (found.session, [cut.session for cut in found.cuts]) == ("deny", [True])
    assert prospect([], empty_scales(SSH), replace(SESSION, dst_port=22), time.monotonic() + 5).session == "allow"


def test_a_session_of_another_host_cannot_be_judged():
    strange = Session("203.0.113.1", 1, "203.0.113.2", 22)

    assert prospect([], empty_scales(CLOSED), strange, time.monotonic() + 5) == Prospect(session="unknown")


@pytest.mark.parametrize("back", [False, True])
def test_the_session_is_found_as_this_host_sees_it(back):
    """Forwarded to this host under another address, or picked up in its middle and tracked the other way round."""
    sent = FlowTuple(6, addr(CLIENT), addr("198.51.100.99"), 40000, 22)
    forwarded = Flow(sent, FlowTuple(6, addr(NODE), addr(CLIENT), 2222, 40000))
    mine = connection(SESSION)
    turned = Flow(mine.reply, mine.original)

    assert is_session(turned if back else forwarded, mine)
    assert not is_session(unstamped(40001, 2222), mine)


def test_a_session_that_is_tracked_the_other_way_round_is_judged_as_it_was_opened():
    mine = connection(SESSION)
    found = prospect([Flow(mine.reply, mine.original)], empty_scales(CLOSED), SESSION, time.monotonic() + 5)

    assert [(cut.flow.src_ip, cut.flow.dst_port, cut.session) for cut in found.cuts] == [(CLIENT, 2222, True)]


def test_a_translated_flow_is_judged_before_and_after_its_translation():
    translated = replace(flow(ETH0, generation=NOW, translated=NODE), status=DESTINATION_NAT)
    deny = rule("Deny", destination=entity(nets=(f"{NODE}/32",)))
    early = ruleset(workload(), host(), policy("early", pre_dnat=True, apply_on_forward=True, ingress=(deny,)))

    assert as_sent(translated) == Packet(4, 6, addr(CLIENT), addr(NODE), 40000, 80)
    (cut,) = seen(early, translated).cuts
    assert (cut.policy.name, cut.flow.dst_ip) == ("early", WORKLOAD)
    assert seen(ENFORCEMENT.ruleset, translated).cut == 0
