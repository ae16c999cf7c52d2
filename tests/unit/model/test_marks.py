"""The bits of the marks that are ours (design 6)."""

import pytest

from calicod.model.marks import FAILSAFE_ID, LAST_OWN_ID, UNMANAGED_ID, bits_of, gather, layout, spread

NARROWEST = layout(0x0000000F, 0x003FFF00)


def packet_bits(marks):
    return (marks.accept, marks.reject, marks.known, marks.prednat)


def connection_bits(marks):
    return (marks.interface, marks.filter_stage, marks.generation, marks.judged, marks.prednat_stage)


@pytest.mark.parametrize("marks", [layout(), NARROWEST, layout(0xF, 0xFFFFFFF0)])
def test_no_bit_has_two_meanings_and_none_lies_outside_its_mask(marks):
    for mask, parts in ((marks.packet_mask, packet_bits(marks)), (marks.connection_mask, connection_bits(marks))):
        assert sum(part.bit_count() for part in parts) == (sum(parts)).bit_count()
        assert sum(parts) & ~mask == 0
    assert marks.packet_mask & marks.connection_mask == 0


def test_the_default_masks_hold_five_bits_of_interface_and_nine_of_generation():
    marks = layout()

    assert (marks.interface.bit_count(), marks.generation.bit_count()) == (5, 9)
    assert LAST_OWN_ID < UNMANAGED_ID < 1 << marks.interface.bit_count()


def test_a_narrow_mask_leaves_five_bits_of_generation():
    assert NARROWEST.generation.bit_count() == 5


@pytest.mark.parametrize(
    ("packet", "connection", "why"),
    [
        (0xF0000000, 0x8FFF3F00, "overlap"),
        (0x70000000, 0x0FFF3F00, "4 bits"),
        (0x1F0000000, 0x0FFF3F00, "4 bits"),
        (0xF0000000, 0x00003F00, "14 bits"),
        (0xF0000000, 0x10FFF3F00, "14 bits"),
    ],
)
def test_masks_that_overlap_or_are_too_narrow_or_too_wide_are_refused(packet, connection, why):
    with pytest.raises(ValueError, match=why):
        layout(packet, connection)


@pytest.mark.parametrize("marks", [layout(), NARROWEST])
@pytest.mark.parametrize(("generation", "interface"), [(1, 1), (31, 31), (21, 30)])
def test_a_stamp_holds_generation_and_interface_and_no_stage(marks, generation, interface):
    stamp = marks.stamp(generation, interface)

    assert gather(stamp, marks.generation) == generation
    assert gather(stamp, marks.interface) == interface
    assert stamp & (marks.filter_stage | marks.judged | marks.prednat_stage) == 0


@pytest.mark.parametrize("mask", [0x0F00, 0x8001, 0xFFFF3F00, 0])
def test_what_is_spread_over_a_mask_can_be_gathered(mask):
    for value in (0, 1, 5, (1 << mask.bit_count()) - 1):
        fits = value & ((1 << mask.bit_count()) - 1)
        assert gather(spread(value, mask), mask) == fits
        assert spread(value, mask) & ~mask == 0


def test_bits_come_lowest_first():
    assert bits_of(0b10110) == [2, 4, 16]


def test_the_mark_of_a_failsafe_is_that_of_no_judged_flow():
    marks = layout()
    mark, mask = marks.failsafe()

    assert marks.stamp(7, FAILSAFE_ID) & mask == mark
    assert (marks.stamp(7, FAILSAFE_ID) | marks.filter_stage) & mask != mark
    assert all(marks.stamp(7, number) & mask != mark for number in range(32) if number != FAILSAFE_ID)


def test_on_the_way_into_a_queue_two_bits_tell_one_of_three_things_apart_from_known_and_picked() -> None:
    marks = layout()
    told = {marks.before_tracking, marks.untracked, marks.spared}

    assert len(told) == 3
    assert all(bits & marks.evidence == bits for bits in told)
    assert not marks.evidence & (marks.known | marks.picked)
