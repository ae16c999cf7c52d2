from calicod.daemon.generation import last_generation, next_generation
from calicod.model.marks import layout


def test_generations_count_up_from_one():
    assert [next_generation(g, layout()) for g in (None, 1, 2)] == [1, 2, 3]


def test_the_last_generation_is_followed_by_one_because_zero_means_no_stamp():
    marks = layout()

    assert last_generation(marks) == 511
    assert next_generation(last_generation(marks), marks) == 1


def test_a_narrow_mask_has_fewer_generations():
    marks = layout(connection_mask=0x3FFF)

    assert last_generation(marks) == 31
    assert next_generation(31, marks) == 1
