"""Marks between the hooks."""

from tests.unit.netfilter.steered import full, part


def test_all_our_packet_bits_are_cleared_before_each_hook_of_filter() -> None:
    mangle = part(full(), "mangle")

    assert [(chain.name, chain.rules) for chain in mangle.chains] == [
        ("calicod-clear", ("-j MARK --set-xmark 0x0/0xf0000000",))
    ]
    assert [(jump.hook, jump.chain) for jump in mangle.jumps] == [
        (hook, "calicod-clear") for hook in ("INPUT", "FORWARD", "OUTPUT")
    ]
