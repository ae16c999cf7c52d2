"""Changes of routes, read from the kernel's own words in a network namespace."""

from collections.abc import Iterator

import pytest

from calicod.netfilter.reroutes import EVERYTHING, Change, Watcher, read
from tests.netns.world import run
from tests.unit.compiler.build import addr
from tests.unit.daemon.control_plane import namespace


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    with namespace():
        run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
        run("ip", "address", "add", "192.0.2.1/24", "dev", "v0")
        run("ip", "link", "set", "v0", "up")
        run("ip", "link", "set", "v1", "up")
        made = Watcher()
        made.changes()
        yield made
        made.close()


@pytest.mark.netns
@pytest.mark.parametrize(
    ("words", "change"),
    [
        (("10.65.0.2/32",), Change(4, addr("10.65.0.2"), 32)),
        (("10.64.0.0/10",), Change(4, addr("10.64.0.0"), 10)),
        (("default",), Change(4, b"", 0)),
        (("10.65.0.2/32", "table", "1000"), Change(4, addr("10.65.0.2"), 32, usual=False)),
        (("2001:db8::2/128",), Change(6, addr("2001:db8::2"), 128)),
    ],
    ids=["host", "net", "default", "other-table", "ipv6"],
)
def test_a_route_that_comes_and_goes_is_told_with_its_destination(
    watcher: Watcher, words: tuple[str, ...], change: Change
) -> None:
    for verb in ("add", "del"):
        run("ip", "-6" if change.family == 6 else "-4", "route", verb, *words[:1], "dev", "v0", *words[1:])
        assert change in watcher.changes()
    assert watcher.changes() == frozenset()


@pytest.mark.netns
def test_a_rule_may_concern_everything(watcher: Watcher) -> None:
    run("ip", "rule", "add", "to", "10.0.0.0/8", "lookup", "main")

    assert set(EVERYTHING) <= watcher.changes()


@pytest.mark.netns
def test_what_was_missed_may_concern_everything(watcher: Watcher) -> None:
    watcher._netlink._enlarge(0)
    batch = "\n".join(f"route add 10.{i // 200}.{i % 200}.0/24 dev v0" for i in range(2000))
    run("ip", "-batch", "-", text=batch)

    assert set(EVERYTHING) <= watcher.changes()


def test_a_change_concerns_the_addresses_of_its_prefix_and_family() -> None:
    change = Change(4, addr("10.65.0.0"), 16)

    assert change.concerns(addr("10.65.9.9"))
    assert not change.concerns(addr("10.66.0.0"))
    assert not change.concerns(addr("2001:db8::1"))
    assert all(any(each.concerns(addr(a)) for each in EVERYTHING) for a in ("1.2.3.4", "2001:db8::1"))
    assert not Change(4, addr("10.65.0.2"), 32).concerns(addr("10.65.0.3"))


@pytest.mark.parametrize("data", [b"", b"\0" * 16, b"\x20\0\0\0" + b"\x18\0" + b"\0" * 10])
def test_what_cannot_be_read_is_passed_over_or_concerns_everything(data: bytes) -> None:
    assert read(data) in ([], list(EVERYTHING))
