import msgspec

from calicod.daemon.folding import LOG_LIMIT, WINDOW_NS, Folding, LogRate, Summary
from calicod.daemon.lines import Moment
from calicod.daemon.templates import LogRule, unknown

MOMENT = Moment(0, 1, unknown(6), b"", b"", -1, -1, -1, -1, None)
RULE = LogRule(7, ("NetworkPolicy", "a", "b"), "")


def at(time_ns: int) -> Moment:
    return msgspec.structs.replace(MOMENT, time_ns=time_ns)


def test_repeats_within_the_window_become_one_summary_with_the_last_time():
    folding = Folding()
    folding.begin(1, "connection.denied", at(0))

    assert folding.repeat(1, 10)
    assert folding.repeat(1, 20)
    assert folding.due(WINDOW_NS - 1) == []
    assert folding.due(WINDOW_NS) == [Summary("connection.denied", at(20), 3)]
    assert not folding.repeat(1, WINDOW_NS + 1)


def test_what_was_not_told_before_is_no_repeat():
    assert not Folding().repeat(1, 0)


def test_too_many_windows_end_the_oldest_early_and_lose_no_count():
    folding = Folding(limit=10)
    packets = 0
    for key in range(100):
        folding.begin(key, "connection.denied", at(key))
        packets += 1 + folding.repeat(key, key)

    summaries = folding.due(None)

    assert len(folding._order) == len(folding._open) == 0
    assert sum(summary.count for summary in summaries) == packets == 200


def test_a_window_that_began_anew_is_not_ended_by_its_former_one():
    folding = Folding(limit=2)
    folding.begin(1, "connection.denied", at(0))
    folding.begin(1, "connection.denied", at(5))
    folding.begin(2, "connection.denied", at(6))

    assert folding.repeat(1, 7)


def test_a_log_rule_is_told_so_often_a_second_and_the_rest_is_counted():
    rate = LogRate(limit=2)

    assert [rate.offer(RULE, at(number)) for number in range(5)] == [True, True, False, False, False]
    assert rate.due(4) == []
    assert rate.due(1_000_000_000) == [(RULE, at(4), 2)]
    assert rate.offer(RULE, at(1_000_000_001))


def test_log_rules_do_not_share_a_limit():
    rate = LogRate(limit=1)
    other = LogRule(8, RULE.hits, "")

    assert rate.offer(RULE, MOMENT)
    assert rate.offer(other, MOMENT)
    assert not rate.offer(other, MOMENT)


def test_a_quiet_second_leaves_nothing_behind():
    rate = LogRate(limit=LOG_LIMIT)
    rate.offer(RULE, MOMENT)

    assert rate.due(None) == []
    assert rate._windows == {}
