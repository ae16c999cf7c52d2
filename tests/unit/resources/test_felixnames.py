"""The fields of FelixConfiguration that change no verdict."""

import pytest

from calicod.resources.felix import APPLIED, CHECKED, REFUSED
from calicod.resources.felixnames import INERT
from tests.unit.resources.reading import Finding, warned


def test_no_name_is_told_twice_or_bears_on_verdicts():
    assert len(INERT) == len(set(INERT))
    assert set(INERT).isdisjoint({*APPLIED, *REFUSED, *CHECKED})


@pytest.mark.parametrize("value", ["«true", "«5", "«text", "«{a: b}", "«[1]"])
def test_any_value_of_such_a_field_is_accepted_and_told(value):
    assert warned("FelixConfiguration", f"bpfMapSizeRoute: {value}") == [Finding("W006", "spec.bpfMapSizeRoute")]


def test_every_such_field_is_known():
    spec = "\n".join(f"{name}: 1" for name in INERT[:100])

    assert [told.path for told in warned("FelixConfiguration", spec)] == [f"spec.{name}" for name in INERT[:100]]
