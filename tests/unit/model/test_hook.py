"""Where a packet is; the words of `calicod eval`."""

from calicod.model.hook import ENTERING, LEAVING, Direction, Hook, Phase


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


def test_every_hook_but_forward_knows_one_interface_only():
    assert set(Hook) - ENTERING - LEAVING == {Hook.FORWARD}
    assert not ENTERING & LEAVING


def test_phases_bear_the_words_of_the_specification():
    assert [phase.value for phase in Phase] == ["normal", "forward", "preDNAT", "untracked"]
