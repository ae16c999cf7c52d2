"""Ranges of ports."""

import pytest

from calicod.model.ports import PortRange


@pytest.mark.parametrize(("port", "inside"), [(79, False), (80, True), (85, True), (90, True), (91, False)])
def test_both_ends_belong_to_a_range(port, inside):
    assert (port in PortRange(80, 90)) is inside


@pytest.mark.parametrize(("ports", "text"), [(PortRange(80, 90), "80:90"), (PortRange(80, 80), "80")])
def test_a_range_is_written_as_calico_writes_it(ports, text):
    assert str(ports) == text


def test_ranges_sort_by_their_first_port():
    assert sorted([PortRange(80, 90), PortRange(1, 99), PortRange(80, 80)]) == [
        PortRange(1, 99),
        PortRange(80, 80),
        PortRange(80, 90),
    ]
