import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from calicod.daemon.notify import READY, SOCKET, WATCHDOG, notify, watchdog_seconds


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.settimeout(1)
        monkeypatch.setenv(SOCKET, str(path))
        yield sock


def test_all_lines_come_as_one_message(systemd):
    assert notify(READY, "STATUS=enforcing revision 1")
    assert systemd.recv(4096) == b"READY=1\nSTATUS=enforcing revision 1"


def test_an_abstract_address_is_understood(monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("")
        sock.settimeout(1)
        monkeypatch.setenv(SOCKET, "@" + sock.getsockname()[1:].decode())

        assert notify("WATCHDOG=1")
        assert sock.recv(4096) == b"WATCHDOG=1"


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234", "/does/not/exist"])
def test_without_somebody_who_listens_nothing_happens(monkeypatch, address):
    monkeypatch.setenv(SOCKET, address)

    assert notify(READY) is False


def test_a_full_socket_is_not_waited_for(systemd):
    told = [notify("STATUS=x") for _ in range(5000)]

    assert told[0] is True
    assert told[-1] is False


@pytest.mark.parametrize(("value", "seconds"), [("", None), ("0", None), ("soon", None), ("10000000", 5.0)])
def test_a_sign_of_life_is_due_twice_in_each_period(monkeypatch, value, seconds):
    monkeypatch.setenv(WATCHDOG, value)

    assert watchdog_seconds() == seconds
