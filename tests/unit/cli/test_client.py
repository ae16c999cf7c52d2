import os
import socket
import threading
import time
from concurrent import futures
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from calicod.cli import client as module
from calicod.cli.client import DEFAULT_SOCKET, Unreachable, asked, request, socket_option, stream
from calicod.errors import CalicodError
from tests.unit.cli.serving import serving


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c.sock"


def failure(path: Path, target: str = "/status") -> Unreachable:
    with pytest.raises(Unreachable) as caught:
        asked(str(path), target, dict[str, int])
    return caught.value


def test_an_answer_is_given_as_a_value(path):
    with serving(path, {"/status": {"a": 1}}) as seen:
        assert asked(str(path), "/status", dict[str, int], "POST") == {"a": 1}

    assert seen == ["POST /status"]


def test_a_socket_that_is_not_there_is_told_with_exit_code_3(path):
    error = failure(path)

    assert (error.code, error.exit_code) == ("K060", 3)
    assert f"{path}: there is no such socket" in str(error)


def test_a_socket_on_which_nobody_listens_is_told(path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))

    assert "nobody listens" in str(failure(path))


def test_a_daemon_that_does_not_answer_in_time_is_told(path, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.1)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()

        assert "no answer within" in str(failure(path))


def test_an_answer_of_another_version_is_told_and_no_traceback(path):
    with serving(path, {"/status": {"a": "text"}}):
        assert "of another version than this command" in str(failure(path))


def test_an_error_of_the_daemon_is_told(path):
    with serving(path, {}, status="500 Internal Server Error"):
        assert "it answered 500 Internal Server Error" in str(failure(path))


def test_what_is_no_http_is_told(path):
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()

        def chat() -> None:
            peer, _ = other.accept()
            with peer:
                peer.sendall(b"220 hello\r\n")

        thread = threading.Thread(target=chat)
        thread.start()
        error = failure(path)
        thread.join()

    assert error.exit_code == 3


def test_a_socket_of_another_user_is_not_believed(path, monkeypatch):
    monkeypatch.setattr(module.os, "geteuid", lambda: 4711)
    monkeypatch.setattr(module, "PEER", Foreign)
    with serving(path, {"/status": {"a": 1}}):
        assert "user 1000 listens there, not the daemon" in str(failure(path))


class Foreign:
    """What the kernel would say of a process of user 1000."""

    size = 12

    @staticmethod
    def unpack(_: bytes) -> tuple[int, int, int]:
        return 1, 1000, 1000


def test_a_stream_is_given_line_by_line_until_it_ends(path):
    with serving(path, {"/events": b"one\ntwo\n"}):
        assert list(stream(str(path), "/events?follow=1")) == [b"one\n", b"two\n"]


def test_an_answer_is_given_as_it_is(path):
    with serving(path, {"/events": b"one\n"}):
        assert request(str(path), "/events") == b"one\n"


@click.command
@socket_option
def shown(*, socket: str) -> None:
    click.echo(socket)


def test_the_socket_is_the_option_else_the_variable_else_the_default():
    runner = CliRunner()

    assert runner.invoke(shown, ["--socket", "/a"], env={"CALICOD_SOCKET": "/b"}).output == "/a\n"
    assert runner.invoke(shown, [], env={"CALICOD_SOCKET": "/b"}).output == "/b\n"
    assert runner.invoke(shown, [], env={"CALICOD_SOCKET": None}).output == f"{DEFAULT_SOCKET}\n"


def test_a_user_who_may_not_connect_is_told_how_he_could(path, monkeypatch):
    def refuse(self: object) -> None:
        raise PermissionError

    monkeypatch.setattr(module.UnixConnection, "connect", refuse)

    assert f"not permitted for {os.geteuid()}" in str(failure(path))
    assert failure(path).hint == "run this as root, or join the group `calicod`"


def test_a_change_that_is_for_root_alone_is_told_with_exit_code_4(path):
    with serving(path, {}, status="403 Forbidden"), pytest.raises(CalicodError) as caught:
        request(str(path), "/apply", "POST", b"{}")

    assert (caught.value.code, caught.value.exit_code) == ("K056", 4)


def test_a_daemon_that_dies_before_it_answers_is_told(path):
    with socket.socket(socket.AF_UNIX) as dying:
        dying.bind(str(path))
        dying.listen()

        def die() -> None:
            client, _ = dying.accept()
            client.recv(100)
            client.close()

        thread = threading.Thread(target=die)
        thread.start()
        assert "it stopped answering" in str(failure(path))
        thread.join()


def test_who_finds_too_many_waiting_before_him_tries_again(path):
    with socket.socket(socket.AF_UNIX) as full, socket.socket(socket.AF_UNIX) as other:
        full.bind(str(path))
        full.listen(0)
        other.connect(str(path))

        def answer() -> None:
            time.sleep(0.1)
            full.accept()[0].close()
            with full.accept()[0] as client:
                assert client.recv(1000)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        with futures.ThreadPoolExecutor(1) as thread:
            answered = thread.submit(answer)
            assert asked(str(path), "/status", dict[str, int]) == {}
            answered.result()


def test_who_finds_too_many_waiting_all_the_time_is_told(path, monkeypatch):
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.1)
    with socket.socket(socket.AF_UNIX) as full, socket.socket(socket.AF_UNIX) as other:
        full.bind(str(path))
        full.listen(0)
        other.connect(str(path))

        assert "unavailable" in str(failure(path))
