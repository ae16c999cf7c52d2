from calicod.fields import field
from calicod.fields.field import bits, grouped, remembered
from tests.build import rule


def test_bits_are_set_for_the_rules_that_are_wanted():
    rules = [rule("Allow"), rule("Deny"), rule("Allow")]

    assert bits(rules, lambda one: one.action is rules[0].action) == 0b101


def test_rules_with_equal_criteria_are_one_group():
    rules = [rule(protocol=6), rule(), rule("Deny", protocol=6)]

    assert grouped(rules, lambda one: one.protocol) == {6: [0, 2], None: [1]}


def test_a_mask_is_worked_out_once_while_it_is_remembered(monkeypatch):
    monkeypatch.setattr(field, "MAX_MASKS", 2)
    asked = []
    recall = remembered(lambda number: asked.append(number) or number * 2)

    assert [recall(n) for n in (1, 1, 0, 0, 2, 1)] == [2, 2, 0, 0, 4, 2]
    assert asked == [1, 0, 2, 1]
