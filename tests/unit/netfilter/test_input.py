"""What comes to the host."""

from tests.unit.netfilter.steered import chain, full


def test_a_stamp_is_never_trusted_for_a_workloads_link_local_address() -> None:
    for name, onwards in (("in-judge", "in-others"), ("in-others", "in-work")):
        rules = chain(full(), name, 6)
        trusting = [n for n, rule in enumerate(rules) if "connmark" in rule and "cali-mgmt" not in rule]
        unsure = [f"-s fe80::/10 -i {pattern} -g calicod-{onwards}" for pattern in ("cali+", "tap+")]

        assert max(rules.index(rule) for rule in unsure) < trusting[0]


def test_packets_that_may_be_read_in_two_ways_are_asked_about_whatever_their_stamp() -> None:
    rules = chain(full(), "in-judge", 6)
    asked = [rules.index(f"-m {header} -g calicod-queue") for header in ("dst", "rt")]

    assert max(asked) < min(number for number, rule in enumerate(rules) if "connmark" in rule or "REPLY" in rule)
    assert not any(header in " ".join(chain(full(), "in-judge", 4)) for header in ("-m dst", "-m rt"))
    assert not any(header in " ".join(chain(full(), "fwd-judge", 6)) for header in ("-m dst", "-m rt"))
