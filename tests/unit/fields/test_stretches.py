from calicod.fields.stretches import NOWHERE, Classes, mask_of, merged, set_bits, stretches


def test_a_membership_has_one_number_and_nothing_is_nowhere():
    classes = Classes()

    assert classes.number(0) == NOWHERE
    assert (classes.number(0b101), classes.number(0b1), classes.number(0b101)) == (1, 2, 1)
    assert classes.memberships == [0, 0b101, 0b1]


def test_a_step_over_a_bound_begins_some_ranges_and_ends_others():
    classes = Classes()
    both = classes.number(0b11)

    assert classes.memberships[classes.toggled(both, [0, 2])] == 0b110


def test_no_ranges_make_no_stretch():
    assert list(stretches([], Classes())) == []


def test_a_range_that_follows_another_of_the_same_index_makes_no_bound():
    assert list(stretches([(1, 5, 0), (6, 9, 0)], Classes())) == [(1, 1), (10, 0)]


def test_a_bound_where_one_range_ends_and_another_begins_makes_no_class_in_between():
    classes = Classes()

    assert list(stretches([(1, 5, 0), (6, 9, 1)], classes)) == [(1, 1), (6, 2), (10, 0)]
    assert classes.memberships == [0, 0b01, 0b10]


def test_ranges_may_be_as_wide_as_an_ipv6_address():
    last = (1 << 128) - 1

    assert list(stretches([(0, last, 0), (5, last, 1)], Classes())) == [(0, 1), (5, 2), (last + 1, 0)]


def test_masks_and_their_bits_are_inverse():
    numbers = [0, 7, 8, 63, 64, 9_999]

    assert list(set_bits(mask_of(numbers, 10_000))) == numbers
    assert list(set_bits(0)) == []


def test_merged_ranges_are_in_order_and_apart():
    assert merged([]) == []
    assert merged([(5, 9), (1, 2), (3, 3), (20, 30), (22, 25)]) == [(1, 3), (5, 9), (20, 30)]
