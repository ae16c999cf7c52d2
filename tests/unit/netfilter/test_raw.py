"""Before connection tracking."""

from tests.unit.netfilter.steered import full, part


def test_a_forwarding_workload_is_exempt_only_for_its_prefixes_of_this_family() -> None:
    raw = {family: part(full(), "raw", family).chains[1].rules for family in (4, 6)}

    assert [rule for rule in raw[4] if "caliw3" in rule] == ["-s 10.9.0.0/16 -i caliw3 -j RETURN"]
    assert [rule for rule in raw[6] if "caliw3" in rule] == ["-s fd09::/64 -i caliw3 -j RETURN"]
