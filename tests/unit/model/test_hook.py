"""Where a packet is; the words of `calicod eval`."""

from calicod.model.hook import Direction, Hook


def test_the_hooks_bear_the_words_of_the_contract():
    assert [hook.value for hook in Hook] == [
        "input",
        "forward",
        "output",
        "prerouting",
        "raw-prerouting",
        "raw-output",
    ]


def test_a_direction_is_seen_from_the_endpoint():
    assert [direction.value for direction in Direction] == ["ingress", "egress"]
