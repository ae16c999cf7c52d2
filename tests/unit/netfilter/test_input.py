"""What comes to the host."""

from tests.unit.netfilter.steered import chain, full


def test_a_stamp_is_never_trusted_for_a_workloads_link_local_address() -> None:
    rules = chain(full(), "in-judge", 6)
    trusting = [number for number, rule in enumerate(rules) if "connmark" in rule and "cali-mgmt" not in rule]

    assert rules[trusting[0] - 2 : trusting[0]] == (
        "-s fe80::/10 -i cali+ -g calicod-in-work",
        "-s fe80::/10 -i tap+ -g calicod-in-work",
    )


def test_packets_that_may_be_read_in_two_ways_are_asked_about_whatever_their_stamp() -> None:
    rules = chain(full(), "in-judge", 6)
    asked = [rules.index(f"-m {header} -g calicod-queue") for header in ("dst", "rt")]

    assert max(asked) < min(number for number, rule in enumerate(rules) if "connmark" in rule or "REPLY" in rule)
    assert not any(header in " ".join(chain(full(), "in-judge", 4)) for header in ("-m dst", "-m rt"))
    assert not any(header in " ".join(chain(full(), "fwd-judge", 6)) for header in ("-m dst", "-m rt"))
