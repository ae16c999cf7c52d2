import pytest

from calicod.fields.icmp import Icmp
from calicod.fields.sets import Sets
from tests.build import icmp, rule, tcp

FIELD, NO_SETS = Icmp(), Sets(())


@pytest.mark.parametrize(
    ("criteria", "packet", "expected"),
    [
        ({"icmp_type": 8}, icmp(8, 3), True),
        ({"icmp_type": 8}, icmp(0), False),
        ({"icmp_type": 8, "icmp_code": 0}, icmp(8, 0), True),
        ({"icmp_type": 8, "icmp_code": 0}, icmp(8, 1), False),
        ({"icmp_type": 8}, tcp(80), False),
        ({"not_icmp_type": 8}, icmp(0), True),
        ({"not_icmp_type": 8}, icmp(8), False),
        ({"not_icmp_type": 8, "not_icmp_code": 1}, icmp(8, 0), True),
        ({"not_icmp_type": 8, "not_icmp_code": 1}, icmp(8, 1), False),
        ({"not_icmp_type": 8}, tcp(80), False),
        ({"icmp_type": 3, "not_icmp_type": 3, "not_icmp_code": 4}, icmp(3, 1), True),
        ({"icmp_type": 3, "not_icmp_type": 3, "not_icmp_code": 4}, icmp(3, 4), False),
        ({}, tcp(80), True),
    ],
)
def test_type_and_code_decide_and_both_criteria_want_an_icmp_packet(criteria, packet, expected):
    index = FIELD.index([rule(**criteria), rule(icmp_type=200)], NO_SETS)

    assert FIELD.test(rule(**criteria), packet, NO_SETS) is expected
    assert bool(index.mask(index.classify(packet)) & 1) is expected


def test_a_failed_match_is_told_by_type_and_code():
    told = [
        FIELD.tell(rule(icmp_type=8), tcp(80), NO_SETS),
        FIELD.tell(rule(icmp_type=8, icmp_code=0), icmp(8, 1), NO_SETS),
        FIELD.tell(rule(not_icmp_type=8), icmp(8, 1), NO_SETS),
        FIELD.tell(rule(not_icmp_type=8), tcp(80), NO_SETS),
    ]

    assert told == [
        "icmp wants an ICMP packet",
        "icmp 8/1 is not 8/0",
        "notICMP 8 excludes 8/1",
        "notICMP wants an ICMP packet",
    ]


def test_rules_without_icmp_need_no_index():
    assert FIELD.index([rule(), rule(protocol=1)], NO_SETS) is None


def test_types_that_no_rule_names_are_of_one_class():
    index = FIELD.index([rule(icmp_type=8), rule(not_icmp_type=3, not_icmp_code=1)], NO_SETS)
    classes = {index.classify(icmp(kind, code)) for kind in range(256) for code in range(256)}

    assert len(classes) == 3 * 2  # 8, 3 and others; code 1 and others
