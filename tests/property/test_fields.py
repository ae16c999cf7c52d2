"""Each field's index says of many rules at once what its test says of each; classes depend on the rules alone."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from calicod.fields.field import Field
from calicod.fields.sets import Sets
from calicod.fields.stretches import Classes, merged, set_bits, stretches
from calicod.fields.table import FIELDS
from calicod.packet.value import Packet
from tests.property.rulesets import DATA, SETS, V4, V6, Choices

RANGES = st.lists(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted).map(tuple), max_size=4).map(merged),
    max_size=5,
)


@given(DATA)
def test_the_mask_of_a_packets_class_has_the_rules_that_its_test_passes(data):
    choices = Choices(data)
    sets = Sets([choices.ip_set() for _ in range(SETS)])
    rules = [choices.rule() for _ in range(1 + choices.number(30))]
    packets = [choices.packet() for _ in range(20)]

    for field in FIELDS:
        index = field.index(rules, sets)
        for packet in packets:
            passing = [number for number, rule in enumerate(rules) if field.test(rule, packet, sets)]
            if index is None:
                assert passing == list(range(len(rules)))
            else:
                assert list(set_bits(index.mask(index.classify(packet)))) == passing


@given(DATA)
def test_what_a_field_tells_of_a_failed_match_is_a_sentence_about_the_packet(data):
    choices = Choices(data)
    sets = Sets([choices.ip_set() for _ in range(SETS)])
    rules = [choices.rule() for _ in range(1 + choices.number(30))]
    packets = [choices.packet() for _ in range(10)]

    assert all(told(field, rule, p, sets) for field in FIELDS for rule in rules for p in packets)


def told(field: Field, rule, packet: Packet, sets: Sets) -> bool:
    """A match has nothing to tell; what failed is told in some words."""
    return field.test(rule, packet, sets) or len(field.tell(rule, packet, sets).split()) > 2


@given(DATA)
def test_an_address_is_of_the_class_of_the_sets_that_contain_it(data):
    choices = Choices(data)
    sets = Sets([choices.ip_set() for _ in range(12)])

    for address in choices.some(V4 + V6, 12):
        containing = [index for index in range(12) if sets.contains(index, address)]
        assert list(set_bits(sets.membership(sets.class_of(address)))) == containing


@given(RANGES)
def test_stretches_say_for_every_number_which_ranges_it_is_in(ranges):
    classes = Classes()
    bounds = list(stretches([(first, last, i) for i, pairs in enumerate(ranges) for first, last in pairs], classes))

    assert [start for start, _ in bounds] == sorted({start for start, _ in bounds})
    for number in range(45):
        covering = [i for i, pairs in enumerate(ranges) if any(first <= number <= last for first, last in pairs)]
        of_number = [found for start, found in bounds if start <= number]
        assert list(set_bits(classes.memberships[of_number[-1] if of_number else 0])) == covering


@given(RANGES)
def test_no_stretch_repeats_the_class_before_it_and_no_class_is_there_in_vain(ranges):
    classes = Classes()
    numbers = [n for _, n in stretches([(f, l, i) for i, pairs in enumerate(ranges) for f, l in pairs], classes)]

    assert all(before != after for before, after in zip([0, *numbers], numbers, strict=False))
    assert {0, *numbers} == set(range(len(classes.memberships)))


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted).map(tuple)))
def test_merged_ranges_hold_the_same_numbers_and_keep_apart(pairs):
    result = merged(pairs)

    assert {n for first, last in result for n in range(first, last + 1)} == {
        n for first, last in pairs for n in range(first, last + 1)
    }
    assert all(before[1] + 1 < after[0] for before, after in pairwise(result))
