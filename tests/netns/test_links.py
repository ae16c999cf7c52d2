"""Interfaces and their changes against a real kernel."""

import asyncio
import select
import socket
from collections.abc import Iterator

import pytest

from calicod.model.interface import Interface
from calicod.netfilter.addresses import addresses
from calicod.netfilter.links import Watcher, interfaces, links
from tests.kernel import needs_kernel
from tests.netns.world import World, inside, run, world

pytestmark = pytest.mark.netns
SPACE = "cd-links"
LOOPBACK = Interface(1, "lo", (bytes(15) + b"\x01", socket.inet_aton("127.0.0.1")))


@pytest.fixture
def here() -> Iterator[World]:
    with world("cd-", ["links"]) as made, inside(SPACE):
        yield made


@pytest.fixture
def watcher(here: World) -> Iterator[Watcher]:
    made = Watcher()
    yield made
    made.close()


def readable(watcher: Watcher) -> bool:
    return bool(select.select([watcher], [], [], 1.0)[0])


def test_interfaces_come_with_all_their_addresses(here: World) -> None:
    run("ip", "link", "add", "v0", "index", "70", "type", "veth", "peer", "name", "v1")
    here.address(SPACE, "v0", "192.0.2.1/24", "192.0.2.9/32", "fd00::1/64")
    run("ip", "address", "add", "192.0.2.65", "peer", "192.0.2.66", "dev", "v0")

    found = {interface.name: interface for interface in interfaces()}

    texts = ("192.0.2.1", "192.0.2.9", "192.0.2.65")
    expected = (*(socket.inet_aton(text) for text in texts), socket.inet_pton(socket.AF_INET6, "fd00::1"))
    assert found["lo"] == LOOPBACK
    assert found["v0"] == Interface(70, "v0", expected, up=False)
    assert found["v1"].addresses == ()


def test_addresses_are_the_same_without_a_library(here: World) -> None:
    run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
    here.address(SPACE, "v0", "192.0.2.9/24", "192.0.2.1/32", "fd00::1/64")
    run("ip", "address", "add", "192.0.2.65", "peer", "192.0.2.66", "dev", "v0")

    assert addresses() == {nic.index: nic.addresses for nic in interfaces() if nic.addresses}


def test_links_tell_what_they_belong_to_and_sit_on(here: World) -> None:
    needs_kernel("bridges")
    needs_kernel("macvlan")
    run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "link", "set", "v0", "master", "br0")
    away = here.add("away")
    run("ip", "link", "add", "w0", "type", "veth", "peer", "name", "w1", "netns", away)
    run("ip", "link", "add", "m0", "link", "w0", "type", "macvlan")

    found = {link.name: (link.kind, link.master, link.below) for link in links() if link.name[0] in "bvwm"}

    assert found == {
        "br0": ("bridge", "", ""),
        "v0": ("veth", "br0", "v1"),
        "v1": ("veth", "", "v0"),
        "w0": ("veth", "", ""),
        "m0": ("macvlan", "", "w0"),
    }


def test_a_name_that_is_no_text_is_told_with_backslashes_and_keeps_its_prefix(here: World) -> None:
    run("ip", "link", "add", b"cali\xff", "index", "70", "type", "veth", "peer", "name", "v1")

    assert "cali\\xff" in {interface.name for interface in interfaces()}


def test_interfaces_can_be_read_while_an_event_loop_runs(here: World) -> None:
    async def main() -> tuple[Interface, ...]:
        return interfaces()

    assert asyncio.run(main()) == (LOOPBACK,)


@pytest.mark.parametrize(
    "words",
    [
        ("link", "add", "v2", "type", "veth", "peer", "name", "v3"),
        ("address", "add", "192.0.2.1/32", "dev", "lo"),
        ("address", "add", "fd00::1/128", "dev", "lo"),
        ("link", "set", "lo", "down"),
    ],
)
def test_a_change_is_told_once(watcher: Watcher, words: tuple[str, ...]) -> None:
    assert not watcher.changed()
    run("ip", *words)

    assert readable(watcher)
    assert watcher.changed()
    assert not watcher.changed()


def test_an_overrun_counts_as_a_change(watcher: Watcher) -> None:
    watcher._netlink.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    batch = "".join(f"address add 192.0.2.{n}/32 dev lo\naddress add fd00::{n:x}/128 dev lo\n" for n in range(1, 100))
    run("ip", "-batch", "-", text=batch)

    assert watcher.changed()
    assert watcher.overruns > 0
