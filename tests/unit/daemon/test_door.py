import asyncio
import contextlib
import grp
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from calicod.daemon import door as module
from calicod.daemon.door import SOCKET_NAME, Door, Guests, is_owner, listen
from calicod.errors import CalicodError

NOBODY = 65534
PATIENCE = 10.0
CONNECT = """
import os, socket, sys
client = socket.socket(fileno=int(sys.argv[1]))
os.setuid(int(sys.argv[3]))
client.connect(sys.argv[2])
"""
"""The kernel notes who connects, not who made the socket."""


class Greeting(asyncio.Protocol):
    """Who is let in reads a word."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"in")


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    first, second = socket.socketpair()
    with first, second:
        yield first, second


def test_there_is_room_for_so_many_and_again_when_one_has_gone(ends):
    guests = Guests(limit=1)
    first, second = ends

    assert guests.admit(first)
    assert not guests.admit(second)
    first.close()
    assert guests.admit(second)


def test_whoever_runs_this_is_the_owner(ends):
    assert is_owner(ends[0])


def test_a_connection_that_is_gone_is_nobodys():
    assert not is_owner(None)


def answers(ask: Callable[[str], list[bytes]]) -> list[bytes]:
    """What `ask`, in a thread of its own, reads from a server with room for two guests."""

    async def serve(folder: Path) -> list[bytes]:
        path, guests = folder / "s", Guests(limit=2)
        server = await asyncio.get_running_loop().create_unix_server(lambda: Door(guests, Greeting), str(path))
        await asyncio.to_thread(path.chmod, 0o666)
        try:
            return await asyncio.wait_for(asyncio.to_thread(ask, str(path)), PATIENCE)
        finally:
            server.close()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        return asyncio.run(serve(folder))


def connected(path: str, user: int, stack: contextlib.ExitStack) -> bytes:
    client = stack.enter_context(socket.socket(socket.AF_UNIX))
    end = client.fileno()
    arguments = [str(end), path, str(user)]
    subprocess.run([sys.executable, "-I", "-S", "-c", CONNECT, *arguments], pass_fds=[end], check=True)
    client.settimeout(PATIENCE)
    return client.recv(2)


@pytest.mark.netns  # needs root, as those
def test_others_than_root_have_a_number_of_connections_and_root_any():
    def ask(path: str) -> list[bytes]:
        with contextlib.ExitStack() as stack:
            users = [NOBODY, NOBODY, NOBODY, 0, 0, NOBODY]
            return [connected(path, user, stack) for user in users]

    assert answers(ask) == [b"in", b"in", b"", b"in", b"in", b""]


@pytest.mark.netns
def test_who_leaves_makes_room():
    def ask(path: str) -> list[bytes]:
        said = []
        for _ in range(2):
            with contextlib.ExitStack() as stack:
                said += [connected(path, NOBODY, stack) for _ in range(2)]
        return said

    assert answers(ask) == [b"in"] * 4


def listening(folder: Path) -> tuple[tuple[int, int], tuple[str, ...]]:
    """Mode and group of the socket, and what is said of them."""
    listener, notices = listen(folder / SOCKET_NAME)
    with listener:
        about = (folder / SOCKET_NAME).stat()
    return (about.st_mode & 0o777, about.st_gid), notices


def test_a_socket_that_a_predecessor_left_is_replaced_and_who_connects_waits(tmp_path):
    with socket.socket(socket.AF_UNIX) as left, socket.socket(socket.AF_UNIX) as client:
        left.bind(str(tmp_path / SOCKET_NAME))
        listener, _ = listen(tmp_path / SOCKET_NAME)
        with listener:
            client.connect(str(tmp_path / SOCKET_NAME))
            client.send(b"waits")
            assert listener.accept()[0].recv(10) == b"waits"


def test_without_our_group_the_socket_is_for_root_alone_and_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "GROUP", "no-such-group-of-ours")

    assert listening(tmp_path) == (
        (0o600, os.getegid()),
        ("no group `no-such-group-of-ours`: only root may use the control socket",),
    )


def test_with_our_group_the_socket_is_for_root_and_the_group(tmp_path, monkeypatch):
    group = grp.getgrall()[1]
    monkeypatch.setattr(module, "GROUP", group.gr_name)

    assert listening(tmp_path) == ((0o660, group.gr_gid), ())


def test_a_socket_that_may_not_be_given_away_stays_roots_and_it_is_said(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(module, "GROUP", grp.getgrall()[0].gr_name)
    monkeypatch.setattr(module.os, "chown", refuse)

    (found, _), notices = listening(tmp_path)

    assert found == 0o600
    assert "could not be given to the group" in notices[0]


def test_a_directory_whose_name_is_too_long_for_a_socket_is_refused(tmp_path):
    deep = tmp_path / ("d" * 100)
    deep.mkdir()

    with pytest.raises(CalicodError, match=r"K045 .*calicod.sock: AF_UNIX path too long"):
        listen(deep / SOCKET_NAME)
