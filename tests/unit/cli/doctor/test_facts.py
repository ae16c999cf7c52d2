from msgspec.structs import replace

from tests.unit.cli.doctor.build import WELL


def test_a_sysctl_that_is_not_there_or_is_no_number_is_none():
    facts = replace(WELL, sysctls={"a": "-1", "b": "1 2", "c": "16"})

    assert [facts.sysctl(name) for name in "abcd"] == [-1, None, 16, None]
