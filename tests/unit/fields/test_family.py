from calicod.fields.criteria import FAMILY_4, FAMILY_6
from calicod.fields.family import Family
from calicod.fields.sets import Sets
from tests.build import OUTSIDE6, W6, packet, rule, tcp

FIELD, NO_SETS = Family(), Sets(())
V4_PACKET, V6_PACKET = tcp(80), packet(6, OUTSIDE6, W6, 1, 80)


def test_a_rule_is_for_one_family_or_both_or_none():
    passing = [[FIELD.test(rule(families=f), p, NO_SETS) for p in (V4_PACKET, V6_PACKET)] for f in range(4)]

    assert passing == [[False, False], [True, False], [False, True], [True, True]]


def test_a_failed_match_is_told_by_the_family():
    assert FIELD.tell(rule(families=FAMILY_6), V4_PACKET, NO_SETS) == "ipVersion 4: the rule is for IPv6 only"
    assert FIELD.tell(rule(families=0), V6_PACKET, NO_SETS) == "ipVersion 6: the rule is for no packet at all"


def test_rules_for_both_families_need_no_index():
    assert FIELD.index([rule(), rule()], NO_SETS) is None


def test_a_mask_has_the_rules_of_the_family():
    index = FIELD.index([rule(), rule(families=FAMILY_4), rule(families=FAMILY_6), rule(families=0)], NO_SETS)

    assert [index.mask(index.classify(p)) for p in (V4_PACKET, V6_PACKET)] == [0b011, 0b101]
