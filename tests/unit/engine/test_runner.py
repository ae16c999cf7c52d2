import pytest

from calicod.engine.flat import flatten
from calicod.engine.memory import Memory
from calicod.engine.runner import key_of, runner, twins
from calicod.fields.sets import Sets
from calicod.model.hook import Direction
from calicod.model.protocol import TCP
from calicod.model.verdict import Verdict
from tests.build import Tier, policy, ports, profile, rule, ruleset, tcp, udp

STAGED = policy(rule("Deny", protocol=TCP), name="s", kind="StagedGlobalNetworkPolicy", tier="sec", staged=True)
RULES = ruleset(
    Tier("sec", STAGED, policy(rule("Pass", protocol=TCP, destination_ports=ports((80, 90))), name="a", tier="sec")),
    Tier("default", policy(rule("Log"), rule("Allow", protocol=TCP), name="b")),
    profile(rule("Allow")),
)


def flat(*, pending):
    return flatten(RULES, RULES.programs[0], Direction.INGRESS, pending=pending)


@pytest.mark.parametrize("count", range(8))
def test_a_key_has_the_runners_number_and_a_class_for_each_field(count):
    fields = [lambda _, n=n: n * n for n in range(count)]

    assert key_of(7, fields)(tcp(80)) == (7, *[n * n for n in range(count)])


def test_a_program_gives_one_result_for_all_packets_of_the_same_classes():
    run = runner(0, flat(pending=False), Sets(()), Memory())

    assert run(tcp(80)).hits == ("sec|gnp:a|pass|0", "default|gnp:b|allow|1")
    assert run(tcp(80)) is run(tcp(90))
    assert run(tcp(91)).hits == ("sec|gnp:a|deny|-1",)


def test_twins_answer_for_the_program_as_it_is_and_as_it_would_be():
    enforced, would = twins(0, flat(pending=True), Sets(()), Memory())
    alone = runner(0, flat(pending=False), Sets(()), Memory())

    for sent in (tcp(80), tcp(91), udp(80)):
        assert enforced(sent) == alone(sent)
    assert would(tcp(80)).verdict is Verdict.DROP
    assert would(tcp(80)).hits == ("sec|sgnp:s|deny|0",)
    assert would(udp(80)).hits == ("sec|sgnp:s|deny|-1",)


def test_twins_may_be_asked_in_any_order_about_any_packets():
    enforced, would = twins(0, flat(pending=True), Sets(()), Memory())
    first, second = tcp(80), udp(80)
    expected = [
        twins(0, flat(pending=True), Sets(()), Memory())[index](sent) for index, sent in enumerate((first, second))
    ]

    assert [enforced(first), would(second)] == expected
    assert would(second) is would(second)
    assert [enforced(first), would(second)] == expected


def test_the_classes_of_a_packet_are_found_once_for_both_twins():
    memory = Memory()
    enforced, would = twins(0, flat(pending=True), Sets(()), memory)
    sent = tcp(80)
    enforced(sent)
    memory.twins.clear()

    assert would(sent).verdict is Verdict.DROP
    assert not memory.twins
