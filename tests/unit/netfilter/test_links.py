"""The watcher without a change; changes are made in tests/netns/test_links.py."""

from calicod.netfilter.links import Watcher, interfaces


def test_lo_is_among_the_interfaces_with_an_index() -> None:
    assert [interface.index for interface in interfaces() if interface.name == "lo"] == [1]


def test_a_watcher_starts_quiet() -> None:
    watcher = Watcher()
    try:
        assert watcher.fileno() >= 0
        assert watcher.overruns == 0
    finally:
        watcher.close()
