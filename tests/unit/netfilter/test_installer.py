"""The plug: values that cross it."""

from calicod.netfilter.installer import Installed


def test_installed_is_a_value() -> None:
    assert Installed(3, intact=True) == Installed(3, intact=True, missing=(), drops={})
