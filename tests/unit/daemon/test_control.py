import asyncio
import contextlib
import http.client
import json
import os
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from calicod.cli.client import Unreachable, request, stream
from calicod.daemon.control import Control, Handlers
from calicod.daemon.door import SOCKET_NAME, listen
from calicod.daemon.proposal import Document, Proposal

PATIENCE = 10.0


async def following() -> AsyncIterator[bytes]:
    yield b'{"event":"daemon.started"}\n'
    await asyncio.Event().wait()


async def proposed(proposal: Proposal) -> object:
    return {"documents": len(proposal.documents)}


async def reloaded() -> object:
    return {"revision": 7}


HANDLERS = Handlers(
    status=lambda: {"healthy": True},
    endpoints=lambda: [1],
    policies=lambda: [2],
    flows=lambda: iter([b"{1}\n{2}\n", b"{3}\n"]),
    enforcement=lambda: b"\x80",
    reload=reloaded,
    prospect=proposed,
    apply=proposed,
    confirm=reloaded,
    rollback=reloaded,
    recent=lambda: [b"a\n", b"b\n"],
    follow=following,
)


def served(folder: Path, ask: Callable[[str], object], handlers: Handlers = HANDLERS) -> object:
    """What `ask`, in a thread of its own, gets from a server that lives as long as that takes."""

    async def serve() -> object:
        control = Control(listen(folder / SOCKET_NAME)[0], handlers)
        await control.start()
        try:
            return await asyncio.wait_for(asyncio.to_thread(ask, str(folder / SOCKET_NAME)), PATIENCE)
        finally:
            await control.stop()

    return asyncio.run(serve())


@pytest.mark.parametrize(
    ("target", "method", "answer"),
    [
        ("/status", "GET", {"healthy": True}),
        ("/endpoints", "GET", [1]),
        ("/policies", "GET", [2]),
        ("/reload", "POST", {"revision": 7}),
        ("/confirm", "POST", {"revision": 7}),
        ("/rollback", "POST", {"revision": 7}),
    ],
)
def test_each_question_has_its_answer_as_json(tmp_path, target, method, answer):
    said = served(tmp_path, lambda path: json.loads(request(path, target, method)))

    assert said == answer


@pytest.mark.parametrize("target", ["/prospect", "/apply"])
def test_a_set_may_be_large(tmp_path, target):
    body = msgspec.json.encode(Proposal(documents=(Document("a.yaml", "x" * (3 << 20)),)))

    assert served(tmp_path, lambda path: request(path, target, "POST", body)) == b'{"documents":1}'


def test_a_set_that_is_none_is_refused(tmp_path):
    def ask(path: str) -> str:
        with pytest.raises(Unreachable) as caught:
            request(path, "/apply", "POST", b'{"documents": 1}')
        return str(caught.value)

    assert "it answered 400 the command is of another version" in served(tmp_path, ask)


def test_what_was_begun_ends_though_who_asked_for_it_is_gone(tmp_path):
    steps: list[str] = []

    async def slow() -> object:
        steps.append("begun")
        await asyncio.sleep(0.2)
        steps.append("done")
        return None

    def ask(path: str) -> None:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.send(b"POST /confirm HTTP/1.1\r\nHost: c\r\nContent-Length: 0\r\n\r\n")
            while not steps:
                time.sleep(0.01)
        while len(steps) < 2:
            time.sleep(0.01)

    served(tmp_path, ask, msgspec.structs.replace(HANDLERS, confirm=slow))

    assert steps == ["begun", "done"]


NOBODY = 65534


@pytest.mark.netns  # needs root, as those
@pytest.mark.parametrize(
    ("target", "method", "status"),
    [
        ("/status", "GET", 200),
        ("/reload", "POST", 200),
        ("/prospect", "POST", 403),
        ("/apply", "POST", 403),
        ("/confirm", "POST", 403),
        ("/rollback", "POST", 403),
    ],
)
def test_other_policy_is_taken_from_root_alone(target, method, status):
    def ask(path: str) -> int:
        Path(path).chmod(0o666)
        connection = http.client.HTTPConnection("c")
        connection.sock = socket.socket(socket.AF_UNIX)
        os.seteuid(NOBODY)
        try:
            connection.sock.connect(path)  # the kernel notes now who this is
        finally:
            os.seteuid(0)
        connection.request(method, target, b'{"documents": []}')
        with contextlib.closing(connection):
            return connection.getresponse().status

    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        assert served(Path(folder), ask) == status


def test_live_flows_are_lines(tmp_path):
    assert served(tmp_path, lambda path: request(path, "/flows")) == b"{1}\n{2}\n{3}\n"


def test_the_enforcement_comes_as_it_is(tmp_path):
    assert served(tmp_path, lambda path: request(path, "/enforcement")) == b"\x80"


def test_recent_events_are_lines(tmp_path):
    assert served(tmp_path, lambda path: request(path, "/events")) == b"a\nb\n"


def test_events_that_are_followed_come_one_by_one(tmp_path):
    assert served(tmp_path, lambda path: next(stream(path, "/events?follow=1"))) == b'{"event":"daemon.started"}\n'


@pytest.mark.parametrize(("target", "method"), [("/reload", "GET"), ("/status", "POST"), ("/etc/passwd", "GET")])
def test_nothing_else_is_answered(tmp_path, target, method):
    def ask(path: str) -> str:
        with pytest.raises(Unreachable) as caught:
            request(path, target, method)
        return str(caught.value)

    assert "it answered 40" in str(served(tmp_path, ask))


def test_clients_that_hang_do_not_keep_others_waiting_nor_the_end(tmp_path):
    def ask(path: str) -> object:
        hung = [socket.socket(socket.AF_UNIX) for _ in range(30)]
        for number, client in enumerate(hung):
            client.connect(path)
            client.send(b"GET /events?follow=1 HTTP/1.1\r\nHost: c\r\n\r\n" if number % 2 else b"GET /sta")
        return [request(path, "/status") for _ in range(3)]

    assert served(tmp_path, ask) == [b'{"healthy":true}'] * 3
