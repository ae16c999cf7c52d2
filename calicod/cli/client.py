"""The daemon's control socket, asked from a command.

Law: a daemon that cannot be reached is told as `Unreachable` with its remedy, never as an answer; what it streams is
given on as it comes.
"""

import http
import http.client
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import ParamSpec, TypeVar

import click
import msgspec

from calicod.errors import CalicodError

DEFAULT_SOCKET = "/run/calicod/calicod.sock"
TIMEOUT_SECONDS = 60.0
"""How long an answer may take: a reload waits for every worker and the kernel."""
CONNECT_SECONDS = 5.0
RETRY_SECONDS = 0.05

PEER = struct.Struct("=iII")
"""`struct ucred`: process, user, group."""

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")


class Unreachable(CalicodError):  # noqa: N818  as it is read: `except Unreachable`
    """The daemon does not answer on its socket (exit code 3)."""

    def __init__(self, path: str, why: str, hint: str = "is it running? `systemctl status calicod`") -> None:
        super().__init__("K060", f"the daemon cannot be reached at {path}: {why}", hint=hint, exit_code=3)


class UnixConnection(http.client.HTTPConnection):
    """HTTP to a unix socket."""

    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("calicod")
        self._path = path
        self.patience = timeout

    def connect(self) -> None:
        """Connects; an answer may take longer than that."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CONNECT_SECONDS)
        deadline = time.monotonic() + CONNECT_SECONDS
        while True:
            try:
                self.sock.connect(self._path)
                break
            except BlockingIOError:  # more than it has room for wait until it begins to answer
                if time.monotonic() >= deadline:
                    raise
                time.sleep(RETRY_SECONDS)
        self.sock.settimeout(self.patience)
        _, user, _ = PEER.unpack(self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))
        if user not in (0, os.geteuid()):
            hint = "somebody put a socket of his own there: look who may write to that directory"
            raise Unreachable(self._path, f"user {user} listens there, not the daemon", hint=hint)


def socket_option(command: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """`--socket PATH`, given on as `socket`."""
    return click.option(
        "--socket",
        envvar="CALICOD_SOCKET",
        default=DEFAULT_SOCKET,
        show_default=True,
        metavar="PATH",
        help="The daemon's control socket; also CALICOD_SOCKET.",
    )(command)


def request(
    path: str, target: str, method: str = "GET", body: bytes | None = None, patience: float | None = None
) -> bytes:
    """The answer to one request. Raises Unreachable; CalicodError when it is not for this user."""
    with closing(UnixConnection(path, TIMEOUT_SECONDS if patience is None else patience)) as connection:
        return ask(connection, path, target, method, body).read()


def asked(
    path: str,
    target: str,
    kind: type[Answer],
    method: str = "GET",
    body: bytes | None = None,
    patience: float | None = None,
) -> Answer:
    """The answer to one request, as a value. Raises as `request`."""
    try:
        return msgspec.json.decode(request(path, target, method, body, patience), type=kind)
    except msgspec.MsgspecError as error:
        why = f"its answer is of another version than this command: {error}"
        raise Unreachable(path, why, hint="restart it after an upgrade: `systemctl restart calicod`") from error


def stream(path: str, target: str, patience: float | None = None) -> Iterator[bytes]:
    """The lines of an answer as they come; `patience`: how long one may take. Raises Unreachable."""
    with closing(UnixConnection(path, patience)) as connection:
        answer = ask(connection, path, target, "GET")
        while True:
            try:
                line = answer.readline()
            except (OSError, http.client.HTTPException) as error:
                raise Unreachable(path, f"it stopped answering: {error}") from error
            if not line:
                return
            yield line


def ask(
    connection: UnixConnection, path: str, target: str, method: str, body: bytes | None = None
) -> http.client.HTTPResponse:
    """Sends a request and waits for the head of its answer. Raises as `request`."""
    try:
        connection.request(method, target, body)
        answer = connection.getresponse()
    except FileNotFoundError as error:
        raise Unreachable(path, "there is no such socket") from error
    except PermissionError as error:
        hint = "run this as root, or join the group `calicod`"
        raise Unreachable(path, f"not permitted for {os.geteuid()}", hint=hint) from error
    except TimeoutError as error:
        raise Unreachable(path, f"no answer within {connection.patience or CONNECT_SECONDS:.0f} s") from error
    except (OSError, http.client.HTTPException) as error:
        refused = isinstance(error, ConnectionRefusedError) and Path(path).is_socket()
        why = "nobody listens" if refused else f"it stopped answering: {error}"
        raise Unreachable(path, why) from error
    if answer.status == http.HTTPStatus.FORBIDDEN:
        hint = "run this as root: who may read from the control socket may not change policy by it"
        raise CalicodError("K056", "only root may change what is enforced", hint=hint, exit_code=4)
    if answer.status != http.HTTPStatus.OK:
        raise Unreachable(path, f"it answered {answer.status} {answer.reason}", hint="`calicod status` may say more")
    return answer
