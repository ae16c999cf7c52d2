from calicod.fields.protocol import OTHER, Protocol
from calicod.fields.sets import Sets
from calicod.model.protocol import SCTP, TCP, UDP
from tests.build import packet, rule, tcp, udp

FIELD, NO_SETS = Protocol(), Sets(())


def test_the_protocol_equals_one_and_differs_from_the_other():
    passing = [
        (FIELD.test(one, tcp(80), NO_SETS), FIELD.test(one, udp(80), NO_SETS))
        for one in (rule(), rule(protocol=TCP), rule(not_protocol=TCP), rule(protocol=TCP, not_protocol=TCP))
    ]

    assert passing == [(True, True), (True, False), (False, True), (False, False)]


def test_a_failed_match_is_told_by_name():
    assert FIELD.tell(rule(protocol=TCP), udp(80), NO_SETS) == "protocol udp is not tcp"
    assert FIELD.tell(rule(not_protocol=UDP), udp(80), NO_SETS) == "notProtocol udp excludes it"
    assert FIELD.tell(rule(protocol=253), packet(254), NO_SETS) == "protocol 254 is not 253"


def test_rules_without_protocol_need_no_index():
    assert FIELD.index([rule(), rule(families=1)], NO_SETS) is None


def test_protocols_that_no_rule_names_are_of_one_class():
    index = FIELD.index([rule(protocol=TCP), rule(not_protocol=UDP), rule()], NO_SETS)
    classes = {index.classify(packet(number)) for number in range(256)}

    assert classes == {TCP, UDP, OTHER}
    assert [index.mask(index.classify(packet(n))) for n in (TCP, UDP, SCTP)] == [0b111, 0b100, 0b110]
